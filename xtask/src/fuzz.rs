//! The search for inputs that break the core: libFuzzer, guided by coverage (see `fuzz/README.md`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use crate::exec::{self, Outcome, at};
use crate::repo;
use crate::step::Steps;

/// What the command line says of the search.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// How long, all targets together.
    pub(crate) minutes: u64,
    /// The only target; all share the time without.
    pub(crate) target: Option<String>,
    /// Whether inputs that reach more code are put into the repository.
    pub(crate) keep: bool,
}

/// The crates whose code guides the search. Cryptography is not among them: its branches say nothing
/// of what was decided, and counting them takes most of the time. Nor is one with a build script,
/// which would be built with these flags too.
const GUIDING: &[&str] = &[
    "auth-edge",
    "base64",
    "der",
    "percent-encoding",
    "rustls-webpki",
    "x509-cert",
];

/// What libFuzzer needs of the compiler; the same as cargo-fuzz asks for.
const INSTRUMENTATION: &str = r#"["-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares"]"#;

/// The longest input that is tried, in bytes.
const MAX_BYTES: usize = 8192;
/// The longest input that is kept in the repository, in bytes.
const MAX_KEPT_BYTES: u64 = 4096;
/// How many inputs of a target are in the repository at most.
const MAX_KEPT: usize = 200;
/// How much room the inputs of a target take there at most, in bytes.
const MAX_KEPT_TOTAL: u64 = 160_000;

/// How long an execution may take until it counts as a failure, in seconds.
const EXECUTION_LIMIT: u64 = 10;

/// `fuzz`.
pub(crate) fn run(options: &Options) -> Outcome<ExitCode> {
    let compiler = cpp_compiler()?;
    let targets = chosen(options.target.as_deref())?;
    let program = build(&compiler)?;
    let share = options.minutes.saturating_mul(60) / targets.len().max(1) as u64;
    let mut steps = Steps::default();
    for target in &targets {
        let search = Search {
            program: &program,
            target,
        };
        let doing = format!("{share} s, log in {}", search.folder("logs").display());
        steps.work(&format!("fuzz: {target}"), &doing, || {
            let found = search.run(share);
            if options.keep {
                search.keep()?;
            }
            found
        });
    }
    Ok(steps.finish())
}

/// The compiler that libFuzzer, which is C++, is built with.
fn cpp_compiler() -> Outcome<OsString> {
    if let Some(named) = std::env::var_os("CXX").filter(|named| !named.is_empty()) {
        return Ok(named);
    }
    let found = ["c++", "g++", "clang++"]
        .into_iter()
        .find_map(exec::on_path);
    found.map(PathBuf::into_os_string).ok_or_else(|| {
        "found no C++ compiler, which libFuzzer is built with: install `g++` or `clang` \
         (Debian: `apt-get install g++`), or name one in CXX"
            .to_owned()
    })
}

/// The targets: each has a folder of inputs.
fn chosen(only: Option<&str>) -> Outcome<Vec<String>> {
    let folder = repo::root().join("fuzz/corpus");
    let all = names(&folder)?;
    match only {
        None => Ok(all.into_iter().collect()),
        Some(only) if all.contains(only) => Ok(vec![only.to_owned()]),
        Some(other) => {
            let all: Vec<String> = all.into_iter().collect();
            Err(format!(
                "there is no target `{other}`, only {}",
                all.join(", ")
            ))
        }
    }
}

/// The names in a folder; a folder that is not there has none.
fn names(folder: &Path) -> Outcome<BTreeSet<String>> {
    if !folder.is_dir() {
        return Ok(BTreeSet::new());
    }
    let entries = at(fs::read_dir(folder), "read", folder)?;
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect())
}

/// Where everything of the search is that is not in the repository.
fn output() -> PathBuf {
    repo::target_dir().join("fuzz")
}

/// Builds the fuzzer and returns the program.
fn build(compiler: &OsString) -> Outcome<PathBuf> {
    let mut command = repo::cargo();
    command
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg("fuzz/libfuzzer/Cargo.toml")
        // Flags for some crates only are not stable in cargo yet; the compiler and the code are.
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("-Zprofile-rustflags")
        .env("CARGO_TARGET_DIR", output())
        .env("CXX", compiler);
    for guiding in GUIDING {
        let flags = INSTRUMENTATION.replace("\n    ", " ");
        let setting = format!("profile.release.package.{guiding}.rustflags={flags}");
        command.args(["--config", &setting]);
    }
    exec::say("  building the fuzzer (some minutes the first time)");
    exec::stream(&mut command, exec::LONG)?;
    Ok(output().join("release/auth-edge-libfuzzer"))
}

/// The search with one target.
struct Search<'a> {
    program: &'a Path,
    target: &'a str,
}

