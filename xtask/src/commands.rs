//! The commands, most of which are lists of steps.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::exec::{self, Outcome};
use crate::step::Steps;
use crate::tools::{Cache, cargo_deny, envoy, node, pkits};
use crate::{filter, no_std, repo, wasm_std};

/// An Envoy that does not say whether it verified a client certificate: what the filter does then is
/// tested too. The 1.38.3 that can be had comes without a Wasm runtime.
const OLD_ENVOY: &str = "1.38.2";

/// The package that holds the runners of the real tests.
const RUNNERS: &str = "auth-edge-tests";

/// The folder whose npm packages the demo needs.
const DEMO: &str = "envoy-demo";

/// What `setup` found; a tool that could not be had is missing.
struct Tools {
    envoys: Vec<(&'static str, Option<PathBuf>)>,
    old_envoy: Option<PathBuf>,
    node: Option<PathBuf>,
    npm_root: Option<PathBuf>,
    pkits: Option<PathBuf>,
}

/// Fetches every tool, each as a step of its own.
fn fetch(cache: &Cache, steps: &mut Steps) -> Tools {
    let mut envoys = Vec::new();
    for version in envoy::VERSIONS {
        let found = steps.work(
            &format!("tools: Envoy {version}"),
            "find or fetch it",
            || envoy::envoy(cache, version),
        );
        envoys.push((*version, found));
    }
    let old_envoy = steps.work(
        &format!("tools: Envoy {OLD_ENVOY}"),
        "find or fetch it",
        || envoy::envoy(cache, OLD_ENVOY),
    );
    let node = steps.work("tools: Node.js", "find or fetch it", || node::node(cache));
    let demo = repo::root().join(DEMO);
    let npm_root = steps.work("tools: npm packages", &format!("npm ci for {DEMO}"), || {
        node::npm_ci(cache, &demo)
    });
    steps.work("tools: Wasm", "find or build the standard library", || {
        wasm_std::ensure(cache).map(|_| ())
    });
    let pkits = steps.work("tools: PKITS", "find or fetch it", || pkits::pkits(cache));
    Tools {
        envoys,
        old_envoy,
        node,
        npm_root,
        pkits,
    }
}

/// `setup`.
pub(crate) fn setup(cache: &Cache) -> ExitCode {
    let mut steps = Steps::default();
    fetch(cache, &mut steps);
    steps.finish()
}

/// `demo`: this process becomes the demo, so that its signals and its exit code are the demo's.
pub(crate) fn demo(cache: &Cache, once: bool) -> Outcome<ExitCode> {
    let node = node::node(cache)?;
    let envoy = envoy::envoy(cache, envoy::MAIN_VERSION)?;
    let npm_root = node::npm_ci(cache, &repo::root().join(DEMO))?;
    let wasm = filter::build_filter(cache)?;
    exec::say("  building and starting the demo (some minutes the first time)");
    let why = demo_command(&envoy, &wasm, &node, &npm_root, once).exec();
    Err(format!("cannot start the demo: {why}"))
}

fn demo_command(envoy: &Path, wasm: &Path, node: &Path, npm_root: &Path, once: bool) -> Command {
    let mut command = runner("demo");
    command.arg("--envoy").arg(envoy).arg("--wasm").arg(wasm);
    command
        .arg("--node")
        .arg(node)
        .arg("--npm-root")
        .arg(npm_root);
    if once {
        command.arg("--once");
    }
    command
}

/// A program of the package with the runners, up to its own arguments.
fn runner(name: &str) -> Command {
    let mut command = repo::cargo();
    command.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        RUNNERS,
        "--bin",
        name,
        "--",
    ]);
    command
}

/// `test`.
pub(crate) fn test(cache: &Cache) -> ExitCode {
    let mut steps = Steps::default();
    test_steps(cache, &mut steps);
    steps.finish()
}

