//! What the configuration file says of client certificates, as people write it.

use alloc::vec::Vec;

use super::authorities::{IntermediateText, ListText, RootText};
use super::entries::{MAX_CERTIFICATE_FIELD_BYTES, MAX_CLOCK_SKEW_SECONDS};
use super::texts::{DnsPattern, NonEmpty, Path, Serial};
use crate::header::HeaderName;
use crate::network::Network;
use crate::wire::json::{Bounded, ConfigError, FromJson, Json, Text, choice, members, object};
use crate::wire::name::DistinguishedName;
use crate::wire::thumbprint::Thumbprint;

object! {
    /// Which client certificates are accepted.
    struct CertificatesEntry {
        /// Where the certificate of a client stands; `connection` unless given.
        source: Option<SourceEntry>,
        /// What a CA-signed certificate must fulfil; none are accepted without.
        ca_signed: Option<CaSignedEntry>,
        /// What a self-signed certificate must fulfil; none are accepted without.
        self_signed: Option<SelfSignedEntry>,
        /// Certificates that are refused whatever else is said of them.
        deny: Option<Vec<DenyEntry>>,
        /// How far a clock may be off when dates are judged, in seconds; 0 unless given.
        clock_skew_seconds: Option<Bounded<0, MAX_CLOCK_SKEW_SECONDS>>,
    }
}

/// Where the certificate of a client stands (R-4b, R-4c).
pub(super) enum SourceEntry {
    Own(OwnSource),
    Proxy(ProxyEntry),
}

impl FromJson for SourceEntry {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        match json {
            Json::Object(_) => ProxyEntry::from_json(json).map(Self::Proxy),
            _ => OwnSource::from_json(json).map(Self::Own),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [OwnSource::schema(), ProxyEntry::schema()] })
    }
}

choice! {
    /// Where the host program shows the certificate of its own connection.
    enum OwnSource {
        /// As a fact of the connection (Envoy 1.38 and newer).
        Connection = "connection",
        /// In the `x-forwarded-client-cert` that this same Envoy writes with `SANITIZE_SET` (Envoy 1.36 and 1.37).
        EnvoyXfcc = "envoy_xfcc",
    }
}

object! {
    /// A field of a trusted proxy that carries the certificate of its client.
    struct ProxyEntry {
        /// The field.
        proxy_field: Text<HeaderName>,
        /// How it carries the certificate.
        encoding: ProxyEncoding,
    }
}

choice! {
    /// How a field of a trusted proxy carries a certificate.
    enum ProxyEncoding {
        /// As Envoy writes `x-forwarded-client-cert`.
        Xfcc = "xfcc",
        /// As RFC 9440 has `Client-Cert`; its chain stands in `Client-Cert-Chain`.
        Rfc9440 = "rfc9440",
        /// PEM, URL-encoded (NGINX, AWS load balancers).
        UrlEncodedPem = "url_encoded_pem",
        /// The DER in base64 (HAProxy).
        Base64Der = "base64_der",
    }
}

object! {
    /// What a CA-signed certificate must fulfil.
    struct CaSignedEntry {
        /// Who verifies the path to a root; `edge` unless given.
        verified_by: Option<Verifier>,
        /// The certificates of the authorities trusted by themselves, each text one DER in base64 or some in PEM.
        roots: Option<Vec<RootText>>,
        /// Certificates of authorities a path may lead through, so that clients need not present them.
        intermediates: Option<Vec<IntermediateText>>,
        /// Where the intermediates stand that clients present; `none` unless given: they are not read.
        presented_chain: Option<ChainName>,
        /// Needed, with `allow`, when one of the roots is publicly trusted: anybody can get a certificate under it.
        public_ca: Option<PublicCa>,
        /// Which certificates are looked up in revocation lists; none when absent.
        crl: Option<CrlEntry>,
        /// The certificates admitted; all that verify when absent, none when empty.
        allow: Option<Vec<AllowEntry>>,
    }
}

choice! {
    /// Who verifies the path to a root.
    enum Verifier {
        /// The edge itself.
        Edge = "edge",
        /// The host program that ends TLS; session resumption must be off there.
        Host = "host",
    }
}

