//! One request of the demo's own, sent byte for byte, and what became of it at both ends.

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::audit::{Audit, Carried, Seen};
use super::stage::{Stage, thumbprint};
use super::table::Row;
use super::{ALIAS, DOMAIN};
use crate::pki::Identity;
use crate::tls::{TlsError, TlsOptions, connect};
use crate::wire::{WireError, WireRequest, WireResponse};
use crate::{http1, http2};

/// What a request should come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// The origin answers with this status.
    Forwarded(u16),
    /// The edge refuses with this code and status.
    Refused(&'static str, u16),
    /// The host program ends the connection before there is a request.
    Closed,
}

/// The HTTP version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub(super) struct Attempt<'a> {
    what: &'a str,
    method: &'a str,
    host: &'static str,
    path: &'a str,
    server_name: &'static str,
    identity: Option<&'a Identity>,
    protocol: Protocol,
    headers: Vec<(&'a str, String)>,
    body: Option<String>,
    address: Option<SocketAddr>,
    expected: Expected,
}

impl<'a> Attempt<'a> {
    /// A request to one of the two names, over a connection for that name, without a certificate.
    pub(super) fn new(
        what: &'a str,
        method: &'a str,
        host: &'static str,
        path: &'a str,
        expected: Expected,
    ) -> Self {
        Self {
            what,
            method,
            host,
            path,
            server_name: host,
            identity: None,
            protocol: Protocol::Http1,
            headers: Vec::new(),
            body: None,
            address: None,
            expected,
        }
    }

    /// A token request to the mTLS alias with a client certificate.
    pub(super) fn token(
        what: &'a str,
        client: &str,
        identity: Option<&'a Identity>,
        path: &'a str,
        expected: Expected,
    ) -> Self {
        Self {
            identity,
            ..Self::new(what, "POST", ALIAS, path, expected)
        }
        .form(client)
    }

    /// Adds the body of a token request.
    #[must_use]
    pub(super) fn form(mut self, client: &str) -> Self {
        let kind = "application/x-www-form-urlencoded".to_owned();
        self.headers.push(("content-type", kind));
        // The resource is filled in when the port is known.
        self.body = Some(format!(
            "grant_type=client_credentials&client_id={client}&scope=api%3Aread&resource="
        ));
        self
    }

