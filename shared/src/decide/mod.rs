//! The one decision: a pure function of request, configuration and time.
//!
//! The bodies of [`decision`] and [`decision_on`] are the list of checks in the order of R-9; the first that fails
//! decides. Every `?` is a refusal.

mod client;
mod outside;
mod presented;
mod respond;
mod scheme;
mod shadow;

use alloc::string::String;
use core::fmt::Write as _;
use core::net::IpAddr;

use self::client::Client;
use self::outside::{OutsideFields, Upgrade};
use self::presented::Peer;
use self::shadow::Watched;
use crate::acme;
use crate::config::{AliasPath, Config, CorsPreflight, Host, HostIndex, Presence, Status, Surface};
use crate::decision::Decision;
use crate::edits::{Edits, SetFields, Value};
use crate::endpoint::{self, EndpointClass};
use crate::header;
use crate::host_name::HostName;
use crate::network;
use crate::refusal::{InvalidHost, Methods, NoCertificate, Reason, Refusal, ServerNameProblem};
use crate::request::{Connection, Request, ServerName, Tls, Transport};
use crate::verdict::{Kind, VerdictCache};
use crate::wire::thumbprint::Thumbprint;

/// What `client-certificate-ca-verified` says of a certificate the edge or its host verified.
pub const VERDICT_SUCCESS: &str = "SUCCESS";
/// What it says of a valid certificate that is self-signed.
pub const VERDICT_SELF_SIGNED: &str = "FAILED:self-signed certificate";

/// Decides what becomes of the request.
///
/// `now` is the time in seconds since 1970. `verdicts` saves work and never changes the outcome.
/// Nothing else has a say: no clock, no I/O, no state.
pub fn decide<'a>(
    request: &Request<'a>,
    config: &'a Config,
    now: u64,
    verdicts: &mut VerdictCache,
) -> Decision<'a> {
    decision(request, config, now, verdicts).unwrap_or_else(|failure| {
        Decision::Refuse(Refusal {
            reason: failure.reason,
            class: failure.class,
            thumbprint: failure.thumbprint.or_else(|| shown_thumbprint(request)),
            identity_claims: outside::identity_claims(request, config, failure.input),
        })
    })
}

/// Why a request is refused, and what is known by then.
struct Failure<'a> {
    reason: Reason,
    class: EndpointClass,
    thumbprint: Option<Thumbprint>,
    /// The fields that are read as a certificate, and are no claim.
    input: [Option<&'a str>; 2],
}

impl From<Reason> for Failure<'_> {
    /// A reason that has to do with no endpoint and no certificate.
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            class: EndpointClass::Other,
            thumbprint: None,
            input: [None, None],
        }
    }
}

/// The thumbprint of the certificate that was presented on the connection.
fn shown_thumbprint(request: &Request<'_>) -> Option<Thumbprint> {
    match &request.connection.ok()?.transport {
        Transport::Plain => None,
        Transport::Tls(tls) => tls.client_certificate.thumbprint(),
    }
}

fn decision<'a>(
    request: &Request<'a>,
    config: &'a Config,
    now: u64,
    verdicts: &mut VerdictCache,
) -> Result<Decision<'a>, Failure<'a>> {
    let connection = request.connection.map_err(Reason::HostUnsupported)?;
    let name = host_name(request)?;
    let target = Target::parse(request)?;
    let found = config.find(&name);
    if let (Some((_, host, _)), Some(token)) = (found, acme::token(target.path)) {
        return Ok(Decision::Respond(respond::acme(request, host, token)?));
    }
    let active = found.filter(|(_, host, _)| host.status == Status::Active);
    let peer = active.map(|(_, host, _)| presented::peer(request, connection, host, now));
    let peer = peer.transpose()?.unwrap_or(Peer::Unknown);
    if !scheme::is_https(request, connection, active.map(|(_, host, _)| host), peer) {
        let surface = active.map(|(_, _, surface)| surface);
        let reply = respond::to_https(request, &name, surface)?;
        return Ok(Decision::Respond(reply));
    }
    let (index, host, surface) = active.ok_or(Reason::UnknownHost)?;
    let tls = match &connection.transport {
        Transport::Tls(tls) => Some(&**tls),
        Transport::Plain => None,
    };
    scheme::check_policy(tls, host)?;
    let presence = match surface {
        Surface::MtlsAlias => Some(Presence::Required),
        Surface::CustomDomain => host.same_host,
    };
    let mut input = [None, None];
    let mut watched = Watched::new(host, now);
    if presence.is_some() {
        let checked = check_server_name(tls, &name);
        watched.pass(checked.map_err(Failure::from))?;
        check_early_data(request)?;
        input = presented::input_fields(host, peer);
    }
    let place = Place {
        connection,
        tls,
        host,
        index,
        surface,
        presence,
        peer,
        input,
    };
    decision_on(&place, request, &target, config, now, verdicts, watched)
        .map_err(|failure| Failure { input, ..failure })
}

