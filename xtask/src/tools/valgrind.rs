//! Valgrind, whose tool Callgrind counts instructions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Cache, debian};
use crate::exec::{self, Outcome, at};

/// Where its tools are, below the root of an unpacked package.
const LIBRARY: &str = "usr/libexec/valgrind";

/// A Valgrind that was found.
pub(crate) struct Valgrind {
    program: PathBuf,
    /// Where its tools are, when that is not where it was built for.
    library: Option<PathBuf>,
}

impl Valgrind {
    /// The machine's, or that of Debian's packages, unpacked.
    pub(crate) fn find(cache: &Cache) -> Outcome<Self> {
        if let Some(program) = exec::on_path("valgrind") {
            let library = None;
            return Ok(Self { program, library });
        }
        let root = debian::unpack(cache, &["valgrind"], trim)
            .map_err(|why| format!("put `valgrind` on PATH, or let Debian's be unpacked: {why}"))?;
        Ok(Self {
            // The script beside it knows only the place where it would be installed.
            program: root.join("usr/bin/valgrind.bin"),
            library: Some(root.join(LIBRARY)),
        })
    }

    /// The command, without arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(library) = &self.library {
            command.env("VALGRIND_LIB", library);
        }
        command
    }
}

/// Removes the symbols of the C library, which are large, and which counting does not need.
fn trim(root: &Path) -> Outcome<()> {
    let symbols = root.join("usr/lib/debug");
    if !symbols.exists() {
        return Ok(());
    }
    at(fs::remove_dir_all(&symbols), "remove", &symbols)
}
