//! `cargo xtask dist`: everything of a release of the filter, the same bytes wherever it is made.

mod archive;
mod crates;
mod oci;
mod sbom;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::crates::Linked;
use crate::exec::{self, LONG, Outcome, at};
use crate::tools::Cache;
use crate::wasm_std::{self, WasmToolchain};
use crate::{filter, repo};

/// The name of the module in a release.
const MODULE: &str = "auth_edge_filter.wasm";

/// The schema of the configuration, in the repository.
const SCHEMA: &str = "docs/config.schema.json";

/// The digests of all other files.
const SUMS: &str = "SHA256SUMS";

/// Reads a finished release with Python's libraries, none of which wrote it.
const CHECK: &str = include_str!("dist/check.py");

/// Folders that are no source of a release.
const NOT_COPIED: [&str; 3] = [".git", "node_modules", "target"];

/// Builds the filter and writes the release to `target/dist`, which is returned.
pub(crate) fn dist(cache: &Cache) -> Outcome<PathBuf> {
    let toolchain = wasm_std::ensure(cache)?;
    let wasm = filter::build_filter_with(&toolchain)?;
    let output = repo::target_dir().join("dist");
    write(&repo::root(), &toolchain, &wasm, &output)?;
    check(&output)?;
    exec::say(&format!("  release: {}", output.display()));
    Ok(output)
}

/// Makes a release, makes it once more elsewhere, and compares the two.
///
/// The second one is of a copy of the sources, with another folder for build output, another home of
/// cargo and another place of this program, so that none of these can show in what is made. The
/// compiler is the same.
pub(crate) fn prove(cache: &Cache) -> Outcome<()> {
    let first = dist(cache)?;
    let work = cache.temporary()?;
    let work = &work.0;
    let (copy, built, home) = (
        work.join("other sources"),
        work.join("built"),
        work.join("home"),
    );
    copy_sources(&repo::root(), &copy)?;
    mirror_home(&home)?;
    let this = work.join("xtask");
    let own = at(std::env::current_exe(), "find", "this program")?;
    at(fs::copy(&own, &this), "copy", &own)?;
    exec::say(&format!(
        "  building it a second time, from nothing, in {} (some two minutes)",
        work.display()
    ));
    let mut again = Command::new(&this);
    again
        .arg("wasm")
        .current_dir(&copy)
        .env("CARGO_MANIFEST_DIR", copy.join("xtask"))
        .env("CARGO_TARGET_DIR", &built)
        .env("CARGO_HOME", &home);
    exec::stream(&mut again, LONG)?;
    let toolchain = wasm_std::ensure(cache)?;
    let second = work.join("dist");
    write(
        &copy,
        &toolchain,
        &built.join("filter").join(MODULE),
        &second,
    )?;
    compare(&first, &second)?;
    let compiled = compiled_crates(&built)?;
    let listed: BTreeSet<String> = crates::linked(&toolchain, &copy)?
        .into_iter()
        .map(|found| found.name)
        .collect();
    if compiled != listed {
        return Err(format!(
            "the crates that were compiled for the module and those of the list differ: {:?}",
            compiled.symmetric_difference(&listed).collect::<Vec<_>>()
        ));
    }
    exec::say(&format!(
        "  both have the same bytes; {} crates were compiled for the module, and exactly these are listed",
        compiled.len()
    ));
    Ok(())
}

/// Writes the release of the sources in `root`, whose module is `wasm`, to the folder `output`.
fn write(root: &Path, toolchain: &WasmToolchain, wasm: &Path, output: &Path) -> Outcome<()> {
    let crates = crates::linked(toolchain, root)?;
    let module = at(fs::read(wasm), "read", wasm)?;
    put(files(root, &crates, module, &toolchain.version)?, output)
}

/// The files of a release, by name in order of the alphabet, and the list of their digests as the last.
///
/// `crates` are those in `module`, which the compiler with the version `rustc` has built.
fn files(
    root: &Path,
    crates: &[Linked],
    module: Vec<u8>,
    rustc: &str,
) -> Outcome<Vec<(String, Vec<u8>)>> {
    let filter = crates.first().ok_or("there is no crate in the module")?;
    let image = oci::image(&module, &filter.version)?;
    let bill = sbom::cyclonedx(filter, crates, &exec::sha256_of(&module)?, rustc);
    let schema = root.join(SCHEMA);
    let mut files = vec![
        (
            "LICENSES.txt".to_owned(),
            crates::licences(root, crates)?.into_bytes(),
        ),
        (MODULE.to_owned(), module),
        (
            "config.schema.json".to_owned(),
            at(fs::read(&schema), "read", &schema)?,
        ),
        ("oci.tar".to_owned(), archive::tar(&image)),
        ("sbom.cdx.json".to_owned(), bill.into_bytes()),
    ];
    let layout = image.into_iter();
    files.extend(layout.map(|(name, bytes)| (format!("oci/{name}"), bytes)));
    files.sort();
    let mut sums = String::new();
    for (name, bytes) in &files {
        sums.push_str(&format!("{}  {name}\n", exec::sha256_of(bytes)?));
    }
    files.push((SUMS.to_owned(), sums.into_bytes()));
    Ok(files)
}

