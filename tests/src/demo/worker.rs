//! The edge as a Worker on a real workerd, behind a stand-in for Cloudflare's own edge.
//!
//! The stand-in ends TLS, so what only Cloudflare does is not shown: which names have TLS at all, HTTP/2, and keys that
//! its TLS library has no signatures of. A Worker is not told the TLS server name.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::attempt::{Patience, once_in_force};
use super::audit::Audit;
use super::changes::{self, Replacement, Verdict};
use super::stage::{Ground, Stage};
use super::table::Row;
use super::{ALIAS, DOMAIN, ORIGIN, progress};
use crate::http1;
use crate::pki::Pki;
use crate::shipped::API_KEY_VARIABLE;
use crate::tls::{TlsOptions, connect};
use crate::wire::{WireRequest, WireResponse};
use crate::workerd::front::Front;
use crate::workerd::{Upstream, Worker, Workerd};

/// The file in the demo's folder that holds the configuration; what is saved there is put into KV.
pub(super) const CONFIG_FILE: &str = "auth-edge.json";

/// The Worker that the demo is about.
const EDGE: &str = "edge";
/// The KV namespace with the configuration, and its key there.
const NAMESPACE: &str = "AUTH_EDGE_CONFIG";
const KEY: &str = "config.json";
/// The variable whose value is taken from the configuration that is shipped.
const HSTS: &str = "AUTH_EDGE_HSTS";
const WRANGLER_TOML: &str = include_str!("../../../wrangler.toml");

/// How often a Worker reads its configuration.
const PERIOD: Duration = Duration::from_secs(60);
/// It reads it with the first request after that, and the next one is judged by it.
const RELOAD: Patience = Patience {
    limit: Duration::from_secs(90),
    pause: Duration::from_secs(1),
};
const CLIENT_LIMIT: Duration = Duration::from_secs(10);

/// What runs a Worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Programs<'a> {
    /// Node.js.
    pub(super) node: &'a Path,
    /// The folder whose `node_modules` has miniflare.
    pub(super) npm_root: &'a Path,
}

/// Running Workers, each behind its own stand-in. What is dropped first stands first.
pub(super) struct InWorker {
    front: Front,
    /// Workers whose configurations are replaced, by name.
    others: BTreeMap<&'static str, Front>,
    workerd: Workerd,
    directory: TempDir,
    /// When the configurations of the others were first read.
    read_at: Instant,
    /// How much of the log has been shown.
    shown: usize,
    /// The configuration as it was put into KV.
    put: String,
}

impl InWorker {
    /// Starts everything; the stand-in serves on `listener`.
    pub(super) fn start(
        directory: TempDir,
        folder: &Path,
        programs: Programs<'_>,
        listener: TcpListener,
        ground: &Ground<'_>,
    ) -> Result<Self, Box<dyn Error>> {
        let config = serde_json::to_string_pretty(ground.config)?;
        fs::write(directory.path().join(CONFIG_FILE), &config)?;
        let replacements = changes::replacements(ground.pki, ground.config)?;
        let hsts = shipped_value(HSTS)?;
        let worker = |name: &str, config: String| Worker {
            name: name.to_owned(),
            folder: folder.to_owned(),
            bindings: [(API_KEY_VARIABLE, ground.api_key), (HSTS, hsts)]
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .into(),
            kv: [(NAMESPACE.to_owned(), [(KEY.to_owned(), config)].into())].into(),
            origins: vec![Upstream {
                name: ORIGIN.to_owned(),
                address: ground.origin,
                trust: ground.pki.server_ca_pem(),
            }],
            ..Worker::default()
        };
        let others = replacements
            .iter()
            .map(|it| worker(it.name, it.before.to_string()));
        let workers: Vec<Worker> = [worker(EDGE, config.clone())]
            .into_iter()
            .chain(others)
            .collect();
        let workerd = Workerd::start(programs.node, programs.npm_root, &workers)?;
        let server = ground.pki.server_identity(&[DOMAIN, ALIAS])?;
        let known = ground.pki.identities();
        let front = Front::start_on(listener, &server, known, workerd.address(EDGE)?)?;
        let mut others = BTreeMap::new();
        for Replacement { name, after, .. } in &replacements {
            let front = Front::start(&server, known, workerd.address(name)?)?;
            // It reads its configuration, and not again for a while.
            without_certificate(front.https(), ground.pki)?;
            workerd.put(name, NAMESPACE, KEY, &after.to_string())?;
            others.insert(*name, front);
        }
        Ok(Self {
            front,
            others,
            workerd,
            directory,
            read_at: Instant::now(),
            shown: 0,
            put: config,
        })
    }

    /// The folder with the demo's files; that of workerd is another one.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where plain HTTP is spoken.
    pub(super) fn http(&self) -> SocketAddr {
        self.front.http()
    }

    /// What was logged so far is not shown by [`Self::look_after`].
    pub(super) fn pass_over_log(&mut self) -> Result<(), Box<dyn Error>> {
        self.shown += self.workerd.logs(self.shown)?.len();
        Ok(())
    }

    /// Shows what the Workers have written to their consoles, and puts a changed configuration into KV; fails when
    /// workerd has ended.
    pub(super) fn look_after(&mut self) -> Result<(), Box<dyn Error>> {
        let logs = self.workerd.logs(self.shown)?;
        self.shown += logs.len();
        for log in logs {
            println!("[{}] {}", log.level, log.message);
        }
        // It is not there for a moment while some editors save it.
        let file = fs::read_to_string(self.directory.path().join(CONFIG_FILE));
        if let Ok(config) = file
            && config != self.put
        {
            self.workerd.put(EDGE, NAMESPACE, KEY, &config)?;
            println!("{CONFIG_FILE} is put into KV; the Worker reads it within a minute");
            self.put = config;
        }
        Ok(())
    }

