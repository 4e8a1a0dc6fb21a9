//! The certificate of an authority, as far as the rules ask for it.

use super::raw::{Extensions, RawCertificate, constrains_email};
use super::{
    MalformedCertificate, Validity, Version, public_key, signature_algorithm, validity,
    without_leading_zeros,
};
use crate::signature::{AlgorithmProblem, PublicKey, SignatureAlgorithm};
use crate::wire::thumbprint::Thumbprint;

/// The certificate of an authority, taken apart; nothing of it is judged.
pub struct IssuerCert<'a> {
    raw: RawCertificate<'a>,
    extensions: Extensions<'a>,
}

impl<'a> IssuerCert<'a> {
    /// Reads one certificate in DER (RFC 5280 section 4.1); bytes left over are an error.
    pub fn parse(der: &'a [u8]) -> Result<Self, MalformedCertificate> {
        let raw = RawCertificate::parse(der)
            .map_err(|_| MalformedCertificate("not the DER of one X.509 certificate"))?;
        let extensions = Extensions::parse(raw.extensions)?;
        Ok(Self { raw, extensions })
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.raw.version
    }

    /// The subject's name: the DER of its RDNSequence.
    pub fn subject(&self) -> &'a [u8] {
        self.raw.subject
    }

    /// The issuer's name: the DER of its RDNSequence.
    pub fn issuer(&self) -> &'a [u8] {
        self.raw.issuer
    }

    /// The serial number, big-endian without leading zeros.
    pub fn serial(&self) -> &'a [u8] {
        without_leading_zeros(self.raw.serial)
    }

    /// The validity dates.
    pub fn validity(&self) -> Validity {
        validity(&self.raw.dates)
    }

    /// The public key, when it is of an accepted kind.
    pub fn key(&self) -> Result<PublicKey, AlgorithmProblem> {
        public_key(self.raw.key_info)
    }

    /// SHA-256 over the SubjectPublicKeyInfo.
    pub fn key_thumbprint(&self) -> Thumbprint {
        Thumbprint::of(self.raw.key_info)
    }

    /// What is signed, and the signature.
    pub(crate) fn signed(&self) -> (&'a [u8], &'a [u8]) {
        (self.raw.signed, self.raw.signature)
    }

    /// The algorithm of the signature on the certificate, when it is of an accepted kind.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, AlgorithmProblem> {
        signature_algorithm(self.raw.algorithm)
    }

    /// Whether it may sign certificates: CA:TRUE, and keyCertSign when there is keyUsage.
    pub fn signs_certificates(&self) -> bool {
        self.extensions.basic_constraints.is_some_and(|it| it.ca)
            && self
                .extensions
                .key_usage
                .is_none_or(|it| it.key_cert_sign())
    }

    /// Whether it may sign revocation lists: cRLSign when there is keyUsage.
    pub fn signs_revocation_lists(&self) -> bool {
        self.extensions.key_usage.is_none_or(|it| it.crl_sign())
    }

    /// Whether what it issues may be for TLS clients: extKeyUsage, when it is there, has clientAuth
    /// or anyExtendedKeyUsage.
    pub fn is_for_clients(&self) -> bool {
        let purposes = self.extensions.purposes;
        purposes.is_none_or(|purposes| purposes.client_auth || purposes.any)
    }

    /// Whether it has policyConstraints (RFC 5280 section 4.2.1.11), critical or not.
    pub fn constrains_policies(&self) -> bool {
        self.extensions.constrains_policies
    }

    /// Whether its nameConstraints (RFC 5280 section 4.2.1.10) speak of email addresses, or cannot be read.
    pub fn constrains_email(&self) -> bool {
        let constraints = self.extensions.name_constraints;
        constraints.is_some_and(|value| constrains_email(value).unwrap_or(true))
    }

    /// How many authorities may stand between it and a leaf at most.
    pub fn path_len(&self) -> Option<u64> {
        self.extensions.basic_constraints?.path_len
    }

    /// The value of cRLDistributionPoints (RFC 5280 section 4.2.1.13), not looked into.
    pub(crate) fn distribution_points(&self) -> Option<&'a [u8]> {
        self.extensions.distribution_points
    }
}
