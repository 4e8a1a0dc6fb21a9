//! The DER of a certificate, taken apart (RFC 5280 section 4.1).

use alloc::vec::Vec;

use der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};
use x509_cert::time::Validity as Dates;

use super::{AlternativeName, CriticalExtensions, MalformedCertificate, Version};

// Object identifiers are compared as the bytes of their DER, so that those of extensions nobody
// knows need not be understood: arcs above 32 bits (2.25 and a UUID) are in use.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 36];
const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
/// 1.3.6.1.5.5.7.3.2, id-kp-clientAuth (RFC 5280 section 4.2.1.12).
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
/// 2.5.29.37.0, anyExtendedKeyUsage.
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 37, 0];

/// The parts of a certificate (RFC 5280 section 4.1), as they were presented.
pub(super) struct RawCertificate<'a> {
    pub(super) signed: &'a [u8],
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) version: Version,
    pub(super) serial: &'a [u8],
    pub(super) signed_algorithm: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) dates: Dates,
    pub(super) subject: &'a [u8],
    pub(super) key_info: &'a [u8],
    pub(super) extensions: Option<&'a [u8]>,
}

impl<'a> RawCertificate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> der::Result<Self> {
        let Signed {
            signed,
            algorithm,
            signature,
        } = Signed::parse(der)?;
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

/// What certificates (RFC 5280 section 4.1) and revocation lists (section 5.1) are on the outside.
pub(crate) struct Signed<'a> {
    /// The DER that was signed.
    pub(crate) signed: &'a [u8],
    /// The DER of the AlgorithmIdentifier.
    pub(crate) algorithm: &'a [u8],
    /// The bits of the signature.
    pub(crate) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes the whole of `der` apart; bytes left over are an error.
    pub(crate) fn parse(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let (signed, algorithm, signature) = reader.sequence(|reader| {
            let signed = reader.tlv_bytes()?;
            let algorithm = element(reader, Tag::Sequence)?;
            let signature = BitStringRef::decode(reader)?;
            Ok::<_, der::Error>((signed, algorithm, signature))
        })?;
        reader.finish()?;
        Ok(Self {
            signed,
            algorithm,
            signature: signature.as_bytes().ok_or_else(malformed)?,
        })
    }
}

pub(crate) fn malformed() -> der::Error {
    der::ErrorKind::Failed.into()
}

/// The next element whole, when it has the tag.
pub(crate) fn element<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    Tag::peek(reader)?.assert_eq(tag)?;
    reader.tlv_bytes()
}

/// A context-specific tag.
pub(crate) const fn context(constructed: bool, number: u32) -> Tag {
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

/// What the extensions of a certificate say; those that are absent are none.
pub(super) struct Extensions<'a> {
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) key_usage: Option<KeyUsageBits>,
    pub(super) purposes: Option<Purposes>,
    pub(super) constrains_policies: bool,
    pub(super) critical: CriticalExtensions,
    /// The value of subjectAltName.
    pub(super) alternative_names: Option<&'a [u8]>,
    /// The value of cRLDistributionPoints.
    pub(super) distribution_points: Option<&'a [u8]>,
    /// The value of nameConstraints.
    pub(super) name_constraints: Option<&'a [u8]>,
}

/// basicConstraints (RFC 5280 section 4.2.1.9).
#[derive(Clone, Copy)]
pub(super) struct BasicConstraints {
    pub(super) ca: bool,
    pub(super) path_len: Option<u64>,
}

/// The first eight bits of keyUsage, counted from the most significant one (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy)]
pub(super) struct KeyUsageBits(u8);

impl KeyUsageBits {
    pub(super) const fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    pub(super) const fn key_cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub(super) const fn crl_sign(self) -> bool {
        self.0 & 0x02 != 0
    }
}

/// The purposes of extKeyUsage that matter here (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy)]
pub(super) struct Purposes {
    pub(super) client_auth: bool,
    pub(super) any: bool,
}

/// How many extensions a certificate may have; those in use have about ten.
const MAX_EXTENSIONS: usize = 64;

/// An extension (RFC 5280 section 4.1).
pub(crate) struct Extension<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) is_critical: bool,
    pub(crate) value: &'a [u8],
}

