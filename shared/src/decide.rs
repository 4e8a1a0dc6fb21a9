//! The one decision: a pure function of request, configuration and time.
//!
//! The body of [`edits_for`] is the list of checks in the order of R-9; the first that fails
//! decides. Every `?` is a refusal.

use alloc::string::String;
use core::fmt::Write as _;
use core::net::IpAddr;

use crate::certificate::{Authority, CriticalExtensions, LeafCert, Usage, Version};
use crate::config::{
    AliasPath, CertificatePolicy, Config, CorsPreflight, Host, HostIndex, SelfSignedPolicy,
    Surface, VerifiedBy,
};
use crate::decision::Decision;
use crate::edits::{Edits, FieldSet, SetFields, Value};
use crate::endpoint::{self, EndpointClass};
use crate::header::{self, FieldClass};
use crate::host_name::HostName;
use crate::network;
use crate::refusal::{
    ALLOWED_METHODS, InvalidHost, Reason, Refusal, ServerNameProblem, TooLarge, UsageProblem,
};
use crate::request::{ClientCertificate, Connection, HostVerdict, Request, Tls, Transport};
use crate::signature::AlgorithmProblem;
use crate::verdict::{Kind, VerdictCache};
use crate::wire::cert_header::Encoding;

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
    match edits_for(request, config, now, verdicts) {
        Ok(edits) => Decision::Forward(edits),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

fn edits_for<'a>(
    request: &Request<'a>,
    config: &'a Config,
    now: u64,
    verdicts: &mut VerdictCache,
) -> Result<Edits<'a>, Refusal> {
    let connection = request.connection.map_err(Reason::HostUnsupported)?;
    let name = host_name(request)?;
    let target = Target::parse(request)?;
    let tls = match &connection.transport {
        Transport::Tls(tls) => tls,
        Transport::Plain => return Err(Reason::HttpsRequired.into()),
    };
    let (index, host, surface) = config.find(&name).ok_or(Reason::UnknownHost)?;
    if surface == Surface::MtlsAlias {
        check_server_name(tls, &name)?;
        check_early_data(request)?;
    }
    let outside = OutsideFields::inspect(request, config, host)?;
    let refuse = |reason, class| Refusal {
        reason,
        class,
        identity_claims: outside.identity_claims,
    };
    let other = |reason| refuse(reason, EndpointClass::Other);
    let is_upgrade = outside.upgrade == Upgrade::Requested || request.protocol.is_some();
    if surface == Surface::MtlsAlias && is_upgrade {
        return Err(other(Reason::UpgradeNotAllowed));
    }
    check_method(request).map_err(other)?;
    target.check_path().map_err(other)?;
    let client = match surface {
        Surface::CustomDomain => Client::Anonymous,
        Surface::MtlsAlias => {
            let endpoint = target.endpoint(host).map_err(other)?;
            if host.cors_preflight == CorsPreflight::Forward && is_cors_preflight(request) {
                Client::Anonymous
            } else {
                let at = |reason| refuse(reason, endpoint.class);
                client(tls, host, index, now, verdicts).map_err(at)?
            }
        }
    };
    let address = client_address(request, connection, host);
    Ok(toward_origin(host, surface, address, client, outside))
}

