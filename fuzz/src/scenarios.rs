//! The configurations that requests are decided under.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use auth_edge::Config;
use auth_edge::certificate::LeafCert;
use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::config_json;
use auth_edge::wire::thumbprint::Thumbprint;
use serde_json::{Value, json};

use crate::{authority, corpus};

/// The mTLS alias of every configuration here.
pub const ALIAS: &str = "mtls.login.example.test";
/// The variable that holds the API key.
pub const API_KEY_VARIABLE: &str = "ORIGIN_API_KEY";
/// Stands for an API key; no output may hold it.
pub const API_KEY: &str = "xq7notarealkey";
/// The variable that holds a sealing key.
pub const SEALING_KEY_VARIABLE: &str = "SEALING_KEY";
/// Stands for a sealing key; no output may hold it.
pub const SEALING_KEY: &str = "xq7notarealsealingkeyAAAAAAAAAAAAAAAAAAAAAA";

/// A configuration and the letter that inputs call it by.
pub struct Scenario {
    /// The letter.
    pub letter: u8,
    /// The configuration.
    pub config: Config,
    /// Whether it holds the root's list of revoked certificates, and nothing but that list says so.
    pub revokes: Revokes,
    /// The root that signs what an input asks for.
    pub root: Vec<u8>,
}

/// What a configuration says of revoked certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revokes {
    /// Nothing.
    Nothing,
    /// A leaf with the serial number [`crate::authority::REVOKED`] of the root is revoked.
    OfTheRoot,
}

/// The letters of all, in their order.
pub const ALL: &[u8] = b"abcdefghijklmnop";

thread_local! {
    static SCENARIOS: Vec<Scenario> = ALL.iter().map(|letter| made(*letter)).collect();
}

/// Calls `use_it` with the configuration at this place of [`ALL`].
pub fn with<R>(place: usize, use_it: impl FnOnce(&Scenario) -> R) -> R {
    SCENARIOS.with(|all| use_it(&all[place % all.len()]))
}

/// The place of a letter; another byte stands for one of them too.
pub fn place(letter: Option<u8>) -> usize {
    let letter = letter.unwrap_or(b'a');
    let known = ALL.iter().position(|known| *known == letter);
    known.unwrap_or(usize::from(letter) % ALL.len())
}

/// A time at which the fixtures are good: one day after they began to be.
pub fn base_time() -> u64 {
    thread_local! {
        static BASE: u64 = {
            let leaf = LeafCert::parse(CA_CLIENT.clone());
            let leaf = leaf.unwrap_or_else(|why| panic!("the fixture is no certificate: {why}"));
            leaf.validity().not_before + 86_400
        };
    }
    BASE.with(|base| *base)
}

/// A certificate that an authority issued.
pub static CA_CLIENT: LazyLock<Vec<u8>> = LazyLock::new(|| fixture("ca_client"));
/// A certificate that signed itself.
pub static SELF_SIGNED: LazyLock<Vec<u8>> = LazyLock::new(|| fixture("self_signed"));

/// Whether a certificate of the test PKI is one that the authorities in the configurations issued, by
/// the part of it that is signed.
pub fn is_issued(signed: &[u8]) -> bool {
    static ISSUED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let file = corpus::root().join("fixtures/issued.txt");
        let text = fs::read_to_string(&file);
        let text = text.unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        text.lines().map(str::to_owned).collect()
    });
    ISSUED.contains(&Thumbprint::of(signed).to_hex())
}

