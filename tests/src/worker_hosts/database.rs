//! ACME challenges and revocation lists in D1, with the tables of `migrations/`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::{
    ALIAS, CONFIG, CONFIG_KEY, DATABASE, EDGE, Edge, Outcome, SELF_SIGNED, SOON, SUCCESS, Stage,
    forwarded, no_certificate, plain, presenting, refused, token_request, told,
};
use crate::hosts::{DOMAIN, config, ensure};
use crate::pki::{DAY, RevocationList};
use crate::poll;
use crate::wire::WireRequest;
use crate::workerd::{Clock, Worker};

const OTHER_DOMAIN: &str = "other.example.test";
const INACTIVE: &str = "inactive.example.test";

/// The statements of `migrations/`, in the order of their files.
///
/// # Errors
/// When they cannot be read.
fn migrations() -> Result<Vec<String>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    let mut statements = Vec::new();
    for file in files {
        let text = fs::read_to_string(file)?;
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("--").next().unwrap_or(line))
            .collect();
        let code = code.join(" ");
        let each = code.split(';').map(str::trim).filter(|it| !it.is_empty());
        statements.extend(each.map(str::to_owned));
    }
    Ok(statements)
}

/// When tests begin.
fn start(stage: &Stage) -> u64 {
    stage.pki.generated_at().unsigned_abs() + 10
}

/// A Worker with a database that these statements have filled, and with a third host, which is not served yet.
fn with_database(
    stage: &Stage,
    config: &Value,
    statements: Vec<String>,
) -> Result<Worker, Box<dyn Error>> {
    let mut worker = stage.worker(EDGE)?;
    worker
        .bindings
        .insert(CONFIG.into(), json!(config.to_string()));
    worker.d1.insert(DATABASE.into(), statements);
    worker.clock = Clock::Told;
    Ok(worker)
}

fn with_inactive(stage: &Stage) -> Result<Value, Box<dyn Error>> {
    let mut config = config(&stage.pki)?;
    let mut inactive = config["hosts"][0].clone();
    inactive["custom_domain"] = json!(INACTIVE);
    inactive["active"] = json!(false);
    if let Some(hosts) = config["hosts"].as_array_mut() {
        hosts.push(inactive);
    }
    Ok(config)
}

/// Requests that come together, the first of all among them, wait for configuration and database side by side: each
/// gets its own answer, and the origin is told of each the certificate it came with.
///
/// # Errors
/// When it is not so.
pub fn requests_at_the_same_time_never_mix(stage: &Stage) -> Outcome {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 20;
    let mut statements = migrations()?;
    for client in 0..CLIENTS {
        statements.push(format!(
            "INSERT INTO acme_challenges VALUES ('{DOMAIN}', 'token{client}', 'token{client}.thumb{client}', {})",
            start(stage) + 300
        ));
    }
    let mut worker = with_database(stage, &config(&stage.pki)?, statements)?;
    worker.clock = Clock::Real;
    worker.bindings.remove(CONFIG);
    let entry = (CONFIG_KEY.to_owned(), config(&stage.pki)?.to_string());
    worker.kv.insert(CONFIG.into(), [entry].into());
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, EDGE);
    stage.origin.take();
    let identities = [Some("ca_client"), Some("self_signed"), None];
    let client = |client: usize| -> Result<(), String> {
        for round in 0..ROUNDS {
            let identity = identities.get((client + round) % 4).copied().flatten();
            let asked = match (client + round) % 4 {
                3 => challenge("GET", DOMAIN, &format!("token{client}")),
                2 => token_request(DOMAIN),
                _ => token_request(ALIAS),
            };
            let asked = asked.header("x-mark", identity.unwrap_or("nobody"));
            let cf = identity.map_or_else(|| Ok(no_certificate()), |name| stage.cf(name));
            let response = cf.and_then(|cf| edge.ask(&asked, &cf));
            let response = response.map_err(|why| why.to_string())?;
            let is_right = match (client + round) % 4 {
                3 => response.body == format!("token{client}.thumb{client}").as_bytes(),
                _ => forwarded(&response).is_ok(),
            };
            if !is_right {
                return Err(format!("{asked:?}: {response:?}"));
            }
        }
        Ok(())
    };
    thread::scope(|scope| -> Outcome {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        for client in clients {
            client.join().map_err(|_| "a client died")??;
        }
        Ok(())
    })?;
    let recorded = stage.origin.take();
    ensure(recorded.len() == CLIENTS * ROUNDS / 4 * 3, || {
        format!("{} requests at the origin", recorded.len())
    })?;
    for one in &recorded {
        match one.values("x-mark").as_slice() {
            [b"nobody"] => ensure(one.values("client-certificate").is_empty(), || {
                format!("{one:?}")
            })?,
            [b"self_signed"] => told(one, stage.pki.get("self_signed")?, SELF_SIGNED)?,
            _ => told(one, stage.pki.get("ca_client")?, SUCCESS)?,
        }
    }
    let logs = workerd.logs(0)?;
    let others = logs
        .iter()
        .filter(|log| !log.message.contains("in force, custom domains: 2"));
    ensure(logs.len() == 1 && others.count() == 0, || {
        format!("{logs:?}")
    })
}