/// the one host name of the request.
fn host_name<'a>(request: &Request<'a>) -> Result<HostName<'a>, Reason> {
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

    /// R-11 on the alias: the listed path this is, byte for byte.
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
fn check_server_name(tls: &Tls, name: &HostName<'_>) -> Result<(), Reason> {
    let problem = match &tls.server_name {
        None => ServerNameProblem::Absent,
        Some(sent) => match HostName::parse(sent) {
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

/// Whether the client asks to leave HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Upgrade {
    NotRequested,
    Requested,
}

/// The fields that must not reach the origin as they came.
struct OutsideFields {
    remove: FieldSet,
    identity_claims: u32,
    upgrade: Upgrade,
}

impl OutsideFields {
    /// R-4, R-5b, R-6: sorts the fields of the request in one pass, or two where `connection` shows.
    fn inspect(request: &Request<'_>, config: &Config, host: &Host) -> Result<Self, Reason> {
        let mut outside = Self {
            remove: FieldSet::default(),
            identity_claims: 0,
            upgrade: Upgrade::NotRequested,
        };
        let mut has_connection = false;
        for (index, (name, _)) in request.fields.iter().enumerate() {
            match Self::class(name, config, host) {
                FieldClass::EndToEnd => continue,
                FieldClass::Identity => {
                    outside.identity_claims = outside.identity_claims.saturating_add(1);
                }
                FieldClass::HopByHop if name.eq_ignore_ascii_case(b"upgrade") => {
                    outside.upgrade = Upgrade::Requested;
                }
                FieldClass::HopByHop if name.eq_ignore_ascii_case(b"connection") => {
                    has_connection = true;
                }
                FieldClass::HopByHop | FieldClass::Forwarding | FieldClass::Host => {}
            }
            outside.remove.insert(index);
        }
        if has_connection {
            outside.remove_nominated(request, config, host)?;
        }
        Ok(outside)
    }

    fn class(name: &[u8], config: &Config, host: &Host) -> FieldClass {
        match header::classify(name) {
            FieldClass::EndToEnd if config.owns_field(name) => FieldClass::Identity,
            // A configured client address field is the edge's to set even where it is unknown.
            FieldClass::EndToEnd
                if header::folds_to_same(host.client_address_field.as_str().as_bytes(), name) =>
            {
                FieldClass::Forwarding
            }
            class => class,
        }
    }

    /// R-5b: what `connection` names goes too, unless it is not the client's to take away.
    fn remove_nominated(
        &mut self,
        request: &Request<'_>,
        config: &Config,
        host: &Host,
    ) -> Result<(), Reason> {
        let values = request
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
            .map(|(_, value)| *value);
        for nominated in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            let nominated = nominated.trim_ascii();
            let kept: [&[u8]; 3] = [b"authorization", b"cookie", b"content-length"];
            let is_kept = kept.iter().any(|name| name.eq_ignore_ascii_case(nominated));
            let class = Self::class(nominated, config, host);
            let is_edges = matches!(
                class,
                FieldClass::Identity | FieldClass::Forwarding | FieldClass::Host
            );
            if is_kept || is_edges {
                return Err(Reason::InvalidConnectionHeader);
            }
            for (index, (name, _)) in request.fields.iter().enumerate() {
                // Framing stays even when it is nominated: removing it would change the message.
                if name.eq_ignore_ascii_case(nominated)
                    && !name.eq_ignore_ascii_case(b"transfer-encoding")
                {
                    self.remove.insert(index);
                }
            }
        }
        Ok(())
    }
}

///
fn check_method(request: &Request<'_>) -> Result<(), Reason> {
    let mut allowed = ALLOWED_METHODS.split(", ");
    if allowed.any(|method| method.as_bytes() == request.method) {
        Ok(())
    } else {
        Err(Reason::MethodNotAllowed)
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

/// Who the client is, once that is decided.
enum Client<'a> {
    /// Nobody the edge vouches for.
    Anonymous,
    /// The holder of this certificate, whose header value fits.
    Certified { kind: Kind, header: Value<'a> },
}

/// judges the client certificate of an endpoint of the alias.
fn client<'a>(
    tls: &'a Tls,
    host: &Host,
    index: HostIndex,
    now: u64,
    verdicts: &mut VerdictCache,
) -> Result<Client<'a>, Reason> {
    let (leaf, host_verdict) = match &tls.client_certificate {
        ClientCertificate::None => return Err(Reason::CertificateRequired),
        ClientCertificate::Malformed => return Err(Reason::CertificateMalformed),
        ClientCertificate::TooLarge => {
            return Err(Reason::CertificateTooLarge(TooLarge::NotShown));
        }
        ClientCertificate::Parsed { leaf, host_verdict } => (leaf, *host_verdict),
    };
    let policy = &host.certificates;
    check_algorithms(leaf)?;
    let kind = verdicts.kind(index, leaf);
    check_kind_is_accepted(kind, policy)?;
    check_dates(leaf, policy, now)?;
    check_usages(leaf, kind)?;
    if kind == Kind::CaSigned {
        check_path_verified(policy, host_verdict)?;
    }
    if policy.deny.contains(leaf) {
        return Err(Reason::CertificateDenied);
    }
    check_registered(leaf, kind, policy)?;
    let header = header_value(leaf, host)?;
    Ok(Client::Certified { kind, header })
}

/// key and signature are of kinds that mean something.
fn check_algorithms(leaf: &LeafCert) -> Result<(), Reason> {
    let problem = match (leaf.key(), leaf.signature_algorithm()) {
        (Ok(_), Ok(_)) => return Ok(()),
        (Err(problem), _) | (_, Err(problem)) => problem,
    };
    Err(match problem {
        AlgorithmProblem::Weak => Reason::CertificateKeyWeak,
        AlgorithmProblem::Unsupported(_) => Reason::CertificateAlgorithmUnsupported(problem),
    })
}

///
fn check_kind_is_accepted(kind: Kind, policy: &CertificatePolicy) -> Result<(), Reason> {
    let accepted = match kind {
        Kind::CaSigned => policy.ca_signed.is_some(),
        Kind::SelfSigned => policy.self_signed.is_some(),
    };
    if accepted {
        Ok(())
    } else {
        Err(Reason::CertificateKindNotAccepted(kind))
    }
}

/// both dates belong to the validity (RFC 5280 section 4.1.2.5).
fn check_dates(leaf: &LeafCert, policy: &CertificatePolicy, now: u64) -> Result<(), Reason> {
    let validity = leaf.validity();
    let skew = policy.clock_skew_seconds;
    if now.saturating_add(skew) < validity.not_before {
        Err(Reason::CertificateNotYetValid)
    } else if now.saturating_sub(skew) > validity.not_after {
        Err(Reason::CertificateExpired)
    } else {
        Ok(())
    }
}

/// the certificate is meant for a TLS client, as far as it says.
fn check_usages(leaf: &LeafCert, kind: Kind) -> Result<(), Reason> {
    if leaf.version() != Version::V3 {
        return Err(Reason::CertificateVersionUnsupported);
    }
    // Common tools mark what they self-sign as an authority's; a CA that does so is at fault.
    if kind == Kind::CaSigned && leaf.authority() == Authority::Authority {
        return Err(Reason::CertificateIsAuthority);
    }
    if leaf.key_usage() == Usage::Forbidden {
        return Err(Reason::CertificateUsage(UsageProblem::DigitalSignature));
    }
    if leaf.extended_key_usage() == Usage::Forbidden {
        return Err(Reason::CertificateUsage(UsageProblem::ClientAuth));
    }
    match leaf.critical_extensions() {
        CriticalExtensions::Known => Ok(()),
        CriticalExtensions::Unknown => Err(Reason::CertificateExtensionUnknown),
    }
}

/// the path to a root was verified by whom the configuration trusts to do it.
fn check_path_verified(policy: &CertificatePolicy, by_host: HostVerdict) -> Result<(), Reason> {
    let verified_by = policy.ca_signed.as_ref().map(|policy| policy.verified_by);
    match (verified_by, by_host) {
        (Some(VerifiedBy::Host), HostVerdict::Verified) => Ok(()),
        (Some(VerifiedBy::Host), HostVerdict::NotVerified) | (None, _) => {
            Err(Reason::CertificateNotVerified)
        }
    }
}

///
fn check_registered(leaf: &LeafCert, kind: Kind, policy: &CertificatePolicy) -> Result<(), Reason> {
    let admitted = match kind {
        Kind::CaSigned => policy
            .ca_signed
            .as_ref()
            .is_some_and(|policy| policy.allow.as_ref().is_none_or(|list| list.contains(leaf))),
        Kind::SelfSigned => match &policy.self_signed {
            Some(SelfSignedPolicy::Forward) => true,
            Some(SelfSignedPolicy::Registered(known)) => known.contains(&leaf.thumbprint()),
            None => false,
        },
    };
    if admitted {
        Ok(())
    } else {
        Err(Reason::CertificateNotRegistered)
    }
}

/// never truncated, never dropped.
fn header_value<'a>(leaf: &'a LeafCert, host: &Host) -> Result<Value<'a>, Reason> {
    let fields = &host.certificate_fields;
    let value = match fields.encoding {
        Encoding::UrlEncodedPem => Value::Borrowed(leaf.url_encoded_pem()),
        encoding => Value::Owned(encoding.encode(leaf.der())),
    };
    let bytes = value.as_str().len();
    if bytes > fields.max_bytes {
        return Err(Reason::CertificateTooLarge(TooLarge::Encoded {
            bytes,
            limit: fields.max_bytes,
        }));
    }
    Ok(value)
}

/// the one address the origin is told.
fn client_address(request: &Request<'_>, connection: &Connection, host: &Host) -> IpAddr {
    let forwarded_for = request
        .fields
        .iter()
        .rev()
        .filter(|(name, _)| name.eq_ignore_ascii_case(header::X_FORWARDED_FOR.as_bytes()))
        .map(|(_, value)| *value);
    network::client_address(connection.peer, &host.trusted_proxies, forwarded_for)
}

/// The address as text, in one allocation.
fn address_text(address: IpAddr) -> String {
    /// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
    const LONGEST: usize = 45;
    let mut text = String::with_capacity(LONGEST);
    // Writing to a string does not fail.
    let _ = write!(text, "{address}");
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
    }
}
