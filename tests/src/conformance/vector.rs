//! A vector as it stands in its file, and what it means with the certificates of this run.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::pki::{Pki, encode_uri_component, pem, thumbprint_base64url, thumbprint_hex};
use crate::wire::WireRequest;

use super::facts::{Shows, XFCC, Xfcc};

/// The API key every configuration of the vectors reads from the environment.
pub const API_KEY_VARIABLE: &str = "ORIGIN_API_KEY";
/// A stand-in that is no key of anybody.
pub const API_KEY: &str = "test-only-api-key";
/// The sealing key `2026-11` of the vectors that have one: the bytes 80 to 9f, which protect nothing.
///
/// What is sealed in the vectors was made by libsodium, by way of PyNaCl 1.6.2, and is [`API_KEY`].
pub const SEALING_KEY: (&str, &str) =
    ("SEALING_KEY", "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8");
/// The sealing key `2027-05`: the bytes a0 to bf.
pub const NEXT_SEALING_KEY: (&str, &str) = (
    "NEXT_SEALING_KEY",
    "oKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr8",
);
/// Everything that a host program's environment holds for the vectors: names and values.
pub const SECRETS: [(&str, &str); 3] = [(API_KEY_VARIABLE, API_KEY), SEALING_KEY, NEXT_SEALING_KEY];
/// The origin's host name in every configuration of the vectors.
pub const ORIGIN: &str = "origin.example.test";

/// What the environment holds under this name.
pub fn secret(name: &str) -> Option<String> {
    let mut secrets = SECRETS.iter();
    secrets.find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
}

/// One behaviour: a request under a configuration, and what becomes of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// The claim, from the file's name; with the folder in front.
    #[serde(skip)]
    pub name: String,
    /// The rule it belongs to: `R-11`.
    pub rule: String,
    /// Why it is so, where the claim does not say.
    #[serde(default)]
    pub why: Option<String>,
    /// The name of a file under `configs/`.
    #[serde(default = "base")]
    pub config: String,
    /// Changes to it: a value for each JSON pointer (RFC 6901).
    #[serde(default)]
    pub patch: BTreeMap<String, Value>,
    /// What the host program does with `x-forwarded-client-cert`; unless given, what the
    /// configuration needs.
    #[serde(default)]
    pub xfcc: Option<Xfcc>,
    /// What is sent.
    pub request: Request,
    /// What becomes of it.
    pub expect: Expect,
    /// How the hosts named here depart from that.
    #[serde(default)]
    pub hosts: BTreeMap<HostName, Departure>,
}

fn base() -> String {
    "base".into()
}

/// A host program and the protocol it is spoken to in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
pub enum HostName {
    /// Envoy over HTTP/1.1.
    #[serde(rename = "envoy_http1")]
    EnvoyHttp1,
    /// Envoy over HTTP/2.
    #[serde(rename = "envoy_http2")]
    EnvoyHttp2,
    /// NGINX, over HTTP/1.1; a fake of it.
    #[serde(rename = "nginx")]
    Nginx,
    /// workerd, with what Cloudflare tells a Worker.
    #[serde(rename = "workerd")]
    Workerd,
}

/// How a host program departs from what the core decides, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Departure {
    /// The host program takes something away before the edge sees it; what counts is what reaches
    /// the origin, so the expectation here replaces the other.
    Consumed {
        /// What it takes away.
        why: String,
        /// What becomes of the request then.
        expect: Expect,
    },
    /// The host program answers itself; nothing may reach the origin.
    AnsweredByHost {
        /// Why it does.
        why: String,
        /// The class of the status, `4` for 4xx; 0 when it closes the connection or resets the stream.
        class: u16,
    },
    /// The request cannot be written in this protocol.
    NotExpressible {
        /// What cannot.
        why: String,
    },
}

/// A request as it is written on the wire. Texts hold one byte for each character up to U+00FF.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The client certificate: a name of the test certificates; none when absent.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The TLS server name; the authority's host unless given, none sent for null.
    #[serde(default, deserialize_with = "some")]
    pub server_name: Option<Option<String>>,
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// The request target.
    pub target: String,
    /// The authority; none is written for null.
    #[serde(default = "alias")]
    pub authority: Option<String>,
    /// The header fields.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The trailer fields; the body is then sent in chunks.
    #[serde(default)]
    pub trailers: Vec<(String, String)>,
    /// The body.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether the connection is without TLS.
    #[serde(default)]
    pub plain: bool,
    /// Whether the connection is of TLS 1.2; it is of TLS 1.3 otherwise.
    #[serde(default)]
    pub tls12: bool,
}

