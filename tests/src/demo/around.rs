//! What is looked at beside requests through the edge.

use std::error::Error;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::audit::Audit;
use super::stage::Stage;
use super::table::Row;
use super::{DOMAIN, ORIGIN};
use crate::http1;
use crate::tls::{TlsOptions, connect};
use crate::wire::{WireRequest, WireResponse};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const HEALTH_LIMIT: Duration = Duration::from_secs(10);

fn row(what: &str, request: &str, decision: &str) -> Row {
    Row {
        what: what.to_owned(),
        request: request.to_owned(),
        decision: decision.to_owned(),
        status: None,
        origin_saw: "nothing".to_owned(),
        faults: Vec::new(),
    }
}

fn get(
    stage: &Stage,
    address: SocketAddr,
    name: &str,
    path: &str,
    key: Option<&str>,
) -> Result<WireResponse, Box<dyn Error>> {
    let server_ca = stage.pki.server_ca_pem();
    let stream = connect(address, &TlsOptions::new(&server_ca, Some(name)))?;
    let mut request = WireRequest::new("GET", &format!("{name}:{}", address.port()), path);
    if let Some(key) = key {
        request = request.header("cname-api-key", key);
    }
    Ok(http1::Client::new(stream).send(&request)?)
}

/// What clients discover is what the origin says when it is asked directly, byte for byte.
pub(super) fn discovery(stage: &Stage, audit: &mut Audit) -> Result<Row, Box<dyn Error>> {
    let mut row = row(
        "discovery, compared with the origin's answer",
        &format!("GET login {DISCOVERY}"),
        "forwarded",
    );
    let key = Some(stage.api_key.as_str());
    let own = get(stage, stage.origin.address, ORIGIN, DISCOVERY, key)?;
    audit.take()?;
    let forwarded = get(stage, stage.edge, DOMAIN, DISCOVERY, None)?;
    row.status = Some(forwarded.status);
    match audit.take()?.as_slice() {
        [seen] => {
            row.origin_saw = seen.summary();
            row.faults = seen.faults(DOMAIN, None);
        }
        several => row
            .faults
            .push(format!("the origin saw {} requests", several.len())),
    }
    if forwarded.status != 200 || forwarded.body != own.body {
        row.faults
            .push("another document than the origin's own".to_owned());
    }
    Ok(row)
}

/// A load balancer's probe.
pub(super) fn health(stage: &Stage, audit: &mut Audit) -> Result<Row, Box<dyn Error>> {
    let mut row = row("health listener", "GET /healthz", "answered by Envoy");
    let stream = TcpStream::connect_timeout(&stage.health, HEALTH_LIMIT)?;
    stream.set_read_timeout(Some(HEALTH_LIMIT))?;
    let request = WireRequest::new("GET", "health", "/healthz");
    let response = http1::Client::new(stream).send(&request)?;
    row.status = Some(response.status);
    if response.status != 200 || !audit.take()?.is_empty() {
        row.faults
            .push("expected status 200, and nothing at the origin".to_owned());
    }
    Ok(row)
}

/// The origin answers nobody but its edge.
pub(super) fn origin_without_key(stage: &Stage, audit: &mut Audit) -> Result<Row, Box<dyn Error>> {
    let mut row = row(
        "the origin, past the edge",
        &format!("GET origin {DISCOVERY}"),
        "refused by the origin",
    );
    let response = get(stage, stage.origin.address, ORIGIN, DISCOVERY, None)?;
    row.status = Some(response.status);
    let seen = audit.take()?;
    "no API key".clone_into(&mut row.origin_saw);
    if response.status != 403 || seen.len() != 1 || seen.iter().any(|it| it.api_key_right) {
        row.faults.push("expected status 403".to_owned());
    }
    Ok(row)
}

/// The API key stands nowhere an operator or a log collector would look.
pub(super) fn secret(stage: &Stage) -> Result<Row, Box<dyn Error>> {
    let mut row = row(
        "no API key in the configuration dump, no log",
        "GET admin /config_dump",
        "-",
    );
    let dump = stage.envoy.admin_get("/config_dump?include_eds")?;
    // Proves that the dump holds the filter's configuration at all.
    if !dump.contains("verified_by") {
        row.faults
            .push("the dump lacks the filter's configuration".to_owned());
    }
    for (place, text) in [("the dump", dump), ("the log", stage.envoy.log())] {
        if text.contains(&stage.api_key) {
            row.faults.push(format!("the api key stands in {place}"));
        }
    }
    row.status = Some(200);
    Ok(row)
}
