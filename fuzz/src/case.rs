//! A request and what it came on, read from bytes: lines of text, an empty line, certificates.
//!
//! A line is `:NAME:VALUE` for what is no header field and `NAME:VALUE` for what is one. What is not
//! said has a value with which a request is served, so that a short input gets far.
//!
//! | line | meaning | else |
//! | --- | --- | --- |
//! | `:scenario:a` | the configuration, by its letter in [`crate::scenarios`] | the first |
//! | `:method:` | the method | `POST` |
//! | `:target:` | the request target | the token endpoint |
//! | `:path:` | the path as a host program normalized it | not shown |
//! | `:authority:` | the authority; without a value there is none | the mTLS alias |
//! | `:protocol:` | the protocol of an extended CONNECT | none |
//! | `:peer:` | the address of the peer | `192.0.2.1` |
//! | `:sni:` | the TLS server name; without a value there is none | the mTLS alias |
//! | `:now:` | seconds since the fixtures were good for a day | 0 |
//! | `:at:` | seconds since 1970 | as `:now:` |
//! | `:connection:` | `p` without TLS, `0` to `7` a fact is missing | TLS |
//! | `:leaf:` | `d` the first certificate, as DER; `p` as PEM; `o` the second, as DER; `h` the digest of the first alone, `q` that of the second, `x` not even that; `m` malformed, `l` too large, `n` none | `d` if there is a certificate |
//! | `:verified:` | `y` when the host program verified it, `u` when it does not say | not verified |
//! | `:sign:` | a letter for each certificate; see [`crate::authority::Signing`] | as they are |
//! | `:shown:` | which field the certificates are put into: `x` XFCC, `r` RFC 9440, `u` URL-encoded PEM, `b` base64 | none |
//! | `:skip:` | how many certificates to pass over | 0 |
//! | `:next:` | what follows is another request, with the same certificates | |

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use auth_edge::Request;
use auth_edge::request::{
    ClientCertificate, Connection, Field, HostVerdict, MissingFact, Removal, ShownChain, Tls,
    TlsVersion, Transport,
};
use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::thumbprint::Thumbprint;

use crate::{authority, der, scenarios};

/// A part of queries and credentials that no log line and no answer may hold.
pub const MARKER: &str = "xq7secretmarker";

/// How many certificates an input can hold.
const MAX_CERTIFICATES: usize = 12;
/// How many requests an input can hold.
const MAX_REQUESTS: usize = 4;

/// A request, with all that a decision about it needs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The place of its configuration among [`scenarios::ALL`].
    pub scenario: usize,
    /// The time, in seconds since 1970.
    pub now: u64,
    /// The method.
    pub method: Vec<u8>,
    /// The request target.
    pub target: Vec<u8>,
    /// The header fields.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The certificates from the leaf on, signed as the input says.
    pub certificates: Vec<Vec<u8>>,
    /// Who signed each of them.
    pub signing: Vec<authority::Signing>,
    /// What the host program's verification said.
    pub host_verdict: HostVerdict,
    normalized_path: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    protocol: Option<Vec<u8>>,
    /// The address of the peer.
    pub peer: IpAddr,
    server_name: Option<String>,
    transport: Shown,
    leaf: Leaf,
}

/// What the host program shows of the connection.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Tls,
    Plain,
    Missing(MissingFact),
}

/// What the host program shows of the certificate.
#[derive(Clone, Copy, Debug)]
enum Leaf {
    None,
    Malformed,
    TooLarge,
    Der,
    Pem,
    Second,
    Digest,
    DigestOfSecond,
    Hidden,
}

/// The cases of an input, one or more; none when it holds the marker, which then proves nothing.
pub fn read(data: &[u8]) -> Vec<Case> {
    if data
        .windows(MARKER.len())
        .any(|window| window == MARKER.as_bytes())
    {
        return Vec::new();
    }
    let (head, tail) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &[][..]),
    };
    let (certificates, _) = der::concatenated(tail, MAX_CERTIFICATES);
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    lines
        .split(|line| line.starts_with(b":next:"))
        .take(MAX_REQUESTS)
        .map(|lines| Case::new(lines, &certificates))
        .collect()
}

