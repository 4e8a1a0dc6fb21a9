//! A revocation list before it is signed.

use super::PkiError;
use super::asn1::{INTEGER, SEQUENCE, bit_string, element, explicit, sequence, time};
use super::authority::Authority;
use super::encoding::serial;
use super::extension::Extension;
use super::keys::SignedWith;

/// A revocation list before it is signed, complete and of version 2.
#[derive(Clone, Debug)]
pub struct RevocationList {
    /// The content octets of the revoked serial numbers.
    pub revoked: Vec<Vec<u8>>,
    /// When it was made, in seconds since 1970.
    pub this_update: i64,
    /// When the next one is due, in seconds since 1970.
    pub next_update: i64,
    /// Its number; a newer list has a higher one.
    pub number: u8,
    /// The extensions beside the number and the issuer's key.
    pub extensions: Vec<Extension>,
}

impl RevocationList {
    /// A list that revokes nothing.
    pub fn new(this_update: i64, next_update: i64) -> Self {
        Self {
            revoked: Vec::new(),
            this_update,
            next_update,
            number: 1,
            extensions: Vec::new(),
        }
    }

    /// Revokes a certificate, given in DER.
    #[must_use]
    pub fn revoking(mut self, certificate: &[u8]) -> Self {
        self.revoked.extend(serial(certificate));
        self
    }

    /// Adds an extension.
    #[must_use]
    pub fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The list in DER, issued by an authority.
    pub fn issue(&self, authority: &Authority) -> Result<Vec<u8>, PkiError> {
        self.issue_with(authority, authority.key().natural_signature())
    }

    /// Like `issue`, with a signature of another kind than the natural one.
    pub fn issue_with(&self, authority: &Authority, with: SignedWith) -> Result<Vec<u8>, PkiError> {
        let key = authority.key();
        let algorithm = with.identifier();
        let entries: Vec<u8> = self
            .revoked
            .iter()
            .flat_map(|serial| sequence(&[&element(INTEGER, serial), &time(self.this_update)]))
            .collect();
        // An empty list of revoked certificates has to be left out (RFC 5280 5.1.2.6).
        let entries = if entries.is_empty() {
            entries
        } else {
            element(SEQUENCE, &entries)
        };
        let mut extensions = vec![
            Extension::authority_key_identifier(key),
            Extension::crl_number(&[self.number]),
        ];
        extensions.extend(self.extensions.iter().cloned());
        let to_be_signed = sequence(&[
            &element(INTEGER, &[1]),
            &algorithm,
            authority.subject(),
            &time(self.this_update),
            &time(self.next_update),
            &entries,
            &element(explicit(0), &Extension::list(&extensions)),
        ]);
        let signature = key.sign(with, &to_be_signed)?;
        Ok(sequence(&[
            &to_be_signed,
            &algorithm,
            &bit_string(&signature),
        ]))
    }
}
