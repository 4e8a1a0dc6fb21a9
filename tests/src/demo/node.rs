//! The programs that run on Node.js: the origin, and the real client.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Deserialize;

/// How long the origin may take to listen; it makes keys before.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A folder with the two programs and what they import.
#[derive(Debug)]
pub(super) struct Node {
    program: PathBuf,
    folder: PathBuf,
}

impl Node {
    /// Gives the programs in `folder` the packages of `npm_root`.
    pub(super) fn new(
        program: &Path,
        npm_root: &Path,
        folder: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let modules = std::path::absolute(npm_root)?.join("node_modules");
        if !modules.is_dir() {
            return Err(format!("there is no folder {}", modules.display()).into());
        }
        symlink(modules, folder.join("node_modules"))?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
        })
    }

    fn command(&self, name: &str) -> Result<Command, Box<dyn Error>> {
        let errors = File::create(self.errors(name))?;
        let mut command = Command::new(&self.program);
        command
            .arg(format!("{name}.mjs"))
            .arg(format!("{name}.json"))
            .current_dir(&self.folder)
            .stdout(Stdio::piped())
            .stderr(errors);
        Ok(command)
    }

    fn errors(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.errors(name)).unwrap_or_default()
    }

    /// Runs the client to its end.
    pub(super) fn run_client(&self) -> Result<Vec<Step>, Box<dyn Error>> {
        let output = self.command("client")?.stdin(Stdio::null()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let steps: Vec<Step> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        // 1 says that a step failed, which the steps say as well.
        match output.status.code() {
            Some(0 | 1) if !steps.is_empty() => Ok(steps),
            _ => Err(format!(
                "the client ended with {}: {}",
                output.status,
                self.said("client")
            )
            .into()),
        }
    }
}

/// A step of the client, as it reports it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Step {
    /// Its name: that of the client, a colon, what was done.
    pub(super) step: String,
    /// Method and URL of its request, if it came to one.
    pub(super) request: Option<String>,
    /// The kind of certificate that was presented: `ca`, `self-signed` or `none`.
    pub(super) certificate: Option<String>,
    /// The status of the answer.
    pub(super) status: Option<u16>,
    /// Whether it came out as expected.
    pub(super) ok: bool,
    /// How it came out.
    pub(super) detail: Option<String>,
    /// How it should have.
    pub(super) expected: String,
}

/// The running authorization server; it ends when dropped.
#[derive(Debug)]
pub(super) struct Origin {
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Origin {
    /// Starts the origin and waits until it listens.
    pub(super) fn start(node: &Node, api_key: &str) -> Result<Self, Box<dyn Error>> {
        let mut child = node
            .command("origin")?
            // It ends when this is closed, so that it cannot outlive the demo.
            .stdin(Stdio::piped())
            .env("ORIGIN_API_KEY", api_key)
            .spawn()?;
        let output = child.stdout.take();
        let mut origin = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output
                .map(BufReader::new)
                .into_iter()
                .flat_map(|it| it.lines())
            {
                // Nobody listens after the first line, but the pipe has to stay open.
                drop(sender.send(line));
            }
        });
        let line = match lines.recv_timeout(START_LIMIT) {
            Ok(line) => line?,
            Err(_) => {
                return Err(format!("the origin did not start: {}", node.said("origin")).into());
            }
        };
        let port = line
            .strip_prefix("listening ")
            .and_then(|port| port.parse().ok())
            .ok_or_else(|| format!("the origin said `{line}`, expected its port"))?;
        origin.address.set_port(port);
        Ok(origin)
    }

    /// Whether it still runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
