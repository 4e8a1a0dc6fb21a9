//! An authority: a name and a key that certify others.

use super::asn1::{INTEGER, SEQUENCE, bit_string, element, sequence, time};
use super::certificate::{CRL_SIGN, Extension, KEY_CERT_SIGN, Role, Template};
use super::encoding::pem;
use super::keys::{Key, KeyKind, SignedWith};
use super::{DAY, PkiError};

/// An authority: a name and a key that certify others.
#[derive(Debug)]
pub struct Authority {
    subject: Vec<u8>,
    key: Key,
    der: Vec<u8>,
}

impl Authority {
    /// A self-signed authority that began ten years ago and ends in ten years.
    pub(crate) fn root(subject: Vec<u8>, kind: KeyKind, now: i64) -> Result<Self, PkiError> {
        let key = Key::generate(kind)?;
        let template = Self::template(subject.clone(), &key, now)?;
        let der = template.sign(&key, &subject, &key, key.natural_signature())?;
        Ok(Self { subject, key, der })
    }

    /// An authority certified by this one.
    pub(crate) fn intermediate(&self, subject: Vec<u8>, now: i64) -> Result<Self, PkiError> {
        let key = Key::generate(KeyKind::P256)?;
        let template = Self::template(subject.clone(), &key, now)?;
        let der = self.issue(template, &key)?;
        Ok(Self { subject, key, der })
    }

    fn template(subject: Vec<u8>, key: &Key, now: i64) -> Result<Template, PkiError> {
        Ok(
            Template::new(subject, now - 3_650 * DAY, now + 3_650 * DAY)?
                .with(Extension::basic_constraints(Role::Authority))
                .with(Extension::key_usage(KEY_CERT_SIGN | CRL_SIGN))
                .with(Extension::subject_key_identifier(key)),
        )
    }

    /// Certifies `key` as the template says, naming this authority's key in the certificate.
    pub fn issue(&self, template: Template, key: &Key) -> Result<Vec<u8>, PkiError> {
        self.issue_with(template, key, self.key.natural_signature())
    }

    /// Like `issue`, with a signature of another kind than the natural one.
    pub fn issue_with(
        &self,
        template: Template,
        key: &Key,
        with: SignedWith,
    ) -> Result<Vec<u8>, PkiError> {
        let template = template.with(Extension::authority_key_identifier(&self.key));
        template.sign(key, &self.subject, &self.key, with)
    }

    /// Certifies `key` exactly as the template says.
    pub fn issue_exactly(&self, template: &Template, key: &Key) -> Result<Vec<u8>, PkiError> {
        template.sign(key, &self.subject, &self.key, self.key.natural_signature())
    }

    /// A revocation list in DER: each revoked serial number as its content octets, and its two dates.
    pub fn revocation_list(
        &self,
        revoked: &[&[u8]],
        this_update: i64,
        next_update: i64,
    ) -> Result<Vec<u8>, PkiError> {
        let with = self.key.natural_signature();
        let algorithm = with.identifier();
        let entries: Vec<u8> = revoked
            .iter()
            .flat_map(|serial| sequence(&[&element(INTEGER, serial), &time(this_update)]))
            .collect();
        // An empty list of revoked certificates has to be left out (RFC 5280 5.1.2.6).
        let entries = if entries.is_empty() {
            entries
        } else {
            element(SEQUENCE, &entries)
        };
        let number = Extension::crl_number(&[1]);
        let key_identifier = Extension::authority_key_identifier(&self.key);
        let extensions = Extension::list(&[key_identifier, number]);
        let to_be_signed = sequence(&[
            &element(INTEGER, &[1]),
            &algorithm,
            &self.subject,
            &time(this_update),
            &time(next_update),
            &entries,
            &element(super::asn1::explicit(0), &extensions),
        ]);
        let signature = self.key.sign(with, &to_be_signed)?;
        Ok(sequence(&[
            &to_be_signed,
            &algorithm,
            &bit_string(&signature),
        ]))
    }

    /// The authority's key pair.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The authority's distinguished name in DER.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The authority's own certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The authority's own certificate in PEM.
    pub fn pem(&self) -> String {
        pem(&self.der, "CERTIFICATE")
    }
}
