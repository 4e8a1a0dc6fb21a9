//! `docs/rules.md` names vectors that exist, and has a section for the rule of every vector.

use std::collections::BTreeSet;
use std::path::Path;

use auth_edge_tests::conformance::vector;

#[test]
fn the_rules_name_vectors_that_exist_and_every_vector_has_its_rule() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rules.md");
    let rules = std::fs::read_to_string(path).unwrap();
    let vectors = vector::all().unwrap();
    let names: BTreeSet<&str> = vectors.iter().map(|it| it.name.as_str()).collect();
    let areas: BTreeSet<&str> = names.iter().filter_map(|name| area(name)).collect();
    let named = rules
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| area(text).is_some_and(|area| areas.contains(area)));
    let unknown: Vec<&str> = named.filter(|text| !names.contains(text)).collect();
    assert!(unknown.is_empty(), "no such vectors: {unknown:?}");
    for vector in &vectors {
        let heading = format!("### {} ", vector.rule);
        assert!(rules.contains(&heading), "{}: {heading}", vector.name);
    }
}

/// The folder of a vector, of a text that could be its name.
fn area(text: &str) -> Option<&str> {
    let (area, claim) = text.split_once('/')?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!claim.is_empty() && claim.bytes().all(is_plain)).then_some(area)
}
