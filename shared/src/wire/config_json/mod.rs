//! The configuration file: what people write, turned into a [`Config`] or into an error they can
//! act on.
//!
//! One file serves every host program. Unknown members are errors, an error names the JSON path,
//! what was found and what was expected, and no error holds a secret.

mod authorities;
mod certificates;
mod convert;
mod entries;
mod secrets;
mod texts;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::certificates::HeadersPreset;
use self::convert::preset_fields;
use self::entries::{
    DiscoveryEntry, File, GenerateEntry, HostEntry, Mode, Mtls, OriginMatches, Preflight,
    ProfileName, SchemeFrom, Settings, Tls12Name, TlsName,
};
pub use self::entries::{
    MAX_CERTIFICATE_FIELD_BYTES, MAX_CLOCK_SKEW_SECONDS, MAX_DISCOVERY_AGE_SECONDS,
};
use self::secrets::{SealingKeys, SecretSource, variable};
use crate::config::{
    AliasPath, CertificatePolicy, Config, CorsPreflight, Host, Origin, PathList, Presence, Scheme,
    Shadow, ShadowScope, Source, Status, Surface, TenantField, Tls12, TlsPolicy, TrustedProxies,
};
use crate::discovery::Discovery;
use crate::endpoint::Profile;
use crate::header::{self, FieldClass, HeaderName};
use crate::host_name::HostName;
use crate::network::Network;
use crate::secret::Secret;
pub use crate::wire::json::ConfigError;
use crate::wire::json::{Bounded, FromJson, Json, Text};

/// The longest time for which something is only watched, in seconds: 30 days.
pub const MAX_SHADOW_SECONDS: u64 = 30 * 86_400;

/// How long metadata may be kept unless configured, in seconds.
const DISCOVERY_AGE_SECONDS: u64 = 300;

/// What a host program keeps for a configuration outside its file.
///
/// A closure that gives secrets by name is one that keeps nothing else.
pub trait Store {
    /// The secret of this name, among the host program's own.
    fn secret(&self, name: &str) -> Option<String>;

    /// The revocation lists kept for a custom domain, each one DER; none where the host program keeps no lists.
    fn revocation_lists(&self, _custom_domain: &HostName<'_>) -> Option<Vec<Vec<u8>>> {
        None
    }
}

impl<F: Fn(&str) -> Option<String>> Store for F {
    fn secret(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Reads a configuration file; `now` is the time in seconds since 1970, and `store` what the host program
/// keeps besides.
pub fn parse(json: &[u8], now: u64, store: &dyn Store) -> Result<Config, ConfigError> {
    let mut json = Json::parse(json)?;
    if let Json::Object(members) = &mut json {
        // Where an editor finds the schema; nothing of the configuration.
        members.retain(|(name, _)| name != "$schema");
    }
    let File {
        version: Bounded(_),
        allow_inline_secrets,
        sealing_keys,
        defaults,
        hosts: entries,
    } = File::from_json(&json)?;
    let context = Context {
        now,
        store,
        allow_inline_secrets: allow_inline_secrets == Some(true),
        sealing_keys: SealingKeys::of(sealing_keys.as_ref(), store)
            .map_err(|error| error.in_member("sealing_keys"))?,
        defaults: defaults.as_ref(),
    };
    let in_host = |index: usize, error: ConfigError| error.in_element(index).in_member("hosts");
    if entries.is_empty() {
        return Err(ConfigError::new(
            ".hosts",
            "found no host, expected at least one",
        ));
    }
    let mut hosts = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        hosts.push(context.host(entry).map_err(|error| in_host(index, error))?);
    }
    let config = Config::new(hosts).map_err(|taken| {
        let member = match taken.surface {
            Surface::CustomDomain => ".custom_domain",
            Surface::MtlsAlias => ".mtls_alias",
        };
        let problem = "found a name that is served already, expected a name of its own";
        in_host(taken.host, ConfigError::new(member, problem))
    })?;
    for (index, entry) in entries.iter().enumerate() {
        let name = HostName::from_authority(entry.origin.host.0.0.as_bytes());
        if name.is_ok_and(|name| config.find(&name).is_some()) {
            let problem = "found a name the edge itself serves, expected another: requests would go in circles";
            return Err(in_host(index, ConfigError::new(".origin.host", problem)));
        }
    }
    Ok(config)
}

/// The JSON Schema (draft 2020-12) of the configuration file.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    let mut schema = File::schema();
    if let Some(members) = schema.as_object_mut() {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        members.insert("$schema".into(), dialect.into());
        members.insert("title".into(), "Auth Edge configuration".into());
        if let Some(properties) = members.get_mut("properties") {
            properties["$schema"] = serde_json::json!({ "type": "string" });
        }
    }
    schema
}

