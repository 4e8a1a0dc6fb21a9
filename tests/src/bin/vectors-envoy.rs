//! Runs every conformance vector against the built filter in a real Envoy.
//!
//! `vectors-envoy --envoy PATH --envoy-version V --wasm PATH [--only TEXT]`; the last line counts.

use std::error::Error;
use std::process::ExitCode;

use auth_edge_tests::arguments::Arguments;
use auth_edge_tests::conformance::envoy::Bench;
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
    let arguments = Arguments::parse(std::env::args().skip(1), &["only"])?;
    let pki = Pki::generate()?;
    let mut vectors = vector::all()?;
    if let Some(only) = arguments.value("only") {
        vectors.retain(|vector| vector.name.contains(only));
    }
    let bench = Bench::start(&arguments.envoy, &arguments.wasm, &vectors, &pki)?;
    let (mut passed, mut failed) = (0, 0);
    for (host, protocol) in [
        (HostName::EnvoyHttp1, "HTTP/1.1"),
        (HostName::EnvoyHttp2, "HTTP/2"),
    ] {
        let tally = bench.run_all(&vectors, host, &pki);
        for (vector, difference) in &tally.failures {
            println!("DIFFERS {vector} ({protocol}): {difference}");
        }
        println!(
            "Envoy {}, {protocol}: {} vectors: {} as decided, {} consumed, {} answered by the host, \
             {} cannot be expressed, {} differed",
            arguments.envoy_version,
            vectors.len(),
            tally.agreed,
            tally.consumed,
            tally.answered_by_host,
            tally.not_expressible,
            tally.failures.len(),
        );
        passed += tally.passed();
        failed += tally.failures.len();
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}
