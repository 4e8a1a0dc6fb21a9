//! What the built Worker does on a real workerd that no vector can say: origins that fail, streams,
//! configurations and their updates, the database, records, and whatever `request.cf` may hold.
//!
//! Each test is a function whose name is the claim. Those that need no configuration of their own share one
//! workerd.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE, ORIGIN};
use crate::hosts::{config, ensure};
use crate::http1;
use crate::origin::{Origin, Recorded};
use crate::pki::{Identity, Pki};
use crate::poll;
use crate::wire::{WireError, WireRequest, WireResponse};
use crate::workerd::cf::{Presented, Transport, cf};
use crate::workerd::wire::{Arrival, arriving};
use crate::workerd::{Log, Point, Upstream, Worker, Workerd, WorkerdError};

pub mod configuration;
pub mod database;
pub mod hostile;
pub mod origins;
pub mod records;
pub mod scripted;
pub mod startup;
pub mod streams;

pub use crate::hosts::{ALIAS, Outcome, SELF_SIGNED, SUCCESS, TOKEN, forwarded, refused, told};
pub use crate::hosts::{SOON, token_request};

/// The binding of the dataset for data points.
pub const ANALYTICS: &str = "AUTH_EDGE_ANALYTICS";
/// The binding of the configuration.
pub const CONFIG: &str = "AUTH_EDGE_CONFIG";
/// The key of the configuration in a namespace.
pub const CONFIG_KEY: &str = "config.json";
/// The binding of the database.
pub const DATABASE: &str = "AUTH_EDGE_DB";
/// The binding with the value of `strict-transport-security`.
pub const HSTS: &str = "AUTH_EDGE_HSTS";

/// The shared Worker, without what a test asks for by name.
pub const EDGE: &str = "edge";
/// The shared Worker that adds [`HSTS_VALUE`].
pub const EDGE_WITH_HSTS: &str = "edge-with-hsts";
/// What it adds.
pub const HSTS_VALUE: &str = "max-age=31536000; includeSubDomains";

/// The client's address in every request.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// How the request is refused by which a test knows that what came before it is written: no other test is.
const MARK_CODE: &str = "invalid_host";

/// How long nothing may come before a read gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the tests share.
pub struct Stage {
    /// Node.js.
    pub node: PathBuf,
    /// The folder above `node_modules` with miniflare.
    pub npm_root: PathBuf,
    /// The built Worker.
    pub folder: PathBuf,
    /// Keys and certificates.
    pub pki: Pki,
    /// The origin behind the shared Workers.
    pub origin: Origin,
    /// The workerd with [`EDGE`] and [`EDGE_WITH_HSTS`].
    pub workerd: Workerd,
}

impl Stage {
    /// Makes certificates, and starts the origin and the shared Workers.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn new(node: PathBuf, npm_root: PathBuf, folder: PathBuf) -> Result<Self, Box<dyn Error>> {
        let pki = Pki::generate()?;
        let origin = Origin::start(&pki.server_identity(&[ORIGIN])?)?;
        let edge = worker(EDGE, &pki, &folder, origin.address())?;
        let mut with_hsts = Worker {
            name: EDGE_WITH_HSTS.into(),
            ..edge.clone()
        };
        with_hsts.bindings.insert(HSTS.into(), json!(HSTS_VALUE));
        let workerd = Workerd::start(&node, &npm_root, &[edge, with_hsts])?;
        Ok(Self {
            node,
            npm_root,
            folder,
            pki,
            origin,
            workerd,
        })
    }

    /// A Worker as the shared one is, to be changed and started by [`Stage::start`].
    ///
    /// # Errors
    /// When a certificate is not there.
    pub fn worker(&self, name: &str) -> Result<Worker, Box<dyn Error>> {
        worker(name, &self.pki, &self.folder, self.origin.address())
    }

    /// Starts a workerd with these Workers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, workers: &[Worker]) -> Result<Workerd, WorkerdError> {
        Workerd::start(&self.node, &self.npm_root, workers)
    }

    /// The shared Worker of this name.
    pub fn shared<'a>(&'a self, name: &'a str) -> Edge<'a> {
        Edge::of(&self.workerd, name)
    }

    /// Who has a name: the server at this address, of the tests' authority.
    pub fn upstream(&self, name: &str, address: SocketAddr) -> Upstream {
        upstream(name, address, &self.pki)
    }

    /// `request.cf` of a connection with the certificate of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn cf(&self, identity: &str) -> Result<Value, Box<dyn Error>> {
        Ok(presenting(self.pki.get(identity)?))
    }

    /// The one request that reached the origin since this was last asked.
    ///
    /// # Errors
    /// When it is not exactly one.
    pub fn one_at_origin(&self) -> Result<Recorded, Box<dyn Error>> {
        let recorded = self.origin.take();
        let count = recorded.len();
        let mut recorded = recorded.into_iter();
        match (recorded.next(), count) {
            (Some(one), 1) => Ok(one),
            _ => Err(format!("{count} requests at the origin, expected one").into()),
        }
    }

    /// Fails when something reached the origin since it was last asked.
    ///
    /// # Errors
    /// When something did.
    pub fn nothing_at_origin(&self) -> Outcome {
        let recorded = self.origin.take();
        ensure(recorded.is_empty(), || {
            format!("expected no request at the origin, found {recorded:?}")
        })
    }
}

