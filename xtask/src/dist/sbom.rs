//! The bill of materials, in CycloneDX 1.5 as JSON.

use super::crates::Linked;

/// What the module of the filter with the SHA-256 `module` is made of: `crates`, the filter among them.
/// `rustc` is what the compiler says of its version.
///
/// There is no serial number and no time in it, both of which the format leaves open: the same module has
/// the same bill.
pub(super) fn cyclonedx(filter: &Linked, crates: &[Linked], module: &str, rustc: &str) -> String {
    // `rustc 1.95.0 (59807616e 2026-04-14)`
    let standard = rustc.split(' ').nth(1).unwrap_or(rustc);
    let mut text = format!(
        "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n  \"metadata\": {{\n    \
         \"component\": {{\"type\": \"library\", \"bom-ref\": {}, \"name\": {}, \"version\": {}, \
         \"hashes\": [{{\"alg\": \"SHA-256\", \"content\": {}}}], {}}},\n    \
         \"properties\": [{{\"name\": \"auth-edge:rustc\", \"value\": {}}}]\n  }},\n  \"components\": [\n",
        quoted(&reference(filter)),
        quoted(&filter.name),
        quoted(&filter.version),
        quoted(module),
        licences(&filter.licence),
        quoted(rustc),
    );
    for found in crates.iter().filter(|found| !std::ptr::eq(*found, filter)) {
        let hashes = match &found.checksum {
            Some(checksum) => format!(
                "\"hashes\": [{{\"alg\": \"SHA-256\", \"content\": {}}}], ",
                quoted(checksum)
            ),
            None => String::new(),
        };
        let reference = quoted(&reference(found));
        text.push_str(&format!(
            "    {{\"type\": \"library\", \"bom-ref\": {reference}, \"name\": {}, \"version\": {}, {hashes}{}, \
             \"purl\": {reference}}},\n",
            quoted(&found.name),
            quoted(&found.version),
            licences(&found.licence),
        ));
    }
    text.push_str(&format!(
        "    {{\"type\": \"library\", \"bom-ref\": \"rust-std\", \"name\": \"rust-std\", \"version\": {}, {}}}\n  ],\n  \
         \"dependencies\": [\n",
        quoted(standard),
        licences("MIT OR Apache-2.0"),
    ));
    for found in crates {
        // Each crate may use the standard library; which do is not said.
        let with = found.with.iter().filter_map(|place| crates.get(*place));
        let mut with: Vec<String> = with.map(|found| quoted(&reference(found))).collect();
        if std::ptr::eq(found, filter) {
            with.push("\"rust-std\"".to_owned());
        }
        text.push_str(&format!(
            "    {{\"ref\": {}, \"dependsOn\": [{}]}},\n",
            quoted(&reference(found)),
            with.join(", ")
        ));
    }
    text.push_str("    {\"ref\": \"rust-std\", \"dependsOn\": []}\n  ]\n}\n");
    text
}

fn licences(expression: &str) -> String {
    format!("\"licenses\": [{{\"expression\": {}}}]", quoted(expression))
}

/// The package URL, in which the `+` of a version is escaped.
fn reference(found: &Linked) -> String {
    let version = found.version.replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", found.name)
}

/// A text of printable characters as JSON.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
