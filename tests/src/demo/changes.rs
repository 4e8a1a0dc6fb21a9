//! Configurations that take each other's place while the edge runs, and what then becomes of a request.

use std::error::Error;

use auth_edge::certificate::LeafCert;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::attempt::Expected::{Forwarded, Refused};
use super::script::TOKEN;
use super::stage::{CA_SIGNED, SELF_SIGNED, Stage};
use crate::pki::{DAY, Pki};

/// What an edge should make of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is put in force.
    Taken,
    /// It is refused, and the former one stays.
    Refused,
}

/// One configuration in place of another.
pub(super) struct Replacement {
    /// What it is called where it has to have a name.
    pub(super) name: &'static str,
    /// The configuration in force.
    pub(super) before: Value,
    /// The new one.
    pub(super) after: Value,
}

/// What comes of a replacement.
pub(super) struct Change<'a> {
    pub(super) replacement: Replacement,
    /// What is made of the new configuration.
    pub(super) verdict: Verdict,
    /// A request that is then judged.
    pub(super) attempt: Attempt<'a>,
}

/// The replacements in order: each takes the place of what was in force after the one before, `config` at first.
pub(super) fn replacements(pki: &Pki, config: &Value) -> Result<[Replacement; 4], Box<dyn Error>> {
    let revoking = revoking(pki, config.clone())?;
    let without = without_self_signed(config.clone());
    // It would allow what the former one refuses.
    let mut faulty = config.clone();
    faulty["version"] = json!(2);
    let steps = [
        ("revoking", config, &revoking),
        ("without-self-signed", &revoking, &without),
        ("faulty", &without, &faulty),
        ("first-again", &without, config),
    ];
    Ok(steps.map(|(name, before, after)| Replacement {
        name,
        before: before.clone(),
        after: after.clone(),
    }))
}

/// The changes, in order.
pub(super) fn of(stage: &Stage) -> Result<Vec<Change<'_>>, Box<dyn Error>> {
    let self_signed = Some(stage.pki.get(SELF_SIGNED)?);
    let kind_refused = Refused("certificate_kind_not_accepted", 400);
    let told = [
        (
            "one with a list that revokes client-1",
            "client-1",
            Some(stage.pki.get(CA_SIGNED)?),
            Verdict::Taken,
            Refused("certificate_revoked", 400),
        ),
        (
            "one that takes no self-signed certificates",
            "client-3",
            self_signed,
            Verdict::Taken,
            kind_refused,
        ),
        (
            "a faulty one: the former stays in force",
            "client-3",
            self_signed,
            Verdict::Refused,
            kind_refused,
        ),
        (
            "the shipped one again",
            "client-3",
            self_signed,
            Verdict::Taken,
            Forwarded(200),
        ),
    ];
    let replacements = replacements(&stage.pki, &stage.config)?;
    let both = replacements.into_iter().zip(told);
    let changes = both.map(|(replacement, told)| {
        let (what, client, identity, verdict, expected) = told;
        Change {
            replacement,
            verdict,
            attempt: Attempt::token(what, client, identity, TOKEN, expected),
        }
    });
    Ok(changes.collect())
}

/// A configuration with a revocation list of the clients' authority, on which client-1 stands.
fn revoking(pki: &Pki, mut config: Value) -> Result<Value, Box<dyn Error>> {
    let leaf = LeafCert::parse(pki.get(CA_SIGNED)?.leaf().to_vec())?;
    let now = pki.generated_at();
    let authority = pki.authority("ca")?;
    let list = authority.revocation_list(&[leaf.serial()], now - DAY, now + DAY)?;
    config["hosts"][0]["client_certificates"]["ca_signed"]["crl"] =
        json!({ "check": "leaf", "lists": [STANDARD.encode(list)] });
    Ok(config)
}

/// A configuration without the member `self_signed`.
fn without_self_signed(mut config: Value) -> Value {
    if let Some(policy) = config["hosts"][0]["client_certificates"].as_object_mut() {
        policy.remove("self_signed");
    }
    config
}
