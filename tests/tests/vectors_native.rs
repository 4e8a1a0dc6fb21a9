//! Every conformance vector against the core alone.

use auth_edge_tests::conformance::expect::compare;
use auth_edge_tests::conformance::{native, vector};
use auth_edge_tests::pki::Pki;

#[test]
fn every_vector_holds_for_the_core() {
    let pki = Pki::generate().unwrap();
    let vectors = vector::all().unwrap();
    let failures: Vec<String> = vectors
        .iter()
        .filter_map(|vector| {
            let outcome = native::run(vector, &pki);
            let result =
                outcome.and_then(|found| compare(&vector.expect, &vector.request, &found, &pki));
            result
                .err()
                .map(|error| format!("{}: {error}", vector.name))
        })
        .collect();
    println!(
        "native: {} vectors ran, {} differed",
        vectors.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