/// Where a request came to, and over what.
struct Place<'a> {
    connection: &'a Connection,
    tls: Option<&'a Tls>,
    host: &'a Host,
    index: HostIndex,
    surface: Surface,
    /// Whether certificates are asked for here; none where they are not.
    presence: Option<Presence>,
    peer: Peer,
    input: [Option<&'a str>; 2],
}

/// What follows once the host is known.
fn decision_on<'a>(
    place: &Place<'a>,
    request: &Request<'a>,
    target: &Target<'_>,
    config: &Config,
    now: u64,
    verdicts: &mut VerdictCache,
    mut watched: Watched<'a>,
) -> Result<Decision<'a>, Failure<'a>> {
    let (host, surface) = (place.host, place.surface);
    let outside = OutsideFields::inspect(request, config, place.input)?;
    let is_upgrade = outside.upgrade == Upgrade::Requested || request.protocol.is_some();
    if surface == Surface::MtlsAlias && is_upgrade {
        return Err(Reason::UpgradeNotAllowed.into());
    }
    check_method(request)?;
    if surface == Surface::CustomDomain
        && let Some(discovery) = &host.discovery
        && respond::is_metadata(target.path)
    {
        let reply = respond::metadata(request, discovery, host)?;
        return Ok(Decision::Respond(reply));
    }
    target.check_path()?;
    let endpoint = match surface {
        Surface::MtlsAlias => {
            let found = target.endpoint(host);
            watched.pass(found.map_err(Failure::from))?
        }
        Surface::CustomDomain => {
            target.check_domain_path(host)?;
            target.endpoint(host).ok()
        }
    };
    // On the alias also where the path is not listed and that is only watched.
    let is_asked = endpoint.is_some() || surface == Surface::MtlsAlias;
    let client = match (place.presence, place.tls) {
        (Some(presence), Some(tls)) if is_asked => {
            let of_class = |failure| Failure {
                class: endpoint.map_or(EndpointClass::Other, |endpoint| endpoint.class),
                ..failure
            };
            let judged = client(place, presence, tls, request, now, verdicts, &mut watched);
            // What cannot be read is refused whatever else was found and only watched.
            let judged = watched.pass(judged.map_err(of_class))?;
            match judged {
                Some(client) if watched.lets_tell() => client,
                Some(_) | None => Client::Anonymous,
            }
        }
        _ => Client::Anonymous,
    };
    let address = client_address(request, host, place.peer);
    let mut edits = toward_origin(host, surface, address, client, outside);
    edits.shadow = watched.found(request, edits.identity_claims);
    Ok(Decision::Forward(edits))
}

/// who the client is, on a path for certificates.
fn client<'a>(
    place: &Place<'a>,
    presence: Presence,
    tls: &'a Tls,
    request: &Request<'a>,
    now: u64,
    verdicts: &mut VerdictCache,
    watched: &mut Watched<'a>,
) -> Result<Client<'a>, Failure<'a>> {
    let host = place.host;
    if host.cors_preflight == CorsPreflight::Forward && is_cors_preflight(request) {
        return Ok(Client::Anonymous);
    }
    let presented = presented::presented(request, place.connection, tls, host, place.peer);
    let presented = match (presented, presence) {
        (Err(Reason::CertificateRequired(_)), Presence::Optional) => {
            return Ok(Client::Anonymous);
        }
        (Err(Reason::CertificateRequired(_)), Presence::Required)
            if tls.server_name == ServerName::Unavailable =>
        {
            return Err(Reason::CertificateRequired(NoCertificate::PerhapsOtherName).into());
        }
        (presented, _) => presented?,
    };
    let thumbprint = Some(presented.leaf.thumbprint());
    let of_certificate = |reason: Reason| Failure {
        thumbprint,
        ..reason.into()
    };
    let mut judge = |policy, index| client::judge(&presented, policy, index, now, verdicts);
    let kind = judge(&host.certificates, place.index.in_force()).map_err(of_certificate)?;
    let header = client::header_value(&presented, host).map_err(of_certificate)?;
    if let Some(candidate) = watched.candidate()
        && let Err(reason) = judge(candidate, place.index.beside())
    {
        watched.find(of_certificate(reason));
    }
    Ok(Client::Certified { kind, header })
}

