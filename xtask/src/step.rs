//! Steps of a long run: each shows its progress and its time, and their counts add up at the end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::exec::{self, Outcome};

/// A step that takes longer hangs; ending it leaves the others their time.
const STEP_LIMIT: Duration = Duration::from_secs(40 * 60);

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ok,
    Failed,
    NotRun,
}

/// A line of the closing table.
struct Row {
    name: String,
    end: End,
    took: Duration,
    counts: Counts,
    note: String,
}

/// The steps done so far.
#[derive(Default)]
pub(crate) struct Steps {
    rows: Vec<Row>,
}

impl Steps {
    /// Runs a closure as a step; `None` when it failed, which the closing table will tell.
    pub(crate) fn work<T>(
        &mut self,
        name: &str,
        doing: &str,
        work: impl FnOnce() -> Outcome<T>,
    ) -> Option<T> {
        let start = announce(name, doing);
        match work() {
            Ok(value) => {
                self.close(
                    name,
                    start,
                    Counts {
                        passed: 1,
                        failed: 0,
                    },
                    None,
                );
                Some(value)
            }
            Err(why) => {
                self.close(
                    name,
                    start,
                    Counts {
                        passed: 0,
                        failed: 1,
                    },
                    Some(why),
                );
                None
            }
        }
    }

    /// Runs a command as a step, shows its output as it comes and counts the tests it reports.
    pub(crate) fn command(&mut self, name: &str, command: &mut Command) -> bool {
        let start = announce(name, &exec::show(command));
        let (counts, failure) = match watch(command) {
            Err(why) => (
                Counts {
                    passed: 0,
                    failed: 1,
                },
                Some(why),
            ),
            Ok((success, exit, tally)) => judge(success, &exit, tally.total()),
        };
        self.close(name, start, counts, failure)
    }

    /// Notes a step that cannot run because one before it failed, or because nothing is there for it.
    pub(crate) fn not_run(&mut self, name: &str, why: &str) {
        exec::say(&format!("[{name}] not run: {why}"));
        let row = Row {
            name: name.to_owned(),
            end: End::NotRun,
            took: Duration::ZERO,
            counts: Counts::default(),
            note: why.to_owned(),
        };
        self.rows.push(row);
    }

    fn close(
        &mut self,
        name: &str,
        start: Instant,
        counts: Counts,
        failure: Option<String>,
    ) -> bool {
        let took = start.elapsed();
        let end = if failure.is_some() {
            End::Failed
        } else {
            End::Ok
        };
        let note = failure.unwrap_or_default();
        match end {
            End::Failed => exec::say(&format!(
                "[{name}] FAILED ({:.1} s): {note}",
                took.as_secs_f64()
            )),
            _ => exec::say(&format!("[{name}] ok ({:.1} s)", took.as_secs_f64())),
        }
        self.rows.push(Row {
            name: name.to_owned(),
            end,
            took,
            counts,
            note,
        });
        end == End::Ok
    }

