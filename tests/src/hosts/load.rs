//! Clients that send without pause while something happens to Envoy, and count what they lost.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::shipped::{CALLERS, Changes, Counted, Shipped, origin};
use super::{Client, Outcome, PROTOCOLS, Protocol, SOON, Stage, ensure};
use crate::poll;
use crate::process::Envoy;
use crate::tls::TlsOptions;
use crate::wire::{WireError, WireRequest, WireResponse};

/// Where a client finds the edge now; asked for each connection.
pub(super) type Whereabouts<'a> = &'a (dyn Fn() -> Option<SocketAddr> + Sync);

/// A client that keeps a connection as long as it may, and opens the next one when it has to.
///
/// It does what HTTP lets a client do and no more: it leaves when it is told to (`connection: close`,
/// GOAWAY), and repeats a request only when the connection it had kept was closed before a byte of an
/// answer came and the method may be repeated (RFC 9110 section 9.2.2).
pub(super) struct Caller<'a> {
    /// The host name that it asks.
    pub(super) name: &'static str,
    whereabouts: Whereabouts<'a>,
    options: TlsOptions<'a>,
    protocol: Protocol,
    client: Option<Client>,
    opened: usize,
    repeated: usize,
}

impl Caller<'_> {
    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When it is lost.
    pub(super) fn send(&mut self, request: &WireRequest) -> Result<WireResponse, String> {
        loop {
            let kept = self.client.take().filter(|client| !client.is_leaving());
            let reused = kept.is_some();
            let mut client = match kept {
                Some(client) => client,
                None => self.open()?,
            };
            let before = client.received();
            match client.send(request) {
                Ok(response) => {
                    if response.values("connection") != [b"close"] {
                        self.client = Some(client);
                    }
                    return Ok(response);
                }
                Err(WireError::Closed)
                    if reused
                        && self.protocol == Protocol::Http1
                        && client.received() == before
                        && request.method == b"GET" =>
                {
                    self.repeated += 1;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// A connection that does not come about has lost nothing: another one is tried.
    fn open(&mut self) -> Result<Client, String> {
        let opened = poll::until(SOON, || {
            let address = (self.whereabouts)()?;
            Client::at(address, self.options.clone(), self.protocol).ok()
        });
        self.opened += 1;
        opened.ok_or_else(|| "no connection came about".to_owned())
    }
}

/// What became of the requests of one client.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many had the answer that was expected.
    pub(super) served: usize,
    /// What became of each of the others.
    pub(super) lost: Vec<String>,
    /// How many connections were opened.
    pub(super) opened: usize,
    /// How many requests were sent again.
    pub(super) repeated: usize,
}

/// One request of a client; the error says what is wrong with its answer.
pub(super) type Exchange<'a> = &'a (dyn Fn(&mut Caller<'_>) -> Result<(), String> + Sync);

/// More losses than any test tolerates: what goes on is over.
const LOST_ENOUGH: usize = 1000;

/// Lets four clients, one for each name of the shipped configuration in each protocol, send without
/// pause as long as `during` runs; it begins when each of them has been served once, and afterwards each
/// is served once more.
///
/// # Errors
/// When `during` fails, or a client is not served any more.
pub(super) fn under_load<T>(
    stage: &Stage,
    whereabouts: Whereabouts<'_>,
    exchange: Exchange<'_>,
    during: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<(T, Vec<Tally>), Box<dyn Error>> {
    let callers = four(stage, whereabouts)?;
    let over = AtomicBool::new(false);
    let begun = AtomicUsize::new(0);
    let count = callers.len();
    thread::scope(|scope| {
        let (over, begun) = (&over, &begun);
        let workers: Vec<_> = callers
            .into_iter()
            .map(|caller| scope.spawn(move || send_on(caller, exchange, over, begun)))
            .collect();
        let ready = poll::until(SOON, || {
            let all = begun.load(Ordering::SeqCst) == count;
            (all || workers.iter().any(|it| it.is_finished())).then_some(())
        });
        let outcome = match ready {
            Some(()) => during(),
            None => Err("not every client was served before it began".into()),
        };
        over.store(true, Ordering::SeqCst);
        let tallies: Result<Vec<Tally>, String> = workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err("a client died".to_owned()))
            })
            .collect();
        Ok((outcome?, tallies?))
    })
}

fn send_on(
    mut caller: Caller<'_>,
    exchange: Exchange<'_>,
    over: &AtomicBool,
    begun: &AtomicUsize,
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    exchange(&mut caller).map_err(|why| format!("before it began: {why}"))?;
    begun.fetch_add(1, Ordering::SeqCst);
    while !over.load(Ordering::SeqCst) && tally.lost.len() < LOST_ENOUGH {
        match exchange(&mut caller) {
            Ok(()) => tally.served += 1,
            Err(why) => tally.lost.push(why),
        }
    }
    exchange(&mut caller).map_err(|why| format!("after it ended: {why}; {tally:?}"))?;
    tally.opened = caller.opened;
    tally.repeated = caller.repeated;
    Ok(tally)
}

fn four<'a>(
    stage: &'a Stage,
    whereabouts: Whereabouts<'a>,
) -> Result<Vec<Caller<'a>>, Box<dyn Error>> {
    let mut callers = Vec::new();
    for (name, identity) in CALLERS {
        for protocol in PROTOCOLS {
            callers.push(Caller {
                name,
                whereabouts,
                options: match identity {
                    Some(identity) => stage.options_with(name, identity)?,
                    None => stage.options(name),
                },
                protocol,
                client: None,
                opened: 0,
                repeated: 0,
            });
        }
    }
    Ok(callers)
}

