//! Which certificate is the client's, and what came with it (R-4b, R-4c, R-12, R-13).

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::iter;

use crate::certificate::LeafCert;
use crate::config::{CertificatePolicy, Host, PresentedChain, Source, VerifiedBy};
use crate::header;
use crate::refusal::{NoCertificate, Reason, TooLarge};
use crate::request::{
    ClientCertificate, Connection, Forwarded, HostVerdict, MissingFact, Request, ShownChain, Tls,
    Transport,
};
use crate::trust::{Chain, PathLength, PathProblem};
use crate::wire::forwarded::{Format, InvalidCertificates};

/// The longest fields that a connection remembers, in bytes: those of a chain of some certificates.
/// Longer ones are read for each request, so that what a connection holds is bounded.
const REMEMBERED_BYTES: usize = 16 * 1024;

/// What a client presented.
pub(super) struct Presented<'a> {
    pub(super) leaf: Cow<'a, LeafCert>,
    pub(super) chain: Cow<'a, Chain>,
    pub(super) host_verdict: HostVerdict,
}

/// Whether the peer of the request is believed what it says of its clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Peer {
    /// A client, or a proxy nobody knows.
    Unknown,
    /// One of the host's `trusted_proxies`.
    TrustedProxy,
}

/// R-4b, R-6: by its address, or by a certificate of its own that is valid at `now`.
pub(super) fn peer(
    request: &Request<'_>,
    connection: &Connection,
    host: &Host,
    now: u64,
) -> Result<Peer, Reason> {
    let trusted = &host.trusted_proxies;
    let mut networks = trusted.networks.iter();
    if networks.any(|network| network.contains(request.peer)) {
        return Ok(Peer::TrustedProxy);
    }
    if trusted.certificates.is_empty() {
        return Ok(Peer::Unknown);
    }
    let Transport::Tls(tls) = &connection.transport else {
        return Ok(Peer::Unknown);
    };
    match &tls.client_certificate {
        ClientCertificate::Parsed { leaf, .. }
            if trusted.certificates.contains(leaf) && leaf.validity().contains(now) =>
        {
            Ok(Peer::TrustedProxy)
        }
        // It may be one of them; taken for a client, it would stand for all clients behind it.
        ClientCertificate::NotShown { .. } => {
            Err(Reason::HostUnsupported(MissingFact::ClientCertificate))
        }
        _ => Ok(Peer::Unknown),
    }
}

/// The fields of the request that are read as a certificate and its chain, when there are any.
pub(super) fn input_fields(host: &Host, peer: Peer) -> [Option<&str>; 2] {
    let CertificatePolicy {
        source, ca_signed, ..
    } = &*host.certificates;
    let verified_by = ca_signed.as_ref().map(|policy| policy.verified_by);
    match source {
        Source::ProxyField { name, format } if peer == Peer::TrustedProxy => {
            [Some(name.as_str()), chain_field(*format)]
        }
        Source::ProxyField { .. } => [None, None],
        Source::EnvoyXfcc => [Some(header::X_FORWARDED_CLIENT_CERT), None],
        Source::Connection if verified_by == Some(VerifiedBy::Edge(PresentedChain::EnvoyXfcc)) => {
            [Some(header::X_FORWARDED_CLIENT_CERT), None]
        }
        Source::Connection => [None, None],
    }
}

/// The field that holds the chain, where that is another than the certificate's.
fn chain_field(format: Format) -> Option<&'static str> {
    (format == Format::Rfc9440).then_some(header::CLIENT_CERT_CHAIN)
}

/// What the client presented, wherever the host is told to look for it.
pub(super) fn presented<'a>(
    request: &Request<'a>,
    connection: &'a Connection,
    tls: &'a Tls,
    host: &Host,
    peer: Peer,
) -> Result<Presented<'a>, Reason> {
    let policy = &host.certificates;
    let chain_from = policy.chain();
    let without_unread = |(leaf, chain)| match chain_from {
        PresentedChain::Unread => (leaf, Cow::Borrowed(Chain::EMPTY)),
        PresentedChain::EnvoyXfcc | PresentedChain::ProxyField | PresentedChain::Host => {
            (leaf, chain)
        }
    };
    match &policy.source {
        Source::Connection => {
            let (leaf, host_verdict) = shown(&tls.client_certificate)?;
            check_is_no_proxys(leaf, host)?;
            let chain = match chain_from {
                PresentedChain::Unread | PresentedChain::ProxyField => Cow::Borrowed(Chain::EMPTY),
                PresentedChain::EnvoyXfcc => own_xfcc(request, connection, tls, chain_from)?.1,
                PresentedChain::Host => Cow::Borrowed(shown_chain(&tls.presented_chain)?),
            };
            Ok(Presented {
                leaf: Cow::Borrowed(leaf),
                chain,
                host_verdict,
            })
        }
        Source::EnvoyXfcc => {
            if matches!(tls.client_certificate, ClientCertificate::None) {
                return Err(Reason::CertificateRequired(NoCertificate::NotPresented));
            }
            let (leaf, chain) = without_unread(own_xfcc(request, connection, tls, chain_from)?);
            check_is_no_proxys(&leaf, host)?;
            Ok(Presented {
                leaf,
                chain,
                host_verdict: HostVerdict::Unavailable,
            })
        }
        Source::ProxyField { name, format } => {
            // From elsewhere the field is removed unread.
            let read = match peer {
                Peer::Unknown => None,
                Peer::TrustedProxy => forwarded(request, connection, name.as_str(), *format)?,
            };
            let (leaf, chain) = without_unread(
                read.ok_or(Reason::CertificateRequired(NoCertificate::NotPresented))?,
            );
            check_is_no_proxys(&leaf, host)?;
            // The host program has written the field itself, over what the proxy wrote.
            if tls.client_certificate.thumbprint() == Some(leaf.thumbprint()) {
                return Err(Reason::CertificateRequired(NoCertificate::NotPresented));
            }
            Ok(Presented {
                leaf,
                chain,
                host_verdict: HostVerdict::Unavailable,
            })
        }
    }
}