fn worker(
    name: &str,
    pki: &Pki,
    folder: &std::path::Path,
    origin: SocketAddr,
) -> Result<Worker, Box<dyn Error>> {
    Ok(Worker {
        name: name.into(),
        folder: folder.into(),
        bindings: BTreeMap::from([
            (CONFIG.into(), json!(config(pki)?.to_string())),
            (API_KEY_VARIABLE.into(), json!(API_KEY)),
        ]),
        analytics: vec![ANALYTICS.into()],
        origins: vec![upstream(ORIGIN, origin, pki)],
        ..Worker::default()
    })
}

fn upstream(name: &str, address: SocketAddr, pki: &Pki) -> Upstream {
    Upstream {
        name: name.into(),
        address,
        trust: pki.server_ca_pem(),
    }
}

/// `request.cf` of a connection with TLS 1.3 and without a client certificate.
pub fn no_certificate() -> Value {
    cf(Transport::tls13(None))
}

/// `request.cf` of a connection with TLS 1.3 and this certificate.
pub fn presenting(identity: &Identity) -> Value {
    cf(Transport::tls13(Some(Presented::by(identity))))
}

/// `request.cf` of a connection without TLS.
pub fn plain() -> Value {
    cf(Transport::Plain)
}

/// A Worker that takes requests.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    /// Where it runs.
    pub workerd: &'a Workerd,
    name: &'a str,
    /// What a Worker with a clock that is told takes for the time, in seconds since 1970.
    seconds: Option<u64>,
}

impl<'a> Edge<'a> {
    /// The Worker of this name.
    pub fn of(workerd: &'a Workerd, name: &'a str) -> Self {
        Self {
            workerd,
            name,
            seconds: None,
        }
    }

    /// The same Worker, which is told this time with every request, in seconds since 1970.
    #[must_use]
    pub fn at(mut self, seconds: u64) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Opens a connection to it.
    ///
    /// # Errors
    /// When there is no such Worker, or no connection.
    pub fn open(&self) -> Result<TcpStream, Box<dyn Error>> {
        let stream = TcpStream::connect(self.workerd.address(self.name)?)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a request on a connection of its own, with this `request.cf`, and gives what came of it.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn try_ask(
        &self,
        request: &WireRequest,
        cf: &Value,
    ) -> Result<Result<WireResponse, WireError>, Box<dyn Error>> {
        let mut cf = cf.clone();
        if let Some(seconds) = self.seconds {
            cf["testTime"] = json!(seconds * 1000);
        }
        Ok(http1::Client::new(self.open()?).send(&arrived(request, &cf)))
    }

    /// Like [`Edge::try_ask`], for a request that is answered.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, request: &WireRequest, cf: &Value) -> Result<WireResponse, Box<dyn Error>> {
        Ok(self.try_ask(request, cf)??)
    }

    /// What is written from here on, by a Worker that nobody has asked anything yet.
    ///
    /// # Errors
    /// When the host of workerd is gone.
    pub fn written_from_its_first_request(&self) -> Result<Written<'a>, Box<dyn Error>> {
        Ok(Written {
            edge: *self,
            logs: self.workerd.logs(0)?.len(),
            points: self.workerd.points(0)?.len(),
        })
    }

    /// What is written from here on.
    ///
    /// # Errors
    /// When the host of workerd is gone.
    pub fn written(&self) -> Result<Written<'a>, Box<dyn Error>> {
        // Whatever was answered before has left its lines by then.
        let marked = self.mark()?;
        let start = poll::until(SOON, || {
            let logs = self.workerd.logs(0).ok()?;
            let last = logs.iter().position(|log| log.message.contains(&marked))?;
            Some(last + 1)
        });
        Ok(Written {
            edge: *self,
            logs: start.ok_or("a refusal left no log line")?,
            points: self.workerd.points(0)?.len(),
        })
    }

    /// Is refused; gives the request id.
    fn mark(&self) -> Result<String, Box<dyn Error>> {
        let request = WireRequest::new("GET", "mark", "/");
        let response = self.ask(&request, &no_certificate())?;
        let body: Value = serde_json::from_slice(&response.body)?;
        let id = body["request_id"].as_str();
        Ok(id.ok_or("a refusal has no request id")?.to_owned())
    }
}

/// The request as it goes to the Worker's own socket.
pub fn arrived(request: &WireRequest, cf: &Value) -> WireRequest {
    let client = CLIENT.into();
    arriving(request, &Arrival { cf, client })
}

/// What a Worker has written since a moment.
#[derive(Debug)]
pub struct Written<'a> {
    edge: Edge<'a>,
    logs: usize,
    points: usize,
}

impl Written<'_> {
    /// The lines and points up to now, but for those of the request that this sends to know when all have come.
    ///
    /// # Errors
    /// When they do not come.
    pub fn all(&self) -> Result<(Vec<Log>, Vec<Point>), Box<dyn Error>> {
        let mark = self.edge.mark()?;
        let logs = poll::until(SOON, || {
            let mut logs = self.edge.workerd.logs(self.logs).ok()?;
            let end = logs.iter().position(|log| log.message.contains(&mark))?;
            logs.truncate(end);
            Some(logs)
        });
        let mut points = self.edge.workerd.points(self.points)?;
        let is_of_mark = |point: &Point| point.point["blobs"][1] == MARK_CODE;
        points.retain(|point| !is_of_mark(point));
        Ok((logs.ok_or("a refusal left no log line")?, points))
    }

    /// The lines of refusals and of what is only watched, as JSON.
    ///
    /// # Errors
    /// When something else was written, or is no JSON.
    pub fn lines(&self) -> Result<Vec<Value>, Box<dyn Error>> {
        let (logs, _) = self.all()?;
        let lines = logs.iter().map(|log| {
            let line = serde_json::from_str(&log.message);
            line.map_err(|why| format!("{why}: {log:?}").into())
        });
        lines.collect()
    }
}