/// What the hosts of a file share while they are read.
struct Context<'a> {
    now: u64,
    store: &'a dyn Store,
    allow_inline_secrets: bool,
    sealing_keys: SealingKeys,
    defaults: Option<&'a Settings>,
}

impl Context<'_> {
    fn host(&self, entry: &HostEntry) -> Result<Host, ConfigError> {
        let settings = entry.settings(self.defaults);
        let custom_domain = entry.custom_domain.0.clone();
        let mtls_alias = mtls_alias(entry, &settings, &custom_domain)?;
        let certificate_fields = settings
            .certificate_headers
            .clone()
            .unwrap_or_else(|| Arc::new(preset_fields(HeadersPreset::Auth0)));
        let certificates = match (&settings.client_certificates, settings.mtls) {
            (_, Some(Mtls::Off)) => Arc::new(CertificatePolicy::default()),
            (Some(policy), _) => Arc::clone(policy),
            (None, _) => {
                return Err(ConfigError::new(
                    ".client_certificates",
                    "found nothing, expected which client certificates are accepted on the mTLS alias",
                ));
            }
        };
        let certificates = self.with_kept_lists(certificates, &custom_domain)?;
        let matches = entry.origin.matches.unwrap_or(OriginMatches::Subjects);
        if certificate_fields.verdict.is_none()
            && certificates.self_signed.is_some()
            && matches == OriginMatches::Subjects
        {
            return Err(ConfigError::new(
                ".client_certificates.self_signed",
                "found self-signed certificates accepted although `certificate_headers` tells the origin no verdict, \
                 expected `origin.matches` to be `thumbprints_only`: a self-signed certificate can carry anybody's subject",
            ));
        }
        let profile = match settings.profile {
            Some(ProfileName::Generic) => Profile::Generic,
            Some(ProfileName::Auth0) | None => Profile::Auth0,
        };
        let host = Host {
            shadow: self.shadow(entry, &certificates)?,
            tenant: tenant(entry, &settings)?,
            origin: Origin {
                authority: entry.origin.host.0.0.clone(),
                api_key: self.api_key(entry, profile)?,
                route: entry
                    .origin
                    .route
                    .as_ref()
                    .map(|Text(route)| route.0.clone()),
            },
            status: match entry.active {
                Some(false) => Status::Inactive,
                Some(true) | None => Status::Active,
            },
            same_host: match settings.mtls {
                Some(Mtls::SameHost) => Some(Presence::Optional),
                Some(Mtls::SameHostRequired) => Some(Presence::Required),
                Some(Mtls::Alias | Mtls::Off) | None => None,
            },
            domain_paths: settings.domain_paths.clone(),
            discovery: discovery(&settings, profile, &custom_domain)?,
            acme_challenges: entry
                .acme_challenges
                .clone()
                .map(|it| it.0)
                .unwrap_or_default(),
            scheme: match settings.scheme_from {
                Some(SchemeFrom::TrustedProxy) => Scheme::TrustedProxy,
                Some(SchemeFrom::Connection) | None => Scheme::Connection,
            },
            tls: tls_policy(&settings)?,
            custom_domain,
            mtls_alias,
            alias_paths: settings
                .mtls_paths
                .unwrap_or_else(|| profile_paths(profile)),
            cors_preflight: match settings.cors_preflight {
                Some(Preflight::Forward) => CorsPreflight::Forward,
                Some(Preflight::Refuse) | None => CorsPreflight::Refuse,
            },
            certificates,
            certificate_fields,
            trusted_proxies: settings.trusted_proxies.unwrap_or_default(),
            client_address_field: match settings.client_ip_header {
                Some(name) => name.0,
                None => HeaderName::from_known(header::X_FORWARDED_FOR),
            },
        };
        check_fields_differ(&host)?;
        check_proxies(&host)?;
        Ok(host)
    }

    /// what is only watched, and until when.
    fn shadow(
        &self,
        host: &HostEntry,
        live: &CertificatePolicy,
    ) -> Result<Option<Arc<Shadow>>, ConfigError> {
        let at = |member: &str, problem: &str| Err(ConfigError::new(member, problem));
        let Some(entry) = &host.shadow else {
            return match host.mode {
                Some(Mode::Shadow) => at(
                    ".shadow",
                    "found nothing although `mode` is `shadow`, expected until when",
                ),
                Some(Mode::Enforce) | None => Ok(None),
            };
        };
        let until = entry.until.0.0;
        if until > self.now.saturating_add(MAX_SHADOW_SECONDS) {
            return at(
                ".shadow.until",
                "found a time more than 30 days ahead, expected an earlier one: what is only watched has to end",
            );
        }
        let path_list = match entry.path_list {
            Some(Mode::Shadow) => PathList::Watched,
            Some(Mode::Enforce) | None => PathList::Enforced,
        };
        let scope = match (host.mode, &entry.client_certificates) {
            (Some(Mode::Shadow), None) => ShadowScope::Refusals(path_list),
            (Some(Mode::Shadow), Some(_)) => {
                return at(
                    ".shadow.client_certificates",
                    "found a policy although `mode` is `shadow`, expected none: it is judged beside one that is enforced",
                );
            }
            (Some(Mode::Enforce) | None, None) => {
                return at(
                    ".shadow",
                    "found nothing to watch, expected `client_certificates` here, or `mode` to be `shadow`",
                );
            }
            (Some(Mode::Enforce) | None, Some(_)) if entry.path_list.is_some() => {
                return at(
                    ".shadow.path_list",
                    "found a member that has no effect unless `mode` is `shadow`, expected none",
                );
            }
            (Some(Mode::Enforce) | None, Some(candidate)) => {
                if candidate.source != live.source || candidate.chain() != live.chain() {
                    return at(
                        ".shadow.client_certificates",
                        "found another `source` or `presented_chain`, expected those of `client_certificates`: \
                         both judge the same certificate",
                    );
                }
                let candidate = self
                    .with_kept_lists(Arc::clone(candidate), &host.custom_domain.0)
                    .map_err(|error| error.in_member("shadow"))?;
                ShadowScope::Candidate(candidate)
            }
        };
        Ok(Some(Arc::new(Shadow { until, scope })))
    }

    /// Adds the revocation lists that the host program keeps for the host, where lists are asked for.
    fn with_kept_lists(
        &self,
        policy: Arc<CertificatePolicy>,
        custom_domain: &HostName<'_>,
    ) -> Result<Arc<CertificatePolicy>, ConfigError> {
        let Some(revocation) = policy
            .ca_signed
            .as_ref()
            .and_then(|ca_signed| ca_signed.trust.revocation())
        else {
            return Ok(policy);
        };
        match self.store.revocation_lists(custom_domain) {
            None if revocation.is_empty() => Err(ConfigError::new(
                ".client_certificates.ca_signed.crl.lists",
                "found no list, expected at least one",
            )),
            None => Ok(policy),
            Some(kept) => {
                let mut policy = CertificatePolicy::clone(&policy);
                if let Some(ca_signed) = &mut policy.ca_signed {
                    ca_signed.trust.add_lists(kept);
                }
                Ok(Arc::new(policy))
            }
        }
    }

    fn api_key(&self, entry: &HostEntry, profile: Profile) -> Result<Option<Secret>, ConfigError> {
        let in_api_key = |member: &str, error: ConfigError| {
            error
                .in_member(member)
                .in_member("api_key")
                .in_member("origin")
        };
        let in_env = |error| in_api_key("env", error);
        match (&entry.origin.api_key, profile) {
            (None, Profile::Generic) => Ok(None),
            (None, Profile::Auth0) => Err(ConfigError::new(
                ".origin.api_key",
                "found nothing, expected an API key: the profile `auth0` needs one",
            )),
            (Some(SecretSource::Inline(secret)), _) if self.allow_inline_secrets => {
                Ok(Some(secret.clone()))
            }
            (Some(SecretSource::Inline(_)), _) => Err(ConfigError::new(
                ".origin.api_key.inline",
                "found a key in this file although `allow_inline_secrets` is not true, expected `env` or `sealed`",
            )),
            (Some(SecretSource::Environment(name)), _) => {
                if self.sealing_keys.are_in(name) {
                    return Err(in_env(ConfigError::here(
                        "found the variable of a sealing key, expected that of an API key: it is sent to the origin",
                    )));
                }
                let text = variable(self.store, name).map_err(in_env)?;
                let secret = Secret::new(text).map_err(|error| {
                    let shown = name.shown();
                    in_env(ConfigError::here(format!(
                        "found in the variable{shown} no header value ({error}), expected an API key"
                    )))
                })?;
                Ok(Some(secret))
            }
            (Some(SecretSource::Sealed(sealed)), _) => self
                .sealing_keys
                .open(sealed, &entry.custom_domain.0)
                .map(Some)
                .map_err(|error| in_api_key("sealed", error)),
        }
    }
}