/// the one host name of the request.
pub(crate) fn host_name<'a>(request: &Request<'a>) -> Result<HostName<'a>, Reason> {
    let mut host_fields = request
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"host"))
        .map(|(_, value)| *value);
    let host_field = host_fields.next();
    if host_fields.next().is_some() {
        return Err(Reason::InvalidHost(InvalidHost::Doubled));
    }
    match (request.authority, host_field) {
        (None, None) => Err(Reason::InvalidHost(InvalidHost::Missing)),
        (Some(only), None) | (None, Some(only)) => Ok(HostName::from_authority(only)?),
        (Some(authority), Some(field)) => {
            let name = HostName::from_authority(authority)?;
            if HostName::from_authority(field)? != name {
                return Err(Reason::InvalidHost(InvalidHost::Contradictory));
            }
            Ok(name)
        }
    }
}

/// The request target, in origin form (RFC 9112 section 3.2.1).
struct Target<'a> {
    path: &'a [u8],
    normalized_path: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// a path and an optional query, of printable ASCII without a fragment.
    fn parse(request: &Request<'a>) -> Result<Self, Reason> {
        let is_plain = |byte: &u8| (b'!'..=b'~').contains(byte) && *byte != b'#';
        if !request.target.starts_with(b"/") || !request.target.iter().all(is_plain) {
            return Err(Reason::InvalidTarget);
        }
        let path = request.target.split(|byte| *byte == b'?').next();
        Ok(Self {
            path: path.unwrap_or_default(),
            normalized_path: request.normalized_path,
        })
    }

    /// R-11 on every host name: what was judged is what the origin sees.
    fn check_path(&self) -> Result<(), Reason> {
        if endpoint::is_changed_upstream(self.path) {
            return Err(Reason::InvalidPath);
        }
        Ok(())
    }

    /// one of the paths of the custom domain, where there is a list of them.
    fn check_domain_path(&self, host: &Host) -> Result<(), Reason> {
        let Some(paths) = &host.domain_paths else {
            return Ok(());
        };
        let is_listed =
            |path: &[u8]| core::str::from_utf8(path).is_ok_and(|path| paths.contains(path));
        if is_listed(self.path) && self.normalized_path.is_none_or(is_listed) {
            Ok(())
        } else {
            Err(Reason::PathNotAllowed)
        }
    }

    /// the path for certificates this is, byte for byte.
    fn endpoint<'h>(&self, host: &'h Host) -> Result<&'h AliasPath, Reason> {
        let is_path = |listed: &&AliasPath| {
            let listed = listed.path.as_bytes();
            listed == self.path && self.normalized_path.is_none_or(|path| path == listed)
        };
        let found = host.alias_paths.iter().find(is_path);
        found.ok_or(Reason::PathNotAllowed)
    }
}

/// the connection was opened for this host, or its TLS policy may be another's.
fn check_server_name(tls: Option<&Tls>, name: &HostName<'_>) -> Result<(), Reason> {
    let problem = match tls.map(|tls| &tls.server_name) {
        None | Some(ServerName::Absent) => ServerNameProblem::Absent,
        // The host program chose by the server name which certificate it asked for, and shows none for a
        // connection of another name: R-12 then refuses.
        Some(ServerName::Unavailable) => return Ok(()),
        Some(ServerName::Sent(sent)) if sent == name.as_str() => return Ok(()),
        // A server name has no trailing dot (RFC 6066 section 3). Were one taken off here, a host program
        // that does not take it off could have chosen other TLS settings, and other roots, for it.
        Some(ServerName::Sent(sent)) if sent.ends_with('.') => ServerNameProblem::Different,
        Some(ServerName::Sent(sent)) => match HostName::parse(sent) {
            Ok(sent) if sent == *name => return Ok(()),
            _ => ServerNameProblem::Different,
        },
    };
    Err(Reason::MisdirectedRequest(problem))
}

