//! The leaf certificate of a TLS client: read once a connection, judged on every request.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use x509_cert::time::Validity as Dates;

use crate::signature::{AlgorithmProblem, PublicKey, SignatureAlgorithm};
use crate::wire::cert_header::Encoding;
use crate::wire::pem;
use crate::wire::thumbprint::Thumbprint;

// Object identifiers are compared as the bytes of their DER, so that those of extensions nobody
// knows need not be understood: arcs above 32 bits (2.25 and a UUID) are in use.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
/// 1.3.6.1.5.5.7.3.2, id-kp-clientAuth (RFC 5280 section 4.2.1.12).
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

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
    alternative_names: Vec<AlternativeName>,
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
pub enum AlternativeName {
    /// A dNSName.
    Dns(String),
    /// A uniformResourceIdentifier.
    Uri(String),
    /// An rfc822Name.
    Email(String),
}

/// The bytes are not exactly one X.509 certificate; holds what is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MalformedCertificate(&'static str);

impl LeafCert {
    /// Reads one certificate in PEM, plain or URL-encoded; see [`LeafCert::parse`].
    pub fn from_pem(text: &[u8]) -> Result<Self, MalformedCertificate> {
        let der = pem::decode_one(text)
            .map_err(|_| MalformedCertificate("not exactly one certificate in PEM"))?;
        Self::parse(der)
    }

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
            validity: Validity {
                not_before: raw.dates.not_before.to_unix_duration().as_secs(),
                not_after: raw.dates.not_after.to_unix_duration().as_secs(),
            },
            key: SubjectPublicKeyInfoRef::from_der(raw.key_info)
                .map_err(|_| AlgorithmProblem::Unsupported("the public key is malformed"))
                .and_then(|info| PublicKey::parse(&info)),
            signature_algorithm: AlgorithmIdentifierRef::from_der(raw.algorithm)
                .map_err(|_| AlgorithmProblem::Unsupported("the signature algorithm is malformed"))
                .and_then(|algorithm| SignatureAlgorithm::parse(&algorithm)),
            authority: extensions.authority,
            key_usage: extensions.key_usage,
            extended_key_usage: extensions.extended_key_usage,
            critical_extensions: extensions.critical,
            alternative_names: extensions.alternative_names,
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

    /// The alternative names that can be listed.
    pub fn alternative_names(&self) -> &[AlternativeName] {
        &self.alternative_names
    }

    /// Whether the certificate's own key verifies its signature: costs one signature verification.
    pub fn is_signed_by_own_key(&self) -> bool {
        let (Ok(key), Ok(algorithm)) = (&self.key, self.signature_algorithm) else {
            return false;
        };
        algorithm.verifies(key, self.part(&self.signed), self.part(&self.signature))
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

/// The parts of a certificate (RFC 5280 section 4.1), as they were presented.
struct RawCertificate<'a> {
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    version: Version,
    serial: &'a [u8],
    signed_algorithm: &'a [u8],
    issuer: &'a [u8],
    dates: Dates,
    subject: &'a [u8],
    key_info: &'a [u8],
    extensions: Option<&'a [u8]>,
}

impl<'a> RawCertificate<'a> {
    fn parse(der: &'a [u8]) -> der::Result<Self> {
        let mut outer = SliceReader::new(der)?;
        let (signed, algorithm, signature) = outer.sequence(|reader| {
            let signed = reader.tlv_bytes()?;
            let algorithm = element(reader, Tag::Sequence)?;
            let signature = BitStringRef::decode(reader)?;
            Ok::<_, der::Error>((signed, algorithm, signature))
        })?;
        outer.finish()?;
        let signature = signature.as_bytes().ok_or_else(malformed)?;
        let mut inner = SliceReader::new(signed)?;
        let parsed = inner.sequence(|reader| {
            Ok::<_, der::Error>(Self {
                signed,
                algorithm,
                signature,
                version: version(reader)?,
                // Decoding as unsigned refuses a negative number (RFC 5280 section 4.1.2.2).
                serial: UintRef::decode(reader)?.as_bytes(),
                signed_algorithm: element(reader, Tag::Sequence)?,
                issuer: element(reader, Tag::Sequence)?,
                dates: Dates::decode(reader)?,
                subject: element(reader, Tag::Sequence)?,
                key_info: element(reader, Tag::Sequence)?,
                extensions: extensions(reader)?,
            })
        })?;
        inner.finish()?;
        Ok(parsed)
    }
}

fn malformed() -> der::Error {
    der::ErrorKind::Failed.into()
}

/// The next element whole, when it has the tag.
fn element<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    Tag::peek(reader)?.assert_eq(tag)?;
    reader.tlv_bytes()
}

/// A context-specific tag.
const fn context(constructed: bool, number: u32) -> Tag {
    Tag::ContextSpecific {
        constructed,
        number: TagNumber(number),
    }
}

/// `[0] EXPLICIT INTEGER DEFAULT v1`.
fn version(reader: &mut SliceReader<'_>) -> der::Result<Version> {
    if Tag::peek(reader)? != context(true, 0) {
        return Ok(Version::Older);
    }
    match u8::from_der(AnyRef::decode(reader)?.value())? {
        2 => Ok(Version::V3),
        0 | 1 => Ok(Version::Older),
        _ => Err(malformed()),
    }
}

/// The two unique identifiers, which nobody reads, and the content of `[3] EXPLICIT Extensions`.
fn extensions<'a>(reader: &mut SliceReader<'a>) -> der::Result<Option<&'a [u8]>> {
    for identifier in [context(false, 1), context(false, 2)] {
        if !reader.is_finished() && Tag::peek(reader)? == identifier {
            reader.tlv_bytes()?;
        }
    }
    if reader.is_finished() {
        return Ok(None);
    }
    Tag::peek(reader)?.assert_eq(context(true, 3))?;
    Ok(Some(AnyRef::decode(reader)?.value()))
}