/// The field that tells the version of a configuration.
const VERSION: &str = "x-tenant";
/// What the origin answers with the value of that field.
const ECHO: &str = "/echo/x-tenant";
/// Hosts beside the one that is asked, so that a configuration that is not given back weighs something.
const OTHERS: usize = 100;

/// A configuration whose number the origin is told.
fn version(base: &Value, number: usize) -> Value {
    let mut config = base.clone();
    config["hosts"][0]["tenant"] = json!(number.to_string());
    config
}

/// How Envoy starts for updates: with version 0.
fn start(stage: &Stage, origin: SocketAddr) -> Result<Shipped, Box<dyn Error>> {
    let paths = json!([{ "path": ECHO, "class": "other" }]);
    let other = |number: usize| {
        json!({
            "custom_domain": format!("customer-{number}.example.test"),
            "origin": { "host": "origin.localhost", "api_key": { "env": "LOGIN_CNAME_API_KEY" } },
            "mtls": "off",
        })
    };
    let changes = Changes {
        host: vec![
            ("mtls_paths", paths),
            ("tenant_header", json!(VERSION)),
            ("tenant", json!("0")),
        ],
        hosts: (0..OTHERS).map(other).collect(),
        ..Changes::default()
    };
    Shipped::start_with(stage, origin, changes)
}

/// The versions that a request may be decided by.
#[derive(Default)]
struct Versions {
    /// Put in place, and perhaps not read yet.
    put: AtomicUsize,
    /// In force on every worker.
    confirmed: AtomicUsize,
}

impl Versions {
    /// One request: decided by a version that was in force when it was sent, or became it until it was
    /// answered.
    fn exchange(&self, caller: &mut Caller<'_>) -> Result<(), String> {
        let oldest = self.confirmed.load(Ordering::SeqCst);
        let response = caller.send(&WireRequest::new("GET", caller.name, ECHO))?;
        let newest = self.put.load(Ordering::SeqCst);
        let body = String::from_utf8_lossy(&response.body);
        let found: Option<usize> = body.parse().ok();
        match found {
            Some(found) if response.status == 200 && (oldest..=newest).contains(&found) => Ok(()),
            _ => Err(format!(
                "{}: {body}, expected a version from {oldest} to {newest}",
                response.status
            )),
        }
    }
}

/// How much the resident memory of an Envoy may differ that is doing the same all the time: its
/// allocators and V8's give back late what they hold. With 100 hosts a configuration takes some 100 KB
/// in each VM, so that one that is not given back at each of 225 updates would be more than 40 MB.
const RESIDENT_NOISE: u64 = 16 << 20;

/// The same for what Envoy has allocated, without V8: buffers of four connections.
const ALLOCATED_NOISE: u64 = 1 << 20;

/// What Envoy 1.40 itself keeps of each update of a Wasm filter, of an empty one too: 0.4 KB, and
/// 0.25 KB more for each worker; here are two, and some room.
const KEPT_BY_ENVOY: u64 = 1536;