impl Case {
    fn new(lines: &[&[u8]], certificates: &[&[u8]]) -> Self {
        let lines: Vec<(&[u8], &[u8])> = lines.iter().filter_map(|line| name_value(line)).collect();
        let said = |name: &str| {
            let mut lines = lines.iter();
            lines.find_map(|(found, value)| (*found == name.as_bytes()).then_some(*value))
        };
        let number = |name: &str| said(name).and_then(parsed::<i64>);
        let letter = |name: &str| said(name).and_then(|value| value.first().copied());

        let skipped = number(":skip").map_or(0, |skip| usize::try_from(skip).unwrap_or(0));
        let certificates = certificates.iter().skip(skipped);
        let mut certificates: Vec<Vec<u8>> = certificates.map(|der| der.to_vec()).collect();
        let letters = said(":sign").unwrap_or_default();
        authority::sign_all(&mut certificates, letters);
        let signing =
            (0..certificates.len()).map(|index| authority::Signing::of(letters.get(index)));
        let signing = signing.collect();

        let fields = lines.iter().filter(|(name, _)| !name.starts_with(b":"));
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = fields
            .map(|(name, value)| (name.to_vec(), marked(name, value)))
            .collect();
        if let Some(style) = letter(":shown") {
            fields.extend(certificate_fields(style, &certificates));
        }
        let mut target = said(":target").unwrap_or(b"/oauth/token").to_vec();
        if target.contains(&b'?') {
            target.extend_from_slice(MARKER.as_bytes());
        }
        let or_alias = |name: &str| match said(name) {
            None => Some(scenarios::ALIAS.as_bytes().to_vec()),
            Some([]) => None,
            Some(value) => Some(value.to_vec()),
        };
        let now = match (number(":at"), number(":now")) {
            (Some(now), _) => now as u64,
            (None, offset) => scenarios::base_time().saturating_add_signed(offset.unwrap_or(0)),
        };
        Self {
            scenario: scenarios::place(letter(":scenario")),
            now,
            method: said(":method").unwrap_or(b"POST").to_vec(),
            target,
            fields,
            leaf: leaf(letter(":leaf"), &certificates),
            certificates,
            signing,
            host_verdict: match letter(":verified") {
                Some(b'y') => HostVerdict::Verified,
                Some(b'u') => HostVerdict::Unavailable,
                _ => HostVerdict::NotVerified,
            },
            normalized_path: said(":path").map(<[u8]>::to_vec),
            authority: or_alias(":authority"),
            protocol: said(":protocol").map(<[u8]>::to_vec),
            peer: said(":peer")
                .and_then(parsed)
                .unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            server_name: or_alias(":sni").map(|name| String::from_utf8_lossy(&name).into_owned()),
            transport: shown(letter(":connection")),
        }
    }

    /// The connection, made anew: what a host program keeps of one is not shared.
    pub fn connection(&self) -> Result<Connection, MissingFact> {
        let transport = match self.transport {
            Shown::Missing(fact) => return Err(fact),
            Shown::Plain => Transport::Plain,
            Shown::Tls => Transport::Tls(Box::new(Tls {
                version: TlsVersion::Tls13,
                cipher_suite: None,
                server_name: self.server_name.clone().into(),
                presented_chain: ShownChain::NotShown,
                client_certificate: self.client_certificate(),
            })),
        };
        Ok(Connection::new(transport))
    }

    fn client_certificate(&self) -> ClientCertificate {
        let der = self.presented().to_vec();
        match self.leaf {
            Leaf::None => ClientCertificate::None,
            Leaf::Malformed => ClientCertificate::Malformed,
            Leaf::TooLarge => ClientCertificate::TooLarge,
            Leaf::Hidden => ClientCertificate::NotShown { digest: None },
            Leaf::Digest | Leaf::DigestOfSecond => ClientCertificate::NotShown {
                digest: Some(Thumbprint::of(&der)),
            },
            Leaf::Der | Leaf::Second => ClientCertificate::from_der(der, self.host_verdict),
            Leaf::Pem => {
                let pem = Encoding::UrlEncodedPem.encode(&der);
                ClientCertificate::from_pem(pem.as_bytes(), self.host_verdict)
            }
        }
    }

    /// The certificate that the client presented on the connection, whatever fields say.
    pub fn presented(&self) -> &[u8] {
        let place = match self.leaf {
            Leaf::Second | Leaf::DigestOfSecond => 1,
            _ => 0,
        };
        self.certificates.get(place).map_or(&[], Vec::as_slice)
    }