choice! {
    /// Where the intermediates stand that clients present.
    enum ChainName {
        /// Nowhere.
        None = "none",
        /// In the `x-forwarded-client-cert` that this same Envoy writes with `SANITIZE_SET`, `cert` and `chain`.
        EnvoyXfcc = "envoy_xfcc",
        /// Where the host program shows them as a fact of the connection (Cloudflare; Envoy and NGINX do not).
        Host = "host",
        /// In what the trusted proxy writes besides the certificate: `Chain` of `xfcc`, `Client-Cert-Chain` of `rfc9440`.
        ProxyField = "proxy_field",
    }
}

choice! {
    /// What is known of publicly trusted roots.
    enum PublicCa {
        /// Only the allow list tells the clients from everybody else.
        AcceptRisk = "accept_risk",
    }
}

object! {
    /// Revocation lists, and what they are used for.
    struct CrlEntry {
        /// Which certificates of a path are looked up.
        check: CrlCheck,
        /// The lists, each text one DER in base64 or some in PEM; of several of one issuer the newest counts. Empty only where the host program keeps lists itself (Cloudflare: D1).
        lists: Vec<ListText>,
        /// What becomes of a certificate no list speaks for; `refuse` unless given.
        unknown: Option<ToleranceName>,
        /// What becomes of a certificate whose list should have been followed by a newer one; `refuse` unless given.
        stale: Option<ToleranceName>,
    }
}

choice! {
    /// Which certificates of a path are looked up in revocation lists.
    enum CrlCheck {
        /// The client's own.
        Leaf = "leaf",
        /// The client's own and every intermediate.
        Path = "path",
    }
}

choice! {
    /// What is done where a revocation list does not say enough.
    enum ToleranceName {
        /// The certificate is refused.
        Refuse = "refuse",
        /// The certificate is taken as not revoked.
        Accept = "accept",
    }
}

/// A proxy in front of the edge.
pub(super) enum ProxyPeer {
    Network(Network),
    Certificate(ProxyCertificate),
}

impl FromJson for ProxyPeer {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        match json {
            Json::Object(_) => ProxyCertificate::from_json(json).map(Self::Certificate),
            _ => Text::from_json(json).map(|Text(network)| Self::Network(network)),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [Text::<Network>::schema(), ProxyCertificate::schema()] })
    }
}

object! {
    /// A proxy that presents a certificate to the edge, named by exactly one of `thumbprint`, `key_thumbprint`.
    struct ProxyCertificate {
        /// SHA-256 over the DER of the proxy's certificate, base64url or hex.
        thumbprint: Option<Text<Thumbprint>>,
        /// SHA-256 over the SubjectPublicKeyInfo of the proxy's certificate, base64url or hex.
        key_thumbprint: Option<Text<Thumbprint>>,
    }
}

/// What a self-signed certificate must fulfil.
pub(super) enum SelfSignedEntry {
    Registered(Vec<Text<Thumbprint>>),
    Forward,
}

impl FromJson for SelfSignedEntry {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let expected = "`forward`, or an object with the member `registered`";
        match json {
            Json::Text(text) if text == "forward" => Ok(Self::Forward),
            Json::Object(_) => {
                let registered = members(json, &["registered"])?.get("registered");
                let registered = registered.ok_or_else(|| json.unexpected(expected))?;
                Vec::from_json(registered)
                    .map(Self::Registered)
                    .map_err(|error| error.in_member("registered"))
            }
            _ => Err(json.unexpected(expected)),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [
            {
                "const": "forward",
                "description": "Every valid one is forwarded; the origin checks which client it belongs to.",
            },
            {
                "type": "object",
                "properties": { "registered": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "The SHA-256 thumbprints of the certificates accepted, base64url or hex.",
                } },
                "required": ["registered"],
                "additionalProperties": false,
            },
        ] })
    }
}

