//! The configuration file as people write it, member by member.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::secrets::{SealingKeysEntry, SecretSource};
use super::texts::{Authority, Path, RouteName, TenantName, Time};
use crate::acme;
use crate::config::{AliasPath, CertificateFields, CertificatePolicy, TrustedProxies};
use crate::header::HeaderName;
use crate::host_name::HostName;
use crate::wire::json::{Bounded, ConfigError, FromJson, Json, Text, choice, object, quoted};

/// The largest clock skew that can be configured, in seconds.
pub const MAX_CLOCK_SKEW_SECONDS: u64 = 300;
/// The longest certificate field that can be configured, in bytes: servers commonly refuse a
/// header section of more than 32 KiB.
pub const MAX_CERTIFICATE_FIELD_BYTES: u64 = 32 * 1024;

/// The longest time that metadata may be kept, in seconds.
pub const MAX_DISCOVERY_AGE_SECONDS: u64 = 86_400;

object! {
    /// The configuration of Auth Edge, one file for every host program.
    struct File {
        /// The version of this format.
        version: Bounded<1, 1>,
        /// Whether an API key may stand in this file; keys belong into the host program's secrets.
        allow_inline_secrets: Option<bool>,
        /// The keys that open what is sealed in this file, by their ids: one, or two while one takes the place of the other.
        sealing_keys: Option<SealingKeysEntry>,
        /// What holds for every host that does not say otherwise; each member is copied as a whole.
        defaults: Option<Settings>,
        /// The custom domains.
        hosts: Vec<HostEntry>,
    }
}

