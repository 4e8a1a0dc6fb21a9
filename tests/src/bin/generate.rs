//! Writes the documents that are made from code and vectors, or checks that they are up to date.
//!
//! `generate [--check]`; each document counts as one test in the last line.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use auth_edge::refusal::Reason;
use auth_edge::wire::config_json;
use auth_edge_tests::conformance::vector::{self, Departure, HostName};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("generate: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => return Err(format!("unknown argument `{other}`").into()),
    };
    let schema = format!("{:#}\n", config_json::schema());
    let documents = [
        ("docs/config.schema.json", schema),
        ("docs/refusals.md", refusals()?),
        ("docs/exceptions.md", exceptions()?),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no root")?;
    let mut stale = 0;
    for (name, text) in &documents {
        let path = root.join(name);
        if !check {
            fs::write(&path, text)?;
        } else if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            println!("STALE {name}: run `cargo xtask docs`");
            stale += 1;
        }
    }
    println!("{} passed, {stale} failed", documents.len() - stale);
    Ok(stale == 0)
}

fn refusals() -> Result<String, Box<dyn Error>> {
    let mut text = String::from(
        "# Refusals\n\n\
         Written by `cargo xtask docs` from `shared/src/refusal`; do not edit.\n\n\
         Every answer of the edge is JSON with `error`, `error_description`, `edge_code` and `request_id`, and is never cached.\n\
         `edge_code` is stable: alerts and clients may rely on it.\n\n\
         Refusals of a client certificate are answered by the kind of endpoint:\n\n\
         | endpoint | without `Authorization` | with `Authorization` |\n\
         | --- | --- | --- |\n\
         | token, PAR | 400 `invalid_client` | 401 `invalid_client`, challenge of the scheme used |\n\
         | resource | 401 `invalid_request`, challenge `Bearer` | 401 `invalid_token`, challenge `Bearer` with `error=\"invalid_token\"` |\n\
         | other | 400 `invalid_request` | 400 `invalid_request` |\n\n\
         | `edge_code` | rule | status | what the client is told | what to do |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let status = match reason.is_about_certificate() {
            true => "400 or 401".to_owned(),
            false => reason.status().to_string(),
        };
        writeln!(
            text,
            "| `{}` | {} | {status} | {} | {} |",
            reason.code(),
            reason.rule(),
            reason.description(),
            reason.remedy(),
        )?;
    }
    Ok(text)
}

fn exceptions() -> Result<String, Box<dyn Error>> {
    let mut by_reason: BTreeMap<(&str, &str, String), Vec<String>> = BTreeMap::new();
    for vector in vector::all()? {
        for (host, departure) in &vector.hosts {
            let host = match host {
                HostName::EnvoyHttp1 => "Envoy, HTTP/1.1",
                HostName::EnvoyHttp2 => "Envoy, HTTP/2",
            };
            let (kind, why) = match departure {
                Departure::Consumed { why, .. } => ("consumed", why),
                Departure::AnsweredByHost { why, .. } => ("answered by the host", why),
                Departure::NotExpressible { why } => ("cannot be expressed", why),
            };
            let vectors = by_reason.entry((host, kind, why.clone())).or_default();
            vectors.push(format!("`{}`", vector.name));
        }
    }
    let mut text = String::from(
        "# Exceptions\n\n\
         Written by `cargo xtask docs` from the vectors; do not edit.\n\n\
         Where a host program takes something away from a request, or answers it, before the edge sees it.\n\
         *Consumed*: what counts is what reaches the origin, and the vector says what that is.\n\
         *Answered by the host*: nothing reaches the origin, and the edge's code is not asserted.\n\
         A departure that does not hold fails its vector.\n\n\
         | host | what happens | why | vectors |\n\
         | --- | --- | --- | --- |\n",
    );
    for ((host, kind, why), vectors) in by_reason {
        writeln!(text, "| {host} | {kind} | {why} | {} |", vectors.join(", "))?;
    }
    Ok(text)
}
