//! The built Worker on a real workerd: `request.cf` is as Cloudflare would give it for the connection of a vector.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use serde_json::Value;

use super::envoy_config::ORIGIN_NAMES;
use super::expect::{Outcome, compare};
use super::native;
use super::outcome::{self, answered_by_host, is_same, passed_back};
use super::vector::{Departure, Expect, HostName, ORIGIN, SECRETS, Vector};
use crate::http1;
use crate::origin::{Origin, Recorded};
use crate::pki::Pki;
use crate::wire::{Fields, WireRequest, WireResponse};
use crate::workerd::cf::{Presented, Transport, cf};
use crate::workerd::wire::{Arrival, arriving};
use crate::workerd::{Upstream as Reached, Worker, Workerd};

/// The binding that holds the configuration.
const CONFIG: &str = "AUTH_EDGE_CONFIG";

/// What is refused for its TLS server name.
const MISDIRECTED: &str = "misdirected_request";

/// A workerd with a Worker for each configuration of the vectors.
pub struct Bench {
    workerd: Workerd,
    origin: Origin,
    /// The name of the Worker with a configuration.
    workers: BTreeMap<String, String>,
}

/// What running the vectors gave.
#[derive(Debug, Default)]
pub struct Tally {
    /// Vectors whose expectation held as it stands.
    pub agreed: u32,
    /// Vectors that expect a refusal for the TLS server name, which Cloudflare does not tell.
    pub unnamed: u32,
    /// Vectors of a field that only Envoy writes: their configuration is refused, and they come out as the core
    /// decides of what Cloudflare tells.
    pub unfit: u32,
    /// Vectors of which workerd consumes something.
    pub consumed: u32,
    /// Vectors that workerd answers itself.
    pub answered_by_host: u32,
    /// Vectors that cannot be expressed.
    pub not_expressible: u32,
    /// What differed, by vector.
    pub failures: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ran {
    AsDecided,
    Unnamed,
    Unfit,
    Consumed,
    AnsweredByHost,
    NotExpressible,
}

impl Tally {
    fn count(&mut self, ran: Ran) {
        let counter = match ran {
            Ran::AsDecided => &mut self.agreed,
            Ran::Unnamed => &mut self.unnamed,
            Ran::Unfit => &mut self.unfit,
            Ran::Consumed => &mut self.consumed,
            Ran::AnsweredByHost => &mut self.answered_by_host,
            Ran::NotExpressible => &mut self.not_expressible,
        };
        *counter += 1;
    }

    /// How many vectors ran without a difference.
    pub fn passed(&self) -> u32 {
        self.agreed + self.unnamed + self.unfit + self.consumed + self.answered_by_host
    }
}

impl Bench {
    /// Starts the origin, and a Worker for every configuration of the vectors.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(
        node: &Path,
        npm_root: &Path,
        folder: &Path,
        vectors: &[Vector],
        pki: &Pki,
    ) -> Result<Self, Box<dyn Error>> {
        let origin = Origin::start(&pki.server_identity(&ORIGIN_NAMES)?)?;
        let mut configs = BTreeSet::new();
        for vector in vectors {
            let configured = native::behind_cloudflare(vector, pki)?;
            configs.insert(configured.config);
        }
        let workers: BTreeMap<String, String> = configs
            .into_iter()
            .enumerate()
            .map(|(index, config)| (config, format!("edge-{index}")))
            .collect();
        let secrets = SECRETS.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let descriptions: Vec<Worker> = workers
            .iter()
            .map(|(config, name)| Worker {
                name: name.clone(),
                folder: folder.to_owned(),
                bindings: secrets
                    .iter()
                    .cloned()
                    .chain([(CONFIG.to_owned(), Value::from(config.as_str()))])
                    .collect(),
                origins: vec![Reached {
                    name: ORIGIN.into(),
                    address: origin.address(),
                    trust: pki.server_ca_pem(),
                }],
                ..Worker::default()
            })
            .collect();
        Ok(Self {
            workerd: Workerd::start(node, npm_root, &descriptions)?,
            origin,
            workers,
        })
    }

    /// Runs every vector.
    pub fn run_all(&self, vectors: &[Vector], pki: &Pki) -> Tally {
        let mut tally = Tally::default();
        for vector in vectors {
            match self.run(vector, pki) {
                Ok(ran) => tally.count(ran),
                Err(error) => tally
                    .failures
                    .push((vector.name.clone(), error.to_string())),
            }
        }
        tally
    }

