//! Runs every conformance vector against the built filter in a fake NGINX.
//!
//! `vectors-nginx --wasm PATH [--only TEXT]`. The last line counts.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use auth_edge_tests::conformance::nginx::Bench;
use auth_edge_tests::conformance::vector;
use auth_edge_tests::pki::Pki;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vectors-nginx: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let (wasm, only) = arguments()?;
    let pki = Pki::generate()?;
    let mut vectors = vector::all()?;
    if let Some(only) = only {
        vectors.retain(|vector| vector.name.contains(&only));
    }
    let tally = Bench::new(&wasm)?.run_all(&vectors, &pki);
    for (vector, difference) in &tally.failures {
        println!("DIFFERS {vector}: {difference}");
    }
    println!(
        "NGINX (fake): {} vectors: {} as decided, {} refused for a field that cannot be removed, {} consumed, \
         {} answered by the host, {} need what NGINX does not write, {} cannot be expressed, {} differed",
        vectors.len(),
        tally.agreed,
        tally.refused_for_removal,
        tally.consumed,
        tally.answered_by_host,
        tally.unfit,
        tally.not_expressible,
        tally.failures.len(),
    );
    println!("{} passed, {} failed", tally.passed(), tally.failures.len());
    Ok(tally.failures.len())
}

fn arguments() -> Result<(PathBuf, Option<String>), String> {
    let mut arguments = std::env::args().skip(1);
    let (mut wasm, mut only) = (None, None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next();
        let value = value.ok_or_else(|| format!("`{argument}` lacks its value"))?;
        match argument.as_str() {
            "--wasm" => wasm = Some(PathBuf::from(value)),
            "--only" => only = Some(value),
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok((wasm.ok_or("`--wasm` is missing")?, only))
}
