//! Runs every conformance vector against the built Worker on a real workerd.
//!
//! `vectors-worker --node PATH --npm-root DIR --worker DIR [--only TEXT]`. The last line counts.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use auth_edge_tests::conformance::vector;
use auth_edge_tests::conformance::workerd::Bench;
use auth_edge_tests::pki::Pki;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vectors-worker: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    let pki = Pki::generate()?;
    let mut vectors = vector::all()?;
    if let Some(only) = &arguments.only {
        vectors.retain(|vector| vector.name.contains(only));
    }
    let Arguments {
        node,
        npm_root,
        worker,
        ..
    } = &arguments;
    let bench = Bench::start(node, npm_root, worker, &vectors, &pki)?;
    let tally = bench.run_all(&vectors, &pki);
    for (vector, difference) in &tally.failures {
        println!("DIFFERS {vector}: {difference}");
    }
    println!(
        "workerd: {} vectors: {} as decided, {} for a server name that \
         Cloudflare does not tell, {} need what only Envoy writes, {} consumed, {} answered by the host, \
         {} cannot be expressed, {} differed",
        vectors.len(),
        tally.agreed,
        tally.unnamed,
        tally.unfit,
        tally.consumed,
        tally.answered_by_host,
        tally.not_expressible,
        tally.failures.len(),
    );
    println!("{} passed, {} failed", tally.passed(), tally.failures.len());
    Ok(tally.failures.len())
}

#[derive(Default)]
struct Arguments {
    node: PathBuf,
    npm_root: PathBuf,
    worker: PathBuf,
    only: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut found = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("`{argument}` lacks its value"))?;
            match argument.as_str() {
                "--node" => found.node = value.into(),
                "--npm-root" => found.npm_root = value.into(),
                "--worker" => {
                    let folder = std::path::absolute(value);
                    found.worker = folder.map_err(|error| error.to_string())?;
                }
                "--only" => found.only = Some(value),
                _ => return Err(format!("unknown argument `{argument}`")),
            }
        }
        let Self {
            node,
            npm_root,
            worker,
            ..
        } = &found;
        if [node, npm_root, worker]
            .iter()
            .any(|path| path.as_os_str().is_empty())
        {
            return Err("`--node`, `--npm-root` and `--worker` are needed".to_owned());
        }
        Ok(found)
    }
}
