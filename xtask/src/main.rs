//! `cargo xtask`: the chores of the repository: fetching tools, building the filter, running every test.

mod commands;
mod dist;
mod exec;
mod filter;
mod fuzz;
mod instructions;
mod linker;
mod no_std;
mod repo;
mod step;
mod tools;
mod wasm_file;
mod wasm_std;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use commands::DemoHost;

const HELP: &str = "\
Chores of the Auth Edge repository.

Usage: cargo xtask [--install] <command>

Commands:
  setup             fetch every tool that the tests and the demo need
  wasm              build the filter to target/filter/auth_edge_filter.wasm
  worker [--dry-run]
                    build the Cloudflare Worker to worker/build, as wrangler.toml says;
                    --dry-run has wrangler build it, and do all but deploy it
  demo [--worker] [--once]
                    run the demo against a real Envoy, or the Worker on a real workerd;
                    --once ends after one scripted round
  test              run every test, natively and in real Envoys
  bench [worker]    measure the filter, or the Worker
  instructions [--check]
                    count the instructions of a decision, and record them in bench/instructions.txt;
                    --check compares them with what stands there
  soak [--updates N]
                    change the configuration N times (10000) under load, and see that nothing is lost
                    and no memory either
  fuzz --minutes N [--target NAME] [--keep]
                    search for inputs that break the core, guided by coverage;
                    --keep puts inputs that reach more code into fuzz/corpus
  ci                formatting, lints, dependency policy, then everything of `test`
  docs [--check]    write the documents that are made from code; --check only compares them
  dist [--twice]    write a release of the filter to target/dist; --twice builds it a second time
                    elsewhere, and compares

Options:
  --install         let Debian packages that are missing be installed with apt-get;
                    CI=true in the environment does the same
  -h, --help        show this text

Environment:
  AUTH_EDGE_CACHE     where fetched tools are kept
                      (else $XDG_CACHE_HOME/auth-edge or $HOME/.cache/auth-edge)
  AUTH_EDGE_WASM_STD  auto, installed, rustup or debian: where Wasm's standard library comes from
  ENVOY               an Envoy to use instead of a fetched one
  LIMBO               the limbo.json of x509-limbo, which is run when it is given
";

/// How often `soak` changes the configuration unless told: an update a minute for a week.
const SOAK_UPDATES: u64 = 10_000;

/// The one command of two words.
const BENCH_WORKER: &str = "bench worker";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Task {
    Help,
    Setup,
    Wasm,
    Worker { dry_run: bool },
    Demo { host: DemoHost, once: bool },
    Test,
    Bench,
    BenchWorker,
    Instructions { check: bool },
    Soak { updates: u64 },
    Fuzz(fuzz::Options),
    Ci,
    Docs { check: bool },
    Dist { twice: bool },
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    // rustc runs this very program in place of the linker when the filter is linked.
    if linker::is_linker_call(&args) {
        return report(linker::run(args));
    }
    let words: Vec<String> = args
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (task, install) = match parse(&words) {
        Ok(parsed) => parsed,
        Err(why) => {
            exec::complain(&format!(
                "xtask: {why}\nRun `cargo xtask --help` for the commands."
            ));
            return ExitCode::from(2);
        }
    };
    if task == Task::Help {
        exec::say(HELP.trim_end());
        return ExitCode::SUCCESS;
    }
    let install = install || std::env::var_os("CI").is_some_and(|value| value == "true");
    let cache = match tools::Cache::open(install) {
        Ok(cache) => cache,
        Err(why) => return report(Err(why)),
    };
    match task {
        Task::Help => ExitCode::SUCCESS,
        Task::Setup => commands::setup(&cache),
        Task::Wasm => report(filter::build_filter(&cache).map(|_| ExitCode::SUCCESS)),
        Task::Worker { dry_run: true } => report(commands::worker_dry_run(&cache)),
        Task::Worker { dry_run: false } => report(commands::worker(&cache)),
        Task::Demo { host, once } => report(commands::demo(&cache, host, once)),
        Task::Test => commands::test(&cache),
        Task::Bench => report(commands::bench(&cache)),
        Task::BenchWorker => report(commands::bench_worker(&cache)),
        Task::Instructions { check: true } => {
            report(instructions::check(&cache).map(|()| ExitCode::SUCCESS))
        }
        Task::Instructions { check: false } => {
            report(instructions::record(&cache).map(|()| ExitCode::SUCCESS))
        }
        Task::Soak { updates } => report(commands::soak(&cache, updates)),
        Task::Fuzz(options) => report(fuzz::run(&options)),
        Task::Ci => commands::ci(&cache),
        Task::Docs { check } => report(commands::docs(check)),
        Task::Dist { twice: false } => report(dist::dist(&cache).map(|_| ExitCode::SUCCESS)),
        Task::Dist { twice: true } => report(dist::prove(&cache).map(|()| ExitCode::SUCCESS)),
    }
}

/// Turns an error into a message and exit code 1.
fn report(outcome: exec::Outcome<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|why| {
        exec::complain(&format!("xtask: {why}"));
        ExitCode::FAILURE
    })
}

