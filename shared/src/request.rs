//! What a host saw: borrowed, untrusted, complete. Hosts gather, the core decides.

use core::net::IpAddr;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::certificate::LeafCert;
use crate::trust::Chain;
use crate::wire::forwarded::Format;
use crate::wire::pem;
use crate::wire::thumbprint::Thumbprint;

/// A field as it came: name and value, any bytes.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// A request on a connection, before anything is known to be true of it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The request target as it stands on the wire: path and query, not decoded.
    pub target: &'a [u8],
    /// The path as the host would send it upstream, where the host shows one beside the raw one.
    pub normalized_path: Option<&'a [u8]>,
    /// The `:authority`, or for HTTP/1.1 what the host puts in its place.
    pub authority: Option<&'a [u8]>,
    /// The `:protocol` of an extended CONNECT (RFC 8441).
    pub protocol: Option<&'a [u8]>,
    /// The header fields in order, without pseudo-header fields.
    pub fields: &'a [Field<'a>],
    /// The address of the TCP peer.
    pub peer: IpAddr,
    /// The connection the request came on, or what the host program fails to tell of it.
    pub connection: Result<&'a Connection, MissingFact>,
    /// Which fields the host program can keep from the origin.
    pub removal: Removal<'a>,
    /// The answer to the ACME challenge that is asked for, where the host program keeps such answers and was
    /// told by [`crate::acme::lookup`] which to look up.
    pub acme_answer: Option<&'a str>,
}

/// Which fields a host program can keep from what goes upstream.
#[derive(Clone, Copy, Debug)]
pub enum Removal<'a> {
    /// Any.
    Any,
    /// Those of these names, however often they come: its configuration puts others in their place. Names
    /// are compared without regard to case and as they are otherwise.
    Named(&'a [String]),
}

impl Removal<'_> {
    /// Whether fields of this name can be kept from the origin.
    pub fn covers(self, name: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => names
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known.as_bytes())),
        }
    }
}

/// A fact the host program does not give.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MissingFact {
    /// The identity of the connection.
    ConnectionId,
    /// The address of the peer.
    PeerAddress,
    /// The client certificate of a connection that has one.
    ClientCertificate,
    /// Whether the host program verified the client certificate.
    HostVerdict,
    /// The SHA-256 of a client certificate that it does not show itself.
    CertificateDigest,
    /// The `x-forwarded-client-cert` that it is said to write.
    ForwardedCertificate,
    /// The intermediates that came with the client certificate.
    PresentedChain,
    /// The request's header fields.
    Fields,
    /// The time.
    Clock,
}

/// What belongs to a connection: gathered once and kept by the host.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Whether TLS protects the connection, and what its handshake said.
    pub transport: Transport,
    forwarded: OnceCell<Forwarded>,
}

impl Connection {
    /// A connection of which nothing but its transport is known.
    pub const fn new(transport: Transport) -> Self {
        Self {
            transport,
            forwarded: OnceCell::new(),
        }
    }

    /// The first client certificate that a header field of this connection held.
    ///
    /// Mostly it is the only one, and then it is read once.
    pub(crate) fn first_forwarded(&self, read: impl FnOnce() -> Forwarded) -> &Forwarded {
        self.forwarded.get_or_init(read)
    }
}

/// A client certificate as a header field held it, and what it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Forwarded {
    /// How it was read.
    pub(crate) format: Format,
    /// The value of the field, then those of the fields with its chain.
    pub(crate) values: Vec<Vec<u8>>,
    /// The certificate.
    pub(crate) certificate: ClientCertificate,
    /// What came with it.
    pub(crate) chain: Chain,
}

/// How the request came.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Without TLS.
    Plain,
    /// Over TLS.
    Tls(Box<Tls>),
}