impl Search<'_> {
    fn folder(&self, kind: &str) -> PathBuf {
        output().join(kind).join(self.target)
    }

    fn committed(&self, kind: &str) -> PathBuf {
        repo::root().join("fuzz").join(kind).join(self.target)
    }

    fn fuzzer(&self) -> Command {
        let mut command = Command::new(self.program);
        command.env("FUZZ_TARGET", self.target);
        command.arg(format!("-timeout={EXECUTION_LIMIT}"));
        command
    }

    /// Searches for so many seconds; an input that fails is an error that names its file.
    fn run(&self, seconds: u64) -> Outcome<()> {
        let (work, crashes) = (self.folder("work"), self.folder("crashes"));
        for folder in [&work, &crashes] {
            at(fs::create_dir_all(folder), "make the folder", folder)?;
        }
        let before = names(&crashes)?;
        let mut command = self.fuzzer();
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={MAX_BYTES}"))
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .args(["-print_final_stats=1", "-rss_limit_mb=2048"]);
        let dictionary = repo::root().join(format!("fuzz/dictionaries/{}.dict", self.target));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.arg(&work);
        for kind in ["corpus", "regressions"] {
            let folder = self.committed(kind);
            if folder.is_dir() {
                command.arg(folder);
            }
        }
        let (success, log) = self.logged(&mut command, "run", Duration::from_secs(seconds))?;
        exec::say(&format!("  {}", summary(&log)));
        let after = names(&crashes)?;
        match (after.difference(&before).next(), success) {
            (None, true) => Ok(()),
            (None, false) => Err(format!("it ended early: {}", last_lines(&log))),
            (Some(crash), _) => Err(format!(
                "{} fails; see it with `cargo run -p auth-edge-fuzz -- {} FILE`, and put it into {} once it is mended",
                crashes.join(crash).display(),
                self.target,
                self.committed("regressions").display(),
            )),
        }
    }

    /// Puts inputs that reach code which the committed ones do not reach beside these.
    fn keep(&self) -> Outcome<()> {
        let corpus = self.committed("corpus");
        let before = names(&corpus)?;
        let mut command = self.fuzzer();
        // How often a branch was taken counts for the search, and is not worth a file.
        command.args(["-set_cover_merge=1", "-use_counters=0"]);
        command.arg(format!("-max_len={MAX_KEPT_BYTES}"));
        command.arg(&corpus).arg(self.folder("work"));
        let (success, log) = self.logged(&mut command, "merge", exec::LONG)?;
        if !success {
            return Err(format!("merging failed: {}", last_lines(&log)));
        }
        let (mut count, mut bytes) = (0, 0);
        let mut added = Vec::new();
        for name in names(&corpus)? {
            let file = corpus.join(&name);
            let data = at(fs::metadata(&file), "read", &file)?;
            let size = data.len();
            if before.contains(&name) {
                count += 1;
                bytes += size;
            } else {
                // What reaches most is written first.
                added.push((at(data.modified(), "read", &file)?, size, file));
            }
        }
        added.sort();
        let mut kept = 0;
        for (_, size, file) in added {
            if count < MAX_KEPT && size <= MAX_KEPT_BYTES && bytes + size <= MAX_KEPT_TOTAL {
                count += 1;
                bytes += size;
                kept += 1;
            } else {
                at(fs::remove_file(&file), "remove", &file)?;
            }
        }
        exec::say(&format!(
            "  {kept} inputs kept; {count} in all, {bytes} bytes"
        ));
        Ok(())
    }

    /// Runs the fuzzer with its output in a file, which it returns.
    fn logged(&self, command: &mut Command, kind: &str, time: Duration) -> Outcome<(bool, String)> {
        let folder = self.folder("logs");
        at(fs::create_dir_all(&folder), "make the folder", &folder)?;
        let path = folder.join(format!("{kind}.log"));
        let log = at(File::create(&path), "write", &path)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = at(command.stderr(log).spawn(), "run", self.program)?;
        // Reading the inputs again and the last execution come on top.
        let status = exec::wait(&mut child, time + Duration::from_secs(300))?;
        let text = at(fs::read(&path), "read", &path)?;
        Ok((
            status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }
}

/// What libFuzzer says of a run: executions, and what they reached.
fn summary(log: &str) -> String {
    let executions = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let reached = |what: &str| {
        let lines = log.lines().rev();
        let mut words = lines.filter_map(|line| line.split_once(what)?.1.split_whitespace().next());
        words.next().unwrap_or("?").to_owned()
    };
    format!(
        "{} executions, {} edges, {} features, {} inputs",
        executions.map_or("?", str::trim),
        reached(" cov: "),
        reached(" ft: "),
        reached(" corp: "),
    )
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_summed_up_by_its_last_line() {
        let log = "#2 INITED cov: 10 ft: 11 corp: 1/1b exec/s: 0\n\
            #9 DONE   cov: 30 ft: 97 corp: 14/15Kb lim: 4 exec/s: 3\n\
            stat::number_of_executed_units: 9\n";
        assert_eq!(
            summary(log),
            "9 executions, 30 edges, 97 features, 14/15Kb inputs"
        );
        assert!(summary("").starts_with('?'));
    }

    #[test]
    fn targets_are_the_folders_of_inputs() {
        assert!(chosen(None).unwrap().contains(&"decide".to_owned()));
        assert_eq!(chosen(Some("decide")).unwrap(), ["decide"]);
        let why = chosen(Some("nothing")).unwrap_err();
        assert!(why.contains("certificate"), "{why}");
    }
}