    /// Prints the table and the closing line, and says with which code to exit.
    pub(crate) fn finish(self) -> ExitCode {
        let (table, sum) = self.summary();
        exec::say(&table);
        exec::say(&format!("{} passed, {} failed", sum.passed, sum.failed));
        if sum.failed == 0 && sum.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn summary(&self) -> (String, Counts) {
        let width = self
            .rows
            .iter()
            .map(|row| row.name.chars().count())
            .max()
            .unwrap_or(0);
        let mut table = String::new();
        let mut sum = Counts::default();
        for row in &self.rows {
            let end = match row.end {
                End::Ok => "ok",
                End::Failed => "FAILED",
                End::NotRun => "not run",
            };
            let Counts { passed, failed } = row.counts;
            let note: String = row
                .note
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(80)
                .collect();
            let line = format!(
                "  {:width$}  {end:7}  {:7.1} s  {passed:6} passed  {failed:4} failed  {note}",
                row.name,
                row.took.as_secs_f64(),
            );
            table.push('\n');
            table.push_str(line.trim_end());
            sum.passed += passed;
            sum.failed += failed;
        }
        (table, sum)
    }
}

fn announce(name: &str, doing: &str) -> Instant {
    exec::say(&format!("\n[{name}] {doing}"));
    Instant::now()
}

/// Decides how a finished command counts.
///
/// A runner that reports failures has failed whatever its exit code says, and one that exits with an
/// error has failed whatever it counted. A runner that ran no test at all must not pass for a success.
fn judge(success: bool, exit: &str, reported: Option<Counts>) -> (Counts, Option<String>) {
    match (success, reported) {
        (true, None) => (
            Counts {
                passed: 1,
                failed: 0,
            },
            None,
        ),
        (false, None) => (
            Counts {
                passed: 0,
                failed: 1,
            },
            Some(exit.to_owned()),
        ),
        (
            true,
            Some(Counts {
                passed: 0,
                failed: 0,
            }),
        ) => (
            Counts {
                passed: 0,
                failed: 1,
            },
            Some("it ran no test".to_owned()),
        ),
        (true, Some(counts)) if counts.failed == 0 => (counts, None),
        (false, Some(counts)) if counts.failed == 0 => (
            Counts {
                failed: 1,
                ..counts
            },
            Some(format!("{exit}, though no test failed")),
        ),
        (_, Some(counts)) => (counts, Some(format!("{} failed", counts.failed))),
    }
}

/// Runs a command, copies its standard output and counts in it; standard error goes straight through.
fn watch(command: &mut Command) -> Outcome<(bool, String, Tally)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|why| format!("cannot run `{}`: {why}", exec::show(command)))?;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let counted = Arc::clone(&tally);
    let reader = child.stdout.take().map(|pipe| {
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(&line).and_then(|()| out.flush());
                drop(out);
                counted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .line(&String::from_utf8_lossy(&line));
                line.clear();
            }
        })
    });
    let status = exec::wait(&mut child, STEP_LIMIT)?;
    if let Some(reader) = reader {
        exec::settle(&reader);
    }
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((status.success(), status.to_string(), tally))
}

/// Adds up the counts that a command's output reports.
#[derive(Clone, Default)]
struct Tally {
    /// The sum of cargo's `test result:` lines, one for each test binary.
    cargo: Option<Counts>,
    /// What Node's test runner reports at its end.
    node: Option<Counts>,
    /// The closing line of one of our own runners, when it is the last line so far.
    closing: Option<Counts>,
}

impl Tally {
    fn line(&mut self, line: &str) {
        let plain = without_colors(line);
        let line = plain.trim();
        if line.is_empty() {
            return;
        }
        self.closing = closing_line(line);
        if let Some(counts) = cargo_line(line) {
            let sum = self.cargo.get_or_insert_default();
            sum.passed += counts.passed;
            sum.failed += counts.failed;
        }
        if let Some(counts) = node_line(line) {
            let sum = self.node.get_or_insert_default();
            sum.passed += counts.passed;
            sum.failed += counts.failed;
        }
    }

