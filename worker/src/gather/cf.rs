//! What `request.cf` says of the connection: JSON that Cloudflare writes.
//!
//! Whatever of it is absent, empty, or of another type is a fact like any other, and none is taken for a client
//! without a certificate but the word that says so.

use std::iter;

use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, ServerName, ShownChain, Tls, TlsVersion, Transport,
};
use auth_edge::trust::Chain;
use auth_edge::wire::rfc9440;
use auth_edge::wire::thumbprint::Thumbprint;

/// A member as `host.js` tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Member<'a> {
    /// It is not there, or is null.
    Absent,
    Text(&'a str),
    Truth(bool),
    /// Anything else.
    Other,
}

impl<'a> Member<'a> {
    fn read(part: &'a str) -> Self {
        match part {
            "" => Self::Absent,
            "t" => Self::Truth(true),
            "f" => Self::Truth(false),
            _ => part.strip_prefix('=').map_or(Self::Other, Self::Text),
        }
    }

    /// The text, unless it is empty: so Cloudflare writes what it has not.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            Self::Text(_) | Self::Absent | Self::Truth(_) | Self::Other => None,
        }
    }
}

/// The members of `request.cf.tlsClientAuth`.
struct ClientAuth<'a> {
    fingerprint: Member<'a>,
    presented: Member<'a>,
    verified: Member<'a>,
    revoked: Member<'a>,
    certificate: Member<'a>,
    certificate_too_large: Member<'a>,
    chain: Member<'a>,
    chain_too_large: Member<'a>,
}

/// The connection, of the members that `host.js` tells.
pub(super) fn connection(told: &str) -> Connection {
    let mut members = told.split('\x01').map(Member::read);
    let mut next = || members.next().unwrap_or(Member::Other);
    let fingerprint = next();
    let (version, cipher) = (next(), next());
    let auth = ClientAuth {
        fingerprint,
        presented: next(),
        verified: next(),
        revoked: next(),
        certificate: next(),
        certificate_too_large: next(),
        chain: next(),
        chain_too_large: next(),
    };
    let version = version.text().unwrap_or_default();
    Connection::new(Transport::Tls(Box::new(Tls {
        version: TlsVersion::from_name(version.as_bytes()),
        cipher_suite: cipher.text().map(str::to_owned),
        server_name: ServerName::Unavailable,
        client_certificate: auth.certificate(),
        presented_chain: auth.chain(),
    })))
}

impl ClientAuth<'_> {
    fn certificate(&self) -> ClientCertificate {
        let is_too_large = self.certificate_too_large == Member::Truth(true);
        let certificate = self.certificate.text();
        let fingerprint = self.fingerprint.text();
        match self.presented {
            Member::Text("0") => {
                let claims_one = certificate.is_some()
                    || is_too_large
                    || fingerprint.is_some()
                    || self.verified == Member::Text("SUCCESS");
                match claims_one {
                    true => ClientCertificate::Contradictory,
                    false => ClientCertificate::None,
                }
            }
            Member::Text("1") => match certificate {
                _ if self.verified == Member::Text("NONE") => ClientCertificate::Contradictory,
                Some(_) if is_too_large => ClientCertificate::Contradictory,
                Some(certificate) => self.shown(certificate),
                None if is_too_large => ClientCertificate::TooLarge,
                None => not_shown(fingerprint),
            },
            _ => not_shown(fingerprint),
        }
    }

    fn shown(&self, certificate: &str) -> ClientCertificate {
        let Ok(der) = rfc9440::certificate(certificate.as_bytes()) else {
            return ClientCertificate::Malformed;
        };
        let shown = ClientCertificate::from_der(der, self.verdict());
        let named = self.fingerprint.text().map(str::parse::<Thumbprint>);
        match (named, shown.thumbprint()) {
            (Some(named), Some(thumbprint)) if named.ok() != Some(thumbprint) => {
                ClientCertificate::Contradictory
            }
            _ => shown,
        }
    }

    ///
    fn verdict(&self) -> HostVerdict {
        match (self.verified, self.revoked) {
            (Member::Text("SUCCESS"), Member::Text("0")) => HostVerdict::Verified,
            (Member::Text(_), Member::Text(_)) => HostVerdict::NotVerified,
            _ => HostVerdict::Unavailable,
        }
    }

    fn chain(&self) -> ShownChain {
        match self.chain {
            _ if self.chain_too_large == Member::Truth(true) => ShownChain::TooLarge,
            Member::Absent | Member::Text("") => ShownChain::Shown(Chain::default()),
            Member::Text(chain) => match rfc9440::chain(iter::once(chain.as_bytes())) {
                Ok(chain) => ShownChain::Shown(Chain::new(chain)),
                Err(_) => ShownChain::NotShown,
            },
            Member::Truth(_) | Member::Other => ShownChain::NotShown,
        }
    }
}

/// A certificate that may be there and is not told.
fn not_shown(fingerprint: Option<&str>) -> ClientCertificate {
    ClientCertificate::NotShown {
        digest: fingerprint.and_then(|text| text.parse().ok()),
    }
}
