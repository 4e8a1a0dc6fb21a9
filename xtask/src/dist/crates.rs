//! The crates that are linked into the filter, and the texts of their licences.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exec::{self, LONG, Outcome, at};
use crate::repo;
use crate::wasm_std::{self, WasmToolchain};

/// The package of the filter.
const FILTER: &str = "auth-edge-filter";

/// How the names of files with licences begin, in capitals.
const LICENCE_FILES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// A crate that is linked into the filter.
pub(super) struct Linked {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) licence: String,
    /// The SHA-256 of its package in hexadecimal; none for what is in this repository.
    pub(super) checksum: Option<String>,
    /// The places in the list of what it is linked with.
    pub(super) with: Vec<usize>,
}

/// The crates that are linked into the filter of the repository in `root`; the filter is the first.
///
/// Neither procedural macros nor build scripts, nor what these need, are linked. The standard library is,
/// and is not in this list: it is no package.
pub(super) fn linked(toolchain: &WasmToolchain, root: &Path) -> Outcome<Vec<Linked>> {
    let mut tree = toolchain.cargo();
    tree.current_dir(root).args([
        "tree",
        "--package",
        FILTER,
        "--target",
        wasm_std::TARGET,
        "--edges",
        "normal,no-proc-macro",
        "--locked",
        "--no-dedupe",
        "--prefix",
        "depth",
        "--format",
        "|{p}|{l}",
    ]);
    let tree = exec::capture(&mut tree, LONG)?;
    let lock = root.join("Cargo.lock");
    let lock = at(fs::read_to_string(&lock), "read", &lock)?;
    read(&tree, &lock)
}

/// Reads a tree of cargo and the lock file.
fn read(tree: &str, lock: &str) -> Outcome<Vec<Linked>> {
    let checksums = checksums(lock);
    let mut found: Vec<Linked> = Vec::new();
    // The crates between the root and the line before, by their places.
    let mut above: Vec<usize> = Vec::new();
    for line in tree.lines() {
        let unreadable = || format!("cargo's tree has the line `{line}`");
        let mut parts = line.split('|');
        let (Some(depth), Some(package), Some(licence)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(unreadable());
        };
        let depth: usize = depth.parse().map_err(|_| unreadable())?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            return Err(unreadable());
        };
        let version = version.strip_prefix('v').ok_or_else(unreadable)?;
        let known = found
            .iter()
            .position(|known| known.name == name && known.version == version);
        let place = match known {
            Some(place) => place,
            None => {
                let checksum = checksums
                    .get(&(name, version))
                    .ok_or_else(|| format!("Cargo.lock does not have {name} {version}"))?;
                found.push(Linked {
                    name: name.to_owned(),
                    version: version.to_owned(),
                    licence: expression(licence)
                        .ok_or_else(|| format!("{name} {version} names no licence"))?,
                    checksum: checksum.map(str::to_owned),
                    with: Vec::new(),
                });
                found.len() - 1
            }
        };
        above.truncate(depth);
        if let Some(user) = above.last() {
            let with = &mut found[*user].with;
            if !with.contains(&place) {
                with.push(place);
            }
        }
        above.push(place);
    }
    if found.is_empty() {
        return Err("cargo's tree is empty".to_owned());
    }
    Ok(found)
}

/// The checksums of a lock file by name and version; none where a package has none.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), Option<&str>> {
    let packages = lock.split("[[package]]").skip(1);
    let value = |package: &'_ str, key: &str| -> Option<(usize, usize)> {
        let start = package.find(&format!("\n{key} = \""))? + key.len() + 5;
        Some((start, start + package[start..].find('"')?))
    };
    packages
        .filter_map(|package| {
            let text = |key| value(package, key).map(|(start, end)| &package[start..end]);
            Some(((text("name")?, text("version")?), text("checksum")))
        })
        .collect()
}

