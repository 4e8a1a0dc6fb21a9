//! What no vector can say of verification: certificates and lists made for one question, decisions at
//! several times, and what they cost.

use std::sync::Arc;
use std::time::Duration;

use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, Removal, ServerName, ShownChain, Tls, TlsVersion,
    Transport,
};
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::config_json;
use auth_edge::{Config, Decision, Request, decide};
use auth_edge_tests::pki::{
    AltName, Authority, CLIENT_AUTH, DAY, DIGITAL_SIGNATURE, Extension, KEY_CERT_SIGN, Key,
    KeyKind, Pki, RevocationList, Role, Template, distinguished_name, encode_uri_component, pem,
    thumbprint_hex,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const ALIAS: &str = "mtls.login.example.test";
const XFCC: &str = "x-forwarded-client-cert";

fn base64(der: &[u8]) -> String {
    STANDARD.encode(der)
}

fn config(certificates: Value, proxies: Value) -> Config {
    let file = json!({
        "version": 1,
        "hosts": [{
            "custom_domain": "login.example.test",
            "profile": "generic",
            "origin": { "host": "origin.example.test" },
            "trusted_proxies": proxies,
            "client_certificates": certificates,
        }],
    });
    config_json::parse(file.to_string().as_bytes(), 0, &|_: &str| None).unwrap()
}

/// A client on a connection of its own, with a verdict cache of its own.
struct Client {
    config: Config,
    connection: Connection,
    fields: Vec<(&'static str, String)>,
    verdicts: VerdictCache,
}

impl Client {
    fn new(config: Config, leaf: &[u8]) -> Self {
        let leaf = ClientCertificate::from_der(leaf.to_vec(), HostVerdict::Unavailable);
        Self {
            config,
            connection: Connection::new(Transport::Tls(Box::new(Tls {
                version: TlsVersion::Tls13,
                cipher_suite: None,
                server_name: ServerName::Sent(ALIAS.into()),
                presented_chain: ShownChain::NotShown,
                client_certificate: leaf,
            }))),
            fields: Vec::new(),
            verdicts: VerdictCache::new(),
        }
    }

    /// Presents these too, in the field that Envoy writes.
    fn presenting(mut self, leaf: &[u8], chain: &[&[u8]]) -> Self {
        let encoded = |der: &&[u8]| encode_uri_component(&pem(der, "CERTIFICATE"));
        let all: String = [leaf].iter().chain(chain).map(encoded).collect();
        let value = format!("Cert=\"{}\";Chain=\"{all}\"", encoded(&leaf));
        self.fields.push((XFCC, value));
        self
    }

    /// The code of the refusal; none when the request is forwarded.
    fn ask(&mut self, now: i64) -> Option<&'static str> {
        let mut warm = std::mem::take(&mut self.verdicts);
        let code = self.ask_with(now, &mut warm);
        // what is remembered changes nothing.
        assert_eq!(self.ask_with(now, &mut VerdictCache::new()), code);
        self.verdicts = warm;
        code
    }

    fn ask_with(&self, now: i64, verdicts: &mut VerdictCache) -> Option<&'static str> {
        let fields: Vec<(&[u8], &[u8])> = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let request = Request {
            method: b"POST",
            target: b"/oauth/token",
            normalized_path: None,
            authority: Some(ALIAS.as_bytes()),
            protocol: None,
            fields: &fields,
            peer: [127, 0, 0, 1].into(),
            connection: Ok(&self.connection),
            removal: Removal::Any,
            acme_answer: None,
        };
        match decide(&request, &self.config, now.try_into().unwrap(), verdicts) {
            Decision::Forward(_) => None,
            Decision::Respond(_) => Some("answered"),
            Decision::Refuse(refusal) => {
                // What Envoy writes itself claims nothing.
                assert_eq!(refusal.identity_claims, 0);
                Some(refusal.reason.code())
            }
        }
    }
}

fn name(common_name: &str) -> Vec<u8> {
    distinguished_name(common_name, "Example", "AT")
}

fn leaf(issuer: &Authority, subject: Vec<u8>, now: i64) -> Vec<u8> {
    leaf_with(issuer, subject, now, |leaf| leaf)
}

fn leaf_with(
    issuer: &Authority,
    subject: Vec<u8>,
    now: i64,
    change: impl FnOnce(Template) -> Template,
) -> Vec<u8> {
    let key = Key::generate(KeyKind::P256).unwrap();
    let template = Template::new(subject, now - DAY, now + 30 * DAY)
        .unwrap()
        .with(Extension::basic_constraints(Role::EndEntity))
        .with(Extension::key_usage(DIGITAL_SIGNATURE))
        .with(Extension::extended_key_usage(&[CLIENT_AUTH]));
    issuer.issue(change(template), &key).unwrap()
}

