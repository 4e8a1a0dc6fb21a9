//! What reached the origin, from the audit it writes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// A request as the origin saw it. A field that was sent twice is a list, and so equals no text.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seen {
    /// The method.
    pub(super) method: String,
    /// The raw target.
    pub(super) url: String,
    /// The `host` field.
    pub(super) host: Value,
    /// The TLS server name.
    pub(super) sni: Value,
    /// The names of all fields, as often as they were sent.
    pub(super) headers: Vec<String>,
    /// The client's address.
    #[serde(rename = "x-forwarded-for")]
    pub(super) client: Value,
    /// The client's scheme.
    #[serde(rename = "x-forwarded-proto")]
    pub(super) scheme: Value,
    /// The name the client asked for.
    #[serde(rename = "x-forwarded-host")]
    pub(super) public_host: Value,
    /// The verdict on the certificate.
    #[serde(rename = "client-certificate-ca-verified")]
    pub(super) verdict: Value,
    /// The thumbprint of the certificate, base64url.
    pub(super) thumbprint: Option<String>,
    /// Whether the certificate was written exactly as promised.
    pub(super) certificate_canonical: Option<bool>,
    /// Whether the API key was the right one.
    pub(super) api_key_right: bool,
    /// The status of the answer.
    pub(super) status: Option<u16>,
}

/// The identity a request should carry to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried<'a> {
    /// The thumbprint of the certificate.
    pub(super) thumbprint: &'a str,
    /// The verdict.
    pub(super) verdict: &'a str,
}

impl Seen {
    /// The path without its query.
    pub(super) fn path(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    /// Whose request this is, as the table shows it.
    pub(super) fn summary(&self) -> String {
        let client = shown(&self.client);
        match &self.thumbprint {
            None => format!("no certificate, {client}"),
            Some(thumbprint) => {
                let verdict = shown(&self.verdict);
                // `FAILED:self-signed` is enough of that verdict.
                let verdict = verdict.split(' ').next().unwrap_or_default();
                format!("{}.. {verdict}, {client}", &thumbprint[..8])
            }
        }
    }

    /// What is wrong with how the edge forwarded this, if anything.
    pub(super) fn faults(&self, public_host: &str, carried: Option<Carried<'_>>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |what: &str, found: &Value, expected: Value| {
            if *found != expected {
                faults.push(format!("{what} is {found}, expected {expected}"));
            }
        };
        expect("host", &self.host, super::ORIGIN.into());
        expect("the server name", &self.sni, super::ORIGIN.into());
        expect("x-forwarded-for", &self.client, "127.0.0.1".into());
        expect("x-forwarded-proto", &self.scheme, "https".into());
        expect("x-forwarded-host", &self.public_host, public_host.into());
        expect("api key right", &self.api_key_right.into(), true.into());
        let thumbprint = self.thumbprint.as_deref().into();
        let wanted = carried.map(|it| it.thumbprint).into();
        expect("the certificate", &thumbprint, wanted);
        let wanted = carried.map(|it| it.verdict).into();
        expect("the verdict", &self.verdict, wanted);
        let wanted = carried.map(|_| true).into();
        expect(
            "certificate as promised",
            &self.certificate_canonical.into(),
            wanted,
        );
        faults
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The audit file, read on from where it was left.
#[derive(Debug)]
pub(super) struct Audit {
    path: PathBuf,
    read: u64,
}

impl Audit {
    /// The audit in this file.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// What was written since the last look. A request is there as soon as its answer has arrived.
    pub(super) fn take(&mut self) -> io::Result<Vec<Seen>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += u64::try_from(whole).unwrap_or_default();
        text[..whole]
            .lines()
            .map(|line| serde_json::from_str(line).map_err(io::Error::from))
            .collect()
    }
}
