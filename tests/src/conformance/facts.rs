//! What a host program tells the edge of a client certificate, by property and by header field.

use serde::Deserialize;

use crate::pki::{Identity, encode_uri_component, thumbprint_hex};
use crate::wire::Fields;

/// The field that Envoy writes of the certificates on a connection.
pub const XFCC: &str = "x-forwarded-client-cert";

/// What a host program shows of a client certificate as facts of the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shows {
    /// Its SHA-256: Envoy before 1.38, where the certificate stands in [`XFCC`] only.
    Digest,
    /// The certificate: Envoy 1.38.
    Certificate,
    /// The certificate, and whether it verified: Envoy from 1.39.
    Verdict,
}

impl Shows {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Digest, Self::Certificate, Self::Verdict];

    /// What an Envoy of this version shows.
    ///
    /// # Errors
    /// When it is no version.
    pub fn of_envoy(version: &str) -> Result<Self, String> {
        let minor = version
            .strip_prefix("1.")
            .and_then(|it| it.split('.').next());
        match minor.and_then(|minor| minor.parse().ok()) {
            Some(..=37) => Ok(Self::Digest),
            Some(38) => Ok(Self::Certificate),
            Some(39_u32..) => Ok(Self::Verdict),
            None => Err(format!("`{version}` is no version of Envoy")),
        }
    }
}

/// What a host program does with the field [`XFCC`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "snake_case")]
pub enum Xfcc {
    /// It takes away what came, which is Envoy's default.
    Removed,
    /// It takes away what came, and writes one where a certificate was presented: `SANITIZE_SET`.
    Written,
    /// It lets through what came: `ALWAYS_FORWARD_ONLY`.
    Passed,
    /// It lets through what came where a certificate was presented: `FORWARD_ONLY`.
    PassedWithCertificate,
    /// It writes an element behind what came, where a certificate was presented: `APPEND_FORWARD`.
    Appended,
}

impl Xfcc {
    /// What it is called in Envoy's configuration.
    pub const fn envoy(self) -> &'static str {
        match self {
            Self::Removed => "SANITIZE",
            Self::Written => "SANITIZE_SET",
            Self::Passed => "ALWAYS_FORWARD_ONLY",
            Self::PassedWithCertificate => "FORWARD_ONLY",
            Self::Appended => "APPEND_FORWARD",
        }
    }

    /// The fields of a request as the edge sees them, on a connection with this certificate.
    ///
    /// What Envoy takes away by default is left alone: the edge does not rely on that.
    pub fn applied_to(self, fields: &Fields, identity: Option<&Identity>) -> Fields {
        let is_xfcc = |name: &[u8]| name.eq_ignore_ascii_case(XFCC.as_bytes());
        let without = || {
            let others = fields.iter().filter(|(name, _)| !is_xfcc(name));
            others.cloned().collect::<Fields>()
        };
        let field = |value: Vec<u8>| (XFCC.as_bytes().to_vec(), value);
        match (self, identity) {
            (Self::Removed | Self::Passed, _) | (Self::PassedWithCertificate, Some(_)) => {
                fields.clone()
            }
            (Self::Written | Self::PassedWithCertificate | Self::Appended, None) => without(),
            (Self::Written, Some(identity)) => {
                let mut fields = without();
                fields.push(field(written(identity).into()));
                fields
            }
            (Self::Appended, Some(identity)) => {
                let came = fields.iter().filter(|(name, _)| is_xfcc(name));
                let mut elements: Vec<Vec<u8>> = came.map(|(_, value)| value.clone()).collect();
                elements.push(written(identity).into());
                let mut fields = without();
                fields.push(field(elements.join(&b',')));
                fields
            }
        }
    }
}

/// What Envoy writes of a connection when certificate and chain are wanted.
pub fn written(identity: &Identity) -> String {
    format!(
        "Hash={};Cert=\"{}\";Chain=\"{}\"",
        thumbprint_hex(identity.leaf()),
        encode_uri_component(&identity.leaf_pem()),
        encode_uri_component(&identity.chain_pem()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_show_what_they_have() {
        for (version, expected) in [
            ("1.36.4", Some(Shows::Digest)),
            ("1.37.0", Some(Shows::Digest)),
            ("1.38.2", Some(Shows::Certificate)),
            ("1.39.3", Some(Shows::Verdict)),
            ("1.40.0", Some(Shows::Verdict)),
            ("1.100.0", Some(Shows::Verdict)),
            ("2.0.0", None),
            ("", None),
        ] {
            assert_eq!(Shows::of_envoy(version).ok(), expected, "{version}");
        }
    }
}