/// A name of one attribute, emailAddress (RFC 5280 section 4.1.2.6).
fn email_name(email: &str) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let mut element = vec![tag, content.len().try_into().unwrap()];
        element.extend(content);
        element
    };
    let kind = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
    let attribute = [&kind[..], &element(0x16, email.as_bytes())].concat();
    element(0x30, &element(0x31, &element(0x30, &attribute)))
}

/// RFC 5280 section 4.2.1.10: the constraint reaches the address in the subject.
#[test]
fn an_email_address_in_the_subject_does_not_escape_a_constraint() {
    let pki = Pki::generate().unwrap();
    let now = pki.generated_at();
    let ca = pki.authority("ca").unwrap();
    let key = Arc::new(Key::generate(KeyKind::P256).unwrap());
    let permitted = [AltName::Email("partner.example")];
    let excluded = [AltName::Email("victim.example")];
    for (permitted, excluded) in [(&permitted[..], &[][..]), (&[][..], &excluded[..])] {
        let constrained = ca
            .intermediate_like(name("Constrained CA"), Arc::clone(&key), now, |it| {
                it.with(Extension::name_constraints(permitted, excluded))
            })
            .unwrap();
        let config = || {
            let (roots, between) = (base64(ca.der()), base64(constrained.der()));
            let ca_signed = json!({ "roots": [roots], "intermediates": [between] });
            config(json!({ "ca_signed": ca_signed }), json!([]))
        };
        let with_address = leaf(&constrained, email_name("ceo@victim.example"), now);
        let code = Client::new(config(), &with_address).ask(now);
        assert_eq!(code, Some("certificate_name_constraint"));
        let without = leaf(&constrained, name("client"), now);
        assert_eq!(Client::new(config(), &without).ask(now), None);
    }
}

/// One key with two certificates: the client presents the one that may not sign lists.
#[test]
fn a_revoked_client_does_not_escape_by_another_certificate_of_its_issuer() {
    let pki = Pki::generate().unwrap();
    let now = pki.generated_at();
    let ca = pki.authority("ca").unwrap();
    let key = Arc::new(Key::generate(KeyKind::P256).unwrap());
    let issuing = |change: fn(Template) -> Template| {
        ca.intermediate_like(name("Issuing CA"), Arc::clone(&key), now, change)
            .unwrap()
    };
    let signs_lists = issuing(|it| it);
    let signs_none = issuing(|it| it.with(Extension::key_usage(KEY_CERT_SIGN)));
    let revoked = leaf(&signs_lists, name("revoked"), now);
    let list = RevocationList::new(now - 10, now + 1000).revoking(&revoked);
    let list = base64(&list.issue(&signs_lists).unwrap());
    for unknown in ["refuse", "accept"] {
        for chain in [
            vec![signs_lists.der()],
            vec![signs_none.der()],
            vec![signs_none.der(), signs_lists.der()],
        ] {
            let ca_signed = json!({
                "roots": [base64(ca.der())],
                "presented_chain": "envoy_xfcc",
                "crl": { "check": "leaf", "unknown": unknown, "lists": [list] },
            });
            let config = config(json!({ "ca_signed": ca_signed }), json!([]));
            let mut client = Client::new(config, &revoked).presenting(&revoked, &chain);
            assert_eq!(client.ask(now), Some("certificate_revoked"));
        }
    }
}

#[test]
fn a_remembered_verdict_ends_where_a_date_passes() {
    let pki = Pki::generate().unwrap();
    let now = pki.generated_at();
    let ca = pki.authority("ca").unwrap();
    let client = leaf(ca, name("client"), now);
    let list = |from, until| {
        let list = RevocationList::new(now + from, now + until);
        base64(&list.issue(ca).unwrap())
    };
    let config = |lists: Value| {
        let crl = json!({ "check": "leaf", "lists": lists });
        let ca_signed = json!({ "roots": [base64(ca.der())], "crl": crl });
        config(json!({ "ca_signed": ca_signed }), json!([]))
    };
    // The next list is there already, and ends before the one in force.
    let lists = json!([list(-1000, 100_000), list(100, 200)]);
    let mut patient = Client::new(config(lists), &client);
    for (after, code) in [
        (0, None),
        (99, None),
        (100, None),
        (199, None),
        (200, Some("crl_expired")),
        (50_000, Some("crl_expired")),
    ] {
        assert_eq!(patient.ask(now + after), code, "{after}");
    }
    // The clock is set back to before the list was issued, and on again.
    let mut travelling = Client::new(config(json!([list(0, 1000)])), &client);
    for (after, code) in [
        (10, None),
        (-10, Some("certificate_revocation_unknown")),
        (999, None),
        (1000, Some("crl_expired")),
        (10, None),
    ] {
        assert_eq!(travelling.ask(now + after), code, "{after}");
    }
}