fn some<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn get() -> String {
    "GET".into()
}

fn alias() -> Option<String> {
    Some("mtls.login.example.test".into())
}

/// What becomes of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Expect {
    /// The origin gets it.
    Forward(Forward),
    /// The edge answers it in the origin's place.
    Respond(Respond),
    /// The edge refuses it.
    Refuse(Refuse),
}

/// What the client is answered in the origin's place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// Header fields, each of which has to be there once.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body as text; none with `json`.
    #[serde(default)]
    pub body: String,
    /// The body as JSON.
    #[serde(default)]
    pub json: Option<Value>,
}

/// What reaches the origin. Besides the fields named here, exactly `cname-api-key`,
/// `x-forwarded-for`, `x-forwarded-proto` and `x-forwarded-host` do, and what frames the message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// The header fields; `${...}` as in configurations.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The certificate in `client-certificate`, with the verdict in its field.
    #[serde(default)]
    pub certificate: Option<(String, String)>,
    /// Fields of the four above that have another value; null where one is absent.
    #[serde(default)]
    pub instead: BTreeMap<String, Option<String>>,
    /// The request target at the origin, where it is not the one that was sent.
    #[serde(default)]
    pub target: Option<String>,
    /// The code of what would have refused the request, where that is only watched.
    #[serde(default)]
    pub shadow: Option<String>,
}

/// What the client is answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// The stable code.
    pub code: String,
    /// The status.
    pub status: u16,
    /// The `error` member; `invalid_request` unless given.
    #[serde(default = "invalid_request")]
    pub error: String,
    /// The methods in `allow`, where they are not those that are forwarded.
    #[serde(default)]
    pub allow: Option<String>,
    /// The challenges in `www-authenticate`.
    #[serde(default)]
    pub challenges: Vec<String>,
    /// A text the description must hold.
    #[serde(default)]
    pub description: Option<String>,
}

fn invalid_request() -> String {
    "invalid_request".into()
}

/// The bytes of a text of a vector.
///
/// # Errors
/// When a character is above U+00FF.
pub fn bytes(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let byte = |character| {
        u8::try_from(character).map_err(|_| format!("`{text}` holds a character above U+00FF"))
    };
    Ok(text.chars().map(byte).collect::<Result<_, _>>()?)
}

impl Request {
    /// The request as it is written, with the certificates of this run filled in.
    ///
    /// # Errors
    /// When a text holds a character that is no byte, or names an unknown certificate.
    pub fn wire(&self, pki: &Pki) -> Result<WireRequest, Box<dyn Error>> {
        let fields = |fields: &[(String, String)]| {
            let field = |(name, value): &(String, String)| {
                Ok((bytes(name)?, bytes(&filled_in(value, pki)?)?))
            };
            fields
                .iter()
                .map(field)
                .collect::<Result<_, Box<dyn Error>>>()
        };
        Ok(WireRequest {
            method: bytes(&self.method)?,
            target: bytes(&self.target)?,
            authority: self.authority.as_deref().map(bytes).transpose()?,
            headers: fields(&self.headers)?,
            trailers: fields(&self.trailers)?,
            body: self.body.as_deref().map(bytes).transpose()?,
        })
    }

    /// The TLS server name to send.
    pub fn server_name(&self) -> Option<&str> {
        match &self.server_name {
            Some(given) => given.as_deref(),
            None => self
                .authority
                .as_deref()
                .and_then(|name| name.split(':').next()),
        }
    }
}

impl Vector {
    /// How a host program that shows this much is set up for the vector.
    ///
    /// # Errors
    /// When the configuration's file cannot be read or names something unknown.
    pub fn setup(&self, pki: &Pki, shows: Shows) -> Result<Setup, Box<dyn Error>> {
        let mut config = self.patched()?;
        if shows == Shows::Digest {
            read_own_field(&mut config);
        }
        Ok(Setup {
            xfcc: self.xfcc.unwrap_or_else(|| needed_xfcc(&config)),
            config: filled_in(&config.to_string(), pki)?,
            plain: self.request.plain,
        })
    }

