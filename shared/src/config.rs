//! The configuration in force: valid by construction, made by [`crate::wire::config_json`].
//!
//! Everything here belongs to one host name; what a file gives as defaults was copied when it was
//! read. A request is looked up by its host name and judged by that entry alone.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::certificate::{AlternativeName, LeafCert};
use crate::discovery::Discovery;
use crate::endpoint::EndpointClass;
use crate::header::{self, HeaderName};
use crate::host_name::HostName;
use crate::network::Network;
use crate::secret::Secret;
use crate::trust::{Doubts, TrustSet};
use crate::wire::cert_header::Encoding;
use crate::wire::forwarded::Format;
use crate::wire::name::DistinguishedName;
use crate::wire::thumbprint::Thumbprint;

/// Every host name the edge serves.
#[derive(Debug)]
pub struct Config {
    hosts: Vec<Host>,
    names: BTreeMap<String, (HostIndex, Surface)>,
    /// Fields that some host sends its origin or takes from a proxy, besides those that are removed anyway.
    own_fields: Vec<HeaderName>,
}

/// The place of a [`Host`] in its [`Config`].
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct HostIndex(usize);

/// One of the certificate policies of a [`Config`]; each has verdicts of its own.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct PolicyIndex {
    host: HostIndex,
    standing: Standing,
}

/// Whether a policy is in force on its host, or judged beside the one that is.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Standing {
    #[default]
    InForce,
    Beside,
}

impl HostIndex {
    /// The policy that is in force on the host.
    pub(crate) const fn in_force(self) -> PolicyIndex {
        PolicyIndex {
            host: self,
            standing: Standing::InForce,
        }
    }

    /// The policy that is judged beside it.
    pub(crate) const fn beside(self) -> PolicyIndex {
        PolicyIndex {
            host: self,
            standing: Standing::Beside,
        }
    }

    #[cfg(test)]
    pub(crate) const fn nth(index: usize) -> Self {
        Self(index)
    }
}

/// Which of a host's two names a request came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// The public name users see.
    CustomDomain,
    /// The name where client certificates are requested.
    MtlsAlias,
}

/// A custom domain with its mTLS alias, and everything that is decided for them.
#[derive(Clone, Debug)]
pub struct Host {
    /// The public name.
    pub custom_domain: HostName<'static>,
    /// The mTLS alias, when there is one.
    pub mtls_alias: Option<HostName<'static>>,
    /// The organization the domain belongs to, and the field that tells the origin.
    pub tenant: Option<TenantField>,
    /// The authorization server.
    pub origin: Origin,
    /// Whether requests are served at all; ACME challenges are answered before that.
    pub status: Status,
    /// Whether client certificates are accepted on the custom domain itself.
    pub same_host: Option<Presence>,
    /// The only paths served on the custom domain; all without.
    pub domain_paths: Option<Arc<BTreeSet<String>>>,
    /// How metadata are written; those of the origin pass without.
    pub discovery: Option<Arc<Discovery>>,
    /// Answers to ACME challenges by token (R-40, RFC 8555 section 8.3).
    pub acme_challenges: Arc<BTreeMap<String, String>>,
    /// Who says whether a request came over TLS.
    pub scheme: Scheme,
    /// Which TLS connections are good enough.
    pub tls: TlsPolicy,
    /// What is watched and not enforced.
    pub shadow: Option<Arc<Shadow>>,
    /// The paths served with client certificates.
    pub alias_paths: Arc<[AliasPath]>,
    /// What is done with CORS preflights on these paths (R-12b).
    pub cors_preflight: CorsPreflight,
    /// Which client certificates are accepted.
    pub certificates: Arc<CertificatePolicy>,
    /// How the origin is told of them.
    pub certificate_fields: Arc<CertificateFields>,
    /// Peers that are believed what they say of their clients (R-4b, R-6).
    pub trusted_proxies: Arc<TrustedProxies>,
    /// The field that carries the client's address.
    pub client_address_field: HeaderName,
}

