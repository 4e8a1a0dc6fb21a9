//! What `cargo xtask bench worker` measures in workerd.
//!
//! All Workers run in one workerd and take turns; shown is the processor time of its process, as the scheduler
//! counts it. Requests come over plain connections on loopback and go to a plain origin in this process, since
//! TLS is Cloudflare's on both sides, and no part of what a Worker costs.

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::origin::Origin;
use super::median;
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE, ORIGIN};
use crate::hosts::{ALIAS, DOMAIN, OTHER_ALIAS, Outcome, TOKEN, config};
use crate::http1::{self, encode};
use crate::pki::{
    Identity, Pki, distinguished_name, encode_uri_component, thumbprint_base64url, thumbprint_hex,
};
use crate::process::cpu_time;
use crate::wire::{WireRequest, WireResponse};
use crate::workerd::cf::{Presented, Transport, cf};
use crate::workerd::wire::{Arrival, arriving};
use crate::workerd::{Upstream, Worker, Workerd};

mod origin;
pub mod requests;
pub mod verification;

/// The edge.
pub const EDGE: &str = "Auth Edge";
/// JavaScript that only forwards.
pub const PASSTHROUGH: &str = "pass-through";
/// The same job in JavaScript, written plainly.
pub const STRAIGHTFORWARD: &str = "straightforward";
/// The same job in JavaScript that spares every step.
pub const LEAN: &str = "lean";
/// Rust that only forwards.
pub const FORWARD_ONLY: &str = "Rust, forward only";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where clients come from.
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// What the peers in JavaScript share.
const FAMILIES: (&str, &str) = (
    "families.mjs",
    include_str!("../../../peers/worker/families.mjs"),
);
/// The peers in JavaScript.
const SCRIPTS: [(&str, &str); 3] = [
    (
        PASSTHROUGH,
        include_str!("../../../peers/worker/passthrough.mjs"),
    ),
    (
        STRAIGHTFORWARD,
        include_str!("../../../peers/worker/straightforward.mjs"),
    ),
    (LEAN, include_str!("../../../peers/worker/lean.mjs")),
];

/// What is run, and where it lies.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Node.js.
    pub node: PathBuf,
    /// The folder whose `node_modules` has miniflare.
    pub npm_root: PathBuf,
    /// The built edge.
    pub edge: PathBuf,
    /// The built Worker that only forwards; it is left out without one.
    pub forward_only: Option<PathBuf>,
    /// Other builds of the edge to compare, and what to call them.
    pub others: Vec<(String, PathBuf)>,
}

/// How much of the job a peer does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Job {
    /// It forwards.
    Forward,
    /// It decides too.
    Decide,
}

/// A Worker that is measured.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What it is called, here and in workerd.
    pub name: String,
    /// What it does.
    pub job: Job,
}

/// The Workers, the origin behind them, and the certificates of the clients.
#[derive(Debug)]
pub struct Stage {
    /// Keys and certificates.
    pub pki: Pki,
    workerd: Workerd,
    pid: u32,
    origin: Origin,
    _scripts: TempDir,
}

