//! Entries of the file turned into what is in force, where they are read: so an error is placed in
//! `defaults` when it stands there, and hosts that take a default share one value.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::authorities;
use super::certificates::{
    AllowEntry, CertificatesEntry, ClassName, DenyEntry, EncodingName, HeadersEntry, HeadersPreset,
    OwnSource, PathEntry, ProxyCertificate, ProxyEncoding, ProxyPeer, SelfSignedEntry, SourceEntry,
};
use super::texts::DnsPattern;
use crate::config::{
    AliasPath, CaSignedPolicy, CertificateFields, CertificateList, CertificatePolicy,
    SelfSignedPolicy, Source, TrustedProxies,
};
use crate::endpoint::EndpointClass;
use crate::header::{self, HeaderName};
use crate::wire::cert_header::Encoding;
use crate::wire::forwarded::Format;
use crate::wire::json::{ConfigError, FromJson, Json, Text};

/// What Auth0 takes at most in `client-certificate`, in bytes.
const AUTH0_CERTIFICATE_BYTES: usize = 4096;
/// The limit of other certificate fields unless configured: what Cloudflare shows at most.
const OTHER_CERTIFICATE_BYTES: usize = 10 * 1024;

impl FromJson for CertificatePolicy {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        certificate_policy(&CertificatesEntry::from_json(json)?)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        CertificatesEntry::schema()
    }
}

impl FromJson for CertificateFields {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        Ok(certificate_fields(&HeadersEntry::from_json(json)?))
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        HeadersEntry::schema()
    }
}

impl FromJson for Arc<[AliasPath]> {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        alias_paths(&Vec::from_json(json)?)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        Vec::<PathEntry>::schema()
    }
}

impl FromJson for TrustedProxies {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        trusted_proxies(&Vec::from_json(json)?)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        Vec::<ProxyPeer>::schema()
    }
}

fn trusted_proxies(entries: &[ProxyPeer]) -> Result<TrustedProxies, ConfigError> {
    let mut proxies = TrustedProxies::default();
    for (index, entry) in entries.iter().enumerate() {
        match entry {
            ProxyPeer::Network(network) => proxies.networks.push(*network),
            ProxyPeer::Certificate(ProxyCertificate {
                thumbprint: Some(Text(thumbprint)),
                key_thumbprint: None,
            }) => {
                proxies.certificates.thumbprints.insert(*thumbprint);
            }
            ProxyPeer::Certificate(ProxyCertificate {
                thumbprint: None,
                key_thumbprint: Some(Text(key)),
            }) => {
                proxies.certificates.keys.insert(*key);
            }
            ProxyPeer::Certificate(_) => {
                let error = ConfigError::here(
                    "found another combination, expected exactly one of `thumbprint`, `key_thumbprint`",
                );
                return Err(error.in_element(index));
            }
        }
    }
    Ok(proxies)
}

fn source(entry: Option<&SourceEntry>) -> Source {
    match entry {
        None | Some(SourceEntry::Own(OwnSource::Connection)) => Source::Connection,
        Some(SourceEntry::Own(OwnSource::EnvoyXfcc)) => Source::EnvoyXfcc,
        Some(SourceEntry::Proxy(proxy)) => Source::ProxyField {
            name: proxy.proxy_field.0.clone(),
            format: proxy.encoding.format(),
        },
    }
}

impl ProxyEncoding {
    const fn format(self) -> Format {
        match self {
            Self::Xfcc => Format::Xfcc,
            Self::Rfc9440 => Format::Rfc9440,
            Self::UrlEncodedPem => Format::UrlEncodedPem,
            Self::Base64Der => Format::Base64Der,
        }
    }

    /// Whether the form has a place for the chain.
    pub(super) const fn has_chain(self) -> bool {
        matches!(self, Self::Xfcc | Self::Rfc9440)
    }
}

fn certificate_fields(entry: &HeadersEntry) -> CertificateFields {
    match entry {
        HeadersEntry::Preset(preset) => preset_fields(*preset),
        HeadersEntry::Custom(custom) => CertificateFields {
            certificate: custom.certificate.0.clone(),
            encoding: match custom.encoding {
                EncodingName::UrlEncodedPem => Encoding::UrlEncodedPem,
                EncodingName::Rfc9440 => Encoding::Rfc9440,
                EncodingName::Base64Der => Encoding::Base64Der,
            },
            max_bytes: custom
                .max_bytes
                .and_then(|bytes| usize::try_from(bytes.0).ok())
                .unwrap_or(OTHER_CERTIFICATE_BYTES),
            verdict: custom.verdict.as_ref().map(|name| name.0.clone()),
        },
    }
}

pub(super) fn preset_fields(preset: HeadersPreset) -> CertificateFields {
    let without_verdict = |certificate, encoding| CertificateFields {
        certificate: HeaderName::from_known(certificate),
        encoding,
        max_bytes: OTHER_CERTIFICATE_BYTES,
        verdict: None,
    };
    match preset {
        HeadersPreset::Auth0 => CertificateFields {
            certificate: HeaderName::from_known(header::CLIENT_CERTIFICATE),
            encoding: Encoding::UrlEncodedPem,
            max_bytes: AUTH0_CERTIFICATE_BYTES,
            verdict: Some(HeaderName::from_known(
                header::CLIENT_CERTIFICATE_CA_VERIFIED,
            )),
        },
        HeadersPreset::Rfc9440 => without_verdict(header::CLIENT_CERT, Encoding::Rfc9440),
        HeadersPreset::KeycloakNginx => without_verdict("ssl-client-cert", Encoding::UrlEncodedPem),
        HeadersPreset::KeycloakHaproxy => without_verdict("ssl_client_cert", Encoding::Base64Der),
    }
}

