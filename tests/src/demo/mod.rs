//! The demo: a real client and real attacks against the Envoy of `envoy-demo`, or against the Worker, and a place to
//! try things afterwards.
//!
//! Everything is made anew in one folder and removed at the end, also when this process is killed.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

mod around;
mod attempt;
mod audit;
mod changes;
mod client;
mod edge;
mod envoy;
mod invitation;
mod node;
mod script;
mod stage;
mod table;
mod worker;

pub use table::Count;

use crate::shipped::{ALIAS, DOMAIN, ORIGIN};
use stage::Stage;

/// How often the programs are looked after while nothing happens.
const LOOK: Duration = Duration::from_millis(200);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the edge runs in.
    pub host: Host,
    /// Node.js.
    pub node: PathBuf,
    /// The folder with the npm packages of `envoy-demo`.
    pub npm_root: PathBuf,
    /// When to end.
    pub stay: Stay,
}

/// The host program of the edge.
#[derive(Clone, Debug)]
pub enum Host {
    /// Envoy, with the filter.
    Envoy {
        /// The Envoy.
        program: PathBuf,
        /// The built filter.
        filter: PathBuf,
    },
    /// workerd, with the Worker.
    Worker {
        /// The folder of the built Worker.
        folder: PathBuf,
        /// The folder whose `node_modules` has miniflare.
        npm_root: PathBuf,
    },
}

/// When the demo ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// After the table.
    Once,
    /// With Ctrl-C.
    UntilInterrupted,
}

/// Runs the demo.
pub fn run(options: &Options) -> Result<Count, Box<dyn Error>> {
    let (mut stage, mut audit) = Stage::build(options)?;
    progress("running the client (openid-client) through every flow");
    let mut sections = client::run(&stage, &mut audit)?;
    progress("sending what has to be refused");
    sections.extend(script::run(&stage, &mut audit)?);
    let count = table::print(&sections);
    if options.stay == Stay::UntilInterrupted {
        println!("{} passed, {} failed", count.passed, count.failed);
        stage.edge.pass_over_log()?;
        invitation::print(&stage);
        until_interrupted(&mut stage)?;
        println!(
            "\nstopping, and removing {}",
            stage.edge.directory().display()
        );
    }
    Ok(count)
}

fn until_interrupted(stage: &mut Stage) -> Result<(), Box<dyn Error>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    loop {
        thread::sleep(LOOK);
        // Looked at first: a Ctrl-C reaches the other programs too, which then end by themselves.
        if interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !stage.origin.is_running() {
            return Err("the origin ended by itself".into());
        }
        stage.edge.look_after()?;
    }
}

fn progress(what: &str) {
    println!("  {what}");
}