/// Whether a host is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It is.
    Active,
    /// It is answered as one that is unknown.
    Inactive,
}

/// Whether a client has to present a certificate on the custom domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It may, and is forwarded without.
    Optional,
    /// It has to, on the paths for it.
    Required,
}

/// What is logged and counted, and changes nothing for the client.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// The time from which on everything is enforced, in seconds since 1970.
    pub until: u64,
    /// What is watched.
    pub scope: ShadowScope,
}

impl Shadow {
    /// Whether something is still watched at `now`, in seconds since 1970.
    pub const fn is_on(&self, now: u64) -> bool {
        now < self.until
    }
}

/// What is watched.
#[derive(Clone, Debug)]
pub enum ShadowScope {
    /// What would refuse a request for its server name or its certificate: it is forwarded without one.
    Refusals(PathList),
    /// What another policy would refuse of the certificates that are accepted.
    Candidate(Arc<CertificatePolicy>),
}

/// What is done with paths of the mTLS alias that are not listed, where refusals are watched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathList {
    /// They are refused.
    Enforced,
    /// They are watched as well.
    Watched,
}

/// Who says whether a request came over TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// The connection.
    Connection,
    /// Behind a trusted proxy its `x-forwarded-proto`.
    TrustedProxy,
}

/// Which TLS connections are good enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsPolicy {
    /// All that the host program accepts.
    AsAccepted,
    /// Those of the FAPI 2.0 Security Profile (section 5.2.1).
    Fapi(Tls12),
}

/// What is done with TLS 1.2 under [`TlsPolicy::Fapi`], where the host program tells no cipher suite.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls12 {
    /// It is refused.
    Refused,
    /// The host program accepts allowed suites only.
    RestrictedByHost,
}

impl Host {
    /// Whether some client certificates are accepted.
    pub fn accepts_certificates(&self) -> bool {
        let policy = &self.certificates;
        policy.ca_signed.is_some() || policy.self_signed.is_some()
    }
}

/// A tenant and the field it is sent in.
#[derive(Clone, Debug)]
pub struct TenantField {
    /// The name of the field.
    pub name: HeaderName,
    /// The tenant.
    pub value: String,
}

/// The authorization server behind a host.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `NAME` or `NAME:PORT`, reached over verified HTTPS.
    pub authority: String,
    /// What goes into `cname-api-key`.
    pub api_key: Option<Secret>,
    /// What goes into `x-auth-edge-origin`, by which the host program chooses among its origins (R-6b).
    pub route: Option<String>,
}

/// Proxies in front of the edge that are believed what they say of their clients.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    /// By their address.
    pub networks: Vec<Network>,
    /// By the certificate they present themselves; thumbprints and keys only.
    pub certificates: CertificateList,
}

/// A path served on the alias.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AliasPath {
    /// The raw path, compared byte for byte.
    pub path: String,
    /// How refusals on it are answered.
    pub class: EndpointClass,
}

/// What is done with a CORS preflight on an allowed path of the alias (R-12b).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CorsPreflight {
    /// It is a request without a certificate like any other.
    Refuse,
    /// It is forwarded, without certificate fields.
    Forward,
}

/// How a certificate is told to the origin.
#[derive(Clone, Debug)]
pub struct CertificateFields {
    /// The field that carries the certificate.
    pub certificate: HeaderName,
    /// How it is written.
    pub encoding: Encoding,
    /// The longest value the origin takes, in bytes.
    pub max_bytes: usize,
    /// The field that carries the verdict, when the origin reads one.
    pub verdict: Option<HeaderName>,
}

/// Which client certificates a host accepts; none unless told.
#[derive(Clone, Debug, Default)]
pub struct CertificatePolicy {
    /// Where the certificate of a client stands.
    pub source: Source,
    /// What a CA-signed certificate must fulfil; none are accepted without.
    pub ca_signed: Option<CaSignedPolicy>,
    /// What a self-signed certificate must fulfil; none are accepted without.
    pub self_signed: Option<SelfSignedPolicy>,
    /// Certificates that are refused whatever else is said of them.
    pub deny: CertificateList,
    /// How far a clock may be off when dates are judged, in seconds.
    pub clock_skew_seconds: u64,
}

