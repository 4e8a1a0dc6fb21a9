//! Builds the Wasm modules, each exporting what its host calls and nothing else.

use std::fs;
use std::path::PathBuf;

use crate::exec::{self, Outcome, at, show};
use crate::tools::Cache;
use crate::wasm_file::{self, CODE, DATA};
use crate::wasm_std::WasmToolchain;
use crate::{linker, repo, wasm_std};

/// Exactly what the filter exports, in order of the alphabet.
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
    "proxy_on_tick",
];

/// The largest module that is accepted: every worker of the host compiles and holds its own.
const LIMIT: usize = 900 * 1024;

/// A Wasm module of this repository.
struct Module {
    package: &'static str,
    /// The name of the library, and of the folder the module is put into.
    library: &'static str,
    folder: &'static str,
    exports: &'static [&'static str],
}

const FILTER: Module = Module {
    package: "auth-edge-filter",
    library: "auth_edge_filter",
    folder: "filter",
    exports: EXPORTS,
};

/// The core alone, for measurements.
const CORE: Module = Module {
    package: "auth-edge-bench",
    library: "auth_edge_bench",
    folder: "bench",
    exports: &["allocate", "cached", "first", "memory", "prepare"],
};

/// Builds the filter and returns the finished module.
pub(crate) fn build_filter(cache: &Cache) -> Outcome<PathBuf> {
    build_filter_with(&wasm_std::ensure(cache)?)
}

/// The same with a toolchain that was found before.
pub(crate) fn build_filter_with(toolchain: &WasmToolchain) -> Outcome<PathBuf> {
    let (output, module) = build(toolchain, &FILTER)?;
    exec::say(&format!(
        "  filter: {}, {} bytes (code {}, data {}; limit {LIMIT})",
        output.display(),
        module.len(),
        wasm_file::section_size(&module, CODE)?,
        wasm_file::section_size(&module, DATA)?,
    ));
    if module.len() > LIMIT {
        return Err(format!(
            "the filter has {} bytes, more than the limit of {LIMIT}",
            module.len()
        ));
    }
    Ok(output)
}

/// Builds the core alone, compiled as the filter is.
pub(crate) fn build_core(cache: &Cache) -> Outcome<PathBuf> {
    build(&wasm_std::ensure(cache)?, &CORE).map(|(output, _)| output)
}

/// Builds a module; gives where it is, and its bytes.
fn build(toolchain: &WasmToolchain, module: &Module) -> Outcome<(PathBuf, Vec<u8>)> {
    let this = at(std::env::current_exe(), "find", "this program")?;
    if !this.is_file() {
        return Err("this program was rebuilt while it ran: run it again".to_owned());
    }
    let mut build = toolchain.cargo();
    // The crate type is named here because link-time optimization is only done when it is the only one.
    build
        .args(["rustc", "--package", module.package])
        .args(["--lib", "--crate-type", "cdylib", "--release", "--locked"])
        .args(["--target", wasm_std::TARGET, "--"])
        .args(linker::rustc_args(&this, &toolchain.linker, module.exports))
        // The linker pads numbers for relocations that nothing uses after it.
        .arg("-Clink-arg=--compress-relocations");
    exec::stream(&mut build, exec::LONG).map_err(|why| {
        // The linker's arguments are of no use to the reader.
        why.replace(
            &show(&build),
            &format!(
                "cargo rustc --package {} --target {}",
                module.package,
                wasm_std::TARGET
            ),
        )
    })?;
    let file = format!("{}.wasm", module.library);
    let linked = toolchain
        .target_dir()
        .join(wasm_std::TARGET)
        .join("release")
        .join(&file);
    let raw = at(fs::read(&linked), "read", &linked)?;
    let bytes = wasm_file::without_custom_sections(&raw)?;
    check_exports(module.exports, &wasm_file::exports(&bytes)?)?;
    let folder = repo::target_dir().join(module.folder);
    at(fs::create_dir_all(&folder), "make the folder", &folder)?;
    let output = folder.join(&file);
    // A host that watches the file must never see half of it.
    let unfinished = folder.join(format!("{file}.{}", std::process::id()));
    at(fs::write(&unfinished, &bytes), "write", &unfinished)?;
    at(fs::rename(&unfinished, &output), "write", &output)?;
    Ok((output, bytes))
}

/// Compares a module's exports with the list.
fn check_exports(listed: &[&str], found: &[String]) -> Outcome<()> {
    let missing: Vec<&str> = listed
        .iter()
        .copied()
        .filter(|name| !found.iter().any(|has| has == name))
        .collect();
    let extra: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|name| !listed.contains(name))
        .collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the module's exports are not those listed in xtask/src/filter.rs: missing [{}], not listed [{}]",
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
        assert!(check_exports(EXPORTS, &names).is_ok());
        names.push("proxy_on_response_headers".to_owned());
        assert!(
            check_exports(EXPORTS, &names)
                .unwrap_err()
                .contains("not listed [proxy_on_response_headers]")
        );
        names.remove(0);
        assert!(
            check_exports(EXPORTS, &names)
                .unwrap_err()
                .contains("missing [_initialize]")
        );
    }
}