fn challenge(method: &str, host: &str, token: &str) -> WireRequest {
    WireRequest::new(method, host, format!("/.well-known/acme-challenge/{token}"))
}

/// Answered are the tokens of the host that is asked, as long as they hold, by GET and HEAD, over HTTPS and without,
/// and before the host is active. Everything else is unknown.
///
/// # Errors
/// When it is not so.
pub fn challenges_are_answered_by_host_and_token(stage: &Stage) -> Outcome {
    let now = start(stage);
    let mut statements = migrations()?;
    for (host, token, answer, expires) in [
        (DOMAIN, "good_-1", "good_-1.thumb_-print", now + 1),
        (DOMAIN, "expired", "expired.thumbprint", now),
        (DOMAIN, "bare", "bare", now + 300),
        (DOMAIN, "odd", "odd.thumb\r\nx: 1", now + 300),
        (DOMAIN, "foreign", "another.thumbprint", now + 300),
        (ALIAS, "of-alias", "of-alias.thumbprint", now + 300),
        (OTHER_DOMAIN, "elsewhere", "elsewhere.thumbprint", now + 300),
        (INACTIVE, "early", "early.thumbprint", now + 300),
        (
            "nobody.example.test",
            "stray",
            "stray.thumbprint",
            now + 300,
        ),
    ] {
        statements.push(format!(
            "INSERT INTO acme_challenges VALUES ('{host}', '{token}', '{answer}', {expires})"
        ));
    }
    let worker = with_database(stage, &with_inactive(stage)?, statements)?;
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, EDGE).at(now);
    stage.origin.take();
    for cf in [plain(), no_certificate()] {
        for (host, token, answer) in [
            (DOMAIN, "good_-1", Some("good_-1.thumb_-print")),
            (DOMAIN, "expired", None),
            (DOMAIN, "bare", None),
            (DOMAIN, "odd", None),
            (DOMAIN, "foreign", None),
            (DOMAIN, "elsewhere", None),
            (DOMAIN, "nothing", None),
            (DOMAIN, "x'%20OR%20'1'='1", None),
            (ALIAS, "of-alias", Some("of-alias.thumbprint")),
            (ALIAS, "good_-1", None),
            (OTHER_DOMAIN, "elsewhere", Some("elsewhere.thumbprint")),
            (OTHER_DOMAIN, "good_-1", None),
            (INACTIVE, "early", Some("early.thumbprint")),
        ] {
            let at = |what: String| format!("{host}, {token}: {what}");
            let response = edge.ask(&challenge("GET", host, token), &cf)?;
            let Some(answer) = answer else {
                refused(&response, 404, "acme_challenge_unknown")
                    .map_err(|why| at(why.to_string()))?;
                continue;
            };
            let is_right = response.status == 200
                && response.body == answer.as_bytes()
                && response.values("content-type") == [b"application/octet-stream"];
            ensure(is_right, || at(format!("{response:?}")))?;
            let head = edge.ask(&challenge("HEAD", host, token), &cf)?;
            let is_right =
                head.status == 200 && head.values("content-type") == [b"application/octet-stream"];
            ensure(is_right, || at(format!("{head:?}")))?;
            let response = edge.ask(&challenge("POST", host, token), &cf)?;
            refused(&response, 405, "method_not_allowed").map_err(|why| at(why.to_string()))?;
        }
    }
    let stray = challenge("GET", "nobody.example.test", "stray");
    refused(&edge.ask(&stray, &no_certificate())?, 404, "unknown_host")?;
    // A second later.
    let response = edge
        .at(now + 1)
        .ask(&challenge("GET", DOMAIN, "good_-1"), &plain())?;
    refused(&response, 404, "acme_challenge_unknown")?;
    stage.nothing_at_origin()
}