impl CertificatePolicy {
    /// Where the intermediates are read that came with a certificate.
    pub fn chain(&self) -> PresentedChain {
        match self.ca_signed.as_ref().map(|policy| policy.verified_by) {
            Some(VerifiedBy::Edge(chain)) => chain,
            Some(VerifiedBy::Host) | None => PresentedChain::Unread,
        }
    }
}

/// Where the certificate of a client stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Source {
    /// The client presented it on this connection, and the host program shows it.
    #[default]
    Connection,
    /// The client presented it on this connection, and the host program shows it in the
    /// `x-forwarded-client-cert` that it writes (R-4c).
    EnvoyXfcc,
    /// The client presented it to a trusted proxy, which writes it into a field (R-4b).
    ProxyField {
        /// The field.
        name: HeaderName,
        /// How it carries the certificate.
        format: Format,
    },
}

/// Where the intermediates stand that came with a client certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PresentedChain {
    /// Nowhere: only configured ones are used.
    Unread,
    /// In the `x-forwarded-client-cert` that the host program itself writes (R-4c).
    EnvoyXfcc,
    /// In what the trusted proxy writes besides the certificate.
    ProxyField,
    /// In what the host program shows of the connection: Cloudflare.
    Host,
}

/// What a CA-signed certificate must fulfil.
#[derive(Clone, Debug)]
pub struct CaSignedPolicy {
    /// Who verifies the path to a root.
    pub verified_by: VerifiedBy,
    /// The authorities that may have issued it, and what they revoked.
    pub trust: TrustSet,
    /// The certificates admitted; all that verify without.
    pub allow: Option<CertificateList>,
}

/// Who verifies a CA-signed certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VerifiedBy {
    /// The edge.
    Edge(PresentedChain),
    /// The host program that ends TLS.
    Host,
}

/// What a self-signed certificate must fulfil.
#[derive(Clone, Debug)]
pub enum SelfSignedPolicy {
    /// Its thumbprint is registered.
    Registered(BTreeSet<Thumbprint>),
    /// Nothing more: the origin checks.
    Forward,
}

/// A list of certificates, by what names them.
///
/// Each sort is looked up and none is gone through, however long the list and whatever a certificate
/// holds.
#[derive(Clone, Debug, Default)]
pub struct CertificateList {
    /// Certificates by their own thumbprint.
    pub thumbprints: BTreeSet<Thumbprint>,
    /// Certificates by the thumbprint of their key.
    pub keys: BTreeSet<Thumbprint>,
    /// By serial number, without leading zeros, and the issuer's name.
    pub serials: BTreeSet<(Vec<u8>, DistinguishedName)>,
    /// By the subject's name.
    pub subjects: BTreeSet<DistinguishedName>,
    /// By a dNSName, in lower case; compared without regard to case.
    pub dns_names: BTreeSet<String>,
    /// By a dNSName with exactly one more label in front of this suffix, which has no dot in front.
    pub dns_parents: BTreeSet<String>,
    /// By a uniformResourceIdentifier, compared byte for byte.
    pub uris: BTreeSet<String>,
    /// By an rfc822Name, compared byte for byte.
    pub emails: BTreeSet<String>,
}

/// A host name that is served twice; see [`Config::new`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameTaken {
    /// The place of the host, counted from 0.
    pub host: usize,
    /// Which of its names is taken already.
    pub surface: Surface,
}

