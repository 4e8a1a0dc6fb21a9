//! Key pairs, and the signatures that certificates and handshakes need of them.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::{Pkcs1v15Sign, Pss};
use sha2::Sha256;
use std::convert::Infallible;

use super::PkiError;
use super::asn1::{BOOLEAN, INTEGER, OCTET_STRING, element, explicit, object_identifier, sequence};

/// What a key pair is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// RSA with 1024 bits, which nobody should accept.
    Rsa1024,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 4096 bits.
    Rsa4096,
}

/// How a certificate is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedWith {
    /// ECDSA with the hash that fits the curve.
    Ecdsa(&'static [u32]),
    /// Ed25519.
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-1, which nobody should accept.
    RsaSha1,
    /// RSA-PSS with SHA-256 and a salt of 32 bytes.
    RsaPssSha256,
}

const ECDSA_WITH_SHA256: SignedWith = SignedWith::Ecdsa(&[1, 2, 840, 10_045, 4, 3, 2]);
const ECDSA_WITH_SHA384: SignedWith = SignedWith::Ecdsa(&[1, 2, 840, 10_045, 4, 3, 3]);
const ECDSA_WITH_SHA512: SignedWith = SignedWith::Ecdsa(&[1, 2, 840, 10_045, 4, 3, 4]);
const NULL: [u8; 2] = [5, 0];

impl SignedWith {
    /// The `AlgorithmIdentifier` that goes into a certificate.
    pub(crate) fn identifier(self) -> Vec<u8> {
        match self {
            Self::Ecdsa(arcs) => sequence(&[&object_identifier(arcs)]),
            Self::Ed25519 => sequence(&[&object_identifier(&[1, 3, 101, 112])]),
            Self::RsaSha256 => {
                sequence(&[&object_identifier(&[1, 2, 840, 113_549, 1, 1, 11]), &NULL])
            }
            Self::RsaSha1 => sequence(&[&object_identifier(&[1, 2, 840, 113_549, 1, 1, 5]), &NULL]),
            Self::RsaPssSha256 => {
                let sha256 =
                    sequence(&[&object_identifier(&[2, 16, 840, 1, 101, 3, 4, 2, 1]), &NULL]);
                let mgf1 = sequence(&[&object_identifier(&[1, 2, 840, 113_549, 1, 1, 8]), &sha256]);
                let parameters = sequence(&[
                    &element(explicit(0), &sha256),
                    &element(explicit(1), &mgf1),
                    &element(explicit(2), &element(INTEGER, &[32])),
                ]);
                sequence(&[
                    &object_identifier(&[1, 2, 840, 113_549, 1, 1, 10]),
                    &parameters,
                ])
            }
        }
    }
}

/// A key pair of any kind.
pub struct Key {
    pair: Pair,
    natural: SignedWith,
    pkcs8: Vec<u8>,
    spki: Vec<u8>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    /// aws-lc makes and uses no RSA key below 2048 bits.
    SmallRsa(Box<RsaPrivateKey>),
}

