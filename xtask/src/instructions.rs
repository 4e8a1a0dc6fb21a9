//! The instructions that one decision takes, counted and compared with a committed reference.
//!
//! Callgrind runs the core natively on a fixed request, so that the count is the same on a busy machine and
//! on an idle one. It depends on the compiler and on the C library, which the reference names.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::exec::{self, LONG, Outcome, SHORT, at};
use crate::repo;
use crate::step::Steps;
use crate::tools::Cache;
use crate::tools::valgrind::Valgrind;

/// The package with the program.
const PACKAGE: &str = "auth-edge-bench";
/// The program, its profile, and this step.
const NAME: &str = "instructions";
/// Where the reference is, in the repository.
const REFERENCE: &str = "bench/instructions.txt";
/// What the program decides: the first request of a certificate, one of a known certificate, one for a path
/// that is not served.
const CASES: [&str; 3] = ["first", "known", "refused"];
/// How far a count may be from the reference, in percent of it.
const TOLERANCE: u64 = 2;
const RECORD: &str = "`cargo xtask instructions` records the new counts";

/// What was counted, or what the reference says.
#[derive(Debug, PartialEq)]
struct Counts {
    /// What the counts belong to: the compiler and the C library.
    made_with: String,
    /// A count for each of [`CASES`].
    of_cases: [u64; CASES.len()],
}

/// The step of `test`.
pub(crate) fn step(cache: &Cache, steps: &mut Steps) {
    match Valgrind::find(cache) {
        Ok(valgrind) => {
            let doing = format!("count them with Callgrind, and compare with {REFERENCE}");
            steps.work(NAME, &doing, || compare(&valgrind));
        }
        Err(why) => steps.not_run(NAME, &format!("there is no Valgrind: {why}")),
    }
}

/// `instructions --check`.
pub(crate) fn check(cache: &Cache) -> Outcome<()> {
    compare(&Valgrind::find(cache)?)
}

/// `instructions`: writes the reference.
pub(crate) fn record(cache: &Cache) -> Outcome<()> {
    let found = count(&Valgrind::find(cache)?)?;
    let file = repo::root().join(REFERENCE);
    at(fs::write(&file, found.text()), "write", &file)
}

fn compare(valgrind: &Valgrind) -> Outcome<()> {
    let file = repo::root().join(REFERENCE);
    let text = at(fs::read_to_string(&file), "read", &file)?;
    let reference = Counts::parse(&text).ok_or(format!("{REFERENCE} cannot be read; {RECORD}"))?;
    let found = count(valgrind)?;
    if found.made_with == reference.made_with {
        return judge(&found.of_cases, &reference.of_cases);
    }
    exec::say(&format!(
        "  not compared: {REFERENCE} is of {}, and these counts are of {}",
        reference.made_with, found.made_with
    ));
    Ok(())
}

/// Fails when a count is too far from its reference, on either side.
fn judge(found: &[u64], reference: &[u64]) -> Outcome<()> {
    let mut far = String::new();
    for ((case, found), reference) in CASES.iter().zip(found).zip(reference) {
        if found.abs_diff(*reference) * 100 <= reference * TOLERANCE {
            continue;
        }
        let advice = if found > reference {
            "where it must be more, "
        } else {
            "the reference is out of date: "
        };
        let _ = write!(
            far,
            "{}`{case}` takes {found} instructions, and {reference} by {REFERENCE}; {advice}{RECORD}",
            if far.is_empty() { "" } else { "\n" },
        );
    }
    if far.is_empty() { Ok(()) } else { Err(far) }
}

/// Builds the program and counts each case.
fn count(valgrind: &Valgrind) -> Outcome<Counts> {
    let mut build = repo::cargo();
    build.args(["build", "--quiet", "--locked", "--profile", NAME]);
    build.args(["--package", PACKAGE, "--bin", NAME]);
    // The counts belong to what is released, not to what a machine prefers.
    build
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    exec::stream(&mut build, LONG)?;
    let program = repo::target_dir().join(NAME).join(NAME);
    let mut of_cases = [0; CASES.len()];
    for (case, count) in CASES.iter().zip(&mut of_cases) {
        *count = collected(valgrind, &program, case)?;
        exec::say(&format!("  {case:8} {count:9} instructions"));
    }
    Ok(Counts {
        made_with: made_with()?,
        of_cases,
    })
}

