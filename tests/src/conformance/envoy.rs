//! The built filter in a real Envoy: facts come from the handshake and the wire alone.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use super::envoy_config::{Filter, Listener, ListenerTls, ORIGIN_NAMES, bootstrap};
use super::expect::compare;
use super::facts::Shows;
use super::native::{self, Expected};
use super::outcome::{answered_by_host, outcome, passed_back};
use super::vector::{Departure, Expect, HostName, SECRETS, Setup, Vector};
use crate::origin::Origin;
use crate::pki::Pki;
use crate::process::Envoy;
use crate::tls::{TlsOptions, TlsVersions, connect};
use crate::wire::{WireRequest, WireResponse};
use crate::{http1, http2};

/// An Envoy with a listener for each configuration of the vectors.
pub struct Bench {
    envoy: Envoy,
    origin: Origin,
    shows: Shows,
    listeners: BTreeMap<Setup, SocketAddr>,
    server_ca: String,
}

/// What running the vectors against one host gave.
#[derive(Debug, Default)]
pub struct Tally {
    /// Vectors whose expectation held as it stands.
    pub agreed: u32,
    /// Vectors of which the host consumes something.
    pub consumed: u32,
    /// Vectors the host answers itself.
    pub answered_by_host: u32,
    /// Vectors that need a fact this host does not give, and were refused for it.
    pub lacking: u32,
    /// Vectors the protocol cannot express.
    pub not_expressible: u32,
    /// What differed, by vector.
    pub failures: Vec<(String, String)>,
}

/// How a vector ran that did not fail.
#[derive(Clone, Copy, Debug)]
enum Ran {
    AsDecided,
    Consumed,
    AnsweredByHost,
    Lacking,
    NotExpressible,
}

impl Tally {
    fn counter(&mut self, ran: Ran) -> &mut u32 {
        match ran {
            Ran::AsDecided => &mut self.agreed,
            Ran::Consumed => &mut self.consumed,
            Ran::AnsweredByHost => &mut self.answered_by_host,
            Ran::Lacking => &mut self.lacking,
            Ran::NotExpressible => &mut self.not_expressible,
        }
    }

    /// How many vectors ran without a difference.
    pub fn passed(&self) -> u32 {
        self.agreed + self.consumed + self.answered_by_host + self.lacking
    }
}

impl Bench {
    /// Starts the origin and an Envoy that serves every configuration of the vectors.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(
        envoy: &Path,
        wasm: &Path,
        vectors: &[Vector],
        pki: &Pki,
        shows: Shows,
    ) -> Result<Self, Box<dyn Error>> {
        let origin = Origin::start(&pki.server_identity(&ORIGIN_NAMES)?)?;
        let mut wanted: BTreeMap<Setup, String> = BTreeMap::new();
        for vector in vectors {
            let name = format!("vectors_{}", wanted.len());
            wanted.entry(vector.setup(pki, shows)?).or_insert(name);
        }
        let descriptions: Vec<Listener> = wanted
            .iter()
            .map(|(setup, name)| Listener {
                name: name.clone(),
                filter: Filter::Inline(setup.config.clone()),
                tls: if setup.plain {
                    ListenerTls::Plain
                } else {
                    ListenerTls::WithoutResumption
                },
                xfcc: setup.xfcc,
            })
            .collect();
        let server = pki.server_identity(&["*.example.test", "*.login.example.test"])?;
        let config = bootstrap(&descriptions, wasm, pki, &server, origin.address().port());
        let envoy = Envoy::start(envoy, &config.to_string(), &SECRETS)?;
        let mut listeners = BTreeMap::new();
        for (key, name) in wanted {
            listeners.insert(key, envoy.listener_address(&name)?);
        }
        Ok(Self {
            envoy,
            origin,
            shows,
            listeners,
            server_ca: pki.server_ca_pem(),
        })
    }

    /// The Envoy, for what it says of itself.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Runs every vector in one protocol.
    pub fn run_all(&self, vectors: &[Vector], host: HostName, pki: &Pki) -> Tally {
        let mut tally = Tally::default();
        for vector in vectors {
            match self.run(vector, host, pki) {
                Ok(ran) => *tally.counter(ran) += 1,
                Err(error) => tally
                    .failures
                    .push((vector.name.clone(), error.to_string())),
            }
        }
        tally
    }

    fn run(&self, vector: &Vector, host: HostName, pki: &Pki) -> Result<Ran, Box<dyn Error>> {
        let departure = vector.hosts.get(&host);
        if let Some(Departure::NotExpressible { .. }) = departure {
            return Ok(Ran::NotExpressible);
        }
        let wire = vector.request.wire(pki)?;
        self.origin.take();
        let response = self.send(vector, &wire, host, pki);
        let recorded = self.origin.take();
        match departure {
            Some(Departure::AnsweredByHost { class, .. }) => {
                answered_by_host(*class, &response, &recorded)?;
                // A departure that no longer holds is a departure to take out of the list.
                let as_decided = outcome(response, recorded)
                    .and_then(|found| compare(&vector.expect, &vector.request, &found, pki));
                match as_decided {
                    Ok(()) => {
                        Err("the host is said to answer itself, found the edge's decision".into())
                    }
                    Err(_) => Ok(Ran::AnsweredByHost),
                }
            }
            Some(Departure::Consumed { expect, .. }) => {
                let found = outcome(response, recorded)?;
                compare(expect, &vector.request, &found, pki)?;
                match compare(&vector.expect, &vector.request, &found, pki) {
                    Ok(()) => {
                        Err("the host is said to consume something, found all the same".into())
                    }
                    Err(_) => Ok(Ran::Consumed),
                }
            }
            Some(Departure::NotExpressible { .. }) | None => {
                let (expect, ran) = match native::expected(vector, pki, self.shows)? {
                    Expected::AsWritten => (vector.expect.clone(), Ran::AsDecided),
                    Expected::Lacking(expect) => (expect, Ran::Lacking),
                };
                if let (Expect::Forward(_), Ok(response)) = (&expect, &response) {
                    passed_back(response)?;
                }
                let found = outcome(response, recorded)?;
                compare(&expect, &vector.request, &found, pki)?;
                Ok(ran)
            }
        }
    }

    fn send(
        &self,
        vector: &Vector,
        wire: &WireRequest,
        host: HostName,
        pki: &Pki,
    ) -> Result<WireResponse, Box<dyn Error>> {
        let address = *self
            .listeners
            .get(&vector.setup(pki, self.shows)?)
            .ok_or("no listener for this configuration")?;
        if vector.request.plain {
            let stream = std::net::TcpStream::connect(address)?;
            return match host {
                HostName::EnvoyHttp2 => Ok(http2::Client::new(stream)?.send(wire)?),
                _ => Ok(http1::Client::new(stream).send(wire)?),
            };
        }
        let identity = vector.request.certificate.as_deref();
        let alpn: [&[u8]; 1] = match host {
            HostName::EnvoyHttp2 => [b"h2"],
            _ => [b"http/1.1"],
        };
        let mut options = TlsOptions::new(&self.server_ca, vector.request.server_name());
        options.identity = identity.map(|name| pki.get(name)).transpose()?;
        options.alpn = &alpn;
        options.versions = match vector.request.tls12 {
            true => TlsVersions::Tls12,
            false => TlsVersions::Tls13,
        };
        let stream = connect(address, &options)?;
        match host {
            HostName::EnvoyHttp2 => Ok(http2::Client::new(stream)?.send(wire)?),
            _ => Ok(http1::Client::new(stream).send(wire)?),
        }
    }
}