/// Where the tables are missing a challenge is unknown and the log says why; everybody else is served.
///
/// # Errors
/// When it is not so.
pub fn a_database_without_tables_harms_nothing_but_challenges(stage: &Stage) -> Outcome {
    let worker = with_database(stage, &config(&stage.pki)?, Vec::new())?;
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, EDGE).at(start(stage));
    forwarded(&edge.ask(&token_request(DOMAIN), &no_certificate())?)?;
    let written = edge.written()?;
    let response = edge.ask(&challenge("GET", DOMAIN, "token"), &plain())?;
    refused(&response, 404, "acme_challenge_unknown")?;
    forwarded(&edge.ask(&token_request(ALIAS), &stage.cf("ca_client")?)?)?;
    let (logs, _) = written.all()?;
    let of_database = logs
        .iter()
        .filter(|log| log.level == "error" && log.message.contains("ACME challenges in D1"));
    ensure(of_database.count() == 1, || format!("{logs:?}"))
}

/// The configuration of the tests, with revocation lists that are kept elsewhere.
fn with_lists(stage: &Stage) -> Result<Value, Box<dyn Error>> {
    let mut config = config(&stage.pki)?;
    config["defaults"]["client_certificates"]["ca_signed"]["crl"] =
        json!({ "check": "leaf", "lists": [] });
    Ok(config)
}

fn insert(host: &str, issuer: &str, list: &[u8]) -> String {
    let hex: String = list.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("INSERT OR REPLACE INTO revocation_lists VALUES ('{host}', '{issuer}', X'{hex}')")
}

/// Lists count for the custom domain they are kept for, and where one is asked for and there is none, nobody is let
/// in. A list that cannot be read is told, and harms nobody whose own list is there.
///
/// # Errors
/// When it is not so.
pub fn revocation_lists_count_for_their_own_host(stage: &Stage) -> Outcome {
    let mut statements = migrations()?;
    statements.push(insert(DOMAIN, "CN=ca", stage.pki.revocation_list("ca")?));
    statements.push(insert(DOMAIN, "CN=broken", b"\x30\x03\x02\x01"));
    statements.push(insert("nobody.example.test", "CN=ca", b"no list"));
    let worker = with_database(stage, &with_lists(stage)?, statements)?;
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, EDGE).at(start(stage));
    let written = edge.written_from_its_first_request()?;
    stage.origin.take();
    let response = edge.ask(&token_request(ALIAS), &stage.cf("ca_client_revoked")?)?;
    refused(&response, 400, "certificate_revoked")?;
    stage.nothing_at_origin()?;
    forwarded(&edge.ask(&token_request(ALIAS), &stage.cf("ca_client")?)?)?;
    told(
        &stage.one_at_origin()?,
        stage.pki.get("ca_client")?,
        SUCCESS,
    )?;
    // Of an issuer without a list.
    let response = edge.ask(&token_request(ALIAS), &stage.cf("ca_rsa_client")?)?;
    refused(&response, 400, "certificate_revocation_unknown")?;
    for identity in ["ca_client", "ca_client_revoked"] {
        let request = token_request("mtls.other.example.test");
        let response = edge.ask(&request, &stage.cf(identity)?)?;
        refused(&response, 400, "certificate_revocation_unknown")?;
    }
    // Self-signed ones have no issuer that could revoke them.
    forwarded(&edge.ask(&token_request(ALIAS), &stage.cf("self_signed")?)?)?;
    forwarded(&edge.ask(&token_request(OTHER_DOMAIN), &no_certificate())?)?;
    let (logs, _) = written.all()?;
    let told = logs
        .iter()
        .filter(|log| log.message.contains(DOMAIN) && log.message.contains("unreadable: 1"));
    ensure(told.count() == 1, || format!("{logs:?}"))
}

