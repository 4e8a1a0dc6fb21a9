//! The filter against a host program played by a table of answers.
//!
//! What is tested here is what no vector can show: that each fact that is missing refuses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use auth_edge::request::{ClientCertificate, HostVerdict, MissingFact, Transport};
use auth_edge::wire::config_json;
use auth_edge::{Config, decide};

use crate::apply::{Outcome, apply, edit};
use crate::gather::{Seen, gather};
use crate::host::{Counters, Host, Property};
use crate::section::Section;
use crate::section::tests::written;
use auth_edge::connections::Connections;

const CONFIG: &str = r#"{
    "version": 1,
    "hosts": [{
        "custom_domain": "login.example.test",
        "origin": { "host": "origin.example.test", "api_key": { "env": "KEY" } },
        "client_certificates": { "ca_signed": { "verified_by": "host" } }
    }]
}"#;

/// A host program: what it shows, and what it was told to do.
struct Fake {
    properties: BTreeMap<Property, Vec<u8>>,
    section: Option<Vec<u8>>,
    now: Option<u64>,
    told: RefCell<Vec<String>>,
    asked: RefCell<Vec<Property>>,
}

impl Fake {
    /// A request over TLS without a client certificate.
    fn new(authority: &str, path: &str) -> Self {
        let fields = [
            (":authority", authority),
            (":path", path),
            (":method", "GET"),
            (":scheme", "https"),
            ("accept", "*/*"),
            ("x-ssl-client-verify", "SUCCESS"),
            ("x-forwarded-proto", "http"),
        ];
        Self {
            properties: BTreeMap::from([
                (Property::ConnectionId, 7_u64.to_le_bytes().to_vec()),
                (Property::PeerAddress, b"198.51.100.7:4711".to_vec()),
                (Property::TlsVersion, b"TLSv1.3".to_vec()),
                (Property::ServerName, authority.as_bytes().to_vec()),
                (Property::CertificatePresented, vec![0]),
            ]),
            section: Some(written(
                &fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            )),
            now: Some(1_700_000_000_000_000_000),
            told: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    fn without(mut self, property: Property) -> Self {
        self.properties.remove(&property);
        self
    }

    fn with(mut self, property: Property, value: &[u8]) -> Self {
        self.properties.insert(property, value.to_vec());
        self
    }

    /// The same request with these fields alone.
    fn with_fields(mut self, fields: &[(&str, &str)]) -> Self {
        let bytes = self.section.take().unwrap();
        let section = Section::read(&bytes).unwrap();
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let all: Vec<_> = section
            .pseudo_fields()
            .iter()
            .copied()
            .chain(fields)
            .collect();
        self.section = Some(written(&all));
        self
    }

    fn seen(&self) -> Seen {
        gather(self, &mut Connections::new(8))
    }

    /// Runs a request through and says what the host program was told.
    fn run(&self) -> (Outcome, Vec<String>) {
        let config = config();
        let counters = Counters::define(self);
        self.told.borrow_mut().clear();
        let seen = self.seen();
        let section = seen.section();
        let request = seen.request(section.as_ref());
        let mut verdicts = Default::default();
        let now = seen.now_nanoseconds / 1_000_000_000;
        let decision = decide(&request, &config, now, &mut verdicts);
        let outcome = apply(
            self,
            &counters,
            &request,
            decision,
            format_args!("id-1"),
            &|edits| {
                edit(self, &request, edits);
            },
        );
        (outcome, self.told.take())
    }
}

fn config() -> Config {
    let secrets = |name: &str| (name == "KEY").then(|| "test-only-api-key".to_owned());
    config_json::parse(CONFIG.as_bytes(), 0, &secrets).unwrap()
}

impl Host for Fake {
    fn request_section(&self) -> Option<Vec<u8>> {
        self.section.clone()
    }

    fn remove_request_field(&self, name: &[u8]) {
        let name = String::from_utf8_lossy(name);
        self.told.borrow_mut().push(format!("remove {name}"));
    }

    fn replace_request_field(&self, name: &str, value: &str) {
        self.told.borrow_mut().push(format!("set {name}={value}"));
    }

    fn remove_request_trailers(&self) {}

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        self.asked.borrow_mut().push(property);
        self.properties.get(&property).cloned()
    }

    fn now_nanoseconds(&self) -> Option<u64> {
        self.now
    }

    fn answer(&self, status: u16, _headers: Vec<(&str, &str)>, body: &str) {
        self.told
            .borrow_mut()
            .push(format!("answer {status} {body}"));
    }

    fn plugin_configuration(&self) -> Vec<u8> {
        Vec::new()
    }

    fn vm_configuration(&self) -> Vec<u8> {
        Vec::new()
    }

    fn set_nginx_variable(&self, name: &str, value: &str) {
        self.told
            .borrow_mut()
            .push(format!("variable {name}={value}"));
    }

    fn secret(&self, _name: &str) -> Option<String> {
        None
    }

    fn log_info(&self, _line: &str) {}

    fn log_warning(&self, line: &str) {
        self.told.borrow_mut().push(format!("log {line}"));
    }

    fn log_error(&self, _line: &str) {}

    fn define_counter(&self, name: &str) -> u32 {
        self.told.borrow_mut().push(name.to_owned());
        u32::try_from(self.told.borrow().len()).unwrap()
    }

    fn tick_each_second(&self) {}

    fn add_to_counter(&self, counter: u32, amount: u64) {
        self.told
            .borrow_mut()
            .push(format!("counter {counter} +{amount}"));
    }
}

/// A request to the custom domain that is forwarded when nothing is missing.
fn forwarded() -> Fake {
    Fake::new("login.example.test", "/authorize?a=b")
}

#[track_caller]
fn check_unsupported(fake: &Fake, missing: MissingFact) {
    let seen = fake.seen();
    let section = seen.section();
    let connection = seen.request(section.as_ref()).connection;
    assert_eq!(connection.err(), Some(missing));
    check_closed(fake, "");
}

/// The request is answered 503, and the log holds the text.
#[track_caller]
fn check_closed(fake: &Fake, logged: &str) {
    let (outcome, told) = fake.run();
    assert_eq!(outcome, Outcome::Answered);
    assert!(
        told.iter().any(|line| line.starts_with("answer 503")),
        "{told:?}"
    );
    assert!(!told.iter().any(|line| line.starts_with("set")), "{told:?}");
    let mut log = told.iter().filter(|line| line.starts_with("log"));
    assert!(log.any(|line| line.contains(logged)), "{told:?}");
}

#[test]
fn fields_are_removed_first_and_then_set() {
    let (outcome, told) = forwarded().run();
    assert_eq!(outcome, Outcome::Forwarded);
    let expected = [
        "remove x-ssl-client-verify",
        "set :authority=origin.example.test",
        "set cname-api-key=test-only-api-key",
        "set x-forwarded-for=198.51.100.7",
        "set x-forwarded-proto=https",
        "set x-forwarded-host=login.example.test",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_secret_is_set_whatever_a_client_sent() {
    let guessed = forwarded().with_fields(&[("cname-api-key", "test-only-api-key")]);
    let (_, told) = guessed.run();
    assert!(
        told.contains(&"set cname-api-key=test-only-api-key".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_field_that_stands_already_is_left_alone_when_it_is_the_only_one() {
    const SET: &str = "set x-forwarded-proto=https";
    for (fields, is_set) in [
        (&[("x-forwarded-proto", "https")][..], false),
        (&[], true),
        (&[("x-forwarded-proto", "HTTPS")], true),
        (&[("x_forwarded_proto", "https")], true),
        (&[("X-Forwarded-Proto", "https")], true),
        (
            &[
                ("x-forwarded-proto", "https"),
                ("x-forwarded-proto", "https"),
            ],
            true,
        ),
        (
            &[
                ("x-forwarded-proto", "https"),
                ("X-Forwarded-Proto", "http"),
            ],
            true,
        ),
    ] {
        let (outcome, told) = forwarded().with_fields(fields).run();
        assert_eq!(outcome, Outcome::Forwarded);
        assert_eq!(told.iter().any(|line| line == SET), is_set, "{fields:?}");
        // What is left alone must not be removed, neither before nor after.
        let removed = told.contains(&"remove x-forwarded-proto".to_owned());
        assert!(!removed, "{told:?}");
    }
}

#[test]
fn the_host_program_is_told_what_was_counted_once() {
    let fake = forwarded();
    let counters = Counters::define(&fake);
    counters.add_forwarded();
    counters.add_forwarded();
    counters.add_identity_claims(3);
    fake.told.borrow_mut().clear();
    counters.tell(&fake);
    let told = fake.told.take();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].ends_with(" +2") && told[1].ends_with(" +3"),
        "{told:?}"
    );
    counters.tell(&fake);
    assert_eq!(fake.told.take(), [""; 0]);
}

#[test]
fn each_missing_fact_refuses() {
    check_unsupported(
        &forwarded().without(Property::ConnectionId),
        MissingFact::ConnectionId,
    );
    check_unsupported(
        &forwarded().with(Property::ConnectionId, b"short"),
        MissingFact::ConnectionId,
    );
    check_unsupported(
        &forwarded().without(Property::PeerAddress),
        MissingFact::PeerAddress,
    );
    check_unsupported(
        &forwarded().with(Property::PeerAddress, b"/unix"),
        MissingFact::PeerAddress,
    );
    let mut fake = forwarded();
    fake.now = None;
    check_unsupported(&fake, MissingFact::Clock);
    let mut fake = forwarded();
    fake.section = None;
    check_unsupported(&fake, MissingFact::Fields);
    fake.section = Some(b"\x01\0\0\0".to_vec());
    check_unsupported(&fake, MissingFact::Fields);
}

#[test]
fn what_is_not_told_of_a_certificate_refuses_where_it_is_needed() {
    let alias = || {
        Fake::new("mtls.login.example.test", "/oauth/token")
            .with(Property::CertificatePresented, &[1])
    };
    check_closed(&alias(), "gives no client certificate: needs Envoy 1.38");
    let unknown = alias().without(Property::CertificatePresented);
    check_closed(&unknown, "gives no client certificate: needs Envoy 1.38");
    let with_digest = alias().with(Property::PeerCertificateDigest, "ab".repeat(32).as_bytes());
    check_closed(
        &with_digest,
        "gives no client certificate: needs Envoy 1.38",
    );
    // The custom domain asks for no certificate.
    let domain = forwarded().with(Property::CertificatePresented, &[1]);
    assert_eq!(domain.run().0, Outcome::Forwarded);
}

#[test]
fn a_certificate_that_is_not_shown_is_known_by_its_digest() {
    let digest = "0123456789abcdef".repeat(4);
    for (told, expected) in [
        (Some(digest.as_bytes()), digest.parse().ok()),
        (Some(&b"no digest"[..]), None),
        (None, None),
    ] {
        let mut fake = forwarded().with(Property::CertificatePresented, &[1]);
        if let Some(told) = told {
            fake = fake.with(Property::PeerCertificateDigest, told);
        }
        let seen = fake.seen();
        let section = seen.section();
        let transport = &seen.request(section.as_ref()).connection.unwrap().transport;
        let Transport::Tls(tls) = transport else {
            panic!("no TLS")
        };
        let ClientCertificate::NotShown { digest } = tls.client_certificate else {
            panic!("shown: {:?}", tls.client_certificate)
        };
        assert_eq!(digest, expected);
    }
}

#[test]
fn without_a_tls_version_a_connection_is_plain() {
    for fake in [
        forwarded().without(Property::TlsVersion),
        forwarded().with(Property::TlsVersion, b""),
    ] {
        let (outcome, told) = fake.run();
        assert_eq!(outcome, Outcome::Answered);
        assert!(
            told.iter().any(|line| line.starts_with("answer 308")),
            "{told:?}"
        );
    }
}

#[test]
fn what_is_no_certificate_is_malformed_and_only_one_says_verified() {
    for (verdict, expected) in [
        (vec![1], HostVerdict::Verified),
        (vec![0], HostVerdict::NotVerified),
        (vec![2], HostVerdict::NotVerified),
        (vec![1, 1], HostVerdict::NotVerified),
        (vec![], HostVerdict::NotVerified),
        (b"none".to_vec(), HostVerdict::Unavailable),
    ] {
        let mut fake = forwarded()
            .with(Property::CertificatePresented, &[1])
            .with(Property::PeerCertificate, PEM.as_bytes());
        if expected != HostVerdict::Unavailable {
            fake = fake.with(Property::PeerCertificateValid, &verdict);
        }
        let seen = fake.seen();
        let section = seen.section();
        let transport = &seen.request(section.as_ref()).connection.unwrap().transport;
        let Transport::Tls(tls) = transport else {
            panic!("no TLS")
        };
        let ClientCertificate::Parsed { host_verdict, .. } = &tls.client_certificate else {
            panic!("not parsed: {:?}", tls.client_certificate)
        };
        assert_eq!(*host_verdict, expected, "{verdict:?}");
    }
    let garbage = forwarded()
        .with(Property::CertificatePresented, &[1])
        .with(Property::PeerCertificate, b"garbage")
        .with(Property::PeerCertificateValid, &[1]);
    let seen = garbage.seen();
    let section = seen.section();
    let connection = seen.request(section.as_ref()).connection.unwrap();
    let Transport::Tls(tls) = &connection.transport else {
        panic!("no TLS")
    };
    assert!(matches!(
        tls.client_certificate,
        ClientCertificate::Malformed
    ));
}

#[test]
fn a_warm_connection_is_asked_for_its_id_and_address_alone() {
    let fake = forwarded();
    let mut connections = Connections::new(8);
    gather(&fake, &mut connections);
    fake.asked.borrow_mut().clear();
    gather(&fake, &mut connections);
    assert_eq!(
        *fake.asked.borrow(),
        [Property::ConnectionId, Property::PeerAddress]
    );
}

/// A certificate without a key anybody has: made once, its key thrown away.
const PEM: &str = include_str!("../../shared/tests/leaf.pem");

/// Envoy keeps an entry for each time a counter is defined.
#[test]
fn a_new_configuration_defines_no_counter_again() {
    let fake = forwarded();
    let first = Counters::of_this_vm(&fake);
    let defined = fake.told.borrow().len();
    assert!(defined > 10);
    let second = Counters::of_this_vm(&fake);
    assert_eq!(fake.told.borrow().len(), defined);
    assert!(Rc::ptr_eq(&first, &second));
}
