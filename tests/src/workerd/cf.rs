//! `request.cf` as Cloudflare gives it to a Worker, made from the facts of a connection.
//!
//! Its members are texts but for the two flags about sizes, and what is not there is an empty text: so it is
//! documented, and so it stands in logs that users of Cloudflare have published.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::pki::{Identity, issued_by_its_subject, thumbprint_hex};

/// The most that `certRFC9440` and `certChainRFC9440` hold, in bytes of the encoded value: 10 KiB and 16 KiB,
/// by Cloudflare's reference of the fields `cf.tls_client_auth.cert_rfc9440_too_large` and
/// `cf.tls_client_auth.cert_chain_rfc9440_too_large`.
const LEAF_LIMIT: usize = 10 * 1024;
/// See [`LEAF_LIMIT`].
const CHAIN_LIMIT: usize = 16 * 1024;

/// The members that are always texts about the certificate, empty where none was presented.
const TEXTS: [(&str, &str); 13] = [
    (
        "certIssuerDN",
        "CN=Example Client CA,O=Example Authority,C=AT",
    ),
    ("certSubjectDN", "CN=client,O=Example Clients,C=AT"),
    (
        "certIssuerDNRFC2253",
        "CN=Example Client CA,O=Example Authority,C=AT",
    ),
    ("certSubjectDNRFC2253", "CN=client,O=Example Clients,C=AT"),
    (
        "certIssuerDNLegacy",
        "/C=AT/O=Example Authority/CN=Example Client CA",
    ),
    ("certSubjectDNLegacy", "/C=AT/O=Example Clients/CN=client"),
    ("certSerial", "00936EACBE07F201DF"),
    ("certIssuerSerial", "2489002934BDFEA34"),
    (
        "certSKI",
        "BB:AF:7E:02:3D:FA:A6:F1:3C:84:8E:AD:EE:38:98:EC:D9:32:32:D4",
    ),
    (
        "certIssuerSKI",
        "BB:AF:7E:02:3D:FA:A6:F1:3C:84:8E:AD:EE:38:98:EC:D9:32:32:D4",
    ),
    (
        "certFingerprintSHA1",
        "6b9109f323999e52259cda7373ff0b4d26bd232e",
    ),
    ("certNotBefore", "Dec 22 19:39:00 2025 GMT"),
    ("certNotAfter", "Dec 22 19:39:00 2035 GMT"),
];

/// How a connection is secured.
#[derive(Clone, Copy, Debug)]
pub enum Transport<'a> {
    /// It is not.
    Plain,
    /// By TLS.
    Tls {
        /// The version: `TLSv1.2`, `TLSv1.3`.
        version: &'a str,
        /// The cipher suite as OpenSSL names it; in TLS 1.3 with `AEAD-` in place of `TLS_`.
        cipher: &'a str,
        /// What the client presented.
        presented: Option<Presented<'a>>,
    },
}

impl<'a> Transport<'a> {
    /// A connection with TLS 1.3, as most are.
    pub fn tls13(presented: Option<Presented<'a>>) -> Self {
        Self::Tls {
            version: "TLSv1.3",
            cipher: "AEAD-AES128-GCM-SHA256",
            presented,
        }
    }
}

/// A client certificate, and what Cloudflare makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The certificates in DER, leaf first.
    pub chain: &'a [Vec<u8>],
    /// `certVerified`: `SUCCESS`, or `FAILED:` with a reason.
    pub verified: &'a str,
    /// Whether a CA that Cloudflare manages has revoked it.
    pub revoked: Revoked,
}

/// See [`Presented::revoked`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revoked {
    /// It has.
    Yes,
    /// It has not, or the certificate comes from another CA.
    No,
}

impl<'a> Presented<'a> {
    /// An identity, where Cloudflare trusts the same roots as the host program of the other runners.
    pub fn by(identity: &'a Identity) -> Self {
        let verified = match (
            identity.host_verified,
            issued_by_its_subject(identity.leaf()),
        ) {
            (true, _) => "SUCCESS",
            (false, true) => "FAILED:self signed certificate",
            (false, false) => "FAILED:unable to get local issuer certificate",
        };
        Self {
            chain: &identity.chain,
            verified,
            revoked: Revoked::No,
        }
    }
}

/// What a Worker finds in `request.cf`.
pub fn cf(transport: Transport<'_>) -> Value {
    let (version, cipher, presented) = match transport {
        Transport::Plain => ("", "", None),
        Transport::Tls {
            version,
            cipher,
            presented,
        } => (version, cipher, presented),
    };
    json!({
        "httpProtocol": "HTTP/1.1",
        "tlsVersion": version,
        "tlsCipher": cipher,
        "tlsClientAuth": presented.map_or_else(nothing_presented, client_auth),
        "colo": "TST",
        "country": "AT",
        "asn": 64_496,
        "asOrganization": "Example Network",
        "clientTcpRtt": 1,
    })
}