    /// Whether the configuration asks for a fact that a host program which shows this much lacks: its
    /// verdict, or the certificate of a proxy that is known by it.
    ///
    /// # Errors
    /// When the configuration's file cannot be read.
    pub fn asks_for_more_than(&self, shows: Shows) -> Result<bool, Box<dyn Error>> {
        let config = self.patched()?;
        let lacks_verdict = shows != Shows::Verdict && policies(&config).any(is_verified_by_host);
        let lacks_certificate = shows == Shows::Digest && knows_proxy_by_certificate(&config);
        Ok(lacks_verdict || lacks_certificate)
    }

    fn patched(&self) -> Result<Value, Box<dyn Error>> {
        let path = folder("configs").join(format!("{}.json", self.config));
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut config: Value = serde_json::from_str(&text)?;
        for (pointer, value) in &self.patch {
            let (parent, member) = pointer
                .rsplit_once('/')
                .ok_or("a pointer without a slash")?;
            let parent = config.pointer_mut(parent).and_then(Value::as_object_mut);
            let parent = parent.ok_or_else(|| format!("{}: no `{pointer}`", self.name))?;
            parent.insert(member.to_owned(), value.clone());
        }
        Ok(config)
    }
}

/// How a host program is set up.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Setup {
    /// The edge's configuration, complete, as text.
    pub config: String,
    /// What becomes of `x-forwarded-client-cert` before the edge.
    pub xfcc: Xfcc,
    /// Whether it speaks without TLS.
    pub plain: bool,
}

/// What a configuration says of client certificates, once for each place that says it.
fn policies(config: &Value) -> impl Iterator<Item = &Value> {
    let hosts = config["hosts"].as_array().map_or(&[][..], Vec::as_slice);
    let places = hosts.iter().chain([&config["defaults"]]);
    let policies = ["/client_certificates", "/shadow/client_certificates"];
    places.flat_map(move |place| policies.into_iter().filter_map(|it| place.pointer(it)))
}

fn is_verified_by_host(policy: &Value) -> bool {
    policy["ca_signed"]["verified_by"] == "host"
}

fn knows_proxy_by_certificate(config: &Value) -> bool {
    let hosts = config["hosts"].as_array().map_or(&[][..], Vec::as_slice);
    let proxies = hosts
        .iter()
        .filter_map(|host| host["trusted_proxies"].as_array());
    proxies.flatten().any(Value::is_object)
}

/// Makes a configuration one for a host program that shows certificates in its own field only.
///
/// With `verified_by: host` there is no such configuration.
fn read_own_field(config: &mut Value) {
    let mut places = Vec::new();
    if let Some(hosts) = config.get("hosts").and_then(Value::as_array) {
        places.extend((0..hosts.len()).map(|index| format!("/hosts/{index}")));
    }
    places.push("/defaults".into());
    let policies = ["client_certificates", "shadow/client_certificates"];
    let places = places
        .iter()
        .flat_map(|place| policies.map(|policy| format!("{place}/{policy}")));
    for place in places {
        if let Some(policy) = config.pointer_mut(&place)
            && !is_verified_by_host(policy)
            && policy.get("source").is_none()
        {
            policy["source"] = Value::from("envoy_xfcc");
        }
    }
}

/// What a host program has to do with its field so that the configuration works.
fn needed_xfcc(config: &Value) -> Xfcc {
    let reads_own = |policy: &Value| {
        policy["source"] == "envoy_xfcc" || policy["ca_signed"]["presented_chain"] == "envoy_xfcc"
    };
    let reads_proxys = |policy: &Value| policy["source"]["proxy_field"] == XFCC;
    if policies(config).any(reads_own) {
        Xfcc::Written
    } else if policies(config).any(reads_proxys) {
        Xfcc::Passed
    } else {
        Xfcc::Removed
    }
}

