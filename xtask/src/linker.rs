//! Stands in for the Wasm linker and takes away exports that the host must not see.
//!
//! The SDK exports every callback of the ABI, and the host enters the module for each that is exported.
//! Removing them from the linker's command line, not from the finished module, lets the linker drop the
//! code and the data behind them as well.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::exec::Outcome;

const KEEP: &str = "--auth-edge-keep=";
const REAL: &str = "--auth-edge-linker=";

/// The arguments for rustc that link with `real` and export only `keep`.
pub(crate) fn rustc_args(this: &Path, real: &Path, keep: &[&str]) -> Vec<OsString> {
    let mut linker = OsString::from("-Clinker=");
    linker.push(this);
    let mut real_arg = OsString::from(format!("-Clink-arg={REAL}"));
    real_arg.push(real);
    vec![
        linker,
        real_arg,
        OsString::from(format!("-Clink-arg={KEEP}{}", keep.join(","))),
    ]
}

/// Tells whether rustc runs this program as the linker.
pub(crate) fn is_linker_call(args: &[OsString]) -> bool {
    args.iter().any(|arg| value(arg, KEEP).is_some())
}

/// Becomes the real linker with the exports taken away.
pub(crate) fn run(args: Vec<OsString>) -> Outcome<ExitCode> {
    let Some(real) = args
        .iter()
        .find_map(|arg| value(arg, REAL))
        .map(OsString::from)
    else {
        return Err(format!("the linker's arguments lack {REAL}"));
    };
    let why = Command::new(&real).args(filtered(args)).exec();
    Err(format!(
        "cannot run the linker {}: {why}",
        real.to_string_lossy()
    ))
}

/// The linker's arguments without ours and without the exports that are not kept.
fn filtered(args: Vec<OsString>) -> Vec<OsString> {
    let keep: HashSet<OsString> = args
        .iter()
        .filter_map(|arg| value(arg, KEEP)?.to_str())
        .flat_map(|names| names.split(','))
        .map(OsString::from)
        .collect();
    let mut rest = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if value(&arg, KEEP).is_some() || value(&arg, REAL).is_some() {
            continue;
        }
        if arg == "--export" {
            match args.next() {
                Some(name) if keep.contains(&name) => rest.extend([arg, name]),
                _ => {}
            }
        } else if value(&arg, "--export=").is_none_or(|name| keep.contains(name)) {
            rest.push(arg);
        }
    }
    rest
}

/// What follows a prefix of an argument.
fn value<'a>(arg: &'a OsStr, prefix: &str) -> Option<&'a OsStr> {
    use std::os::unix::ffi::OsStrExt as _;
    arg.as_bytes()
        .strip_prefix(prefix.as_bytes())
        .map(OsStr::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn only_the_exports_named_remain() {
        let line = "-flavor wasm --export a --export b --export=c --export=d --no-entry x.o -o y.wasm \
            --auth-edge-linker=/bin/true --auth-edge-keep=b,d";
        assert!(is_linker_call(&words(line)));
        assert_eq!(
            filtered(words(line)),
            words("-flavor wasm --export b --export=d --no-entry x.o -o y.wasm")
        );
        assert!(!is_linker_call(&words("demo --once")));
    }
}