/// Writes [`Settings`] and [`HostEntry`], which share the members a host can take from defaults.
macro_rules! settings {
    ($($(#[doc = $doc:literal])* $member:ident: $type:ty,)*) => {
        object! {
            /// What can be given for every host in `defaults`.
            #[derive(Default)]
            struct Settings {
                $($(#[doc = $doc])* $member: Option<$type>,)*
            }
        }

        object! {
            /// A custom domain with its mTLS alias.
            struct HostEntry {
                /// The public name users see, such as `login.example.com`.
                custom_domain: Text<HostName<'static>>,
                /// The name where client certificates are requested; `mtls.` + the custom domain unless given.
                mtls_alias: Option<Text<HostName<'static>>>,
                /// The organization the domain belongs to.
                tenant: Option<Text<TenantName>>,
                /// The authorization server behind the domain.
                origin: OriginEntry,
                /// Whether the domain is served; `true` unless given. Otherwise it is answered as an unknown one, but for ACME challenges.
                active: Option<bool>,
                /// Answers to ACME challenges (RFC 8555 section 8.3): the key authorization for each token.
                acme_challenges: Option<AcmeChallenges>,
                /// Whether requests are refused, or only watched for what would be refused; `enforce` unless given.
                mode: Option<Mode>,
                /// What is only watched, and until when.
                shadow: Option<ShadowEntry>,
                $($(#[doc = $doc])* $member: Option<$type>,)*
            }
        }

        impl HostEntry {
            /// Takes over from the defaults what this host does not give.
            pub(super) fn settings(&self, defaults: Option<&Settings>) -> Settings {
                Settings {
                    $($member: self.$member.clone().or_else(|| defaults?.$member.clone()),)*
                }
            }
        }
    };
}

settings! {
    /// Which authorization server stands behind the edge: its endpoints and what it demands; `auth0` unless given.
    profile: ProfileName,
    /// Whether client certificates are accepted, and under which name; `alias` unless given.
    mtls: Mtls,
    /// Which client certificates are accepted.
    client_certificates: Arc<CertificatePolicy>,
    /// The paths served on the mTLS alias; the profile's unless given.
    mtls_paths: Arc<[AliasPath]>,
    /// How the origin is told of a client certificate; `auth0` unless given.
    certificate_headers: Arc<CertificateFields>,
    /// What is done with CORS preflights on the paths of the mTLS alias; `refuse` unless given.
    cors_preflight: Preflight,
    /// Proxies in front of the edge that are believed what they say of their clients: `x-forwarded-for`, and the field of `client_certificates.source`.
    trusted_proxies: Arc<TrustedProxies>,
    /// The field that carries the client's address to the origin; `x-forwarded-for` unless given.
    client_ip_header: Text<HeaderName>,
    /// The field that carries the tenant to the origin.
    tenant_header: Text<HeaderName>,
    /// The only paths served on the custom domain; all unless given.
    domain_paths: Arc<PathSet>,
    /// Who writes the metadata under `/.well-known/`; `forward` unless given for the profile `auth0`, `generate` for `generic`.
    discovery: Arc<DiscoveryEntry>,
    /// Who says whether a request came over TLS; `connection` unless given.
    scheme_from: SchemeFrom,
    /// Which TLS connections are good enough; all that the host program accepts unless given.
    tls: TlsName,
    /// What the host program is known to do about TLS 1.2, for `tls`: `fapi`.
    tls12: Tls12Name,
}

choice! {
    /// Whether what is refused is refused.
    enum Mode {
        /// It is.
        Enforce = "enforce",
        /// It is logged and counted, and the request is forwarded without certificate fields.
        Shadow = "shadow",
    }
}

object! {
    /// What is only watched: with `mode`: `shadow` the refusals for the server name and the certificate, else those of another policy.
    struct ShadowEntry {
        /// The time from which on everything is enforced, at most 30 days ahead: `2026-01-31T12:00:00Z`.
        until: Text<Time>,
        /// Whether paths that are not listed on the mTLS alias are only watched too; `enforce` unless given.
        path_list: Option<Mode>,
        /// Another policy that is judged beside `client_certificates`: what it would refuse is logged and counted, and forwarded as ever.
        client_certificates: Option<Arc<CertificatePolicy>>,
    }
}

choice! {
    /// Who says whether a request came over TLS.
    enum SchemeFrom {
        /// The connection itself.
        Connection = "connection",
        /// A trusted proxy that ended TLS, in `x-forwarded-proto`; for the custom domain only.
        TrustedProxy = "trusted_proxy",
    }
}

choice! {
    /// Which TLS connections are good enough.
    enum TlsName {
        /// TLS 1.3, and TLS 1.2 with the cipher suites of the FAPI 2.0 Security Profile.
        Fapi = "fapi",
    }
}

choice! {
    /// What the host program does about TLS 1.2.
    enum Tls12Name {
        /// It accepts no other cipher suites than those of FAPI 2.0, which it does not tell one by one.
        RestrictedByHost = "restricted_by_host",
    }
}

/// Who writes the metadata of the authorization server.
pub(super) enum DiscoveryEntry {
    Forward,
    Generate(GenerateEntry),
}

impl FromJson for DiscoveryEntry {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        match json {
            Json::Text(text) if text == "forward" => Ok(Self::Forward),
            Json::Text(text) if text == "generate" => Ok(Self::Generate(GenerateEntry::default())),
            Json::Object(_) => GenerateEntry::from_json(json).map(Self::Generate),
            _ => Err(json.unexpected("`forward`, `generate`, or an object")),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [
            { "const": "forward", "description": "The origin's own pass." },
            { "const": "generate", "description": "The edge writes them, from the profile's endpoints." },
            GenerateEntry::schema(),
        ] })
    }
}

object! {
    /// How the edge writes the metadata.
    #[derive(Default)]
    struct GenerateEntry {
        /// How long an answer may be kept, in seconds; 300 unless given.
        max_age_seconds: Option<Bounded<0, MAX_DISCOVERY_AGE_SECONDS>>,
        /// Members that take the place of generated ones or stand beside them.
        metadata: Option<Metadata>,
    }
}

/// Members of the metadata: names, and values as JSON.
pub(super) struct Metadata(pub(super) Vec<(String, String)>);

impl FromJson for Metadata {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let Json::Object(found) = json else {
            return Err(json.unexpected("an object"));
        };
        let member = |(name, value): &(String, Json)| {
            let written = value.written().ok_or_else(|| {
                ConfigError::here("found a number that is not whole, expected another value")
                    .in_member(name)
            })?;
            Ok((name.clone(), written))
        };
        found.iter().map(member).collect::<Result<_, _>>().map(Self)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object" })
    }
}

/// Paths, each once.
pub(super) type PathSet = BTreeSet<String>;

impl FromJson for PathSet {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let paths: Vec<Text<Path>> = Vec::from_json(json)?;
        if paths.is_empty() {
            return Err(ConfigError::here("found no path, expected at least one"));
        }
        Ok(paths.into_iter().map(|path| path.0.0).collect())
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        Vec::<Text<Path>>::schema()
    }
}

/// Key authorizations by token (RFC 8555 section 8.1).
#[derive(Clone)]
pub(super) struct AcmeChallenges(pub(super) Arc<BTreeMap<String, String>>);

impl FromJson for AcmeChallenges {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let Json::Object(found) = json else {
            return Err(json.unexpected("an object of texts"));
        };
        let mut challenges = BTreeMap::new();
        for (token, value) in found {
            let text = match value {
                Json::Text(text) if acme::is_key_authorization(token, text) => text.clone(),
                _ => {
                    let problem = "found no answer to an ACME challenge, expected a token of 1 to 128 base64url characters, and \
                                   the key authorization that starts with it";
                    return Err(ConfigError::here(problem).in_member(&quoted(token)));
                }
            };
            challenges.insert(token.clone(), text);
        }
        Ok(Self(Arc::new(challenges)))
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

choice! {
    /// Which authorization server stands behind the edge.
    enum ProfileName {
        /// Auth0 with a custom domain: needs `origin.api_key`.
        Auth0 = "auth0",
        /// Any OpenID provider with its endpoints under `/oauth/`.
        Generic = "generic",
    }
}

choice! {
    /// Whether client certificates are accepted.
    enum Mtls {
        /// On a name of their own, the mTLS alias.
        Alias = "alias",
        /// On the custom domain itself, on the paths for it; a request without one is forwarded without.
        SameHost = "same_host",
        /// On the custom domain itself, on the paths for it; a request without one is refused there.
        SameHostRequired = "same_host_required",
        /// Nowhere.
        Off = "off",
    }
}

choice! {
    /// What is done with CORS preflights.
    enum Preflight {
        /// Refused, since a preflight carries no client certificate.
        Refuse = "refuse",
        /// Forwarded without certificate fields.
        Forward = "forward",
    }
}

object! {
    /// The authorization server behind a custom domain.
    struct OriginEntry {
        /// The origin's host name, with a port when it is not 443; always reached over verified HTTPS.
        host: Text<Authority>,
        /// The API key the origin demands in `cname-api-key`.
        api_key: Option<SecretSource>,
        /// What the edge sends in `x-auth-edge-origin`, by which the host program chooses among several origins.
        route: Option<Text<RouteName>>,
        /// What the origin compares when it matches a client certificate to a client; `subjects` unless given.
        matches: Option<OriginMatches>,
    }
}

choice! {
    /// What an origin matches client certificates by.
    enum OriginMatches {
        /// Subjects or alternative names, at least for some clients.
        Subjects = "subjects",
        /// Thumbprints or keys only, never a name that a self-signed certificate could carry.
        ThumbprintsOnly = "thumbprints_only",
    }
}
