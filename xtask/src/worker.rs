//! Builds the Cloudflare Worker as its users do, and has wrangler do what it does before a deployment.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::exec::{self, LONG, Outcome, at};
use crate::repo;
use crate::tools::{Cache, node, worker_build};
use crate::wasm_std::{self, WasmToolchain};

/// The configuration of the Worker, in the repository.
const WRANGLER_TOML: &str = "wrangler.toml";

/// Where the build puts what is deployed.
const OUTPUT: &str = "worker/build";

/// The Worker that only forwards.
const FORWARD_ONLY: &str = "tests/peers/worker/forward-only";

/// What is deployed, in the folder of the build: the program, and the module it loads.
const SCRIPT: &str = "index.js";
const MODULE: &str = "index_bg.wasm";

/// The largest Worker that is accepted, compressed, in bytes. The platform takes 3 MiB without a paid plan;
/// a larger one takes longer to start.
const LIMIT: usize = 320 * 1024;

/// What builds the Worker and runs it.
pub(crate) struct Kit {
    pub(crate) node: PathBuf,
    /// The folder above `node_modules`.
    pub(crate) npm_root: PathBuf,
    pub(crate) programs: worker_build::Programs,
}

impl Kit {
    /// Finds or fetches everything.
    pub(crate) fn find(cache: &Cache) -> Outcome<Self> {
        Ok(Self {
            node: node::node(cache)?,
            npm_root: node::npm_ci(cache, node::WORKER)?,
            programs: worker_build::programs(cache)?,
        })
    }

    /// A program of an npm package.
    fn npm_program(&self, name: &str) -> PathBuf {
        self.npm_root.join("node_modules/.bin").join(name)
    }

    /// A program in whose surroundings the command of `wrangler.toml` works without fetching anything.
    fn command(&self, toolchain: &WasmToolchain, program: &Path) -> Outcome<Command> {
        // The programs of npm are scripts, which look for Node.js by name.
        let mut command = toolchain.program(program, &[&self.programs.worker_build, &self.node])?;
        command
            .env("WASM_BINDGEN_BIN", &self.programs.wasm_bindgen)
            .env("WASM_OPT_BIN", self.npm_program("wasm-opt"))
            .env("ESBUILD_BIN", self.npm_program("esbuild"));
        Ok(command)
    }
}

/// Builds the Worker with the command that wrangler would run, measures what it made, and gives its folder.
pub(crate) fn build(cache: &Cache, kit: &Kit) -> Outcome<PathBuf> {
    let file = repo::root().join(WRANGLER_TOML);
    let text = at(fs::read_to_string(&file), "read", &file)?;
    let line = build_command(&text)
        .ok_or_else(|| format!("{} has no `[build]` with a `command`", file.display()))?;
    let toolchain = wasm_std::ensure(cache)?;
    ensure_locked(&toolchain, &repo::root())?;
    // wrangler gives the line to a shell too.
    let mut build = kit.command(&toolchain, Path::new("sh"))?;
    exec::stream(build.args(["-c", line]), LONG)?;
    let output = output_folder();
    check_size(&output)?;
    Ok(output)
}

/// The folder with what `build` made.
pub(crate) fn output_folder() -> PathBuf {
    repo::root().join(OUTPUT)
}

/// Builds the Worker that only forwards, with which the Worker is compared; gives the folder of the build.
pub(crate) fn build_forward_only(cache: &Cache, kit: &Kit) -> Outcome<PathBuf> {
    let package = repo::root().join(FORWARD_ONLY);
    let toolchain = wasm_std::ensure(cache)?;
    ensure_locked(&toolchain, &package)?;
    let mut build = kit.command(&toolchain, &kit.programs.worker_build)?;
    build
        .arg("--release")
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", repo::target_dir());
    exec::stream(&mut build, LONG)?;
    Ok(package.join("build"))
}

/// Refuses a lock file that does not fit, which worker-build would have cargo write anew.
fn ensure_locked(toolchain: &WasmToolchain, package: &Path) -> Outcome<()> {
    let mut resolve = toolchain.cargo();
    resolve
        .current_dir(package)
        .args(["metadata", "--format-version", "1", "--locked"]);
    exec::capture(resolve.args(["--filter-platform", wasm_std::TARGET]), LONG).map(|_| ())
}

/// Has wrangler build the Worker and make what it would deploy, without deploying it.
///
/// The folder of the build, which is returned, then holds what users deploy.
pub(crate) fn dry_run(cache: &Cache, kit: &Kit) -> Outcome<PathBuf> {
    let work = cache.temporary()?;
    let (home, output) = (work.0.join("home"), work.0.join("output"));
    at(fs::create_dir_all(&home), "make the folder", &home)?;
    let toolchain = wasm_std::ensure(cache)?;
    let mut wrangler = kit.command(&toolchain, &kit.node)?;
    keep_to_itself(&mut wrangler, &home);
    wrangler
        .arg(kit.npm_root.join("node_modules/wrangler/bin/wrangler.js"))
        .args(["deploy", "--dry-run", "--outdir"])
        .arg(&output);
    exec::stream(&mut wrangler, LONG)?;
    let built = output_folder();
    let module = built.join(MODULE);
    if modules(&output)? == [at(fs::read(&module), "read", &module)?] {
        Ok(built)
    } else {
        Err(format!(
            "what wrangler would deploy does not have {} as its only module",
            module.display()
        ))
    }
}

