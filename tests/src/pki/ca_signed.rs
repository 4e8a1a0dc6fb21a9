//! Identities that an authority certified.

use super::certificate::{Template, Version, distinguished_name};
use super::extension::{
    ANY_PURPOSE, AltName, CLIENT_AUTH, Criticality, DIGITAL_SIGNATURE, Extension, KEY_AGREEMENT,
    KEY_CERT_SIGN, Role, SERVER_AUTH,
};
use super::keys::{Key, KeyKind, SignedWith, random_bytes};
use super::{Authority, DAY, Identity, Pki, PkiError, SharedRsaKeys, sized, twin};

/// The subject of `ca_client` and of whoever pretends to be it.
pub(super) fn subject_of_ca_client() -> Vec<u8> {
    distinguished_name("client-1", "Example Clients", "AT")
}

/// What Envoy says of an identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HostSays {
    Valid,
    Invalid,
    /// The handshake fails before there is a verdict.
    Nothing,
}

use HostSays::{Invalid, Nothing, Valid};

/// All identities that an authority certified, and the malformed ones made of them.
pub(super) fn identities(pki: &Pki, rsa: &SharedRsaKeys) -> Result<Vec<Identity>, PkiError> {
    let ca = pki.authority("ca")?;
    let ca_rsa = pki.authority("ca_rsa")?;
    let mut made = Vec::new();
    let mut add = |name: &str, der: Vec<u8>, key: &Key, says| {
        made.push(identity(name, vec![der], key, says));
    };
    let p256 = || Key::generate(KeyKind::P256);
    let now = pki.generated_at();

    let key = p256()?;
    let names = Extension::subject_alt_name(&[
        AltName::Dns("client-1.clients.example.com"),
        AltName::Uri("urn:example:client-1"),
        AltName::Email("client-1@clients.example.com"),
    ]);
    let client = leaf(subject_of_ca_client(), &key, now)?.with(names);
    let good = ca.issue(client.clone(), &key)?;
    add("ca_client", good.clone(), &key, Valid);
    add("ca_client_twin", twin::of(&good)?, &key, Valid);
    let good_key = key;

    for (name, kind) in [
        ("ca_client_p384", KeyKind::P384),
        ("ca_client_p521", KeyKind::P521),
        ("ca_client_ed25519", KeyKind::Ed25519),
        ("ca_client_other", KeyKind::P256),
    ] {
        let key = Key::generate(kind)?;
        add(
            name,
            ca.issue(named_leaf(name, &key, now)?, &key)?,
            &key,
            Valid,
        );
    }
    for (name, key) in [
        ("ca_client_rsa1024", &*rsa.rsa1024),
        ("ca_client_rsa2048", &rsa.rsa2048),
        ("ca_client_rsa4096", &rsa.rsa4096),
    ] {
        add(
            name,
            ca.issue(named_leaf(name, key, now)?, key)?,
            key,
            Valid,
        );
    }
    let name = "ca_client_rsa_pss_signed";
    let template = named_leaf(name, &rsa.rsa2048, now)?;
    let der = ca_rsa.issue_with(template, &rsa.rsa2048, SignedWith::RsaPssSha256)?;
    add(name, der, &rsa.rsa2048, Valid);
    let name = "ca_client_sha1";
    let key = p256()?;
    let der = ca_rsa.issue_with(named_leaf(name, &key, now)?, &key, SignedWith::RsaSha1)?;
    add(name, der, &key, Valid);

    for (name, says, change) in deviations() {
        let key = p256()?;
        add(
            name,
            ca.issue(change(named_leaf(name, &key, now)?, now), &key)?,
            &key,
            says,
        );
    }
    let name = "ca_client_duplicate_extension";
    let key = p256()?;
    let second = Extension::subject_alt_name(&[AltName::Dns("other.clients.example.com")]);
    let template = named_leaf(name, &key, now)?.with_another(second);
    add(name, ca.issue(template, &key)?, &key, Invalid);

    for (name, length) in [("ca_client_4096", 4096), ("ca_client_4097_plus", 4097)] {
        // Each byte of ones (a `true`) needs escaping; without the critical extensions an odd
        // length just above the limit comes up often enough.
        let subject = distinguished_name(name, "Example Clients", "AT");
        let template = Template::new(subject, now - DAY, now + 365 * DAY)?
            .with(Extension::extended_key_usage(&[CLIENT_AUTH]));
        let (der, key) = sized::issue(ca, &template, length)?;
        add(name, der, &key, Valid);
    }
    let name = "ca_client_huge";
    let key = p256()?;
    let padding = Extension::unknown(Criticality::Ignorable, &random_bytes(20_000)?);
    add(
        name,
        ca.issue(named_leaf(name, &key, now)?.with(padding), &key)?,
        &key,
        Valid,
    );

    let key = p256()?;
    let name = "unknown_ca_client";
    let der = pki
        .authority("other_ca")?
        .issue(named_leaf(name, &key, now)?, &key)?;
    add(name, der, &key, Invalid);
    let key = p256()?;
    let template = leaf(subject_of_ca_client(), &key, now)?;
    let der = pki.authority("namesake_ca")?.issue(template, &key)?;
    add("same_subject_other_ca", der, &key, Invalid);

    made.extend(through_intermediate(pki.authority("intermediate")?, now)?);
    made.extend(malformed(ca, client, &good, &good_key)?);
    Ok(made)
}

