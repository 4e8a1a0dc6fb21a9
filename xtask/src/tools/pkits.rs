//! NIST's Public Key Interoperability Test Suite, from the wheel of another project's test vectors.

use std::path::PathBuf;

use super::Cache;
use super::python;
use crate::exec::Outcome;

/// Test vectors of pyca/cryptography (Apache-2.0 or BSD-3-Clause); PKITS among them is the US
/// government's and in the public domain. Some 35 MB.
const PACKAGE: &str = "cryptography-vectors";
const VERSION: &str = "46.0.3";
const SHA256: &str = "009b621b9f9f421a0f6107819e0a6393afb6793718548df2074166a6eea48b44";

/// The folder with the suite's certificates, revocation lists and messages.
pub(crate) fn pkits(cache: &Cache) -> Outcome<PathBuf> {
    let folder = python::data(cache, PACKAGE, VERSION, SHA256)?;
    Ok(folder.join("cryptography_vectors/x509/PKITS_data"))
}