/// What a TLS handshake said.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The server name the client asked for (RFC 6066 section 3).
    pub server_name: ServerName,
    /// The version of TLS.
    pub version: TlsVersion,
    /// The cipher suite, by its name at IANA or in OpenSSL; none when the host program does not tell.
    pub cipher_suite: Option<String>,
    /// What the client presented as its certificate.
    pub client_certificate: ClientCertificate,
    /// The intermediates that came with it, where the host program shows them as a fact of the connection.
    pub presented_chain: ShownChain,
}

/// The server name of a TLS handshake, as far as the host program tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerName {
    /// The client sent this one, as it stands on the wire.
    Sent(String),
    /// The client sent none, or the host program does not look for it.
    Absent,
    /// The host program cannot tell by its nature, and routes connections to host names itself: a Worker.
    Unavailable,
}

impl From<Option<String>> for ServerName {
    /// The name that a host program tells, or that there is none.
    fn from(name: Option<String>) -> Self {
        name.map_or(Self::Absent, Self::Sent)
    }
}

/// The intermediates that a client presented, as far as the host program shows them.
#[derive(Clone, Debug, Default)]
pub enum ShownChain {
    /// The host program has no such fact.
    #[default]
    NotShown,
    /// These; none when only the leaf was presented.
    Shown(Chain),
    /// They are too large for the host program to show.
    TooLarge,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersion {
    /// TLS 1.3 (RFC 8446).
    Tls13,
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// Any other, or one that nobody told.
    Other,
}

impl TlsVersion {
    /// The version of a name such as `TLSv1.3`.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"TLSv1.3" => Self::Tls13,
            b"TLSv1.2" => Self::Tls12,
            _ => Self::Other,
        }
    }
}

/// The client certificate of a connection, read by [`LeafCert::parse`].
#[derive(Clone, Debug)]
pub enum ClientCertificate {
    /// None was presented.
    None,
    /// One was presented and is readable.
    Parsed {
        /// The certificate.
        leaf: Box<LeafCert>,
        /// What the host program's own verification said of it.
        host_verdict: HostVerdict,
    },
    /// One was presented that the host program does not show.
    NotShown {
        /// Its SHA-256, when the host program tells that.
        digest: Option<Thumbprint>,
    },
    /// One was presented and is no X.509 certificate, or is several.
    Malformed,
    /// One was presented that is too large for the host program to show.
    TooLarge,
    /// What the host program tells of it contradicts itself.
    Contradictory,
}

impl ClientCertificate {
    /// Reads the one certificate a host program shows as PEM, plain or URL-encoded.
    ///
    /// One that cannot fit any header, because its DER has more than [`MAX_DER_BYTES`], is not
    /// kept: what a connection costs is bounded before anything is known of its client.
    pub fn from_pem(pem: &[u8], host_verdict: HostVerdict) -> Self {
        match pem::decode_one(pem) {
            Err(_) => Self::Malformed,
            Ok(der) => Self::from_der(der, host_verdict),
        }
    }

    /// Reads the one certificate a host program shows as DER; see [`ClientCertificate::from_pem`].
    pub fn from_der(der: Vec<u8>, host_verdict: HostVerdict) -> Self {
        if der.len() > MAX_DER_BYTES {
            return Self::TooLarge;
        }
        match LeafCert::parse(der) {
            Err(_) => Self::Malformed,
            Ok(leaf) => Self::Parsed {
                leaf: Box::new(leaf),
                host_verdict,
            },
        }
    }

    /// SHA-256 over the DER of the certificate, readable or not shown; none when it is not known.
    pub fn thumbprint(&self) -> Option<Thumbprint> {
        match self {
            Self::Parsed { leaf, .. } => Some(leaf.thumbprint()),
            Self::NotShown { digest } => *digest,
            Self::None | Self::Malformed | Self::TooLarge | Self::Contradictory => None,
        }
    }
}

/// The largest certificate that is read, in bytes of DER.
pub const MAX_DER_BYTES: usize = 16 * 1024;

/// The host program's own verification of a CA-signed certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostVerdict {
    /// The chain verified.
    Verified,
    /// It did not, or the host program could not tell.
    NotVerified,
    /// The host program has no such verdict.
    Unavailable,
}
