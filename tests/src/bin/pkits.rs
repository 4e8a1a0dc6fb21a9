//! Runs NIST's Public Key Interoperability Test Suite against the core.
//!
//! `pkits --data FOLDER`, the folder with `certs`, `crls` and `smime`; the last line counts.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use auth_edge_tests::suites::{Report, pkits};

fn main() -> ExitCode {
    match run() {
        Ok(report) => report.tell("PKITS"),
        Err(error) => {
            eprintln!("pkits: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Report, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--data", folder] => pkits::run(Path::new(folder)),
        _ => Err("expected `--data FOLDER`".into()),
    }
}