fn alias_paths(entries: &[PathEntry]) -> Result<Arc<[AliasPath]>, ConfigError> {
    if entries.is_empty() {
        return Err(ConfigError::here("found no path, expected at least one"));
    }
    for (index, entry) in entries.iter().enumerate() {
        let mut earlier = entries.iter().take(index);
        if earlier.any(|other| other.path.0.0 == entry.path.0.0) {
            let error = ConfigError::here("found a path given twice, expected it once");
            return Err(error.in_element(index));
        }
    }
    let paths = entries.iter().map(|entry| AliasPath {
        path: entry.path.0.0.clone(),
        class: match entry.class {
            ClassName::Token => EndpointClass::Token,
            ClassName::Par => EndpointClass::Par,
            ClassName::Resource => EndpointClass::Resource,
            ClassName::Other => EndpointClass::Other,
        },
    });
    Ok(paths.collect())
}

fn certificate_policy(entry: &CertificatesEntry) -> Result<CertificatePolicy, ConfigError> {
    if entry.ca_signed.is_none() && entry.self_signed.is_none() {
        return Err(ConfigError::here(
            "found neither `ca_signed` nor `self_signed`, expected at least one",
        ));
    }
    let mut policy = CertificatePolicy {
        source: source(entry.source.as_ref()),
        deny: deny_list(entry.deny.as_deref().unwrap_or_default())?,
        clock_skew_seconds: entry.clock_skew_seconds.map_or(0, |seconds| seconds.0),
        ..CertificatePolicy::default()
    };
    if let Some(ca_signed) = &entry.ca_signed {
        let allow = ca_signed.allow.as_deref().map(allow_list).transpose();
        let (verified_by, trust) = authorities::trust(ca_signed, entry.source.as_ref())
            .map_err(|error| error.in_member("ca_signed"))?;
        policy.ca_signed = Some(CaSignedPolicy {
            verified_by,
            trust,
            allow: allow.map_err(|error| error.in_member("ca_signed"))?,
        });
    }
    policy.self_signed = entry.self_signed.as_ref().map(|entry| match entry {
        SelfSignedEntry::Forward => SelfSignedPolicy::Forward,
        SelfSignedEntry::Registered(thumbprints) => {
            let mut registered = BTreeSet::new();
            for thumbprint in thumbprints {
                registered.insert(thumbprint.0);
            }
            SelfSignedPolicy::Registered(registered)
        }
    });
    Ok(policy)
}

fn allow_list(entries: &[AllowEntry]) -> Result<CertificateList, ConfigError> {
    let mut list = CertificateList::default();
    for (index, entry) in entries.iter().enumerate() {
        add_allowed(&mut list, entry).ok_or_else(|| {
            ConfigError::here(
                "found another combination, expected exactly one of `thumbprint`, `issuer` with `serial`, \
                 `subject`, `san_dns`, `san_uri`, `san_email`",
            )
            .in_element(index)
            .in_member("allow")
        })?;
    }
    Ok(list)
}

fn add_allowed(list: &mut CertificateList, entry: &AllowEntry) -> Option<()> {
    let AllowEntry {
        thumbprint,
        issuer,
        serial,
        subject,
        san_dns,
        san_uri,
        san_email,
    } = entry;
    match (
        thumbprint, issuer, serial, subject, san_dns, san_uri, san_email,
    ) {
        (Some(Text(thumbprint)), None, None, None, None, None, None) => {
            list.thumbprints.insert(*thumbprint);
        }
        (None, Some(Text(issuer)), Some(Text(serial)), None, None, None, None) => {
            let serial = serial.0.clone();
            list.serials.insert((serial, issuer.clone()));
        }
        (None, None, None, Some(Text(subject)), None, None, None) => {
            list.subjects.insert(subject.clone());
        }
        (None, None, None, None, Some(Text(name)), None, None) => {
            match name {
                DnsPattern::Exact(name) => list.dns_names.insert(name.clone()),
                DnsPattern::OneLabelUnder(parent) => list.dns_parents.insert(parent.clone()),
            };
        }
        (None, None, None, None, None, Some(Text(uri)), None) => {
            list.uris.insert(uri.0.clone());
        }
        (None, None, None, None, None, None, Some(Text(email))) => {
            list.emails.insert(email.0.clone());
        }
        _ => return None,
    }
    Some(())
}

fn deny_list(entries: &[DenyEntry]) -> Result<CertificateList, ConfigError> {
    let mut list = CertificateList::default();
    for (index, entry) in entries.iter().enumerate() {
        match (
            &entry.thumbprint,
            &entry.issuer,
            &entry.serial,
            &entry.key_thumbprint,
        ) {
            (Some(Text(thumbprint)), None, None, None) => {
                list.thumbprints.insert(*thumbprint);
            }
            (None, Some(Text(issuer)), Some(Text(serial)), None) => {
                let serial = serial.0.clone();
                list.serials.insert((serial, issuer.clone()));
            }
            (None, None, None, Some(Text(key))) => {
                list.keys.insert(*key);
            }
            _ => {
                let error = ConfigError::here(
                    "found another combination, expected exactly one of `thumbprint`, `issuer` with `serial`, `key_thumbprint`",
                );
                return Err(error.in_element(index).in_member("deny"));
            }
        }
    }
    Ok(list)
}
