//! Clients that revocation lists speak of, and the lists.
//!
//! Most hang under `ca`, so that the host program verifies them: it is given no list.

use std::sync::Arc;

use super::authority::Authority;
use super::ca_signed::{HostSays, identity, named_leaf};
use super::extension::{Criticality, Extension, KEY_CERT_SIGN, Scope};
use super::keys::{Key, KeyKind, SignedWith, random_bytes};
use super::revocation::RevocationList;
use super::workshop::{authority_name, unchanged};
use super::{DAY, Pki, PkiError};

use HostSays::{Invalid, Valid};

const POINT_A: &str = "http://crl.example.com/a.crl";
const POINT_B: &str = "http://crl.example.com/b.crl";

/// Adds the authorities, the clients and the lists.
pub(super) fn add_to(pki: &mut Pki) -> Result<(), PkiError> {
    clients(pki)?;
    lists_of_ca(pki)?;
    scoped_lists(pki)?;
    lists_of_others(pki)
}

fn clients(pki: &mut Pki) -> Result<(), PkiError> {
    for name in ["ca_client_revoked", "ca_client_released"] {
        pki.add_client(name, "ca", &[], Valid, unchanged)?;
    }
    for (what, serial) in serials()? {
        let name = format!("ca_client_serial_{what}");
        pki.add_client(&name, "ca", &[], Valid, |leaf| super::Template {
            serial,
            ..leaf
        })?;
    }
    for (name, point) in [
        ("ca_client_point_a", POINT_A),
        ("ca_client_point_a_revoked", POINT_A),
        ("ca_client_point_b", POINT_B),
    ] {
        pki.add_client(name, "ca", &[], Valid, |leaf| {
            leaf.with(Extension::crl_distribution_point(point))
        })?;
    }
    pki.add_client("ca_client_critical_policies", "ca", &[], Valid, |leaf| {
        leaf.with(Extension::certificate_policies(Criticality::Critical))
    })?;

    pki.add_intermediate("revoked_intermediate", "ca", unchanged)?;
    pki.add_intermediate("silent_intermediate", "ca", |it| {
        it.with(Extension::key_usage(KEY_CERT_SIGN))
    })?;
    for name in ["revoked_intermediate", "silent_intermediate"] {
        let client = format!("ca_client_via_{name}");
        pki.add_client(&client, name, &[name], Valid, unchanged)?;
    }
    cross_signed(pki)?;
    burned_signatures(pki)?;
    let name = "ca_client_via_intermediate_revoked";
    pki.add_client(name, "intermediate", &["intermediate"], Valid, unchanged)?;

    for (name, issuer, says) in [
        ("ca_rsa_client", "ca_rsa", Valid),
        ("ca_rsa_client_revoked", "ca_rsa", Valid),
        ("namesake_ca_client_revoked", "namesake_ca", Invalid),
        ("under_root_p384_revoked", "root_p384", Invalid),
        ("under_root_ed25519_revoked", "root_ed25519", Invalid),
    ] {
        pki.add_client(name, issuer, &[], says, unchanged)?;
    }
    Ok(())
}

/// One name and key that two roots certified, one of which has revoked its certificate.
fn cross_signed(pki: &mut Pki) -> Result<(), PkiError> {
    let key = Arc::new(Key::generate(KeyKind::P256)?);
    let subject = authority_name("cross_signed_by_roots");
    let both = ["cross_signed_revoked", "cross_signed_living"];
    for (name, issuer) in both.into_iter().zip(["ca", "ca_rsa"]) {
        pki.add_intermediate_called(name, issuer, subject.clone(), key.clone(), unchanged)?;
    }
    let name = "ca_client_via_revoked_and_living_path";
    pki.add_client(name, both[0], &both, Valid, unchanged)?;
    let name = "ca_client_via_revoked_path";
    pki.add_client(name, both[0], &both[..1], Valid, unchanged)
}

/// A revoked client that presents certificates which only pretend to be from `ca`: each costs a
/// signature that is then missing for the list, if that is how signatures are counted.
fn burned_signatures(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let name = "ca_client_revoked_burning_signatures";
    let key = Key::generate(KeyKind::P256)?;
    let ca = pki.authority("ca")?;
    let mut chain = vec![
        ca.issue(named_leaf(name, &key, now)?, &key)?,
        pki.authority("intermediate")?.der().to_vec(),
    ];
    for _ in 0..7 {
        let stranger = Key::generate(KeyKind::P256)?;
        let template = Authority::template(authority_name("pretender"), &stranger, now)?;
        let with = stranger.natural_signature();
        chain.push(template.sign(&stranger, ca.subject(), &stranger, with)?);
    }
    pki.add_identity(identity(name, chain, &key, Valid));
    Ok(())
}