    /// The header fields as a request borrows them.
    pub fn borrowed_fields(&self) -> Vec<Field<'_>> {
        let fields = self.fields.iter();
        fields
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .collect()
    }

    /// The request.
    pub fn request<'a>(
        &'a self,
        fields: &'a [Field<'a>],
        connection: &'a Result<Connection, MissingFact>,
    ) -> Request<'a> {
        Request {
            method: &self.method,
            target: &self.target,
            normalized_path: self.normalized_path.as_deref(),
            authority: self.authority.as_deref(),
            protocol: self.protocol.as_deref(),
            fields,
            peer: self.peer,
            connection: connection.as_ref().map_err(|fact| *fact),
            removal: Removal::Any,
            acme_answer: None,
        }
    }
}

/// The two parts of a line; a field without a value has an empty one.
fn name_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().skip(1).position(|byte| *byte == b':');
    match colon {
        Some(colon) => Some((line.get(..=colon)?, line.get(colon + 2..)?)),
        None if line.is_empty() => None,
        None => Some((line, &[])),
    }
}

fn parsed<T: FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Puts the marker into what is secret; the scheme of credentials is not.
fn marked(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    let is_secret = |secret: &str| name.eq_ignore_ascii_case(secret.as_bytes());
    if is_secret("authorization") || is_secret("cookie") {
        value.push(b' ');
        value.extend_from_slice(MARKER.as_bytes());
    }
    value
}

fn shown(letter: Option<u8>) -> Shown {
    match letter {
        Some(b'p') => Shown::Plain,
        Some(b'0') => Shown::Missing(MissingFact::ConnectionId),
        Some(b'1') => Shown::Missing(MissingFact::PeerAddress),
        Some(b'2') => Shown::Missing(MissingFact::ClientCertificate),
        Some(b'3') => Shown::Missing(MissingFact::HostVerdict),
        Some(b'4') => Shown::Missing(MissingFact::Fields),
        Some(b'5') => Shown::Missing(MissingFact::Clock),
        Some(b'6') => Shown::Missing(MissingFact::CertificateDigest),
        Some(b'7') => Shown::Missing(MissingFact::ForwardedCertificate),
        _ => Shown::Tls,
    }
}

fn leaf(letter: Option<u8>, certificates: &[Vec<u8>]) -> Leaf {
    match letter {
        Some(b'n') => Leaf::None,
        Some(b'm') => Leaf::Malformed,
        Some(b'l') => Leaf::TooLarge,
        Some(b'p') => Leaf::Pem,
        Some(b'o') => Leaf::Second,
        Some(b'h') => Leaf::Digest,
        Some(b'q') => Leaf::DigestOfSecond,
        Some(b'x') => Leaf::Hidden,
        None if certificates.is_empty() => Leaf::None,
        _ => Leaf::Der,
    }
}

/// The certificates as proxies in front write them.
fn certificate_fields(style: u8, certificates: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Some((leaf, chain)) = certificates.split_first() else {
        return Vec::new();
    };
    let field = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
    let encoded = |der: &Vec<u8>| Encoding::UrlEncodedPem.encode(der);
    match style {
        b'x' => {
            let all: String = certificates.iter().map(encoded).collect();
            let value = format!("Cert=\"{}\";Chain=\"{all}\"", encoded(leaf));
            vec![field("x-forwarded-client-cert", value)]
        }
        b'r' => {
            let chain: Vec<String> = chain
                .iter()
                .map(|der| Encoding::Rfc9440.encode(der))
                .collect();
            let mut fields = vec![field("client-cert", Encoding::Rfc9440.encode(leaf))];
            if !chain.is_empty() {
                fields.push(field("client-cert-chain", chain.join(", ")));
            }
            fields
        }
        b'u' => vec![field("x-ssl-client-cert", encoded(leaf))],
        b'b' => vec![field("ssl-client-cert", Encoding::Base64Der.encode(leaf))],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_values() {
        assert_eq!(name_value(b":now:5"), Some((&b":now"[..], &b"5"[..])));
        assert_eq!(name_value(b"a:b:c"), Some((&b"a"[..], &b"b:c"[..])));
        assert_eq!(name_value(b"a:"), Some((&b"a"[..], &b""[..])));
        assert_eq!(name_value(b"a"), Some((&b"a"[..], &b""[..])));
        assert_eq!(name_value(b""), None);
    }

    #[test]
    fn an_input_with_the_marker_is_none() {
        assert_eq!(read(MARKER.as_bytes()).len(), 0);
        assert_eq!(read(b":target:/a?b\n:next:\n:method:GET").len(), 2);
    }
}
