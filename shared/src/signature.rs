//! Public keys and signatures of certificates: which are accepted, and whether one verifies.
//!
//! Accepted are RSA of 2048 to 4096 bits (PKCS #1 v1.5 and PSS, RFC 8017), ECDSA on P-256 and
//! P-384 (FIPS 186-5), both with SHA-256, SHA-384 or SHA-512, and Ed25519 (RFC 8032).

use alloc::boxed::Box;
use core::fmt;

use der::asn1::{Any, ObjectIdentifier};
use der::{Decode as _, Tag, Tagged as _};
use ed25519_dalek::VerifyingKey as Ed25519Key;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::BoxedUint;
use rsa::pkcs1::{RsaPssParams, UintRef};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

/// The smallest RSA modulus, in bits (NIST SP 800-131A revision 2, 112 bits of security).
pub const RSA_MIN_BITS: u32 = 2048;
/// The largest RSA modulus, in bits: a bound on the work one handshake can cause.
pub const RSA_MAX_BITS: u32 = 4096;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// A key or signature algorithm that is not accepted, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AlgorithmProblem {
    /// An RSA modulus of fewer bits than [`RSA_MIN_BITS`], or an exponent of 1.
    Weak,
    /// No algorithm of the accepted ones; holds which part is not.
    Unsupported(&'static str),
}

impl fmt::Display for AlgorithmProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weak => f.write_str("the public key is weak"),
            Self::Unsupported(part) => f.write_str(part),
        }
    }
}

/// A public key of an accepted kind, as it stands in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublicKey {
    /// Modulus and exponent, big-endian.
    Rsa {
        /// The modulus, of 2048 to 4096 bits.
        modulus: Box<[u8]>,
        /// The public exponent.
        exponent: Box<[u8]>,
    },
    /// A point on P-256 as SEC 1 section 2.3.3 writes it.
    P256(Box<[u8]>),
    /// A point on P-384 as SEC 1 section 2.3.3 writes it.
    P384(Box<[u8]>),
    /// A key of RFC 8032 section 5.1.5.
    Ed25519([u8; 32]),
}

/// The kinds of public keys that are accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// RSA, as rsaEncryption.
    Rsa,
    /// An elliptic-curve key on P-256.
    P256,
    /// An elliptic-curve key on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7); only its shape and size are judged
    /// here, a point off its curve fails when a signature is verified.
    ///
    /// Each key is read in one form alone, since lists of denied keys go by the form: elliptic-curve
    /// points uncompressed, RSA keys as rsaEncryption (id-RSASSA-PSS keys are used by no TLS library).
    pub fn parse(spki: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, AlgorithmProblem> {
        let unsupported = AlgorithmProblem::Unsupported;
        let bits = spki
            .subject_public_key
            .as_bytes()
            .ok_or(unsupported("the public key is not a whole number of bytes"))?;
        let kind = match spki.algorithm.oid {
            // RFC 3279 section 2.3.1: the parameters are NULL.
            RSA_ENCRYPTION if !is_null(&spki.algorithm) => {
                return Err(unsupported("the parameters of the RSA key are not NULL"));
            }
            RSA_ENCRYPTION => KeyKind::Rsa,
            EC_PUBLIC_KEY => {
                let curve = spki
                    .algorithm
                    .parameters
                    .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
                match curve {
                    Some(P256) => KeyKind::P256,
                    Some(P384) => KeyKind::P384,
                    _ => return Err(unsupported("the elliptic curve is not supported")),
                }
            }
            ED25519 if spki.algorithm.parameters.is_some() => {
                return Err(unsupported("the Ed25519 key has parameters"));
            }
            ED25519 => KeyKind::Ed25519,
            _ => return Err(unsupported("the public key algorithm is not supported")),
        };
        Self::from_bits(kind, bits)
    }

    /// Reads the bits of a SubjectPublicKeyInfo whose algorithm is known; see [`PublicKey::parse`].
    pub fn from_bits(kind: KeyKind, bits: &[u8]) -> Result<Self, AlgorithmProblem> {
        let unsupported = AlgorithmProblem::Unsupported;
        // RFC 5480 section 2.2: the uncompressed form starts with 4.
        match (kind, bits.first(), bits.len()) {
            (KeyKind::Rsa, _, _) => Self::parse_rsa(bits),
            (KeyKind::P256, Some(4), 65) => Ok(Self::P256(bits.into())),
            (KeyKind::P384, Some(4), 97) => Ok(Self::P384(bits.into())),
            (KeyKind::P256 | KeyKind::P384, _, _) => Err(unsupported(
                "the elliptic curve point is not in uncompressed form",
            )),
            (KeyKind::Ed25519, _, _) => bits
                .try_into()
                .map(Self::Ed25519)
                .map_err(|_| unsupported("the Ed25519 key is not 32 bytes long")),
        }
    }

    fn parse_rsa(der: &[u8]) -> Result<Self, AlgorithmProblem> {
        let key = rsa::pkcs1::RsaPublicKey::<UintRef<'_>>::from_der(der)
            .map_err(|_| AlgorithmProblem::Unsupported("the RSA key is malformed"))?;
        let modulus = key.modulus.as_bytes();
        let exponent = key.public_exponent.as_bytes();
        let bits = modulus.first().map_or(0, |first| {
            u32::try_from(modulus.len())
                .unwrap_or(u32::MAX)
                .saturating_mul(8)
                .saturating_sub(first.leading_zeros())
        });
        if bits < RSA_MIN_BITS || exponent == [1] {
            return Err(AlgorithmProblem::Weak);
        }
        if bits > RSA_MAX_BITS {
            return Err(AlgorithmProblem::Unsupported(
                "the RSA key has more than 4096 bits",
            ));
        }
        Ok(Self::Rsa {
            modulus: modulus.into(),
            exponent: exponent.into(),
        })
    }
}

