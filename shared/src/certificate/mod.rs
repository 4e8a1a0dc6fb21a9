//! The leaf certificate of a TLS client: read once a connection, judged on every request.

mod issuer;
pub(crate) mod raw;
mod twin;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::fmt;
use core::ops::Range;

use der::Decode as _;
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

pub use self::issuer::IssuerCert;
use self::raw::{Extensions, RawCertificate};
use crate::signature::{AlgorithmProblem, PublicKey, SignatureAlgorithm};
use crate::wire::cert_header::Encoding;
use crate::wire::name;
use crate::wire::thumbprint::Thumbprint;

/// A certificate that parsed: every field the rules ask for, none of them judged.
#[derive(Clone, Debug)]
pub struct LeafCert {
    der: Box<[u8]>,
    signed: Range<usize>,
    signature: Range<usize>,
    url_encoded_pem: String,
    thumbprint: Thumbprint,
    key_thumbprint: Thumbprint,
    serial: Box<[u8]>,
    issuer: Range<usize>,
    subject: Range<usize>,
    version: Version,
    validity: Validity,
    key: Result<PublicKey, AlgorithmProblem>,
    signature_algorithm: Result<SignatureAlgorithm, AlgorithmProblem>,
    authority: Authority,
    key_usage: Usage,
    extended_key_usage: Usage,
    critical_extensions: CriticalExtensions,
    alternative_names: Option<Range<usize>>,
    distribution_points: Option<Range<usize>>,
    algorithm: Range<usize>,
    is_signed_by_own_key: OnceCell<bool>,
    twin_thumbprints: OnceCell<Vec<Thumbprint>>,
}

/// Whose name stands in the issuer field; says nothing about who signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IssuedBy {
    /// Issuer and subject are the same DER.
    Itself,
    /// Issuer and subject differ.
    Other,
}

/// The version of the certificate (RFC 5280 section 4.1.2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// Version 3, the only one with extensions.
    V3,
    /// Version 1 or 2.
    Older,
}

/// The validity dates (RFC 5280 section 4.1.2.5), both included, in seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The first second.
    pub not_before: u64,
    /// The last second.
    pub not_after: u64,
}

impl Validity {
    /// All of time.
    pub const ALWAYS: Self = Self {
        not_before: 0,
        not_after: u64::MAX,
    };

    /// Whether the time, in seconds since 1970, is within.
    pub const fn contains(self, time: u64) -> bool {
        self.not_before <= time && time <= self.not_after
    }

    /// The seconds at which a certificate with these dates begins and ceases to be valid.
    pub const fn steps(self) -> [u64; 2] {
        [self.not_before, self.not_after.saturating_add(1)]
    }
}

/// Whether the certificate claims to be an authority's (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authority {
    /// Neither `cA` nor `keyCertSign` is asserted.
    EndEntity,
    /// `cA` or `keyCertSign` is asserted.
    Authority,
}

/// What a usage extension says of signing in for TLS as a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// The extension is absent.
    Unrestricted,
    /// The extension names the usage.
    Allowed,
    /// The extension names other usages only.
    Forbidden,
}

/// Whether the edge knows the meaning of every extension that is marked critical.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CriticalExtensions {
    /// It does.
    Known,
    /// There is one it does not know (RFC 5280 section 4.2).
    Unknown,
}