/// R-10b: early data can be replayed (RFC 8470 section 5.1).
fn check_early_data(request: &Request<'_>) -> Result<(), Reason> {
    let early = |(name, _): &&(&[u8], &[u8])| name.eq_ignore_ascii_case(b"early-data");
    match request.fields.iter().find(early) {
        // RFC 8470 section 5.1: any value but 1 is to be read as 1 as well.
        Some(_) => Err(Reason::TooEarly),
        None => Ok(()),
    }
}

///
fn check_method(request: &Request<'_>) -> Result<(), Reason> {
    if Methods::Forwarded.contain(request.method) {
        Ok(())
    } else {
        Err(Reason::MethodNotAllowed(Methods::Forwarded))
    }
}

/// R-12b: a preflight as the Fetch standard defines it (section 3.2.2).
fn is_cors_preflight(request: &Request<'_>) -> bool {
    let has = |wanted: &[u8]| {
        let mut names = request.fields.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case(wanted))
    };
    request.method == b"OPTIONS" && has(b"origin") && has(b"access-control-request-method")
}

/// the one address the origin is told.
fn client_address(request: &Request<'_>, host: &Host, peer: Peer) -> IpAddr {
    if peer == Peer::Unknown {
        return request.peer.to_canonical();
    }
    let forwarded_for = request
        .fields
        .iter()
        .rev()
        .filter(|(name, _)| name.eq_ignore_ascii_case(header::X_FORWARDED_FOR.as_bytes()))
        .map(|(_, value)| *value);
    network::client_address(request.peer, &host.trusted_proxies.networks, forwarded_for)
}

/// The address as text, in one allocation.
fn address_text(address: IpAddr) -> String {
    /// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
    const LONGEST: usize = 45;
    let mut text = String::with_capacity(LONGEST);
    match address {
        // Every request needs one, and the formatting machinery costs more than the rest of its edits.
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push('.');
                }
                let digits = [octet / 100, octet / 10 % 10, octet % 10];
                let shown = match octet {
                    0..=9 => &digits[2..],
                    10..=99 => &digits[1..],
                    100..=255 => &digits[..],
                };
                text.extend(
                    shown
                        .iter()
                        .filter_map(|digit| char::from_digit(u32::from(*digit), 10)),
                );
            }
        }
        // Writing to a string does not fail.
        IpAddr::V6(_) => _ = write!(text, "{address}"),
    }
    text
}

/// what the origin is told.
fn toward_origin<'a>(
    host: &'a Host,
    surface: Surface,
    address: IpAddr,
    client: Client<'a>,
    outside: OutsideFields,
) -> Edits<'a> {
    let mut set = SetFields::default();
    if let Some(key) = &host.origin.api_key {
        set.set(header::CNAME_API_KEY, Value::Secret(key.expose()));
    }
    set.set(
        host.client_address_field.as_str(),
        Value::Owned(address_text(address)),
    );
    set.set(header::X_FORWARDED_PROTO, Value::Borrowed("https"));
    let name = match (surface, &host.mtls_alias) {
        (Surface::MtlsAlias, Some(alias)) => alias,
        _ => &host.custom_domain,
    };
    set.set(header::X_FORWARDED_HOST, Value::Borrowed(name.as_str()));
    if let Some(route) = &host.origin.route {
        set.set(header::X_AUTH_EDGE_ORIGIN, Value::Borrowed(route));
    }
    if let Some(tenant) = &host.tenant {
        set.set(tenant.name.as_str(), Value::Borrowed(&tenant.value));
    }
    if let Client::Certified { kind, header } = client {
        let fields = &host.certificate_fields;
        set.set(fields.certificate.as_str(), header);
        if let Some(verdict) = &fields.verdict {
            let text = match kind {
                Kind::CaSigned => VERDICT_SUCCESS,
                Kind::SelfSigned => VERDICT_SELF_SIGNED,
            };
            set.set(verdict.as_str(), Value::Borrowed(text));
        }
    }
    Edits {
        authority: &host.origin.authority,
        remove: outside.remove,
        set,
        identity_claims: outside.identity_claims,
        shadow: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn an_address_is_written_as_the_standard_library_writes_it() {
        let v4 = (0..=255).map(|octet| IpAddr::from([octet, 9, 10, 255 - octet]));
        let v6 = ["::", "2001:db8::1", "::ffff:192.0.2.1"].map(|text| text.parse().unwrap());
        for address in v4.chain(v6) {
            assert_eq!(address_text(address), address.to_string());
        }
    }
}
