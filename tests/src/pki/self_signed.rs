//! Identities that certified themselves, or look as if they had.

use super::ca_signed::{HostSays, identity, subject_of_ca_client};
use super::certificate::{Template, distinguished_name};
use super::extension::{Criticality, Extension, KEY_CERT_SIGN, Role, SERVER_AUTH};
use super::keys::{Key, KeyKind, SignedWith};
use super::{DAY, Identity, Pki, PkiError, SharedRsaKeys};

/// All self-signed identities.
pub(super) fn identities(pki: &Pki, rsa: &SharedRsaKeys) -> Result<Vec<Identity>, PkiError> {
    let now = pki.generated_at();
    let mut made = Vec::new();
    let mut add = |name: &str, der: Vec<u8>, key: &Key| {
        // BoringSSL insists that a key which signs a handshake may sign.
        let says = match name {
            "self_signed_key_cert_sign_only" => HostSays::Nothing,
            _ => HostSays::Invalid,
        };
        made.push(identity(name, vec![der], key, says));
    };

    for (name, kind) in [
        ("self_signed", KeyKind::P256),
        ("self_signed_other", KeyKind::P256),
        ("self_signed_p384", KeyKind::P384),
        ("self_signed_ed25519", KeyKind::Ed25519),
    ] {
        let key = Key::generate(kind)?;
        add(
            name,
            signed(&like_openssl(named(name), &key, now)?, &key)?,
            &key,
        );
    }
    for (name, key) in [
        ("self_signed_rsa1024", &*rsa.rsa1024),
        ("self_signed_rsa2048", &rsa.rsa2048),
        ("self_signed_rsa4096", &rsa.rsa4096),
    ] {
        add(
            name,
            signed(&like_openssl(named(name), key, now)?, key)?,
            key,
        );
    }
    let name = "self_signed_rsa_pss";
    let template = like_openssl(named(name), &rsa.rsa2048, now)?;
    let with = SignedWith::RsaPssSha256;
    add(
        name,
        template.sign(&rsa.rsa2048, &template.subject, &rsa.rsa2048, with)?,
        &rsa.rsa2048,
    );

    for (name, change) in deviations() {
        let key = Key::generate(KeyKind::P256)?;
        add(
            name,
            signed(&change(like_openssl(named(name), &key, now)?, now), &key)?,
            &key,
        );
    }

    let key = Key::generate(KeyKind::P256)?;
    let name = "self_signed_leaf";
    let template = Template::new(named(name), now - DAY, now + 30 * DAY)?
        .with(Extension::subject_key_identifier(&key));
    add(name, signed(&template, &key)?, &key);

    let key = Key::generate(KeyKind::P256)?;
    let template = like_openssl(subject_of_ca_client(), &key, now)?;
    add(
        "self_signed_subject_of_ca_client",
        signed(&template, &key)?,
        &key,
    );

    let (key, other_key) = (Key::generate(KeyKind::P256)?, Key::generate(KeyKind::P256)?);
    let name = "self_issued_other_key";
    let template = like_openssl(named(name), &key, now)?;
    let with = other_key.natural_signature();
    add(
        name,
        template.sign(&key, &template.subject, &other_key, with)?,
        &key,
    );

    let key = Key::generate(KeyKind::P256)?;
    let name = "self_signed_bad_signature";
    let mut der = signed(&like_openssl(named(name), &key, now)?, &key)?;
    // The last byte belongs to the signature's second number, so the certificate stays readable.
    if let Some(last) = der.last_mut() {
        *last ^= 1;
    }
    add(name, der, &key);
    Ok(made)
}

type Change = fn(Template, i64) -> Template;

/// Certificates that differ from what `openssl req -x509` makes in one point.
fn deviations() -> [(&'static str, Change); 5] {
    [
        ("self_signed_expired", |template, now| Template {
            not_before: now - 30 * DAY,
            not_after: now - DAY,
            ..template
        }),
        ("self_signed_not_yet_valid", |template, now| Template {
            not_before: now + DAY,
            not_after: now + 30 * DAY,
            ..template
        }),
        ("self_signed_eku_server_only", |template, _| {
            template.with(Extension::extended_key_usage(&[SERVER_AUTH]))
        }),
        ("self_signed_unknown_critical_extension", |template, _| {
            template.with(Extension::unknown(
                Criticality::Critical,
                b"what only a critic knows",
            ))
        }),
        ("self_signed_key_cert_sign_only", |template, _| {
            template.with(Extension::key_usage(KEY_CERT_SIGN))
        }),
    ]
}

fn named(name: &str) -> Vec<u8> {
    distinguished_name(name, "Example Clients", "AT")
}

/// The extensions that `openssl req -x509` writes by default.
fn like_openssl(subject: Vec<u8>, key: &Key, now: i64) -> Result<Template, PkiError> {
    Ok(Template::new(subject, now - DAY, now + 30 * DAY)?
        .with(Extension::subject_key_identifier(key))
        .with(Extension::authority_key_identifier(key))
        .with(Extension::basic_constraints(Role::Authority)))
}

fn signed(template: &Template, key: &Key) -> Result<Vec<u8>, PkiError> {
    template.sign(key, &template.subject, key, key.natural_signature())
}
