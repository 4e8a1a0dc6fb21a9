//! Proves that the core needs no standard library, by building it where there is none.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exec::{self, Outcome, SHORT, at};
use crate::tools::Cache;
use crate::wasm_std::{self, WasmToolchain};

/// The libraries that may be used, by the beginning of their file names.
const ALLOWED: &[&str] = &["libcore-", "liballoc-", "libcompiler_builtins-"];

/// The command that builds the core with only `core` and `alloc` to be found.
pub(crate) fn build_command(cache: &Cache) -> Outcome<Command> {
    let toolchain = wasm_std::ensure(cache)?;
    let sysroot = small_sysroot(&toolchain)?;
    prove(cache, &toolchain, &sysroot)?;
    let mut build = toolchain.cargo_with(Some(&sysroot));
    build
        .args([
            "build",
            "--package",
            "auth-edge",
            "--lib",
            "--no-default-features",
            "--locked",
        ])
        .args(["--target", wasm_std::TARGET])
        // Nothing of this is run, so optimizing it would be lost time.
        .args([
            "--config",
            "profile.dev.package.\"*\".opt-level=0",
            "--config",
            "profile.dev.debug=false",
        ])
        // The other builds of the same crates know another library and must not be taken for these.
        .env("CARGO_TARGET_DIR", toolchain.target_dir().join("no-std"));
    Ok(build)
}

/// A sysroot in which only the allowed libraries of the target are.
fn small_sysroot(toolchain: &WasmToolchain) -> Outcome<PathBuf> {
    let sysroot = toolchain.target_dir().join("core-and-alloc");
    let library = wasm_std::library_in(&sysroot);
    // It is made anew, so that what an earlier toolchain left there cannot mix with it.
    if sysroot.exists() {
        at(fs::remove_dir_all(&sysroot), "remove", &sysroot)?;
    }
    at(fs::create_dir_all(&library), "make the folder", &library)?;
    let mut linked = [false; ALLOWED.len()];
    for entry in at(fs::read_dir(&toolchain.library), "read", &toolchain.library)?.flatten() {
        let name = entry.file_name();
        let place = ALLOWED
            .iter()
            .position(|start| name.as_bytes().starts_with(start.as_bytes()));
        // Some toolchains keep what the compiler reads in a file beside the library.
        let kind = Path::new(&name).extension();
        if let Some(place) = place
            && kind.is_some_and(|kind| kind == "rlib" || kind == "rmeta")
        {
            let link = library.join(&name);
            at(
                std::os::unix::fs::symlink(entry.path(), &link),
                "make",
                &link,
            )?;
            linked[place] = true;
        }
    }
    if linked.iter().all(|found| *found) {
        Ok(sysroot)
    } else {
        Err(format!(
            "{} does not have all of {}",
            toolchain.library.display(),
            ALLOWED.join(", ")
        ))
    }
}

/// Makes sure that the proof proves something: with this sysroot `alloc` is found and `std` is not.
fn prove(cache: &Cache, toolchain: &WasmToolchain, sysroot: &Path) -> Outcome<()> {
    let work = cache.temporary()?;
    let compile = |name: &str, text: &str| {
        let source = work.0.join(name);
        at(fs::write(&source, text), "write", &source)?;
        let mut rustc = toolchain.rustc_with(sysroot);
        rustc
            .args(["--edition", "2024", "--crate-type", "lib", "--out-dir"])
            .arg(&work.0)
            .arg(&source);
        exec::capture(&mut rustc, SHORT)
    };
    compile(
        "with_alloc.rs",
        "#![no_std]\nextern crate alloc;\npub fn f() -> alloc::vec::Vec<u8> { alloc::vec![1] }\n",
    )?;
    match compile(
        "with_std.rs",
        "#![no_std]\nextern crate std;\npub fn f() -> std::time::Duration { todo!() }\n",
    ) {
        Err(why) if why.contains("E0463") => Ok(()),
        Err(why) => Err(format!(
            "a crate that uses std fails for another reason than that there is none: {why}"
        )),
        Ok(_) => Err("a crate that uses std compiles where there should be none".to_owned()),
    }
}