fn nothing_presented() -> Value {
    let mut members: Map<String, Value> = TEXTS
        .iter()
        .map(|(name, _)| ((*name).to_owned(), json!("")))
        .collect();
    for (name, value) in [
        ("certPresented", json!("0")),
        ("certVerified", json!("NONE")),
        ("certRevoked", json!("0")),
        ("certFingerprintSHA256", json!("")),
        ("certRFC9440", json!("")),
        ("certRFC9440TooLarge", json!(false)),
        ("certChainRFC9440", json!("")),
        ("certChainRFC9440TooLarge", json!(false)),
    ] {
        members.insert(name.to_owned(), value);
    }
    Value::Object(members)
}

fn client_auth(presented: Presented<'_>) -> Value {
    let (leaf, others) = presented.chain.split_first().map_or_else(
        || (&[][..], &[][..]),
        |(leaf, others)| (leaf.as_slice(), others),
    );
    let encoded = |der: &Vec<u8>| format!(":{}:", STANDARD.encode(der));
    let field = format!(":{}:", STANDARD.encode(leaf));
    let chain = others.iter().map(encoded).collect::<Vec<_>>().join(", ");
    let revoked = match presented.revoked {
        Revoked::Yes => "1",
        Revoked::No => "0",
    };
    let mut auth = nothing_presented();
    for (name, text) in TEXTS {
        auth[name] = json!(text);
    }
    auth["certPresented"] = json!("1");
    auth["certVerified"] = json!(presented.verified);
    auth["certRevoked"] = json!(revoked);
    auth["certFingerprintSHA256"] = json!(thumbprint_hex(leaf));
    for (name, flag, value, limit) in [
        ("certRFC9440", "certRFC9440TooLarge", field, LEAF_LIMIT),
        (
            "certChainRFC9440",
            "certChainRFC9440TooLarge",
            chain,
            CHAIN_LIMIT,
        ),
    ] {
        auth[flag] = json!(value.len() > limit);
        auth[name] = json!(if value.len() > limit {
            String::new()
        } else {
            value
        });
    }
    auth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(chain: &[Vec<u8>]) -> Value {
        client_auth(Presented {
            chain,
            verified: "SUCCESS",
            revoked: Revoked::No,
        })
    }

    #[test]
    fn every_member_is_there_whatever_was_presented() {
        let names =
            |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        let without = cf(Transport::tls13(None));
        assert_eq!(without["tlsClientAuth"]["certPresented"], "0");
        assert_eq!(without["tlsClientAuth"]["certVerified"], "NONE");
        assert_eq!(names(&without["tlsClientAuth"]), names(&auth(&[vec![1]])));
        assert_eq!(names(&without["tlsClientAuth"]).len(), 21);
        assert_eq!(cf(Transport::Plain)["tlsVersion"], "");
    }

    #[test]
    fn certificates_are_shown_up_to_their_limits() {
        // With colons, and four bytes for three.
        let largest = |limit: usize| vec![0; (limit - 2) / 4 * 3];
        let (leaf, other) = (largest(LEAF_LIMIT), largest(CHAIN_LIMIT));
        for (chain, expected) in [
            (vec![leaf.clone(), other.clone()], (false, false)),
            (
                vec![[&leaf[..], &[0]].concat(), other.clone()],
                (true, false),
            ),
            (
                vec![leaf.clone(), [&other[..], &[0]].concat()],
                (false, true),
            ),
            (vec![leaf.clone(), other, vec![0]], (false, true)),
            (vec![leaf], (false, false)),
        ] {
            let auth = auth(&chain);
            let flags = (
                &auth["certRFC9440TooLarge"],
                &auth["certChainRFC9440TooLarge"],
            );
            assert_eq!(flags, (&json!(expected.0), &json!(expected.1)));
            assert_eq!(auth["certRFC9440"] == "", expected.0);
            let shown = !expected.1 && chain.len() > 1;
            assert_eq!(auth["certChainRFC9440"] != "", shown);
        }
    }

    #[test]
    fn the_chain_is_a_list_without_the_leaf() {
        let auth = auth(&[vec![1], vec![2], vec![3]]);
        assert_eq!(auth["certRFC9440"], ":AQ==:");
        assert_eq!(auth["certChainRFC9440"], ":Ag==:, :Aw==:");
        assert_eq!(auth["certFingerprintSHA256"], thumbprint_hex(&[1]));
    }
}
