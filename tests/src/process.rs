//! A supervised Envoy on loopback.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http1;
use crate::poll;
use crate::wire::{WireError, WireRequest};

/// How long Envoy may take to be ready; it compiles Wasm modules before.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long Envoy may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How long the administration interface may take to answer.
const ADMIN_LIMIT: Duration = Duration::from_secs(10);

/// Merged over every configuration; the port that was taken is read from a file.
const ADMIN_ANYWHERE: &str =
    r#"{"admin":{"address":{"socket_address":{"address":"127.0.0.1","port_value":0}}}}"#;

/// Kills a process and removes its files when this process dies without dropping anything: the pipe
/// on standard input closes then. Signals from a terminal must not end the watch before that.
/// A number below zero is that of a process group.
const WATCH: &str = r#"trap '' INT TERM HUP; read -r _
[ -z "$2" ] || kill -s KILL -- "$2" 2>/dev/null
rm -rf "$1""#;

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The program.
    pub binary: &'a Path,
    /// The bootstrap configuration in YAML or JSON; what it says of `admin.address` is replaced.
    pub config: &'a str,
    /// Environment variables beside the inherited ones.
    pub env: &'a [(&'a str, &'a str)],
    /// The number of worker threads.
    pub concurrency: u32,
    /// Arguments beside the ones given anyway.
    pub arguments: &'a [&'a str],
}

/// Why Envoy is not there.
#[derive(Debug)]
pub enum ProcessError {
    /// A file or the program could not be used.
    Io(&'static str, io::Error),
    /// Envoy ended by itself.
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it logged.
        log: String,
    },
    /// Envoy was not ready in time.
    NotReady {
        /// What it logged.
        log: String,
    },
    /// The administration interface gave no usable answer.
    Admin(String),
}

impl ProcessError {
    fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io(what, error)
    }

    fn wire(error: WireError) -> Self {
        Self::Admin(error.to_string())
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(formatter, "cannot {what}: {error}"),
            Self::Exited { status, log } => {
                write!(
                    formatter,
                    "envoy ended by itself ({status}); its log:\n{log}"
                )
            }
            Self::NotReady { log } => {
                write!(formatter, "envoy was not ready in time; its log:\n{log}")
            }
            Self::Admin(reason) => write!(formatter, "envoy's administration: {reason}"),
        }
    }
}

impl std::error::Error for ProcessError {}

/// Removes a directory when this process dies without dropping anything; nothing when dropped.
#[derive(Debug)]
pub struct Watch(Child);

impl Watch {
    /// Watches over a directory.
    pub fn over(directory: &Path) -> Result<Self, ProcessError> {
        Self::start(directory, None)
    }

    /// Watches over a directory and a process group, of which it ends every process.
    pub fn over_group(directory: &Path, group: u32) -> Result<Self, ProcessError> {
        Self::start(directory, Some(format!("-{group}")))
    }

