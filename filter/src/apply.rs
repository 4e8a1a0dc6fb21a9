//! A decision of the core, carried out.

use std::fmt;

use auth_edge::Decision;
use auth_edge::edits::Edits;
use auth_edge::refusal::Refusal;
use auth_edge::reply::Reply;
use auth_edge::request::Request;

use crate::gather::Seen;
use crate::host::{Counters, Host};

/// What became of the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It goes to the origin.
    Forwarded,
    /// The edge answered it.
    Answered,
}

/// Carries the decision out; `id` names the request in logs and answers.
pub(crate) fn apply(
    host: &impl Host,
    counters: &Counters,
    seen: &Seen,
    request: &Request<'_>,
    decision: Decision<'_>,
    id: fmt::Arguments<'_>,
) -> Outcome {
    match decision {
        Decision::Forward(edits) => {
            host.replace_request_fields(fields_for_origin(seen, request, &edits));
            counters.add_forwarded(host);
            counters.add_identity_claims(host, edits.identity_claims);
            Outcome::Forwarded
        }
        Decision::Respond(reply) => {
            answer(host, &reply);
            counters.add_answered(host);
            Outcome::Answered
        }
        Decision::Refuse(refusal) => {
            refuse(host, counters, request, refusal, &id.to_string());
            Outcome::Answered
        }
    }
}

/// The whole header section for the origin, made anew: what is not in it does not go upstream.
fn fields_for_origin<'a>(
    seen: &'a Seen,
    request: &Request<'a>,
    edits: &'a Edits<'a>,
) -> Vec<(&'a str, &'a [u8])> {
    let authority = (":authority", edits.authority.as_bytes());
    let pseudo = seen
        .pseudo_fields()
        .filter(|(name, _)| name != ":authority");
    let pseudo = pseudo.map(|(name, value)| (name.as_str(), value.as_slice()));
    let kept = request.fields.iter().enumerate();
    let kept = kept.filter(|(index, _)| !edits.remove.contains(*index));
    // The host program gave the names as text, so that none is lost here.
    let kept =
        kept.filter_map(|(_, (name, value))| Some((std::str::from_utf8(name).ok()?, *value)));
    let set = edits
        .set
        .iter()
        .map(|(name, value)| (name, value.as_str().as_bytes()));
    std::iter::once(authority)
        .chain(pseudo)
        .chain(kept)
        .chain(set)
        .collect()
}

/// Refuses the request, with an answer, a counter and a log line.
pub(crate) fn refuse(
    host: &impl Host,
    counters: &Counters,
    request: &Request<'_>,
    refusal: Refusal,
    id: &str,
) {
    answer(host, &refusal.reply(request, id));
    counters.add_refused(host, refusal.reason);
    counters.add_identity_claims(host, refusal.identity_claims);
    host.log_warning(&refusal.log_line(request, id));
}

/// Answers in the origin's place.
pub(crate) fn answer(host: &impl Host, reply: &Reply) {
    let headers = reply
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    host.answer(reply.status, headers, &reply.body);
}
