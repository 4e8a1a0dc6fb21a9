//! How long the first answer takes.

use std::time::Instant;

use super::{EDGE, Edge, Outcome, Stage, forwarded, no_certificate, token_request};
use crate::hosts::DOMAIN;

/// Starts a workerd, and prints how long it and the first answers take: of the start of an isolate workerd itself
/// tells nothing.
///
/// # Errors
/// When a request is not forwarded.
pub fn the_first_answer_comes_without_help(stage: &Stage) -> Outcome {
    let start = Instant::now();
    let workerd = stage.start(&[stage.worker(EDGE)?])?;
    let started = start.elapsed();
    let edge = Edge::of(&workerd, EDGE);
    let mut answers = Vec::new();
    for _ in 0..3 {
        let asked = Instant::now();
        forwarded(&edge.ask(&token_request(DOMAIN), &no_certificate())?)?;
        answers.push(asked.elapsed());
    }
    println!(
        "   workerd with one Worker ready after {started:.2?}; its first answers took {answers:.2?}"
    );
    Ok(())
}