    /// A runner's own closing line wins: it is the sum of all that it ran.
    fn total(&self) -> Option<Counts> {
        self.closing.or(self.cargo).or(self.node)
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn cargo_line(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, counts) = rest.split_once(". ")?;
    let mut parts = counts.split("; ");
    Some(Counts {
        passed: number(parts.next()?, "passed")?,
        failed: number(parts.next()?, "failed")?,
    })
}

/// Reads `ℹ pass 3` and `ℹ fail 0`, each on a line of its own; in the format TAP a `#` stands before them.
fn node_line(line: &str) -> Option<Counts> {
    let rest = line
        .strip_prefix("ℹ ")
        .or_else(|| line.strip_prefix("# "))?;
    let (name, count) = rest.split_once(' ')?;
    let count = count.parse().ok()?;
    let none = Counts::default();
    match name {
        "pass" => Some(Counts {
            passed: count,
            ..none
        }),
        // A test that never ended is cancelled, and so are those that wait for it.
        "fail" | "cancelled" => Some(Counts {
            failed: count,
            ..none
        }),
        _ => None,
    }
}

/// Reads `3 passed, 0 failed`, before which one word with a colon may stand and after which more counts.
fn closing_line(line: &str) -> Option<Counts> {
    let counts = match line.split_once(": ") {
        Some((word, rest)) if !word.contains(char::is_whitespace) => rest,
        Some(_) => return None,
        None => line,
    };
    let mut parts = counts.split(", ");
    let found = Counts {
        passed: number(parts.next()?, "passed")?,
        failed: number(parts.next()?, "failed")?,
    };
    match (parts.next(), parts.next()) {
        (None, _) => Some(found),
        (Some(skipped), None) => number(skipped, "skipped").map(|_| found),
        _ => None,
    }
}

/// Reads `3 passed` with the given word.
fn number(part: &str, word: &str) -> Option<u64> {
    part.strip_suffix(word)?.strip_suffix(' ')?.parse().ok()
}

/// Removes the escape sequences with which some runners color their lines.
fn without_colors(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, tail)| tail);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counts(passed: u64, failed: u64) -> Counts {
        Counts { passed, failed }
    }

    fn total(output: &str) -> Option<Counts> {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.line(line));
        tally.total()
    }

    #[test]
    fn the_lines_of_all_test_binaries_add_up() {
        let output = "running 2 tests\ntest a ... ok\n\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(total(output), Some(counts(7, 1)));
    }

    #[test]
    fn the_closing_line_of_a_runner_counts_only_at_the_end() {
        assert_eq!(
            total("case 1\n12 passed, 3 failed\n\n"),
            Some(counts(12, 3))
        );
        assert_eq!(
            total("vectors: 12 passed, 0 failed, 4 skipped"),
            Some(counts(12, 0))
        );
        assert_eq!(total("12 passed, 3 failed\nbye"), None);
        assert_eq!(
            total("\u{1b}[32m4 passed, 0 failed\u{1b}[0m"),
            Some(counts(4, 0))
        );
        let both = "test result: ok. 2 passed; 0 failed; 0 ignored\n9 passed, 0 failed";
        assert_eq!(total(both), Some(counts(9, 0)));
    }

    #[test]
    fn nodes_counts_are_read() {
        let output = "✔ a (1 ms)\nℹ tests 4\nℹ pass 2\nℹ fail 1\nℹ cancelled 1\nℹ duration_ms 9";
        assert_eq!(total(output), Some(counts(2, 2)));
        assert_eq!(total("# tests 0\n# pass 0\n# fail 0"), Some(counts(0, 0)));
        assert_eq!(total("ℹ pass the salt\npass 3"), None);
    }

    #[test]
    fn lines_that_only_look_alike_do_not_count() {
        for line in [
            "x passed, 0 failed",
            "1 passed",
            "all done: 1 passed, 0 failed",
            "-1 passed, 0 failed",
            "",
        ] {
            assert_eq!(total(line), None, "{line}");
        }
        assert_eq!(total("test result: ok. many passed; 0 failed"), None);
    }

    #[test]
    fn failures_are_never_lost() {
        assert_eq!(judge(true, "exit 0", None), (counts(1, 0), None));
        assert_eq!(judge(false, "exit 1", None).0, counts(0, 1));
        assert_eq!(judge(true, "exit 0", Some(counts(3, 2))).0, counts(3, 2));
        assert!(judge(true, "exit 0", Some(counts(3, 2))).1.is_some());
        assert_eq!(judge(false, "exit 101", Some(counts(3, 0))).0, counts(3, 1));
        assert_eq!(judge(true, "exit 0", Some(counts(0, 0))).0, counts(0, 1));
    }

    #[test]
    fn steps_go_on_after_a_failure_and_add_up() {
        let mut steps = Steps::default();
        assert!(!steps.command("bad", &mut Command::new("false")));
        assert!(steps.command("good", Command::new("echo").arg("3 passed, 0 failed")));
        assert_eq!(steps.work("closure", "x", || Ok(7)), Some(7));
        assert_eq!(
            steps.work("error", "x", || Err::<(), _>("why\nmore".to_owned())),
            None
        );
        steps.not_run("rest", "needs `error`");
        let (table, sum) = steps.summary();
        assert_eq!(sum, counts(4, 2));
        assert!(table.contains("why") && !table.contains("more"), "{table}");
    }
}
