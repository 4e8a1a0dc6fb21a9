//! The files of the suite.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use super::super::cms;

/// The files of the suite; certificates and lists are DER.
pub(super) struct Files {
    pub(super) root: Vec<u8>,
    /// The names of all certificates.
    pub(super) certificates: BTreeMap<Vec<u8>, String>,
    /// The names of all revocation lists.
    pub(super) lists: BTreeMap<Vec<u8>, String>,
    pub(super) tests: BTreeMap<String, Test>,
}

/// What the message of a test brings.
pub(super) struct Test {
    pub(super) leaf: Vec<u8>,
    pub(super) authorities: Vec<Vec<u8>>,
    pub(super) lists: Vec<Vec<u8>>,
}

impl Files {
    pub(super) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut tests = BTreeMap::new();
        for (file, bytes) in contents(&folder.join("smime"))? {
            let name = file.trim_start_matches("Signed").to_owned();
            let test = Test::parse(&bytes).map_err(|why| format!("{file}: {why}"))?;
            tests.insert(name, test);
        }
        Ok(Self {
            root: fs::read(folder.join("certs/TrustAnchorRootCertificate.crt"))?,
            certificates: names(&folder.join("certs"))?,
            lists: names(&folder.join("crls"))?,
            tests,
        })
    }

    /// The name of a certificate.
    pub(super) fn certificate(&self, der: &[u8]) -> &str {
        self.certificates.get(der).map_or("", String::as_str)
    }

    /// The name of a list.
    pub(super) fn list(&self, der: &[u8]) -> &str {
        self.lists.get(der).map_or("", String::as_str)
    }
}

impl Test {
    fn parse(message: &[u8]) -> Result<Self, Box<dyn Error>> {
        let brought = cms::parse(str::from_utf8(message)?)?;
        let mut authorities = brought.certificates;
        // NIST puts the signer's certificate last.
        let leaf = authorities.pop().ok_or("it brings no certificate")?;
        Ok(Self {
            leaf,
            authorities,
            lists: brought.lists,
        })
    }
}

/// The names of the files in a folder, by content; of several with one content the first.
fn names(folder: &Path) -> Result<BTreeMap<Vec<u8>, String>, Box<dyn Error>> {
    let mut names = BTreeMap::new();
    for (name, bytes) in contents(folder)? {
        names.entry(bytes).or_insert(name);
    }
    Ok(names)
}

/// The files in a folder, without their endings and in the order of their names.
fn contents(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Box<dyn Error>> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok((name.into_owned(), fs::read(&path)?))
    };
    let entries = fs::read_dir(folder);
    entries
        .map_err(|why| format!("cannot read {}: {why}", folder.display()))?
        .map(read)
        .collect()
}
