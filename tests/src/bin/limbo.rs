//! Runs x509-limbo against the core.
//!
//! `limbo --limbo FILE`, its `limbo.json`; without the option nothing runs. The last line counts.

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use auth_edge_tests::suites::{Report, limbo};

/// The file is in no registry.
const HOW_TO_GET_IT: &str = "\
limbo: there is no limbo.json, so nothing is run.
Get it from https://github.com/C2SP/x509-limbo and name it: `limbo --limbo FILE`, or LIMBO=FILE for
`cargo xtask test`.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            println!("{HOW_TO_GET_IT}\n0 passed, 0 failed, 1 skipped");
            return ExitCode::SUCCESS;
        }
        ["--limbo", file] => run(file),
        _ => Err("expected `--limbo FILE`, or nothing".into()),
    };
    match outcome {
        Ok(report) => report.tell("x509-limbo"),
        Err(error) => {
            eprintln!("limbo: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &str) -> Result<Report, Box<dyn Error>> {
    let json = fs::read_to_string(file).map_err(|why| format!("cannot read {file}: {why}"))?;
    limbo::run(&json, limbo::Table::parse(limbo::TABLE)?)
}
