//! Clients that present odd things behind their certificate, and clients that are authorities.

use std::sync::Arc;

use super::authority::Authority;
use super::ca_signed::{HostSays, identity, named_leaf};
use super::extension::{DIGITAL_SIGNATURE, Extension, KEY_CERT_SIGN};
use super::keys::{Key, KeyKind};
use super::workshop::unchanged;
use super::{Pki, PkiError};

use HostSays::{Invalid, Nothing, Valid};

/// Adds the authorities and the clients.
pub(super) fn add_to(pki: &mut Pki) -> Result<(), PkiError> {
    odd_chains(pki)?;
    maze(pki)?;
    authorities_as_clients(pki)
}

/// Chains that hold what a path needs, and other things.
fn odd_chains(pki: &mut Pki) -> Result<(), PkiError> {
    const PLAIN: &str = "intermediate_plain";
    let unrelated = [
        "server_ca",
        "namesake_ca",
        "other_ca",
        "intermediate_p384",
        "root_ed25519",
        "intermediate_expired",
        "depth_1",
        "depth_2",
    ];
    let after_unrelated = |count: usize| [&unrelated[..count], &[PLAIN]].concat();
    let chains: [(&str, &str, Vec<&str>); 6] = [
        (
            "via_4_intermediates_in_odd_order",
            "depth_4",
            vec!["depth_2", "depth_4", "depth_1", "depth_3"],
        ),
        ("via_intermediate_and_root", PLAIN, vec![PLAIN, "path_root"]),
        ("via_repeated_intermediate", PLAIN, vec![PLAIN; 3]),
        ("via_unrelated_and_intermediate", PLAIN, after_unrelated(3)),
        ("via_8_presented", PLAIN, after_unrelated(7)),
        ("via_9_presented", PLAIN, after_unrelated(8)),
    ];
    for (name, issuer, presented) in chains {
        pki.add_client(name, issuer, &presented, Invalid, unchanged)?;
    }
    let name = "via_malformed_and_intermediate";
    let key = Key::generate(KeyKind::P256)?;
    let template = named_leaf(name, &key, pki.generated_at())?;
    let plain = pki.authority(PLAIN)?;
    let chain = vec![
        plain.issue(template, &key)?,
        b"this is not a certificate".to_vec(),
        plain.der().to_vec(),
    ];
    pki.add_identity(identity(name, chain, &key, Nothing));
    Ok(())
}

/// A client and eight authorities that all call their issuer by the name of `ca`, and none of which is
/// signed by any authority here: each of them costs a signature for each root of that name.
fn maze(pki: &mut Pki) -> Result<(), PkiError> {
    let (name, now) = (pki.authority("ca")?.subject().to_vec(), pki.generated_at());
    let stranger = Key::generate(KeyKind::P256)?;
    let key = Key::generate(KeyKind::P256)?;
    let with = stranger.natural_signature();
    let mut chain = vec![named_leaf("via_maze", &key, now)?.sign(&key, &name, &stranger, with)?];
    for _ in 0..8 {
        let key = Key::generate(KeyKind::P256)?;
        let template = Authority::template(name.clone(), &key, now)?;
        chain.push(template.sign(&key, &name, &stranger, with)?);
    }
    pki.add_identity(identity("via_maze", chain, &key, Invalid));
    Ok(())
}

/// Authorities whose key may sign handshakes, used as clients, and clients that have such a key.
fn authorities_as_clients(pki: &mut Pki) -> Result<(), PkiError> {
    let usage = || Extension::key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN);
    pki.add_root("signing_root", KeyKind::P256, |root| root.with(usage()))?;
    pki.add_intermediate("signing_intermediate", "ca", |it| it.with(usage()))?;
    for (name, says) in [("signing_root", Invalid), ("signing_intermediate", Valid)] {
        let authority = pki.authority(name)?;
        let (der, key) = (authority.der().to_vec(), Arc::clone(authority.key()));
        pki.add_identity(identity(name, vec![der], &key, says));
    }

    let now = pki.generated_at();
    let name = "ca_client_with_key_of_intermediate";
    let key = Arc::clone(pki.authority("signing_intermediate")?.key());
    let leaf = pki
        .authority("ca")?
        .issue(named_leaf(name, &key, now)?, &key)?;
    pki.add_presenting(name, leaf, &key, &[], Valid)?;

    let name = "self_signed_with_key_of_root";
    let key = Arc::clone(pki.authority("signing_root")?.key());
    let template = named_leaf(name, &key, now)?;
    let leaf = template.sign(&key, &template.subject, &key, key.natural_signature())?;
    pki.add_presenting(name, leaf, &key, &[], Invalid)
}