fn mtls_alias(
    entry: &HostEntry,
    settings: &Settings,
    custom_domain: &HostName<'_>,
) -> Result<Option<HostName<'static>>, ConfigError> {
    let at = |problem: String| ConfigError::new(".mtls_alias", problem);
    match (settings.mtls.unwrap_or(Mtls::Alias), &entry.mtls_alias) {
        (Mtls::Alias, Some(alias)) => Ok(Some(alias.0.clone())),
        (Mtls::Alias, None) => HostName::parse(&format!("mtls.{custom_domain}"))
            .map(|alias| Some(alias.into_owned()))
            .map_err(|error| {
                at(format!(
                    "found `mtls.` + the custom domain ({error}), expected a name that fits"
                ))
            }),
        (Mtls::Off | Mtls::SameHost | Mtls::SameHostRequired, None) => Ok(None),
        (Mtls::Off | Mtls::SameHost | Mtls::SameHostRequired, Some(_)) => Err(at(
            "found a name although `mtls` is not `alias`, expected none".into(),
        )),
    }
}

fn tenant(entry: &HostEntry, settings: &Settings) -> Result<Option<TenantField>, ConfigError> {
    match (&settings.tenant_header, &entry.tenant) {
        (None, _) => Ok(None),
        (Some(name), Some(tenant)) => Ok(Some(TenantField {
            name: name.0.clone(),
            value: tenant.0.0.clone(),
        })),
        (Some(_), None) => Err(ConfigError::new(
            ".tenant",
            "found nothing although `tenant_header` is given, expected a tenant",
        )),
    }
}

