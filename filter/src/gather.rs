//! What the host program shows of a request, as the core takes it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use auth_edge::connections::Connections;
use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, MissingFact, Removal, Request, ShownChain, Tls,
    TlsVersion, Transport,
};
use auth_edge::wire::thumbprint::Thumbprint;

use crate::host::{Host, Property};
use crate::section::Section;

/// A request as it was seen, holding what [`Request`] borrows.
pub(crate) struct Seen {
    section: Vec<u8>,
    /// The host program's name for the connection; 0 when it gives none.
    pub(crate) connection_id: u64,
    peer: Option<IpAddr>,
    connection: Result<Rc<Connection>, MissingFact>,
    /// The time in nanoseconds since 1970.
    pub(crate) now_nanoseconds: u64,
}

/// Asks the host program for everything a decision needs.
pub(crate) fn gather(host: &impl Host, connections: &mut Connections<u64>) -> Seen {
    let section = host.request_section();
    let now = host.now_nanoseconds();
    let id = host.property(Property::ConnectionId).and_then(|bytes| {
        let bytes = <[u8; 8]>::try_from(bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    });
    // Asked for every request: behind `xff_num_trusted_hops` one connection carries many clients.
    let peer = host
        .property(Property::PeerAddress)
        .and_then(|text| String::from_utf8(text).ok()?.parse::<SocketAddr>().ok())
        .map(|address| address.ip());
    let connection = match (&section, now, id, peer) {
        (None, _, _, _) => Err(MissingFact::Fields),
        (_, None, _, _) => Err(MissingFact::Clock),
        (_, _, None, _) => Err(MissingFact::ConnectionId),
        (_, _, _, None) => Err(MissingFact::PeerAddress),
        (Some(_), Some(_), Some(id), Some(_)) => Ok(connections.get(&id, || connection(host))),
    };
    Seen {
        section: section.unwrap_or_default(),
        connection_id: id.unwrap_or_default(),
        peer,
        connection,
        now_nanoseconds: now.unwrap_or_default(),
    }
}

impl Seen {
    /// The header section; none when the host program gave none that can be read.
    pub(crate) fn section(&self) -> Option<Section<'_>> {
        Section::read(&self.section)
    }

    /// The request; `section` is that of [`Seen::section`].
    pub(crate) fn request<'a>(&'a self, section: Option<&'a Section<'a>>) -> Request<'a> {
        let pseudo_field = |name| section.and_then(|section| section.pseudo_field(name));
        Request {
            method: pseudo_field(":method").unwrap_or_default(),
            target: pseudo_field(":path").unwrap_or_default(),
            normalized_path: None,
            authority: pseudo_field(":authority"),
            protocol: pseudo_field(":protocol"),
            fields: section.map(Section::fields).unwrap_or_default(),
            peer: self.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            connection: match section {
                Some(_) => self.connection.as_deref().map_err(|missing| *missing),
                None => Err(MissingFact::Fields),
            },
            removal: Removal::Any,
            acme_answer: None,
        }
    }
}

/// What belongs to the connection; asked for once.
fn connection(host: &impl Host) -> Connection {
    Connection::new(match host.property(Property::TlsVersion) {
        Some(version) if !version.is_empty() => Transport::Tls(Box::new(Tls {
            version: TlsVersion::from_name(&version),
            // Envoy has no property for it.
            cipher_suite: None,
            server_name: host
                .property(Property::ServerName)
                .filter(|name| !name.is_empty())
                .map(|name| String::from_utf8_lossy(&name).into_owned())
                .into(),
            client_certificate: client_certificate(host),
            presented_chain: ShownChain::NotShown,
        })),
        _ => Transport::Plain,
    })
}

fn client_certificate(host: &impl Host) -> ClientCertificate {
    // Absent is taken for "presented": then the certificate itself must show, or all is refused.
    if host.property(Property::CertificatePresented).as_deref() == Some(&[0]) {
        return ClientCertificate::None;
    }
    let Some(pem) = host.property(Property::PeerCertificate) else {
        let digest = host.property(Property::PeerCertificateDigest);
        let digest = digest.and_then(|hex| String::from_utf8(hex).ok());
        return ClientCertificate::NotShown {
            digest: digest.and_then(|hex| hex.parse::<Thumbprint>().ok()),
        };
    };
    let host_verdict = match host.property(Property::PeerCertificateValid).as_deref() {
        None => HostVerdict::Unavailable,
        Some([1]) => HostVerdict::Verified,
        Some(_) => HostVerdict::NotVerified,
    };
    ClientCertificate::from_pem(&pem, host_verdict)
}
