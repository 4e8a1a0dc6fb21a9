//! Gets a toolchain whose standard library for Wasm is there, by whatever way this machine allows.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::exec::{self, LONG, Outcome, SHORT, at};
use crate::repo;
use crate::tools::{Cache, debian};

/// The target that everything here is about.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// rustup may have no way out of this machine, and then it tries for minutes.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// Debian's compiler, its cargo, the standard library's source and the linker for Wasm.
const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-19"];

/// Changes when the standard library is built in another way, so that old builds are not taken for new ones.
const RECIPE: &str = "2";

/// A toolchain that builds for Wasm.
pub(crate) struct WasmToolchain {
    /// Tells toolchains apart; build output of two of them never mixes.
    pub(crate) key: String,
    /// What `rustc --version` says.
    pub(crate) version: String,
    /// The linker for Wasm.
    pub(crate) linker: PathBuf,
    /// The folder with the target's standard library.
    pub(crate) library: PathBuf,
    rustc: Program,
    cargo: OsString,
    /// Where the standard library is, when that is not the compiler's own place.
    sysroot: Option<PathBuf>,
}

/// A compiler, and the folder with its shared libraries when the system does not know it.
struct Program {
    path: OsString,
    libraries: Option<PathBuf>,
}

impl Program {
    fn command(&self, path: &OsStr) -> Command {
        let mut command = Command::new(path);
        if let Some(folder) = &self.libraries {
            let mut folders = vec![folder.clone()];
            if let Some(before) = std::env::var_os("LD_LIBRARY_PATH") {
                folders.extend(
                    std::env::split_paths(&before).filter(|folder| !folder.as_os_str().is_empty()),
                );
            }
            if let Ok(joined) = std::env::join_paths(folders) {
                command.env("LD_LIBRARY_PATH", joined);
            }
        }
        command
    }

    fn ask(&self, arguments: &[&str]) -> Outcome<String> {
        let text = exec::capture(self.command(&self.path).args(arguments), SHORT)?;
        Ok(text.trim().to_owned())
    }
}

impl WasmToolchain {
    /// A `cargo` with which a plain `build --release --target wasm32-unknown-unknown` works in the repository.
    pub(crate) fn cargo(&self) -> Command {
        self.cargo_with(self.sysroot.as_deref())
    }

    /// The same with the standard library of another folder.
    pub(crate) fn cargo_with(&self, sysroot: Option<&Path>) -> Command {
        self.command(&self.cargo, sysroot)
    }

    /// A program that calls others by name: `cargo` and `rustc`, with which it builds as [`Self::cargo`] does,
    /// and `tools`, the paths of more.
    pub(crate) fn program(&self, program: &Path, tools: &[&Path]) -> Outcome<Command> {
        let mut command = self.command(program.as_os_str(), self.sysroot.as_deref());
        let mut folders = vec![self.by_name(tools)?];
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        let joined = std::env::join_paths(folders)
            .map_err(|why| format!("cannot name the tools in PATH: {why}"))?;
        command.env("PATH", joined);
        Ok(command)
    }

    /// A folder for `PATH` with the tools in it; their own folders may hold another `cargo`.
    fn by_name(&self, tools: &[&Path]) -> Outcome<PathBuf> {
        let folder = self.target_dir().join("bin");
        at(fs::create_dir_all(&folder), "make the folder", &folder)?;
        for tool in tools {
            let name = tool.file_name().unwrap_or_default();
            script(&folder.join(name), tool.as_os_str(), None)?;
        }
        // Without a sysroot of its own, this toolchain is what `PATH` has already.
        if let Some(sysroot) = &self.sysroot {
            // A program that asks the compiler for the target's library is to be shown this one. What cargo
            // builds gets it by the flags, which keep it from build scripts.
            script(&folder.join("rustc"), &self.rustc.path, Some(sysroot))?;
            script(&folder.join("cargo"), &self.cargo, None)?;
        }
        Ok(folder)
    }

    fn command(&self, program: &OsStr, sysroot: Option<&Path>) -> Command {
        let mut command = self.rustc.command(program);
        repo::forget_package(&mut command);
        command.current_dir(repo::root());
        // With a target given, cargo uses these flags for that target alone, so that procedural macros and
        // build scripts keep the compiler's own library. They also keep flags of the caller out.
        command
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags(sysroot));
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        command.env("CARGO_TARGET_DIR", self.target_dir());
        if self.sysroot.is_some() {
            // A compiler of the distribution: nothing of rustup's may reach it.
            for name in [
                "RUSTUP_TOOLCHAIN",
                "CARGO",
                "RUSTC_WRAPPER",
                "RUSTC_WORKSPACE_WRAPPER",
                "RUSTDOC",
            ] {
                command.env_remove(name);
            }
            command.env("RUSTC", &self.rustc.path);
        }
        command
    }

    /// The compiler with the standard library of a folder.
    pub(crate) fn rustc_with(&self, sysroot: &Path) -> Command {
        let mut command = self.rustc.command(&self.rustc.path);
        command.args(["--target", TARGET, "--sysroot"]).arg(sysroot);
        command
    }

    /// Build output of this toolchain.
    pub(crate) fn target_dir(&self) -> PathBuf {
        repo::target_dir().join(format!("wasm-{}", self.key))
    }
}