/// who writes the metadata.
fn discovery(
    settings: &Settings,
    profile: Profile,
    custom_domain: &HostName<'_>,
) -> Result<Option<Arc<Discovery>>, ConfigError> {
    let generated = GenerateEntry::default();
    let entry = match (settings.discovery.as_deref(), profile) {
        (Some(DiscoveryEntry::Forward), _) | (None, Profile::Auth0) => return Ok(None),
        (Some(DiscoveryEntry::Generate(entry)), _) => entry,
        (None, Profile::Generic) => &generated,
    };
    let overrides = entry
        .metadata
        .as_ref()
        .map(|it| it.0.clone())
        .unwrap_or_default();
    let origin = format!("\"https://{custom_domain}");
    let is_other_issuer = |(name, value): &(String, String)| {
        let path = value.strip_prefix(&origin);
        name == "issuer" && !path.is_some_and(|path| path.starts_with(['/', '"']))
    };
    if overrides.iter().any(is_other_issuer) {
        return Err(ConfigError::new(
            ".discovery.metadata.issuer",
            format!(
                "found another issuer, expected one that starts with `https://{custom_domain}`"
            ),
        ));
    }
    Ok(Some(Arc::new(Discovery {
        profile,
        max_age_seconds: entry
            .max_age_seconds
            .map_or(DISCOVERY_AGE_SECONDS, |age| age.0),
        overrides,
    })))
}

