//! Origins that fail, and several of them, behind the configuration in `envoy-demo/`.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::json;

use super::shipped::{CALLERS, Changes, Shipped, get, origin, unavailable};
use super::{Outcome, PROTOCOLS, SOON, Stage, ensure, forwarded, token_request};
use crate::origin::Origin;
use crate::shipped::{self, ALIAS, DOMAIN, ENVOY_YAML, ORIGIN};
use crate::wire::{WireError, WireRequest};

/// Where the shipped configuration says how long the origin may take, but for the number.
const TIMEOUT: &str =
    "                            cluster: origin\n                            timeout: ";

/// Down, slow, resetting before and amid an answer, refusing TLS: each is told, with the body of the
/// edge where there is room for one, and a request is sent once.
///
/// # Errors
/// When it is not so.
pub fn an_origin_that_fails_is_told_from_an_answer_and_never_asked_twice(stage: &Stage) -> Outcome {
    let origin = origin(stage)?;
    let address = origin.address();
    let shipped_timeout = format!("{TIMEOUT}30s");
    let changes = Changes {
        envoy: vec![(
            &shipped_timeout,
            // Long for an origin on this machine that answers, short for one that does not.
            format!("{TIMEOUT}0.5s"),
        )],
        ..Changes::default()
    };
    let edge = Shipped::start_with(stage, address, changes)?;
    for protocol in PROTOCOLS {
        let at = |why| format!("{protocol:?}: {why}");
        for (target, status) in [("/silent", 504), ("/gone", 503)] {
            let mut client = edge.open(stage, DOMAIN, None, protocol)?;
            let response = client.send(&WireRequest::new("POST", DOMAIN, target))?;
            unavailable(&response, status).map_err(at)?;
            asked_once(&origin, target).map_err(at)?;
        }
        for target in ["/cut/length", "/cut/chunks"] {
            let mut client = edge.open(stage, DOMAIN, None, protocol)?;
            let outcome = client.send(&WireRequest::new("POST", DOMAIN, target));
            let incomplete = matches!(outcome, Err(WireError::Closed | WireError::Reset(_)));
            ensure(incomplete, || {
                at(format!("{target}: expected an incomplete answer, found {outcome:?}").into())
            })?;
            asked_once(&origin, target).map_err(at)?;
        }
    }
    ensure(
        edge.envoy.stat("cluster.origin.upstream_rq_retry")? == Some(0),
        || "Envoy has repeated requests".into(),
    )?;
    drop(origin);
    answers_unavailable(stage, &edge, "down")?;
    let stranger = NoTls::start(address)?;
    answers_unavailable(stage, &edge, "refusing TLS")?;
    ensure(stranger.connections() > 0, || {
        "nobody came to the origin that refuses TLS".into()
    })?;
    drop(stranger);
    // What came back is used again, without a word to Envoy.
    let _origin = Origin::start_at(address, &stage.pki.server_identity(&[ORIGIN])?)?;
    let mut client = edge.open(stage, DOMAIN, None, super::Protocol::Http1)?;
    forwarded(&client.send(&get("/"))?)
}

/// Exactly one request for this target reached the origin, and nothing else did.
fn asked_once(origin: &Origin, target: &str) -> Outcome {
    let recorded = origin.take();
    let once = matches!(recorded.as_slice(), [one] if one.target == target.as_bytes());
    ensure(once, || {
        format!("{target}: expected one request at the origin, found {recorded:?}")
    })
}

fn answers_unavailable(stage: &Stage, edge: &Shipped, what: &str) -> Outcome {
    for protocol in PROTOCOLS {
        for (name, identity) in CALLERS {
            let mut client = edge.open(stage, name, identity, protocol)?;
            unavailable(&client.send(&token_request(name))?, 503)
                .map_err(|why| format!("{what}, {protocol:?}, {name}: {why}"))?;
        }
    }
    Ok(())
}

/// A server that ends every handshake with an alert.
struct NoTls {
    address: SocketAddr,
    shared: Arc<(AtomicBool, AtomicUsize)>,
    acceptor: Option<JoinHandle<()>>,
}

/// `handshake_failure`, fatal, in a record of TLS 1.2 (RFC 5246 section 7.2).
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

impl NoTls {
    fn start(address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(address)?;
        let shared = Arc::new((AtomicBool::new(false), AtomicUsize::new(0)));
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for socket in listener.incoming().flatten() {
                    if shared.0.load(Ordering::SeqCst) {
                        return;
                    }
                    shared.1.fetch_add(1, Ordering::SeqCst);
                    drop(refuse(socket));
                }
            }
        });
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    fn connections(&self) -> usize {
        self.shared.1.load(Ordering::SeqCst)
    }
}

