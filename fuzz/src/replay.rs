//! Runs targets without a fuzzer: every committed input, then changed ones, the same in every run.

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use auth_edge::wire::thumbprint::Thumbprint;

use crate::corpus;
use crate::mutate;
use crate::random::Random;
use crate::targets::Target;

/// No execution takes longer, whatever the machine; the slowest take milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

/// How a target did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many inputs ran.
    pub executions: u64,
    /// The files with the inputs that failed.
    pub failures: Vec<PathBuf>,
}

/// Runs the target on its committed inputs and on `changed` ones made of them with this seed.
///
/// It stops at the first changed input that fails, since the next ones fail for the same reason.
///
/// # Errors
/// When an input cannot be read, or one that failed cannot be written.
pub fn run(target: &Target, changed: u64, seed: u64, failures: &Path) -> io::Result<Outcome> {
    let inputs = corpus::inputs(target.name)?;
    let tokens = corpus::tokens(target.name)?;
    let watched = Watched::start(target.name, failures);
    let mut outcome = Outcome::default();
    for input in &inputs {
        outcome.executions += 1;
        if !watched.holds(target, &input.bytes) {
            outcome.failures.push(corpus::root().join(&input.name));
        }
    }
    let mut random = Random::new(seed);
    for _ in 0..changed {
        let (Some(input), Some(other)) = (random.pick(&inputs), random.pick(&inputs)) else {
            break;
        };
        let bytes = mutate::change(
            &input.bytes,
            &other.bytes,
            &tokens,
            target.shape,
            &mut random,
        );
        outcome.executions += 1;
        if !watched.holds(target, &bytes) {
            outcome.failures.push(keep(target.name, &bytes, failures)?);
            break;
        }
    }
    Ok(outcome)
}

/// Writes an input that failed where it can be found.
fn keep(target: &str, bytes: &[u8], folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let hash = Thumbprint::of(bytes).to_hex();
    let file = folder.join(format!("{target}-{}", &hash[..16]));
    fs::write(&file, bytes)?;
    Ok(file)
}

/// An input, and since when it runs.
type Running = Option<(Instant, Vec<u8>)>;

/// What is running now, for the thread that ends the program when it does not come back.
struct Watched {
    running: Arc<Mutex<Running>>,
    is_done: Arc<AtomicBool>,
}

impl Watched {
    fn start(target: &'static str, failures: &Path) -> Self {
        let watched = Self {
            running: Arc::default(),
            is_done: Arc::default(),
        };
        let running = Arc::clone(&watched.running);
        let is_done = Arc::clone(&watched.is_done);
        let failures = failures.to_owned();
        thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200));
                let running = running.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((since, bytes)) = &*running
                    && since.elapsed() > LIMIT
                {
                    match keep(target, bytes, &failures) {
                        Ok(file) => println!("{target}: takes too long: {}", file.display()),
                        Err(why) => println!("{target}: takes too long, and is lost: {why}"),
                    }
                    println!("0 passed, 1 failed");
                    // A function that does not return can only be ended with everything else.
                    std::process::exit(1);
                }
            }
        });
        watched
    }

    fn holds(&self, target: &Target, bytes: &[u8]) -> bool {
        self.set(Some((Instant::now(), bytes.to_vec())));
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
        self.set(None);
        outcome.is_ok()
    }

    fn set(&self, now: Running) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::Shape;
    use crate::targets;

    #[test]
    fn every_committed_input_holds() {
        for target in targets::ALL {
            let outcome = run(target, 0, 0, Path::new("unused")).unwrap();
            assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        }
    }

    #[test]
    fn an_input_that_fails_is_written_to_a_file() {
        let target = Target {
            name: "certificate",
            shape: Shape::Der,
            changed: 1000,
            run: |bytes| assert!(bytes.len() % 7 != 3, "a bug"),
        };
        let folder = std::env::temp_dir().join(format!("auth-edge-fuzz-{}", std::process::id()));
        let outcome = run(&target, target.changed, 1, &folder).unwrap();
        let made = outcome.failures.last().unwrap();
        assert!(made.starts_with(&folder));
        assert_eq!(fs::read(made).unwrap().len() % 7, 3);
        fs::remove_dir_all(folder).unwrap();
    }
}
