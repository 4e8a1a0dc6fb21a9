//! Keeps a section that `wasm-bindgen` reads and the release would lose.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=--keep-section=target_features");
    }
}
