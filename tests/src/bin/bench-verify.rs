//! Measures in Wasm what the first verification of a certificate costs, and one that is known.
//!
//! `bench-verify --node PATH --module PATH --script PATH`

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::process::{Command, ExitCode};

use auth_edge_tests::pki::{Identity, Pki};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What is measured: a name for it, and the identity of the client. A self-signed certificate takes one
/// verification with its own key, a CA-signed one takes one for each certificate of its path.
const CASES: [(&str, &str); 7] = [
    ("RSA-2048", "self_signed_rsa2048"),
    ("RSA-4096", "self_signed_rsa4096"),
    ("P-256", "self_signed"),
    ("P-384", "self_signed_p384"),
    ("Ed25519", "self_signed_ed25519"),
    ("path to a P-256 root", "ca_client"),
    (
        "path with an intermediate, P-256",
        "ca_client_via_intermediate",
    ),
];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench-verify: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: BTreeMap<&str, &str> = arguments
        .chunks_exact(2)
        .map(|pair| (pair[0].as_str(), pair[1].as_str()))
        .collect();
    let needed = |name| {
        given
            .get(name)
            .ok_or_else(|| format!("`{name}` is missing"))
    };
    let pki = Pki::generate()?;
    let case = |(name, identity): (&str, &str)| -> Result<Value, Box<dyn Error>> {
        case(name, pki.get(identity)?, &pki)
    };
    let cases: Vec<Value> = CASES.into_iter().map(case).collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("cases.json");
    fs::write(&file, json!({ "cases": cases }).to_string())?;
    let status = Command::new(needed("--node")?)
        .arg(needed("--script")?)
        .arg(needed("--module")?)
        .arg(&file)
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn case(name: &str, identity: &Identity, pki: &Pki) -> Result<Value, Box<dyn Error>> {
    let authority = |name| -> Result<String, Box<dyn Error>> {
        Ok(STANDARD.encode(pki.authority(name)?.der()))
    };
    Ok(json!({
        "name": name,
        "leaf": STANDARD.encode(identity.leaf()),
        "now": pki.generated_at(),
        "config": {
            "version": 1,
            "hosts": [{
                "custom_domain": "login.example.test",
                "origin": { "host": "origin.example.test", "api_key": { "env": "KEY" } },
                "client_certificates": {
                    "ca_signed": {
                        "roots": [authority("ca")?],
                        "intermediates": [authority("intermediate")?],
                    },
                    "self_signed": "forward",
                },
            }],
        },
    }))
}
