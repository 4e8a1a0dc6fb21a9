//! The client certificate, presented as it is even where a careful client would keep it back.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use super::TlsError;
use crate::pki::{Identity, Key, SignedWith};

#[derive(Debug)]
pub(super) struct Presented(Option<Arc<CertifiedKey>>);

impl Presented {
    pub(super) fn new(identity: Option<&Identity>) -> Result<Self, TlsError> {
        let Some(identity) = identity else {
            return Ok(Self(None));
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
        let key = match any_supported_type(&key) {
            Ok(key) => key,
            // The provider refuses RSA keys of less than 2048 bits.
            Err(_) => {
                let key = Key::small_rsa_from_pkcs8(&identity.key);
                Arc::new(SmallRsa(Arc::new(
                    key.map_err(|error| TlsError::Options(error.to_string()))?,
                )))
            }
        };
        let chain = identity
            .chain
            .iter()
            .cloned()
            .map(CertificateDer::from)
            .collect();
        Ok(Self(Some(Arc::new(CertifiedKey::new(
            chain,
            Arc::new(Insistent(key)),
        )))))
    }
}

impl ResolvesClientCert for Presented {
    /// Ignores the names of authorities that the server says it accepts.
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// What a key can sign with, tried when the server offers nothing that fits.
const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// A key that signs even when the server offers no scheme for it.
///
/// Otherwise rustls would present no certificate, and a test of an odd key would pass as one of no
/// certificate at all.
#[derive(Debug)]
struct Insistent(Arc<dyn SigningKey>);

impl SigningKey for Insistent {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.0
            .choose_scheme(offered)
            .or_else(|| self.0.choose_scheme(&SCHEMES))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct SmallRsa(Arc<Key>);

impl SigningKey for SmallRsa {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        [
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
        .into_iter()
        .find(|scheme| offered.contains(scheme))
        .map(|scheme| Box::new(SmallRsaSigner(self.0.clone(), scheme)) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

#[derive(Debug)]
struct SmallRsaSigner(Arc<Key>, SignatureScheme);

impl Signer for SmallRsaSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let with = match self.1 {
            SignatureScheme::RSA_PSS_SHA256 => SignedWith::RsaPssSha256,
            _ => SignedWith::RsaSha256,
        };
        self.0
            .sign(with, message)
            .map_err(|error| Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.1
    }
}
