//! What is remembered changes nothing: neither the verdict cache nor what a connection keeps,
//! cold, warm, or warmed by others, at any time.

use auth_edge::edits::FieldSet;
use auth_edge::refusal::Refusal;
use auth_edge::reply::Reply;
use auth_edge::request::{Connection, MissingFact};
use auth_edge::verdict::VerdictCache;
use auth_edge::{Config, Decision, decide};

use crate::case::{self, Case};
use crate::scenarios;

/// Seconds from the time of the request to others at which the cache is warmed: within a certificate's
/// days, and on both sides of them.
const OTHER_TIMES: [i64; 8] = [
    -1,
    1,
    -20 * 86_400,
    20 * 86_400,
    -400 * 86_400,
    400 * 86_400,
    i64::MIN,
    i64::MAX,
];

/// A decision as a host program applies it; whether a value was borrowed or made makes no difference.
#[derive(Debug, Eq, PartialEq)]
enum Applied {
    Forward {
        authority: String,
        remove: FieldSet,
        set: Vec<(String, String)>,
        identity_claims: u32,
    },
    Respond(Reply),
    Refuse(Refusal),
}

/// Decides the last request of the input with caches of different pasts; the others are its past.
pub(super) fn run(data: &[u8]) {
    let mut others = case::read(data);
    let Some(case) = others.pop() else {
        return;
    };
    scenarios::with(case.scenario, |scenario| {
        let config = &scenario.config;
        let connection = case.connection();
        let mut cache = VerdictCache::new();
        let expected = applied(&case, case.now, config, &connection, &mut cache);
        let check = |connection: &Result<Connection, MissingFact>, cache: &mut VerdictCache| {
            assert_eq!(
                applied(&case, case.now, config, connection, cache),
                expected
            );
        };
        check(&connection, &mut cache);
        check(&connection, &mut VerdictCache::new());
        check(&case.connection(), &mut cache);

        let mut warmed = VerdictCache::new();
        for other in &others {
            applied(other, other.now, config, &other.connection(), &mut warmed);
        }
        check(&case.connection(), &mut warmed);

        // The other requests came on the connection of this one.
        let shared = case.connection();
        let mut warmed = VerdictCache::new();
        for other in &others {
            applied(other, other.now, config, &shared, &mut warmed);
        }
        check(&shared, &mut warmed);

        let mut warmed = VerdictCache::new();
        for offset in OTHER_TIMES {
            let time = case.now.saturating_add_signed(offset);
            applied(&case, time, config, &case.connection(), &mut warmed);
        }
        check(&case.connection(), &mut warmed);
    });
}

fn applied(
    case: &Case,
    now: u64,
    config: &Config,
    connection: &Result<Connection, MissingFact>,
    cache: &mut VerdictCache,
) -> Applied {
    let fields = case.borrowed_fields();
    match decide(&case.request(&fields, connection), config, now, cache) {
        Decision::Refuse(refusal) => Applied::Refuse(refusal),
        Decision::Respond(reply) => Applied::Respond(reply),
        Decision::Forward(edits) => {
            let set = edits.set.iter();
            Applied::Forward {
                authority: edits.authority.to_owned(),
                remove: edits.remove,
                set: set
                    .map(|(name, value)| (name.to_owned(), value.as_str().to_owned()))
                    .collect(),
                identity_claims: edits.identity_claims,
            }
        }
    }
}
