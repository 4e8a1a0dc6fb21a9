//! Measures in workerd what the built Worker takes of the processor.
//!
//! `bench-worker --node PATH --npm-root PATH --worker FOLDER [--forward-only FOLDER] [--others "NAME=FOLDER,..."]
//! [--starts N] [--rounds N] [--requests N] [--ways N] [--fresh N] [--parts "requests;verification"]`; `--others`
//! compares other builds of the Worker in the same run, and `--parts` leaves out the others.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use auth_edge_tests::bench::worker::requests::{self, Amount};
use auth_edge_tests::bench::worker::{Programs, verification};

const STARTS: usize = 3;
const ROUNDS: usize = 15;
const REQUESTS: usize = 400;
/// How many Workers verify their first certificate, for each kind of key.
const FRESH: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: BTreeMap<&str, &str> = arguments
        .chunks_exact(2)
        .map(|pair| (pair[0].as_str(), pair[1].as_str()))
        .collect();
    let path = |name: &str| -> Option<PathBuf> { std::path::absolute(given.get(name)?).ok() };
    let needed = |name: &str| path(name).ok_or_else(|| format!("`{name}` is missing"));
    let others = given.get("--others").copied().unwrap_or_default();
    let other = |text: &str| -> Result<(String, PathBuf), Box<dyn Error>> {
        let (name, folder) = text.split_once('=').ok_or("`--others` takes NAME=FOLDER")?;
        Ok((name.to_owned(), std::path::absolute(folder)?))
    };
    let programs = Programs {
        node: needed("--node")?,
        npm_root: needed("--npm-root")?,
        edge: needed("--worker")?,
        forward_only: path("--forward-only"),
        others: others
            .split_terminator(',')
            .map(other)
            .collect::<Result<_, _>>()?,
    };
    let number = |name, otherwise| {
        let value = given.get(name).map(|text| text.parse::<usize>());
        value.unwrap_or(Ok(otherwise)).map(|number| number.max(1))
    };
    let amount = Amount {
        starts: number("--starts", STARTS)?,
        rounds: number("--rounds", ROUNDS)?,
        requests: number("--requests", REQUESTS)?,
        ways: number("--ways", usize::MAX)?,
    };
    let parts = given.get("--parts");
    let has = |part| parts.is_none_or(|parts| parts.split(';').any(|other| other == part));
    if has("requests") {
        let Amount {
            starts,
            rounds,
            requests,
            ..
        } = amount;
        println!(
            "Requests: {starts} starts, each with {rounds} rounds of {requests} requests over warm connections"
        );
        requests::run(&programs, amount)?;
    }
    if has("verification") {
        verification::run(&programs, number("--fresh", FRESH)?)?;
    }
    Ok(())
}
