//! Clients whose certificate is good, and what can be wrong between it and a root.
//!
//! They hang under roots that `Pki::ca_pem` lacks, so that the host program verifies none, unless it is
//! said that it does.

use std::sync::Arc;

use super::authority::Authority;
use super::ca_signed::{HostSays, identity, named_leaf};
use super::certificate::{Template, Version, printable_name};
use super::extension::{
    ANY_PURPOSE, AltName, CLIENT_AUTH, CRL_SIGN, Criticality, Extension, Role, SERVER_AUTH,
};
use super::keys::{Key, KeyKind, SignedWith};
use super::workshop::{authority_name, unchanged};
use super::{DAY, Pki, PkiError, SharedRsaKeys};

use HostSays::{Invalid, Valid};

/// Adds the authorities and the clients.
pub(super) fn add_to(pki: &mut Pki, rsa: &SharedRsaKeys) -> Result<(), PkiError> {
    pki.add_root("path_root", KeyKind::P256, unchanged)?;
    deviations(pki)?;
    keys(pki, rsa)?;
    roots(pki)?;
    path_lengths(pki)?;
    name_constraints(pki)?;
    same_names(pki)?;
    bad_signatures(pki)
}

type Change = fn(Template, i64) -> Template;

/// Intermediates that differ from a good one in one point, each with a client.
fn deviations(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let changes: [(&str, Change); 18] = [
        ("plain", |it, _| it),
        ("server_usage", |it, _| {
            it.with(Extension::extended_key_usage(&[SERVER_AUTH]))
        }),
        ("client_usage", |it, _| {
            it.with(Extension::extended_key_usage(&[CLIENT_AUTH]))
        }),
        ("server_and_client_usage", |it, _| {
            it.with(Extension::extended_key_usage(&[SERVER_AUTH, CLIENT_AUTH]))
        }),
        ("any_usage", |it, _| {
            it.with(Extension::extended_key_usage(&[ANY_PURPOSE]))
        }),
        ("end_entity", |it, _| {
            it.with(Extension::basic_constraints(Role::EndEntity))
        }),
        ("without_basic_constraints", |it, _| {
            it.without_basic_constraints()
        }),
        ("without_certificate_signing", |it, _| {
            it.with(Extension::key_usage(CRL_SIGN))
        }),
        ("without_key_usage", |it, _| it.without_key_usage()),
        ("expired", |it, now| Template {
            not_after: now - DAY,
            ..it
        }),
        ("expired_seconds_ago", |it, now| Template {
            not_after: now - 10,
            ..it
        }),
        ("not_yet_valid", |it, now| Template {
            not_before: now + DAY,
            ..it
        }),
        ("unknown_critical_extension", |it, _| {
            it.with(Extension::unknown(
                Criticality::Critical,
                b"what only a critic knows",
            ))
        }),
        ("unknown_extension", |it, _| {
            it.with(Extension::unknown(
                Criticality::Ignorable,
                b"what nobody needs to know",
            ))
        }),
        ("critical_policies", |it, _| {
            it.with(Extension::certificate_policies(Criticality::Critical))
        }),
        ("policies", |it, _| {
            it.with(Extension::certificate_policies(Criticality::Ignorable))
        }),
        ("policy_constraints", |it, _| {
            it.with(Extension::policy_constraints())
        }),
        ("v1", |it, _| Template {
            version: Version::V1,
            ..it
        }),
    ];
    for (what, change) in changes {
        let name = format!("intermediate_{what}");
        pki.add_intermediate(&name, "path_root", |template| change(template, now))?;
        pki.add_client(&format!("via_{name}"), &name, &[&name], Invalid, unchanged)?;
    }
    // For a configuration that has no intermediate but what is presented.
    pki.add_client(
        "via_intermediate_plain_alone",
        "intermediate_plain",
        &[],
        Invalid,
        unchanged,
    )
}

