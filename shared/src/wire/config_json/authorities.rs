//! Certificates of authorities and revocation lists as a configuration file holds them.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::certificates::{
    CaSignedEntry, ChainName, CrlCheck, CrlEntry, OwnSource, PublicCa, SourceEntry, ToleranceName,
    Verifier,
};
use crate::config::{PresentedChain, VerifiedBy};
use crate::trust::{Depth, Intermediate, Revocation, RevocationList, Root, Tolerance, TrustSet};
use crate::wire::json::{ConfigError, FromJson, Json};
use crate::wire::pem::{self, Label};

/// The roots of one text.
pub(super) struct RootText(Vec<Root>);
/// The intermediates of one text.
pub(super) struct IntermediateText(Vec<Intermediate>);
/// The revocation lists of one text.
pub(super) struct ListText(Vec<RevocationList>);

impl FromJson for RootText {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let expected = "the certificate of an authority";
        read(json, Label::Certificate, expected, Root::new).map(Self)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

impl FromJson for IntermediateText {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let expected = "the certificate of an authority";
        read(json, Label::Certificate, expected, Intermediate::new).map(Self)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

impl FromJson for ListText {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let expected = "a complete certificate revocation list";
        read(json, Label::RevocationList, expected, RevocationList::parse).map(Self)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

/// What a text holds, in PEM or as the base64 of one DER.
fn read<T, E: fmt::Display>(
    json: &Json,
    label: Label,
    expected: &str,
    parse: impl Fn(Vec<u8>) -> Result<T, E>,
) -> Result<Vec<T>, ConfigError> {
    let in_forms = format!("{expected}, in PEM or as base64 of its DER");
    let Json::Text(text) = json else {
        return Err(json.unexpected(&in_forms));
    };
    let is_url_encoded = text.starts_with("-----BEGIN%20");
    let ders = if is_url_encoded || text.contains("-----BEGIN ") {
        let blocks = match is_url_encoded {
            true => pem::decode_all(text.as_bytes(), label),
            false => pem::decode_blocks(text, label),
        };
        blocks.map_err(|error| {
            ConfigError::here(format!(
                "found PEM that cannot be read ({error}), expected {in_forms}"
            ))
        })?
    } else {
        let der = pem::decode_base64(text).ok_or_else(|| {
            ConfigError::here(format!(
                "found neither PEM nor base64, expected {in_forms}; it stands here itself, no file is read"
            ))
        })?;
        vec![der]
    };
    ders.into_iter()
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(|error| ConfigError::here(format!("found {error}, expected {expected}")))
}

/// Whom a host name trusts, and who verifies it; `source` is where the leaf stands.
pub(super) fn trust(
    entry: &CaSignedEntry,
    source: Option<&SourceEntry>,
) -> Result<(VerifiedBy, TrustSet), ConfigError> {
    let verified_by = verified_by(entry, source)?;
    let texts = entry.roots.as_deref().unwrap_or_default();
    if texts.is_empty() && verified_by != VerifiedBy::Host {
        return Err(ConfigError::new(
            ".roots",
            "found no root, expected at least one: the edge verifies the certificates",
        ));
    }
    check_public(entry, texts)?;
    let roots = texts.iter().flat_map(|text| text.0.iter().cloned());
    let intermediates = entry.intermediates.as_deref().unwrap_or_default();
    let intermediates = intermediates.iter().flat_map(|text| text.0.iter().cloned());
    let trust = TrustSet::new(roots.collect(), intermediates.collect());
    let Some(crl) = &entry.crl else {
        return Ok((verified_by, trust));
    };
    let revocation =
        revocation(crl, verified_by, &trust).map_err(|error| error.in_member("crl"))?;
    Ok((verified_by, trust.with_revocation(revocation)))
}

fn verified_by(
    entry: &CaSignedEntry,
    source: Option<&SourceEntry>,
) -> Result<VerifiedBy, ConfigError> {
    let chain = match entry.presented_chain {
        None | Some(ChainName::None) => PresentedChain::Unread,
        Some(ChainName::EnvoyXfcc) => PresentedChain::EnvoyXfcc,
        Some(ChainName::ProxyField) => PresentedChain::ProxyField,
        Some(ChainName::Host) => PresentedChain::Host,
    };
    let is_proxys = matches!(source, Some(SourceEntry::Proxy(_)));
    let is_on_connection = matches!(source, None | Some(SourceEntry::Own(OwnSource::Connection)));
    let fits = match chain {
        PresentedChain::Host => is_on_connection,
        PresentedChain::Unread => true,
        PresentedChain::EnvoyXfcc => !is_proxys,
        PresentedChain::ProxyField => {
            matches!(source, Some(SourceEntry::Proxy(proxy)) if proxy.encoding.has_chain())
        }
    };
    if !fits {
        return Err(ConfigError::new(
            ".presented_chain",
            "found a place where `source` has no chain, expected `none`, `envoy_xfcc` for a certificate of Envoy's own \
             connection, `host` for one that the host program shows with it, or `proxy_field` for a field of a proxy \
             that is `xfcc` or `rfc9440`",
        ));
    }
    if entry.verified_by != Some(Verifier::Host) {
        return Ok(VerifiedBy::Edge(chain));
    }
    if chain != PresentedChain::Unread || !is_on_connection {
        return Err(ConfigError::new(
            ".verified_by",
            "found `host` with certificates from a header field, expected `edge`: a field carries no verdict",
        ));
    }
    Ok(VerifiedBy::Host)
}

/// A publicly trusted root tells nothing of a client unless the certificate itself is on a list.
fn check_public(entry: &CaSignedEntry, texts: &[RootText]) -> Result<(), ConfigError> {
    if entry.allow.is_some() && matches!(entry.public_ca, Some(PublicCa::AcceptRisk)) {
        return Ok(());
    }
    let is_public = |text: &RootText| text.0.iter().any(Root::is_publicly_trusted);
    match texts.iter().position(is_public) {
        None => Ok(()),
        Some(index) => Err(ConfigError::here(
            "found a publicly trusted root, under which anybody can get a certificate, expected a root of your own; \
             or `allow` and `public_ca`: `accept_risk`",
        )
        .in_element(index)
        .in_member("roots")),
    }
}

fn revocation(
    entry: &CrlEntry,
    verified_by: VerifiedBy,
    trust: &TrustSet,
) -> Result<Revocation, ConfigError> {
    let depth = match entry.check {
        CrlCheck::Leaf => Depth::Leaf,
        CrlCheck::Path => Depth::Path,
    };
    if verified_by == VerifiedBy::Host && depth == Depth::Path {
        return Err(ConfigError::new(
            ".check",
            "found `path` although `verified_by` is `host`, expected `leaf`: the edge does not see the path",
        ));
    }
    let reads_chain = !matches!(
        verified_by,
        VerifiedBy::Host | VerifiedBy::Edge(PresentedChain::Unread)
    );
    let mut lists = Vec::new();
    for (index, text) in entry.lists.iter().enumerate() {
        let is_known = |list: &RevocationList| trust.has_authority(list.issuer());
        if !reads_chain && !text.0.iter().all(is_known) {
            return Err(ConfigError::here(
                "found a list of an issuer that is not configured, expected one of those in `roots` or `intermediates`",
            )
            .in_element(index)
            .in_member("lists"));
        }
        lists.extend(text.0.iter().cloned());
    }
    Ok(Revocation::new(
        depth,
        tolerance(entry.unknown),
        tolerance(entry.stale),
        lists,
    ))
}

fn tolerance(name: Option<ToleranceName>) -> Tolerance {
    match name {
        None | Some(ToleranceName::Refuse) => Tolerance::Refuse,
        Some(ToleranceName::Accept) => Tolerance::Accept,
    }
}
