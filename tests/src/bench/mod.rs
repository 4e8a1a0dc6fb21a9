//! What `cargo xtask bench` measures in a real Envoy; `worker` is what it measures in workerd.
//!
//! Peers are compared in one Envoy, which has a listener for each, and take turns; shown is the processor time
//! that Envoy spent, as the scheduler counts it. The origin is the recording one over TLS, as in production:
//! its own time is another process's and does not count.

use std::error::Error;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::conformance::envoy_config::{Filter, Listener, ListenerTls, ORIGIN_NAMES, bootstrap};
use crate::conformance::facts::Xfcc;
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE, ORIGIN};
use crate::hosts::{ALIAS, Client, DOMAIN, Outcome, Protocol, TOKEN, config, forwarded};
use crate::http1::encode;
use crate::origin::Origin;
use crate::pki::{Pki, PkiError, thumbprint_hex};
use crate::process::{Envoy, Launch};
use crate::tls::{TlsOptions, TlsStream, connect};
use crate::wire::WireRequest;

pub mod connections;
pub mod memory;
pub mod requests;
pub mod worker;

/// What the others are compared with: an Envoy that only forwards.
pub const BARE: &str = "no filter";
/// The filter that verifies certificates itself.
pub const EDGE: &str = "Auth Edge, edge";
/// The filter that takes the host program's word.
pub const HOST: &str = "Auth Edge, host";
/// A Lua filter that does most of the job.
pub const LUA: &str = "Lua";
/// A Lua filter that removes what the edge removes.
pub const LUA_FAMILIES: &str = "Lua, families";
/// How many connections are open at once in a measurement of time; each has one request on its way.
pub const CONNECTIONS: usize = 8;
/// How the origin's answer ends.
const END: &[u8] = b"{\"origin\":true}";
/// What is compared with; Envoy runs it where it ran no filter.
const LUA_TEXT: &str = include_str!("../../peers/edge.lua");

/// What is compared: a name for it, and what its listener has.
pub type Peer = (String, Filter);

/// What the measurements share.
pub struct Bench {
    /// The Envoy and the filter.
    pub arguments: Arguments,
    /// Keys and certificates.
    pub pki: Pki,
    server_ca: String,
}

impl Bench {
    /// Makes certificates.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn new(arguments: Arguments) -> Result<Self, PkiError> {
        let pki = Pki::generate()?;
        Ok(Self {
            server_ca: pki.server_ca_pem(),
            arguments,
            pki,
        })
    }

    /// Starts an origin, and an Envoy in front of it with a listener for each peer.
    fn start(&self, peers: &[Peer], workers: u32) -> Result<Stage, Box<dyn Error>> {
        let names = ["*.example.test", "*.login.example.test"];
        let server = self.pki.server_identity(&names)?;
        let origin = Origin::start(&self.pki.server_identity(&ORIGIN_NAMES)?)?;
        let listener = |(name, filter): &Peer| Listener {
            name: name.clone(),
            filter: filter.clone(),
            xfcc: Xfcc::Removed,
            tls: ListenerTls::WithoutResumption,
        };
        let listeners: Vec<Listener> = peers.iter().map(listener).collect();
        let port = origin.address().port();
        let config = bootstrap(&listeners, &self.arguments.wasm, &self.pki, &server, port);
        let envoy = Envoy::launch(&Launch {
            binary: &self.arguments.envoy,
            config: &config.to_string(),
            env: &[(API_KEY_VARIABLE, API_KEY)],
            concurrency: workers,
            arguments: &[],
        })?;
        Ok(Stage { envoy, origin })
    }

    /// How a client connects.
    fn options(&self, way: &Way) -> Result<TlsOptions<'_>, PkiError> {
        let mut options = TlsOptions::new(&self.server_ca, Some(way.host));
        options.identity = way.identity.map(|name| self.pki.get(name)).transpose()?;
        if way.protocol == Protocol::Http1 {
            options.alpn = &[b"http/1.1"];
        }
        Ok(options)
    }
}

/// An Envoy and the origin behind it.
struct Stage {
    envoy: Envoy,
    origin: Origin,
}

impl Stage {
    /// Fails unless the last request reached the origin as this peer would send it.
    ///
    /// A filter that did nothing, or a peer that did something, would be a fine result.
    fn ensure_told(&self, (name, filter): &Peer, way: &Way) -> Outcome {
        let last = self.origin.take().pop();
        let told = last.map_or(0, |last| last.values("client-certificate").len());
        let tells = way.identity.is_some() && matches!(filter, Filter::Inline(_) | Filter::Lua(_));
        if told == usize::from(tells) || matches!(filter, Filter::Module(..)) {
            return Ok(());
        }
        Err(format!("{}, {name}: {told} certificate fields", way.name).into())
    }
}

/// A way to ask: a host name, a protocol, and whether there is a certificate.
pub struct Way {
    /// What it is called in the output.
    pub name: &'static str,
    /// The host name that is asked.
    pub host: &'static str,
    /// The protocol.
    pub protocol: Protocol,
    /// The name of the client's identity.
    pub identity: Option<&'static str>,
}

/// The ways that are measured.
pub static WAYS: [Way; 3] = [
    Way {
        name: "mTLS alias, HTTP/1.1",
        host: ALIAS,
        protocol: Protocol::Http1,
        identity: Some("ca_client"),
    },
    Way {
        name: "mTLS alias, HTTP/2",
        host: ALIAS,
        protocol: Protocol::Http2,
        identity: Some("ca_client"),
    },
    Way {
        name: "custom domain, HTTP/1.1",
        host: DOMAIN,
        protocol: Protocol::Http1,
        identity: None,
    },
];

