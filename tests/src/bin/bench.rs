//! Measures the processor time that the built filter adds to a request in a real Envoy.
//!
//! `bench --envoy PATH --envoy-version V --wasm PATH [--starts N] [--rounds N] [--requests N] [--ways N]
//! [--only "PEER;PEER"] [--modules PATH,PATH]`; the last compares other Wasm modules.
//!
//! One Envoy with one worker has a listener for each peer: no filter, the edge with either way to verify, a
//! Lua filter. Each round sends a fixed count of requests to each in turn, over warm connections, and reads
//! from the scheduler what Envoy spent. The upstream is the recording origin over TLS, as in production: its
//! own time is another process's and does not count. Shown are medians over the starts of medians over the
//! rounds.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use auth_edge_tests::arguments::Arguments;
use auth_edge_tests::conformance::envoy_config::{
    Filter, Listener, ListenerTls, ORIGIN_NAMES, bootstrap,
};
use auth_edge_tests::conformance::facts::Xfcc;
use auth_edge_tests::conformance::vector::{API_KEY, API_KEY_VARIABLE, ORIGIN};
use auth_edge_tests::hosts::{
    ALIAS, Client, DOMAIN, Protocol, TOKEN, config, forwarded, with_ca_signed,
};
use auth_edge_tests::http1::encode;
use auth_edge_tests::origin::Origin;
use auth_edge_tests::pki::{Pki, thumbprint_hex};
use auth_edge_tests::process::Envoy;
use auth_edge_tests::tls::{TlsOptions, TlsStream, connect};
use auth_edge_tests::wire::WireRequest;
use serde_json::json;

const BARE: &str = "no filter";
const EDGE: &str = "Auth Edge, edge";
const HOST: &str = "Auth Edge, host";
const LUA: &str = "Lua";
/// How many connections are open at once; each has one request on its way.
const CONNECTIONS: usize = 8;
const WARM_UP: usize = 2_000;
const STARTS: usize = 3;
const ROUNDS: usize = 21;
const REQUESTS: usize = 800;
/// How the origin's answer ends.
const END: &[u8] = b"{\"origin\":true}";
/// What is compared with; Envoy runs it where it ran no filter.
const PEER: &str = include_str!("../../peers/edge.lua");

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A way to ask: a host name, a protocol, and whether there is a certificate.
struct Way {
    name: &'static str,
    host: &'static str,
    protocol: Protocol,
    identity: Option<&'static str>,
}

