//! What is looked at beside requests through the edge, whatever host program it is in.

use std::error::Error;
use std::net::SocketAddr;

use super::audit::Audit;
use super::stage::Stage;
use super::table::Row;
use super::{DOMAIN, ORIGIN};
use crate::http1;
use crate::tls::{TlsOptions, connect};
use crate::wire::{WireRequest, WireResponse};

const DISCOVERY: &str = "/.well-known/openid-configuration";

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
    let mut row = Row::new(
        "discovery, compared with the origin's answer",
        &format!("GET login {DISCOVERY}"),
        "forwarded",
    );
    let key = Some(stage.api_key.as_str());
    let own = get(stage, stage.origin.address, ORIGIN, DISCOVERY, key)?;
    audit.take()?;
    let forwarded = get(stage, stage.address, DOMAIN, DISCOVERY, None)?;
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

/// The origin answers nobody but its edge.
pub(super) fn origin_without_key(stage: &Stage, audit: &mut Audit) -> Result<Row, Box<dyn Error>> {
    let mut row = Row::new(
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