/// Finds or makes a toolchain for Wasm; AUTH_EDGE_WASM_STD may force the way.
pub(crate) fn ensure(cache: &Cache) -> Outcome<WasmToolchain> {
    let way = std::env::var("AUTH_EDGE_WASM_STD").unwrap_or_default();
    let ways: &[Way] = match way.as_str() {
        "" | "auto" => &[Way::Installed, Way::Rustup, Way::Debian],
        "installed" => &[Way::Installed],
        "rustup" => &[Way::Rustup],
        "debian" => &[Way::Debian],
        other => {
            return Err(format!(
                "AUTH_EDGE_WASM_STD is `{other}`, not auto, installed, rustup or debian"
            ));
        }
    };
    let mut tried = String::new();
    for way in ways {
        let (name, outcome) = match way {
            Way::Installed => ("the active toolchain", installed()),
            Way::Rustup => ("rustup target add", rustup().and_then(|()| installed())),
            Way::Debian => ("Debian's sources", debian(cache)),
        };
        match outcome {
            Ok(toolchain) => {
                exec::say(&format!(
                    "  Wasm is built by {} ({name})",
                    toolchain.version
                ));
                return Ok(toolchain);
            }
            Err(why) => {
                if !matches!(way, Way::Installed) {
                    exec::say(&format!(
                        "  {name}: {}",
                        why.lines().next().unwrap_or_default()
                    ));
                }
                tried.push_str(&format!("\n- {name}: {why}"));
            }
        }
    }
    Err(format!(
        "no standard library for {TARGET}. Install one with `rustup target add {TARGET}`, or on Debian the \
         packages {} (or run again with --install). Tried:{tried}",
        PACKAGES.join(" ")
    ))
}

#[derive(Clone, Copy)]
enum Way {
    Installed,
    Rustup,
    Debian,
}

/// The toolchain in use, when it has the target.
fn installed() -> Outcome<WasmToolchain> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let rustc = Program {
        path: rustc,
        libraries: None,
    };
    let sysroot = PathBuf::from(rustc.ask(&["--print", "sysroot"])?);
    let library = library_in(&sysroot);
    if !has_std(&library) {
        return Err(format!("{} has no rlibs", library.display()));
    }
    let identity = rustc.ask(&["-vV"])?;
    let host = identity
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap_or_default();
    let own = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    let linker = if exec::is_executable(&own) {
        own
    } else {
        let names = ["rust-lld", "wasm-ld", "lld"];
        let found = names.iter().find_map(|name| exec::on_path(name));
        found.ok_or_else(|| {
            format!(
                "{} is not there, nor one of {} on PATH",
                own.display(),
                names.join(", ")
            )
        })?
    };
    Ok(WasmToolchain {
        key: exec::short_hash(&identity)?,
        version: identity.lines().next().unwrap_or_default().to_owned(),
        linker,
        library,
        rustc,
        cargo: std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")),
        sysroot: None,
    })
}

fn rustup() -> Outcome<()> {
    if exec::on_path("rustup").is_none() {
        return Err("rustup is not on PATH".to_owned());
    }
    exec::capture(
        Command::new("rustup").args(["target", "add", TARGET]),
        RUSTUP_LIMIT,
    )
    .map(|_| ())
}

/// The distribution's compiler, with a standard library built from the distribution's source.
fn debian(cache: &Cache) -> Outcome<WasmToolchain> {
    let root = debian::packages(cache, PACKAGES, trim_source)?;
    let unpacked = root != Path::new("/");
    let libraries = if unpacked {
        Some(shared_libraries(&root)?)
    } else {
        None
    };
    let rustc = Program {
        path: root.join("usr/bin/rustc").into(),
        libraries,
    };
    let cargo = root.join("usr/bin/cargo");
    let linker = root.join("usr/bin/wasm-ld-19");
    let identity = rustc.ask(&["-vV"])?;
    // The remapped paths of the source show in the library, so its key need not tell where it was unpacked.
    let key = exec::short_hash(format!("{identity}\n{RECIPE}"))?;
    let version = identity.lines().next().unwrap_or_default().to_owned();
    let sysroot = cache.entry(&format!("wasm-std/{key}"), |folder| {
        exec::say(&format!(
            "  building the standard library for Wasm with {version}"
        ));
        build_std(cache, &rustc, cargo.as_os_str(), folder)?;
        try_out(cache, &rustc, &linker, folder)
    })?;
    Ok(WasmToolchain {
        key,
        version,
        linker,
        library: library_in(&sysroot),
        rustc,
        cargo: cargo.into(),
        sysroot: Some(sysroot),
    })
}

