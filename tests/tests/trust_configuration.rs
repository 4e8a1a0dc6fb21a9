//! What a configuration may say of authorities and revocation lists, with real certificates.

use auth_edge::host_name::HostName;
use auth_edge::trust::Doubts;
use auth_edge::wire::config_json;
use auth_edge_tests::pki::{Extension, Pki, pem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

struct Case {
    pki: Pki,
}

impl Case {
    fn authority(&self, name: &str) -> String {
        STANDARD.encode(self.pki.authority(name).unwrap().der())
    }

    fn list(&self, name: &str) -> String {
        STANDARD.encode(self.pki.revocation_list(name).unwrap())
    }
}

/// Reads a file whose one host has this in `client_certificates`, and this as its trusted proxies.
fn load(certificates: Value, proxies: Value) -> Result<(), String> {
    let config = json!({
        "version": 1,
        "hosts": [{
            "custom_domain": "login.example.test",
            "profile": "generic",
            "origin": { "host": "origin.example.test" },
            "trusted_proxies": proxies,
            "client_certificates": certificates,
        }],
    });
    let read = config_json::parse(config.to_string().as_bytes(), 0, &|_: &str| None);
    read.map(drop).map_err(|error| error.to_string())
}

#[track_caller]
fn accepted(ca_signed: Value) {
    let loaded = load(json!({ "ca_signed": ca_signed }), json!([]));
    assert_eq!(loaded, Ok(()));
}

#[track_caller]
fn refused(ca_signed: Value, place: &str, problem: &str) {
    let error = load(json!({ "ca_signed": ca_signed }), json!([])).unwrap_err();
    let place = format!("`hosts[0].client_certificates.ca_signed.{place}`");
    assert!(error.contains(&place) && error.contains(problem), "{error}");
    assert!(error.len() < 400, "{error}");
}

fn case() -> Case {
    Case {
        pki: Pki::generate().unwrap(),
    }
}

#[test]
fn an_authority_has_to_be_one() {
    let case = case();
    let root = case.authority("ca");
    let leaf = STANDARD.encode(case.pki.get("ca_client").unwrap().leaf());
    accepted(json!({ "roots": [root] }));
    for (text, problem) in [
        (leaf.clone(), "may not sign others"),
        (
            case.authority("intermediate_server_usage"),
            "forbids clientAuth",
        ),
        (
            case.authority("intermediate_rsa1024"),
            "weak or not supported",
        ),
        (case.authority("intermediate_p521"), "weak or not supported"),
        (case.authority("intermediate_v1"), "not of version 3"),
        (
            case.authority("intermediate_unknown_critical_extension"),
            "critical extension",
        ),
        (
            case.authority("intermediate_policy_constraints"),
            "policyConstraints",
        ),
        (String::from("AAAA"), "no readable X.509 certificate"),
        (String::from("not base64"), "neither PEM nor base64"),
        (
            String::from("-----BEGIN CERTIFICATE-----"),
            "PEM that cannot be read",
        ),
        (pem(b"x", "PRIVATE KEY"), "PEM that cannot be read"),
        (STANDARD.encode([0x30; 20_000]), "more than 16384 bytes"),
    ] {
        refused(json!({ "roots": [root, text] }), "roots[1]", problem);
        refused(
            json!({ "roots": [root], "intermediates": [text] }),
            "intermediates[0]",
            problem,
        );
    }
    refused(json!({ "roots": [] }), "roots", "found no root");
    refused(json!({ "roots": [7] }), "roots[0]", "found a whole number");
}

#[test]
fn authorities_are_read_in_pem_and_several_at_once() {
    let case = case();
    let bundle = ["ca", "ca_rsa"].map(|name| case.pki.authority(name).unwrap().pem());
    accepted(json!({ "roots": [bundle.join("\r\n")] }));
    let written_by_tools = format!(
        "Certificate:\n    Data:\n{}# the other\n{}",
        bundle[0], bundle[1]
    );
    accepted(json!({ "roots": [written_by_tools] }));
    let base64 = case.authority("ca");
    let (first, second) = base64.split_at(64);
    accepted(json!({ "roots": [format!("{first}\n{second}\n")] }));
    let with_leaf = bundle.join("") + &case.pki.get("ca_client").unwrap().leaf_pem();
    refused(
        json!({ "roots": [with_leaf] }),
        "roots[0]",
        "may not sign others",
    );
}

#[test]
fn a_publicly_trusted_root_needs_a_list_and_a_word() {
    let public = STANDARD.encode(&webpki_root_certs::TLS_SERVER_ROOT_CERTS[0]);
    let problem = "publicly trusted root";
    let allow = json!([{ "san_dns": "client.example.com" }]);
    refused(json!({ "roots": [public] }), "roots[0]", problem);
    refused(
        json!({ "roots": [public], "allow": allow }),
        "roots[0]",
        problem,
    );
    refused(
        json!({ "roots": [public], "public_ca": "accept_risk" }),
        "roots[0]",
        problem,
    );
    accepted(json!({ "roots": [public], "public_ca": "accept_risk", "allow": allow }));
}

#[test]
fn every_publicly_trusted_root_is_known() {
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let root = auth_edge::trust::Root::new(certificate.to_vec());
        // One that is refused for another reason is refused as well.
        assert!(root.is_err() || root.is_ok_and(|root| root.is_publicly_trusted()));
    }
    let own = case().pki.authority("ca").unwrap().der().to_vec();
    assert!(
        !auth_edge::trust::Root::new(own)
            .unwrap()
            .is_publicly_trusted()
    );
}

