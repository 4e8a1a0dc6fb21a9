//! One certificate revocation list (RFC 5280 section 5), read from its DER.
//!
//! Complete lists are read, of version 2 and of version 1, which common tools write; also such as are
//! divided by distribution points.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use x509_cert::time::Time;

use crate::certificate::raw::{Extension, Signed, context, element, list, malformed};
use crate::certificate::{
    IssuerCert, LeafCert, range_in, signature_algorithm, without_leading_zeros,
};
use crate::signature::SignatureAlgorithm;
use crate::wire::thumbprint::Thumbprint;

/// The largest revocation list that is read, in bytes of DER: some 200,000 revoked certificates.
/// In memory it takes this and 8 bytes for each revoked certificate.
pub const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// A revocation list in DER (RFC 5280 section 5.1), taken apart; its signature is not judged here.
#[derive(Clone, Debug)]
pub struct RevocationList {
    der: Box<[u8]>,
    digest: Thumbprint,
    signed: Range<usize>,
    signature: Range<usize>,
    issuer: Range<usize>,
    algorithm: SignatureAlgorithm,
    this_update: u64,
    next_update: u64,
    scope: Scope,
    /// The serial numbers without leading zeros, in order.
    revoked: Box<[(u32, u32)]>,
}

/// The bytes are no revocation list that is understood; holds why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidRevocationList(&'static str);

impl fmt::Display for InvalidRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidRevocationList {}

/// Which certificates of its issuer a list speaks for (RFC 5280 section 5.2.5).
#[derive(Clone, Debug, Default)]
struct Scope {
    only: Option<Role>,
    /// The names of the distribution point, each a GeneralName in DER; none when it is not divided.
    names: Option<Vec<Range<usize>>>,
}

/// What a certificate is in its path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Leaf,
    Authority,
}

/// A certificate that is looked up.
pub(super) struct Subject<'a> {
    pub(super) role: Role,
    pub(super) serial: &'a [u8],
    pub(super) issuer: &'a [u8],
    distribution_points: Option<&'a [u8]>,
}

impl<'a> Subject<'a> {
    pub(super) fn from_leaf(leaf: &'a LeafCert) -> Self {
        Self {
            role: Role::Leaf,
            serial: leaf.serial(),
            issuer: leaf.issuer(),
            distribution_points: leaf.distribution_points(),
        }
    }

    pub(super) fn from_issuer(certificate: &IssuerCert<'a>) -> Self {
        Self {
            role: Role::Authority,
            serial: certificate.serial(),
            issuer: certificate.issuer(),
            distribution_points: certificate.distribution_points(),
        }
    }
}

impl RevocationList {
    /// Reads one list in DER; bytes left over are an error.
    pub fn parse(der: Vec<u8>) -> Result<Self, InvalidRevocationList> {
        if der.len() > MAX_LIST_BYTES {
            return Err(InvalidRevocationList("a list of more than 8 MiB"));
        }
        let not_der = |_| InvalidRevocationList("not the DER of one revocation list");
        let raw = RawList::parse(&der).map_err(not_der)?;
        if raw.algorithm != raw.signed_algorithm {
            return Err(InvalidRevocationList("two different signature algorithms"));
        }
        let algorithm = signature_algorithm(raw.algorithm)
            .map_err(|_| InvalidRevocationList("its signature algorithm is not supported"))?;
        let next_update = raw.next_update.ok_or(InvalidRevocationList(
            "it does not say when the next one comes",
        ))?;
        if next_update < raw.this_update {
            return Err(InvalidRevocationList("it ends before it begins"));
        }
        let scope = scope(raw.extensions, &der)?;
        Ok(Self {
            digest: Thumbprint::of(&der),
            signed: range_in(&der, raw.signed),
            signature: range_in(&der, raw.signature),
            issuer: range_in(&der, raw.issuer),
            algorithm,
            this_update: raw.this_update,
            next_update,
            scope,
            revoked: revoked(raw.entries, &der)?,
            der: der.into(),
        })
    }

    /// SHA-256 over the DER.
    pub fn digest(&self) -> Thumbprint {
        self.digest
    }

    /// The issuer's name: the DER of its RDNSequence.
    pub fn issuer(&self) -> &[u8] {
        self.part(&self.issuer)
    }

    /// When it was issued, in seconds since 1970.
    pub fn this_update(&self) -> u64 {
        self.this_update
    }

    /// When the next one is due, in seconds since 1970.
    pub fn next_update(&self) -> u64 {
        self.next_update
    }

