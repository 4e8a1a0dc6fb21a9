//! A vector for each test certificate, made at run time: what a host program says and shows of every
//! one of them is what the native runner takes it to be.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::{Value, json};

use super::expect::Outcome;
use super::facts::Shows;
use super::native;
use super::vector::{Departure, Expect, HostName, Vector};
use crate::pki::{Identity, Pki};

/// Every certificate, verified by the host program and by the edge, with what the core decides.
///
/// # Errors
/// When the core cannot be asked.
pub fn vectors(pki: &Pki) -> Result<Vec<Vector>, Box<dyn Error>> {
    let by_host = json!({
        "/hosts/0/client_certificates/ca_signed": { "verified_by": "host" },
        "/hosts/0/client_certificates/self_signed": "forward",
    });
    let by_edge = json!({ "/hosts/0/client_certificates/self_signed": "forward" });
    let mut vectors = Vec::new();
    for identity in pki.identities() {
        vectors.push(vector(identity, "base", &by_host, pki)?);
        vectors.push(vector(identity, "trust", &by_edge, pki)?);
    }
    Ok(vectors)
}

fn vector(
    identity: &Identity,
    config: &str,
    patch: &Value,
    pki: &Pki,
) -> Result<Vector, Box<dyn Error>> {
    let mut vector: Vector = serde_json::from_value(json!({
        "rule": "R-16",
        "config": config,
        "patch": patch,
        "request": {
            "method": "POST",
            "target": "/oauth/token",
            "certificate": identity.name,
        },
        "expect": { "forward": {} },
    }))?;
    vector.name = format!("{} with {config}", identity.name);
    vector.expect = decided(&vector, &identity.name, pki)?;
    if !identity.completes_handshake {
        let closed = Departure::AnsweredByHost {
            why: "the handshake fails".into(),
            class: 0,
        };
        let hosts = [HostName::EnvoyHttp1, HostName::EnvoyHttp2];
        vector.hosts = BTreeMap::from(hosts.map(|host| (host, closed.clone())));
    }
    Ok(vector)
}

/// What the core decides, as an expectation.
fn decided(vector: &Vector, identity: &str, pki: &Pki) -> Result<Expect, Box<dyn Error>> {
    let expect = match native::run(vector, pki, Shows::Verdict)? {
        Outcome::Forwarded(upstream) => {
            let verdict = crate::wire::values(&upstream.headers, "client-certificate-ca-verified");
            let verdict = verdict.first().copied().unwrap_or_default();
            let verdict = String::from_utf8_lossy(verdict);
            json!({ "forward": { "certificate": [identity, verdict] } })
        }
        Outcome::Answered(answer) => {
            let body: Value = serde_json::from_slice(&answer.body)?;
            json!({ "refuse": {
                "code": body["edge_code"],
                "status": answer.status,
                "error": body["error"],
            } })
        }
    };
    Ok(serde_json::from_value(expect)?)
}
