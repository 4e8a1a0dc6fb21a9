//! Where the repository and its build output are, and how its own cargo is called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
///
/// Cargo names the package's folder while it runs it; the folder it was compiled in serves when the
/// program is started by hand.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.ends_with("xtask"))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package
        .parent()
        .map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The folder for build output.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| PathBuf::from(folder)),
        None => root().join("target"),
    }
}

/// The folder in which cargo keeps what it has fetched; none when the environment names no place.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|folder| !folder.is_empty());
    set("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cargo")))
}

/// The folders with the sources of fetched crates, one for each registry or mirror that was asked.
pub(crate) fn registries() -> Vec<PathBuf> {
    let folder = cargo_home().map(|home| home.join("registry/src"));
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let mut folders: Vec<PathBuf> = entries
        .into_iter()
        .flat_map(|entries| entries.flatten())
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

/// The cargo that runs this program, working in the repository.
pub(crate) fn cargo() -> Command {
    let mut command =
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    forget_package(&mut command);
    command
}

/// Removes what cargo told this program about its own package.
///
/// Build scripts that watch such variables would otherwise run again on every second build.
pub(crate) fn forget_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}
