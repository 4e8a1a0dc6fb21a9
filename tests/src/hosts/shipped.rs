//! The configuration in `envoy-demo/`, as it is shipped: what it adds to the filter's work.

use std::error::Error;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Client, Outcome, PROTOCOLS, Protocol, SOON, Stage, ensure, forwarded, refused};
use crate::http1;
use crate::origin::Origin;
use crate::poll;
use crate::process::{Envoy, Launch};
use crate::shipped::{self, ALIAS, API_KEY_VARIABLE, DOMAIN, ORIGIN};
use crate::wire::{WireRequest, WireResponse};

/// The API key that it gets.
const API_KEY: &str = "the-key-of-the-shipped-configuration";

/// What a test changes in the shipped configuration.
#[derive(Default)]
pub(super) struct Changes<'a> {
    /// Texts of `envoy.yaml` that each stand there once, and what is put in their places.
    pub(super) envoy: Vec<(&'a str, String)>,
    /// What is put in place of the members of the host in the filter's configuration.
    pub(super) host: Vec<(&'a str, Value)>,
    /// More hosts beside it.
    pub(super) hosts: Vec<Value>,
    /// Another filter.
    pub(super) wasm: Option<PathBuf>,
}

/// An Envoy with the shipped configuration.
pub(super) struct Shipped {
    /// It.
    pub(super) envoy: Envoy,
    /// The listener that is the edge.
    pub(super) edge: SocketAddr,
    /// The listener for a load balancer's probes.
    pub(super) health: SocketAddr,
    edge_yaml: String,
    config: Value,
}

impl Shipped {
    /// Starts it in front of an origin.
    pub(super) fn start(stage: &Stage, origin: SocketAddr) -> Result<Self, Box<dyn Error>> {
        Self::start_with(stage, origin, Changes::default())
    }

    /// Starts it with changes.
    pub(super) fn start_with(
        stage: &Stage,
        origin: SocketAddr,
        changes: Changes<'_>,
    ) -> Result<Self, Box<dyn Error>> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy_yaml = shipped::envoy_yaml(anywhere, anywhere, origin)?;
        for (old, new) in &changes.envoy {
            envoy_yaml = shipped::replace(&envoy_yaml, old, new)?;
        }
        let edge_yaml = shipped::edge_yaml(&stage.pki)?;
        let mut config = shipped::filter_config(&edge_yaml)?;
        for (member, value) in changes.host {
            config["hosts"][0][member] = value;
        }
        if let Some(hosts) = config["hosts"].as_array_mut() {
            hosts.extend(changes.hosts);
        }
        let directory = tempfile::Builder::new()
            .prefix("auth-edge-shipped-")
            .tempdir()?;
        shipped::write_files(
            directory.path(),
            &stage.pki,
            changes.wasm.as_deref().unwrap_or(&stage.wasm),
            &shipped::with_filter_config(&edge_yaml, &config),
        )?;
        let envoy = Envoy::launch_in(
            directory,
            &Launch {
                binary: &stage.binary,
                config: &envoy_yaml,
                env: &[(API_KEY_VARIABLE, API_KEY)],
                concurrency: 2,
                arguments: &[],
            },
        )?;
        Ok(Self {
            edge: envoy.listener_address("edge")?,
            health: envoy.listener_address("health")?,
            envoy,
            edge_yaml,
            config,
        })
    }

    /// The filter's configuration that it was started with.
    pub(super) fn config(&self) -> Value {
        self.config.clone()
    }

    /// Moves another configuration of the filter into place, and waits until Envoy has counted it: until
    /// every worker has it when it is good.
    pub(super) fn update(&self, config: &Value, counted: Counted) -> Outcome {
        let name = format!(
            "extension_config_discovery.http_filter.auth_edge.{}",
            match counted {
                Counted::Reloaded => "config_reload",
                Counted::Rejected => "update_rejected",
            }
        );
        let read = || stat(&self.envoy, &name);
        let before = read()?;
        let text = shipped::with_filter_config(&self.edge_yaml, config);
        shipped::replace_edge_yaml(self.envoy.directory(), &text)?;
        let grown = poll::until(SOON, || read().ok().filter(|count| *count > before));
        ensure(grown.is_some(), || format!("`{name}` stays at {before}"))
    }

    /// Opens a connection, with the certificate of this name.
    pub(super) fn open(
        &self,
        stage: &Stage,
        name: &str,
        identity: Option<&str>,
        protocol: Protocol,
    ) -> Result<Client, Box<dyn Error>> {
        let mut options = stage.options(name);
        options.identity = identity.map(|name| stage.pki.get(name)).transpose()?;
        Client::at(self.edge, options, protocol)
    }
}