/// What Callgrind counts in one case.
fn collected(valgrind: &Valgrind, program: &Path, case: &str) -> Outcome<u64> {
    let mut command = valgrind.command();
    command.args(["--tool=callgrind", "--toggle-collect=counted", "--log-fd=1"]);
    command.arg("--callgrind-out-file=/dev/null");
    let text = exec::capture(command.arg(program).arg(case), SHORT)?;
    let found = text.lines().find_map(collected_in);
    found.ok_or_else(|| format!("Callgrind counted nothing:\n{text}"))
}

/// Reads `==42== Collected : 6972`.
fn collected_in(line: &str) -> Option<u64> {
    let (_, count) = line.split_once("Collected : ")?;
    count.trim().parse().ok().filter(|count| *count > 0)
}

/// The compiler, what it compiles for, and the C library.
fn made_with() -> Outcome<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let verbose = exec::capture(Command::new(rustc).arg("-vV"), SHORT)?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
    let libc = exec::capture(Command::new("getconf").arg("GNU_LIBC_VERSION"), SHORT)
        .unwrap_or_else(|_| "another C library".to_owned());
    Ok(format!(
        "{} for {}, {}",
        verbose.lines().next().unwrap_or_default(),
        host.unwrap_or_default(),
        libc.trim()
    ))
}

impl Counts {
    /// As the file has it.
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.made_with);
        for (case, count) in CASES.iter().zip(&self.of_cases) {
            let _ = writeln!(text, "{case} {count}");
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let made_with = lines.next()?.to_owned();
        let mut of_cases = [0; CASES.len()];
        for (case, count) in CASES.iter().zip(&mut of_cases) {
            *count = lines.next()?.strip_prefix(case)?.trim().parse().ok()?;
        }
        let is_whole = lines.next().is_none();
        is_whole.then_some(Self {
            made_with,
            of_cases,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_back_as_it_was_written() {
        let counts = Counts {
            made_with: "rustc 1.91.0 for x86_64-unknown-linux-gnu, glibc 2.36".to_owned(),
            of_cases: [3_000_000, 7_000, 6_000],
        };
        assert_eq!(Counts::parse(&counts.text()), Some(counts));
        for text in [
            "",
            "rustc",
            "rustc\nfirst 1\nknown 2\n",
            "rustc\nfirst 1\nrefused 3\nknown 2\n",
            "rustc\nfirst 1\nknown x\nrefused 3\n",
            "rustc\nfirst 1\nknown 2\nrefused 3\nmore 4\n",
        ] {
            assert_eq!(Counts::parse(text), None, "{text}");
        }
    }

    #[test]
    fn two_percent_either_way_are_the_limit() {
        let reference = [100_000, 1_000, 50];
        for found in [[102_000, 1_020, 51], [98_000, 980, 49]] {
            assert_eq!(judge(&found, &reference), Ok(()));
        }
        let why = judge(&[100_000, 1_021, 50], &reference).unwrap_err();
        for part in ["`known`", "1021", "1000", "must be more", "cargo xtask"] {
            assert!(why.contains(part), "{why}");
        }
        let why = judge(&[97_999, 979, 50], &reference).unwrap_err();
        assert!(why.contains("`first`") && why.contains("`known`"), "{why}");
        assert!(why.contains("out of date"), "{why}");
    }

    #[test]
    fn callgrinds_count_is_read() {
        assert_eq!(collected_in("==42== Collected : 6972"), Some(6972));
        assert_eq!(collected_in("==42== Collected : 0"), None);
        assert_eq!(collected_in("==42== Events    : Ir"), None);
    }
}