/// A list that comes counts after a minute at the latest, for certificates that were accepted before too.
///
/// # Errors
/// When it is not so.
pub fn a_new_revocation_list_counts_after_a_minute(stage: &Stage) -> Outcome {
    let now = start(stage);
    let made = stage.pki.generated_at();
    let ca = stage.pki.authority("ca")?;
    let list = RevocationList::new(made - DAY, made + DAY);
    let mut statements = migrations()?;
    statements.push(insert(DOMAIN, "CN=ca", &list.issue(ca)?));
    let workerd = stage.start(&[with_database(stage, &with_lists(stage)?, statements)?])?;
    let identity = stage.pki.get("ca_client")?;
    let ask = |seconds| {
        Edge::of(&workerd, EDGE)
            .at(seconds)
            .ask(&token_request(ALIAS), &presenting(identity))
    };
    forwarded(&ask(now)?)?;
    let newer = RevocationList::new(made - 10, made + DAY).revoking(identity.leaf());
    workerd.sql(EDGE, DATABASE, &insert(DOMAIN, "CN=ca", &newer.issue(ca)?))?;
    forwarded(&ask(now + 59)?)?;
    // It is read beside the answer to this one.
    ask(now + 60)?;
    let is_refused = poll::until(SOON, || {
        refused(&ask(now + 60).ok()?, 400, "certificate_revoked").ok()
    });
    ensure(is_refused.is_some(), || "the list does not count".into())?;
    // Lists that cannot be had leave the former in force.
    workerd.sql(EDGE, DATABASE, "DROP TABLE revocation_lists")?;
    let written = Edge::of(&workerd, EDGE).at(now + 60).written()?;
    ask(now + 120)?;
    let is_told = poll::until(SOON, || {
        let (logs, _) = written.all().ok()?;
        let mut logs = logs.iter().map(|log| log.message.as_str());
        logs.any(|text| text.contains("stays as it was") && text.contains("D1"))
            .then_some(())
    });
    ensure(is_told.is_some(), || "the log says nothing of it".into())?;
    refused(&ask(now + 121)?, 400, "certificate_revoked").map(drop)
}

/// Where lists are asked for and the database gives none, nothing is served, until it does.
///
/// # Errors
/// When it is not so.
pub fn lists_that_cannot_be_read_at_the_start_close_until_they_can(stage: &Stage) -> Outcome {
    let now = start(stage);
    let workerd = stage.start(&[with_database(stage, &with_lists(stage)?, Vec::new())?])?;
    let ask = |seconds, host, cf: &Value| {
        Edge::of(&workerd, EDGE)
            .at(seconds)
            .ask(&token_request(host), cf)
    };
    let written = Edge::of(&workerd, EDGE)
        .at(now)
        .written_from_its_first_request()?;
    let cf = stage.cf("ca_client")?;
    refused(&ask(now, ALIAS, &cf)?, 503, "no_configuration")?;
    let (logs, _) = written.all()?;
    let told = logs
        .iter()
        .filter(|log| log.message.contains("revocation lists in D1"));
    ensure(told.count() == 1, || format!("{logs:?}"))?;
    for statement in migrations()? {
        workerd.sql(EDGE, DATABASE, &statement)?;
    }
    let list = insert(DOMAIN, "CN=ca", stage.pki.revocation_list("ca")?);
    workerd.sql(EDGE, DATABASE, &list)?;
    forwarded(&ask(now + 5, ALIAS, &cf)?)
}