/// Fills in `${KIND:NAME}`, where `KIND` is
///
/// - of the certificate `NAME`: `thumbprint` (base64url), `hex`, `colons`, `key_thumbprint`, `serial`,
///   `der` (base64) or `pem` (URL-encoded);
/// - of all that `NAME` presents, leaf first: `chain` (PEM, URL-encoded);
/// - of the authority `NAME`: `authority` (base64 DER);
/// - of the revocation list `NAME`: `crl` (base64 DER);
/// - `days`: the time so many days after this run began, in UTC.
///
/// # Errors
/// When the kind or the name is unknown.
pub fn filled_in(text: &str, pki: &Pki) -> Result<String, Box<dyn Error>> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (placeholder, left) = after.split_once('}').ok_or("a `${` without its `}`")?;
        let (kind, name) = placeholder
            .split_once(':')
            .ok_or("a `${...}` without a colon")?;
        filled.push_str(before);
        filled.push_str(&value(kind, name, pki)?);
        rest = left;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn value(kind: &str, name: &str, pki: &Pki) -> Result<String, Box<dyn Error>> {
    match kind {
        "authority" => Ok(STANDARD.encode(pki.authority(name)?.der())),
        "days" => {
            let days: i64 = name.parse()?;
            let time = pki.generated_at() + days * 86_400;
            let time = Duration::from_secs(u64::try_from(time)?);
            Ok(der::DateTime::from_unix_duration(time)?.to_string())
        }
        "crl" => Ok(STANDARD.encode(pki.revocation_list(name)?)),
        "chain" => Ok(encode_uri_component(&pki.get(name)?.chain_pem())),
        _ => facts(kind, pki.get(name)?.leaf()),
    }
}

fn facts(kind: &str, der: &[u8]) -> Result<String, Box<dyn Error>> {
    let leaf = || auth_edge::certificate::LeafCert::parse(der.to_vec());
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
    };
    Ok(match kind {
        "thumbprint" => thumbprint_base64url(der),
        "hex" => thumbprint_hex(der),
        "colons" => {
            let digits = thumbprint_hex(der).to_uppercase();
            let pairs = digits.as_bytes().chunks(2).map(String::from_utf8_lossy);
            pairs.collect::<Vec<_>>().join(":")
        }
        "key_thumbprint" => leaf()?.key_thumbprint().to_string(),
        "serial" => hex(leaf()?.serial()).join(":"),
        "der" => STANDARD.encode(der),
        "pem" => encode_uri_component(&pem(der, "CERTIFICATE")),
        other => return Err(format!("`{other}` is no fact of a certificate").into()),
    })
}

/// Every vector, by name.
///
/// # Errors
/// When a file cannot be read, or is no vector.
pub fn all() -> Result<Vec<Vector>, Box<dyn Error>> {
    let mut vectors = Vec::new();
    let root = folder("vectors");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                vectors.push(read(&path, &root)?);
            }
        }
    }
    vectors.sort_by(|one: &Vector, other| one.name.cmp(&other.name));
    Ok(vectors)
}

fn read(path: &Path, root: &Path) -> Result<Vector, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let vector: Vector =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = path.strip_prefix(root)?.with_extension("");
    Ok(Vector {
        name: name.to_string_lossy().into_owned(),
        ..vector
    })
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_for_what_was_made() {
        let pki = Pki::generate().unwrap();
        let client = pki.get("ca_client_via_intermediate").unwrap();
        for (text, expected) in [
            ("none", "none".to_owned()),
            (
                "a${der:ca_client_via_intermediate}b",
                format!("a{}b", STANDARD.encode(client.leaf())),
            ),
            (
                "${authority:ca}:${authority:intermediate}",
                format!(
                    "{}:{}",
                    STANDARD.encode(pki.authority("ca").unwrap().der()),
                    STANDARD.encode(&client.chain[1]),
                ),
            ),
            (
                "${crl:ca}",
                STANDARD.encode(pki.revocation_list("ca").unwrap()),
            ),
            (
                "${chain:ca_client_via_intermediate}",
                encode_uri_component(&client.chain_pem()),
            ),
            (
                "${pem:ca_client_via_intermediate}",
                encode_uri_component(&client.leaf_pem()),
            ),
        ] {
            assert_eq!(filled_in(text, &pki).unwrap(), expected, "{text}");
        }
        for text in [
            "${authority:nobody}",
            "${crl:nobody}",
            "${chain:nobody}",
            "${der:nobody}",
            "${unknown:ca_client}",
            "${ca_client}",
            "${der:ca_client",
        ] {
            assert!(filled_in(text, &pki).is_err(), "{text}");
        }
    }
}
