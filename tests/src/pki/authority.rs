//! An authority: a name and a key that certify others.

use super::certificate::Template;
use super::encoding::pem;
use super::extension::{CRL_SIGN, Extension, KEY_CERT_SIGN, Role};
use super::keys::{Key, KeyKind, SignedWith};
use super::revocation::RevocationList;
use super::{DAY, PkiError};
use std::sync::Arc;

/// An authority: a name and a key that certify others.
#[derive(Debug)]
pub struct Authority {
    subject: Vec<u8>,
    key: Arc<Key>,
    der: Vec<u8>,
}

impl Authority {
    /// An authority with a certificate that somebody else made.
    pub(crate) fn certified(subject: Vec<u8>, key: Arc<Key>, der: Vec<u8>) -> Self {
        Self { subject, key, der }
    }

    /// A self-signed authority that began ten years ago and ends in ten years.
    pub(crate) fn root(subject: Vec<u8>, kind: KeyKind, now: i64) -> Result<Self, PkiError> {
        Self::root_like(subject, Key::generate(kind)?, now, |template| template)
    }

    /// A self-signed authority whose certificate departs from a good one.
    pub(crate) fn root_like(
        subject: Vec<u8>,
        key: Key,
        now: i64,
        change: impl FnOnce(Template) -> Template,
    ) -> Result<Self, PkiError> {
        let template = change(Self::template(subject.clone(), &key, now)?);
        let der = template.sign(&key, &subject, &key, key.natural_signature())?;
        Ok(Self::certified(subject, Arc::new(key), der))
    }

    /// An authority certified by this one.
    pub(crate) fn intermediate(&self, subject: Vec<u8>, now: i64) -> Result<Self, PkiError> {
        let key = Arc::new(Key::generate(KeyKind::P256)?);
        self.intermediate_like(subject, key, now, |template| template)
    }

    /// An authority certified by this one whose certificate departs from a good one.
    pub fn intermediate_like(
        &self,
        subject: Vec<u8>,
        key: Arc<Key>,
        now: i64,
        change: impl FnOnce(Template) -> Template,
    ) -> Result<Self, PkiError> {
        let template = change(Self::template(subject.clone(), &key, now)?);
        let der = self.issue(template, &key)?;
        Ok(Self { subject, key, der })
    }

    pub(crate) fn template(subject: Vec<u8>, key: &Key, now: i64) -> Result<Template, PkiError> {
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
        let mut list = RevocationList::new(this_update, next_update);
        list.revoked = revoked.iter().map(|serial| serial.to_vec()).collect();
        list.issue(self)
    }

    /// The authority's key pair.
    pub fn key(&self) -> &Arc<Key> {
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