/// What becomes of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Counted {
    /// It is taken.
    Reloaded,
    /// It is refused.
    Rejected,
}

/// A counter of Envoy that has to be there; only those that are like it are looked through.
pub(super) fn stat(envoy: &Envoy, name: &str) -> Result<u64, Box<dyn Error>> {
    let stats = envoy.admin_get(&format!("/stats?filter={name}"))?;
    let mut values = stats.lines().filter_map(|line| line.split_once(": "));
    let value = values.find(|(found, _)| *found == name);
    let (_, value) = value.ok_or_else(|| format!("there is no counter `{name}`"))?;
    Ok(value.parse()?)
}

/// An origin under the name of the shipped configuration.
pub(super) fn origin(stage: &Stage) -> Result<Origin, Box<dyn Error>> {
    Ok(Origin::start(&stage.pki.server_identity(&[ORIGIN])?)?)
}

/// What a client without a certificate asks of the custom domain.
pub(super) fn get(target: impl AsRef<[u8]>) -> WireRequest {
    WireRequest::new("GET", DOMAIN, target)
}

/// What the health listener answers.
pub(super) fn probe(health: SocketAddr, path: &str) -> Result<WireResponse, Box<dyn Error>> {
    let stream = TcpStream::connect_timeout(&health, SOON)?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(http1::Client::new(stream).send(&WireRequest::new("GET", "health", path))?)
}

/// Fails unless the answer is one that Envoy gives in the origin's place: JSON that is never stored.
pub(super) fn unavailable(response: &WireResponse, status: u16) -> Outcome {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let id = body["request_id"].as_str().unwrap_or_default();
    let good = response.status == status
        && body["error"] == "temporarily_unavailable"
        && body["error_description"].is_string()
        && id.len() > 8
        && response.values("cache-control") == [b"no-store"]
        && response.values("content-type") == [b"application/json"];
    ensure(good, || {
        format!(
            "expected {status} in the form of the edge, found {} {:?} {body}",
            response.status, response.headers
        )
    })
}

/// the shipped configuration adds it to what the origin and the filter answer, and only where it is
/// missing.
pub fn hsts_is_added_where_the_origin_sends_none(stage: &Stage) -> Outcome {
    const NAME: &str = "strict-transport-security";
    let origin = origin(stage)?;
    let edge = Shipped::start(stage, origin.address())?;
    for protocol in PROTOCOLS {
        let mut client = edge.open(stage, DOMAIN, None, protocol)?;
        let own = format!("/with/{NAME}/max-age=1; includeSubDomains; preload").replace(' ', "");
        for (target, status, expected) in [
            ("/", 200, "max-age=31536000"),
            ("/status/404", 404, "max-age=31536000"),
            ("/status/302", 302, "max-age=31536000"),
            // Of the filter; Envoy would close HTTP/1.1 after a 400.
            ("/.well-known/acme-challenge/none", 404, "max-age=31536000"),
            (&own, 200, "max-age=1;includeSubDomains;preload"),
        ] {
            let response = client.send(&get(target))?;
            ensure(
                response.status == status && response.values(NAME) == [expected.as_bytes()],
                || format!("{protocol:?}, {target}: expected {expected}, found {response:?}"),
            )?;
        }
    }
    Ok(())
}