/// A name of the subjectAltName extension (RFC 5280 section 4.2.1.6) of a type that can be listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AlternativeName<'a> {
    /// A dNSName.
    Dns(&'a str),
    /// A uniformResourceIdentifier.
    Uri(&'a str),
    /// An rfc822Name.
    Email(&'a str),
}

/// The bytes are not exactly one X.509 certificate; holds what is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MalformedCertificate(&'static str);

impl LeafCert {
    /// Reads one certificate in DER (RFC 5280 section 4.1); bytes left over are an error.
    ///
    /// Repeated extensions, and an extension the rules look at that does not decode, are errors.
    /// Dates, algorithms, usages and signatures are not judged here.
    pub fn parse(der: Vec<u8>) -> Result<Self, MalformedCertificate> {
        let not_der = |_| MalformedCertificate("not the DER of one X.509 certificate");
        let raw = RawCertificate::parse(&der).map_err(not_der)?;
        if raw.algorithm != raw.signed_algorithm {
            return Err(MalformedCertificate("two different signature algorithms"));
        }
        if !name::is_well_formed(raw.issuer) || !name::is_well_formed(raw.subject) {
            return Err(MalformedCertificate("a name does not decode"));
        }
        if raw.version == Version::Older && raw.extensions.is_some() {
            return Err(MalformedCertificate(
                "extensions in a certificate of version 1 or 2",
            ));
        }
        let extensions = Extensions::parse(raw.extensions)?;
        Ok(Self {
            url_encoded_pem: Encoding::UrlEncodedPem.encode(&der),
            thumbprint: Thumbprint::of(&der),
            key_thumbprint: Thumbprint::of(raw.key_info),
            serial: without_leading_zeros(raw.serial).into(),
            issuer: range_in(&der, raw.issuer),
            subject: range_in(&der, raw.subject),
            version: raw.version,
            validity: validity(&raw.dates),
            key: public_key(raw.key_info),
            signature_algorithm: signature_algorithm(raw.algorithm),
            authority: authority(&extensions),
            key_usage: usage(extensions.key_usage.map(|bits| bits.digital_signature())),
            extended_key_usage: usage(extensions.purposes.map(|purposes| purposes.client_auth)),
            critical_extensions: extensions.critical,
            alternative_names: extensions
                .alternative_names
                .map(|names| range_in(&der, names)),
            distribution_points: extensions
                .distribution_points
                .map(|points| range_in(&der, points)),
            algorithm: range_in(&der, raw.algorithm),
            is_signed_by_own_key: OnceCell::new(),
            twin_thumbprints: OnceCell::new(),
            signed: range_in(&der, raw.signed),
            signature: range_in(&der, raw.signature),
            der: der.into(),
        })
    }

    /// The certificate as it was presented.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The URL-encoded PEM, made once since every request on a connection sends it.
    pub fn url_encoded_pem(&self) -> &str {
        &self.url_encoded_pem
    }

    /// SHA-256 over the DER.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// SHA-256 over the SubjectPublicKeyInfo.
    pub fn key_thumbprint(&self) -> Thumbprint {
        self.key_thumbprint
    }

    /// The serial number, big-endian without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The issuer's name: the DER of its RDNSequence.
    pub fn issuer(&self) -> &[u8] {
        self.part(&self.issuer)
    }

    /// The subject's name: the DER of its RDNSequence.
    pub fn subject(&self) -> &[u8] {
        self.part(&self.subject)
    }

    /// Whose name stands in the issuer field.
    pub fn issued_by(&self) -> IssuedBy {
        if self.issuer() == self.subject() {
            IssuedBy::Itself
        } else {
            IssuedBy::Other
        }
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The validity dates.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The public key, when it is of an accepted kind.
    pub fn key(&self) -> Result<&PublicKey, AlgorithmProblem> {
        self.key.as_ref().map_err(|problem| *problem)
    }

    /// The algorithm of the signature on the certificate, when it is of an accepted kind.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, AlgorithmProblem> {
        self.signature_algorithm
    }

    /// Whether it claims to be an authority's certificate.
    pub fn authority(&self) -> Authority {
        self.authority
    }

    /// What keyUsage says of digitalSignature.
    pub fn key_usage(&self) -> Usage {
        self.key_usage
    }

    /// What extKeyUsage says of clientAuth; anyExtendedKeyUsage does not stand for it.
    pub fn extended_key_usage(&self) -> Usage {
        self.extended_key_usage
    }

    /// Whether every critical extension is one the edge knows.
    pub fn critical_extensions(&self) -> CriticalExtensions {
        self.critical_extensions
    }

    /// The alternative names that can be listed; read from the DER each time, since a certificate can
    /// hold thousands and few lists ask for them.
    pub fn alternative_names(&self) -> impl Iterator<Item = AlternativeName<'_>> {
        let names = self.alternative_names.as_ref();
        raw::alternative_names(names.map_or(&[], |names| self.part(names)))
    }

    /// The value of cRLDistributionPoints (RFC 5280 section 4.2.1.13), not looked into.
    pub(crate) fn distribution_points(&self) -> Option<&[u8]> {
        self.distribution_points
            .as_ref()
            .map(|points| self.part(points))
    }

    /// Whether the certificate's own key verifies its signature: one verification, then remembered.
    pub fn is_signed_by_own_key(&self) -> bool {
        *self.is_signed_by_own_key.get_or_init(|| {
            let (Ok(key), Ok(algorithm)) = (&self.key, self.signature_algorithm) else {
                return false;
            };
            algorithm.verifies(key, self.part(&self.signed), self.part(&self.signature))
        })
    }

    /// Whether the question of [`LeafCert::is_signed_by_own_key`] has been answered before.
    pub(crate) fn knows_its_signature(&self) -> bool {
        self.is_signed_by_own_key.get().is_some()
    }

    /// The thumbprints this certificate would have with the other spelling of its ECDSA signature,
    /// which anybody can write; none for other signatures. Reckoned when first asked for.
    pub fn twin_thumbprints(&self) -> &[Thumbprint] {
        self.twin_thumbprints.get_or_init(|| {
            let signature = self.part(&self.signature);
            twin::thumbprints(
                self.part(&self.signed),
                self.part(&self.algorithm),
                signature,
            )
        })
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

impl fmt::Display for MalformedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for MalformedCertificate {}

fn public_key(key_info: &[u8]) -> Result<PublicKey, AlgorithmProblem> {
    SubjectPublicKeyInfoRef::from_der(key_info)
        .map_err(|_| AlgorithmProblem::Unsupported("the public key is malformed"))
        .and_then(|info| PublicKey::parse(&info))
}

/// The algorithm of an AlgorithmIdentifier in DER.
pub(crate) fn signature_algorithm(
    algorithm: &[u8],
) -> Result<SignatureAlgorithm, AlgorithmProblem> {
    AlgorithmIdentifierRef::from_der(algorithm)
        .map_err(|_| AlgorithmProblem::Unsupported("the signature algorithm is malformed"))
        .and_then(|algorithm| SignatureAlgorithm::parse(&algorithm))
}

fn authority(extensions: &Extensions<'_>) -> Authority {
    let is_ca = extensions.basic_constraints.is_some_and(|it| it.ca);
    let signs = extensions.key_usage.is_some_and(|it| it.key_cert_sign());
    if is_ca || signs {
        Authority::Authority
    } else {
        Authority::EndEntity
    }
}

fn validity(dates: &x509_cert::time::Validity) -> Validity {
    Validity {
        not_before: dates.not_before.to_unix_duration().as_secs(),
        not_after: dates.not_after.to_unix_duration().as_secs(),
    }
}

fn usage(named: Option<bool>) -> Usage {
    match named {
        None => Usage::Unrestricted,
        Some(true) => Usage::Allowed,
        Some(false) => Usage::Forbidden,
    }
}

/// Where `part`, a slice of `whole`, lies in it; nowhere gives an empty range.
pub(crate) fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start.saturating_add(part.len())
}

/// Drops the zero bytes an integer may start with, so that numbers compare as numbers.
pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
