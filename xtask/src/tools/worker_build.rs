//! worker-build, which builds the Worker, and wasm-bindgen, which it calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Cache, debian};
use crate::exec::{self, LONG, Outcome, SHORT};
use crate::repo;

/// A program that is in no registry but as source.
struct Tool {
    package: &'static str,
    program: &'static str,
    version: &'static str,
    arguments: &'static [&'static str],
}

const WORKER_BUILD: Tool = Tool {
    package: "worker-build",
    program: "worker-build",
    version: "0.8.7",
    arguments: &[],
};

/// The version must be that of the crate `wasm-bindgen` in `Cargo.lock`; it fetches nothing, so it needs no TLS.
const WASM_BINDGEN: Tool = Tool {
    package: "wasm-bindgen-cli",
    program: "wasm-bindgen",
    version: "0.2.130",
    arguments: &["--no-default-features"],
};

/// What building worker-build needs of the system.
const LIBRARIES: &[&str] = &["libssl-dev", "pkg-config"];

/// How both are compiled. Optimizing them takes twice as long, and saves a fraction of a second of each run.
const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

/// Where the two programs are.
pub(crate) struct Programs {
    pub(crate) worker_build: PathBuf,
    pub(crate) wasm_bindgen: PathBuf,
}

/// Those of the machine when they have exactly these versions, else built into the cache.
pub(crate) fn programs(cache: &Cache) -> Outcome<Programs> {
    // One folder for both, so that what both depend on is compiled once.
    let built = cache.temporary()?;
    Ok(Programs {
        worker_build: find(cache, &WORKER_BUILD, &built.0)?,
        wasm_bindgen: find(cache, &WASM_BINDGEN, &built.0)?,
    })
}

fn find(cache: &Cache, tool: &Tool, built: &Path) -> Outcome<PathBuf> {
    if let Some(found) = exec::on_path(tool.program).filter(|file| has_version(file, tool)) {
        return Ok(found);
    }
    let key = format!("cargo/{}-{}", tool.package, tool.version);
    let folder = cache.entry(&key, |folder| {
        exec::say(&format!(
            "  building {} {} (one or two minutes)",
            tool.package, tool.version
        ));
        install(cache, tool, folder, built)?;
        let program = folder.join("bin").join(tool.program);
        if has_version(&program, tool) {
            Ok(())
        } else {
            Err(format!(
                "{} does not run as version {}",
                program.display(),
                tool.version
            ))
        }
    });
    let folder = folder.map_err(|why| {
        format!(
            "{why}\nWithout it, put {} {} on PATH",
            tool.program, tool.version
        )
    })?;
    Ok(folder.join("bin").join(tool.program))
}

fn install(cache: &Cache, tool: &Tool, root: &Path, built: &Path) -> Outcome<()> {
    if tool.package == WORKER_BUILD.package {
        need_libraries(cache)?;
    }
    // The packages' own lock files say what they were released with.
    let locked = exec::capture(command(tool, root, built).arg("--locked"), LONG);
    let Err(why) = locked else { return Ok(()) };
    // A version that such a file names may have been withdrawn since.
    exec::say(&format!(
        "  {} cannot be built as it was locked, so with what fits now: {}",
        tool.package,
        reason(&why)
    ));
    exec::capture(&mut command(tool, root, built), LONG).map(|_| ())
}

fn command(tool: &Tool, root: &Path, built: &Path) -> Command {
    let mut command = repo::cargo();
    command
        .args(["install", tool.package, "--version", tool.version])
        .args(["--bin", tool.program])
        .args(tool.arguments)
        .arg("--root")
        .arg(root)
        .current_dir(built)
        .env("CARGO_TARGET_DIR", built)
        // Without a lock file, nothing newer than the compiler is to be chosen.
        .env("CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS", "fallback")
        .envs(PROFILE.iter().copied());
    command
}

/// The line of cargo's that says what went wrong.
fn reason(why: &str) -> &str {
    let mut lines = why.lines().map(str::trim);
    lines
        .find_map(|line| line.strip_prefix("error: "))
        .or_else(|| why.lines().next())
        .unwrap_or_default()
}

/// worker-build is linked with the system's OpenSSL.
fn need_libraries(cache: &Cache) -> Outcome<()> {
    if exec::capture(
        Command::new("pkg-config").args(["--exists", "openssl"]),
        SHORT,
    )
    .is_ok()
    {
        return Ok(());
    }
    if cache.install {
        return debian::install(LIBRARIES);
    }
    Err(format!(
        "{} needs OpenSSL to be built: install the Debian packages {}, or run again with --install",
        WORKER_BUILD.package,
        LIBRARIES.join(" ")
    ))
}

fn has_version(program: &Path, tool: &Tool) -> bool {
    let text = exec::capture(Command::new(program).arg("--version"), SHORT);
    text.is_ok_and(|text| version(&text) == Some(tool.version))
}

/// Reads `wasm-bindgen 0.2.130`, or the number alone.
fn version(text: &str) -> Option<&str> {
    text.split_whitespace().next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_those_of_the_crates() {
        let file = repo::root().join("Cargo.lock");
        let lock = std::fs::read_to_string(file).unwrap();
        for (name, tool) in [("worker", &WORKER_BUILD), ("wasm-bindgen", &WASM_BINDGEN)] {
            let entry = format!("name = \"{name}\"\nversion = \"{}\"\n", tool.version);
            assert!(lock.contains(&entry), "{name} is not {}", tool.version);
        }
    }

    #[test]
    fn versions_are_read_with_and_without_a_name() {
        assert_eq!(version("0.8.7\n"), Some("0.8.7"));
        assert_eq!(version("wasm-bindgen 0.2.130\n"), Some("0.2.130"));
        assert_eq!(version(""), None);
    }

    #[test]
    fn cargos_reason_is_found() {
        let why = "`cargo install x` failed (exit status: 101)\n        Updating index\n    error: no such \
            version\n    caused by";
        assert_eq!(reason(why), "no such version");
        assert_eq!(reason("cannot run `cargo`"), "cannot run `cargo`");
    }
}