impl Config {
    /// Puts the hosts together; every custom domain and alias must be a name of its own.
    pub fn new(hosts: Vec<Host>) -> Result<Self, NameTaken> {
        let mut names = BTreeMap::new();
        let mut own_fields: Vec<HeaderName> = Vec::new();
        for (index, host) in hosts.iter().enumerate() {
            let surfaces = [
                (Some(&host.custom_domain), Surface::CustomDomain),
                (host.mtls_alias.as_ref(), Surface::MtlsAlias),
            ];
            for (name, surface) in surfaces {
                let Some(name) = name else { continue };
                let entry = (HostIndex(index), surface);
                if names.insert(String::from(name.as_str()), entry).is_some() {
                    return Err(NameTaken {
                        host: index,
                        surface,
                    });
                }
            }
            let fields = &host.certificate_fields;
            let tenant = host.tenant.as_ref().map(|tenant| &tenant.name);
            let input = match &host.certificates.source {
                Source::ProxyField { name, .. } => Some(name),
                Source::Connection | Source::EnvoyXfcc => None,
            };
            let own = [
                input,
                Some(&fields.certificate),
                fields.verdict.as_ref(),
                tenant,
                Some(&host.client_address_field),
            ];
            let unknown = own.into_iter().flatten().filter(|name| {
                header::classify(name.as_str().as_bytes()) == header::FieldClass::EndToEnd
            });
            for name in unknown {
                if !own_fields.contains(name) {
                    own_fields.push(name.clone());
                }
            }
        }
        Ok(Self {
            hosts,
            names,
            own_fields,
        })
    }

    /// The host that serves the name, and as which of its names.
    pub fn find(&self, name: &HostName<'_>) -> Option<(HostIndex, &Host, Surface)> {
        let (index, surface) = self.names.get(name.as_str())?;
        let host = self.hosts.get(index.0)?;
        Some((*index, host, *surface))
    }

    /// The custom domains whose trust is in doubt at `time`, in seconds since 1970: what a host program warns
    /// of when it loads a configuration.
    pub fn doubts(&self, time: u64) -> impl Iterator<Item = (&HostName<'static>, Doubts)> {
        // Thousands of hosts can share the policy of the defaults, which is gone through once.
        let mut last: Option<(&Arc<CertificatePolicy>, Doubts)> = None;
        self.hosts.iter().filter_map(move |host| {
            let policy = &host.certificates;
            let known = last.filter(|(last, _)| Arc::ptr_eq(last, policy));
            let (_, doubts) = *last.insert(known.unwrap_or_else(|| {
                let ca_signed = policy.ca_signed.as_ref();
                let doubts = ca_signed.map(|ca_signed| ca_signed.trust.doubts(time));
                (policy, doubts.unwrap_or_default())
            }));
            (doubts != Doubts::default()).then_some((&host.custom_domain, doubts))
        })
    }

    /// The custom domains on which something is only watched, or was until a date that has passed.
    pub fn shadows(&self) -> impl Iterator<Item = (&HostName<'static>, &Shadow)> {
        let hosts = self.hosts.iter();
        hosts.filter_map(|host| Some((&host.custom_domain, &**host.shadow.as_ref()?)))
    }

    /// Every field that some host sends its origin or reads, with the custom domain that does; a field
    /// can come several times.
    pub fn fields(&self) -> impl Iterator<Item = (&HostName<'static>, &str)> {
        self.hosts.iter().flat_map(|host| {
            let fields = &host.certificate_fields;
            let input = match &host.certificates.source {
                Source::ProxyField { name, .. } => Some(name),
                Source::Connection | Source::EnvoyXfcc => None,
            };
            let named = [
                input,
                Some(&fields.certificate),
                fields.verdict.as_ref(),
                host.tenant.as_ref().map(|tenant| &tenant.name),
                Some(&host.client_address_field),
            ];
            let named = named.into_iter().flatten().map(HeaderName::as_str);
            let route = host.origin.route.as_ref();
            let route = route.map(|_| header::X_AUTH_EDGE_ORIGIN);
            named
                .chain(route)
                .map(move |name| (&host.custom_domain, name))
        })
    }

