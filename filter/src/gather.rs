//! What the host program shows of a request, as the core takes it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use auth_edge::request::{
    ClientCertificate, Connection, Field, HostVerdict, MissingFact, Removal, Request, Tls,
    TlsVersion, Transport,
};
use auth_edge::wire::thumbprint::Thumbprint;

use crate::connections::Connections;
use crate::host::{Host, OwnedField, Property};

/// A request as it was seen, holding what [`Request`] borrows.
pub(crate) struct Seen {
    fields: Vec<OwnedField>,
    pseudo_fields: usize,
    /// The host program's name for the connection; 0 when it gives none.
    pub(crate) connection_id: u64,
    peer: Option<IpAddr>,
    connection: Result<Rc<Connection>, MissingFact>,
    /// The time in nanoseconds since 1970.
    pub(crate) now_nanoseconds: u64,
}

/// Asks the host program for everything a decision needs.
pub(crate) fn gather(host: &impl Host, connections: &mut Connections) -> Seen {
    let fields = host.request_fields();
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
    let connection = match (&fields, now, id, peer) {
        (None, _, _, _) => Err(MissingFact::Fields),
        (_, None, _, _) => Err(MissingFact::Clock),
        (_, _, None, _) => Err(MissingFact::ConnectionId),
        (_, _, _, None) => Err(MissingFact::PeerAddress),
        (Some(_), Some(_), Some(id), Some(_)) => Ok(connections.get(id, || connection(host))),
    };
    let fields = fields.unwrap_or_default();
    Seen {
        pseudo_fields: fields
            .iter()
            .take_while(|(name, _)| name.starts_with(':'))
            .count(),
        fields,
        connection_id: id.unwrap_or_default(),
        peer,
        connection,
        now_nanoseconds: now.unwrap_or_default(),
    }
}

impl Seen {
    /// The header fields without pseudo-header fields.
    pub(crate) fn fields(&self) -> Vec<Field<'_>> {
        let fields = self.fields.iter().skip(self.pseudo_fields);
        fields
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .collect()
    }

    /// The request; `fields` are those of [`Seen::fields`].
    pub(crate) fn request<'a>(&'a self, fields: &'a [Field<'a>]) -> Request<'a> {
        Request {
            method: self.pseudo_field(":method").unwrap_or_default(),
            target: self.pseudo_field(":path").unwrap_or_default(),
            normalized_path: None,
            authority: self.pseudo_field(":authority"),
            protocol: self.pseudo_field(":protocol"),
            fields,
            peer: self.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            connection: self.connection.as_deref().map_err(|missing| *missing),
            removal: Removal::Any,
        }
    }

    /// The pseudo-header fields, which stand first.
    pub(crate) fn pseudo_fields(&self) -> impl Iterator<Item = &OwnedField> {
        self.fields.iter().take(self.pseudo_fields)
    }

    fn pseudo_field(&self, wanted: &str) -> Option<&[u8]> {
        let mut fields = self.pseudo_fields();
        fields.find_map(|(name, value)| (name == wanted).then_some(value.as_slice()))
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
                .map(|name| String::from_utf8_lossy(&name).into_owned()),
            client_certificate: client_certificate(host),
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
