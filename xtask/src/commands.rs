//! The commands, most of which are lists of steps.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::exec::{self, Outcome};
use crate::step::Steps;
use crate::tools::{Cache, cargo_deny, envoy, nginx, node, pkits, worker_build};
use crate::{dist, filter, instructions, no_std, repo, wasm_std, worker};

/// An Envoy that shows a client certificate, but not whether it verified it. The 1.38.3 that can be had
/// comes without a Wasm runtime.
const WITHOUT_VERDICT: &str = "1.38.2";

/// An Envoy that shows a client certificate only in the field it writes itself.
const WITHOUT_CERTIFICATE: &str = "1.37.0";

/// Envoys that lack a fact the newer ones give: every vector runs in them, in one protocol.
const OLDER_ENVOYS: [&str; 3] = [WITHOUT_VERDICT, WITHOUT_CERTIFICATE, "1.36.4"];

/// The package that holds the runners of the real tests.
const RUNNERS: &str = "auth-edge-tests";

/// What is run for long.
const SOAK_TEST: &str = "updates_under_load_lose_no_request_no_connection_and_no_memory";

/// What `setup` found; a tool that could not be had is missing.
struct Tools {
    envoys: Vec<(&'static str, Option<PathBuf>)>,
    older_envoys: Vec<(&'static str, Option<PathBuf>)>,
    node: Option<PathBuf>,
    /// The npm packages of the demo.
    npm_root: Option<PathBuf>,
    worker: Option<worker::Kit>,
    pkits: Option<PathBuf>,
    /// Or why there is none: only Debian's packages have one that can be unpacked.
    nginx: Outcome<PathBuf>,
}

/// Fetches every tool, each as a step of its own.
fn fetch(cache: &Cache, steps: &mut Steps) -> Tools {
    let mut envoys_of = |versions: &[&'static str]| -> Vec<_> {
        let versions = versions.iter().copied();
        let found = versions.map(|version| {
            let name = format!("tools: Envoy {version}");
            let found = steps.work(&name, "find or fetch it", || envoy::envoy(cache, version));
            (version, found)
        });
        found.collect()
    };
    let envoys = envoys_of(envoy::VERSIONS);
    let older_envoys = envoys_of(&OLDER_ENVOYS);
    let node = steps.work("tools: Node.js", "find or fetch it", || node::node(cache));
    let mut npm = |folder: &str| {
        let name = format!("tools: npm packages of {folder}");
        steps.work(&name, "find or fetch them", || node::npm_ci(cache, folder))
    };
    let (npm_root, worker_npm_root) = (npm(node::DEMO), npm(node::WORKER));
    steps.work("tools: Wasm", "find or build the standard library", || {
        wasm_std::ensure(cache).map(|_| ())
    });
    let programs = steps.work("tools: worker-build", "find or build it", || {
        worker_build::programs(cache)
    });
    let worker = (|| {
        Some(worker::Kit {
            node: node.clone()?,
            npm_root: worker_npm_root?,
            programs: programs?,
        })
    })();
    let pkits = steps.work("tools: PKITS", "find or fetch it", || pkits::pkits(cache));
    Tools {
        envoys,
        older_envoys,
        node,
        npm_root,
        worker,
        pkits,
        nginx: nginx::program(cache),
    }
}

/// `setup`.
pub(crate) fn setup(cache: &Cache) -> ExitCode {
    let mut steps = Steps::default();
    fetch(cache, &mut steps);
    steps.finish()
}

/// `worker`.
pub(crate) fn worker(cache: &Cache) -> Outcome<ExitCode> {
    let kit = worker::Kit::find(cache)?;
    worker::build(cache, &kit).map(|_| ExitCode::SUCCESS)
}

/// `worker --dry-run`.
pub(crate) fn worker_dry_run(cache: &Cache) -> Outcome<ExitCode> {
    let kit = worker::Kit::find(cache)?;
    worker::dry_run(cache, &kit).map(|_| ExitCode::SUCCESS)
}

/// The host program that the demo shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DemoHost {
    Envoy,
    Worker,
}

/// `demo`: this process becomes the demo, so that its signals and its exit code are the demo's.
pub(crate) fn demo(cache: &Cache, host: DemoHost, once: bool) -> Outcome<ExitCode> {
    const LONG_FIRST: &str = "some minutes the first time, seconds later";
    exec::say("  finding or fetching Node.js and the npm packages of the origin and the client");
    let node = node::node(cache)?;
    let npm_root = node::npm_ci(cache, node::DEMO)?;
    let mut command = match host {
        DemoHost::Envoy => {
            exec::say(&format!(
                "  finding or fetching Envoy {}",
                envoy::MAIN_VERSION
            ));
            let envoy = envoy::envoy(cache, envoy::MAIN_VERSION)?;
            exec::say(&format!("  building the filter: {LONG_FIRST}"));
            let wasm = filter::build_filter(cache)?;
            envoy_demo_command(&envoy, &wasm, &node, &npm_root)
        }
        DemoHost::Worker => {
            exec::say(
                "  finding or fetching workerd (miniflare), and finding or building worker-build",
            );
            let kit = worker::Kit::find(cache)?;
            exec::say(&format!("  building the Worker: {LONG_FIRST}"));
            let built = worker::build(cache, &kit)?;
            worker_demo_command(&kit, &built, &npm_root)
        }
    };
    if once {
        command.arg("--once");
    }
    exec::say(&format!("  building the demo itself: {LONG_FIRST}"));
    // Not quietly, so that it can be seen to go on.
    let build = ["build", "--locked", "--package", RUNNERS, "--bin", "demo"];
    exec::stream(repo::cargo().args(build), exec::LONG)?;
    exec::say("  starting the demo");
    let why = command.exec();
    Err(format!("cannot start the demo: {why}"))
}

fn envoy_demo_command(envoy: &Path, wasm: &Path, node: &Path, npm_root: &Path) -> Command {
    let mut command = demo_command(node, npm_root);
    command.arg("--envoy").arg(envoy).arg("--wasm").arg(wasm);
    command
}

fn worker_demo_command(kit: &worker::Kit, built: &Path, npm_root: &Path) -> Command {
    let mut command = demo_command(&kit.node, npm_root);
    command.arg("--worker").arg(built);
    command.arg("--worker-npm-root").arg(&kit.npm_root);
    command
}

fn demo_command(node: &Path, npm_root: &Path) -> Command {
    let mut command = runner("demo");
    command.arg("--node").arg(node);
    command.arg("--npm-root").arg(npm_root);
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
    steps.command("fuzz", &mut replay_command());
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
    instructions::step(cache, steps);
    let wasm = steps.work("filter", "build the Wasm module", || {
        filter::build_filter(cache)
    });
    vectors_steps(&tools, wasm.as_deref(), steps);
    nginx_steps(&tools, wasm.as_deref(), steps);
    hosts_steps(&tools, wasm.as_deref(), steps);
    let worker = worker_steps(cache, &tools, steps);
    demo_steps(&tools, wasm.as_deref(), worker.as_deref(), steps);
    steps.command("docs", &mut docs_command(true));
}

/// The fuzz targets on their committed inputs and on a fixed number of changed ones.
fn replay_command() -> Command {
    let mut command = repo::cargo();
    command.args(["run", "--quiet", "--locked", "--package", "auth-edge-fuzz"]);
    // The core itself is optimized too, with its checks of arithmetic left on.
    command.args(["--config", "profile.dev.opt-level=2", "--", "--failures"]);
    command.arg(repo::target_dir().join("fuzz/failures"));
    command
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

/// Every vector in every Envoy.
fn vectors_steps(tools: &Tools, wasm: Option<&Path>, steps: &mut Steps) {
    for (version, envoy) in tools.envoys.iter().chain(&tools.older_envoys) {
        let name = format!("vectors: Envoy {version}");
        in_envoy(steps, &name, envoy.as_deref(), wasm, |envoy, wasm| {
            let mut command = envoy_runner("vectors-envoy", version, envoy, wasm);
            // What an older Envoy does not tell does not depend on the protocol.
            if OLDER_ENVOYS.contains(version) {
                command.args(["--protocol", "http1"]);
            }
            command
        });
    }
}

/// Every vector in the fake NGINX, and the fake against a real NGINX, which has no Wasm.
fn nginx_steps(tools: &Tools, wasm: Option<&Path>, steps: &mut Steps) {
    const VECTORS: &str = "vectors: NGINX (fake)";
    const FAKE: &str = "the fake: NGINX without Wasm";
    match wasm {
        Some(wasm) => {
            let wasm = filter::for_nginx(wasm);
            steps.command(VECTORS, runner("vectors-nginx").arg("--wasm").arg(wasm));
        }
        None => steps.not_run(VECTORS, "the filter is not built"),
    }
    match &tools.nginx {
        Ok(program) => {
            steps.command(FAKE, runner("native-nginx").arg("--nginx").arg(program));
        }
        Err(why) => steps.not_run(FAKE, &format!("there is no NGINX: {why}")),
    }
}

/// What no vector can say, in every Envoy that gives all facts.
fn hosts_steps(tools: &Tools, wasm: Option<&Path>, steps: &mut Steps) {
    for (version, envoy) in &tools.envoys {
        let name = format!("hosts: Envoy {version}");
        in_envoy(steps, &name, envoy.as_deref(), wasm, |envoy, wasm| {
            let mut command = envoy_runner("hosts-envoy", version, envoy, wasm);
            // Once is enough: an older one is the same beside every other.
            if *version == envoy::MAIN_VERSION {
                for (argument, wanted) in [
                    ("--envoy-without-verdict", WITHOUT_VERDICT),
                    ("--envoy-without-certificate", WITHOUT_CERTIFICATE),
                ] {
                    let mut older = tools.older_envoys.iter();
                    let found = older.find(|(version, _)| *version == wanted);
                    if let Some((_, Some(older))) = found {
                        command.arg(argument).arg(older);
                    }
                }
            }
            command
        });
    }
}

/// The demo in both host programs.
fn demo_steps(tools: &Tools, wasm: Option<&Path>, worker: Option<&Path>, steps: &mut Steps) {
    const ENVOY: &str = "demo";
    const WORKER: &str = "demo: Worker";
    match (&tools.envoys[..], wasm, &tools.node, &tools.npm_root) {
        ([(_, Some(envoy)), ..], Some(wasm), Some(node), Some(npm_root)) => {
            let mut command = envoy_demo_command(envoy, wasm, node, npm_root);
            steps.command(ENVOY, command.arg("--once"));
        }
        _ => steps.not_run(
            ENVOY,
            "one of the filter, Envoy, Node.js and the npm packages is missing",
        ),
    }
    match (&tools.worker, worker, &tools.npm_root) {
        (Some(kit), Some(worker), Some(npm_root)) => {
            let mut command = worker_demo_command(kit, worker, npm_root);
            steps.command(WORKER, command.arg("--once"));
        }
        _ => steps.not_run(
            WORKER,
            "one of the Worker, Node.js and the npm packages is missing",
        ),
    }
}

/// The Worker: its size, what wrangler makes of it, and every test that runs it. Gives the folder of what was built.
fn worker_steps(cache: &Cache, tools: &Tools, steps: &mut Steps) -> Option<PathBuf> {
    const BUILD: &str = "worker";
    const DRY_RUN: &str = "worker: dry run";
    const VECTORS: &str = "vectors: Worker";
    const HOSTS: &str = "hosts: Worker";
    const NODE: &str = "worker: node tests";
    let Some(kit) = &tools.worker else {
        for name in [BUILD, DRY_RUN, VECTORS, HOSTS, NODE] {
            steps.not_run(name, "one of the tools that build the Worker is missing");
        }
        return None;
    };
    steps.work(BUILD, "build the Worker, and measure it", || {
        worker::build(cache, kit)
    });
    // From here on what wrangler has built is run, which is what users deploy.
    let built = steps.work(DRY_RUN, "have wrangler do all but deploy it", || {
        worker::dry_run(cache, kit)
    });
    let Some(built) = built else {
        for name in [VECTORS, HOSTS, NODE] {
            steps.not_run(name, "the Worker was not built");
        }
        return None;
    };
    for (name, program) in [(VECTORS, "vectors-worker"), (HOSTS, "hosts-worker")] {
        let mut command = runner(program);
        command.arg("--node").arg(&kit.node);
        command.arg("--npm-root").arg(&kit.npm_root);
        steps.command(name, command.arg("--worker").arg(&built));
    }
    match worker::node_tests(kit, &built) {
        Ok(mut command) => {
            steps.command(NODE, &mut command);
        }
        Err(why) => {
            steps.work::<()>(NODE, "lay the tests out", || Err(why));
        }
    }
    Some(built)
}

/// Runs a command that needs an Envoy and the filter, or notes which of them is missing.
fn in_envoy(
    steps: &mut Steps,
    name: &str,
    envoy: Option<&Path>,
    wasm: Option<&Path>,
    command: impl FnOnce(&Path, &Path) -> Command,
) {
    match (envoy, wasm) {
        (Some(envoy), Some(wasm)) => {
            steps.command(name, &mut command(envoy, wasm));
        }
        (None, _) => steps.not_run(name, "there is no such Envoy"),
        (_, None) => steps.not_run(name, "the filter was not built"),
    }
}

/// A runner, with the Envoy and the filter it is to run.
fn envoy_runner(program: &str, version: &str, envoy: &Path, wasm: &Path) -> Command {
    let mut command = runner(program);
    command
        .arg("--envoy")
        .arg(envoy)
        .args(["--envoy-version", version]);
    command.arg("--wasm").arg(wasm);
    command
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
    steps.work("dist", "make a release twice, and read it back", || {
        dist::prove(cache)
    });
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

/// `bench worker`: this process becomes the measurement.
pub(crate) fn bench_worker(cache: &Cache) -> Outcome<ExitCode> {
    let kit = worker::Kit::find(cache)?;
    worker::build(cache, &kit)?;
    let forward_only = worker::build_forward_only(cache, &kit)?;
    let mut command = runner("bench-worker");
    command.arg("--node").arg(&kit.node);
    command.arg("--npm-root").arg(&kit.npm_root);
    command.arg("--worker").arg(worker::output_folder());
    let why = command.arg("--forward-only").arg(forward_only).exec();
    Err(format!("cannot start the measurement: {why}"))
}

/// `soak`: this process becomes the one test that is run for long.
pub(crate) fn soak(cache: &Cache, updates: u64) -> Outcome<ExitCode> {
    let envoy = envoy::envoy(cache, envoy::MAIN_VERSION)?;
    let wasm = filter::build_filter(cache)?;
    let mut command = envoy_runner("hosts-envoy", envoy::MAIN_VERSION, &envoy, &wasm);
    command.args(["--only", SOAK_TEST, "--updates", &updates.to_string()]);
    let why = command.exec();
    Err(format!("cannot start the test: {why}"))
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
