//! Every conformance vector against the core alone.

use auth_edge_tests::conformance::facts::Shows;
use auth_edge_tests::conformance::native::Expected;
use auth_edge_tests::conformance::{native, vector};
use auth_edge_tests::pki::Pki;

/// A host program that shows less gets the same decisions, but where the configuration asks for what
/// it does not show.
#[test]
fn every_vector_holds_for_the_core_whatever_the_host_program_shows() {
    let pki = Pki::generate().unwrap();
    let vectors = vector::all().unwrap();
    let mut failures = Vec::new();
    for shows in Shows::ALL {
        let mut lacking = 0;
        for vector in &vectors {
            match native::expected(vector, &pki, shows) {
                Ok(Expected::AsWritten) => {}
                Ok(Expected::Lacking(_)) => lacking += 1,
                Err(error) => failures.push(format!("{} ({shows:?}): {error}", vector.name)),
            }
        }
        println!(
            "native, {shows:?}: {} vectors ran, {lacking} need more",
            vectors.len()
        );
    }
    println!("{} differed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
