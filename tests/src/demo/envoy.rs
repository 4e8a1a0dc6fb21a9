//! The edge as the filter in an Envoy, with the configuration of `envoy-demo`.

use std::error::Error;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::attempt::{Patience, once_in_force};
use super::audit::Audit;
use super::changes::{self, Verdict};
use super::stage::{Ground, Stage};
use super::table::Row;
use crate::http1;
use crate::poll;
use crate::process::{Envoy, Launch};
use crate::shipped::{self, API_KEY_VARIABLE};
use crate::wire::WireRequest;

/// Envoy counts before every worker has changed over, so the first answers may be the former ones.
const RELOAD: Patience = Patience {
    limit: Duration::from_secs(10),
    pause: Duration::from_millis(50),
};
const HEALTH_LIMIT: Duration = Duration::from_secs(10);
const STATS: &str = "extension_config_discovery.http_filter.auth_edge";

/// A running Envoy.
pub(super) struct InEnvoy {
    /// The process; its folder is that of the demo.
    pub(super) envoy: Envoy,
    /// Where the health listener listens.
    health: SocketAddr,
    /// The resource with the filter's configuration, as it was first in force.
    edge_yaml: String,
}

impl InEnvoy {
    /// Starts it in the folder of the demo, where [`shipped::write_files`] has been.
    pub(super) fn start(
        directory: TempDir,
        program: &Path,
        edge_yaml: String,
        health: SocketAddr,
        ground: &Ground<'_>,
    ) -> Result<Self, Box<dyn Error>> {
        let config = shipped::envoy_yaml(ground.address, health, ground.origin)?;
        let launch = Launch {
            binary: program,
            config: &config,
            env: &[(API_KEY_VARIABLE, ground.api_key)],
            concurrency: 2,
            arguments: &[],
        };
        Ok(Self {
            envoy: Envoy::launch_in(directory, &launch)?,
            health,
            edge_yaml,
        })
    }

    /// Fails when Envoy has ended.
    pub(super) fn look_after(&mut self) -> Result<(), Box<dyn Error>> {
        match self.envoy.exit_status()? {
            None => Ok(()),
            Some(status) => {
                let log = self.envoy.log();
                Err(format!("envoy ended by itself ({status}); its log:\n{log}").into())
            }
        }
    }

    /// Moves one configuration after the other into place.
    pub(super) fn replaced(
        &self,
        stage: &Stage,
        audit: &mut Audit,
    ) -> Result<Vec<Row>, Box<dyn Error>> {
        let mut rows = Vec::new();
        for change in changes::of(stage)? {
            let (after, verdict) = (change.replacement.after, change.verdict);
            let outcome = match verdict {
                Verdict::Taken => "update_success",
                Verdict::Refused => "update_rejected",
            };
            // Word for word at last, since people may go on from there.
            let text = match after == stage.config {
                true => self.edge_yaml.clone(),
                false => shipped::with_filter_config(&self.edge_yaml, &after),
            };
            self.move_into_place(&text, outcome)?;
            rows.push(match verdict {
                Verdict::Taken => once_in_force(&change.attempt, stage, audit, RELOAD)?,
                Verdict::Refused => change.attempt.run(stage, audit)?,
            });
        }
        Ok(rows)
    }

    /// Replaces the configuration, as an operator would, and waits until Envoy has judged it.
    fn move_into_place(&self, text: &str, outcome: &str) -> Result<(), Box<dyn Error>> {
        let counter = format!("{STATS}.{outcome}");
        let count =
            || -> Result<u64, Box<dyn Error>> { Ok(self.envoy.stat(&counter)?.unwrap_or(0)) };
        let before = count()?;
        shipped::replace_edge_yaml(self.envoy.directory(), text)?;
        poll::until(RELOAD.limit, || match count() {
            Ok(now) if now == before => None,
            other => Some(other.map(drop)),
        })
        .unwrap_or_else(|| {
            Err(format!("envoy did not count `{outcome}` for the new configuration").into())
        })
    }

    /// A load balancer's probe.
    pub(super) fn health(&self, audit: &mut Audit) -> Result<Row, Box<dyn Error>> {
        let mut row = Row::new("health listener", "GET /healthz", "answered by Envoy");
        let stream = TcpStream::connect_timeout(&self.health, HEALTH_LIMIT)?;
        stream.set_read_timeout(Some(HEALTH_LIMIT))?;
        let request = WireRequest::new("GET", "health", "/healthz");
        let response = http1::Client::new(stream).send(&request)?;
        row.status = Some(response.status);
        if response.status != 200 || !audit.take()?.is_empty() {
            row.faults
                .push("expected status 200, and nothing at the origin".to_owned());
        }
        Ok(row)
    }

    /// The API key stands nowhere an operator or a log collector would look.
    pub(super) fn secret(&self, api_key: &str) -> Result<Row, Box<dyn Error>> {
        let mut row = Row::new(
            "no API key in the configuration dump, no log",
            "GET admin /config_dump",
            "-",
        );
        let dump = self.envoy.admin_get("/config_dump?include_eds")?;
        // Proves that the dump holds the filter's configuration at all.
        if !dump.contains("verified_by") {
            row.faults
                .push("the dump lacks the filter's configuration".to_owned());
        }
        for (place, text) in [("the dump", dump), ("the log", self.envoy.log())] {
            if text.contains(api_key) {
                row.faults.push(format!("the api key stands in {place}"));
            }
        }
        row.status = Some(200);
        Ok(row)
    }
}
