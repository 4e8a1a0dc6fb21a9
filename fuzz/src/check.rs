//! What holds of every decision, whatever was asked.
//!
//! The names of fields are compared by code of its own here, so that a mistake in the core's is found.

use std::net::IpAddr;

use auth_edge::certificate::{IssuerCert, LeafCert, Version};
use auth_edge::config::{Host, Source, Surface, VerifiedBy};
use auth_edge::decide::{VERDICT_SELF_SIGNED, VERDICT_SUCCESS};
use auth_edge::edits::Edits;
use auth_edge::host_name::HostName;
use auth_edge::refusal::Refusal;
use auth_edge::reply::Reply;
use auth_edge::request::HostVerdict;
use auth_edge::trust::MAX_INTERMEDIATES;
use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::forwarded::Format;
use auth_edge::{Config, Decision, Request};

use crate::authority::{self, Signing};
use crate::case::{Case, MARKER};
use crate::der;
use crate::names;
use crate::scenarios::{self, API_KEY, Revokes, Scenario};

/// Fields that say who a client is or where it came from, folded; a `*` stands for any end.
const OWNED: &[&str] = &[
    "client-certificate",
    "client-certificate-ca-verified",
    "cname-api-key",
    "client-cert",
    "client-cert-chain",
    "cert-chain*",
    "x-forwarded-*",
    "x-client-cert*",
    "x-ssl-client-*",
    "ssl-client-*",
    "x-amzn-mtls-*",
    "cf-client-cert-*",
    "x-auth-edge-*",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
    "x-azure-clientip",
    "x-rewrite-url",
    "x-host",
    "x-original-*",
    "x-envoy-*",
    "host",
];

/// A name as an origin that puts fields into variables reads it.
fn folded(name: &[u8]) -> String {
    let mut folded = String::new();
    for byte in name {
        match byte.to_ascii_lowercase() {
            letter @ (b'a'..=b'z' | b'0'..=b'9') => folded.push(char::from(letter)),
            _ if folded.ends_with('-') || folded.is_empty() => {}
            _ => folded.push('-'),
        }
    }
    folded
}

fn is_owned(name: &[u8]) -> bool {
    let name = folded(name);
    OWNED.iter().any(|owned| match owned.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *owned,
    })
}

/// Asserts what holds of any decision.
pub fn decision(case: &Case, request: &Request<'_>, config: &Config, decision: &Decision<'_>) {
    assert!(
        !format!("{decision:?}").contains(API_KEY),
        "the API key is shown"
    );
    match decision {
        Decision::Refuse(refusal) => refused(request, refusal),
        Decision::Respond(reply) => responded(reply),
        Decision::Forward(edits) => forwarded(case, request, config, edits),
    }
}

/// What the edge answers in the origin's place can stand in a header section.
fn responded(reply: &Reply) {
    assert!([200, 308].contains(&reply.status));
    for (name, value) in &reply.headers {
        let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
        assert!(value.bytes().all(is_visible), "{name}: {value}");
    }
}

fn refused(request: &Request<'_>, refusal: &Refusal) {
    let line = refusal.log_line(request, "fuzz-1");
    let logged: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&line).expect("a log line is JSON");
    assert!(!line.contains('\n'), "a log line is one line");
    assert!(
        !line.contains(MARKER),
        "a log line shows a query or a credential"
    );
    assert!(line.len() < 8192, "a log line is bounded");
    assert_eq!(logged["code"], refusal.reason.code());
    for member in ["path", "host"] {
        let text = logged[member].as_str().unwrap_or_default();
        let shows = text.contains('@') || text.contains("%40");
        assert!(!shows, "a log line shows an email address");
    }

    let reply = refusal.reply(request, "fuzz-1");
    let body: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&reply.body).expect("an answer is JSON");
    assert!(!reply.body.contains(MARKER));
    assert!((400..=503).contains(&reply.status));
    assert_eq!(body["edge_code"], refusal.reason.code());
    assert_eq!(body["request_id"], "fuzz-1");
    let description = body["error_description"].as_str().unwrap_or_default();
    let may_stand = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte);
    assert!(!description.is_empty() && description.bytes().all(may_stand));
    for (name, value) in &reply.headers {
        let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
        assert!(
            value.bytes().all(is_visible),
            "{name} holds a control character"
        );
        assert!(!value.contains(MARKER), "{name} holds a credential");
    }
    let challenges = reply.headers.iter();
    let challenges = challenges.filter(|(name, _)| *name == "www-authenticate");
    assert_eq!(challenges.count(), usize::from(reply.status == 401));
}