    /// Each change has a Worker of its own, so that all of them take one minute and not one each.
    pub(super) fn replaced(
        &self,
        stage: &Stage,
        audit: &mut Audit,
    ) -> Result<Vec<Row>, Box<dyn Error>> {
        let left = PERIOD.saturating_sub(self.read_at.elapsed());
        progress(&format!(
            "waiting until the Workers read their configurations again, once a minute ({} s)",
            left.as_secs()
        ));
        let mut rows = Vec::new();
        for change in changes::of(stage)? {
            let front = self.others.get(change.replacement.name);
            let front = front.ok_or("a worker is missing")?;
            let attempt = change.attempt.at(front.https());
            rows.push(match change.verdict {
                Verdict::Taken => once_in_force(&attempt, stage, audit, RELOAD)?,
                Verdict::Refused => {
                    let is_refused = self.is_refused(front.https(), stage)?;
                    let mut row = attempt.run(stage, audit)?;
                    if !is_refused {
                        row.faults
                            .push("the Worker did not say that it refuses the new one".to_owned());
                    }
                    row
                }
            });
        }
        Ok(rows)
    }

    /// Makes requests until the Worker has said that its configuration stays.
    fn is_refused(&self, address: SocketAddr, stage: &Stage) -> Result<bool, Box<dyn Error>> {
        let deadline = Instant::now() + RELOAD.limit;
        loop {
            without_certificate(address, &stage.pki)?;
            let logs = self.workerd.logs(0)?;
            let stays = |text: &str| text.contains("the configuration stays as it was");
            if logs.iter().any(|log| stays(&log.message)) {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
            thread::sleep(RELOAD.pause);
        }
    }

    /// What no listener of the Envoy demo takes at all.
    pub(super) fn plain_http(&self, audit: &mut Audit) -> Result<Row, Box<dyn Error>> {
        let mut row = Row::new("plain HTTP", "POST mtls /oauth/token", "no answer");
        let stream = TcpStream::connect_timeout(&self.http(), CLIENT_LIMIT)?;
        stream.set_read_timeout(Some(CLIENT_LIMIT))?;
        let request = WireRequest::new("POST", ALIAS, "/oauth/token").body("");
        let response = http1::Client::new(stream).send(&request)?;
        row.status = Some(response.status);
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = body["edge_code"].as_str().unwrap_or_default();
        row.decision = format!("refused {code}");
        if (code, response.status) != ("https_required", 403) || !audit.take()?.is_empty() {
            row.faults.push(
                "expected a refusal https_required with status 403, and nothing at the origin"
                    .to_owned(),
            );
        }
        // RFC 6797 section 7.2.
        if !response.values("strict-transport-security").is_empty() {
            row.faults
                .push("expected no strict-transport-security".to_owned());
        }
        Ok(row)
    }

    /// The API key stands nowhere an operator or a log collector would look.
    pub(super) fn secret(&self, api_key: &str) -> Result<Row, Box<dyn Error>> {
        let mut row = Row::new("no API key in a log, a command line, a file", "-", "-");
        let logs = self.workerd.logs(0)?;
        let logs = logs.into_iter().map(|log| log.message).collect();
        let command_lines = self.workerd.command_lines()?;
        let files = files(self.workerd.directory())?;
        // The second text proves that there is something to be looked at.
        for (place, texts, proof) in [
            ("the log", logs, "certificate_expired"),
            ("a command line", command_lines, "workerd serve"),
            ("a file", files, "custom_domain"),
        ] {
            let stands = |text: &str| texts.iter().any(|it: &String| it.contains(text));
            if stands(api_key) {
                row.faults.push(format!("the api key stands in {place}"));
            }
            if !stands(proof) {
                row.faults.push(format!(
                    "`{proof}` does not stand in {place}, so it proves nothing"
                ));
            }
        }
        Ok(row)
    }
}

/// The value of a variable in `wrangler.toml`, where it may be commented out.
fn shipped_value(name: &str) -> Result<&'static str, String> {
    let of_line = |line: &'static str| {
        let line = line.trim_start_matches("# ").strip_prefix(name)?;
        line.strip_prefix(" = \"")?.strip_suffix('"')
    };
    WRANGLER_TOML
        .lines()
        .find_map(of_line)
        .ok_or_else(|| format!("wrangler.toml has no `{name}`"))
}

/// A request that is refused without the origin.
fn without_certificate(address: SocketAddr, pki: &Pki) -> Result<WireResponse, Box<dyn Error>> {
    let server_ca = pki.server_ca_pem();
    let stream = connect(address, &TlsOptions::new(&server_ca, Some(ALIAS)))?;
    let request = WireRequest::new("GET", ALIAS, "/userinfo");
    Ok(http1::Client::new(stream).send(&request)?)
}

/// The contents of all files below a folder, links not followed.
fn files(folder: &Path) -> io::Result<Vec<String>> {
    let mut contents = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            contents.extend(files(&entry.path())?);
        } else if kind.is_file() {
            match fs::read(entry.path()) {
                Ok(bytes) => contents.push(String::from_utf8_lossy(&bytes).into_owned()),
                // A database removes some of its files when it likes.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(contents)
}