static WAYS: [Way; 3] = [
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

fn run() -> Result<(), Box<dyn Error>> {
    let more = ["starts", "rounds", "requests", "modules", "only", "ways"];
    let arguments = Arguments::parse(std::env::args().skip(1), &more)?;
    let number = |name, otherwise| {
        let value = arguments.value(name).map(str::parse::<usize>);
        value.unwrap_or(Ok(otherwise)).map(|number| number.max(1))
    };
    let (starts, rounds) = (number("starts", STARTS)?, number("rounds", ROUNDS)?);
    let requests = number("requests", REQUESTS)?;
    let pki = Pki::generate()?;
    let by_host = with_ca_signed(config(&pki)?, json!({ "verified_by": "host" }));
    let mut peers: Vec<(String, Filter)> = vec![
        (BARE.into(), Filter::None),
        (EDGE.into(), Filter::Inline(config(&pki)?.to_string())),
        (HOST.into(), Filter::Inline(by_host.to_string())),
        (LUA.into(), Filter::Lua(lua(&pki)?)),
    ];
    for module in arguments
        .value("modules")
        .unwrap_or_default()
        .split_terminator(',')
    {
        let module = std::path::absolute(module)?;
        let name = module.file_stem().unwrap_or_default().to_string_lossy();
        peers.push((
            name.into_owned(),
            Filter::Module(module.clone(), config(&pki)?.to_string()),
        ));
    }
    println!(
        "Envoy {}, one worker: {starts} starts, each with {rounds} rounds of {requests} POST {TOKEN}, \
         {CONNECTIONS} warm connections, TLS to the origin",
        arguments.envoy_version
    );
    if let Some(only) = arguments.value("only") {
        peers.retain(|(name, _)| name == BARE || only.split(';').any(|other| other == name));
    }
    let ways = number("ways", WAYS.len())?;
    let mut results = Vec::new();
    for _ in 0..starts {
        results.push(measure(
            &arguments,
            &pki,
            &peers,
            WAYS.iter().take(ways),
            (rounds, requests),
        )?);
    }
    println!(
        "{:24} {:16} {:>10} {:>9} {:>7}   each start",
        "", "", "us/request", "added us", "of Lua"
    );
    for (w, way) in WAYS.iter().take(ways).enumerate() {
        let added = |peer: usize| -> Vec<f64> {
            let starts = results.iter().map(|result| &result[w]);
            starts
                .map(|spent| {
                    // Rounds are compared with themselves, which takes out what changes between them.
                    let rounds = spent[peer].iter().zip(&spent[0]);
                    median(
                        &rounds
                            .map(|(with, without)| with - without)
                            .collect::<Vec<_>>(),
                    )
                })
                .collect()
        };
        let lua = peers.iter().position(|(name, _)| *name == LUA);
        let lua = lua.map_or(f64::NAN, |lua| median(&added(lua)));
        for (p, (name, _)) in peers.iter().enumerate() {
            let whole: Vec<f64> = results.iter().map(|result| median(&result[w][p])).collect();
            let added = added(p);
            let each: Vec<String> = added.iter().map(|us| format!("{us:.1}")).collect();
            println!(
                "{:24} {name:16} {:10.1} {:9.1} {:7.2}   {}",
                way.name,
                median(&whole),
                median(&added),
                median(&added) / lua,
                each.join(" ")
            );
        }
    }
    Ok(())
}

/// The Lua peer, told what the filter's configuration says.
fn lua(pki: &Pki) -> Result<String, Box<dyn Error>> {
    let registered = ["self_signed", "self_signed_p384"].map(|name| {
        let thumbprint = pki.get(name).map(|it| thumbprint_hex(it.leaf()));
        thumbprint.map(|hex| format!("[\"{hex}\"] = true"))
    });
    let registered = registered.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(PEER
        .replace("${registered}", &registered.join(", "))
        .replace("${origin}", ORIGIN)
        .replace("${api_key}", API_KEY))
}

/// Microseconds a request, for each way, each peer and each round.
type Spent = Vec<Vec<Vec<f64>>>;

/// Starts an Envoy and asks each peer in each way, round by round.
fn measure(
    arguments: &Arguments,
    pki: &Pki,
    peers: &[(String, Filter)],
    ways: impl Iterator<Item = &'static Way>,
    (rounds, requests): (usize, usize),
) -> Result<Spent, Box<dyn Error>> {
    let server = pki.server_identity(&["*.example.test", "*.login.example.test"])?;
    let origin = Origin::start(&pki.server_identity(&ORIGIN_NAMES)?)?;
    let listeners: Vec<Listener> = peers
        .iter()
        .map(|(name, filter)| Listener {
            name: name.clone(),
            filter: filter.clone(),
            xfcc: Xfcc::Removed,
            tls: ListenerTls::WithoutResumption,
        })
        .collect();
    let port = origin.address().port();
    let bootstrap = bootstrap(&listeners, &arguments.wasm, pki, &server, port).to_string();
    let envoy = Envoy::start(&arguments.envoy, &bootstrap, &[(API_KEY_VARIABLE, API_KEY)])?;
    let server_ca = pki.server_ca_pem();
    let mut spent = Vec::new();
    for way in ways {
        let mut clients = Vec::new();
        for (name, filter) in peers {
            let mut options = TlsOptions::new(&server_ca, Some(way.host));
            options.identity = way.identity.map(|name| pki.get(name)).transpose()?;
            let mut asking = Clients::open(&envoy, name, way, &options)?;
            asking.send(WARM_UP)?;
            let last = origin.take().pop();
            let told = last.map_or(0, |last| last.values("client-certificate").len());
            // A filter that did nothing, or a peer that did something, would be a fine result.
            let tells =
                way.identity.is_some() && matches!(filter, Filter::Inline(_) | Filter::Lua(_));
            if told != usize::from(tells) && !matches!(filter, Filter::Module(..)) {
                return Err(format!("{}, {name}: {told} certificate fields", way.name).into());
            }
            clients.push(asking);
        }
        let mut of_way = vec![Vec::new(); peers.len()];
        for round in 0..rounds {
            // Whoever comes first in one round comes last in the next.
            let mut order: Vec<usize> = (0..peers.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let before = envoy.cpu_time()?;
                let sent = clients[index].send(requests)?;
                let time = envoy.cpu_time()?.saturating_sub(before);
                of_way[index].push(time.as_secs_f64() * 1e6 / sent as f64);
                origin.take();
            }
        }
        spent.push(of_way);
    }
    Ok(spent)
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
        options: &TlsOptions<'_>,
    ) -> Result<Self, Box<dyn Error>> {
        let request = WireRequest::new("POST", way.host, TOKEN)
            .header("user-agent", "example-client/1.0")
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", "Basic Y2xpZW50LTE6bm90LWEtcmVhbC1zZWNyZXQ=")
            .body("grant_type=client_credentials&client_id=client-1&audience=https%3A%2F%2Fapi.example.test");
        let each = 0..CONNECTIONS;
        Ok(match way.protocol {
            Protocol::Http1 => {
                let mut options = options.clone();
                options.alpn = &[b"http/1.1"];
                let address = envoy.listener_address(listener)?;
                let streams = each.map(|_| connect(address, &options));
                Self::Http1(streams.collect::<Result<_, _>>()?, encode(&request))
            }
            Protocol::Http2 => {
                let open = |_| Client::open(envoy, listener, options.clone(), Protocol::Http2);
                Self::Http2(each.map(open).collect::<Result<_, _>>()?, request)
            }
        })
    }

    /// Sends at least this many requests, one on each connection at a time; gives how many.
    fn send(&mut self, count: usize) -> Result<usize, Box<dyn Error>> {
        let turns = count.div_ceil(CONNECTIONS);
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
        Ok(turns * CONNECTIONS)
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
