//! Every test certificate in a real handshake.

use super::{Outcome, Stage, ensure};
use crate::conformance::envoy::Bench;
use crate::conformance::facts::Shows;
use crate::conformance::sweep;
use crate::conformance::vector::HostName;

/// What the native runner takes Envoy to say of a certificate, and to let through its handshake, is so.
pub fn each_test_certificate_is_decided_as_the_core_decides_it(stage: &Stage) -> Outcome {
    let vectors = sweep::vectors(&stage.pki)?;
    let bench = Bench::start(
        &stage.binary,
        &stage.wasm,
        &vectors,
        &stage.pki,
        Shows::Verdict,
    )?;
    let tally = bench.run_all(&vectors, HostName::EnvoyHttp1, &stage.pki);
    let failures = tally.failures.iter();
    let failures: Vec<_> = failures
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    ensure(failures.is_empty(), || failures.join("\n"))
}
