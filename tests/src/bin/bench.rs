//! Measures the processor time that the built filter adds to a request in a real Envoy.
//!
//! `bench --envoy PATH --envoy-version V --wasm PATH [--rounds N] [--requests N]`
//!
//! One Envoy with one worker has a listener without and one with the filter. Each round sends a
//! fixed count of requests to each in turn, over warm connections, and reads from the scheduler
//! what Envoy spent. The upstream is the recording origin over TLS, as in production: its own time
//! is another process's and does not count. Shown are medians over all rounds.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use auth_edge_tests::arguments::Arguments;
use auth_edge_tests::conformance::envoy_config::{
    Filter, Listener, ListenerTls, ORIGIN_NAMES, bootstrap,
};
use auth_edge_tests::conformance::facts::Xfcc;
use auth_edge_tests::conformance::vector::{API_KEY, API_KEY_VARIABLE};
use auth_edge_tests::hosts::{ALIAS, DOMAIN, TOKEN, config};
use auth_edge_tests::http1::encode;
use auth_edge_tests::origin::Origin;
use auth_edge_tests::pki::{Identity, Pki};
use auth_edge_tests::process::Envoy;
use auth_edge_tests::tls::{TlsOptions, TlsStream, connect};
use auth_edge_tests::wire::WireRequest;

const BARE: &str = "bare";
const EDGE: &str = "edge";
/// How many connections are open at once; each has one request on its way.
const CONNECTIONS: usize = 8;
const WARM_UP: usize = 2_000;
const ROUNDS: usize = 61;
const REQUESTS: usize = 800;
/// How the origin's answer ends.
const END: &[u8] = b"{\"origin\":true}";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One of the four things that are compared.
struct Case {
    name: &'static str,
    clients: Clients,
    /// Microseconds a request, one for each round.
    spent: Vec<f64>,
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1), &["rounds", "requests"])?;
    let number = |name, otherwise| {
        let value = arguments.value(name).map(str::parse::<usize>);
        value.unwrap_or(Ok(otherwise)).map(|number| number.max(1))
    };
    let (rounds, requests) = (number("rounds", ROUNDS)?, number("requests", REQUESTS)?);
    let pki = Pki::generate()?;
    let server = pki.server_identity(&["*.example.test", "*.login.example.test"])?;
    let origin = Origin::start(&pki.server_identity(&ORIGIN_NAMES)?)?;
    let listeners = [
        (BARE, Filter::None),
        (EDGE, Filter::Inline(config(&pki)?.to_string())),
    ];
    let listeners = listeners.map(|(name, filter)| Listener {
        name: name.into(),
        filter,
        xfcc: Xfcc::Removed,
        tls: ListenerTls::WithoutResumption,
    });
    let port = origin.address().port();
    let bootstrap = bootstrap(&listeners, &arguments.wasm, &pki, &server, port).to_string();
    let envoy = Envoy::start(&arguments.envoy, &bootstrap, &[(API_KEY_VARIABLE, API_KEY)])?;

    let client = Some(pki.get("ca_client")?);
    let server_ca = pki.server_ca_pem();
    let mut cases = Vec::new();
    for (name, host, identity) in [
        ("mTLS alias, CA-signed P-256", ALIAS, client),
        ("custom domain, no certificate", DOMAIN, None),
    ] {
        for listener in [BARE, EDGE] {
            let mut clients = Clients::open(&envoy, listener, &server_ca, host, identity)?;
            clients.send(WARM_UP)?;
            let certificates = origin
                .take()
                .pop()
                .map_or(0, |last| last.values("client-certificate").len());
            // A filter that did nothing, or a peer that did something, would be a fine result.
            if certificates != usize::from(listener == EDGE && identity.is_some()) {
                return Err(
                    format!("{name}, {listener}: {certificates} certificate fields").into(),
                );
            }
            cases.push(Case {
                name,
                clients,
                spent: Vec::new(),
            });
        }
    }
    for round in 0..rounds {
        // Whoever comes first in one round comes last in the next.
        let order: Vec<usize> = if round % 2 == 0 {
            (0..cases.len()).collect()
        } else {
            (0..cases.len()).rev().collect()
        };
        for index in order {
            let case = &mut cases[index];
            let before = envoy.cpu_time()?;
            let sent = case.clients.send(requests)?;
            let spent = envoy.cpu_time()?.saturating_sub(before);
            case.spent.push(spent.as_secs_f64() * 1e6 / sent as f64);
            origin.take();
        }
    }
    println!(
        "Envoy {}, one worker: {rounds} rounds of {requests} POST {TOKEN} over HTTP/1.1, \
         {CONNECTIONS} warm connections, TLS to the origin",
        arguments.envoy_version
    );
    println!(
        "{:31} {:9} {:>10} {:>10} {:>6}   range",
        "", "", "us/request", "added us", "ratio"
    );
    for pair in cases.chunks(2) {
        let [bare, edge] = pair else { continue };
        // Rounds are compared with themselves, which takes out what changes between them.
        let rounds = edge.spent.iter().zip(&bare.spent);
        let (added, ratios): (Vec<f64>, Vec<f64>) = rounds
            .map(|(edge, bare)| (edge - bare, edge / bare))
            .unzip();
        print_row(bare, "no filter", String::new());
        let compared = format!("{:10.1} {:6.2}", median(&added), median(&ratios));
        print_row(edge, "Auth Edge", compared);
    }
    Ok(())
}

fn print_row(case: &Case, filter: &str, compared: String) {
    let least = case.spent.iter().copied().fold(f64::INFINITY, f64::min);
    let most = case.spent.iter().copied().fold(0.0, f64::max);
    println!(
        "{:31} {filter:9} {:10.1} {compared:17}   {least:.1} to {most:.1}",
        case.name,
        median(&case.spent),
    );
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
struct Clients {
    streams: Vec<TlsStream>,
    request: Vec<u8>,
}

impl Clients {
    fn open(
        envoy: &Envoy,
        listener: &str,
        server_ca: &str,
        host: &str,
        identity: Option<&Identity>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut options = TlsOptions::new(server_ca, Some(host));
        options.identity = identity;
        options.alpn = &[b"http/1.1"];
        let address = envoy.listener_address(listener)?;
        let streams = (0..CONNECTIONS).map(|_| connect(address, &options));
        let request = WireRequest::new("POST", host, TOKEN)
            .header("user-agent", "example-client/1.0")
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", "Basic Y2xpZW50LTE6bm90LWEtcmVhbC1zZWNyZXQ=")
            .header("x-forwarded-for", "198.51.100.7")
            .body("grant_type=client_credentials&client_id=client-1&audience=https%3A%2F%2Fapi.example.test");
        Ok(Self {
            streams: streams.collect::<Result<_, _>>()?,
            request: encode(&request),
        })
    }

    /// Sends at least this many requests, one on each connection at a time; gives how many.
    fn send(&mut self, count: usize) -> Result<usize, Box<dyn Error>> {
        let turns = count.div_ceil(self.streams.len());
        for _ in 0..turns {
            for stream in &mut self.streams {
                stream.write_all(&self.request)?;
                stream.flush()?;
            }
            for stream in &mut self.streams {
                read_answer(stream)?;
            }
        }
        Ok(turns * self.streams.len())
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