/// The hash of a signature algorithm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The length of a hash in bytes.
    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, message: &[u8]) -> Digest {
        let mut bytes = [0; 64];
        let len = match self {
            Self::Sha256 => copy(&mut bytes, &Sha256::digest(message)),
            Self::Sha384 => copy(&mut bytes, &Sha384::digest(message)),
            Self::Sha512 => copy(&mut bytes, &Sha512::digest(message)),
        };
        Digest { bytes, len }
    }
}

struct Digest {
    bytes: [u8; 64],
    len: usize,
}

impl Digest {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn copy(to: &mut [u8; 64], from: &[u8]) -> usize {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    from.len()
}

/// A signature algorithm of an accepted kind, with its parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).
    RsaPkcs1(Hash),
    /// RSASSA-PSS (RFC 8017 section 8.1), MGF1 with the same hash and a salt as long as a hash.
    RsaPss {
        /// The hash of the message and of MGF1.
        hash: Hash,
        /// The length of the salt in bytes.
        salt_len: u8,
    },
    /// ECDSA (FIPS 186-5 section 6).
    Ecdsa(Hash),
    /// Ed25519 (RFC 8032 section 5.1).
    Ed25519,
}

impl SignatureAlgorithm {
    /// Reads an AlgorithmIdentifier of a signature (RFC 5280 section 4.1.1.2, RFC 4055, RFC 5758).
    pub fn parse(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Self, AlgorithmProblem> {
        let unsupported = AlgorithmProblem::Unsupported("the signature algorithm is not supported");
        let parsed = match algorithm.oid {
            SHA256_WITH_RSA => Self::RsaPkcs1(Hash::Sha256),
            SHA384_WITH_RSA => Self::RsaPkcs1(Hash::Sha384),
            SHA512_WITH_RSA => Self::RsaPkcs1(Hash::Sha512),
            ECDSA_WITH_SHA256 => Self::Ecdsa(Hash::Sha256),
            ECDSA_WITH_SHA384 => Self::Ecdsa(Hash::Sha384),
            ECDSA_WITH_SHA512 => Self::Ecdsa(Hash::Sha512),
            ED25519 => Self::Ed25519,
            RSASSA_PSS => return parse_pss(algorithm).ok_or(unsupported),
            _ => return Err(unsupported),
        };
        let parameters_fit = match (parsed, algorithm.parameters) {
            (_, None) => true,
            // RFC 4055 section 5: the parameters of PKCS #1 v1.5 are NULL, and accepted absent.
            (Self::RsaPkcs1(_), Some(parameters)) => parameters.tag() == Tag::Null,
            _ => false,
        };
        if parameters_fit {
            Ok(parsed)
        } else {
            Err(unsupported)
        }
    }

    /// Whether `signature` over `message` verifies under `key`; a key of another kind does not.
    pub fn verifies(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        self.try_verify(key, message, signature).is_some()
    }

    fn try_verify(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Option<()> {
        match (self, key) {
            (Self::RsaPkcs1(hash), PublicKey::Rsa { modulus, exponent }) => {
                let key = rsa_key(modulus, exponent)?;
                let signature = rsa::pkcs1v15::Signature::try_from(signature).ok()?;
                let digest = hash.digest(message);
                let digest = digest.as_bytes();
                use rsa::pkcs1v15::VerifyingKey;
                match hash {
                    Hash::Sha256 => {
                        VerifyingKey::<Sha256>::new(key).verify_prehash(digest, &signature)
                    }
                    Hash::Sha384 => {
                        VerifyingKey::<Sha384>::new(key).verify_prehash(digest, &signature)
                    }
                    Hash::Sha512 => {
                        VerifyingKey::<Sha512>::new(key).verify_prehash(digest, &signature)
                    }
                }
                .ok()
            }
            (Self::RsaPss { hash, salt_len }, PublicKey::Rsa { modulus, exponent }) => {
                let key = rsa_key(modulus, exponent)?;
                let signature = rsa::pss::Signature::try_from(signature).ok()?;
                let digest = hash.digest(message);
                let digest = digest.as_bytes();
                let salt = usize::from(salt_len);
                use rsa::pss::VerifyingKey;
                match hash {
                    Hash::Sha256 => VerifyingKey::<Sha256>::new_with_salt_len(key, salt)
                        .verify_prehash(digest, &signature),
                    Hash::Sha384 => VerifyingKey::<Sha384>::new_with_salt_len(key, salt)
                        .verify_prehash(digest, &signature),
                    Hash::Sha512 => VerifyingKey::<Sha512>::new_with_salt_len(key, salt)
                        .verify_prehash(digest, &signature),
                }
                .ok()
            }
            (Self::Ecdsa(hash), PublicKey::P256(point)) => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
                key.verify_prehash(hash.digest(message).as_bytes(), &signature)
                    .ok()
            }
            (Self::Ecdsa(hash), PublicKey::P384(point)) => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
                key.verify_prehash(hash.digest(message).as_bytes(), &signature)
                    .ok()
            }
            (Self::Ed25519, PublicKey::Ed25519(key)) => {
                let key = Ed25519Key::from_bytes(key).ok()?;
                let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
                // A key of small order verifies signatures nobody made with it.
                if key.is_weak() {
                    return None;
                }
                key.verify(message, &signature).ok()
            }
            _ => None,
        }
    }
}