/// which TLS connections are good enough.
fn tls_policy(settings: &Settings) -> Result<TlsPolicy, ConfigError> {
    match (settings.tls, settings.tls12) {
        (None, None) => Ok(TlsPolicy::AsAccepted),
        (None, Some(_)) => Err(ConfigError::new(
            ".tls12",
            "found a member that has no effect without `tls`, expected both or none",
        )),
        (Some(TlsName::Fapi), None) => Ok(TlsPolicy::Fapi(Tls12::Refused)),
        (Some(TlsName::Fapi), Some(Tls12Name::RestrictedByHost)) => {
            Ok(TlsPolicy::Fapi(Tls12::RestrictedByHost))
        }
    }
}

/// A field of a proxy is read only when the proxy is known.
fn check_proxies(host: &Host) -> Result<(), ConfigError> {
    let TrustedProxies {
        networks,
        certificates,
    } = &*host.trusted_proxies;
    let knows_none = networks.is_empty() && certificates.is_empty();
    if knows_none && host.scheme == Scheme::TrustedProxy {
        return Err(ConfigError::new(
            ".trusted_proxies",
            "found no proxy although `scheme_from` is `trusted_proxy`, expected whom to believe",
        ));
    }
    let reads_field = matches!(host.certificates.source, Source::ProxyField { .. });
    if let Source::ProxyField { name, .. } = &host.certificates.source {
        let name = name.as_str();
        let is_other = header::classify(name.as_bytes()) == FieldClass::Forwarding
            || [header::CNAME_API_KEY, header::CLIENT_CERT_CHAIN].contains(&name);
        if is_other {
            return Err(ConfigError::new(
                ".client_certificates.source.proxy_field",
                format!("found `{name}`, which carries something else, expected another field"),
            ));
        }
    }
    if reads_field && networks.iter().any(Network::is_everybody) {
        return Err(ConfigError::new(
            ".trusted_proxies",
            "found a network of everybody although `client_certificates.source` is a field of a proxy, \
             expected the proxies alone: whoever is trusted can claim to be any client",
        ));
    }
    if knows_none && reads_field {
        return Err(ConfigError::new(
            ".trusted_proxies",
            "found no proxy although `client_certificates.source` is a field of one, expected whom to believe it",
        ));
    }
    Ok(())
}

/// Each field the edge sets carries one thing.
fn check_fields_differ(host: &Host) -> Result<(), ConfigError> {
    let fields = &host.certificate_fields;
    let verdict = fields.verdict.as_ref().map(HeaderName::as_str);
    let tenant = host.tenant.as_ref().map(|tenant| tenant.name.as_str());
    let roles = [
        ("", Some(header::X_FORWARDED_PROTO)),
        ("", Some(header::X_FORWARDED_HOST)),
        ("", Some(header::CNAME_API_KEY)),
        ("", Some(header::X_AUTH_EDGE_ORIGIN)),
        // Its value has a grammar of its own (RFC 7239), which a bare address does not follow.
        ("", Some("forwarded")),
        (
            ".client_ip_header",
            Some(host.client_address_field.as_str()),
        ),
        (".tenant_header", tenant),
        (".certificate_headers", Some(fields.certificate.as_str())),
        (".certificate_headers", verdict),
    ];
    for (index, (path, name)) in roles.iter().enumerate() {
        let Some(name) = name else { continue };
        let mut earlier = roles.iter().take(index).filter_map(|(_, name)| *name);
        if earlier.any(|other| header::folds_to_same(other.as_bytes(), name.as_bytes())) {
            let problem = format!(
                "found `{name}`, which carries something else already, expected another field"
            );
            return Err(ConfigError::new(path, problem));
        }
        let is_forwarding = header::classify(name.as_bytes()) == FieldClass::Forwarding;
        if is_forwarding && [".tenant_header", ".certificate_headers"].contains(path) {
            let problem = format!(
                "found `{name}`, which tells where a request came from, expected another field"
            );
            return Err(ConfigError::new(path, problem));
        }
    }
    Ok(())
}

fn profile_paths(profile: Profile) -> Arc<[AliasPath]> {
    let endpoints = profile.alias_endpoints().map(|endpoint| AliasPath {
        path: endpoint.path.into(),
        class: endpoint.class,
    });
    endpoints.collect()
}