    /// The custom domains that read certificates from the `x-forwarded-client-cert` of their own Envoy.
    pub fn readers_of_own_xfcc(&self) -> impl Iterator<Item = &HostName<'static>> {
        let hosts = self.hosts.iter().filter(|host| {
            let ca_signed = host.certificates.ca_signed.as_ref();
            let verified_by = ca_signed.map(|policy| policy.verified_by);
            matches!(host.certificates.source, Source::EnvoyXfcc)
                || verified_by == Some(VerifiedBy::Edge(PresentedChain::EnvoyXfcc))
        });
        hosts.map(|host| &host.custom_domain)
    }

    /// The custom domains that want the presented intermediates as a fact of the connection.
    pub fn readers_of_shown_chain(&self) -> impl Iterator<Item = &HostName<'static>> {
        let wants = |policy: &CertificatePolicy| {
            policy.ca_signed.is_some() && policy.chain() == PresentedChain::Host
        };
        let hosts = self
            .hosts
            .iter()
            .filter(move |host| wants(&host.certificates));
        hosts.map(|host| &host.custom_domain)
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Whether some host sends the field to its origin or takes it from a proxy, so that none may pass
    /// from outside.
    pub fn owns_field(&self, name: &[u8]) -> bool {
        self.own_fields
            .iter()
            .any(|own| header::folds_to_same(own.as_str().as_bytes(), name))
    }
}

impl CertificateList {
    /// Whether the certificate is on the list in whatever spelling: what denies has to know a
    /// certificate again after anybody has rewritten its signature.
    pub fn knows(&self, certificate: &LeafCert) -> bool {
        let is_listed = |twin: &Thumbprint| self.thumbprints.contains(twin);
        self.contains(certificate)
            || !self.thumbprints.is_empty() && certificate.twin_thumbprints().iter().any(is_listed)
    }

    /// Whether nothing is on the list.
    pub fn is_empty(&self) -> bool {
        self.thumbprints.is_empty()
            && self.keys.is_empty()
            && self.serials.is_empty()
            && self.subjects.is_empty()
            && !self.has_alternative_names()
    }

    fn has_alternative_names(&self) -> bool {
        let texts = [&self.dns_names, &self.dns_parents, &self.uris, &self.emails];
        texts.into_iter().any(|texts| !texts.is_empty())
    }

    /// Whether the certificate is on the list.
    pub fn contains(&self, certificate: &LeafCert) -> bool {
        self.thumbprints.contains(&certificate.thumbprint())
            || self.keys.contains(&certificate.key_thumbprint())
            || self.has_serial(certificate)
            || self.has_subject(certificate)
            || self.has_alternative_names() && self.has_alternative_name(certificate)
    }

    fn has_serial(&self, certificate: &LeafCert) -> bool {
        if self.serials.is_empty() {
            return false;
        }
        let issuer = DistinguishedName::of(certificate.issuer());
        let key = issuer.map(|issuer| (certificate.serial().to_vec(), issuer));
        key.is_some_and(|key| self.serials.contains(&key))
    }

    fn has_subject(&self, certificate: &LeafCert) -> bool {
        !self.subjects.is_empty()
            && DistinguishedName::of(certificate.subject())
                .is_some_and(|subject| self.subjects.contains(&subject))
    }

    fn has_alternative_name(&self, certificate: &LeafCert) -> bool {
        certificate.alternative_names().any(|name| match name {
            AlternativeName::Uri(uri) => self.uris.contains(uri),
            AlternativeName::Email(email) => self.emails.contains(email),
            AlternativeName::Dns(name) => {
                let name = name.to_ascii_lowercase();
                self.dns_names.contains(&name)
                    || parent(&name).is_some_and(|parent| self.dns_parents.contains(parent))
            }
        })
    }
}

/// What stands behind the first label, when that is a label; a wildcard in a certificate is none.
fn parent(name: &str) -> Option<&str> {
    let (label, parent) = name.split_once('.')?;
    let is_ldh = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (!label.is_empty() && label.bytes().all(is_ldh)).then_some(parent)
}