fn is_null(algorithm: &AlgorithmIdentifierRef<'_>) -> bool {
    algorithm
        .parameters
        .is_some_and(|parameters| parameters.is_null())
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Option<rsa::RsaPublicKey> {
    let number = |bytes: &[u8]| {
        let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
        BoxedUint::from_be_slice(bytes, bits).ok()
    };
    let sizes = usize::try_from(RSA_MIN_BITS).ok()?..=usize::try_from(RSA_MAX_BITS).ok()?;
    rsa::RsaPublicKey::new_with_size_limits(number(modulus)?, number(exponent)?, sizes).ok()
}

fn parse_pss(algorithm: &AlgorithmIdentifierRef<'_>) -> Option<SignatureAlgorithm> {
    let parameters: RsaPssParams<Any> = algorithm.parameters?.decode_as().ok()?;
    let hash = match parameters.hash.oid {
        SHA256 => Hash::Sha256,
        SHA384 => Hash::Sha384,
        SHA512 => Hash::Sha512,
        _ => return None,
    };
    let mask = &parameters.mask_gen;
    let mask_hash = mask.parameters.as_ref()?.oid;
    // RFC 8446 section 4.2.3 has it so for TLS; other lengths are in use by accident only.
    let is_usual = usize::from(parameters.salt_len) == hash.len();
    (mask.oid == MGF1 && mask_hash == parameters.hash.oid && is_usual).then_some(
        SignatureAlgorithm::RsaPss {
            hash,
            salt_len: parameters.salt_len,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use der::asn1::{AnyRef, BitStringRef};

    const NULL: AnyRef<'static> = AnyRef::NULL;

    fn parse(
        oid: ObjectIdentifier,
        parameters: Option<AnyRef<'_>>,
        key: &[u8],
    ) -> Result<PublicKey, AlgorithmProblem> {
        PublicKey::parse(&SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid, parameters },
            subject_public_key: BitStringRef::from_bytes(key).unwrap(),
        })
    }

    /// A list of denied keys goes by the SubjectPublicKeyInfo, so a key has only one.
    #[test]
    fn a_key_is_read_in_one_form_alone() {
        let curve = AnyRef::from(&P256);
        let point = |form: u8, len| {
            let mut point = std::vec![7; len];
            point[0] = form;
            point
        };
        assert!(parse(EC_PUBLIC_KEY, Some(curve), &point(4, 65)).is_ok());
        for (form, len) in [(2, 33), (3, 33), (6, 65), (7, 65), (4, 64), (4, 66)] {
            assert!(
                parse(EC_PUBLIC_KEY, Some(curve), &point(form, len)).is_err(),
                "{form} {len}"
            );
        }
        assert!(parse(ED25519, None, &[7; 32]).is_ok());
        assert!(parse(ED25519, Some(NULL), &[7; 32]).is_err());
        let mut rsa = std::vec![0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0];
        rsa.extend([0xc1; 256]);
        rsa.extend([2, 3, 1, 0, 1]);
        assert!(parse(RSA_ENCRYPTION, Some(NULL), &rsa).is_ok());
        assert!(parse(RSA_ENCRYPTION, None, &rsa).is_err());
        assert!(parse(RSASSA_PSS, None, &rsa).is_err());
    }
}