/// Intermediates with keys and signatures of each kind.
fn keys(pki: &mut Pki, rsa: &SharedRsaKeys) -> Result<(), PkiError> {
    let made = |kind| Key::generate(kind).map(Arc::new);
    for (what, key) in [
        ("p384", made(KeyKind::P384)?),
        ("p521", made(KeyKind::P521)?),
        ("ed25519", made(KeyKind::Ed25519)?),
        ("rsa1024", rsa.rsa1024.clone()),
        ("rsa2048", made(KeyKind::Rsa2048)?),
    ] {
        let name = format!("intermediate_{what}");
        let subject = authority_name(&name);
        pki.add_intermediate_called(&name, "path_root", subject, key, unchanged)?;
        pki.add_client(&format!("via_{name}"), &name, &[&name], Invalid, unchanged)?;
    }
    let now = pki.generated_at();
    let name = "intermediate_sha1";
    let key = made(KeyKind::P256)?;
    let template = Authority::template(authority_name(name), &key, now)?;
    let der = pki
        .authority("ca_rsa")?
        .issue_with(template, &key, SignedWith::RsaSha1)?;
    pki.add_authority(name, Authority::certified(authority_name(name), key, der));
    // Envoy takes SHA-1 in an intermediate.
    pki.add_client("via_intermediate_sha1", name, &[name], Valid, unchanged)
}

/// Roots of each kind, and roots with something wrong, each with a client.
fn roots(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let changes: [(&str, KeyKind, Change); 7] = [
        ("p384", KeyKind::P384, |it, _| it),
        ("ed25519", KeyKind::Ed25519, |it, _| it),
        ("expired", KeyKind::P256, |it, now| Template {
            not_after: now - DAY,
            ..it
        }),
        ("not_yet_valid", KeyKind::P256, |it, now| Template {
            not_before: now + DAY,
            ..it
        }),
        ("client_usage", KeyKind::P256, |it, _| {
            it.with(Extension::extended_key_usage(&[CLIENT_AUTH]))
        }),
        ("without_key_usage", KeyKind::P256, |it, _| {
            it.without_key_usage()
        }),
        ("path_length_0", KeyKind::P256, |it, _| {
            it.with(Extension::basic_constraints(Role::AuthorityOver(0)))
        }),
    ];
    for (what, kind, change) in changes {
        let name = format!("root_{what}");
        pki.add_root(&name, kind, |template| change(template, now))?;
        pki.add_client(&format!("under_{name}"), &name, &[], Invalid, unchanged)?;
    }
    let name = "root_rsa_pss";
    let key = Arc::new(Key::generate(KeyKind::Rsa2048)?);
    let subject = authority_name(name);
    let template = Authority::template(subject.clone(), &key, now)?;
    let der = template.sign(&key, &subject, &key, SignedWith::RsaPssSha256)?;
    pki.add_authority(name, Authority::certified(subject, key, der));
    let name = "under_root_rsa_pss";
    let key = Key::generate(KeyKind::P256)?;
    let leaf = pki.authority("root_rsa_pss")?.issue_with(
        named_leaf(name, &key, now)?,
        &key,
        SignedWith::RsaPssSha256,
    )?;
    pki.add_presenting(name, leaf, &key, &[], Invalid)
}

/// Paths as long as may be, and longer ones.
fn path_lengths(pki: &mut Pki) -> Result<(), PkiError> {
    let name = "intermediate_of_root_path_length_0";
    pki.add_intermediate(name, "root_path_length_0", unchanged)?;
    pki.add_client(&format!("via_{name}"), name, &[name], Invalid, unchanged)?;
    for count in [0, 1] {
        let over = format!("intermediate_path_length_{count}");
        pki.add_intermediate(&over, "path_root", |template| {
            template.with(Extension::basic_constraints(Role::AuthorityOver(count)))
        })?;
        pki.add_client(&format!("via_{over}"), &over, &[&over], Invalid, unchanged)?;
        let below = format!("below_path_length_{count}");
        pki.add_intermediate(&below, &over, unchanged)?;
        let presented = [below.as_str(), over.as_str()];
        pki.add_client(
            &format!("via_{below}"),
            &below,
            &presented,
            Invalid,
            unchanged,
        )?;
    }
    let depths = ["depth_1", "depth_2", "depth_3", "depth_4", "depth_5"];
    let mut issuer = "path_root";
    for name in depths {
        pki.add_intermediate(name, issuer, unchanged)?;
        issuer = name;
    }
    let upward: Vec<&str> = depths.into_iter().rev().collect();
    pki.add_client(
        "via_5_intermediates",
        "depth_5",
        &upward,
        Invalid,
        unchanged,
    )?;
    pki.add_client(
        "via_4_intermediates",
        "depth_4",
        &upward[1..],
        Invalid,
        unchanged,
    )
}

