//! The harness for x509-limbo against a small suite in the form of its `limbo.json`.

use std::sync::LazyLock;

use auth_edge_tests::pki::{Pki, pem};
use auth_edge_tests::suites::{Report, limbo};
use serde_json::{Value, json};

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::generate().unwrap());

/// A test of the suite: the certificate of that name, presented with its chain.
fn testcase(id: &str, name: &str, expected: &str) -> Value {
    let chain = &PKI.get(name).unwrap().chain;
    let certificates: Vec<String> = chain.iter().map(|der| pem(der, "CERTIFICATE")).collect();
    let (peer, intermediates) = certificates.split_first().unwrap();
    json!({
        "id": id,
        "conflicts_with": [],
        "features": [],
        "importance": "undetermined",
        "description": "",
        "validation_kind": "CLIENT",
        "trusted_certs": [PKI.authority("ca").unwrap().pem()],
        "untrusted_intermediates": intermediates,
        "peer_certificate": peer,
        "peer_certificate_key": null,
        "validation_time": null,
        "signature_algorithms": [],
        "key_usage": ["digitalSignature"],
        "extended_key_usage": ["clientAuth"],
        "expected_result": expected,
        "expected_peer_name": null,
        "expected_peer_names": [],
        "max_chain_depth": null,
        "crls": []
    })
}

fn run(testcases: &[Value], table: &Value) -> Report {
    let suite = json!({ "version": 1, "testcases": testcases });
    let table = limbo::Table::parse(&table.to_string()).unwrap();
    limbo::run(&suite.to_string(), table).unwrap()
}

fn counts(report: &Report) -> (usize, usize, usize) {
    (report.passed(), report.failed(), report.skipped())
}

fn nothing_listed() -> Value {
    json!({ "reasons": {}, "tests": {} })
}

#[test]
fn tests_come_out_as_the_suite_says() {
    let mut long_past = testcase("long-past", "ca_client", "FAILURE");
    long_past["validation_time"] = "2001-02-03T04:05:06.789+00:00".into();
    let report = run(
        &[
            testcase("valid", "ca_client", "SUCCESS"),
            testcase("expired", "ca_client_expired", "FAILURE"),
            testcase("unknown-issuer", "same_subject_other_ca", "FAILURE"),
            long_past,
        ],
        &nothing_listed(),
    );
    assert_eq!(counts(&report), (4, 0, 0), "{report}");
}

#[test]
fn revocation_lists_are_used() {
    let now = PKI.generated_at();
    let with_lists = |id: &str, authorities: &[&str], next_update: i64, expected: &str| {
        let list = |name: &&str| {
            let authority = PKI.authority(name).unwrap();
            let list = authority.revocation_list(&[], now - 60, next_update);
            pem(&list.unwrap(), "X509 CRL")
        };
        let mut test = testcase(id, "ca_client", expected);
        test["crls"] = authorities.iter().map(list).collect();
        test
    };
    let both = ["ca", "intermediate"];
    let report = run(
        &[
            with_lists("fresh", &both, now + 3_600, "SUCCESS"),
            with_lists("stale", &both, now - 30, "FAILURE"),
            with_lists("another-key", &["namesake_ca"], now + 3_600, "FAILURE"),
        ],
        &nothing_listed(),
    );
    assert_eq!(counts(&report), (3, 0, 0), "{report}");
}

#[test]
fn a_test_that_does_not_come_out_fails() {
    let report = run(
        &[
            testcase("valid", "ca_client", "FAILURE"),
            testcase("expired", "ca_client_expired", "SUCCESS"),
        ],
        &nothing_listed(),
    );
    assert_eq!(counts(&report), (0, 2, 0), "{report}");
}

#[test]
fn a_departure_is_as_it_is_listed() {
    let tests = [
        testcase("valid", "ca_client", "FAILURE"),
        testcase("expired", "ca_client_expired", "SUCCESS"),
    ];
    let table = |expired: &str| {
        json!({
            "reasons": { "test": "as an example" },
            "tests": {
                "valid": { "why": "test" },
                "expired": { "refuse": expired, "why": "test" }
            }
        })
    };
    let report = run(&tests, &table("certificate_expired"));
    assert_eq!(counts(&report), (2, 0, 0), "{report}");
    assert_eq!(report.weaker(), 1, "{report}");
    let report = run(&tests, &table("certificate_malformed"));
    assert_eq!(counts(&report), (1, 1, 0), "{report}");
}

#[test]
fn a_listed_departure_that_does_not_occur_fails() {
    let tests = [testcase("valid", "ca_client", "SUCCESS")];
    for listed in ["valid", "no-such-test"] {
        let table = json!({
            "reasons": { "test": "as an example" },
            "tests": { listed: { "refuse": "certificate_expired", "why": "test" } }
        });
        assert_eq!(run(&tests, &table).failed(), 1, "{listed}");
    }
}

#[test]
fn what_cannot_be_put_to_the_edge_is_skipped() {
    let changed = |id: &str, member: &str, value: Value| {
        let mut test = testcase(id, "ca_client", "FAILURE");
        test[member] = value;
        test
    };
    let mut for_servers = testcase("server", "ca_client_eku_server_only", "SUCCESS");
    for_servers["validation_kind"] = "SERVER".into();
    let report = run(
        &[
            for_servers,
            changed("depth", "max_chain_depth", 1.into()),
            changed("algorithms", "signature_algorithms", json!(["ED25519"])),
            changed("usage", "key_usage", json!(["keyAgreement"])),
            changed("purpose", "extended_key_usage", json!(["emailProtection"])),
            changed("profile", "features", json!(["pedantic-webpki-eku"])),
            changed("bettertls::names", "features", json!([])),
        ],
        &nothing_listed(),
    );
    assert_eq!(counts(&report), (0, 0, 7), "{report}");
}