#[test]
fn a_revocation_list_has_to_be_complete_and_of_a_known_issuer() {
    let case = case();
    let root = case.authority("ca");
    let good = case.list("ca");
    let with = |lists: &[&str]| json!({ "check": "leaf", "lists": lists });
    accepted(json!({ "roots": [root], "crl": with(&[&good]) }));
    let now = case.pki.generated_at();
    let list = || auth_edge_tests::pki::RevocationList::new(now - 60, now + 60);
    let ca = case.pki.authority("ca").unwrap();
    let delta = list()
        .with(Extension::delta_crl_indicator(&[1]))
        .issue(ca)
        .unwrap();
    for (text, problem) in [
        (case.list("other_ca"), "an issuer that is not configured"),
        (STANDARD.encode(&delta), "a delta list"),
        (root.clone(), "not the DER of one revocation list"),
        (String::from("?"), "neither PEM nor base64"),
    ] {
        let lists = with(&[&good, &text]);
        refused(
            json!({ "roots": [root], "crl": lists }),
            "crl.lists[1]",
            problem,
        );
    }
    refused(
        json!({ "roots": [root], "crl": with(&[]) }),
        "crl.lists",
        "found no list",
    );
    // An issuer that is presented is not known yet.
    accepted(json!({
        "roots": [root], "presented_chain": "envoy_xfcc", "crl": with(&[&case.list("other_ca")]),
    }));
}

/// A host program that keeps one list for one host, and one that nobody can read.
struct Keeper(Vec<u8>);

impl config_json::Store for Keeper {
    fn secret(&self, _name: &str) -> Option<String> {
        None
    }

    fn revocation_lists(&self, custom_domain: &HostName<'_>) -> Option<Vec<Vec<u8>>> {
        Some(match custom_domain.as_str() {
            "login.example.test" => vec![self.0.clone(), b"no list".to_vec()],
            _ => Vec::new(),
        })
    }
}