/// A name constraint, and clients under it.
struct Constraint<'a> {
    what: &'a str,
    permitted: &'a [AltName<'a>],
    excluded: &'a [AltName<'a>],
    /// What tells each of them from the others, and its alternative names.
    clients: &'a [(&'a str, &'a [AltName<'a>])],
}

/// Intermediates and a root that say what clients may be called.
fn name_constraints(pki: &mut Pki) -> Result<(), PkiError> {
    use AltName::{Directory, Dns, Email, Ip, Uri};
    /// 192.0.2.0/24, one of the networks for documentation (RFC 5737).
    const NETWORK: [u8; 8] = [192, 0, 2, 0, 255, 255, 255, 0];
    let inside = Dns("inside.clients.example.com");
    let outside = Dns("outside.elsewhere.example.com");
    let organization = super::distinguished_name("", "Example Clients", "AT");
    let constraints = [
        Constraint {
            what: "dns",
            permitted: &[Dns("clients.example.com")],
            excluded: &[],
            clients: &[
                ("inside", &[inside]),
                ("outside", &[outside]),
                ("inside_and_outside", &[inside, outside]),
                // The name ends in the same letters, but at no label.
                ("lookalike", &[Dns("otherclients.example.com")]),
                ("without_names", &[]),
            ],
        },
        Constraint {
            what: "excluded_dns",
            permitted: &[],
            excluded: &[Dns("elsewhere.example.com")],
            clients: &[("inside", &[inside]), ("outside", &[outside])],
        },
        Constraint {
            what: "ip",
            permitted: &[Ip(&NETWORK)],
            excluded: &[],
            clients: &[
                ("inside", &[Ip(&[192, 0, 2, 7])]),
                ("outside", &[Ip(&[198, 51, 100, 7])]),
            ],
        },
        Constraint {
            what: "excluded_ip",
            permitted: &[],
            excluded: &[Ip(&NETWORK)],
            clients: &[
                ("inside", &[Ip(&[198, 51, 100, 7])]),
                ("outside", &[Ip(&[192, 0, 2, 7])]),
            ],
        },
        Constraint {
            what: "uri",
            permitted: &[Uri(".clients.example.com")],
            excluded: &[],
            clients: &[
                ("inside", &[Uri("https://a.clients.example.com/")]),
                ("without_uris", &[inside]),
            ],
        },
        Constraint {
            what: "email",
            permitted: &[Email("clients.example.com")],
            excluded: &[],
            clients: &[
                ("inside", &[Email("a@clients.example.com")]),
                ("without_emails", &[inside]),
            ],
        },
        Constraint {
            what: "directory",
            permitted: &[Directory(&organization)],
            excluded: &[],
            clients: &[("inside", &[inside])],
        },
        Constraint {
            what: "excluded_directory",
            permitted: &[],
            excluded: &[Directory(&organization)],
            clients: &[("outside", &[inside])],
        },
    ];
    for constraint in &constraints {
        let name = format!("intermediate_{}_constraint", constraint.what);
        let extension = Extension::name_constraints(constraint.permitted, constraint.excluded);
        pki.add_intermediate(&name, "path_root", |template| template.with(extension))?;
        for (who, names) in constraint.clients {
            let client = format!("{}_constraint_{who}", constraint.what);
            add_named_client(pki, &client, &name, &[&name], names)?;
        }
    }
    let extension = Extension::name_constraints(&[Dns("clients.example.com")], &[]);
    pki.add_root("root_dns_constraint", KeyKind::P256, |template| {
        template.with(extension)
    })?;
    for (who, name) in [("inside", inside), ("outside", outside)] {
        let client = format!("root_dns_constraint_{who}");
        add_named_client(pki, &client, "root_dns_constraint", &[], &[name])?;
    }
    // The root's constraint reaches past an intermediate that has none.
    let name = "intermediate_of_root_dns_constraint";
    pki.add_intermediate(name, "root_dns_constraint", unchanged)?;
    let client = "root_dns_constraint_outside_via_intermediate";
    add_named_client(pki, client, name, &[name], &[outside])
}