fn test_steps(cache: &Cache, steps: &mut Steps) {
    let tools = fetch(cache, steps);
    steps.command(
        "native",
        repo::cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]),
    );
    suite_steps(tools.pkits.as_deref(), steps);
    match no_std::build_command(cache) {
        Ok(mut build) => {
            steps.command("no_std", &mut build);
        }
        Err(why) => {
            steps.work::<()>(
                "no_std",
                "build the core without a standard library",
                || Err(why),
            );
        }
    }
    let wasm = steps.work("filter", "build the Wasm module", || {
        filter::build_filter(cache)
    });
    for (kind, program) in [("vectors", "vectors-envoy"), ("hosts", "hosts-envoy")] {
        for (version, envoy) in &tools.envoys {
            let name = format!("{kind}: Envoy {version}");
            match (envoy, &wasm) {
                (Some(envoy), Some(wasm)) => {
                    let mut command = runner(program);
                    command
                        .arg("--envoy")
                        .arg(envoy)
                        .args(["--envoy-version", version]);
                    command.arg("--wasm").arg(wasm);
                    // Once is enough: the old one is the same beside every other.
                    if program == "hosts-envoy"
                        && *version == envoy::MAIN_VERSION
                        && let Some(old) = &tools.old_envoy
                    {
                        command.arg("--old-envoy").arg(old);
                    }
                    steps.command(&name, &mut command);
                }
                (None, _) => steps.not_run(&name, "there is no such Envoy"),
                (_, None) => steps.not_run(&name, "the filter was not built"),
            }
        }
    }
    match (&tools.envoys[..], &wasm, &tools.node, &tools.npm_root) {
        ([(_, Some(envoy)), ..], Some(wasm), Some(node), Some(npm_root)) => {
            steps.command("demo", &mut demo_command(envoy, wasm, node, npm_root, true));
        }
        _ => steps.not_run(
            "demo",
            "one of the filter, Envoy, Node.js and the npm packages is missing",
        ),
    }
    steps.command("docs", &mut docs_command(true));
}

/// The public suites for certificate paths.
fn suite_steps(pkits: Option<&Path>, steps: &mut Steps) {
    match pkits {
        Some(folder) => {
            steps.command("PKITS", runner("pkits").arg("--data").arg(folder));
        }
        None => steps.not_run("PKITS", "the suite is not there"),
    }
    // Its data is in no registry.
    match std::env::var_os("LIMBO").filter(|file| !file.is_empty()) {
        Some(file) => {
            // The program runs in the repository, and the path is meant from here.
            let file = std::path::absolute(&file).unwrap_or_else(|_| PathBuf::from(&file));
            steps.command("x509-limbo", runner("limbo").arg("--limbo").arg(file));
        }
        None => steps.not_run("x509-limbo", "LIMBO names no limbo.json"),
    }
}

/// `ci`.
pub(crate) fn ci(cache: &Cache) -> ExitCode {
    let mut steps = Steps::default();
    steps.command("fmt", repo::cargo().args(["fmt", "--all", "--check"]));
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    steps.command("clippy", repo::cargo().args(clippy));
    // Built alone, as for Wasm: without the features that the tests switch on.
    let alone = [
        "clippy",
        "--package",
        "auth-edge",
        "--package",
        "auth-edge-filter",
    ];
    steps.command(
        "clippy: the filter",
        repo::cargo()
            .args(alone)
            .args(["--locked", "--", "-D", "warnings"]),
    );
    if repo::root().join("deny.toml").is_file() {
        if let Some(program) = steps.work("tools: cargo-deny", "find or fetch it", || {
            cargo_deny::cargo_deny(cache)
        }) {
            // The database of advisories cannot be had everywhere; the other checks need only the crates.
            let mut deny = Command::new(program);
            deny.current_dir(repo::root())
                .args(["--locked", "check", "licenses", "bans", "sources"]);
            steps.command("deny", &mut deny);
        } else {
            steps.not_run("deny", "there is no cargo-deny");
        }
    } else {
        steps.not_run("deny", "the repository has no deny.toml");
    }
    test_steps(cache, &mut steps);
    steps.finish()
}

/// `bench`: this process becomes the last measurement, so that its exit code is the measurement's.
pub(crate) fn bench(cache: &Cache) -> Outcome<ExitCode> {
    let envoy = envoy::envoy(cache, envoy::MAIN_VERSION)?;
    let node = node::node(cache)?;
    let wasm = filter::build_filter(cache)?;
    let mut verify = runner("bench-verify");
    verify
        .arg("--node")
        .arg(node)
        .arg("--module")
        .arg(filter::build_core(cache)?)
        .arg("--script")
        .arg(repo::root().join("bench/verify.mjs"));
    exec::stream(&mut verify, exec::LONG)?;
    let mut command = runner("bench");
    command
        .arg("--envoy")
        .arg(envoy)
        .args(["--envoy-version", envoy::MAIN_VERSION]);
    let why = command.arg("--wasm").arg(wasm).exec();
    Err(format!("cannot start the measurement: {why}"))
}

/// `docs`: this process becomes the generator.
pub(crate) fn docs(check: bool) -> Outcome<ExitCode> {
    let why = docs_command(check).exec();
    Err(format!("cannot start the generator: {why}"))
}

fn docs_command(check: bool) -> Command {
    let mut command = runner("generate");
    if check {
        command.arg("--check");
    }
    command
}