fn forwarded(case: &Case, request: &Request<'_>, config: &Config, edits: &Edits<'_>) {
    for (index, (name, _)) in request.fields.iter().enumerate() {
        if !edits.remove.contains(index) {
            let shown = String::from_utf8_lossy(name);
            assert!(!is_owned(name), "{shown} reaches the origin");
            assert!(!config.owns_field(name), "{shown} reaches the origin");
            let set = edits.set.iter();
            for (set, _) in set {
                assert_ne!(
                    folded(set.as_bytes()),
                    folded(name),
                    "{shown} is there twice"
                );
            }
        }
    }
    let value_of = |wanted: &str| {
        let mut found = edits.set.iter().filter(|(name, _)| *name == wanted);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{wanted} is set twice");
        value
    };
    let name = value_of("x-forwarded-host").expect("the origin is told the host");
    assert_eq!(value_of("x-forwarded-proto"), Some("https"));
    let name = HostName::parse(name).expect("a host name");
    let (_, host, surface) = config.find(&name).expect("the host is a known one");
    assert_eq!(edits.authority, host.origin.authority);
    let address = value_of(host.client_address_field.as_str()).expect("the client has one address");
    let address: IpAddr = address.parse().expect("the client's address is one");
    if !is_trusted_proxy(case, host) {
        assert_eq!(address, case.peer.to_canonical(), "a client names itself");
    }
    let key = host.origin.api_key.as_ref().map(|key| key.expose());
    assert_eq!(value_of("cname-api-key"), key);
    for (_, value) in edits.set.iter() {
        let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
        assert!(
            value.as_str().bytes().all(is_visible),
            "a value that is set has control characters"
        );
    }

    let fields = &host.certificate_fields;
    let certificate = value_of(fields.certificate.as_str());
    let verdict = fields
        .verdict
        .as_ref()
        .and_then(|name| value_of(name.as_str()));
    match certificate {
        None => assert_eq!(verdict, None, "a verdict about no certificate"),
        Some(value) => {
            assert_eq!(
                surface,
                Surface::MtlsAlias,
                "a certificate beyond the alias"
            );
            assert_eq!(verdict.is_some(), fields.verdict.is_some());
            certified(case, host, value);
        }
    }
}

/// A certificate that is told to the origin is the client's, and has passed.
fn certified(case: &Case, host: &Host, value: &str) {
    let leaf = told(host, value);
    let fields = &host.certificate_fields;
    assert!(value.len() <= fields.max_bytes);
    match host.certificates.source {
        Source::Connection | Source::EnvoyXfcc => {
            let is_clients = leaf.der() == case.presented();
            assert!(is_clients, "another certificate than the client's");
        }
        Source::ProxyField { .. } => {
            assert!(is_trusted_proxy(case, host), "anybody's word is taken");
        }
    }

    let policy = &host.certificates;
    let (validity, skew) = (leaf.validity(), policy.clock_skew_seconds);
    assert!(
        validity.not_before <= case.now.saturating_add(skew),
        "not yet valid"
    );
    assert!(
        validity.not_after >= case.now.saturating_sub(skew),
        "expired"
    );
    assert!(!policy.deny.knows(&leaf), "denied");
    let path = case.target.split(|byte| *byte == b'?').next();
    let mut paths = host.alias_paths.iter();
    assert!(paths.any(|listed| Some(listed.path.as_bytes()) == path));
}

/// Whether the host has the peer among its proxies, by its address or by its certificate.
fn is_trusted_proxy(case: &Case, host: &Host) -> bool {
    let trusted = &host.trusted_proxies;
    let mut networks = trusted.networks.iter();
    let certificate = LeafCert::parse(case.presented().to_vec());
    networks.any(|network| network.contains(case.peer))
        || certificate.is_ok_and(|leaf| {
            trusted.certificates.contains(&leaf) && leaf.validity().contains(case.now)
        })
}

/// The certificate that the origin reads in the field.
fn told(host: &Host, value: &str) -> LeafCert {
    let encoding = host.certificate_fields.encoding;
    let format = match encoding {
        Encoding::UrlEncodedPem => Format::UrlEncodedPem,
        Encoding::Rfc9440 => Format::Rfc9440,
        Encoding::Base64Der => Format::Base64Der,
    };
    let read = format.parse(value.as_bytes(), std::iter::empty());
    let leaf = LeafCert::parse(read.expect("what is told can be read").leaf);
    let leaf = leaf.expect("a certificate that can be read");
    assert_eq!(value, encoding.encode(leaf.der()));
    leaf
}