/// A client with these alternative names and no others.
fn add_named_client(
    pki: &mut Pki,
    name: &str,
    issuer: &str,
    presented: &[&str],
    names: &[AltName<'_>],
) -> Result<(), PkiError> {
    pki.add_client(name, issuer, presented, Invalid, |leaf| {
        let leaf = leaf.without_subject_alt_name();
        if names.is_empty() {
            return leaf;
        }
        leaf.with(Extension::subject_alt_name(names))
    })
}

/// Authorities that share a name or a key with another.
fn same_names(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let key = || Key::generate(KeyKind::P256).map(Arc::new);

    // One name and one key, certified three times: only one of the certificates leads anywhere.
    let shared = key()?;
    let subject = authority_name("cross_signed");
    let mut cross = |name: &str, issuer, change: fn(Template, i64) -> Template| {
        let change = |template| change(template, now);
        pki.add_intermediate_called(name, issuer, subject.clone(), shared.clone(), change)
    };
    cross("cross_signed", "path_root", |it, _| it)?;
    cross("cross_signed_elsewhere", "other_ca", |it, _| it)?;
    cross("cross_signed_expired", "path_root", |it, now| Template {
        not_after: now - DAY,
        ..it
    })?;
    let dead = ["cross_signed_elsewhere", "cross_signed_expired"];
    let all = [dead[0], dead[1], "cross_signed"];
    for (name, presented) in [
        ("via_dead_and_living_path", &all[..]),
        ("via_dead_paths", &dead),
    ] {
        pki.add_client(name, "cross_signed", presented, Invalid, unchanged)?;
    }

    // A root that changed its key: the old one certified the new one under its own name.
    let name = "self_issued_intermediate";
    let subject = authority_name("path_root");
    pki.add_intermediate_called(name, "path_root", subject, key()?, unchanged)?;
    pki.add_client(&format!("via_{name}"), name, &[name], Invalid, unchanged)?;

    // Another key under the name of `intermediate_plain`.
    let name = "intermediate_namesake";
    let subject = authority_name("intermediate_plain");
    pki.add_intermediate_called(name, "path_root", subject, key()?, unchanged)?;
    for (client, presented) in [
        ("via_namesake", &[name][..]),
        ("via_namesake_and_plain", &[name, "intermediate_plain"]),
    ] {
        pki.add_client(client, "intermediate_plain", presented, Invalid, unchanged)?;
    }

    // A name is what its bytes are: a `PrintableString` is no `UTF8String` of the same text.
    let printable = |name| printable_name(name, "Example Authority", "AT");
    let name = "intermediate_printable";
    pki.add_intermediate_called(name, "path_root", printable(name), key()?, unchanged)?;
    pki.add_client(&format!("via_{name}"), name, &[name], Invalid, unchanged)?;
    let name = "via_issuer_in_another_string_type";
    let (key, issuer) = (key()?, pki.authority("intermediate_plain")?);
    let leaf = named_leaf(name, &key, now)?.sign(
        &key,
        &printable("intermediate_plain"),
        issuer.key(),
        issuer.key().natural_signature(),
    )?;
    pki.add_presenting(name, leaf, &key, &["intermediate_plain"], Invalid)
}

/// Certificates whose signature is not their issuer's.
fn bad_signatures(pki: &mut Pki) -> Result<(), PkiError> {
    let now = pki.generated_at();
    let key = Key::generate(KeyKind::P256)?;
    let name = "ca_client_bad_signature";
    let leaf = pki
        .authority("ca")?
        .issue(named_leaf(name, &key, now)?, &key)?;
    pki.add_identity(identity(name, vec![corrupted(leaf)], &key, Invalid));

    let name = "intermediate_bad_signature";
    let good = pki.authority("path_root")?.intermediate_like(
        authority_name(name),
        Arc::new(key),
        now,
        unchanged,
    )?;
    let der = corrupted(good.der().to_vec());
    let bad = Authority::certified(authority_name(name), good.key().clone(), der);
    pki.add_authority(name, bad);
    pki.add_client(&format!("via_{name}"), name, &[name], Invalid, unchanged)
}

/// The last byte belongs to the signature's second number, so the certificate stays readable.
fn corrupted(mut der: Vec<u8>) -> Vec<u8> {
    if let Some(last) = der.last_mut() {
        *last ^= 1;
    }
    der
}