/// Reads the command line; the second value is whether `--install` was given.
fn parse(words: &[String]) -> Result<(Task, bool), String> {
    let mut install = false;
    let mut flags = Vec::new();
    let mut command = None;
    let (mut minutes, mut target, mut updates) = (None, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "-h" | "--help" => return Ok((Task::Help, false)),
            "--install" => install = true,
            "--minutes" => minutes = Some(number(value()?)?),
            "--updates" => updates = Some(number(value()?)?),
            "--target" => target = Some(value()?.clone()),
            flag if flag.starts_with('-') => flags.push(flag),
            name if command.is_none() => command = Some(name),
            "worker" if command == Some("bench") => command = Some(BENCH_WORKER),
            extra => return Err(format!("unexpected argument `{extra}`")),
        }
    }
    let Some(command) = command else {
        return Err("a command is missing".to_owned());
    };
    let mut has = |flag: &str| {
        let before = flags.len();
        flags.retain(|given| *given != flag);
        flags.len() < before
    };
    let task = match command {
        "help" => Task::Help,
        "setup" => Task::Setup,
        "wasm" => Task::Wasm,
        "worker" => Task::Worker {
            dry_run: has("--dry-run"),
        },
        "demo" => Task::Demo {
            host: match has("--worker") {
                true => DemoHost::Worker,
                false => DemoHost::Envoy,
            },
            once: has("--once"),
        },
        "test" => Task::Test,
        "bench" => Task::Bench,
        BENCH_WORKER => Task::BenchWorker,
        "instructions" => Task::Instructions {
            check: has("--check"),
        },
        "fuzz" => Task::Fuzz(fuzz::Options {
            minutes: minutes.take().ok_or("`fuzz` needs `--minutes N`")?,
            target: target.take(),
            keep: has("--keep"),
        }),
        "soak" => Task::Soak {
            updates: updates.take().unwrap_or(SOAK_UPDATES),
        },
        "ci" => Task::Ci,
        "docs" => Task::Docs {
            check: has("--check"),
        },
        "dist" => Task::Dist {
            twice: has("--twice"),
        },
        unknown => return Err(format!("there is no command `{unknown}`")),
    };
    let valued = [
        minutes.map(|_| "--minutes"),
        target.as_ref().map(|_| "--target"),
        updates.map(|_| "--updates"),
    ];
    match flags.into_iter().chain(valued.into_iter().flatten()).next() {
        Some(flag) => Err(format!("`{command}` has no option `{flag}`")),
        None => Ok((task, install)),
    }
}

/// A whole number above 0.
fn number(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or(format!("found `{text}`, expected a whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<(Task, bool), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn commands_and_their_flags_are_read_in_any_order() {
        let demo = |host, once| Task::Demo { host, once };
        assert_eq!(
            parse_line("demo --once"),
            Ok((demo(DemoHost::Envoy, true), false))
        );
        assert_eq!(
            parse_line("--install --once demo --worker"),
            Ok((demo(DemoHost::Worker, true), true))
        );
        assert_eq!(
            parse_line("demo --worker"),
            Ok((demo(DemoHost::Worker, false), false))
        );
        assert_eq!(parse_line("docs"), Ok((Task::Docs { check: false }, false)));
        assert_eq!(
            parse_line("worker --dry-run"),
            Ok((Task::Worker { dry_run: true }, false))
        );
        assert_eq!(
            parse_line("instructions --check"),
            Ok((Task::Instructions { check: true }, false))
        );
        assert_eq!(parse_line("bench"), Ok((Task::Bench, false)));
        assert_eq!(parse_line("bench worker"), Ok((Task::BenchWorker, false)));
        assert!(parse_line("test worker").is_err());
        assert_eq!(parse_line("test --help"), Ok((Task::Help, false)));
    }

    #[test]
    fn options_with_values_belong_to_the_fuzzer() {
        let options = |target: Option<&str>, keep| {
            Ok((
                Task::Fuzz(fuzz::Options {
                    minutes: 3,
                    target: target.map(str::to_owned),
                    keep,
                }),
                false,
            ))
        };
        assert_eq!(parse_line("fuzz --minutes 3"), options(None, false));
        assert_eq!(
            parse_line("fuzz --keep --target crl --minutes 3"),
            options(Some("crl"), true)
        );
        for line in [
            "fuzz",
            "fuzz --minutes",
            "fuzz --minutes 0",
            "fuzz --minutes x",
            "test --minutes 3",
            "ci --target crl",
        ] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_number_of_updates_belongs_to_the_soak() {
        let soak = |updates| Ok((Task::Soak { updates }, false));
        assert_eq!(parse_line("soak"), soak(SOAK_UPDATES));
        assert_eq!(parse_line("soak --updates 5"), soak(5));
        assert!(parse_line("soak --updates 0").is_err());
        assert!(parse_line("test --updates 5").is_err());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse_line("").is_err());
        assert!(parse_line("tests").unwrap_err().contains("`tests`"));
        assert!(parse_line("test --once").unwrap_err().contains("`--once`"));
        assert!(parse_line("test more").unwrap_err().contains("`more`"));
    }
}
