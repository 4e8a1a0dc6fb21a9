//! Builds the Wasm modules, each exporting what its host calls and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

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

/// What NGINX's Wasm module calls besides, without looking whether it is there: it refuses a module without
/// the first, and a worker crashes for want of the others (`ngx_proxy_wasm.c`, `ngx_http_proxy_wasm.c`).
///
/// They do nothing. Envoy would enter them all the same, so its module does not export them.
const NGINX_EXPORTS: &[&str] = &[
    "proxy_on_vm_start",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_request_body",
    "proxy_on_response_body",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
];

/// What the filter may import: each of these is in Envoy and in NGINX's Wasm module, which starts no module that
/// imports another (`ngx_proxy_wasm_host.c`, `ngx_wasi_preview1_host.c`).
const IMPORTS: &[&str] = &[
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_close_stream",
    "env.proxy_continue_stream",
    "env.proxy_define_metric",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_done",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_get_status",
    "env.proxy_grpc_call",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_register_shared_queue",
    "env.proxy_remove_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_resolve_shared_queue",
    "env.proxy_send_local_response",
    "env.proxy_set_buffer_bytes",
    "env.proxy_set_header_map_pairs",
    "env.proxy_set_property",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
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
    /// What a second module exports besides, which is the same but for that.
    nginx: &'static [&'static str],
}

const FILTER: Module = Module {
    package: "auth-edge-filter",
    library: "auth_edge_filter",
    folder: "filter",
    exports: EXPORTS,
    nginx: NGINX_EXPORTS,
};

/// The core alone, for measurements.
const CORE: Module = Module {
    package: "auth-edge-bench",
    library: "auth_edge_bench",
    folder: "bench",
    exports: &["allocate", "cached", "first", "memory", "prepare"],
    nginx: &[],
};

/// Builds the filter and returns the finished module for Envoy; the one for NGINX stands beside it, see
/// [`for_nginx`].
pub(crate) fn build_filter(cache: &Cache) -> Outcome<PathBuf> {
    build_filter_with(&wasm_std::ensure(cache)?)
}

/// The same with a toolchain that was found before.
pub(crate) fn build_filter_with(toolchain: &WasmToolchain) -> Outcome<PathBuf> {
    let (output, module) = build(toolchain, &FILTER)?;
    check_imports(IMPORTS, &wasm_file::imports(&module)?)?;
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

/// The module for NGINX, of the finished one for Envoy.
pub(crate) fn for_nginx(envoy: &Path) -> PathBuf {
    envoy.with_file_name(format!("{}_nginx.wasm", FILTER.library))
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
    let exports = [module.exports, module.nginx].concat();
    let mut build = toolchain.cargo();
    // The crate type is named here because link-time optimization is only done when it is the only one.
    build
        .args(["rustc", "--package", module.package])
        .args(["--lib", "--crate-type", "cdylib", "--release", "--locked"])
        .args(["--target", wasm_std::TARGET, "--"])
        .args(linker::rustc_args(&this, &toolchain.linker, &exports))
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
    let whole = wasm_file::without_custom_sections(&raw)?;
    check_exports(&exports, &wasm_file::exports(&whole)?)?;
    let bytes = wasm_file::with_exports(&whole, module.exports)?;
    check_exports(module.exports, &wasm_file::exports(&bytes)?)?;
    let folder = repo::target_dir().join(module.folder);
    at(fs::create_dir_all(&folder), "make the folder", &folder)?;
    let output = folder.join(&file);
    replace(&output, &bytes)?;
    if !module.nginx.is_empty() {
        replace(&for_nginx(&output), &whole)?;
    }
    Ok((output, bytes))
}

/// Writes the file in one step: a host that watches it must never see half of it.
fn replace(output: &Path, bytes: &[u8]) -> Outcome<()> {
    let unfinished = output.with_extension(std::process::id().to_string());
    at(fs::write(&unfinished, bytes), "write", &unfinished)?;
    at(fs::rename(&unfinished, output), "write", output)
}

/// Looks for imports that are not listed.
fn check_imports(listed: &[&str], found: &[String]) -> Outcome<()> {
    let mut found = found.iter();
    match found.find(|name| !listed.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!(
            "the filter imports {name}, which xtask/src/filter.rs does not list: NGINX may not have it"
        )),
    }
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
    fn imports_must_be_listed_ones() {
        let names = |name: &str| vec!["env.proxy_log".to_owned(), name.to_owned()];
        assert!(check_imports(IMPORTS, &names("env.proxy_get_property")).is_ok());
        let refused = check_imports(IMPORTS, &names("env.proxy_get_log_level"));
        assert!(refused.unwrap_err().contains("env.proxy_get_log_level"));
    }

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
