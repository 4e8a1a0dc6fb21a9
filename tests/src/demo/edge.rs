//! The edge of the demo: the same decisions in one of two host programs.

use std::error::Error;
use std::path::Path;

use super::attempt::Protocol;
use super::audit::Audit;
use super::envoy::InEnvoy;
use super::stage::Stage;
use super::table::{Row, Section};
use super::worker::InWorker;

/// The host program that runs Auth Edge.
pub(super) enum Edge {
    /// The filter in an Envoy.
    Envoy(InEnvoy),
    /// The Worker on a workerd, behind a stand-in for Cloudflare's own edge.
    Worker(InWorker),
}

impl Edge {
    /// What the host program is called in the table.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Envoy(_) => "Envoy",
            Self::Worker(_) => "workerd",
        }
    }

    /// The folder with all files of the demo.
    pub(super) fn directory(&self) -> &Path {
        match self {
            Self::Envoy(edge) => edge.envoy.directory(),
            Self::Worker(edge) => edge.directory(),
        }
    }

    /// The version in which a request meant for `wanted` is sent: the stand-in speaks HTTP/1.1 only.
    pub(super) fn protocol(&self, wanted: Protocol) -> Protocol {
        match self {
            Self::Envoy(_) => wanted,
            Self::Worker(_) => Protocol::Http1,
        }
    }

    /// What becomes of requests while the configuration is replaced.
    pub(super) fn replaced(
        &self,
        stage: &Stage,
        audit: &mut Audit,
    ) -> Result<Section, Box<dyn Error>> {
        let rows = match self {
            Self::Envoy(edge) => edge.replaced(stage, audit)?,
            Self::Worker(edge) => edge.replaced(stage, audit)?,
        };
        Ok(Section {
            title: format!("The configuration is replaced while {} runs", self.name()),
            rows,
        })
    }

    /// What only this host program is asked beside requests through the edge.
    pub(super) fn around(
        &self,
        stage: &Stage,
        audit: &mut Audit,
    ) -> Result<Vec<Row>, Box<dyn Error>> {
        match self {
            Self::Envoy(edge) => Ok(vec![edge.health(audit)?, edge.secret(&stage.api_key)?]),
            Self::Worker(edge) => Ok(vec![edge.plain_http(audit)?, edge.secret(&stage.api_key)?]),
        }
    }

    /// What was logged so far is of no interest any more.
    pub(super) fn pass_over_log(&mut self) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Envoy(_) => Ok(()),
            Self::Worker(edge) => edge.pass_over_log(),
        }
    }

    /// Fails when it has ended by itself; does what is to be done from time to time while the demo stays up.
    pub(super) fn look_after(&mut self) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Envoy(edge) => edge.look_after(),
            Self::Worker(edge) => edge.look_after(),
        }
    }
}
