//! Workers on a real workerd, and what stands for Cloudflare's own edge in front of them.
//!
//! `tests/worker/host.mjs` runs in Node.js and holds miniflare, which starts workerd; it is spoken to by lines
//! of JSON. Each Worker has a socket of its own on loopback, on which it gets exactly what is written there.
//! Nothing of it leaves the machine, and all files are in one folder that is removed with it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::poll;
use crate::process::{ProcessError, Watch};

pub mod cf;
pub mod front;
pub mod relay;
pub mod wire;

/// How long all Workers may take to start; two hundred take some fifteen seconds on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long any other command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// How long the programs may take to end after they were asked to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What runs in Node.js, taken over as it is.
const PROGRAMS: [(&str, &str); 2] = [
    ("host.mjs", include_str!("../../worker/host.mjs")),
    ("analytics.mjs", include_str!("../../worker/analytics.mjs")),
];
const LOG: &str = "host.log";

/// A Worker to start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Worker {
    /// What it is called here; no two may have the same name.
    pub name: String,
    /// The folder of the built Worker: `index.js`, and the Wasm beside it.
    pub folder: PathBuf,
    /// Variables and secrets: a text is given as a text, anything else as JSON.
    pub bindings: BTreeMap<String, Value>,
    /// KV namespaces with their first entries. Each Worker has its own, whatever the names.
    pub kv: BTreeMap<String, BTreeMap<String, String>>,
    /// D1 databases with the SQL to run before the first request.
    pub d1: BTreeMap<String, Vec<String>>,
    /// Analytics Engine datasets: a stand-in that tells what was written, see `Workerd::points`.
    pub analytics: Vec<String>,
    /// Whom the Worker reaches; any other name is answered 530, as Cloudflare does.
    pub origins: Vec<Upstream>,
    /// What it takes for the time.
    pub clock: Clock,
}

/// What a Worker takes for the time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The time.
    #[default]
    Real,
    /// What the member `testTime` of `request.cf` said last, in milliseconds since 1970: so a test need not wait.
    Told,
}

/// Who has a name, in place of DNS.
#[derive(Clone, Debug, Serialize)]
pub struct Upstream {
    /// The authority that the Worker fetches from, and the name its certificate must have.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority its certificate must come from, in PEM; empty when it speaks plain HTTP.
    pub trust: String,
}

/// What a Worker wrote to its console.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Log {
    /// `log`, `info`, `warn`, `error` or `debug`.
    pub level: String,
    /// What was written, which may have several lines.
    pub message: String,
}

/// A data point as it was written.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Point {
    /// The name of the Worker's binding.
    pub dataset: String,
    /// The point: `indexes`, `blobs`, `doubles`.
    pub point: Value,
}

/// Why workerd is not there or does not do as told.
#[derive(Debug)]
pub enum WorkerdError {
    /// A file or a program could not be used.
    Io(&'static str, io::Error),
    /// Its files could not be watched over.
    Watch(ProcessError),
    /// The program in Node.js ended, or gave no answer in time.
    Silent {
        /// What it wrote to standard error.
        log: String,
    },
    /// It refused a command: what it said.
    Refused(String),
}

impl WorkerdError {
    fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io(what, error)
    }
}

impl fmt::Display for WorkerdError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(formatter, "cannot {what}: {error}"),
            Self::Watch(error) => write!(formatter, "{error}"),
            Self::Silent { log } => {
                write!(
                    formatter,
                    "the host of workerd gave no answer; its log:\n{log}"
                )
            }
            Self::Refused(reason) => write!(formatter, "the host of workerd: {reason}"),
        }
    }
}

impl std::error::Error for WorkerdError {}

/// A running workerd with its Workers; all of it ends and all files are removed when dropped.
#[derive(Debug)]
pub struct Workerd {
    child: Child,
    // Ends before the child is reaped, so that it cannot kill a stranger with the same number.
    watch: Option<Watch>,
    channel: Mutex<Channel>,
    ports: BTreeMap<String, u16>,
    directory: TempDir,
}