fn refuse(mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_read_timeout(Some(SOON))?;
    // The greeting first, or the alert would be lost with it.
    let mut greeting = [0; 4096];
    let _ = socket.read(&mut greeting)?;
    socket.write_all(ALERT)
}

impl Drop for NoTls {
    fn drop(&mut self) {
        self.shared.0.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

/// R-6b: two origins, one of them chosen by name, and a name that there is none of.
///
/// # Errors
/// When it is not so.
pub fn the_route_of_a_host_chooses_its_origin_and_stays_here(stage: &Stage) -> Outcome {
    const ORIGIN_EU: &str = "origin-eu.localhost";
    let first = origin(stage)?;
    let second = Origin::start(&stage.pki.server_identity(&[ORIGIN_EU])?)?;
    let (commented, cluster) = commented_cluster()?;
    let shipped_address = "socket_address: { address: origin-eu.localhost, port_value: 9444 }";
    let here = shipped::socket_address(second.address());
    let cluster = shipped::replace(&cluster, shipped_address, &here)?;
    // The names of the certificate that Envoy serves on the chain of the custom domains do not matter:
    // which host is meant stands in the request.
    let host = |domain: &str, origin: &str, route: &str| {
        json!({
            "custom_domain": domain,
            "origin": { "host": origin, "route": route, "api_key": { "env": "LOGIN_CNAME_API_KEY" } },
            "mtls": "off",
        })
    };
    let changes = Changes {
        envoy: vec![(&commented, cluster)],
        hosts: vec![
            host("eu.localhost", ORIGIN_EU, "origin_eu"),
            host("unrouted.localhost", ORIGIN_EU, "origin_us"),
        ],
        ..Changes::default()
    };
    let edge = Shipped::start_with(stage, first.address(), changes)?;
    for protocol in PROTOCOLS {
        let mut client = edge.open(stage, DOMAIN, None, protocol)?;
        // Whatever a client says of the route: all three on one connection, and back again.
        for _ in 0..2 {
            for said in [
                None,
                Some("origin_eu"),
                Some("origin"),
                Some("no_such_origin"),
            ] {
                let ask = |domain| {
                    let request = WireRequest::new("GET", domain, "/");
                    match said {
                        Some(route) => request.header("x-auth-edge-origin", route),
                        None => request,
                    }
                };
                for (domain, origin, other, name) in [
                    (DOMAIN, &first, &second, ORIGIN),
                    ("eu.localhost", &second, &first, ORIGIN_EU),
                ] {
                    let at = |why| format!("{protocol:?}, {domain}, said {said:?}: {why}");
                    forwarded(&client.send(&ask(domain))?).map_err(at)?;
                    let recorded = origin.take();
                    let [one] = recorded.as_slice() else {
                        return Err(at(format!("its origin got {recorded:?}").into()).into());
                    };
                    let right = one.server_name.as_deref() == Some(name)
                        && one.values("host") == [name.as_bytes()]
                        && one.values("x-auth-edge-origin").is_empty()
                        && one.values("cname-api-key").len() == 1;
                    ensure(right && other.take().is_empty(), || {
                        at(format!("the origin got {one:?}").into())
                    })?;
                }
                unavailable(&client.send(&ask("unrouted.localhost"))?, 503)?;
                ensure(first.take().is_empty() && second.take().is_empty(), || {
                    "a request without an origin reached one".into()
                })?;
            }
        }
    }
    // The alias of the first host is no exception.
    let mut client = edge.open(stage, ALIAS, Some("ca_client"), super::Protocol::Http2)?;
    forwarded(&client.send(&token_request(ALIAS))?)?;
    ensure(first.take().len() == 1 && second.take().is_empty(), || {
        "the alias has another origin than its domain".into()
    })
}

/// The cluster that stands in the shipped file as a comment, and the same without the marks.
fn commented_cluster() -> Result<(String, String), Box<dyn Error>> {
    const MARK: &str = "    # ";
    let mut block = ENVOY_YAML
        .lines()
        .skip_while(|line| !line.starts_with("    # - name: origin_eu"))
        .take_while(|line| line.starts_with(MARK))
        .peekable();
    block
        .peek()
        .ok_or("the shipped file has no second cluster")?;
    let lines: Vec<&str> = block.collect();
    let uncommented: Vec<String> = lines
        .iter()
        .map(|line| line.replacen(MARK, "    ", 1))
        .collect();
    Ok((lines.join("\n"), uncommented.join("\n")))
}