/// The licence as an SPDX expression; older manifests write `/` for `OR`.
fn expression(licence: &str) -> Option<String> {
    // Cargo marks what it has shown before.
    let licence = licence.trim_end_matches(" (*)").trim();
    (!licence.is_empty()).then(|| licence.replace('/', " OR "))
}

/// The list of licences with their texts, each text once.
pub(super) fn licences(root: &Path, crates: &[Linked]) -> Outcome<String> {
    let mut list = String::from(
        "What is linked into auth_edge_filter.wasm, with its licence as an SPDX expression.\n\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut sorted: Vec<&Linked> = crates.iter().collect();
    sorted.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    for found in sorted {
        let name = format!("{} {}", found.name, found.version);
        let files = licence_files(&folder_of(root, found)?)?;
        let note = if files.is_empty() {
            " (its package has no text)"
        } else {
            ""
        };
        list.push_str(&format!("{name}: {}{note}\n", found.licence));
        for (file, text) in files {
            texts
                .entry(text)
                .or_default()
                .push(format!("{name}: {file}"));
        }
    }
    list.push_str(
        "\nThe standard library of Rust: MIT OR Apache-2.0, with parts under other licences;\n\
         the file COPYRIGHT of a toolchain names them.\n",
    );
    let mut texts: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, of)| (of, text)).collect();
    texts.sort();
    for (of, text) in texts {
        let line = "-".repeat(78);
        list.push_str(&format!("\n{line}\n{}\n{line}\n\n", of.join("\n")));
        list.push_str(text.trim_end());
        list.push('\n');
    }
    Ok(list)
}

/// The folder with the sources of a crate.
fn folder_of(root: &Path, found: &Linked) -> Outcome<PathBuf> {
    if found.checksum.is_none() {
        return Ok(root.to_owned());
    }
    let name = format!("{}-{}", found.name, found.version);
    let mut folders = repo::registries()
        .into_iter()
        .map(|folder| folder.join(&name));
    folders.find(|folder| folder.is_dir()).ok_or_else(|| {
        format!("{name} is in none of cargo's folders of sources; `cargo fetch` gets it")
    })
}

/// The files with licences in a folder, by name, with their texts.
fn licence_files(folder: &Path) -> Outcome<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in at(fs::read_dir(folder), "read", folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let capitals = name.to_uppercase();
        let fits = LICENCE_FILES
            .iter()
            .any(|start| capitals.starts_with(start));
        if fits && entry.path().is_file() {
            let bytes = at(fs::read(entry.path()), "read", entry.path())?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            files.push((name, text));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"b\"\n\
        version = \"1.0.0+x\"\nsource = \"registry+s\"\nchecksum = \"0b\"\n\n[[package]]\nname = \"c\"\n\
        version = \"2.0.0\"\nsource = \"registry+s\"\nchecksum = \"0c\"\n";

    #[test]
    fn a_crate_is_listed_once_with_what_it_needs() {
        let tree = "0|a v0.1.0 (/somewhere)|MIT\n1|b v1.0.0+x|MIT/Apache-2.0\n2|c v2.0.0|ISC\n1|c v2.0.0|ISC\n";
        let found = read(tree, LOCK).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|found| (&*found.name, found.checksum.as_deref(), &*found.with))
            .collect();
        assert_eq!(
            names,
            [
                ("a", None, &[1, 2][..]),
                ("b", Some("0b"), &[2]),
                ("c", Some("0c"), &[])
            ]
        );
        assert_eq!(found[1].licence, "MIT OR Apache-2.0");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (tree, why) in [
            ("", "empty"),
            ("0|d v1.0.0|MIT", "Cargo.lock"),
            ("0|a v0.1.0|", "no licence"),
            ("a v0.1.0", "line"),
        ] {
            let Err(found) = read(tree, LOCK) else {
                panic!("{tree} was read");
            };
            assert!(found.contains(why), "{found}");
        }
    }
}
