//! Runs every target on its committed inputs and on changed ones, the same in every run.
//!
//! `replay [--failures FOLDER] [--changed N] [TARGET [FILE...]]`: with files, those alone are run.
//! A target counts as one test in the last line.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use auth_edge_fuzz::replay;
use auth_edge_fuzz::targets::{self, Target};

/// Any number; the same one makes every run the same.
const SEED: u64 = 9440;

struct Arguments {
    failures: PathBuf,
    changed: Option<u64>,
    target: Option<&'static Target>,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments {
        failures: std::env::temp_dir().join("auth-edge-fuzz-failures"),
        changed: None,
        target: None,
        files: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--failures" => found.failures = value()?.into(),
            "--changed" => found.changed = Some(value()?.parse()?),
            option if option.starts_with("--") => {
                return Err(format!("no option `{option}`").into());
            }
            name if found.target.is_none() => {
                let target = targets::find(name).ok_or(format!("there is no target `{name}`"))?;
                found.target = Some(target);
            }
            file => found.files.push(file.into()),
        }
    }
    Ok(found)
}

fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    if let Some(target) = arguments.target
        && !arguments.files.is_empty()
    {
        for file in &arguments.files {
            println!("{}: {}", target.name, file.display());
            (target.run)(&std::fs::read(file)?);
        }
        println!("{} passed, 0 failed", arguments.files.len());
        return Ok(true);
    }
    let (mut passed, mut failed) = (0, 0);
    let chosen = targets::ALL
        .iter()
        .filter(|target| arguments.target.is_none_or(|only| only.name == target.name));
    for target in chosen {
        let start = Instant::now();
        let changed = arguments.changed.unwrap_or(target.changed);
        let outcome = replay::run(target, changed, SEED, &arguments.failures)?;
        println!(
            "{:12} {:6} executions, {:5.1} s",
            target.name,
            outcome.executions,
            start.elapsed().as_secs_f64()
        );
        for file in &outcome.failures {
            println!("{}: FAILED on {}", target.name, file.display());
        }
        match outcome.failures.is_empty() {
            true => passed += 1,
            false => failed += 1,
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
