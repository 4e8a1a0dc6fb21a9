//! Waiting for something to become true, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// How long to rest between two looks; short, because most waits are over within milliseconds.
const INTERVAL: Duration = Duration::from_millis(5);

/// Calls `look` until it gives a value; `None` once `limit` has passed. Looks at least once.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}
