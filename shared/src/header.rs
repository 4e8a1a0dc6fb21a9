//! Every header field the edge owns, and what becomes of a field a client sent (R-4, R-5b, R-6).

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// The leaf certificate as URL-encoded PEM.
pub const CLIENT_CERTIFICATE: &str = "client-certificate";
/// `SUCCESS`, or `FAILED:` and the reason.
pub const CLIENT_CERTIFICATE_CA_VERIFIED: &str = "client-certificate-ca-verified";
/// The API key of the custom domain.
pub const CNAME_API_KEY: &str = "cname-api-key";
/// The leaf certificate as RFC 9440 section 2.2 writes it.
pub const CLIENT_CERT: &str = "client-cert";
/// The chain of the certificate as RFC 9440 section 2.3 writes it.
pub const CLIENT_CERT_CHAIN: &str = "client-cert-chain";
/// The certificate of a TLS client as Envoy writes it (R-4c).
pub const X_FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";
/// The client's address.
pub const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// Which of several origins the request is for (R-6b); the host program removes it.
pub const X_AUTH_EDGE_ORIGIN: &str = "x-auth-edge-origin";
/// The scheme of the client's request.
pub const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
/// The host name of the client's request.
pub const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// The fields that a host program replaces which can only replace fields by name: NGINX, whose
/// shipped configuration sets each of them, to a value of the edge's or to nothing.
///
/// Any other field that must not reach the origin refuses the request there.
pub const REPLACED_BY_NAME: &[&str] = &[
    CLIENT_CERTIFICATE,
    CLIENT_CERTIFICATE_CA_VERIFIED,
    CNAME_API_KEY,
    CLIENT_CERT,
    CLIENT_CERT_CHAIN,
    "cert-chain",
    X_FORWARDED_CLIENT_CERT,
    "x-forwarded-tls-client-cert",
    "x-forwarded-tls-client-cert-info",
    "x-client-cert",
    "x-client-cert-chain",
    "x-client-certificate",
    "x-ssl-client-cert",
    "x-ssl-client-dn",
    "x-ssl-client-s-dn",
    "x-ssl-client-verify",
    "ssl-client-cert",
    "ssl-client-s-dn",
    "ssl-client-subject-dn",
    "ssl-client-verify",
    "x-amzn-mtls-clientcert",
    "x-amzn-mtls-clientcert-leaf",
    "cf-client-cert-der-base64",
    X_AUTH_EDGE_ORIGIN,
    "x-auth-edge-tenant",
    "forwarded",
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
    "x-azure-clientip",
    "x-host",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-envoy-external-address",
    "x-envoy-original-path",
];

/// The fields of a connection and the host, which such a host program writes itself.
pub const WRITTEN_BY_HOST_PROGRAM: &[&str] = &[
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// What a field that came from outside is to the edge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldClass {
    /// Says who the client is, so only the edge may say it: removed and counted.
    Identity,
    /// Says where the request came from, so only the edge may say it: removed.
    Forwarding,
    /// Belongs to one connection: removed (R-5b, RFC 9110 section 7.6.1).
    HopByHop,
    /// Names the host; the upstream authority takes its place.
    Host,
    /// Anything else: forwarded as it came.
    EndToEnd,
}

/// The longest name the tables below hold; a longer one can still match a prefix.
const LONGEST_KNOWN: usize = 40;

/// A field name as the edge compares it: lower case, every run of bytes that are no letters or
/// digits as one `-`.
///
/// Origins that put headers into environment variables (CGI, RFC 3875 section 4.1.18; WSGI, PHP)
/// read `client_certificate` and `client-certificate` alike, so the edge does too.
struct Folded {
    bytes: [u8; LONGEST_KNOWN],
    shown: usize,
    is_whole: bool,
}

impl Folded {
    fn new(name: &[u8]) -> Self {
        let mut bytes = [0; LONGEST_KNOWN];
        let mut folded = fold(name);
        let mut shown = 0_usize;
        for (to, from) in bytes.iter_mut().zip(&mut folded) {
            *to = from;
            shown = shown.saturating_add(1);
        }
        Self {
            bytes,
            shown,
            is_whole: folded.next().is_none(),
        }
    }

    /// The first bytes of the name, all of them unless it is longer than any name known.
    fn start(&self) -> &[u8] {
        self.bytes.get(..self.shown).unwrap_or_default()
    }

    fn whole(&self) -> Option<&[u8]> {
        self.is_whole.then(|| self.start())
    }
}

fn fold(name: &[u8]) -> impl Iterator<Item = u8> {
    // A name does not start with a separator that anybody would see.
    let mut after_separator = true;
    name.iter().filter_map(move |byte| {
        let is_separator = !byte.is_ascii_alphanumeric();
        let is_repeated = is_separator && after_separator;
        after_separator = is_separator;
        let folded = if is_separator {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        };
        (!is_repeated).then_some(folded)
    })
}

/// Whether two names are one name to an origin that folds them; see [`classify`].
pub fn folds_to_same(one: &[u8], other: &[u8]) -> bool {
    fold(one).eq(fold(other))
}