/// The configuration of the tests with more host names, so many in all.
///
/// # Errors
/// When a certificate of the tests is not there.
pub fn with_hosts(pki: &Pki, count: usize) -> Result<Value, PkiError> {
    let mut config = config(pki)?;
    if let Some(hosts) = config["hosts"].as_array_mut() {
        for number in hosts.len()..count {
            hosts.push(json!({
                "custom_domain": format!("login.customer-{number}.example"),
                "origin": { "host": ORIGIN, "api_key": { "env": API_KEY_VARIABLE } },
            }));
        }
    }
    Ok(config)
}

/// How a Lua filter removes fields.
#[derive(Clone, Copy, Debug)]
pub enum LuaRemoval {
    /// By a list of names.
    Names,
    /// The families of names that the edge removes, in every spelling.
    Families,
}

/// The Lua peer, told what the filter's configuration says.
///
/// # Errors
/// When a certificate of the tests is not there.
pub fn lua(pki: &Pki, removal: LuaRemoval) -> Result<String, PkiError> {
    let registered = ["self_signed", "self_signed_p384"].map(|name| {
        let thumbprint = pki.get(name).map(|it| thumbprint_hex(it.leaf()));
        thumbprint.map(|hex| format!("[\"{hex}\"] = true"))
    });
    let registered = registered.into_iter().collect::<Result<Vec<_>, _>>()?;
    let every_spelling = match removal {
        LuaRemoval::Names => "false",
        LuaRemoval::Families => "true",
    };
    Ok(LUA_TEXT
        .replace("${every_spelling}", every_spelling)
        .replace("${registered}", &registered.join(", "))
        .replace("${origin}", ORIGIN)
        .replace("${api_key}", API_KEY))
}

/// Sends to each peer in turn, as often as there are rounds, and gives what Envoy spent: microseconds for each
/// of those that `send` says it sent, for each peer and each round.
fn rounds<T>(
    stage: &Stage,
    peers: &mut [T],
    rounds: usize,
    mut send: impl FnMut(&mut T) -> Result<usize, Box<dyn Error>>,
) -> Result<Vec<Vec<f64>>, Box<dyn Error>> {
    let mut spent = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        // Whoever comes first in one round comes last in the next.
        let mut order: Vec<usize> = (0..peers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let before = stage.envoy.cpu_time()?;
            let sent = send(&mut peers[index])?;
            let time = stage.envoy.cpu_time()?.saturating_sub(before);
            spent[index].push(time.as_secs_f64() * 1e6 / sent as f64);
            stage.origin.take();
        }
    }
    Ok(spent)
}

/// What a peer takes more than the first one: the median over the rounds, each compared with itself, which
/// takes out what changes between them.
fn added(spent: &[Vec<f64>], peer: usize) -> f64 {
    let rounds = spent[peer].iter().zip(&spent[0]);
    median(
        &rounds
            .map(|(with, without)| with - without)
            .collect::<Vec<_>>(),
    )
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// What is asked: a token request as clients send it.
fn request(host: &str) -> WireRequest {
    WireRequest::new("POST", host, TOKEN)
        .header("user-agent", "example-client/1.0")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, deflate")
        .header("content-type", "application/x-www-form-urlencoded")
        .header(
            "authorization",
            "Basic Y2xpZW50LTE6bm90LWEtcmVhbC1zZWNyZXQ=",
        )
        .body(
            "grant_type=client_credentials&client_id=client-1\
             &audience=https%3A%2F%2Fapi.example.test",
        )
}

/// Connections that send the same request again and again.
enum Clients {
    Http1(Vec<TlsStream>, Vec<u8>),
    Http2(Vec<Client>, WireRequest),
}

impl Clients {
    fn open(
        envoy: &Envoy,
        listener: &str,
        way: &Way,
        options: TlsOptions<'_>,
        count: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let request = request(way.host);
        let address = envoy.listener_address(listener)?;
        let each = 0..count;
        Ok(match way.protocol {
            Protocol::Http1 => {
                let streams = each.map(|_| connect(address, &options));
                Self::Http1(streams.collect::<Result<_, _>>()?, encode(&request))
            }
            Protocol::Http2 => {
                let open = |_| Client::at(address, options.clone(), Protocol::Http2);
                Self::Http2(each.map(open).collect::<Result<_, _>>()?, request)
            }
        })
    }

    /// Sends at least this many requests, one on each connection at a time; gives how many.
    fn send(&mut self, count: usize) -> Result<usize, Box<dyn Error>> {
        let width = match self {
            Self::Http1(streams, _) => streams.len(),
            Self::Http2(clients, _) => clients.len(),
        };
        let turns = count.div_ceil(width);
        for _ in 0..turns {
            match self {
                Self::Http1(streams, request) => {
                    for stream in &mut *streams {
                        stream.write_all(request)?;
                        stream.flush()?;
                    }
                    for stream in streams {
                        read_answer(stream)?;
                    }
                }
                Self::Http2(clients, request) => {
                    for client in clients {
                        forwarded(&client.send(request)?)?;
                    }
                }
            }
        }
        Ok(turns * width)
    }
}

fn read_answer(stream: &mut TlsStream) -> Result<(), Box<dyn Error>> {
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while !answer.ends_with(END) {
        match stream.read(&mut part)? {
            0 => return Err("Envoy closed a connection".into()),
            count => answer.extend_from_slice(&part[..count]),
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(format!(
        "not the origin's answer: {}",
        String::from_utf8_lossy(&answer)
    )
    .into())
}
