//! A certificate before it is signed, with every field open to be wrong on purpose.

use super::PkiError;
use super::asn1::{
    INTEGER, OCTET_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING, bit_string, element,
    explicit, implicit, named_bits, object_identifier, sequence, time,
};
use super::keys::{Key, SignedWith, der_true, random_bytes};

/// The bit of keyUsage that lets a key sign handshakes.
pub const DIGITAL_SIGNATURE: u8 = 0x80;
/// The bit of keyUsage for key agreement.
pub const KEY_AGREEMENT: u8 = 0x08;
/// The bit of keyUsage that lets a key sign certificates.
pub const KEY_CERT_SIGN: u8 = 0x04;
/// The bit of keyUsage that lets a key sign revocation lists.
pub const CRL_SIGN: u8 = 0x02;

/// The purpose `serverAuth`.
pub const SERVER_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
/// The purpose `clientAuth`.
pub const CLIENT_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
/// The purpose `anyExtendedKeyUsage`.
pub const ANY_PURPOSE: &[u32] = &[2, 5, 29, 37, 0];

const SUBJECT_KEY_IDENTIFIER: &[u32] = &[2, 5, 29, 14];
const KEY_USAGE: &[u32] = &[2, 5, 29, 15];
const SUBJECT_ALT_NAME: &[u32] = &[2, 5, 29, 17];
const CRL_NUMBER: &[u32] = &[2, 5, 29, 20];
const BASIC_CONSTRAINTS: &[u32] = &[2, 5, 29, 19];
const AUTHORITY_KEY_IDENTIFIER: &[u32] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u32] = &[2, 5, 29, 37];
/// Below the arc for examples in documentation; no program knows it.
const UNKNOWN: &[u32] = &[2, 999, 32_473, 1];

/// Whether a reader that does not know an extension has to refuse the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criticality {
    /// It has to.
    Critical,
    /// It may ignore the extension.
    Ignorable,
}

/// Whether basicConstraints says that the subject is an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `CA:TRUE`.
    Authority,
    /// `CA:FALSE`.
    EndEntity,
}

/// One extension.
#[derive(Clone, Debug)]
pub struct Extension {
    arcs: &'static [u32],
    criticality: Criticality,
    value: Vec<u8>,
}

/// One name of the subjectAltName extension.
#[derive(Clone, Copy, Debug)]
pub enum AltName<'a> {
    /// A DNS name.
    Dns(&'a str),
    /// A URI.
    Uri(&'a str),
    /// An email address.
    Email(&'a str),
    /// An IP address in network order.
    Ip(&'a [u8]),
}

impl Extension {
    /// basicConstraints, critical.
    pub fn basic_constraints(role: Role) -> Self {
        let value = match role {
            Role::Authority => sequence(&[&der_true()]),
            Role::EndEntity => sequence(&[]),
        };
        Self {
            arcs: BASIC_CONSTRAINTS,
            criticality: Criticality::Critical,
            value,
        }
    }

    /// keyUsage, critical, with the given bits.
    pub fn key_usage(bits: u8) -> Self {
        Self {
            arcs: KEY_USAGE,
            criticality: Criticality::Critical,
            value: named_bits(bits),
        }
    }

    /// extKeyUsage with the given purposes.
    pub fn extended_key_usage(purposes: &[&[u32]]) -> Self {
        let purposes: Vec<u8> = purposes
            .iter()
            .flat_map(|arcs| object_identifier(arcs))
            .collect();
        Self::ignorable(EXTENDED_KEY_USAGE, element(SEQUENCE, &purposes))
    }

    /// subjectAltName with the given names.
    pub fn subject_alt_name(names: &[AltName<'_>]) -> Self {
        let names: Vec<u8> = names
            .iter()
            .flat_map(|name| match name {
                AltName::Email(text) => element(implicit(1), text.as_bytes()),
                AltName::Dns(text) => element(implicit(2), text.as_bytes()),
                AltName::Uri(text) => element(implicit(6), text.as_bytes()),
                AltName::Ip(octets) => element(implicit(7), octets),
            })
            .collect();
        Self::ignorable(SUBJECT_ALT_NAME, element(SEQUENCE, &names))
    }

    /// subjectKeyIdentifier of `key`.
    pub fn subject_key_identifier(key: &Key) -> Self {
        Self::ignorable(
            SUBJECT_KEY_IDENTIFIER,
            element(OCTET_STRING, &key.identifier()),
        )
    }

    /// authorityKeyIdentifier naming `key`.
    pub fn authority_key_identifier(key: &Key) -> Self {
        let identifier = element(implicit(0), &key.identifier());
        Self::ignorable(AUTHORITY_KEY_IDENTIFIER, sequence(&[&identifier]))
    }

    /// An extension nobody knows, with a value of the given bytes.
    pub fn unknown(criticality: Criticality, bytes: &[u8]) -> Self {
        Self {
            arcs: UNKNOWN,
            criticality,
            value: element(OCTET_STRING, bytes),
        }
    }

    /// cRLNumber, which every revocation list has.
    pub(crate) fn crl_number(number: &[u8]) -> Self {
        Self::ignorable(CRL_NUMBER, element(INTEGER, number))
    }

    /// A list of extensions in DER.
    pub(crate) fn list(extensions: &[Self]) -> Vec<u8> {
        let parts: Vec<u8> = extensions.iter().flat_map(Self::der).collect();
        element(SEQUENCE, &parts)
    }

    fn ignorable(arcs: &'static [u32], value: Vec<u8>) -> Self {
        Self {
            arcs,
            criticality: Criticality::Ignorable,
            value,
        }
    }

    fn der(&self) -> Vec<u8> {
        let critical = match self.criticality {
            Criticality::Critical => der_true(),
            Criticality::Ignorable => Vec::new(),
        };
        sequence(&[
            &object_identifier(self.arcs),
            &critical,
            &element(OCTET_STRING, &self.value),
        ])
    }
}

/// A distinguished name of common name, organization and country, the most general part first.
///
/// An empty part is left out.
pub fn distinguished_name(common_name: &str, organization: &str, country: &str) -> Vec<u8> {
    let parts: [(&[u32], u8, &str); 3] = [
        (&[2, 5, 4, 6], PRINTABLE_STRING, country),
        (&[2, 5, 4, 10], UTF8_STRING, organization),
        (&[2, 5, 4, 3], UTF8_STRING, common_name),
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
            .find(|present| present.arcs == extension.arcs)
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

    /// Drops extKeyUsage.
    #[must_use]
    pub fn without_extended_key_usage(self) -> Self {
        self.without(EXTENDED_KEY_USAGE)
    }

    fn without(mut self, arcs: &[u32]) -> Self {
        self.extensions.retain(|extension| extension.arcs != arcs);
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
