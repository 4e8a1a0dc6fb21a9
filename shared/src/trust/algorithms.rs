//! The signature algorithms of [`crate::signature`], as rustls-webpki asks for them.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

use super::MAX_SIGNATURES;
use crate::signature::{Hash, KeyKind, PublicKey, SignatureAlgorithm};

/// How many rows the table has.
const ROWS: usize = 16;

/// RFC 4055 section 5: the NULL parameters of PKCS #1 v1.5 are accepted absent as well.
const fn rsa_without_parameters(number: u8) -> [u8; 11] {
    [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, number]
}

const RSA_SHA256_ABSENT: &[u8] = &rsa_without_parameters(11);
const RSA_SHA384_ABSENT: &[u8] = &rsa_without_parameters(12);
const RSA_SHA512_ABSENT: &[u8] = &rsa_without_parameters(13);

/// Kind and algorithm of the key, then algorithm of the signature in both forms.
type Row = (
    KeyKind,
    AlgorithmIdentifier,
    SignatureAlgorithm,
    AlgorithmIdentifier,
);

const fn rsa(algorithm: SignatureAlgorithm, id: AlgorithmIdentifier) -> Row {
    (KeyKind::Rsa, alg_id::RSA_ENCRYPTION, algorithm, id)
}

const fn pss(hash: Hash, salt_len: u8, id: AlgorithmIdentifier) -> Row {
    rsa(SignatureAlgorithm::RsaPss { hash, salt_len }, id)
}

const fn ecdsa(
    kind: KeyKind,
    key: AlgorithmIdentifier,
    hash: Hash,
    id: AlgorithmIdentifier,
) -> Row {
    (kind, key, SignatureAlgorithm::Ecdsa(hash), id)
}

const TABLE: [Row; ROWS] = {
    use KeyKind::{P256, P384};
    [
        rsa(
            SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
            alg_id::RSA_PKCS1_SHA256,
        ),
        rsa(
            SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
            alg_id::RSA_PKCS1_SHA384,
        ),
        rsa(
            SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
            alg_id::RSA_PKCS1_SHA512,
        ),
        rsa(
            SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
            AlgorithmIdentifier::from_slice(RSA_SHA256_ABSENT),
        ),
        rsa(
            SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
            AlgorithmIdentifier::from_slice(RSA_SHA384_ABSENT),
        ),
        rsa(
            SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
            AlgorithmIdentifier::from_slice(RSA_SHA512_ABSENT),
        ),
        pss(Hash::Sha256, 32, alg_id::RSA_PSS_SHA256),
        pss(Hash::Sha384, 48, alg_id::RSA_PSS_SHA384),
        pss(Hash::Sha512, 64, alg_id::RSA_PSS_SHA512),
        ecdsa(P256, alg_id::ECDSA_P256, Hash::Sha256, alg_id::ECDSA_SHA256),
        ecdsa(P256, alg_id::ECDSA_P256, Hash::Sha384, alg_id::ECDSA_SHA384),
        ecdsa(P256, alg_id::ECDSA_P256, Hash::Sha512, alg_id::ECDSA_SHA512),
        ecdsa(P384, alg_id::ECDSA_P384, Hash::Sha256, alg_id::ECDSA_SHA256),
        ecdsa(P384, alg_id::ECDSA_P384, Hash::Sha384, alg_id::ECDSA_SHA384),
        ecdsa(P384, alg_id::ECDSA_P384, Hash::Sha512, alg_id::ECDSA_SHA512),
        (
            KeyKind::Ed25519,
            alg_id::ED25519,
            SignatureAlgorithm::Ed25519,
            alg_id::ED25519,
        ),
    ]
};

/// The signatures verified for one path: how many, how many are left, and what went wrong besides.
///
/// Atomics only because rustls-webpki wants its algorithms to be `Sync`.
#[derive(Debug)]
pub(super) struct Work<'a> {
    left: AtomicU32,
    done: AtomicU32,
    is_exhausted: AtomicBool,
    met_unusable_key: AtomicBool,
    /// Messages whose signature has been verified already, with the key and the signature.
    known: Vec<KnownSignature<'a>>,
}

/// A signature that verifies.
#[derive(Debug)]
pub(super) struct KnownSignature<'a> {
    pub(super) key: PublicKey,
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl<'a> Work<'a> {
    pub(super) const fn new() -> Self {
        Self {
            left: AtomicU32::new(MAX_SIGNATURES),
            done: AtomicU32::new(0),
            is_exhausted: AtomicBool::new(false),
            met_unusable_key: AtomicBool::new(false),
            known: Vec::new(),
        }
    }

    /// Verifies the signature on a certificate, unless too many have been verified.
    pub(super) fn verifies(
        &self,
        algorithm: SignatureAlgorithm,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(1) else {
            self.is_exhausted.store(true, Ordering::Relaxed);
            return false;
        };
        self.left.store(left, Ordering::Relaxed);
        self.verifies_list(algorithm, key, message, signature)
    }

    /// Verifies the signature on a revocation list. How many there are is for the configuration to say and
    /// not for a client, and it must not matter which of them were verified before.
    pub(super) fn verifies_list(
        &self,
        algorithm: SignatureAlgorithm,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.done.fetch_add(1, Ordering::Relaxed);
        algorithm.verifies(key, message, signature)
    }

    /// Remembers a signature that verifies, so that it is not verified again.
    pub(super) fn remember(&mut self, signature: KnownSignature<'a>) {
        self.known.push(signature);
    }

    pub(super) fn note_unusable_key(&self) {
        self.met_unusable_key.store(true, Ordering::Relaxed);
    }

    /// How many signatures were verified.
    pub(super) fn done(&self) -> u32 {
        self.done.load(Ordering::Relaxed)
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted.load(Ordering::Relaxed)
    }

    pub(super) fn met_unusable_key(&self) -> bool {
        self.met_unusable_key.load(Ordering::Relaxed)
    }

    /// The algorithms, each counting as this work.
    pub(super) fn algorithms(&self) -> [Algorithm<'_>; ROWS] {
        TABLE.map(|row| Algorithm { row, work: self })
    }
}

/// One algorithm for keys of one kind.
#[derive(Debug)]
pub(super) struct Algorithm<'w> {
    row: Row,
    work: &'w Work<'w>,
}

impl SignatureVerificationAlgorithm for Algorithm<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let (kind, _, algorithm, _) = self.row;
        let Ok(key) = PublicKey::from_bits(kind, public_key) else {
            self.work.note_unusable_key();
            return Err(InvalidSignature);
        };
        let is_known = self.work.known.iter().any(|known| {
            known.message == message && known.signature == signature && known.key == key
        });
        if is_known || self.work.verifies(algorithm, &key, message, signature) {
            Ok(())
        } else {
            Err(InvalidSignature)
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.row.1
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.row.3
    }
}
