//! Writes the documents and the table that are made from code and vectors, or checks that they are up to date.
//!
//! `generate [--check]`; each document counts as one test in the last line.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use auth_edge::certificate::LeafCert;
use auth_edge::refusal::Reason;
use auth_edge::wire::config_json;
use auth_edge_tests::conformance::vector::{self, Departure, HostName};
use auth_edge_tests::nginx::shipped;

/// The day `webpki-root-certs`, in the version of the workspace, was taken for the table of public roots.
const PUBLIC_ROOTS_READ_ON: &str = "2026-11-21";

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
        ("shared/src/trust/public_roots.rs", public_roots()?),
        (
            "deploy/nginx/auth_edge_variables.conf",
            shipped::variables(),
        ),
        ("deploy/nginx/auth_edge_fields.conf", shipped::fields()),
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

fn public_roots() -> Result<String, Box<dyn Error>> {
    let mut keys = BTreeMap::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let root = LeafCert::parse(certificate.to_vec())?;
        // The name as it can be read: the printable texts of its DER, the last of which is the common name.
        let subject = String::from_utf8_lossy(root.subject());
        let mut texts =
            subject.split(|character: char| character.is_control() || character == '\u{fffd}');
        let name = texts
            .rfind(|text| text.len() > 3)
            .unwrap_or("without a name");
        keys.insert(
            root.key_thumbprint().to_string(),
            name.trim_start_matches(|first: char| !first.is_alphanumeric())
                .to_owned(),
        );
    }
    let mut text = format!(
        "//! The keys of publicly trusted roots: under these anybody can get a certificate.\n\
         //!\n\
         //! Written by `cargo xtask docs` from crate `webpki-root-certs` (Mozilla's list); do not edit.\n\n\
         use alloc::string::ToString as _;\n\n\
         use crate::wire::thumbprint::Thumbprint;\n\n\
         /// The day the list was read.\n\
         pub const READ_ON: &str = \"{PUBLIC_ROOTS_READ_ON}\";\n\n\
         /// Whether the key is that of a publicly trusted root.\n\
         pub(super) fn contains(key: &Thumbprint) -> bool {{\n\
         \x20   KEYS.binary_search(&key.to_string().as_str()).is_ok()\n\
         }}\n\n\
         /// SHA-256 over the SubjectPublicKeyInfo of each root, in base64url and in order.\n\
         #[rustfmt::skip]\n\
         const KEYS: [&str; {}] = [\n",
        keys.len(),
    );
    for (key, name) in keys {
        writeln!(text, "    \"{key}\", // {name}")?;
    }
    text.push_str("];\n");
    Ok(text)
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
                HostName::Nginx => "NGINX (fake)",
                HostName::Workerd => "workerd",
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
         A departure that does not hold fails its vector.\n\
         In NGINX two rules hold besides, for every vector they apply to: a field that must not pass and that its configuration\n\
         does not replace refuses the request (R-4, R-5b), and a configuration that reads Envoy's own field is refused.\n\
         In the Worker some things hold for every vector: Cloudflare does not tell the TLS server name, so that a request over a\n\
         connection of another name is refused for its missing certificate or not at all (R-10); a configuration that reads\n\
         Envoy's own field is refused, and `presented_chain`: `host` takes its place (R-4c); `fetch` adds `cache-control: no-cache`\n\
         and `pragma: no-cache` where the client sent none, since nothing may be cached (R-5); GET and HEAD go to the origin\n\
         without a body, which `fetch` refuses to send (R-5); `fetch` writes `\"`, `^`, `{`, `}` and non-ASCII characters of a path,\n\
         and `'` and non-ASCII characters of a query, percent-encoded (R-5).\n\
         Why, and what a user sees of it: [cloudflare.md](cloudflare.md#what-differs-from-envoy).\n\n\
         | host | what happens | why | vectors |\n\
         | --- | --- | --- | --- |\n",
    );
    for ((host, kind, why), vectors) in by_reason {
        writeln!(text, "| {host} | {kind} | {why} | {} |", vectors.join(", "))?;
    }
    Ok(text)
}