/// Puts files into a folder, in place of what was there.
fn put(files: Vec<(String, Vec<u8>)>, output: &Path) -> Outcome<()> {
    if output.exists() {
        at(fs::remove_dir_all(output), "remove", output)?;
    }
    for (name, bytes) in files {
        let file = output.join(name);
        if let Some(folder) = file.parent() {
            at(fs::create_dir_all(folder), "make the folder", folder)?;
        }
        at(fs::write(&file, bytes), "write", &file)?;
    }
    Ok(())
}

/// Has Python read a release, with readers of their own for every format.
fn check(output: &Path) -> Outcome<()> {
    let mut python = Command::new("python3");
    // Isolated: neither the folder it runs in nor the environment adds to its libraries.
    python
        .args(["-I", "-c", CHECK])
        .arg(output)
        .arg(repo::root());
    let said = exec::capture(&mut python, LONG)?;
    exec::say(&format!("  {}", said.trim()));
    Ok(())
}

/// Compares two releases by the digests of all their files.
fn compare(first: &Path, second: &Path) -> Outcome<()> {
    let read = |folder: &Path| {
        let file = folder.join(SUMS);
        at(fs::read_to_string(&file), "read", &file)
    };
    let (first, second) = (read(first)?, read(second)?);
    let (first, second): (BTreeSet<&str>, BTreeSet<&str>) =
        (first.lines().collect(), second.lines().collect());
    let differing: Vec<&&str> = first.symmetric_difference(&second).collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the two releases differ, so it depends on where it is made: {differing:?}"
    ))
}

/// The packages that were compiled for Wasm into a fresh folder of build output.
///
/// Cargo keeps a folder for each of them, named by the package and a hash.
fn compiled_crates(target_dir: &Path) -> Outcome<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for folder in at(fs::read_dir(target_dir), "read", target_dir)?.flatten() {
        let fingerprints = folder
            .path()
            .join(wasm_std::TARGET)
            .join("release/.fingerprint");
        if !fingerprints.is_dir() {
            continue;
        }
        for entry in at(fs::read_dir(&fingerprints), "read", &fingerprints)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            names.extend(name.rsplit_once('-').map(|(package, _)| package.to_owned()));
        }
    }
    if names.is_empty() {
        return Err(format!(
            "{} has no list of compiled crates",
            target_dir.display()
        ));
    }
    Ok(names)
}

/// Copies the sources of the repository.
fn copy_sources(from: &Path, to: &Path) -> Outcome<()> {
    at(fs::create_dir_all(to), "make the folder", to)?;
    for entry in at(fs::read_dir(from), "read", from)?.flatten() {
        let (name, from) = (entry.file_name(), entry.path());
        let to = to.join(&name);
        if NOT_COPIED.iter().any(|not| name == *not) {
            continue;
        }
        if from.is_dir() {
            copy_sources(&from, &to)?;
        } else {
            at(fs::copy(&from, &to), "copy", &from)?;
        }
    }
    Ok(())
}

/// Makes another home of cargo, with everything that is in the one in use.
fn mirror_home(home: &Path) -> Outcome<()> {
    at(fs::create_dir_all(home), "make the folder", home)?;
    let Some(own) = repo::cargo_home() else {
        return Ok(());
    };
    for entry in at(fs::read_dir(&own), "read", &own)?.flatten() {
        at(
            symlink(entry.path(), home.join(entry.file_name())),
            "link",
            entry.path(),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Temporary;

    fn folder(name: &str) -> Temporary {
        let name = format!("auth-edge-dist-{}-{name}", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }

    fn linked(name: &str, with: &[usize]) -> Linked {
        Linked {
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
            checksum: None,
            with: with.to_vec(),
        }
    }

    #[test]
    fn a_release_is_read_back_and_a_changed_one_is_refused() {
        let release = folder("read-back");
        let crates = [linked("filter", &[1]), linked("core", &[])];
        // Longer than a stored block, and no multiple of a block of tar.
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.resize(100_001, 7);
        let made = || {
            files(
                &repo::root(),
                &crates,
                module.clone(),
                "rustc 1.95.0 (0 2026-04-14)",
            )
            .unwrap()
        };
        put(made(), &release.0).unwrap();
        check(&release.0).unwrap();
        let names: Vec<String> = made().into_iter().map(|(name, _)| name).collect();
        for changed in &names {
            put(made(), &release.0).unwrap();
            let file = release.0.join(changed);
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&file, bytes).unwrap();
            assert!(check(&release.0).is_err(), "{changed}");
        }
        put(made(), &release.0).unwrap();
        fs::write(release.0.join("more"), "").unwrap();
        assert!(check(&release.0).unwrap_err().contains("every file"));
    }

    #[test]
    fn releases_that_differ_in_one_file_are_told_apart() {
        let root = folder("compare");
        let release = |name: &str, sums: &str| {
            let folder = root.0.join(name);
            put(vec![(SUMS.to_owned(), sums.as_bytes().to_vec())], &folder).unwrap();
            folder
        };
        let first = release("a", "00  x\n11  y\n");
        assert!(compare(&first, &release("b", "00  x\n11  y\n")).is_ok());
        let why = compare(&first, &release("c", "00  x\n12  y\n")).unwrap_err();
        assert!(why.contains("11  y") && why.contains("12  y"), "{why}");
    }
}