object! {
    /// A CA-signed certificate, named by exactly one of `thumbprint`, `issuer` with `serial`, `subject`, `san_dns`, `san_uri`, `san_email`.
    struct AllowEntry {
        /// SHA-256 over the certificate's DER, base64url or hex.
        thumbprint: Option<Text<Thumbprint>>,
        /// The issuer's name as RFC 4514 writes it; with `serial`.
        issuer: Option<Text<DistinguishedName>>,
        /// The serial number in hex; with `issuer`.
        serial: Option<Text<Serial>>,
        /// The subject's name as RFC 4514 writes it.
        subject: Option<Text<DistinguishedName>>,
        /// A DNS name of the subjectAltName; a leading `*.` stands for exactly one label.
        san_dns: Option<Text<DnsPattern>>,
        /// A URI of the subjectAltName, byte for byte.
        san_uri: Option<Text<NonEmpty>>,
        /// An email address of the subjectAltName, byte for byte.
        san_email: Option<Text<NonEmpty>>,
    }
}

object! {
    /// A certificate that is refused, named by exactly one of `thumbprint`, `issuer` with `serial`, `key_thumbprint`.
    struct DenyEntry {
        /// SHA-256 over the certificate's DER, base64url or hex.
        thumbprint: Option<Text<Thumbprint>>,
        /// The issuer's name as RFC 4514 writes it; with `serial`.
        issuer: Option<Text<DistinguishedName>>,
        /// The serial number in hex; with `issuer`.
        serial: Option<Text<Serial>>,
        /// SHA-256 over the SubjectPublicKeyInfo, base64url or hex.
        key_thumbprint: Option<Text<Thumbprint>>,
    }
}

object! {
    /// A path served on the mTLS alias.
    struct PathEntry {
        /// The path, compared byte for byte with the raw path of a request.
        path: Text<Path>,
        /// The kind of endpoint, which decides how refusals are answered.
        class: ClassName,
    }
}

choice! {
    /// The kind of an endpoint.
    enum ClassName {
        /// A token endpoint, or one that authenticates clients in the same way.
        Token = "token",
        /// A pushed authorization request endpoint.
        Par = "par",
        /// A protected resource, such as userinfo.
        Resource = "resource",
        /// Anything else.
        Other = "other",
    }
}

/// How the origin is told of a client certificate.
pub(super) enum HeadersEntry {
    Preset(HeadersPreset),
    Custom(CustomHeaders),
}

impl FromJson for HeadersEntry {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        match json {
            Json::Object(_) => CustomHeaders::from_json(json).map(Self::Custom),
            _ => HeadersPreset::from_json(json).map(Self::Preset),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [HeadersPreset::schema(), CustomHeaders::schema()] })
    }
}

choice! {
    /// Names and encodings of certificate headers, by who reads them.
    enum HeadersPreset {
        /// `client-certificate` (URL-encoded PEM of at most 4096 bytes) and `client-certificate-ca-verified`.
        Auth0 = "auth0",
        /// `Client-Cert` of RFC 9440; no verdict.
        Rfc9440 = "rfc9440",
        /// What Keycloak's `nginx` lookup reads: URL-encoded PEM in `ssl-client-cert`; no verdict.
        KeycloakNginx = "keycloak_nginx",
        /// What Keycloak's `haproxy` lookup reads: base64 DER in `ssl_client_cert`; no verdict.
        KeycloakHaproxy = "keycloak_haproxy",
    }
}

object! {
    /// Names and encoding of certificate headers, one by one.
    struct CustomHeaders {
        /// The field that carries the certificate.
        certificate: Text<HeaderName>,
        /// How the certificate is written.
        encoding: EncodingName,
        /// The longest value the origin takes, in bytes; 10240 unless given.
        max_bytes: Option<Bounded<1, MAX_CERTIFICATE_FIELD_BYTES>>,
        /// The field that carries `SUCCESS`, or `FAILED:` and the reason.
        verdict: Option<Text<HeaderName>>,
    }
}

choice! {
    /// How a certificate is written into a header.
    enum EncodingName {
        /// PEM with 64-column lines and a final newline, as `encodeURIComponent` encodes it.
        UrlEncodedPem = "url_encoded_pem",
        /// `:BASE64:` of RFC 9440.
        Rfc9440 = "rfc9440",
        /// The DER in base64.
        Base64Der = "base64_der",
    }
}