impl<'a> Extension<'a> {
    pub(crate) fn parse(reader: &mut SliceReader<'a>) -> der::Result<Self> {
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

impl<'a> Extensions<'a> {
    pub(super) fn parse(sequence: Option<&'a [u8]>) -> Result<Self, MalformedCertificate> {
        let mut parsed = Self {
            basic_constraints: None,
            key_usage: None,
            purposes: None,
            constrains_policies: false,
            critical: CriticalExtensions::Known,
            alternative_names: None,
            distribution_points: None,
            name_constraints: None,
        };
        let mut seen: Vec<&[u8]> = Vec::new();
        let Some(sequence) = sequence else {
            return Ok(parsed);
        };
        for extension in list(sequence, Extension::parse)
            .map_err(|_| MalformedCertificate("the extensions do not decode"))?
        {
            if seen.len() >= MAX_EXTENSIONS {
                return Err(MalformedCertificate("too many extensions"));
            }
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

    fn add(&mut self, extension: &Extension<'a>) -> der::Result<()> {
        self.constrains_policies |= extension.id == POLICY_CONSTRAINTS;
        if extension.id == NAME_CONSTRAINTS {
            self.name_constraints = Some(extension.value);
        }
        match extension.id {
            BASIC_CONSTRAINTS => {
                self.basic_constraints = Some(basic_constraints(extension.value)?);
            }
            KEY_USAGE => {
                let bits = BitStringRef::from_der(extension.value)?;
                let first = bits.raw_bytes().first().copied().unwrap_or_default();
                self.key_usage = Some(KeyUsageBits(first));
            }
            EXTENDED_KEY_USAGE => {
                let purposes = list(extension.value, |reader| {
                    let purpose = AnyRef::decode(reader)?;
                    purpose.tag().assert_eq(Tag::ObjectIdentifier)?;
                    Ok(purpose.value())
                })?;
                self.purposes = Some(Purposes {
                    client_auth: purposes.contains(&CLIENT_AUTH),
                    any: purposes.contains(&ANY_PURPOSE),
                });
            }
            SUBJECT_ALT_NAME => {
                list(extension.value, alternative_name)?;
                self.alternative_names = Some(extension.value);
            }
            CRL_DISTRIBUTION_POINTS if !extension.is_critical => {
                self.distribution_points = Some(extension.value);
            }
            CERTIFICATE_POLICIES => {}
            _ if extension.is_critical => self.critical = CriticalExtensions::Unknown,
            _ => {}
        }
        Ok(())
    }
}

/// The elements of a SEQUENCE; bytes left over are an error.
pub(crate) fn list<'a, T>(
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

/// Whether nameConstraints hold a subtree of email addresses (RFC 5280 section 4.2.1.10).
pub(super) fn constrains_email(value: &[u8]) -> der::Result<bool> {
    let subtrees = list(value, |reader| Ok(AnyRef::decode(reader)?.value()))?;
    for subtrees in subtrees {
        let mut reader = SliceReader::new(subtrees)?;
        while !reader.is_finished() {
            let subtree = AnyRef::decode(&mut reader)?;
            // The base is first; it is a GeneralName, whose rfc822Name has the tag [1].
            if Tag::peek(&SliceReader::new(subtree.value())?)? == context(false, 1) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// basicConstraints (RFC 5280 section 4.2.1.9).
fn basic_constraints(der: &[u8]) -> der::Result<BasicConstraints> {
    let mut reader = SliceReader::new(der)?;
    let constraints = reader.sequence(|reader| {
        let ca =
            !reader.is_finished() && Tag::peek(reader)? == Tag::Boolean && bool::decode(reader)?;
        let path_len = if reader.is_finished() {
            None
        } else {
            Some(u64::decode(reader)?)
        };
        Ok::<_, der::Error>(BasicConstraints { ca, path_len })
    })?;
    reader.finish()?;
    Ok(constraints)
}

/// The names of a subjectAltName that can be listed; its form was checked when it was parsed.
pub(super) fn alternative_names(value: &[u8]) -> impl Iterator<Item = AlternativeName<'_>> {
    let content = AnyRef::from_der(value).map_or(&[][..], |sequence| sequence.value());
    let mut reader = SliceReader::new(content).ok();
    core::iter::from_fn(move || {
        let reader = reader.as_mut()?;
        while !reader.is_finished() {
            if let Some(name) = alternative_name(reader).ok()? {
                return Some(name);
            }
        }
        None
    })
}

/// A GeneralName (RFC 5280 section 4.2.1.6), when it is of a type that can be listed.
fn alternative_name<'a>(reader: &mut SliceReader<'a>) -> der::Result<Option<AlternativeName<'a>>> {
    let name = AnyRef::decode(reader)?;
    let text = || match core::str::from_utf8(name.value()) {
        Ok(text) if text.is_ascii() => Ok(text),
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
