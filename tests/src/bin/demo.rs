//! The demo: a real client and real attacks against the Envoy of `envoy-demo`.
//!
//! `demo --envoy PATH --wasm PATH --node PATH --npm-root DIR [--once]`; with `--once` it ends after the
//! table, and the last line counts.

use std::error::Error;
use std::process::ExitCode;

use auth_edge_tests::arguments::Arguments;
use auth_edge_tests::demo::{self, Count, Options, Stay};

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
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let given = words.len();
    words.retain(|word| word != "--once");
    let stay = if words.len() < given {
        Stay::Once
    } else {
        Stay::UntilInterrupted
    };
    let arguments = Arguments::parse(words.into_iter(), &["node", "npm-root"])?;
    let needed = |name: &str| {
        let value = arguments.value(name);
        value.ok_or_else(|| format!("`--{name}` is missing"))
    };
    demo::run(&Options {
        envoy: arguments.envoy.clone(),
        wasm: arguments.wasm.clone(),
        node: needed("node")?.into(),
        npm_root: needed("npm-root")?.into(),
        stay,
    })
}