/// It stands for every client behind the proxy.
#[test]
fn the_certificate_of_a_trusted_proxy_is_no_clients() {
    let pki = Pki::generate().unwrap();
    let now = pki.generated_at();
    let ca = pki.authority("ca").unwrap();
    let proxy = leaf(ca, name("proxy"), now);
    for source in ["connection", "envoy_xfcc"] {
        let certificates = json!({
            "source": source,
            "ca_signed": { "roots": [base64(ca.der())] },
            "self_signed": "forward",
        });
        let known = json!([{ "thumbprint": thumbprint_hex(&proxy) }]);
        for (proxies, code) in [(known, Some("certificate_required")), (json!([]), None)] {
            let mut client = Client::new(config(certificates.clone(), proxies), &proxy);
            if source == "envoy_xfcc" {
                client = client.presenting(&proxy, &[]);
            }
            assert_eq!(client.ask(now), code);
        }
    }
}

/// A client that presents what it likes causes the work once, not once in each second.
#[test]
fn a_refused_path_is_verified_once() {
    let pki = Pki::generate().unwrap();
    let now = pki.generated_at();
    let ca = pki.authority("ca").unwrap();
    let namesake = pki.authority("namesake_ca").unwrap();
    let client = leaf(namesake, name("client"), now);
    let chain: Vec<Vec<u8>> = (0..8)
        .map(|index| leaf(namesake, name(&format!("junk {index}")), now))
        .collect();
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let ca_signed = json!({ "roots": [base64(ca.der())], "presented_chain": "envoy_xfcc" });
    let config = config(json!({ "ca_signed": ca_signed }), json!([]));
    let mut hostile = Client::new(config, &client).presenting(&client, &chain);
    assert_eq!(hostile.ask(now), Some("certificate_bad_signature"));
    let once = hostile.verdicts.verifications();
    assert_eq!(once, 9);
    for second in 1..100 {
        assert_eq!(hostile.ask(now + second), Some("certificate_bad_signature"));
    }
    assert_eq!(hostile.verdicts.verifications(), once);
}

/// A listener that writes only half of what is needed is not the client's fault.
#[test]
fn what_another_policy_remembers_pushes_out_nothing_of_the_one_in_force() {
    let pki = Pki::generate().unwrap();
    let now = pki.generated_at();
    let seconds = u64::try_from(now).unwrap();
    let ca = pki.authority("ca").unwrap();
    let other = pki.authority("other_ca").unwrap();
    let (ca_root, other_root) = (base64(ca.der()), base64(other.der()));
    let until = der::DateTime::from_unix_duration(Duration::from_secs(seconds + 86_400));
    let until = until.unwrap().to_string();
    // More than half of what is kept for a host name, and less than all of it.
    let leaves: Vec<Vec<u8>> = (0..200)
        .map(|index| leaf(ca, name(&format!("client {index}")), now))
        .collect();
    for watches in [false, true] {
        let mut file = json!({
            "version": 1,
            "hosts": [{
                "custom_domain": "login.example.test",
                "profile": "generic",
                "origin": { "host": "origin.example.test" },
                "client_certificates": { "ca_signed": { "roots": [ca_root] } },
            }],
        });
        if watches {
            file["hosts"][0]["shadow"] = json!({
                "until": until,
                "client_certificates": { "ca_signed": { "roots": [ca_root, other_root] } },
            });
        }
        let file = file.to_string();
        let mut verdicts = VerdictCache::new();
        let mut ask_all = || {
            for leaf in &leaves {
                let config = config_json::parse(file.as_bytes(), seconds, &|_: &str| None).unwrap();
                let client = Client::new(config, leaf);
                assert_eq!(client.ask_with(now, &mut verdicts), None);
            }
            verdicts.verifications()
        };
        let once = ask_all();
        assert_eq!(ask_all(), once, "watches: {watches}");
    }
}

#[test]
fn half_of_what_envoy_should_write_is_the_host_programs_fault() {
    let pki = Pki::generate().unwrap();
    let now = pki.generated_at();
    let ca = pki.authority("ca").unwrap();
    let client = leaf(ca, name("client"), now);
    let encoded = encode_uri_component(&pem(&client, "CERTIFICATE"));
    let ca_signed = json!({ "roots": [base64(ca.der())], "presented_chain": "envoy_xfcc" });
    for (value, code) in [
        (
            format!("Hash=00;Cert=\"{encoded}\""),
            Some("host_unsupported"),
        ),
        (
            format!("Hash=00;Chain=\"{encoded}\""),
            Some("host_unsupported"),
        ),
        (
            format!("Hash=00;Cert=\"{encoded}\";Chain=\"{encoded}\""),
            None,
        ),
    ] {
        let config = config(json!({ "ca_signed": ca_signed }), json!([]));
        let mut halved = Client::new(config, &client);
        halved.fields.push((XFCC, value));
        assert_eq!(halved.ask(now), code);
    }
}