#[test]
fn lists_that_the_host_program_keeps_count_for_their_host_alone() {
    let case = case();
    let host = |name: &str| {
        json!({
            "custom_domain": name,
            "profile": "generic",
            "origin": { "host": "origin.example.test" },
        })
    };
    let file = json!({
        "version": 1,
        "defaults": { "client_certificates": { "ca_signed": {
            "roots": [case.authority("ca")], "crl": { "check": "leaf", "lists": [] },
        } } },
        "hosts": [host("login.example.test"), host("other.example.test")],
    });
    let file = file.to_string();
    let now = case.pki.generated_at().try_into().unwrap();
    let nobody = config_json::parse(file.as_bytes(), now, &|_: &str| None);
    assert!(nobody.unwrap_err().to_string().contains("found no list"));
    let list = case.pki.revocation_list("ca").unwrap().to_vec();
    let config = config_json::parse(file.as_bytes(), now, &Keeper(list)).unwrap();
    let mut found: Vec<(&str, usize, usize)> = config
        .doubts(now)
        .map(|(name, doubts)| {
            let Doubts {
                authorities_without_list,
                unreadable_lists,
                ..
            } = doubts;
            (name.as_str(), authorities_without_list, unreadable_lists)
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [("login.example.test", 0, 1), ("other.example.test", 1, 0)]
    );
}

/// What a host program warns of when it loads a configuration.
#[test]
fn what_is_in_doubt_is_counted() {
    let case = case();
    let ca_signed = json!({
        "roots": [case.authority("ca"), case.authority("root_expired")],
        "crl": { "check": "leaf", "lists": [case.list("ca"), case.list("ca_expired")] },
    });
    let file = json!({
        "version": 1,
        "hosts": [{
            "custom_domain": "login.example.test",
            "profile": "generic",
            "origin": { "host": "origin.example.test" },
            "client_certificates": { "ca_signed": ca_signed },
        }],
    });
    let config = config_json::parse(file.to_string().as_bytes(), 0, &|_: &str| None).unwrap();
    let now = case.pki.generated_at().try_into().unwrap();
    let found: Vec<(&str, Doubts)> = config
        .doubts(now)
        .map(|(name, doubts)| (name.as_str(), doubts))
        .collect();
    let doubts = Doubts {
        authorities_outside_dates: 1,
        authorities_without_list: 1,
        stale_lists: 1,
        unreadable_lists: 0,
    };
    assert_eq!(found, [("login.example.test", doubts)]);
}

#[test]
fn what_the_host_program_verifies_has_no_path() {
    let case = case();
    let (root, list) = (case.authority("ca"), case.list("ca"));
    accepted(json!({ "verified_by": "host" }));
    accepted(json!({
        "verified_by": "host", "roots": [root], "crl": { "check": "leaf", "lists": [list] },
    }));
    refused(
        json!({
            "verified_by": "host", "roots": [root], "crl": { "check": "path", "lists": [list] },
        }),
        "crl.check",
        "expected `leaf`",
    );
    refused(
        json!({ "verified_by": "host", "presented_chain": "envoy_xfcc" }),
        "verified_by",
        "a field carries no verdict",
    );
    refused(
        json!({ "roots": [root], "presented_chain": "proxy_field" }),
        "presented_chain",
        "expected `none`",
    );
}

#[test]
fn a_field_of_a_proxy_needs_a_proxy() {
    let root = case().authority("ca");
    let source = |encoding: &str| json!({ "proxy_field": "client-cert", "encoding": encoding });
    let certificates = |encoding: &str, chain: &str| {
        json!({
            "source": source(encoding),
            "ca_signed": { "roots": [root], "presented_chain": chain },
        })
    };
    let proxies = json!(["192.0.2.1"]);
    assert_eq!(
        load(certificates("rfc9440", "proxy_field"), proxies.clone()),
        Ok(())
    );
    let error = load(certificates("rfc9440", "none"), json!([])).unwrap_err();
    assert!(error.contains("`hosts[0].trusted_proxies`"), "{error}");
    let error = load(certificates("rfc9440", "none"), json!(["::1", "0.0.0.0/0"])).unwrap_err();
    assert!(error.contains("a network of everybody"), "{error}");
    for (encoding, chain) in [("base64_der", "proxy_field"), ("xfcc", "envoy_xfcc")] {
        let error = load(certificates(encoding, chain), proxies.clone()).unwrap_err();
        assert!(error.contains("presented_chain`"), "{error}");
    }
    let host = json!({ "source": source("xfcc"), "ca_signed": { "verified_by": "host" } });
    let error = load(host, proxies).unwrap_err();
    assert!(error.contains("a field carries no verdict"), "{error}");
    for proxy in [
        json!({}),
        json!({ "thumbprint": "00".repeat(32), "key_thumbprint": "00".repeat(32) }),
        json!("192.0.2.1/8"),
        json!(7),
    ] {
        let error = load(json!({ "self_signed": "forward" }), json!([proxy])).unwrap_err();
        assert!(error.contains("`hosts[0].trusted_proxies[0]`"), "{error}");
    }
}