    /// How many certificates it revokes.
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Whether it revokes no certificate.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// Algorithm, message and signature.
    pub(super) fn signed(&self) -> (SignatureAlgorithm, &[u8], &[u8]) {
        (
            self.algorithm,
            self.part(&self.signed),
            self.part(&self.signature),
        )
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }

    /// Whether a certificate of this serial number, without leading zeros, is revoked.
    pub fn revokes(&self, serial: &[u8]) -> bool {
        let found = self
            .revoked
            .binary_search_by(|listed| at(&self.der, *listed).cmp(serial));
        found.is_ok()
    }

    /// Whether the list speaks for the certificate (RFC 5280 section 6.3.3 (b)).
    pub(super) fn covers(&self, subject: &Subject<'_>) -> bool {
        if self.scope.only.is_some_and(|only| only != subject.role) {
            return false;
        }
        let Some(names) = &self.scope.names else {
            return true;
        };
        // A certificate that names no distribution point may be on any of the parts.
        let points = subject.distribution_points.map(point_names);
        let Some(Ok(points)) = points else {
            return false;
        };
        let mut names = names.iter().map(|name| self.part(name));
        names.any(|name| points.contains(&name))
    }
}

fn at(der: &[u8], (start, end): (u32, u32)) -> &[u8] {
    let range =
        usize::try_from(start).unwrap_or_default()..usize::try_from(end).unwrap_or_default();
    der.get(range).unwrap_or_default()
}

/// The parts of a list, as they stand in it.
struct RawList<'a> {
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    signed_algorithm: &'a [u8],
    issuer: &'a [u8],
    this_update: u64,
    next_update: Option<u64>,
    entries: &'a [u8],
    extensions: Option<&'a [u8]>,
}

impl<'a> RawList<'a> {
    fn parse(der: &'a [u8]) -> der::Result<Self> {
        let Signed {
            signed,
            algorithm,
            signature,
        } = Signed::parse(der)?;
        let mut inner = SliceReader::new(signed)?;
        let parsed = inner.sequence(|reader| {
            let is_version_2 = Tag::peek(reader)? == Tag::Integer;
            if is_version_2 && u8::decode(reader)? != 1 {
                return Err(malformed());
            }
            let signed_algorithm = element(reader, Tag::Sequence)?;
            let issuer = element(reader, Tag::Sequence)?;
            let this_update = time(reader)?;
            let next_update =
                if next_is(reader, Tag::UtcTime)? || next_is(reader, Tag::GeneralizedTime)? {
                    Some(time(reader)?)
                } else {
                    None
                };
            let mut entries: &[u8] = &[];
            if next_is(reader, Tag::Sequence)? {
                entries = AnyRef::decode(reader)?.value();
            }
            let mut extensions = None;
            if is_version_2 && next_is(reader, context(true, 0))? {
                extensions = Some(AnyRef::decode(reader)?.value());
            }
            Ok::<_, der::Error>(Self {
                signed,
                algorithm,
                signature,
                signed_algorithm,
                issuer,
                this_update,
                next_update,
                entries,
                extensions,
            })
        })?;
        inner.finish()?;
        Ok(parsed)
    }
}

fn next_is(reader: &SliceReader<'_>, tag: Tag) -> der::Result<bool> {
    Ok(!reader.is_finished() && Tag::peek(reader)? == tag)
}

fn time(reader: &mut SliceReader<'_>) -> der::Result<u64> {
    Ok(Time::decode(reader)?.to_unix_duration().as_secs())
}

/// The serial numbers of the entries, in order, as ranges of `der`.
fn revoked(entries: &[u8], der: &[u8]) -> Result<Box<[(u32, u32)]>, InvalidRevocationList> {
    let not_der = |_| InvalidRevocationList("an entry does not decode");
    let mut reader = SliceReader::new(entries).map_err(not_der)?;
    let mut serials = Vec::new();
    while !reader.is_finished() {
        let (serial, extensions) = reader
            .sequence(|entry| {
                let serial = AnyRef::decode(entry)?;
                serial.tag().assert_eq(Tag::Integer)?;
                time(entry)?;
                let mut extensions = None;
                if !entry.is_finished() {
                    extensions = Some(element(entry, Tag::Sequence)?);
                }
                Ok::<_, der::Error>((serial.value(), extensions))
            })
            .map_err(not_der)?;
        if let Some(extensions) = extensions {
            check_entry(extensions)?;
        }
        // No certificate that is accepted has a negative number, which lists may hold all the same.
        if serial.first().is_some_and(|first| first & 0x80 != 0) {
            continue;
        }
        let range = range_in(der, without_leading_zeros(serial));
        let bound = |at| u32::try_from(at).unwrap_or(u32::MAX);
        serials.push((bound(range.start), bound(range.end)));
    }
    serials.sort_unstable_by(|one, other| at(der, *one).cmp(at(der, *other)));
    Ok(serials.into())
}