    fn run(&self, vector: &Vector, pki: &Pki) -> Result<Ran, Box<dyn Error>> {
        let departure = vector.hosts.get(&HostName::Workerd);
        if let Some(Departure::NotExpressible { .. }) = departure {
            return Ok(Ran::NotExpressible);
        }
        let shown = native::behind_cloudflare(vector, pki)?;
        self.origin.take();
        let response = self.send(vector, &shown.config, pki);
        let recorded = self.origin.take();
        if let Some(Departure::AnsweredByHost { class, .. }) = departure {
            answered_by_host(*class, &response, &recorded)?;
            let as_decided = outcome(response, recorded, &vector.request.wire(pki)?)
                .and_then(|found| compare(&vector.expect, &vector.request, &found, pki));
            return match as_decided {
                Ok(()) => {
                    Err("the host is said to answer itself, found the edge's decision".into())
                }
                Err(_) => Ok(Ran::AnsweredByHost),
            };
        }
        let found = outcome(response, recorded, &vector.request.wire(pki)?)?;
        let as_expected = compare(&vector.expect, &vector.request, &found, pki);
        if let Some(Departure::Consumed { expect, .. }) = departure {
            compare(expect, &vector.request, &found, pki)?;
            return match as_expected {
                Ok(()) => Err("the host is said to consume something, found all the same".into()),
                Err(_) => Ok(Ran::Consumed),
            };
        }
        let Err(differs) = as_expected else {
            return Ok(Ran::AsDecided);
        };
        // What the core decides of what Cloudflare tells.
        let decided = native::run_behind_cloudflare(vector, pki, &shown)?;
        if !is_same(&decided, &found) {
            return Err(differs);
        }
        match (&vector.expect, shown.reads_own_xfcc) {
            (Expect::Refuse(refuse), _) if refuse.code == MISDIRECTED => Ok(Ran::Unnamed),
            (Expect::Forward(forward), _) if forward.shadow.as_deref() == Some(MISDIRECTED) => {
                Ok(Ran::Unnamed)
            }
            (_, true) => Ok(Ran::Unfit),
            _ => Err(differs),
        }
    }

    fn send(
        &self,
        vector: &Vector,
        config: &str,
        pki: &Pki,
    ) -> Result<WireResponse, Box<dyn Error>> {
        let name = self.workers.get(config);
        let address = self
            .workerd
            .address(name.ok_or("no Worker has this configuration")?)?;
        let identity = vector.request.certificate.as_deref();
        let identity = identity.map(|name| pki.get(name)).transpose()?;
        let presented = identity.map(Presented::by);
        let transport = match (vector.request.plain, vector.request.tls12) {
            (true, _) => Transport::Plain,
            (false, false) => Transport::tls13(presented),
            (false, true) => Transport::Tls {
                version: "TLSv1.2",
                cipher: "ECDHE-ECDSA-AES128-GCM-SHA256",
                presented,
            },
        };
        let cf = cf(transport);
        let arrival = Arrival {
            cf: &cf,
            client: Ipv4Addr::LOCALHOST.into(),
        };
        let wire = arriving(&vector.request.wire(pki)?, &arrival);
        Ok(http1::Client::new(TcpStream::connect(address)?).send(&wire)?)
    }
}

/// With `cache: "no-store"` a fetch adds both fields unless the request has them (Fetch standard, HTTP-network-or-cache
/// fetch, step 8.17).
fn without_no_cache(headers: &Fields, sent: &WireRequest) -> Result<Fields, Box<dyn Error>> {
    let mut headers = headers.clone();
    for name in ["cache-control", "pragma"] {
        let is_named =
            |(other, _): &(Vec<u8>, Vec<u8>)| other.eq_ignore_ascii_case(name.as_bytes());
        if sent.headers.iter().any(is_named) {
            continue;
        }
        let added = headers.iter().filter(|field| is_named(field));
        let added: Vec<&[u8]> = added.map(|(_, value)| value.as_slice()).collect();
        if added != [b"no-cache"] {
            return Err(
                format!("expected one `{name}: no-cache` of workerd's own at the origin").into(),
            );
        }
        headers.retain(|field| !is_named(field));
    }
    Ok(headers)
}

/// What became of the request, without what workerd's `fetch` adds when nothing may be cached.
fn outcome(
    response: Result<WireResponse, Box<dyn Error>>,
    recorded: Vec<Recorded>,
    sent: &WireRequest,
) -> Result<Outcome, Box<dyn Error>> {
    let response = match recorded.as_slice() {
        [_] => {
            let response = response?;
            passed_back(&response)?;
            Ok(response)
        }
        _ => response,
    };
    let mut outcome = outcome::outcome(response, recorded)?;
    if let Outcome::Forwarded(upstream) = &mut outcome {
        upstream.headers = without_no_cache(&upstream.headers, sent)?;
    }
    Ok(outcome)
}