type Change = fn(Template, i64) -> Template;

/// Certificates that differ from a good one in one point.
fn deviations() -> [(&'static str, HostSays, Change); 14] {
    [
        ("ca_client_no_eku", Valid, |leaf, _| {
            leaf.without_extended_key_usage()
        }),
        ("ca_client_no_ku", Valid, |leaf, _| leaf.without_key_usage()),
        ("ca_client_eku_server_only", Invalid, |leaf, _| {
            leaf.with(Extension::extended_key_usage(&[SERVER_AUTH]))
        }),
        ("ca_client_eku_any_only", Invalid, |leaf, _| {
            leaf.with(Extension::extended_key_usage(&[ANY_PURPOSE]))
        }),
        ("ca_client_ku_key_agreement", Nothing, |leaf, _| {
            leaf.with(Extension::key_usage(KEY_AGREEMENT))
        }),
        ("ca_client_expired", Invalid, |leaf, now| Template {
            not_before: now - 30 * DAY,
            not_after: now - DAY,
            ..leaf
        }),
        ("ca_client_expired_seconds_ago", Invalid, |leaf, now| {
            Template {
                not_before: now - 30 * DAY,
                not_after: now - 10,
                ..leaf
            }
        }),
        ("ca_client_not_yet_valid", Invalid, |leaf, now| Template {
            not_before: now + DAY,
            not_after: now + 30 * DAY,
            ..leaf
        }),
        ("ca_client_is_ca", Valid, |leaf, _| {
            leaf.with(Extension::basic_constraints(Role::Authority))
        }),
        ("ca_client_key_cert_sign", Valid, |leaf, _| {
            leaf.with(Extension::key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN))
        }),
        (
            "ca_client_unknown_critical_extension",
            Invalid,
            |leaf, _| {
                leaf.with(Extension::unknown(
                    Criticality::Critical,
                    b"what only a critic knows",
                ))
            },
        ),
        ("ca_client_unknown_extension", Valid, |leaf, _| {
            leaf.with(Extension::unknown(
                Criticality::Ignorable,
                b"what nobody needs to know",
            ))
        }),
        ("ca_client_wildcard_san", Valid, |leaf, _| {
            leaf.with(Extension::subject_alt_name(&[AltName::Dns(
                "*.clients.example.com",
            )]))
        }),
        ("ca_client_v1", Valid, |leaf, _| Template {
            version: Version::V1,
            ..leaf
        }),
    ]
}

/// One client behind an intermediate authority, with the intermediate presented and without it.
fn through_intermediate(intermediate: &Authority, now: i64) -> Result<[Identity; 2], PkiError> {
    let key = Key::generate(KeyKind::P256)?;
    let name = "ca_client_via_intermediate";
    let der = intermediate.issue(named_leaf(name, &key, now)?, &key)?;
    let chain = vec![der.clone(), intermediate.der().to_vec()];
    Ok([
        identity(name, chain, &key, Valid),
        identity("ca_client_missing_intermediate", vec![der], &key, Invalid),
    ])
}

/// What a parser has to refuse.
fn malformed(
    ca: &Authority,
    client: Template,
    good: &[u8],
    key: &Key,
) -> Result<[Identity; 5], PkiError> {
    let mut negative = client;
    // Not 0xff, which in front of another negative byte is a longer form than DER allows.
    negative.serial[0] = negative.serial[0] & 0x3f | 0x80;
    let negative = ca.issue(negative, key)?;
    let malformed = |name, der, says| identity(name, vec![der], key, says);
    Ok([
        malformed(
            "malformed_truncated",
            good[..good.len() - 10].to_vec(),
            Nothing,
        ),
        malformed(
            "malformed_trailing_bytes",
            [good, &[0; 4]].concat(),
            Nothing,
        ),
        malformed(
            "malformed_not_der",
            b"this is not a certificate".to_vec(),
            Nothing,
        ),
        malformed("malformed_empty", Vec::new(), Nothing),
        malformed("malformed_negative_serial", negative, Valid),
    ])
}

pub(super) fn identity(name: &str, chain: Vec<Vec<u8>>, key: &Key, says: HostSays) -> Identity {
    Identity {
        name: name.to_owned(),
        chain,
        key: key.pkcs8().to_vec(),
        host_verified: says == Valid,
        completes_handshake: says != Nothing,
    }
}

/// A good client certificate whose subject is `name`.
pub(super) fn named_leaf(name: &str, key: &Key, now: i64) -> Result<Template, PkiError> {
    let host = format!("{}.clients.example.com", name.replace('_', "-"));
    Ok(
        leaf(distinguished_name(name, "Example Clients", "AT"), key, now)?
            .with(Extension::subject_alt_name(&[AltName::Dns(&host)])),
    )
}

/// A good client certificate without alternative names.
fn leaf(subject: Vec<u8>, key: &Key, now: i64) -> Result<Template, PkiError> {
    Ok(Template::new(subject, now - DAY, now + 365 * DAY)?
        .with(Extension::basic_constraints(Role::EndEntity))
        .with(Extension::key_usage(DIGITAL_SIGNATURE))
        .with(Extension::extended_key_usage(&[CLIENT_AUTH]))
        .with(Extension::subject_key_identifier(key)))
}