/// The command that runs the tests for Node.js, on the Worker in the folder `built`.
///
/// They run in a folder where they find their packages, which lie in the cache.
pub(crate) fn node_tests(kit: &Kit, built: &Path) -> Outcome<Command> {
    let source = repo::root().join(node::WORKER);
    let folder = repo::target_dir().join("worker-tests");
    if folder.exists() {
        at(fs::remove_dir_all(&folder), "remove", &folder)?;
    }
    at(fs::create_dir_all(&folder), "make the folder", &folder)?;
    for entry in at(fs::read_dir(&source), "read", &source)?.flatten() {
        let file = entry.path();
        if file.extension().is_some_and(|end| end == "mjs") {
            at(
                fs::copy(&file, folder.join(entry.file_name())),
                "copy",
                &file,
            )?;
        }
    }
    let (packages, link) = (
        kit.npm_root.join("node_modules"),
        folder.join("node_modules"),
    );
    at(symlink(packages, &link), "make", &link)?;
    let mut tests = Command::new(&kit.node);
    tests
        .args(["--test", "--test-reporter=spec", "*.test.mjs"])
        .current_dir(folder)
        .env("AUTH_EDGE_WORKER", built)
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
    Ok(tests)
}

/// Has wrangler tell nobody of itself and write nothing into the home of who runs it.
fn keep_to_itself(wrangler: &mut Command, home: &Path) {
    // Cargo and rustup are still to be found in the real home.
    if let Some(folder) = repo::cargo_home() {
        wrangler.env("CARGO_HOME", folder);
    }
    if let Some(real) = std::env::var_os("HOME").map(PathBuf::from)
        && std::env::var_os("RUSTUP_HOME").is_none()
    {
        wrangler.env("RUSTUP_HOME", real.join(".rustup"));
    }
    wrangler
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        // With CI it never asks; its banner asks the registry for a newer version.
        .env("CI", "true")
        .env("WRANGLER_HIDE_BANNER", "true")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_SEND_ERROR_REPORTS", "false")
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
}

/// The Wasm modules in a folder.
fn modules(folder: &Path) -> Outcome<Vec<Vec<u8>>> {
    let entries = at(fs::read_dir(folder), "read", folder)?;
    let files = entries.flatten().map(|entry| entry.path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "wasm"))
        .map(|file| at(fs::read(&file), "read", &file))
        .collect()
}

/// Prints what the Worker takes, and refuses one above the limit.
fn check_size(output: &Path) -> Outcome<()> {
    let (mut raw, mut compressed) = (Vec::new(), 0);
    for name in [SCRIPT, MODULE] {
        let file = output.join(name);
        let size = at(fs::metadata(&file), "read", &file)?.len();
        raw.push(format!("{name} {size}"));
        compressed += gzipped(&file)?;
    }
    exec::say(&format!(
        "  Worker: {}, bytes: {}; {compressed} with gzip (limit {LIMIT})",
        output.display(),
        raw.join(", "),
    ));
    within_limit(compressed)
}

fn within_limit(compressed: usize) -> Outcome<()> {
    if compressed <= LIMIT {
        return Ok(());
    }
    Err(format!(
        "the Worker has {compressed} bytes with gzip, more than the limit of {LIMIT}"
    ))
}

/// The size of a file after `gzip -9`, in bytes.
fn gzipped(file: &Path) -> Outcome<usize> {
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "--no-name", "--stdout", "--"]).arg(file);
    let output = at(gzip.stdin(Stdio::null()).output(), "run", "gzip")?;
    if output.status.success() {
        Ok(output.stdout.len())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "`gzip` failed ({}): {}",
            output.status,
            said.trim()
        ))
    }
}

/// The value of `command` in the table `[build]` of a `wrangler.toml`: a basic string without escapes.
fn build_command(text: &str) -> Option<&str> {
    let mut table = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            table = line;
        } else if table == "[build]"
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == "command"
        {
            let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
            return (!value.contains(['"', '\\'])).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_command_is_that_of_its_table() {
        let text = "main = \"a.js\"\n[other]\ncommand = \"no\"\n[build]\ncwd = \".\"\ncommand = \"make it\"\n";
        assert_eq!(build_command(text), Some("make it"));
        assert_eq!(build_command("command = \"no\"\n"), None);
        assert_eq!(build_command("[build]\n# command = \"no\"\n"), None);
        assert_eq!(
            build_command("[build]\ncommand = \"echo \\\"x\\\"\"\n"),
            None
        );
    }

    #[test]
    fn a_worker_above_the_limit_is_refused() {
        assert!(within_limit(327_680).is_ok());
        let why = within_limit(327_681).unwrap_err();
        assert!(why.contains("327681") && why.contains("327680"), "{why}");
    }

    #[test]
    fn what_is_compressed_is_measured_in_bytes() {
        let file = std::env::temp_dir().join(format!("auth-edge-gzip-{}", std::process::id()));
        fs::write(&file, [0xff; 100_000]).unwrap();
        let size = gzipped(&file);
        fs::remove_file(&file).unwrap();
        let size = size.unwrap();
        assert!((50..1000).contains(&size), "{size}");
        assert!(gzipped(&file).unwrap_err().contains("gzip"));
    }

    #[test]
    fn wrangler_keeps_out_of_the_home() {
        let mut command = Command::new("wrangler");
        keep_to_itself(&mut command, Path::new("/tmp/other"));
        let mut set = command.get_envs();
        assert!(set.any(|(name, value)| name == "HOME" && value == Some("/tmp/other".as_ref())));
    }
}