/// What a certificate's kind demands, where it is known who signed it.
pub fn vouched(case: &Case, scenario: &Scenario, decision: &Decision<'_>) {
    let Decision::Forward(edits) = decision else {
        return;
    };
    let value_of = |wanted: &str| {
        let mut set = edits.set.iter();
        set.find_map(|(name, value)| (name == wanted).then(|| value.as_str()))
    };
    let name = value_of("x-forwarded-host").and_then(|name| HostName::parse(name).ok());
    let Some((_, host, _)) = name.as_ref().and_then(|name| scenario.config.find(name)) else {
        return;
    };
    let fields = &host.certificate_fields;
    let Some(value) = value_of(fields.certificate.as_str()) else {
        return;
    };
    let leaf = told(host, value);
    let is_self_signed = leaf.issuer() == leaf.subject() && leaf.is_signed_by_own_key();
    if let Some(verdict) = fields
        .verdict
        .as_ref()
        .and_then(|name| value_of(name.as_str()))
    {
        let expected = match is_self_signed {
            true => VERDICT_SELF_SIGNED,
            false => VERDICT_SUCCESS,
        };
        assert_eq!(verdict, expected);
    }
    if is_self_signed {
        return;
    }
    let ca_signed = host.certificates.ca_signed.as_ref();
    match ca_signed
        .expect("CA-signed certificates are accepted")
        .verified_by
    {
        VerifiedBy::Host => assert_eq!(case.host_verdict, HostVerdict::Verified),
        VerifiedBy::Edge(_) => issued(case, scenario, &leaf),
    }
    let is_roots = leaf.issuer() == authority::root_name().write();
    if scenario.revokes == Revokes::OfTheRoot && is_roots {
        assert_ne!(
            leaf.serial(),
            authority::REVOKED,
            "a revoked certificate passes"
        );
    }
}

/// An authority that is trusted issued the certificate, or one that such a one made an authority.
fn issued(case: &Case, scenario: &Scenario, leaf: &LeafCert) {
    let signed = |der: &[u8]| {
        let (outer, _) = der::inside(der)?;
        Some(outer[..der::concatenated(outer, 1).0.first()?.len()].to_vec())
    };
    let mut certificates = case.certificates.iter();
    let place = certificates.position(|der| der == leaf.der());
    let is_issued = |der: &[u8]| signed(der).is_some_and(|signed| scenarios::is_issued(&signed));
    let Some(mut place) = place else {
        // It came in a field of the input itself, so nobody could sign it for the input.
        assert!(is_issued(leaf.der()), "nobody issued the certificate");
        return;
    };
    let from = place;
    while !is_issued(&case.certificates[place]) {
        match case.signing[place] {
            Signing::ByRoot(_) | Signing::ByRootsKey => {
                may_issue(&scenario.root, place - from, leaf, case.now);
                return;
            }
            Signing::ByNext(_) => {
                place += 1;
                let issuer = case.certificates.get(place).expect("it has an issuer");
                let below = place - from - 1;
                assert!(below < MAX_INTERMEDIATES, "the path is too long");
                may_issue(issuer, below, leaf, case.now);
            }
            Signing::AsItIs | Signing::ByItself | Signing::Forged => {
                panic!("nobody who is trusted issued the certificate")
            }
        }
    }
}

/// The certificate is an authority's, which may have so many others below it and the leaf below these.
fn may_issue(issuer: &[u8], below: usize, leaf: &LeafCert, now: u64) {
    let names = names::constraints(issuer);
    let issuer = IssuerCert::parse(issuer).expect("an issuer can be read");
    assert_eq!(issuer.version(), Version::V3);
    assert!(issuer.signs_certificates() && issuer.is_for_clients());
    let (first, last) = (leaf.validity().not_before, leaf.validity().not_after);
    let nearest = now.max(first).min(last);
    assert!(
        issuer.validity().contains(nearest),
        "an issuer is not valid"
    );
    let limit = issuer.path_len().unwrap_or(u64::MAX);
    assert!(below as u64 <= limit, "an issuer allows {limit} below it");
    for name in names {
        assert!(!name.forbids(leaf), "an issuer's {name:?} forbids it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_owned_in_every_spelling() {
        for name in [
            "Client_Certificate",
            "x--ssl.client-verify",
            "_host",
            "X-Envoy-A",
        ] {
            assert!(is_owned(name.as_bytes()), "{name}");
        }
        for name in ["accept", "client-certificates", "x-forwarded"] {
            assert!(!is_owned(name.as_bytes()), "{name}");
        }
    }
}
