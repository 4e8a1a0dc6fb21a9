//! Puts a configuration into the bundle, when there is one at build time, and keeps a section that is needed.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Names the file, from the top of the repository.
const VARIABLE: &str = "AUTH_EDGE_CONFIG_FILE";

fn main() -> io::Result<()> {
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        // The release is stripped, and of this section `wasm-bindgen` reads which features of Wasm it may use.
        println!("cargo::rustc-link-arg-cdylib=--keep-section=target_features");
    }
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let text = match env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
        None => Vec::new(),
        Some(name) => {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
            println!("cargo::rerun-if-changed={}", file.display());
            fs::read(&file).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", file.display()))
            })?
        }
    };
    let output = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    fs::write(output.join("config.json"), text)
}