impl Stage {
    /// Starts the peers.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(programs: &Programs) -> Result<(Self, Vec<Peer>), Box<dyn Error>> {
        let pki = Pki::generate()?;
        let scripts = tempfile::tempdir()?;
        let mut workers = Vec::new();
        let mut peers = Vec::new();
        let mut add = |name: &str, job, folder: &Path, bindings: Value| {
            peers.push(Peer {
                name: name.to_owned(),
                job,
            });
            workers.push((name.to_owned(), folder.to_owned(), bindings));
        };
        for (name, text) in SCRIPTS {
            let folder = scripts.path().join(name);
            fs::create_dir(&folder)?;
            fs::write(folder.join("index.js"), text)?;
            fs::write(folder.join(FAMILIES.0), FAMILIES.1)?;
            let job = if name == PASSTHROUGH {
                Job::Forward
            } else {
                Job::Decide
            };
            let bindings = json!({ "SETTINGS": settings(&pki)?, API_KEY_VARIABLE: API_KEY });
            add(name, job, &folder, bindings);
        }
        if let Some(folder) = &programs.forward_only {
            add(
                FORWARD_ONLY,
                Job::Forward,
                folder,
                json!({ "ORIGIN": ORIGIN }),
            );
        }
        let bindings = json!({ "AUTH_EDGE_CONFIG": config(&pki)?, API_KEY_VARIABLE: API_KEY });
        add(EDGE, Job::Decide, &programs.edge, bindings.clone());
        for (name, folder) in &programs.others {
            let job = match name.starts_with('~') {
                true => Job::Forward,
                false => Job::Decide,
            };
            add(name, job, folder, bindings.clone());
        }
        Ok((Self::with(programs, pki, scripts, workers)?, peers))
    }

    /// Starts Workers, each given by its name, its folder and its bindings.
    fn with(
        programs: &Programs,
        pki: Pki,
        scripts: TempDir,
        workers: Vec<(String, PathBuf, Value)>,
    ) -> Result<Self, Box<dyn Error>> {
        let origin = Origin::start()?;
        let upstream = Upstream {
            name: ORIGIN.to_owned(),
            address: origin.address,
            trust: String::new(),
        };
        let worker = |(name, folder, bindings)| -> Result<Worker, serde_json::Error> {
            Ok(Worker {
                name,
                folder,
                bindings: serde_json::from_value(bindings)?,
                origins: vec![upstream.clone()],
                ..Worker::default()
            })
        };
        let workers: Vec<Worker> = workers.into_iter().map(worker).collect::<Result<_, _>>()?;
        let workerd = Workerd::start(&programs.node, &programs.npm_root, &workers)?;
        Ok(Self {
            pki,
            pid: workerd.workerd_pid()?,
            workerd,
            origin,
            _scripts: scripts,
        })
    }

    /// The processor time of workerd.
    fn cpu_time(&self) -> Result<Duration, Box<dyn Error>> {
        Ok(cpu_time(self.pid)?)
    }

    fn address(&self, worker: &str) -> Result<SocketAddr, Box<dyn Error>> {
        Ok(self.workerd.address(worker)?)
    }
}

/// What the peers in JavaScript know.
fn settings(pki: &Pki) -> Result<Value, Box<dyn Error>> {
    let registered = ["self_signed", "self_signed_p384"].map(|name| pki.get(name));
    let leaves = registered
        .into_iter()
        .map(|identity| identity.map(Identity::leaf));
    let leaves: Vec<&[u8]> = leaves.collect::<Result<_, _>>()?;
    let each = |text: fn(&[u8]) -> String| -> Vec<String> {
        leaves.iter().map(|leaf| text(leaf)).collect()
    };
    Ok(json!({
        "hosts": {
            DOMAIN: {}, "other.example.test": {}, ALIAS: { "mtls": true }, OTHER_ALIAS: { "mtls": true },
        },
        "origin": ORIGIN,
        "paths": [TOKEN, "/oauth/par", "/userinfo"],
        "registered": each(thumbprint_base64url),
        "fingerprints": each(thumbprint_hex),
    }))
}

/// A request as Cloudflare would hand it to a Worker.
fn arrived(request: &WireRequest, identity: Option<&Identity>) -> WireRequest {
    let presented = identity.map(Presented::by);
    arriving(
        request,
        &Arrival {
            cf: &cf(Transport::tls13(presented)),
            client: CLIENT.into(),
        },
    )
}

/// A client on one connection.
struct Client(http1::Client<TcpStream>);

impl Client {
    fn open(address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(http1::Client::new(stream)))
    }

    fn write(&self, bytes: &[u8]) -> Outcome {
        use std::io::Write as _;
        let mut stream = self.0.stream();
        Ok(stream.write_all(bytes)?)
    }

    /// Reads the answer to what was written.
    fn read(&mut self, method: &[u8]) -> Result<WireResponse, Box<dyn Error>> {
        Ok(self.0.send_raw(b"", method)?)
    }

    fn send(&mut self, request: &WireRequest) -> Result<WireResponse, Box<dyn Error>> {
        Ok(self.0.send(request)?)
    }
}
