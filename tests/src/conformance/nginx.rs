//! The built filter in the fake NGINX of [`crate::nginx`]: facts are those that NGINX would show.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use auth_edge::header::{REPLACED_BY_NAME, WRITTEN_BY_HOST_PROGRAM};
use auth_edge::wire::config_json;
use serde_json::Value;
use wasmi::Module;

use super::expect::{Answer, Outcome, compare};
use super::facts::Shows;
use super::native;
use super::outcome::is_same;
use super::vector::{self, Departure, Expect, HostName, Refuse, SECRETS, Vector};
use crate::nginx::ingress::{self, OwnAnswer, Read};
use crate::nginx::module::{Made, Request, Setup, Worker, compile};
use crate::nginx::shipped::{Shipped, field_line, variable_line};
use crate::nginx::upstream;
use crate::pki::{Identity, Pki, encode_uri_component};

/// The cipher suite of a connection of TLS 1.2, as OpenSSL names it.
pub const TLS12_SUITE: &str = "ECDHE-ECDSA-AES128-GCM-SHA256";
/// That of one of TLS 1.3.
pub const TLS13_SUITE: &str = "TLS_AES_256_GCM_SHA384";

/// What NGINX answers with when it does not forward, besides what the core decides: NGINX replaces fields by
/// name, so a field that it does not know and that must not pass refuses the request (R-4, R-5b).
pub const REFUSED_FOR_REMOVAL: [&str; 2] = ["identity_header_refused", "invalid_connection_header"];

/// The fake with the module and the shipped configuration.
pub struct Bench {
    module: Module,
    shipped: Shipped,
    workers: BTreeMap<String, Worker>,
    refused: BTreeSet<String>,
    connections: u64,
}

/// What running the vectors gave.
#[derive(Debug, Default)]
pub struct Tally {
    /// Vectors whose expectation held as it stands.
    pub agreed: u32,
    /// Vectors that were refused because a field of theirs cannot be removed.
    pub refused_for_removal: u32,
    /// Vectors of which NGINX consumes something.
    pub consumed: u32,
    /// Vectors that NGINX answers itself.
    pub answered_by_host: u32,
    /// Vectors that need what NGINX does not write: their configuration is refused, and without that they come
    /// out as the core has it.
    pub unfit: u32,
    /// Vectors that cannot be expressed.
    pub not_expressible: u32,
    /// What differed, by vector.
    pub failures: Vec<(String, String)>,
}

/// NGINX's own answer, or what it read and what the filter made of that.
type Sent = Result<(Read, Outcome), OwnAnswer>;

enum Ran {
    AsDecided,
    RefusedForRemoval,
    Consumed,
    AnsweredByHost,
    Unfit,
    NotExpressible,
}

impl Tally {
    fn counter(&mut self, ran: &Ran) -> &mut u32 {
        match ran {
            Ran::AsDecided => &mut self.agreed,
            Ran::RefusedForRemoval => &mut self.refused_for_removal,
            Ran::Consumed => &mut self.consumed,
            Ran::AnsweredByHost => &mut self.answered_by_host,
            Ran::Unfit => &mut self.unfit,
            Ran::NotExpressible => &mut self.not_expressible,
        }
    }

    /// How many vectors ran without a difference.
    pub fn passed(&self) -> u32 {
        self.agreed + self.refused_for_removal + self.consumed + self.answered_by_host + self.unfit
    }
}

