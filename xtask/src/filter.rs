//! Builds the filter: one Wasm module that exports what the host calls and nothing else.

use std::fs;
use std::path::PathBuf;

use crate::exec::{self, Outcome, at, show};
use crate::tools::Cache;
use crate::wasm_file::{self, CODE, DATA};
use crate::{linker, repo, wasm_std};

const PACKAGE: &str = "auth-edge-filter";
const FILE: &str = "auth_edge_filter.wasm";

/// Exactly what the module exports, in order of the alphabet.
///
/// Envoy enters the module for every callback that is exported, whether or not it does anything, and that
/// costs about half a microsecond each.
const EXPORTS: &[&str] = &[
    "_initialize",
    "malloc",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
];

/// The largest module that is accepted: every worker of the host compiles and holds its own.
const LIMIT: usize = 900 * 1024;

/// Builds the filter and returns the finished module.
pub(crate) fn build_filter(cache: &Cache) -> Outcome<PathBuf> {
    let toolchain = wasm_std::ensure(cache)?;
    let this = at(std::env::current_exe(), "find", "this program")?;
    if !this.is_file() {
        return Err("this program was rebuilt while it ran: run it again".to_owned());
    }
    let mut build = toolchain.cargo();
    // The crate type is named here because link-time optimization is only done when it is the only one.
    build
        .args([
            "rustc",
            "--package",
            PACKAGE,
            "--lib",
            "--crate-type",
            "cdylib",
            "--release",
            "--locked",
        ])
        .args(["--target", wasm_std::TARGET, "--"])
        .args(linker::rustc_args(&this, &toolchain.linker, EXPORTS))
        // The linker pads numbers for relocations that nothing uses after it.
        .arg("-Clink-arg=--compress-relocations");
    exec::stream(&mut build, exec::LONG).map_err(|why| {
        // The linker's arguments are of no use to the reader.
        why.replace(
            &show(&build),
            &format!(
                "cargo rustc --package {PACKAGE} --target {}",
                wasm_std::TARGET
            ),
        )
    })?;
    let linked = toolchain
        .target_dir()
        .join(wasm_std::TARGET)
        .join("release")
        .join(FILE);
    let raw = at(fs::read(&linked), "read", &linked)?;
    let module = wasm_file::without_custom_sections(&raw)?;
    check_exports(&wasm_file::exports(&module)?)?;
    let folder = repo::target_dir().join("filter");
    at(fs::create_dir_all(&folder), "make the folder", &folder)?;
    let output = folder.join(FILE);
    // A host that watches the file must never see half of it.
    let unfinished = folder.join(format!("{FILE}.{}", std::process::id()));
    at(fs::write(&unfinished, &module), "write", &unfinished)?;
    at(fs::rename(&unfinished, &output), "write", &output)?;
    exec::say(&format!(
        "  filter: {}, {} bytes (code {}, data {}; {} before custom sections went; limit {LIMIT})",
        output.display(),
        module.len(),
        wasm_file::section_size(&module, CODE)?,
        wasm_file::section_size(&module, DATA)?,
        raw.len(),
    ));
    if module.len() > LIMIT {
        return Err(format!(
            "the filter has {} bytes, more than the limit of {LIMIT}",
            module.len()
        ));
    }
    Ok(output)
}

/// Compares a module's exports with the list.
fn check_exports(found: &[String]) -> Outcome<()> {
    let missing: Vec<&str> = EXPORTS
        .iter()
        .copied()
        .filter(|name| !found.iter().any(|has| has == name))
        .collect();
    let extra: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|name| !EXPORTS.contains(name))
        .collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the filter's exports are not those listed in xtask/src/filter.rs: missing [{}], not listed [{}]",
        missing.join(", "),
        extra.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_must_be_exactly_the_listed_ones() {
        let mut names: Vec<String> = EXPORTS.iter().map(|name| (*name).to_owned()).collect();
        assert!(check_exports(&names).is_ok());
        names.push("proxy_on_response_headers".to_owned());
        assert!(
            check_exports(&names)
                .unwrap_err()
                .contains("not listed [proxy_on_response_headers]")
        );
        names.remove(0);
        assert!(
            check_exports(&names)
                .unwrap_err()
                .contains("missing [_initialize]")
        );
    }
}