/// What an Envoy holds, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    resident: u64,
    allocated: u64,
}

impl Memory {
    fn of(envoy: &Envoy) -> Result<Self, Box<dyn Error>> {
        let memory: Value = serde_json::from_str(&envoy.admin_get("/memory")?)?;
        let allocated = memory["allocated"].as_str().and_then(|it| it.parse().ok());
        Ok(Self {
            resident: envoy.resident_memory()?,
            allocated: allocated.ok_or("Envoy does not tell what it has allocated")?,
        })
    }
}

/// Configuration after configuration, on connections that stay open.
///
/// # Errors
/// When it is not so.
pub fn updates_under_load_lose_no_request_no_connection_and_no_memory(stage: &Stage) -> Outcome {
    let origin = origin(stage)?;
    let edge = start(stage, origin.address())?;
    let base = edge.config();
    let versions = Versions::default();
    let began = Instant::now();
    let whereabouts = || Some(edge.edge);
    let exchange = |caller: &mut Caller<'_>| versions.exchange(caller);
    let ((warm, memory), tallies) = under_load(stage, &whereabouts, &exchange, || {
        let mut warm = Memory::default();
        for number in 1..=stage.updates {
            versions.put.store(number, Ordering::SeqCst);
            edge.update(&version(&base, number), Counted::Reloaded)?;
            versions.confirmed.store(number, Ordering::SeqCst);
            if number == stage.updates / 4 {
                warm = Memory::of(&edge.envoy)?;
            }
            // What it records is of no interest here, and would not be little.
            origin.take();
        }
        Ok((warm, Memory::of(&edge.envoy)?))
    })?;
    let served: usize = tallies.iter().map(|it| it.served).sum();
    let lost: Vec<&String> = tallies.iter().flat_map(|it| &it.lost).collect();
    println!(
        "  {} updates in {:.0} s: {served} requests served, {} lost; after a quarter and at the end resident \
         {} and {} KB, allocated {} and {} KB",
        stage.updates,
        began.elapsed().as_secs_f64(),
        lost.len(),
        warm.resident / 1024,
        memory.resident / 1024,
        warm.allocated / 1024,
        memory.allocated / 1024,
    );
    ensure(lost.is_empty(), || {
        format!("{} lost: {:?}", lost.len(), lost.first())
    })?;
    let closed = tallies.iter().any(|it| it.opened != 1 || it.repeated != 0);
    ensure(!closed, || format!("a connection was closed: {tallies:?}"))?;
    ensure(served > stage.updates, || {
        format!("only {served} requests were sent meanwhile")
    })?;
    let kept = KEPT_BY_ENVOY * stage.updates as u64;
    let flat = memory.resident < warm.resident + RESIDENT_NOISE + kept
        && memory.allocated < warm.allocated + ALLOCATED_NOISE + kept;
    ensure(flat, || {
        format!("the memory grew from {warm:?} to {memory:?}")
    })
}

/// How many configurations are refused in turn.
const REFUSED_UPDATES: usize = 20;

/// A configuration that is refused changes nothing, however busy the edge.
///
/// # Errors
/// When it is not so.
pub fn refused_updates_under_load_change_nothing(stage: &Stage) -> Outcome {
    let origin = origin(stage)?;
    let edge = start(stage, origin.address())?;
    let base = edge.config();
    let versions = Versions::default();
    let whereabouts = || Some(edge.edge);
    let exchange = |caller: &mut Caller<'_>| versions.exchange(caller);
    let ((), tallies) = under_load(stage, &whereabouts, &exchange, || {
        for number in 1..=REFUSED_UPDATES {
            let mut bad = version(&base, number);
            bad["hosts"][OTHERS]["origin"]["host"] = json!("http://origin.localhost");
            edge.update(&bad, Counted::Rejected)?;
        }
        versions.put.store(1, Ordering::SeqCst);
        edge.update(&version(&base, 1), Counted::Reloaded)?;
        versions.confirmed.store(1, Ordering::SeqCst);
        Ok(())
    })?;
    let undisturbed = |it: &Tally| it.lost.is_empty() && it.opened == 1 && it.served > 0;
    ensure(tallies.iter().all(undisturbed), || format!("{tallies:?}"))
}