/// Serial numbers of every shape that RFC 5280 4.1.2.2 allows, as their content octets.
fn serials() -> Result<[(&'static str, Vec<u8>); 3], PkiError> {
    let mut long = random_bytes(20)?;
    long[0] = long[0] & 0x3f | 0x40;
    Ok([
        ("of_1_byte", vec![0x2a]),
        ("of_20_bytes", long),
        // The zero keeps the number positive.
        (
            "with_leading_zero",
            [&[0, 0x80 | 0x2a], &random_bytes(15)?[..]].concat(),
        ),
    ])
}

/// The list in force, ones that are older, and ones that do not count.
fn lists_of_ca(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let current = RevocationList {
        number: 2,
        ..revoking(
            pki,
            RevocationList::new(now - DAY, now + 30 * DAY),
            &[
                "ca_client_revoked",
                "ca_client_revoked_burning_signatures",
                "ca_client_serial_of_1_byte",
                "ca_client_serial_of_20_bytes",
                "ca_client_serial_with_leading_zero",
            ],
        )?
        .revoking(pki.authority("revoked_intermediate")?.der())
        .revoking(pki.authority("cross_signed_revoked")?.der())
    };
    let older = RevocationList::new(now - 2 * DAY, now + 30 * DAY);
    let older = revoking(pki, older, &["ca_client_released"])?;
    let expired = RevocationList::new(now - 30 * DAY, now - DAY);
    let expired = revoking(pki, expired, &["ca_client_revoked"])?;
    let just_expired = RevocationList::new(now - DAY, now - 10);
    let ahead = RevocationList::new(now + DAY, now + 30 * DAY);
    let ahead = revoking(pki, ahead, &["ca_client_released"])?;
    for (name, list) in [
        ("ca", &current),
        ("ca_older", &older),
        ("ca_expired", &expired),
        ("ca_expired_seconds_ago", &just_expired),
        ("ca_dated_ahead", &ahead),
    ] {
        pki.add_list(name, "ca", list)?;
    }
    let mut corrupted = current.issue(pki.authority("ca")?)?;
    if let Some(last) = corrupted.last_mut() {
        *last ^= 1;
    }
    pki.add_list_der("ca_bad_signature", corrupted);
    Ok(())
}

/// Lists of `ca` for a part of its certificates.
fn scoped_lists(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let list = RevocationList::new(now - DAY, now + 30 * DAY);
    let list = revoking(
        pki,
        list,
        &["ca_client_revoked", "ca_client_point_a_revoked"],
    )?
    .revoking(pki.authority("revoked_intermediate")?.der());
    for (name, scope) in [
        ("ca_users", Scope::Users),
        ("ca_authorities", Scope::Authorities),
        ("ca_point_a", Scope::Point(POINT_A)),
    ] {
        let list = list
            .clone()
            .with(Extension::issuing_distribution_point(scope));
        pki.add_list(name, "ca", &list)?;
    }
    Ok(())
}

/// A list of each other authority, under the authority's name.
fn lists_of_others(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let clean = RevocationList::new(now - DAY, now + 30 * DAY);
    for (issuer, revoked) in [
        ("namesake_ca", Some("namesake_ca_client_revoked")),
        ("other_ca", None),
        ("ca_rsa", Some("ca_rsa_client_revoked")),
        ("root_p384", Some("under_root_p384_revoked")),
        ("root_ed25519", Some("under_root_ed25519_revoked")),
        ("intermediate", Some("ca_client_via_intermediate_revoked")),
        ("revoked_intermediate", None),
        ("silent_intermediate", None),
        ("cross_signed_living", None),
    ] {
        let list = revoking(pki, clean.clone(), revoked.as_slice())?;
        pki.add_list(issuer, issuer, &list)?;
    }
    let list = revoking(pki, clean, &["ca_rsa_client_revoked"])?;
    let list = list.issue_with(pki.authority("ca_rsa")?, SignedWith::RsaPssSha256)?;
    pki.add_list_der("ca_rsa_pss", list);
    Ok(())
}

/// The list with the certificates of these clients revoked.
fn revoking(
    pki: &Pki,
    mut list: RevocationList,
    clients: &[&str],
) -> Result<RevocationList, PkiError> {
    for name in clients {
        list = list.revoking(pki.get(name)?.leaf());
    }
    Ok(list)
}