/// What the field is, by its name alone; names a configuration adds to R-4 are not known here.
pub fn classify(name: &[u8]) -> FieldClass {
    let folded = Folded::new(name);
    if let Some(whole) = folded.whole() {
        match whole {
            b"client-certificate"
            | b"client-certificate-ca-verified"
            | b"cname-api-key"
            | b"client-cert"
            | b"client-cert-chain"
            | b"x-forwarded-client-cert" => return FieldClass::Identity,
            b"forwarded" | b"x-real-ip" | b"true-client-ip" | b"cf-connecting-ip"
            | b"x-client-ip" | b"x-azure-clientip" | b"x-rewrite-url" | b"x-host" => {
                return FieldClass::Forwarding;
            }
            b"connection" | b"keep-alive" | b"proxy-connection" | b"te" | b"trailer"
            | b"upgrade" | b"http2-settings"
                // Origins fold names, connections do not: `keep_alive` belongs to nobody.
                if name.eq_ignore_ascii_case(whole) =>
            {
                return FieldClass::HopByHop;
            }
            b"host" => return FieldClass::Host,
            _ => {}
        }
    }
    let start = folded.start();
    let identity: [&[u8]; 8] = [
        b"cert-chain",
        b"x-forwarded-tls-client-cert",
        b"x-client-cert",
        b"x-ssl-client-",
        b"ssl-client-",
        b"x-amzn-mtls-",
        b"cf-client-cert-",
        b"x-auth-edge-",
    ];
    let forwarding: [&[u8]; 3] = [b"x-forwarded-", b"x-original-", b"x-envoy-"];
    if identity.iter().any(|prefix| start.starts_with(prefix)) {
        FieldClass::Identity
    } else if forwarding.iter().any(|prefix| start.starts_with(prefix)) {
        FieldClass::Forwarding
    } else {
        FieldClass::EndToEnd
    }
}

/// A field name the edge may set: lower case, a token (RFC 9110 section 5.6.2) of at most 64 bytes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct HeaderName(String);

/// The text is no field name the edge may set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidHeaderName(&'static str);

impl HeaderName {
    /// A name this crate knows to be one.
    pub(crate) fn from_known(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderName {
    type Err = InvalidHeaderName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > 64 {
            return Err(InvalidHeaderName("not 1 to 64 bytes long"));
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        {
            return Err(InvalidHeaderName(
                "a byte that is no letter, digit, hyphen or underscore",
            ));
        }
        let name = text.to_owned().to_ascii_lowercase();
        let framing = [
            "content-length",
            "transfer-encoding",
            "authorization",
            "cookie",
            "content-type",
            "expect",
            "set-cookie",
        ];
        if framing
            .iter()
            .any(|field| folds_to_same(field.as_bytes(), name.as_bytes()))
            || matches!(
                classify(name.as_bytes()),
                FieldClass::Host | FieldClass::HopByHop
            )
        {
            return Err(InvalidHeaderName("a field of the message itself"));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for InvalidHeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidHeaderName {}

/// Whether the byte may stand in a token (RFC 9110 section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: FieldClass) {
        assert_eq!(classify(name.as_bytes()), expected, "{name}");
    }

    #[test]
    fn identity_fields_are_known_in_every_spelling() {
        for name in [
            "client-certificate",
            "Client-Certificate",
            "CLIENT_CERTIFICATE",
            "client.certificate",
            "client--certificate",
            "Client_-_Certificate",
            "client-certificate-ca-verified",
            "cname-api-key",
            "cname_api_key",
            "client-cert",
            "client-cert-chain",
            "cert-chain",
            "cert-chain-1",
            "x-forwarded-client-cert",
            "X_Forwarded-Client_Cert",
            "x-forwarded-tls-client-cert",
            "x-forwarded-tls-client-cert-info",
            "x-client-cert",
            "x-client-certificate-serial",
            "x-ssl-client-verify",
            "ssl-client-cert",
            "SSL_CLIENT_S_DN",
            "x-amzn-mtls-clientcert-leaf",
            "cf-client-cert-der-base64",
            "x-auth-edge-anything-however-long-the-name-may-become-it-is-known",
        ] {
            check(name, FieldClass::Identity);
        }
    }

    #[test]
    fn the_forwarding_family_is_known() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded-proto",
            "x-forwarded-anything",
            "x-real-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "x-client-ip",
            "x-azure-clientip",
            "x-original-url",
            "x-rewrite-url",
            "x-host",
            "x-envoy-original-path",
        ] {
            check(name, FieldClass::Forwarding);
        }
    }

    #[test]
    fn other_fields_are_left_alone() {
        for name in [
            "client-certificates",
            "client-certificate-",
            "client",
            "my_own_header",
            "auth0-forwarded-for",
            "authorization",
            "cookie",
            "content-length",
            "transfer-encoding",
            "x-forwarded",
            "xforwarded-for",
            "dpop",
            "keep_alive",
            "proxy.connection",
            "te-",
            "",
        ] {
            check(name, FieldClass::EndToEnd);
        }
    }

    #[test]
    fn names_of_the_message_itself_cannot_be_configured() {
        for text in [
            "",
            "a b",
            "a:b",
            "host",
            "Content_Length",
            "connection",
            "Cookie",
        ] {
            assert!(text.parse::<HeaderName>().is_err(), "{text}");
        }
        let name: HeaderName = "SSL_Client-Cert".parse().unwrap();
        assert_eq!(name.as_str(), "ssl_client-cert");
    }
}
