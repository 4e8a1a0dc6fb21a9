//! Decides one request, for Callgrind to count what it takes.
//!
//! `instructions CASE`; Callgrind is told to count inside [`counted`] alone. The input is fixed to the
//! byte, so that one compiler gives one number.

use std::hint::black_box;
use std::process::ExitCode;

use auth_edge_bench::{Case, TOKEN};

/// A root, a certificate below it, and a time at which it is valid; the keys were thrown away.
const CASE: &[u8] = include_bytes!("../../fixtures/path-to-a-root.json");

fn main() -> ExitCode {
    let Some(mut case) = Case::read(CASE) else {
        return ExitCode::FAILURE;
    };
    let name = std::env::args().nth(1).unwrap_or_default();
    let is_as_expected = match name.as_str() {
        "first" => counted(&mut case, |case| case.forwards_first()),
        "known" => {
            // The first request finds the verdict that the second one knows.
            case.forwards(TOKEN) && counted(&mut case, |case| case.forwards(TOKEN))
        }
        "refused" => !counted(&mut case, |case| case.forwards("/not/listed")),
        _ => return ExitCode::FAILURE,
    };
    if is_as_expected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is counted.
#[inline(never)]
#[expect(unsafe_code, reason = "Callgrind finds it by its name")]
#[unsafe(no_mangle)]
fn counted(case: &mut Case, decide: fn(&mut Case) -> bool) -> bool {
    black_box(decide(black_box(case)))
}