    fn start(directory: &Path, process: Option<String>) -> Result<Self, ProcessError> {
        Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(directory)
            .args(process)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(ProcessError::io("start a watch"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A running Envoy; it is stopped and its files are removed when dropped.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    // Ends before the child is reaped, so that it cannot kill a stranger with the same number.
    watch: Option<Watch>,
    admin: SocketAddr,
    directory: TempDir,
}

impl Envoy {
    /// Starts Envoy with one worker and waits until it is ready.
    pub fn start(binary: &Path, config: &str, env: &[(&str, &str)]) -> Result<Self, ProcessError> {
        Self::launch(&Launch {
            binary,
            config,
            env,
            concurrency: 1,
            arguments: &[],
        })
    }

    /// Starts Envoy and waits until it is ready.
    ///
    /// A refused configuration is `ProcessError::Exited` with the log that says why.
    pub fn launch(launch: &Launch<'_>) -> Result<Self, ProcessError> {
        let directory = tempfile::Builder::new()
            .prefix("auth-edge-envoy-")
            .tempdir()
            .map_err(ProcessError::io("make a directory"))?;
        Self::launch_in(directory, launch)
    }

    /// Like `launch`, in a directory that holds the files the configuration names.
    ///
    /// It is Envoy's working directory, gets the configuration and the log, and is removed at the end.
    pub fn launch_in(directory: TempDir, launch: &Launch<'_>) -> Result<Self, ProcessError> {
        let json = launch.config.trim_start().starts_with('{');
        let config = directory
            .path()
            .join(if json { "envoy.json" } else { "envoy.yaml" });
        fs::write(&config, launch.config).map_err(ProcessError::io("write the configuration"))?;
        let log = File::create(directory.path().join(LOG)).map_err(ProcessError::io("log"))?;
        let output = log.try_clone().map_err(ProcessError::io("log"))?;
        let child = Command::new(launch.binary)
            .arg("--config-path")
            .arg(&config)
            .args(["--config-yaml", ADMIN_ANYWHERE, "--admin-address-path"])
            .arg(directory.path().join(ADMIN))
            .args([
                "--use-dynamic-base-id",
                "--log-level",
                "info",
                "--concurrency",
            ])
            .arg(launch.concurrency.to_string())
            .args(launch.arguments)
            .envs(launch.env.iter().copied())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log)
            .spawn()
            .map_err(ProcessError::io("start envoy"))?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on `Drop` cleans up, whatever fails.
        let mut envoy = Self {
            child,
            watch: None,
            admin: unknown,
            directory,
        };
        envoy.watch = Some(Watch::start(
            envoy.directory.path(),
            Some(envoy.child.id().to_string()),
        )?);
        envoy.await_ready()?;
        Ok(envoy)
    }

    fn await_ready(&mut self) -> Result<(), ProcessError> {
        let path = self.directory.path().join(ADMIN);
        let outcome = poll::until(START_LIMIT, || {
            match self.exit_status() {
                Err(error) => return Some(Err(error)),
                Ok(Some(status)) => {
                    return Some(Err(ProcessError::Exited {
                        status,
                        log: self.log(),
                    }));
                }
                Ok(None) => {}
            }
            // Envoy may still be writing the file.
            self.admin = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
            let state = self.admin_get("/ready").ok()?;
            (state.trim() == "LIVE").then_some(Ok(()))
        });
        outcome.unwrap_or_else(|| Err(ProcessError::NotReady { log: self.log() }))
    }

    /// How Envoy ended, if it has.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        self.child
            .try_wait()
            .map_err(ProcessError::io("look after envoy"))
    }

    /// The address of the administration interface.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// What the administration interface answers to GET, whatever the status.
    pub fn admin_get(&self, path: &str) -> Result<String, ProcessError> {
        self.admin("GET", path)
    }

    /// What the administration interface answers to POST, which changes things.
    pub fn admin_post(&self, path: &str) -> Result<String, ProcessError> {
        self.admin("POST", path)
    }

    fn admin(&self, method: &str, path: &str) -> Result<String, ProcessError> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&self.admin, ADMIN_LIMIT)?;
            stream.set_read_timeout(Some(ADMIN_LIMIT))?;
            Ok(stream)
        };
        let mut client = http1::Client::new(connect().map_err(ProcessError::io("reach envoy"))?);
        let request = WireRequest::new(method, "localhost", path).header("connection", "close");
        let response = client.send(&request).map_err(ProcessError::wire)?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    /// One counter or gauge; `None` if Envoy has none of this name.
    pub fn stat(&self, name: &str) -> Result<Option<u64>, ProcessError> {
        let stats = self.admin_get("/stats")?;
        let mut values = stats.lines().filter_map(|line| line.split_once(": "));
        Ok(values
            .find(|(found, _)| *found == name)
            .and_then(|(_, value)| value.parse().ok()))
    }

    /// Where the listener of this name listens.
    pub fn listener_address(&self, name: &str) -> Result<SocketAddr, ProcessError> {
        let text = self.admin_get("/listeners?format=json")?;
        let listeners: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| ProcessError::Admin(format!("the listeners are no json: {error}")))?;
        let statuses = listeners["listener_statuses"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let address = statuses
            .iter()
            .find(|status| status["name"] == name)
            .map(|status| &status["local_address"]["socket_address"]);
        let parts =
            address.and_then(|it| Some((it["address"].as_str()?, it["port_value"].as_u64()?)));
        parts
            .and_then(|(ip, port)| {
                Some(SocketAddr::new(ip.parse().ok()?, u16::try_from(port).ok()?))
            })
            .ok_or_else(|| ProcessError::Admin(format!("there is no listener `{name}`")))
    }

    /// What Envoy has logged so far, with what it wrote to standard output.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A directory that lives as long as this Envoy.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time of all threads that are still there, as the scheduler counts it.
    pub fn cpu_time(&self) -> Result<Duration, ProcessError> {
        cpu_time(self.pid())
    }

    /// The memory that this process holds, in bytes, as the kernel counts it.
    pub fn resident_memory(&self) -> Result<u64, ProcessError> {
        let read = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = read.map_err(ProcessError::io("read the memory"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes
            .map(|count| count * 1024)
            .ok_or_else(|| ProcessError::Admin("the kernel does not tell the memory".to_owned()))
    }

    /// Ends Envoy at once, with whatever it was doing.
    pub fn kill(&mut self) -> Result<ExitStatus, ProcessError> {
        // It must not find a stranger under this number later.
        drop(self.watch.take());
        let end = ProcessError::io("end envoy");
        self.child.kill().map_err(end)?;
        self.child.wait().map_err(ProcessError::io("end envoy"))
    }

    fn stop(&mut self) {
        if matches!(self.exit_status(), Ok(Some(_))) {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && kill_process(pid, Signal::TERM).is_ok()
            && poll::until(STOP_LIMIT, || self.exit_status().ok().flatten()).is_some()
        {
            return;
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The processor time of all threads of a process that are still there, as the scheduler counts it.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration, ProcessError> {
    let read = ProcessError::io("read the processor time");
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(read)?;
    let mut nanoseconds = 0;
    for task in tasks {
        let task = task.map_err(ProcessError::io("read the processor time"))?;
        // A thread may end between the two looks.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else {
            continue;
        };
        let spent = text.split(' ').next().and_then(|it| it.parse::<u64>().ok());
        nanoseconds += spent.unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.watch.take());
        self.stop();
    }
}

const LOG: &str = "envoy.log";
const ADMIN: &str = "admin-address";
