//! Running other programs: captured, with a time limit, and with errors that say what was run.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A result whose error is a message for the person at the terminal.
pub(crate) type Outcome<T> = Result<T, String>;

/// The longest that a download or an unpacking may take.
pub(crate) const LONG: Duration = Duration::from_secs(15 * 60);

/// The longest that asking a program for its version, or the like, may take.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// Prints a line; a closed standard output is no reason to stop the work.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a line to standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Shows a command the way a person would type it.
pub(crate) fn show(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(line, " {}", argument.to_string_lossy());
    }
    line
}

/// Runs a command quietly and returns its standard output; a failure shows the end of what it printed.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Outcome<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|why| format!("cannot run `{}`: {why}", show(command)))?;
    let out = Drain::start(child.stdout.take());
    let err = Drain::start(child.stderr.take());
    let status = wait(&mut child, limit).map_err(|why| format!("`{}`: {why}", show(command)));
    let (out, err) = (out.finish(), err.finish());
    let status = status?;
    if status.success() {
        return Ok(out);
    }
    let mut message = format!("`{}` failed ({status})", show(command));
    let lines: Vec<&str> = out
        .lines()
        .chain(err.lines())
        .filter(|line| !line.trim().is_empty())
        .collect();
    for line in lines.iter().skip(lines.len().saturating_sub(30)) {
        let _ = write!(message, "\n    {line}");
    }
    Err(message)
}

/// Runs a command with its output going to the terminal.
pub(crate) fn stream(command: &mut Command, limit: Duration) -> Outcome<()> {
    command.stdin(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|why| format!("cannot run `{}`: {why}", show(command)))?;
    let status = wait(&mut child, limit).map_err(|why| format!("`{}`: {why}", show(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` failed ({status})", show(command)))
    }
}

/// Waits for a child and ends it when the time is up.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Outcome<ExitStatus> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() >= end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "ended after {} s without a result",
                    limit.as_secs()
                ));
            }
            Ok(None) => thread::sleep(pause),
            Err(why) => return Err(format!("cannot wait for it: {why}")),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Collects a pipe in a thread, so that a child that prints a lot never blocks.
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Drain {
    fn start(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut part = [0; 8192];
                while let Ok(count @ 1..) = pipe.read(&mut part) {
                    sink.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend_from_slice(&part[..count]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn finish(self) -> String {
        if let Some(reader) = self.reader {
            // A grandchild that outlives the child may hold the pipe open for ever.
            settle(&reader);
        }
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }
}

/// Gives the thread that reads a child's output two seconds to reach the end of it.
pub(crate) fn settle<T>(reader: &thread::JoinHandle<T>) {
    let end = Instant::now() + Duration::from_secs(2);
    while !reader.is_finished() && Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Finds a program on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

/// Tells whether the file is there and may be run.
pub(crate) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// The first 16 hexadecimal digits of the SHA-256 of a text: enough to tell cache entries apart.
pub(crate) fn short_hash(text: impl AsRef<[u8]>) -> Outcome<String> {
    let mut digest = sha256_of(text)?;
    digest.truncate(16);
    Ok(digest)
}

/// The SHA-256 of bytes in hexadecimal.
pub(crate) fn sha256_of(bytes: impl AsRef<[u8]>) -> Outcome<String> {
    let mut command = Command::new("sha256sum");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|why| format!("cannot run `sha256sum` (part of coreutils): {why}"))?;
    if let Some(mut input) = child.stdin.take() {
        input
            .write_all(bytes.as_ref())
            .map_err(|why| format!("cannot write to `sha256sum`: {why}"))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|why| format!("cannot read from `sha256sum`: {why}"))?;
    let digest = String::from_utf8_lossy(&output.stdout).into_owned();
    match digest.get(..64) {
        Some(digest) if output.status.success() => Ok(digest.to_owned()),
        _ => Err(format!("`sha256sum` failed ({})", output.status)),
    }
}

/// The SHA-256 of a file in hexadecimal.
pub(crate) fn sha256(file: &Path) -> Outcome<String> {
    let line = capture(Command::new("sha256sum").arg("--").arg(file), LONG)?;
    // An escaped file name is marked by a backslash before the digest.
    let digest = line.trim_start_matches('\\').split_whitespace().next();
    digest
        .map(str::to_owned)
        .ok_or_else(|| "`sha256sum` printed nothing".to_owned())
}

/// Adds what was being done to an input or output error.
pub(crate) fn at<T>(
    outcome: std::io::Result<T>,
    doing: &str,
    file: impl AsRef<OsStr>,
) -> Outcome<T> {
    outcome.map_err(|why| format!("cannot {doing} {}: {why}", file.as_ref().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_printed() {
        let why = capture(
            Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
            SHORT,
        )
        .unwrap_err();
        assert!(
            why.contains("out") && why.contains("err") && why.contains('3'),
            "{why}"
        );
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let start = Instant::now();
        let why = capture(Command::new("sleep").arg("60"), Duration::from_millis(100)).unwrap_err();
        assert!(why.contains("ended"), "{why}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        let digest = sha256_of("abc").unwrap();
        assert!(digest.starts_with("ba7816bf8f01cfea") && digest.ends_with("b410ff61f20015ad"));
        assert_eq!(short_hash("abc").unwrap(), "ba7816bf8f01cfea");
    }
}
