//! Every header field the edge owns, and what becomes of a field a client sent (R-4, R-5b, R-6).

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use core::cell::LazyCell;
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

/// A field name as the edge compares it: lower case, every run of bytes that are no letters or
/// digits as one `-`.
///
/// Origins that put headers into environment variables (CGI, RFC 3875 section 4.1.18; WSGI, PHP)
/// read `client_certificate` and `client-certificate` alike, so the edge does too.
fn fold(name: &[u8]) -> impl Iterator<Item = u8> {
    // A name does not start with a separator that anybody would see.
    let mut last = b'-';
    name.iter().filter_map(move |byte| {
        let folded = match byte {
            b'a'..=b'z' | b'0'..=b'9' => *byte,
            b'A'..=b'Z' => byte.to_ascii_lowercase(),
            _ => b'-',
        };
        let is_repeated = folded == b'-' && last == b'-';
        last = folded;
        (!is_repeated).then_some(folded)
    })
}

/// The name in that form, which it mostly has already.
fn folded(name: &[u8]) -> Cow<'_, [u8]> {
    let mut last = b'-';
    let is_folded = name.iter().all(|byte| {
        let is_repeated = *byte == b'-' && last == b'-';
        last = *byte;
        !is_repeated && matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')
    });
    if is_folded {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(fold(name).collect())
    }
}

/// Whether two names are one name to an origin that folds them; see [`classify`].
pub fn folds_to_same(one: &[u8], other: &[u8]) -> bool {
    fold(one).eq(fold(other))
}

/// How a folded name starts; 0, which no folded name holds, where it is shorter.
type Head = [u8; 3];

fn head(name: &[u8]) -> Head {
    let mut folded = fold(name);
    [(); 3].map(|()| folded.next().unwrap_or(0))
}

/// A field name that is known, or how names of a family start.
struct Known {
    name: &'static str,
    /// That of the name: most names differ in it, which tells without folding the rest.
    head: Head,
    part: Part,
    class: FieldClass,
}

/// How much of a field name is meant.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    Start,
}

impl Known {
    const fn new(name: &'static str, part: Part, class: FieldClass) -> Self {
        let head = match name.as_bytes() {
            [first, second, third, ..] => [*first, *second, *third],
            [first, second] => [*first, *second, 0],
            _ => [0; 3],
        };
        Self {
            name,
            head,
            part,
            class,
        }
    }

    /// Whether a name is this one, or of this family; `name` is folded.
    fn is(&self, name: &[u8]) -> bool {
        match self.part {
            Part::Whole => name == self.name.as_bytes(),
            Part::Start => name.starts_with(self.name.as_bytes()),
        }
    }
}

const fn whole(name: &'static str, class: FieldClass) -> Known {
    Known::new(name, Part::Whole, class)
}

const fn start(name: &'static str, class: FieldClass) -> Known {
    Known::new(name, Part::Start, class)
}

use FieldClass::{Forwarding, HopByHop, Identity};

/// Every field that does not pass as it came, by the first letter of its name; the first that fits counts.
fn known(first: u8) -> &'static [Known] {
    match first {
        b'c' => {
            &const {
                [
                    whole(CLIENT_CERTIFICATE, Identity),
                    whole(CLIENT_CERTIFICATE_CA_VERIFIED, Identity),
                    whole(CNAME_API_KEY, Identity),
                    whole(CLIENT_CERT, Identity),
                    whole(CLIENT_CERT_CHAIN, Identity),
                    start("cert-chain", Identity),
                    // Of Cloudflare's managed transform for client certificates.
                    start("cf-cert-", Identity),
                    start("cf-client-cert-", Identity),
                    whole("cf-connecting-ip", Forwarding),
                    whole("connection", HopByHop),
                ]
            }
        }
        b'f' => &const { [whole("forwarded", Forwarding)] },
        b'h' => {
            &const {
                [
                    whole("host", FieldClass::Host),
                    whole("http2-settings", HopByHop),
                ]
            }
        }
        b'k' => &const { [whole("keep-alive", HopByHop)] },
        b'p' => &const { [whole("proxy-connection", HopByHop)] },
        b's' => &const { [start("ssl-client-", Identity)] },
        b't' => {
            &const {
                [
                    whole("te", HopByHop),
                    whole("trailer", HopByHop),
                    whole("true-client-ip", Forwarding),
                ]
            }
        }
        b'u' => &const { [whole("upgrade", HopByHop)] },
        b'x' => {
            &const {
                [
                    whole(X_FORWARDED_CLIENT_CERT, Identity),
                    start("x-forwarded-tls-client-cert", Identity),
                    start("x-forwarded-", Forwarding),
                    start("x-envoy-", Forwarding),
                    start("x-client-cert", Identity),
                    start("x-ssl-client-", Identity),
                    start("x-amzn-mtls-", Identity),
                    start("x-auth-edge-", Identity),
                    start("x-original-", Forwarding),
                    whole("x-real-ip", Forwarding),
                    whole("x-client-ip", Forwarding),
                    whole("x-azure-clientip", Forwarding),
                    whole("x-rewrite-url", Forwarding),
                    whole("x-host", Forwarding),
                ]
            }
        }
        _ => &[],
    }
}

/// What the field is, by its name alone; names a configuration adds to R-4 are not known here.
pub fn classify(name: &[u8]) -> FieldClass {
    let head = head(name);
    let folded = LazyCell::new(|| folded(name));
    let found = known(head[0]).iter().find(|known| {
        known.head == head
            && match known.class {
                // Origins fold names, connections do not: `keep_alive` belongs to nobody.
                HopByHop => name.eq_ignore_ascii_case(known.name.as_bytes()),
                _ => known.is(&folded),
            }
    });
    found.map_or(FieldClass::EndToEnd, |known| known.class)
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