/// Where `part`, a slice of `whole`, lies in it; nowhere gives an empty range.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start.saturating_add(part.len())
}

/// Drops the zero bytes an integer may start with, so that numbers compare as numbers.
pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

struct Extensions {
    authority: Authority,
    key_usage: Usage,
    extended_key_usage: Usage,
    critical: CriticalExtensions,
    alternative_names: Vec<AlternativeName>,
}

/// An extension (RFC 5280 section 4.1).
struct Extension<'a> {
    id: &'a [u8],
    is_critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    fn parse(reader: &mut SliceReader<'a>) -> der::Result<Self> {
        reader.sequence(|reader| {
            let id = AnyRef::decode(reader)?;
            id.tag().assert_eq(Tag::ObjectIdentifier)?;
            // FALSE is the default and must not be written out in DER; some authorities do.
            let is_critical = Tag::peek(reader)? == Tag::Boolean && bool::decode(reader)?;
            let value = <&OctetStringRef>::decode(reader)?.as_bytes();
            Ok(Self {
                id: id.value(),
                is_critical,
                value,
            })
        })
    }
}

impl Extensions {
    fn parse(sequence: Option<&[u8]>) -> Result<Self, MalformedCertificate> {
        let mut parsed = Self {
            authority: Authority::EndEntity,
            key_usage: Usage::Unrestricted,
            extended_key_usage: Usage::Unrestricted,
            critical: CriticalExtensions::Known,
            alternative_names: Vec::new(),
        };
        let mut seen: Vec<&[u8]> = Vec::new();
        let Some(sequence) = sequence else {
            return Ok(parsed);
        };
        for extension in list(sequence, Extension::parse)
            .map_err(|_| MalformedCertificate("the extensions do not decode"))?
        {
            if seen.contains(&extension.id) {
                return Err(MalformedCertificate("an extension stands twice"));
            }
            seen.push(extension.id);
            parsed
                .add(&extension)
                .map_err(|_| MalformedCertificate("an extension does not decode"))?;
        }
        Ok(parsed)
    }

    fn note_authority(&mut self, asserted: bool) {
        if asserted {
            self.authority = Authority::Authority;
        }
    }

    fn add(&mut self, extension: &Extension<'_>) -> der::Result<()> {
        match extension.id {
            BASIC_CONSTRAINTS => self.note_authority(is_authority(extension.value)?),
            KEY_USAGE => {
                let bits = BitStringRef::from_der(extension.value)?;
                let first = bits.raw_bytes().first().copied().unwrap_or_default();
                // Bits count from the most significant one (RFC 5280 section 4.2.1.3).
                self.key_usage = allowed_when(first & 0x80 != 0);
                self.note_authority(first & 0x04 != 0);
            }
            EXTENDED_KEY_USAGE => {
                let usages = list(extension.value, |reader| {
                    let usage = AnyRef::decode(reader)?;
                    usage.tag().assert_eq(Tag::ObjectIdentifier)?;
                    Ok(usage.value())
                })?;
                self.extended_key_usage = allowed_when(usages.contains(&CLIENT_AUTH));
            }
            SUBJECT_ALT_NAME => {
                let names = list(extension.value, alternative_name)?;
                self.alternative_names = names.into_iter().flatten().collect();
            }
            CERTIFICATE_POLICIES => {}
            _ if extension.is_critical => self.critical = CriticalExtensions::Unknown,
            _ => {}
        }
        Ok(())
    }
}

/// The elements of a SEQUENCE; bytes left over are an error.
fn list<'a, T>(
    der: &'a [u8],
    mut decode: impl FnMut(&mut SliceReader<'a>) -> der::Result<T>,
) -> der::Result<Vec<T>> {
    let mut reader = SliceReader::new(der)?;
    let elements = reader.sequence(|reader| {
        let mut elements = Vec::new();
        while !reader.is_finished() {
            elements.push(decode(reader)?);
        }
        Ok::<_, der::Error>(elements)
    })?;
    reader.finish()?;
    Ok(elements)
}

/// `cA` of basicConstraints (RFC 5280 section 4.2.1.9).
fn is_authority(der: &[u8]) -> der::Result<bool> {
    let mut reader = SliceReader::new(der)?;
    let is_authority = reader.sequence(|reader| {
        let is_authority =
            !reader.is_finished() && Tag::peek(reader)? == Tag::Boolean && bool::decode(reader)?;
        if !reader.is_finished() {
            UintRef::decode(reader)?;
        }
        Ok::<_, der::Error>(is_authority)
    })?;
    reader.finish()?;
    Ok(is_authority)
}

fn allowed_when(named: bool) -> Usage {
    if named {
        Usage::Allowed
    } else {
        Usage::Forbidden
    }
}

/// A GeneralName (RFC 5280 section 4.2.1.6), when it is of a type that can be listed.
fn alternative_name(reader: &mut SliceReader<'_>) -> der::Result<Option<AlternativeName>> {
    let name = AnyRef::decode(reader)?;
    let text = || match core::str::from_utf8(name.value()) {
        Ok(text) if text.is_ascii() => Ok(String::from(text)),
        _ => Err(malformed()),
    };
    let tag = name.tag();
    Ok(if tag == context(false, 1) {
        Some(AlternativeName::Email(text()?))
    } else if tag == context(false, 2) {
        Some(AlternativeName::Dns(text()?))
    } else if tag == context(false, 6) {
        Some(AlternativeName::Uri(text()?))
    } else if tag.is_context_specific() {
        None
    } else {
        return Err(malformed());
    })
}