/// Builds the standard library and lays its rlibs out as a sysroot.
fn build_std(cache: &Cache, rustc: &Program, cargo: &OsStr, sysroot: &Path) -> Outcome<()> {
    let work = cache.temporary()?;
    let work = &work.0;
    let own = PathBuf::from(rustc.ask(&["--print", "sysroot"])?);
    let link = own.join("lib/rustlib/src/rust");
    let source = at(
        fs::canonicalize(&link),
        "find the standard library's source",
        &link,
    )?;
    let write =
        |name: &str, text: &str| at(fs::write(work.join(name), text), "write", work.join(name));
    for folder in ["src", ".cargo", "home"] {
        at(
            fs::create_dir_all(work.join(folder)),
            "make the folder",
            work,
        )?;
    }
    write("src/lib.rs", "#![no_std]\n")?;
    write(
        "Cargo.toml",
        "[package]\nname = \"wasm-std\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.release]\nopt-level = 3\n",
    )?;
    // What the library depends on lies beside its source, so that nothing is fetched.
    let vendor = quoted(&source.join("library/vendor"))?;
    write(
        ".cargo/config.toml",
        &format!(
            "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = {vendor}\n"
        ),
    )?;
    let mut build = rustc.command(cargo);
    for (name, _) in std::env::vars_os() {
        // Settings of the caller, or of the cargo that runs this program, are not for this build.
        let text = name.to_string_lossy();
        if text.starts_with("CARGO") || text.starts_with("RUST") {
            build.env_remove(&name);
        }
    }
    // Without its bitcode the library could not take part in link-time optimization.
    let mut flags = vec![OsString::from("-Cembed-bitcode=yes")];
    // Cargo names the source by the link, and what is vendored beside it by the place it leads to.
    for folder in [&link, &source] {
        flags.push(remap(folder, "/rustc/source"));
    }
    build
        .args([
            "build",
            "--quiet",
            "--release",
            "--offline",
            "-Zbuild-std=std,panic_abort",
            "--target",
            TARGET,
        ])
        .current_dir(work)
        .env("RUSTC", &rustc.path)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_HOME", work.join("home"))
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env("CARGO_ENCODED_RUSTFLAGS", joined(&flags));
    exec::capture(&mut build, LONG)?;
    let library = library_in(sysroot);
    at(fs::create_dir_all(&library), "make the folder", &library)?;
    let built = work.join("target").join(TARGET).join("release/deps");
    for entry in at(fs::read_dir(&built), "read", &built)?.flatten() {
        let name = entry.file_name();
        let bytes = name.as_bytes();
        if bytes.ends_with(b".rlib") && !bytes.starts_with(b"libwasm_std-") {
            at(
                fs::rename(entry.path(), library.join(&name)),
                "move",
                entry.path(),
            )?;
        }
    }
    Ok(())
}

/// Links a small module with the new library, so that one that does not work is never kept.
fn try_out(cache: &Cache, rustc: &Program, linker: &Path, sysroot: &Path) -> Outcome<()> {
    let work = cache.temporary()?;
    let source = work.0.join("probe.rs");
    let text = "#[unsafe(no_mangle)]\npub extern \"C\" fn probe(n: usize) -> usize {\n    \
        let map: std::collections::HashMap<usize, String> = (0..n).map(|i| (i, i.to_string())).collect();\n    \
        map.len()\n}\n";
    at(fs::write(&source, text), "write", &source)?;
    let mut linker_arg = OsString::from("-Clinker=");
    linker_arg.push(linker);
    let mut compile = rustc.command(&rustc.path);
    compile
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "-O",
            "-Cpanic=abort",
            "-Clto=fat",
        ])
        .args(["--target", TARGET, "--sysroot"])
        .arg(sysroot)
        .arg(linker_arg)
        .arg("-o")
        .arg(work.0.join("probe.wasm"))
        .arg(&source);
    exec::capture(&mut compile, LONG).map(|_| ())
}

/// Removes the larger part of the compiler's source: only the standard library's is needed.
fn trim_source(root: &Path) -> Outcome<()> {
    let folder = root.join("usr/src");
    for entry in at(fs::read_dir(&folder), "read", &folder)?.flatten() {
        for part in ["compiler", "src", "tests", "debian"] {
            let part = entry.path().join(part);
            if part.is_dir() {
                at(fs::remove_dir_all(&part), "remove", &part)?;
            }
        }
    }
    Ok(())
}