impl Bench {
    /// Reads the module and the shipped configuration.
    ///
    /// # Errors
    /// When one of them is not what NGINX would take.
    pub fn new(wasm: &Path) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(wasm).map_err(|error| format!("{}: {error}", wasm.display()))?;
        Ok(Self {
            module: compile(&bytes)?,
            shipped: Shipped::read()?,
            workers: BTreeMap::new(),
            refused: BTreeSet::new(),
            connections: 0,
        })
    }

    /// Runs every vector.
    pub fn run_all(&mut self, vectors: &[Vector], pki: &Pki) -> Tally {
        let mut tally = Tally::default();
        for vector in vectors {
            match self.run(vector, pki) {
                Ok(ran) => *tally.counter(&ran) += 1,
                Err(error) => tally
                    .failures
                    .push((vector.name.clone(), error.to_string())),
            }
        }
        tally
    }

    fn run(&mut self, vector: &Vector, pki: &Pki) -> Result<Ran, Box<dyn Error>> {
        let departure = vector.hosts.get(&HostName::Nginx);
        if let Some(Departure::NotExpressible { .. }) = departure {
            return Ok(Ran::NotExpressible);
        }
        let mut text = vector.setup(pki, Shows::Verdict)?.config;
        let now = u64::try_from(pki.generated_at())?;
        let config = config_json::parse(text.as_bytes(), now, &vector::secret)?;
        let named = replaced(config.fields().map(|(_, name)| name));
        let is_unfit = config.readers_of_own_xfcc().next().is_some();
        if is_unfit {
            if !self.refuses(&text, &named)? {
                return Err("NGINX writes no such field, and the configuration is in force".into());
            }
            text = without_own_xfcc(&text)?;
            // Revocation lists of authorities that only clients show cannot be configured here at all.
            if config_json::parse(text.as_bytes(), now, &vector::secret).is_err() {
                return Ok(Ran::Unfit);
            }
        }
        let found = self.send(vector, &text, &named, pki)?;
        match (departure, found) {
            (Some(Departure::AnsweredByHost { class, .. }), Err(own)) => {
                if own.status / 100 == *class {
                    Ok(Ran::AnsweredByHost)
                } else {
                    Err(format!("expected a status of {class}xx, found {}", own.status).into())
                }
            }
            (Some(Departure::AnsweredByHost { .. }), Ok(_)) => {
                Err("the host is said to answer itself, and did not".into())
            }
            (_, Err(own)) => {
                Err(format!("answered {} by the host: {}", own.status, own.why).into())
            }
            (Some(Departure::Consumed { expect, .. }), Ok((_, found))) => {
                compare(expect, &vector.request, &found, pki)?;
                match compare(&vector.expect, &vector.request, &found, pki) {
                    Ok(()) => {
                        Err("the host is said to consume something, found all the same".into())
                    }
                    Err(_) => Ok(Ran::Consumed),
                }
            }
            (Some(Departure::NotExpressible { .. }) | None, Ok((read, found))) => {
                // What the core decides of what NGINX shows.
                let nginx = native::Nginx {
                    read: &read,
                    replaced: &named,
                    config: &text,
                };
                let decided = native::run_behind_nginx(vector, pki, &nginx)?;
                let Err(differs) = compare(&vector.expect, &vector.request, &decided, pki) else {
                    compare(&vector.expect, &vector.request, &found, pki)?;
                    return Ok(Ran::AsDecided);
                };
                let is_for_removal = |code: &&str| {
                    let refusal = Expect::Refuse(refusal(code));
                    compare(&refusal, &vector.request, &decided, pki).is_ok()
                };
                if let Some(code) = REFUSED_FOR_REMOVAL.into_iter().find(is_for_removal) {
                    let refusal = Expect::Refuse(refusal(code));
                    compare(&refusal, &vector.request, &found, pki)?;
                    return Ok(Ran::RefusedForRemoval);
                }
                // Without Envoy's field the vector does not hold; the filter still decides as the core does.
                if is_unfit && is_same(&decided, &found) {
                    return Ok(Ran::Unfit);
                }
                Err(differs)
            }
        }
    }

    /// Whether the configuration is refused for what NGINX does not write.
    fn refuses(&mut self, config: &str, named: &[String]) -> Result<bool, Box<dyn Error>> {
        if self.refused.contains(config) {
            return Ok(true);
        }
        match self.worker(config, named) {
            Ok(_) => Ok(false),
            Err(error) if error.to_string().contains("`envoy_xfcc`") => {
                self.refused.insert(config.to_owned());
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// The worker of a configuration, started unless it runs.
    fn worker(&mut self, config: &str, named: &[String]) -> Result<&mut Worker, Box<dyn Error>> {
        if !self.workers.contains_key(config) {
            let words = std::iter::once(&self.shipped.module).chain(own(named));
            let words: Vec<&str> = words.map(String::as_str).collect();
            let variable = self.shipped.filter.strip_prefix("env:");
            let variable =
                variable.ok_or("the filter's configuration is not in the environment")?;
            let secrets = SECRETS.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let kept = [(variable.to_owned(), config.to_owned())];
            let setup = Setup {
                vm_configuration: words.join(" "),
                configuration: self.shipped.filter.clone(),
                environment: kept.into_iter().chain(secrets).collect(),
            };
            let worker = Worker::start(&self.module, setup)?;
            self.workers.insert(config.to_owned(), worker);
        }
        Ok(self.workers.get_mut(config).ok_or("no worker")?)
    }

    /// What becomes of the request: NGINX's own answer, or what NGINX read and what the filter made of it.
    fn send(
        &mut self,
        vector: &Vector,
        config: &str,
        named: &[String],
        pki: &Pki,
    ) -> Result<Sent, Box<dyn Error>> {
        let identity = vector.request.certificate.as_deref();
        let identity = identity.map(|name| pki.get(name)).transpose()?;
        if identity.is_some_and(|identity| !is_whole_der(identity.leaf())) {
            return Ok(Err(OwnAnswer {
                status: 0,
                why: "OpenSSL refuses the certificate in the handshake",
            }));
        }
        let mut wire = vector.request.wire(pki)?;
        // As a client writes names in any spelling, so that one is not relied on.
        for (name, _) in &mut wire.headers {
            name.make_ascii_uppercase();
        }
        let read = match ingress::read(&wire) {
            Ok(read) => read,
            Err(own) => return Ok(Err(own)),
        };
        let mut shipped = self.shipped.clone();
        for name in own(named) {
            shipped.add(&variable_line(name));
            shipped.add(&field_line(name));
        }
        self.connections += 1;
        let request = Request {
            pseudo: vec![
                (b":path".to_vec(), path_and_query(&read)),
                (b":method".to_vec(), read.method.clone()),
                (b":scheme".to_vec(), scheme(vector).into()),
                (b":authority".to_vec(), b"login.example.com:443".to_vec()),
            ],
            fields: read.fields.clone(),
            variables: variables(vector, identity, &read, self.connections),
            changeable: shipped.variables.clone(),
            body: wire.body.clone(),
        };
        let made = self.worker(config, named)?.run(request)?;
        let outcome = match made {
            Made::Answered {
                status,
                headers,
                body,
            } => Outcome::Answered(Answer {
                status,
                headers,
                body: if read.method == b"HEAD" {
                    Vec::new()
                } else {
                    body
                },
            }),
            Made::Passed {
                elements,
                variables,
            } => Outcome::Forwarded(upstream::request(&read, &elements, &variables, &shipped)?),
        };
        Ok(Ok((read, outcome)))
    }
}

/// The configuration without what it reads of Envoy's own field: what an operator of NGINX writes instead.
fn without_own_xfcc(config: &str) -> Result<String, Box<dyn Error>> {
    let mut config: Value = serde_json::from_str(config)?;
    let hosts = config["hosts"].as_array().map_or(0, Vec::len);
    let places = (0..hosts).map(|index| format!("/hosts/{index}"));
    for place in places.chain(["/defaults".to_owned()]) {
        let policy = config.pointer_mut(&format!("{place}/client_certificates"));
        let Some(policy) = policy.and_then(Value::as_object_mut) else {
            continue;
        };
        policy.retain(|name, value| !(name == "source" && value == "envoy_xfcc"));
        if let Some(ca_signed) = policy.get_mut("ca_signed").and_then(Value::as_object_mut) {
            ca_signed.retain(|name, value| !(name == "presented_chain" && value == "envoy_xfcc"));
        }
    }
    Ok(config.to_string())
}

/// The names of all fields that NGINX replaces, with those that its operator adds for a configuration.
fn replaced<'a>(used: impl Iterator<Item = &'a str>) -> Vec<String> {
    let shipped = REPLACED_BY_NAME.iter().chain(WRITTEN_BY_HOST_PROGRAM);
    let mut names: Vec<String> = shipped.map(|name| (*name).to_owned()).collect();
    for name in used {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Those that the operator adds.
fn own(named: &[String]) -> impl Iterator<Item = &String> {
    named
        .iter()
        .skip(REPLACED_BY_NAME.len() + WRITTEN_BY_HOST_PROGRAM.len())
}

fn refusal(code: &str) -> Refuse {
    Refuse {
        code: code.into(),
        status: 400,
        error: "invalid_request".into(),
        allow: None,
        challenges: Vec::new(),
        description: None,
    }
}

fn scheme(vector: &Vector) -> &'static str {
    match vector.request.plain {
        true => "http",
        false => "https",
    }
}

/// WasmX's `:path`: the decoded path, and the query.
fn path_and_query(read: &Read) -> Vec<u8> {
    let mut path = read.uri.clone();
    if !read.args.is_empty() {
        path.push(b'?');
        path.extend_from_slice(&read.args);
    }
    path
}

fn variables(
    vector: &Vector,
    identity: Option<&Identity>,
    read: &Read,
    connection: u64,
) -> BTreeMap<String, Vec<u8>> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &[u8]| {
        variables.insert(name.to_owned(), value.to_vec());
    };
    set("request", &read.line);
    set("request_method", &read.method);
    set("request_uri", &read.unparsed_uri);
    set("uri", &read.uri);
    set("args", &read.args);
    set("connection", connection.to_string().as_bytes());
    set("remote_addr", b"127.0.0.1");
    if vector.request.plain {
        return variables;
    }
    set("https", b"on");
    let (protocol, suite) = match vector.request.tls12 {
        true => ("TLSv1.2", TLS12_SUITE),
        false => ("TLSv1.3", TLS13_SUITE),
    };
    set("ssl_protocol", protocol.as_bytes());
    set("ssl_cipher", suite.as_bytes());
    if let Some(name) = vector.request.server_name() {
        set("ssl_server_name", name.as_bytes());
    }
    let verdict = match identity {
        None => "NONE",
        Some(identity) if identity.host_verified => "SUCCESS",
        Some(_) => "FAILED:unable to verify the first certificate",
    };
    set("ssl_client_verify", verdict.as_bytes());
    if let Some(identity) = identity {
        let escaped = encode_uri_component(&identity.leaf_pem());
        set("ssl_client_escaped_cert", escaped.as_bytes());
    }
    variables
}

/// Whether the bytes are one DER sequence and nothing more: OpenSSL ends the handshake otherwise.
pub fn is_whole_der(bytes: &[u8]) -> bool {
    let length = match bytes {
        [0x30, short @ 0..=0x7f, ..] => 2 + usize::from(*short),
        [0x30, 0x81, one, ..] => 3 + usize::from(*one),
        [0x30, 0x82, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => return false,
    };
    length == bytes.len()
}