/// A file of `fixtures/`.
fn fixture(name: &str) -> Vec<u8> {
    let file = corpus::root().join("fixtures").join(format!("{name}.der"));
    fs::read(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

/// The API key and the sealing key under their names, as a host program's secrets give them.
pub fn secrets(name: &str) -> Option<String> {
    match name {
        API_KEY_VARIABLE => Some(API_KEY.to_owned()),
        SEALING_KEY_VARIABLE => Some(SEALING_KEY.to_owned()),
        _ => None,
    }
}

/// Every configuration as a file, with its letter.
pub fn files() -> impl Iterator<Item = (u8, String)> {
    ALL.iter()
        .map(|letter| (*letter, format!("{:#}\n", written(*letter))))
}

fn written(letter: u8) -> Value {
    match letter {
        b'a' => minimal(),
        b'b' => behind_proxies(),
        b'c' => lists(),
        b'd' => configured_intermediates(),
        b'e' => presented("connection", &Value::Null),
        b'f' => presented("envoy_xfcc", &revocation("path", "refuse", "refuse")),
        b'g' => presented("connection", &revocation("leaf", "accept", "accept")),
        b'h' => forwarded("client-cert", "rfc9440", "proxy_field"),
        b'i' => forwarded("x-forwarded-client-cert", "xfcc", "proxy_field"),
        b'j' => forwarded("x-ssl-client-cert", "url_encoded_pem", "none"),
        b'k' => forwarded("ssl-client-cert", "base64_der", "none"),
        b'l' => verified_by_host_and_lists(),
        b'm' => limited(),
        b'n' => dated_ahead(&authority::revocation_list(), "refuse"),
        b'o' => dated_ahead(&after_next(), "accept"),
        _ => dated_ahead(&after_next(), "refuse"),
    }
}

fn made(letter: u8) -> Scenario {
    let json = written(letter);
    let config = config_json::parse(json.to_string().as_bytes(), 0, &secrets)
        .unwrap_or_else(|why| panic!("the configuration `{}`: {why}", char::from(letter)));
    let revokes = match letter {
        b'f' | b'g' | b'l'..=b'p' => Revokes::OfTheRoot,
        _ => Revokes::Nothing,
    };
    Scenario {
        letter,
        config,
        revokes,
        root: match letter {
            b'm' => authority::limited_root(),
            _ => authority::root(),
        },
    }
}

fn file(hosts: &Value) -> Value {
    json!({ "version": 1, "hosts": hosts })
}

/// Auth0's fields, both kinds of certificates.
fn minimal() -> Value {
    file(&json!([{
        "custom_domain": "login.example.test",
        "origin": { "host": "origin.example.test", "api_key": { "env": API_KEY_VARIABLE } },
        "client_certificates": {
            "ca_signed": { "verified_by": "host" },
            "self_signed": "forward",
        },
    }]))
}

/// Names and encodings of its own, proxies in front, preflights, a tenant, a second host.
fn behind_proxies() -> Value {
    file(&json!([
        {
            "custom_domain": "login.example.test",
            "profile": "generic",
            "origin": { "host": "origin.example.test:8443", "matches": "thumbprints_only" },
            "certificate_headers": "rfc9440",
            "cors_preflight": "forward",
            "trusted_proxies": ["192.0.2.0/24", "2001:db8::/32"],
            "client_ip_header": "x-real-ip",
            "tenant_header": "x-tenant",
            "tenant": "tenant-1",
            "mtls_paths": [
                { "path": "/oauth/token", "class": "token" },
                { "path": "/me", "class": "resource" },
            ],
            "client_certificates": {
                "ca_signed": { "verified_by": "host" },
                "self_signed": "forward",
                "clock_skew_seconds": 60,
            },
        },
        {
            "custom_domain": "other.example.test",
            "profile": "generic",
            "origin": { "host": "origin.example.test" },
            "mtls": "off",
        },
    ]))
}

/// Everything that can be listed.
fn lists() -> Value {
    let self_signed = LeafCert::parse(SELF_SIGNED.clone());
    let registered = self_signed.map(|leaf| leaf.thumbprint().to_string());
    file(&json!([{
        "custom_domain": "login.example.test",
        "origin": { "host": "origin.example.test", "api_key": { "env": API_KEY_VARIABLE } },
        "certificate_headers": {
            "certificate": "ssl_client_cert",
            "encoding": "base64_der",
            "max_bytes": 1500,
            "verdict": "ssl_client_verify",
        },
        "client_certificates": {
            "ca_signed": {
                "verified_by": "host",
                "allow": [
                    { "san_dns": "*.clients.example.com" },
                    { "san_uri": "urn:example:client-1" },
                    { "san_email": "client-1@clients.example.com" },
                    { "subject": "CN=client-2,O=Example Clients,C=AT" },
                    { "issuer": "CN=Fuzz Root", "serial": "42" },
                ],
            },
            "self_signed": { "registered": [registered.unwrap_or_default()] },
            "deny": [
                { "issuer": "CN=Fuzz Root", "serial": "43" },
                { "thumbprint": "00:".repeat(31) + "00" },
                { "key_thumbprint": "00".repeat(32) },
            ],
        },
    }]))
}

fn base64(der: &[u8]) -> String {
    Encoding::Base64Der.encode(der)
}

/// The root that signs what an input asks for, and those of the test PKI, one of them in PEM.
fn roots() -> Value {
    let pem = Encoding::UrlEncodedPem.encode(&fixture("ca"));
    json!([base64(&authority::root()), pem, base64(&fixture("ca_rsa"))])
}

fn revocation(check: &str, unknown: &str, stale: &str) -> Value {
    json!({
        "check": check,
        "lists": [base64(&authority::revocation_list()), base64(&fixture("ca.crl"))],
        "unknown": unknown,
        "stale": stale,
    })
}

/// The edge verifies, with intermediates from the configuration and an allowance for clocks.
fn configured_intermediates() -> Value {
    file(&json!([{
        "custom_domain": "login.example.test",
        "origin": { "host": "origin.example.test", "api_key": { "env": API_KEY_VARIABLE } },
        "client_certificates": {
            "ca_signed": { "roots": roots(), "intermediates": [base64(&fixture("intermediate"))] },
            "self_signed": "forward",
            "clock_skew_seconds": 300,
        },
    }]))
}

/// The edge verifies, with the chain from the field that Envoy itself writes.
fn presented(source: &str, crl: &Value) -> Value {
    let mut ca_signed = json!({ "roots": roots(), "presented_chain": "envoy_xfcc" });
    if !crl.is_null() {
        ca_signed["crl"] = crl.clone();
    }
    file(&json!([{
        "custom_domain": "login.example.test",
        "origin": { "host": "origin.example.test", "api_key": { "env": API_KEY_VARIABLE } },
        "client_certificates": {
            "source": source,
            "ca_signed": ca_signed,
            "self_signed": "forward",
        },
    }]))
}

/// The certificate is in a field of a trusted proxy.
fn forwarded(field: &str, encoding: &str, chain: &str) -> Value {
    let proxy = LeafCert::parse(SELF_SIGNED.clone());
    let proxy = proxy.map(|leaf| leaf.thumbprint().to_string());
    file(&json!([{
        "custom_domain": "login.example.test",
        "profile": "generic",
        "origin": { "host": "origin.example.test", "matches": "thumbprints_only" },
        "certificate_headers": "rfc9440",
        "trusted_proxies": ["192.0.2.0/24", { "thumbprint": proxy.unwrap_or_default() }],
        "client_certificates": {
            "source": { "proxy_field": field, "encoding": encoding },
            "ca_signed": { "roots": roots(), "presented_chain": chain },
            "self_signed": "forward",
        },
    }]))
}

/// The host program verifies, the edge looks at lists; some are of an authority of the same name.
fn verified_by_host_and_lists() -> Value {
    let mut lists: Vec<String> = (0..3)
        .map(|index| base64(&authority::forged_list(index)))
        .collect();
    lists.push(base64(&authority::revocation_list()));
    file(&json!([{
        "custom_domain": "login.example.test",
        "origin": { "host": "origin.example.test", "api_key": { "env": API_KEY_VARIABLE } },
        "client_certificates": {
            "ca_signed": {
                "verified_by": "host",
                "roots": roots(),
                "crl": { "check": "leaf", "lists": lists, "unknown": "accept", "stale": "accept" },
            },
            "self_signed": "forward",
        },
    }]))
}

/// A root with limits of its own, its list, and no other authority.
fn limited() -> Value {
    let mut json = presented("connection", &revocation("path", "accept", "refuse"));
    let ca_signed = &mut json["hosts"][0]["client_certificates"]["ca_signed"];
    ca_signed["roots"] = json!([base64(&authority::limited_root())]);
    json
}

/// Two lists, of which one is for January 2027 only.
fn dated_ahead(list: &[u8], unknown: &str) -> Value {
    let next = authority::list_between([b"270101000000Z", b"270201000000Z"]);
    let mut crl = revocation("leaf", unknown, "refuse");
    crl["lists"] = json!([base64(list), base64(&next)]);
    presented("connection", &crl)
}

/// The list of the month after.
fn after_next() -> Vec<u8> {
    authority::list_between([b"270201000000Z", b"270301000000Z"])
}