    /// Presents a certificate.
    #[must_use]
    pub(super) fn identity(mut self, identity: &'a Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Adds a field.
    #[must_use]
    pub(super) fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Connects for another name than the request is for.
    #[must_use]
    pub(super) fn server_name(mut self, name: &'static str) -> Self {
        self.server_name = name;
        self
    }

    /// Goes to this address instead of the edge's own.
    #[must_use]
    pub(super) fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Uses HTTP/2, where the edge speaks it.
    #[must_use]
    pub(super) fn http2(mut self) -> Self {
        self.protocol = Protocol::Http2;
        self
    }

    /// Sends the request and judges what came of it.
    pub(super) fn run(&self, stage: &Stage, audit: &mut Audit) -> Result<Row, Box<dyn Error>> {
        let version = match stage.edge.protocol(self.protocol) {
            Protocol::Http1 => "",
            Protocol::Http2 => ", HTTP/2",
        };
        let mut row = Row::new(
            &format!("{}{version}", self.what),
            &request_text(self.method, self.host, self.path),
            "",
        );
        if !audit.take()?.is_empty() {
            row.faults
                .push("a request of nobody's reached the origin before".to_owned());
        }
        let response = self.send(stage);
        let seen = audit.take()?;
        if let Some(one) = seen.first() {
            row.origin_saw = one.summary();
        }
        match response {
            Ok(response) => self.judge(&response, &seen, stage.edge.name(), &mut row),
            Err(Failure::Ended) => {
                row.decision = format!("connection closed by {}", stage.edge.name());
                if !matches!(self.expected, Expected::Closed) {
                    row.faults
                        .push("the connection ended, expected an answer".to_owned());
                }
            }
            Err(Failure::Other(error)) => {
                row.decision = "no answer".to_owned();
                row.faults.push(error);
            }
        }
        if matches!(self.expected, Expected::Forwarded(_)) != (seen.len() == 1) {
            row.faults
                .push(format!("the origin saw {} requests", seen.len()));
        }
        Ok(row)
    }

    fn judge(&self, response: &WireResponse, seen: &[Seen], host: &str, row: &mut Row) {
        row.status = Some(response.status);
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = body["edge_code"].as_str();
        row.decision = match (code, seen.is_empty(), response.status) {
            (Some(code), _, _) => format!("refused {code}"),
            (None, true, _) => format!("answered by {host}"),
            (None, false, ..400) => "forwarded".to_owned(),
            (None, false, _) => "forwarded, refused by the origin".to_owned(),
        };
        match self.expected {
            Expected::Forwarded(status) => {
                if let Some(seen) = seen.first() {
                    self.judge_forwarded(seen, row);
                }
                if response.status != status {
                    row.faults.push(format!("expected status {status}"));
                }
            }
            Expected::Refused(expected, status) => {
                if (code, response.status) != (Some(expected), status) {
                    row.faults.push(format!(
                        "expected a refusal {expected} with status {status}"
                    ));
                }
            }
            Expected::Closed => row.faults.push("expected no answer".to_owned()),
        }
        if response.values("strict-transport-security").len() != 1 {
            row.faults
                .push("expected one strict-transport-security".to_owned());
        }
    }

    fn judge_forwarded(&self, seen: &Seen, row: &mut Row) {
        let identity = self.identity.filter(|_| self.host == ALIAS);
        let print = identity.map(thumbprint);
        let carried = print.as_deref().map(|thumbprint| Carried {
            thumbprint,
            verdict: verdict(identity.is_some_and(|it| it.host_verified)),
        });
        row.faults.extend(seen.faults(self.host, carried));
        for (name, _) in &self.headers {
            let passed = seen.headers.iter().filter(|it| it == name).count();
            // Of what the client claimed only what the edge itself says may be there, once.
            let allowed = match *name {
                "content-type" => continue,
                "cname-api-key" | "x-forwarded-for" => 1,
                "client-certificate" | "client-certificate-ca-verified" => {
                    usize::from(carried.is_some())
                }
                _ => 0,
            };
            if passed != allowed {
                row.faults.push(format!(
                    "`{name}` reached the origin {passed} times, expected {allowed}"
                ));
            }
        }
    }

    fn send(&self, stage: &Stage) -> Result<WireResponse, Failure> {
        let port = stage.address.port();
        let authority = format!("{}:{port}", self.host);
        let mut request = WireRequest::new(self.method, &authority, self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(format!("{body}https%3A%2F%2F{DOMAIN}%3A{port}%2Fapi"));
        }
        let server_ca = stage.pki.server_ca_pem();
        let mut options = TlsOptions::new(&server_ca, Some(self.server_name));
        options.identity = self.identity;
        let protocol = stage.edge.protocol(self.protocol);
        options.alpn = match protocol {
            Protocol::Http1 => &[b"http/1.1"],
            Protocol::Http2 => &[b"h2"],
        };
        let stream = connect(self.address.unwrap_or(stage.address), &options)?;
        Ok(match protocol {
            Protocol::Http1 => http1::Client::new(stream).send(&request)?,
            Protocol::Http2 => http2::Client::new(stream)?.send(&request)?,
        })
    }
}

/// How long to wait for a request to come out as expected, and how long between two tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) limit: Duration,
    pub(super) pause: Duration,
}

/// Sends a request until it comes out as expected, or has not for too long.
pub(super) fn once_in_force(
    attempt: &Attempt<'_>,
    stage: &Stage,
    audit: &mut Audit,
    patience: Patience,
) -> Result<Row, Box<dyn Error>> {
    let deadline = Instant::now() + patience.limit;
    loop {
        let row = attempt.run(stage, audit)?;
        if row.faults.is_empty() || Instant::now() > deadline {
            return Ok(row);
        }
        thread::sleep(patience.pause);
    }
}

/// The verdict the origin should get for a certificate that was accepted.
pub(super) fn verdict(host_verified: bool) -> &'static str {
    if host_verified {
        "SUCCESS"
    } else {
        "FAILED:self-signed certificate"
    }
}

/// A request as the table shows it: `login` for the custom domain, `mtls` for its alias.
pub(super) fn request_text(method: &str, host: &str, path: &str) -> String {
    let name = host.split('.').next().unwrap_or_default();
    format!("{method} {name} {path}")
}

enum Failure {
    Ended,
    Other(String),
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Handshake(_) => Self::Ended,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Handshake(_) | WireError::Closed => Self::Ended,
            other => Self::Other(other.to_string()),
        }
    }
}
