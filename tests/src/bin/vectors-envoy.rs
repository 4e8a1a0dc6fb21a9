//! Runs every conformance vector against the built filter in a real Envoy.
//!
//! `vectors-envoy --envoy PATH --envoy-version V --wasm PATH [--protocol http1|http2] [--only TEXT]`; both
//! protocols unless one is given. The last line counts.

use std::error::Error;
use std::process::ExitCode;

use auth_edge_tests::arguments::Arguments;
use auth_edge_tests::conformance::envoy::Bench;
use auth_edge_tests::conformance::facts::Shows;
use auth_edge_tests::conformance::vector::{self, HostName};
use auth_edge_tests::pki::Pki;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vectors-envoy: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1), &["only", "protocol"])?;
    let pki = Pki::generate()?;
    let mut vectors = vector::all()?;
    if let Some(only) = arguments.value("only") {
        vectors.retain(|vector| vector.name.contains(only));
    }
    let shows = Shows::of_envoy(&arguments.envoy_version)?;
    let bench = Bench::start(&arguments.envoy, &arguments.wasm, &vectors, &pki, shows)?;
    let (mut passed, mut failed) = (0, 0);
    for (host, protocol) in protocols(arguments.value("protocol"))? {
        let tally = bench.run_all(&vectors, host, &pki);
        for (vector, difference) in &tally.failures {
            println!("DIFFERS {vector} ({protocol}): {difference}");
        }
        println!(
            "Envoy {}, {protocol}: {} vectors: {} as decided, {} consumed, {} answered by the host, \
             {} need a fact this Envoy does not give, {} cannot be expressed, {} differed",
            arguments.envoy_version,
            vectors.len(),
            tally.agreed,
            tally.consumed,
            tally.answered_by_host,
            tally.lacking,
            tally.not_expressible,
            tally.failures.len(),
        );
        passed += tally.passed();
        failed += tally.failures.len();
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

fn protocols(only: Option<&str>) -> Result<Vec<(HostName, &'static str)>, String> {
    let http1 = (HostName::EnvoyHttp1, "HTTP/1.1");
    let http2 = (HostName::EnvoyHttp2, "HTTP/2");
    match only {
        None => Ok(vec![http1, http2]),
        Some("http1") => Ok(vec![http1]),
        Some("http2") => Ok(vec![http2]),
        Some(other) => Err(format!(
            "`{other}` is no protocol, expected `http1` or `http2`"
        )),
    }
}