/// The certificate of a trusted proxy stands for every client behind it, and so for none.
fn check_is_no_proxys(leaf: &LeafCert, host: &Host) -> Result<(), Reason> {
    if host.trusted_proxies.certificates.contains(leaf) {
        Err(Reason::CertificateRequired(NoCertificate::NotPresented))
    } else {
        Ok(())
    }
}

/// The certificate that the host program shows as a fact of the connection.
fn shown(certificate: &ClientCertificate) -> Result<(&LeafCert, HostVerdict), Reason> {
    match certificate {
        ClientCertificate::None => Err(Reason::CertificateRequired(NoCertificate::NotPresented)),
        ClientCertificate::Malformed => Err(Reason::CertificateMalformed),
        ClientCertificate::TooLarge => Err(Reason::CertificateTooLarge(TooLarge::NotShown)),
        ClientCertificate::Contradictory => Err(Reason::HostContradictory),
        ClientCertificate::NotShown { .. } => {
            Err(Reason::HostUnsupported(MissingFact::ClientCertificate))
        }
        ClientCertificate::Parsed { leaf, host_verdict } => Ok((leaf, *host_verdict)),
    }
}

/// The intermediates that the host program shows as a fact of the connection.
fn shown_chain(chain: &ShownChain) -> Result<&Chain, Reason> {
    match chain {
        ShownChain::Shown(chain) => Ok(chain),
        ShownChain::NotShown => Err(Reason::HostUnsupported(MissingFact::PresentedChain)),
        ShownChain::TooLarge => Err(Reason::CertificatePath(PathProblem::TooLong(
            PathLength::NotShown,
        ))),
    }
}

type LeafAndChain<'a> = (Cow<'a, LeafCert>, Cow<'a, Chain>);

/// R-4c: the field that the host program itself writes, which must show the certificate of this very
/// connection: any other was written by a client.
fn own_xfcc<'a>(
    request: &Request<'a>,
    connection: &'a Connection,
    tls: &Tls,
    chain_from: PresentedChain,
) -> Result<LeafAndChain<'a>, Reason> {
    let presented = match &tls.client_certificate {
        ClientCertificate::NotShown { digest } => {
            digest.ok_or(Reason::HostUnsupported(MissingFact::CertificateDigest))?
        }
        certificate => shown(certificate)?.0.thumbprint(),
    };
    let name = header::X_FORWARDED_CLIENT_CERT;
    // What the host program was not told to write is not the client's fault.
    let lacks = |key: &[u8]| {
        let mut values = fields(request, Some(name));
        values.all(|value| !value.windows(key.len()).any(|part| part == key))
    };
    if lacks(b"Cert=") || chain_from != PresentedChain::Unread && lacks(b"Chain=") {
        return Err(Reason::HostUnsupported(MissingFact::ForwardedCertificate));
    }
    let (leaf, chain) = forwarded(request, connection, name, Format::Xfcc)?
        .ok_or(Reason::HostUnsupported(MissingFact::ForwardedCertificate))?;
    if leaf.thumbprint() == presented {
        Ok((leaf, chain))
    } else {
        Err(Reason::CertificateMalformed)
    }
}

/// R-4b: the certificates in a field; none when the field is absent.
fn forwarded<'a>(
    request: &Request<'a>,
    connection: &'a Connection,
    name: &str,
    format: Format,
) -> Result<Option<LeafAndChain<'a>>, Reason> {
    let mut values = fields(request, Some(name));
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Reason::CertificateMalformed);
    }
    let values = iter::once(value).chain(fields(request, chain_field(format)));
    let bytes = values
        .clone()
        .map(<[u8]>::len)
        .fold(0, usize::saturating_add);
    if bytes <= REMEMBERED_BYTES {
        let first = connection.first_forwarded(|| read(format, values.clone()));
        let is_first =
            first.format == format && values.clone().eq(first.values.iter().map(Vec::as_slice));
        if is_first {
            let (leaf, _) = shown(&first.certificate)?;
            return Ok(Some((Cow::Borrowed(leaf), Cow::Borrowed(&first.chain))));
        }
    }
    let other = read(format, values);
    let (leaf, _) = shown(&other.certificate)?;
    Ok(Some((Cow::Owned(leaf.clone()), Cow::Owned(other.chain))))
}

fn fields<'a>(request: &Request<'a>, name: Option<&str>) -> impl Iterator<Item = &'a [u8]> + Clone {
    let is_named =
        move |other: &[u8]| name.is_some_and(|name| other.eq_ignore_ascii_case(name.as_bytes()));
    let fields = request.fields.iter();
    let named = fields.filter(move |(name, _)| is_named(name));
    named.map(|(_, value)| *value)
}

/// Reads the value of a field, which comes first, and those of the fields with its chain.
fn read<'a>(format: Format, values: impl Iterator<Item = &'a [u8]> + Clone) -> Forwarded {
    let mut chain = values.clone();
    let value = chain.next().unwrap_or_default();
    let (certificate, chain) = match format.parse(value, chain) {
        Err(InvalidCertificates) => (ClientCertificate::Malformed, Chain::default()),
        Ok(read) => (
            ClientCertificate::from_der(read.leaf, HostVerdict::Unavailable),
            Chain::new(read.intermediates),
        ),
    };
    Forwarded {
        format,
        values: values.map(<[u8]>::to_vec).collect(),
        certificate,
        chain,
    }
}