/// neither a refusal of the filter nor what Envoy says by itself.
pub fn what_is_not_the_origins_is_never_stored(stage: &Stage) -> Outcome {
    let gone = origin(stage)?.address();
    let edge = Shipped::start(stage, gone)?;
    for protocol in PROTOCOLS {
        let mut client = edge.open(stage, DOMAIN, None, protocol)?;
        unavailable(&client.send(&get("/"))?, 503)?;
        // Envoy itself does not like a fragment.
        let mut client = edge.open(stage, DOMAIN, None, protocol)?;
        let response = client.send(&get("/#fragment"))?;
        ensure(
            response.status == 400
                && response.body.is_empty()
                && response.values("cache-control") == [b"no-store"],
            || format!("{protocol:?}: expected an empty 400, found {response:?}"),
        )?;
        for (request, status, code) in [
            (get("/../"), 400, "invalid_path"),
            (
                WireRequest::new("PROPFIND", DOMAIN, "/"),
                405,
                "method_not_allowed",
            ),
            (
                WireRequest::new("GET", "unknown.localhost", "/"),
                404,
                "unknown_host",
            ),
        ] {
            let mut client = edge.open(stage, DOMAIN, None, protocol)?;
            let response = client.send(&request)?;
            refused(&response, status, code)?;
            ensure(response.values("cache-control") == [b"no-store"], || {
                format!("{protocol:?}: expected `no-store`, found {response:?}")
            })?;
        }
    }
    Ok(())
}

/// who may read an answer from elsewhere is the origin's to say.
pub fn cors_fields_of_the_origin_are_left_alone(stage: &Stage) -> Outcome {
    const NAME: &str = "access-control-allow-origin";
    let origin = origin(stage)?;
    let edge = Shipped::start(stage, origin.address())?;
    for protocol in PROTOCOLS {
        let mut client = edge.open(stage, DOMAIN, None, protocol)?;
        for (target, expected) in [
            ("/", vec![]),
            (
                &format!("/with/{NAME}/https:app.example.com"),
                vec![&b"https:app.example.com"[..]],
            ),
        ] {
            for method in ["GET", "OPTIONS"] {
                let request = WireRequest::new(method, DOMAIN, target)
                    .header("origin", "https://app.example.com")
                    .header("access-control-request-method", "POST");
                let response = client.send(&request)?;
                forwarded(&response)?;
                let fields = response.headers.iter();
                let cors = fields.filter(|(name, _)| name.starts_with(b"access-control-"));
                let found: Vec<&[u8]> = cors.map(|(_, value)| value.as_slice()).collect();
                ensure(found == expected, || {
                    format!(
                        "{protocol:?}, {method} {target}: found {:?}",
                        response.headers
                    )
                })?;
            }
        }
    }
    Ok(())
}

/// also of an edge that serves nothing, because its configuration was refused at the start.
pub fn health_is_answered_without_the_filter_until_envoy_drains(stage: &Stage) -> Outcome {
    let origin = origin(stage)?;
    let changes = Changes {
        host: vec![("custom_domian", json!("a typing error"))],
        ..Changes::default()
    };
    let edge = Shipped::start_with(stage, origin.address(), changes)?;
    let status = |path| -> Result<u16, Box<dyn Error>> { Ok(probe(edge.health, path)?.status) };
    let mut client = edge.open(stage, DOMAIN, None, Protocol::Http1)?;
    let response = client.send(&get("/healthz"))?;
    ensure(response.status == 500 && origin.take().is_empty(), || {
        format!("an edge without a configuration answered {response:?}")
    })?;
    for (change, expected) in [
        (None, 200),
        (Some("/healthcheck/fail"), 503),
        (Some("/healthcheck/ok"), 200),
    ] {
        if let Some(change) = change {
            edge.envoy.admin_post(change)?;
        }
        let found = status("/healthz")?;
        ensure(found == expected, || {
            format!("after {change:?}: expected {expected}, found {found}")
        })?;
    }
    let elsewhere = status("/")?;
    ensure(elsewhere == 404 && origin.take().is_empty(), || {
        format!("the health listener serves something else: {elsewhere}")
    })
}

/// The two names, each with who is asking there.
pub(super) const CALLERS: [(&str, Option<&str>); 2] = [(DOMAIN, None), (ALIAS, Some("ca_client"))];