#[derive(Debug)]
struct Channel {
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Workerd {
    /// Starts the Workers and waits until each can be reached.
    ///
    /// `node` is Node.js, and `npm_root` the folder whose `node_modules` has miniflare.
    ///
    /// # Errors
    /// When a Worker cannot be started; says what Node.js and workerd wrote.
    pub fn start(node: &Path, npm_root: &Path, workers: &[Worker]) -> Result<Self, WorkerdError> {
        let directory = tempfile::Builder::new()
            .prefix("auth-edge-workerd-")
            .tempdir()
            .map_err(WorkerdError::io("make a directory"))?;
        let folder = directory.path();
        for (name, text) in PROGRAMS {
            fs::write(folder.join(name), text).map_err(WorkerdError::io("write a program"))?;
        }
        let modules = std::path::absolute(npm_root)
            .map_err(WorkerdError::io("find the npm packages"))?
            .join("node_modules");
        symlink(modules, folder.join("node_modules"))
            .map_err(WorkerdError::io("link the npm packages"))?;
        let log = File::create(folder.join(LOG)).map_err(WorkerdError::io("log"))?;
        let mut child = Command::new(node)
            .arg("host.mjs")
            .current_dir(folder)
            // Where miniflare keeps what Workers store.
            .env("TMPDIR", folder)
            .env("HOME", folder)
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // With workerd, which would go on when Node.js is killed.
            .process_group(0)
            .spawn()
            .map_err(WorkerdError::io("start node"))?;
        let commands = child.stdin.take();
        let answers = lines(child.stdout.take());
        // From here on `Drop` cleans up, whatever fails.
        let mut workerd = Self {
            child,
            watch: None,
            channel: Mutex::new(Channel { commands, answers }),
            ports: BTreeMap::new(),
            directory,
        };
        let watch = Watch::over_group(workerd.directory.path(), workerd.child.id());
        workerd.watch = Some(watch.map_err(WorkerdError::Watch)?);
        workerd.ports = workerd.command("start", json!({ "workers": workers }), START_LIMIT)?;
        Ok(workerd)
    }

    /// Where a Worker takes requests, in absolute form.
    ///
    /// # Errors
    /// When there is no Worker of this name.
    pub fn address(&self, worker: &str) -> Result<SocketAddr, WorkerdError> {
        let port = self.ports.get(worker).copied();
        port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .ok_or_else(|| WorkerdError::Refused(format!("there is no worker `{worker}`")))
    }

    /// Writes an entry into a Worker's KV namespace; it is there at once.
    ///
    /// # Errors
    /// When there is no such Worker or namespace.
    pub fn put(
        &self,
        worker: &str,
        binding: &str,
        key: &str,
        value: &str,
    ) -> Result<(), WorkerdError> {
        let entry = json!({ "worker": worker, "binding": binding, "key": key, "value": value });
        self.command("put", entry, COMMAND_LIMIT)
    }

    /// Runs SQL on a Worker's D1 database, and gives the rows of the last statement as objects.
    ///
    /// # Errors
    /// When there is no such Worker or database, or it refuses the SQL.
    pub fn sql(
        &self,
        worker: &str,
        binding: &str,
        statement: &str,
    ) -> Result<Vec<Value>, WorkerdError> {
        let query = json!({ "worker": worker, "binding": binding, "statement": statement });
        self.command("sql", query, COMMAND_LIMIT)
    }

    /// What all Workers have written to their consoles, but for the first `known` entries.
    ///
    /// A line may come a moment after the answer to the request it belongs to.
    ///
    /// # Errors
    /// When the host of workerd is gone.
    pub fn logs(&self, known: usize) -> Result<Vec<Log>, WorkerdError> {
        self.command("logs", json!(known), COMMAND_LIMIT)
    }

    /// The data points that all Workers have written, but for the first `known`.
    ///
    /// # Errors
    /// When the host of workerd is gone.
    pub fn points(&self, known: usize) -> Result<Vec<Point>, WorkerdError> {
        self.command("points", json!(known), COMMAND_LIMIT)
    }

    /// The process number of Node.js, which is that of its process group as well.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder with everything that Node.js and workerd write, their standard error in `host.log` among it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The command lines of Node.js, of workerd, and of whatever else they have started.
    ///
    /// # Errors
    /// When the system does not tell which processes there are.
    pub fn command_lines(&self) -> io::Result<Vec<String>> {
        let group = self.child.id().to_string();
        let mut lines = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let process = entry?.path();
            // One that has ended meanwhile, or no process.
            let Ok(stat) = fs::read_to_string(process.join("stat")) else {
                continue;
            };
            // The name, which may hold anything, ends with the last parenthesis; then come state, parent, group.
            let rest = stat.rsplit(')').next().unwrap_or_default();
            if rest.split_whitespace().nth(2) == Some(group.as_str()) {
                let line = fs::read(process.join("cmdline")).unwrap_or_default();
                lines.push(String::from_utf8_lossy(&line).replace('\0', " "));
            }
        }
        Ok(lines)
    }

    /// The process number of workerd, which miniflare starts.
    ///
    /// # Errors
    /// When Node.js has no such child.
    pub fn workerd_pid(&self) -> Result<u32, WorkerdError> {
        let parent = self.pid().to_string();
        let is_ours = |status: &str| {
            let value = |name| status.lines().find_map(|line| line.strip_prefix(name));
            value("Name:\t") == Some("workerd") && value("PPid:\t") == Some(parent.as_str())
        };
        let processes = fs::read_dir("/proc").map_err(WorkerdError::io("list the processes"))?;
        let found = processes.flatten().find_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(process.path().join("status")).ok()?;
            is_ours(&status).then_some(pid)
        });
        found.ok_or_else(|| WorkerdError::Refused("there is no process `workerd`".to_owned()))
    }

    fn command<T: DeserializeOwned>(
        &self,
        name: &str,
        argument: Value,
        limit: Duration,
    ) -> Result<T, WorkerdError> {
        let silent = || WorkerdError::Silent { log: self.log() };
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{}\n", json!({ name: argument }));
        let commands = channel.commands.as_mut().ok_or_else(silent)?;
        commands.write_all(line.as_bytes()).map_err(|_| silent())?;
        let answer = match channel.answers.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(_) => {
                // A late answer must not be taken for that of another command.
                channel.commands = None;
                return Err(silent());
            }
        };
        let unreadable = |error| WorkerdError::Refused(format!("`{answer}`: {error}"));
        match serde_json::from_str(&answer).map_err(unreadable)? {
            Answer::Done(value) => serde_json::from_value(value).map_err(unreadable),
            Answer::Error(reason) => Err(WorkerdError::Refused(reason)),
        }
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn stop(&mut self) {
        // It ends workerd, and itself.
        let channel = self.channel.get_mut();
        channel.unwrap_or_else(PoisonError::into_inner).commands = None;
        let ended = poll::until(STOP_LIMIT, || self.child.try_wait().ok().flatten());
        if ended.is_some_and(|status| status.success()) {
            return;
        }
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        drop(self.child.wait());
    }
}

impl Drop for Workerd {
    fn drop(&mut self) {
        drop(self.watch.take());
        self.stop();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Done(Value),
    Error(String),
}

/// The lines of a pipe, read by a thread so that waiting for one can have a limit.
fn lines(output: Option<impl io::Read + Send + 'static>) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let output = output.map(BufReader::new).into_iter();
        for line in output.flat_map(|it| it.lines()).map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