/// An entry may not speak for another issuer's certificates (RFC 5280 section 5.3.3).
fn check_entry(extensions: &[u8]) -> Result<(), InvalidRevocationList> {
    const REASON: &[u8] = &[0x55, 0x1d, 21];
    const HOLD_INSTRUCTION: &[u8] = &[0x55, 0x1d, 23];
    const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 24];
    const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];
    let extensions = list(extensions, Extension::parse)
        .map_err(|_| InvalidRevocationList("the extensions of an entry do not decode"))?;
    for extension in extensions {
        match extension.id {
            REASON | HOLD_INSTRUCTION | INVALIDITY_DATE => {}
            CERTIFICATE_ISSUER => {
                return Err(InvalidRevocationList(
                    "an indirect list, which is not supported",
                ));
            }
            _ if extension.is_critical => {
                return Err(InvalidRevocationList(
                    "an entry with a critical extension that is not supported",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the extensions of a list say of its scope (RFC 5280 section 5.2).
fn scope(extensions: Option<&[u8]>, der: &[u8]) -> Result<Scope, InvalidRevocationList> {
    const NUMBER: &[u8] = &[0x55, 0x1d, 20];
    const DELTA: &[u8] = &[0x55, 0x1d, 27];
    const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
    const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
    let mut scope = Scope::default();
    let Some(extensions) = extensions else {
        return Ok(scope);
    };
    let extensions = list(extensions, Extension::parse)
        .map_err(|_| InvalidRevocationList("its extensions do not decode"))?;
    for extension in extensions {
        match extension.id {
            NUMBER | AUTHORITY_KEY_IDENTIFIER => {}
            DELTA => {
                return Err(InvalidRevocationList(
                    "a delta list, which is not supported",
                ));
            }
            ISSUING_DISTRIBUTION_POINT => scope = issuing_distribution_point(extension.value, der)?,
            _ if extension.is_critical => {
                return Err(InvalidRevocationList(
                    "a critical extension that is not supported",
                ));
            }
            _ => {}
        }
    }
    Ok(scope)
}

/// issuingDistributionPoint (RFC 5280 section 5.2.5).
fn issuing_distribution_point(value: &[u8], der: &[u8]) -> Result<Scope, InvalidRevocationList> {
    let malformed = InvalidRevocationList("its issuingDistributionPoint does not decode");
    let parts = list(value, AnyRef::decode).map_err(|_| malformed)?;
    let mut scope = Scope::default();
    for part in parts {
        let tag = part.tag();
        // BOOLEAN with an implicit tag; FALSE is the default.
        let is_true = part.value() != [0];
        if tag == context(true, 0) {
            let names = full_names(part.value()).map_err(|_| {
                InvalidRevocationList("a distribution point that is not named in full")
            })?;
            scope.names = Some(names.into_iter().map(|name| range_in(der, name)).collect());
        } else if tag == context(false, 1) && is_true {
            scope.only = Some(Role::Leaf);
        } else if tag == context(false, 2) && is_true && scope.only.is_none() {
            scope.only = Some(Role::Authority);
        } else if (1..=5).any(|number| tag == context(false, number)) && is_true {
            return Err(InvalidRevocationList(
                "a list that is indirect, for attribute certificates, or divided by reasons, which is not supported",
            ));
        } else if !(1..=5).any(|number| tag == context(false, number)) {
            return Err(malformed);
        }
    }
    Ok(scope)
}

/// The names of the distribution points of a certificate (RFC 5280 section 4.2.1.13), apart from
/// those of other issuers and of some reasons only.
fn point_names(value: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut names = Vec::new();
    for point in list(value, |reader| {
        reader.sequence(|point| {
            let mut parts = Vec::new();
            while !point.is_finished() {
                parts.push(AnyRef::decode(point)?);
            }
            Ok::<_, der::Error>(parts)
        })
    })? {
        if let [name] = point.as_slice()
            && name.tag() == context(true, 0)
            && let Ok(full) = full_names(name.value())
        {
            names.extend(full);
        }
    }
    Ok(names)
}

/// The GeneralNames of a DistributionPointName, each in DER.
fn full_names(value: &[u8]) -> der::Result<Vec<&[u8]>> {
    let name = AnyRef::from_der(value)?;
    name.tag().assert_eq(context(true, 0))?;
    let mut reader = SliceReader::new(name.value())?;
    let mut names = Vec::new();
    while !reader.is_finished() {
        names.push(reader.tlv_bytes()?);
    }
    Ok(names)
}