/// The folder of the unpacked packages that holds shared libraries, such as `usr/lib/x86_64-linux-gnu`.
fn shared_libraries(root: &Path) -> Outcome<PathBuf> {
    let folder = root.join("usr/lib");
    let mut entries = at(fs::read_dir(&folder), "read", &folder)?.flatten();
    let found = entries.find(|entry| entry.file_name().as_bytes().ends_with(b"-linux-gnu"));
    found
        .map(|entry| entry.path())
        .ok_or_else(|| format!("{} has no folder of shared libraries", folder.display()))
}

/// The folder of a sysroot in which the target's libraries are.
pub(crate) fn library_in(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET).join("lib")
}

fn has_std(library: &Path) -> bool {
    let Ok(entries) = fs::read_dir(library) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name.as_bytes().starts_with(b"libstd-") && name.as_bytes().ends_with(b".rlib")
    })
}

/// The flags for every crate of the target, in the form cargo reads from its environment.
fn flags(sysroot: Option<&Path>) -> OsString {
    let mut flags = Vec::new();
    if let Some(sysroot) = sysroot {
        flags.push(OsString::from("--sysroot"));
        flags.push(sysroot.as_os_str().to_owned());
    }
    // Messages of panics name files; where this machine keeps them is nobody's business, and the module is
    // the same wherever it is built. A mirror's crates lie in a folder with the mirror's name.
    for folder in repo::registries() {
        flags.push(remap(&folder, "/crates"));
    }
    // Of two that fit, the compiler takes the one that is named last.
    flags.push(remap(&repo::root(), "/auth-edge"));
    flags.push(remap(&repo::target_dir(), "/auth-edge/target"));
    joined(&flags)
}

/// The flag that has the compiler write `name` where it would write `folder`.
fn remap(folder: &Path, name: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(folder);
    flag.push("=");
    flag.push(name);
    flag
}

/// Joins flags the way CARGO_ENCODED_RUSTFLAGS wants them, which lets them contain spaces.
fn joined(flags: &[impl AsRef<OsStr>]) -> OsString {
    let mut text = OsString::new();
    for (position, flag) in flags.iter().enumerate() {
        if position > 0 {
            text.push("\u{1f}");
        }
        text.push(flag);
    }
    text
}

/// Writes a script that becomes a program, with a sysroot where one is given.
fn script(file: &Path, program: &OsStr, sysroot: Option<&Path>) -> Outcome<()> {
    let mut text = format!("#!/bin/sh\nexec {}", quoted(Path::new(program))?);
    if let Some(sysroot) = sysroot {
        text.push_str(&format!(" --sysroot {}", quoted(sysroot)?));
    }
    text.push_str(" \"$@\"\n");
    // Renamed into place: another run may be starting the one that is there.
    let unfinished = file.with_extension(std::process::id().to_string());
    at(fs::write(&unfinished, text), "write", &unfinished)?;
    let mode = fs::Permissions::from_mode(0o755);
    at(
        fs::set_permissions(&unfinished, mode),
        "make executable",
        &unfinished,
    )?;
    at(fs::rename(&unfinished, file), "write", file)
}

/// A path in single quotes, which TOML and the shell read alike.
fn quoted(path: &Path) -> Outcome<String> {
    match path.to_str() {
        Some(text) if !text.contains(['\'', '\n']) => Ok(format!("'{text}'")),
        _ => Err(format!(
            "{} cannot be named in a configuration of cargo or in a script",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_may_contain_spaces() {
        assert_eq!(joined(&["-a", "b c"]), OsString::from("-a\u{1f}b c"));
        let flags = flags(Some(Path::new("/a b")))
            .to_string_lossy()
            .into_owned();
        assert!(
            flags.starts_with("--sysroot\u{1f}/a b\u{1f}--remap-path-prefix="),
            "{flags}"
        );
    }

    #[test]
    fn a_script_puts_the_sysroot_before_what_it_is_given() {
        let folder = std::env::temp_dir().join(format!("auth-edge-script-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("echo");
        script(&file, OsStr::new("/bin/echo"), Some(Path::new("/a b"))).unwrap();
        let said = exec::capture(Command::new(&file).args(["x", "y z"]), SHORT);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(said.unwrap(), "--sysroot /a b x y z\n");
    }

    #[test]
    fn paths_are_quoted_or_refused() {
        assert_eq!(quoted(Path::new("/a\\b")).unwrap(), "'/a\\b'");
        assert!(quoted(Path::new("/a'b")).is_err());
    }
}
