//! The demo: a real client and real attacks against the Envoy of `envoy-demo`, or against the Worker.
//!
//! `demo --envoy PATH --wasm PATH --node PATH --npm-root DIR [--once]`, or in place of the first two
//! `--worker DIR --worker-npm-root DIR`. With `--once` it ends after the table, and the last line counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use auth_edge_tests::demo::{self, Count, Host, Options, Stay};

fn main() -> ExitCode {
    let count = run().unwrap_or_else(|error| {
        eprintln!("demo: {error}");
        Count {
            passed: 0,
            failed: 1,
        }
    });
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run() -> Result<Count, Box<dyn Error>> {
    let mut stay = Stay::UntilInterrupted;
    let mut paths = BTreeMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix("--").unwrap_or_default() {
            "once" => stay = Stay::Once,
            name @ ("envoy" | "wasm" | "node" | "npm-root" | "worker" | "worker-npm-root") => {
                let value = words.next();
                let value = value.ok_or_else(|| format!("`{word}` lacks its value"))?;
                paths.insert(name.to_owned(), std::path::absolute(value)?);
            }
            _ => return Err(format!("unknown argument `{word}`").into()),
        }
    }
    let mut take = |name: &str| -> Result<PathBuf, String> {
        let path = paths.remove(name);
        path.ok_or_else(|| format!("`--{name}` is missing"))
    };
    let (node, npm_root) = (take("node")?, take("npm-root")?);
    let host = match take("worker") {
        Ok(folder) => Host::Worker {
            folder,
            npm_root: take("worker-npm-root")?,
        },
        Err(_) => Host::Envoy {
            program: take("envoy")?,
            filter: take("wasm")?,
        },
    };
    if let Some(name) = paths.keys().next() {
        return Err(format!("`--{name}` belongs to another host program").into());
    }
    demo::run(&Options {
        host,
        node,
        npm_root,
        stay,
    })
}
