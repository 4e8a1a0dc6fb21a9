//! A certificate before it is signed, with every field open to be wrong on purpose.

use super::PkiError;
use super::asn1::{
    INTEGER, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING, bit_string, element, explicit,
    object_identifier, sequence, time,
};
use super::extension::{
    BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, Extension, KEY_USAGE, SUBJECT_ALT_NAME,
};
use super::keys::{Key, SignedWith, random_bytes};

/// A distinguished name of common name, organization and country, the most general part first.
///
/// An empty part is left out.
pub fn distinguished_name(common_name: &str, organization: &str, country: &str) -> Vec<u8> {
    name_in(UTF8_STRING, common_name, organization, country)
}

/// The same name with every part in a `PrintableString`, which is another name byte for byte.
pub fn printable_name(common_name: &str, organization: &str, country: &str) -> Vec<u8> {
    name_in(PRINTABLE_STRING, common_name, organization, country)
}

fn name_in(tag: u8, common_name: &str, organization: &str, country: &str) -> Vec<u8> {
    let parts: [(&[u32], u8, &str); 3] = [
        (&[2, 5, 4, 6], PRINTABLE_STRING, country),
        (&[2, 5, 4, 10], tag, organization),
        (&[2, 5, 4, 3], tag, common_name),
    ];
    let sets: Vec<u8> = parts
        .iter()
        .filter(|(_, _, text)| !text.is_empty())
        .flat_map(|(arcs, tag, text)| {
            let value = element(*tag, text.as_bytes());
            element(SET, &sequence(&[&object_identifier(arcs), &value]))
        })
        .collect();
    element(SEQUENCE, &sets)
}

/// The X.509 version a certificate claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Version 1, which has no extensions.
    V1,
    /// Version 3.
    V3,
}

/// A certificate before it is signed.
#[derive(Clone, Debug)]
pub struct Template {
    /// The version; with `V1` the extensions are not written.
    pub version: Version,
    /// The content octets of the serial number, as they are written.
    pub serial: Vec<u8>,
    /// The subject's distinguished name in DER.
    pub subject: Vec<u8>,
    /// The start of validity in seconds since 1970.
    pub not_before: i64,
    /// The end of validity in seconds since 1970.
    pub not_after: i64,
    /// The extensions in the order they are written.
    pub extensions: Vec<Extension>,
}

impl Template {
    /// A template without extensions and with a random serial number.
    pub fn new(subject: Vec<u8>, not_before: i64, not_after: i64) -> Result<Self, PkiError> {
        let mut template = Self {
            version: Version::V3,
            serial: Vec::new(),
            subject,
            not_before,
            not_after,
            extensions: Vec::new(),
        };
        template.renew_serial()?;
        Ok(template)
    }

    /// Draws another serial number.
    pub(crate) fn renew_serial(&mut self) -> Result<(), PkiError> {
        self.serial = random_bytes(16)?;
        // Positive and without a leading zero, so that all serial numbers have the same length.
        self.serial[0] = self.serial[0] & 0x3f | 0x40;
        Ok(())
    }

    /// Adds an extension, in place of one of the same kind if there is one.
    #[must_use]
    pub fn with(mut self, extension: Extension) -> Self {
        match self
            .extensions
            .iter_mut()
            .find(|present| present.is_same_kind(&extension))
        {
            Some(present) => *present = extension,
            None => self.extensions.push(extension),
        }
        self
    }

    /// Adds an extension even if that makes two of a kind.
    #[must_use]
    pub fn with_another(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Drops keyUsage.
    #[must_use]
    pub fn without_key_usage(self) -> Self {
        self.without(KEY_USAGE)
    }

    /// Drops basicConstraints.
    #[must_use]
    pub fn without_basic_constraints(self) -> Self {
        self.without(BASIC_CONSTRAINTS)
    }

    /// Drops subjectAltName.
    #[must_use]
    pub fn without_subject_alt_name(self) -> Self {
        self.without(SUBJECT_ALT_NAME)
    }

    /// Drops extKeyUsage.
    #[must_use]
    pub fn without_extended_key_usage(self) -> Self {
        self.without(EXTENDED_KEY_USAGE)
    }

    fn without(mut self, arcs: &[u32]) -> Self {
        self.extensions.retain(|extension| !extension.is(arcs));
        self
    }

    /// The certificate in DER: `key` certified under the name `issuer` by `issuer_key`.
    pub fn sign(
        &self,
        key: &Key,
        issuer: &[u8],
        issuer_key: &Key,
        with: SignedWith,
    ) -> Result<Vec<u8>, PkiError> {
        let algorithm = with.identifier();
        let (version, extensions) = match self.version {
            Version::V1 => (Vec::new(), Vec::new()),
            Version::V3 => {
                let extensions = if self.extensions.is_empty() {
                    Vec::new()
                } else {
                    element(explicit(3), &Extension::list(&self.extensions))
                };
                (element(explicit(0), &element(INTEGER, &[2])), extensions)
            }
        };
        let to_be_signed = sequence(&[
            &version,
            &element(INTEGER, &self.serial),
            &algorithm,
            issuer,
            &sequence(&[&time(self.not_before), &time(self.not_after)]),
            &self.subject,
            key.spki(),
            &extensions,
        ]);
        let signature = issuer_key.sign(with, &to_be_signed)?;
        Ok(sequence(&[
            &to_be_signed,
            &algorithm,
            &bit_string(&signature),
        ]))
    }
}