impl Key {
    /// Makes a new key pair.
    pub fn generate(kind: KeyKind) -> Result<Self, PkiError> {
        match kind {
            KeyKind::P256 => Self::ecdsa(
                &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
                ECDSA_WITH_SHA256,
            ),
            KeyKind::P384 => Self::ecdsa(
                &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
                ECDSA_WITH_SHA384,
            ),
            KeyKind::P521 => Self::ecdsa(
                &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
                ECDSA_WITH_SHA512,
            ),
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(PkiError::key)?;
                let pkcs8 = pair.to_pkcs8v1().map_err(PkiError::key)?.as_ref().to_vec();
                let spki: PublicKeyX509Der<'_> =
                    pair.public_key().as_der().map_err(PkiError::key)?;
                let spki = spki.as_ref().to_vec();
                Ok(Self {
                    pair: Pair::Ed25519(pair),
                    natural: SignedWith::Ed25519,
                    pkcs8,
                    spki,
                })
            }
            KeyKind::Rsa1024 => {
                let private = RsaPrivateKey::new(&mut SystemRng, 1024).map_err(PkiError::key)?;
                Self::small_rsa(private)
            }
            KeyKind::Rsa2048 => Self::rsa(KeySize::Rsa2048),
            KeyKind::Rsa4096 => Self::rsa(KeySize::Rsa4096),
        }
    }

    /// Reads an RSA key pair of any size from its PKCS#8 form.
    pub(crate) fn small_rsa_from_pkcs8(pkcs8: &[u8]) -> Result<Self, PkiError> {
        Self::small_rsa(RsaPrivateKey::from_pkcs8_der(pkcs8).map_err(PkiError::key)?)
    }

    fn ecdsa(
        algorithm: &'static signature::EcdsaSigningAlgorithm,
        natural: SignedWith,
    ) -> Result<Self, PkiError> {
        let pair = EcdsaKeyPair::generate(algorithm).map_err(PkiError::key)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(PkiError::key)?.as_ref().to_vec();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(PkiError::key)?;
        let spki = spki.as_ref().to_vec();
        Ok(Self {
            pair: Pair::Ecdsa(pair),
            natural,
            pkcs8,
            spki,
        })
    }

    fn rsa(size: KeySize) -> Result<Self, PkiError> {
        let pair = RsaKeyPair::generate(size).map_err(PkiError::key)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(PkiError::key)?;
        let pkcs8 = pkcs8.as_ref().to_vec();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(PkiError::key)?;
        let spki = spki.as_ref().to_vec();
        Ok(Self {
            pair: Pair::Rsa(pair),
            natural: SignedWith::RsaSha256,
            pkcs8,
            spki,
        })
    }

    fn small_rsa(private: RsaPrivateKey) -> Result<Self, PkiError> {
        let pkcs8 = private
            .to_pkcs8_der()
            .map_err(PkiError::key)?
            .as_bytes()
            .to_vec();
        let spki = private
            .to_public_key()
            .to_public_key_der()
            .map_err(PkiError::key)?
            .into_vec();
        let pair = Pair::SmallRsa(Box::new(private));
        Ok(Self {
            pair,
            natural: SignedWith::RsaSha256,
            pkcs8,
            spki,
        })
    }

    /// The signature this key makes when none is asked for.
    pub fn natural_signature(&self) -> SignedWith {
        self.natural
    }

    /// The private key in PKCS#8.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key as a `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// A key identifier: the first 20 bytes of the SHA-256 of the public key.
    pub(crate) fn identifier(&self) -> Vec<u8> {
        digest(&SHA256, &self.spki).as_ref()[..20].to_vec()
    }

    /// Signs `message`; fails when this kind of key cannot make such a signature.
    pub fn sign(&self, with: SignedWith, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let random = SystemRandom::new();
        match (&self.pair, with) {
            (Pair::Ecdsa(pair), SignedWith::Ecdsa(_)) if with == self.natural => Ok(pair
                .sign(&random, message)
                .map_err(PkiError::key)?
                .as_ref()
                .to_vec()),
            (Pair::Ed25519(pair), SignedWith::Ed25519) => Ok(pair.sign(message).as_ref().to_vec()),
            (Pair::Rsa(pair), SignedWith::RsaSha256 | SignedWith::RsaPssSha256) => {
                let padding: &'static dyn signature::RsaEncoding = match with {
                    SignedWith::RsaPssSha256 => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut out)
                    .map_err(PkiError::key)?;
                Ok(out)
            }
            // aws-lc signs nothing with SHA-1 any more.
            (Pair::Rsa(_), SignedWith::RsaSha1) => {
                Self::small_rsa_from_pkcs8(&self.pkcs8)?.sign(with, message)
            }
            (Pair::SmallRsa(private), SignedWith::RsaPssSha256) => private
                .sign_with_rng(
                    &mut SystemRng,
                    Pss::<Sha256>::new(),
                    digest(&SHA256, message).as_ref(),
                )
                .map_err(PkiError::key),
            (Pair::SmallRsa(private), SignedWith::RsaSha256 | SignedWith::RsaSha1) => {
                let info = digest_info(with, message);
                private
                    .sign_with_rng(&mut SystemRng, Pkcs1v15Sign::new_unprefixed(), &info)
                    .map_err(PkiError::key)
            }
            _ => Err(PkiError::Key(format!(
                "this key makes no signature of the kind {with:?}"
            ))),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Key")
            .field("natural", &self.natural)
            .finish_non_exhaustive()
    }
}

/// The `DigestInfo` that PKCS#1 v1.5 pads.
fn digest_info(with: SignedWith, message: &[u8]) -> Vec<u8> {
    let (arcs, hash): (&[u32], _) = match with {
        SignedWith::RsaSha1 => (
            &[1, 3, 14, 3, 2, 26],
            digest(&SHA1_FOR_LEGACY_USE_ONLY, message),
        ),
        _ => (&[2, 16, 840, 1, 101, 3, 4, 2, 1], digest(&SHA256, message)),
    };
    let algorithm = sequence(&[&object_identifier(arcs), &NULL]);
    sequence(&[&algorithm, &element(OCTET_STRING, hash.as_ref())])
}

/// `true` as DER writes it.
pub(crate) fn der_true() -> Vec<u8> {
    element(BOOLEAN, &[0xff])
}

/// aws-lc's random numbers for the `rsa` crate.
struct SystemRng;

impl TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        // A system without random numbers cannot run any of these tests.
        rand::fill(out).expect("the system gives random numbers");
        Ok(())
    }
}

impl TryCryptoRng for SystemRng {}

/// `length` random bytes.
pub(crate) fn random_bytes(length: usize) -> Result<Vec<u8>, PkiError> {
    let mut out = vec![0; length];
    rand::fill(&mut out).map_err(PkiError::key)?;
    Ok(out)
}
