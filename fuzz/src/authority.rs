//! Signs what a fuzzer made, so that what comes after a signature is reached too.
//!
//! The keys are made from the texts below and are worth nothing: only the configurations of these
//! targets trust them. Ed25519 signs the same bytes the same way, so that an input means the same in
//! every run.

use auth_edge::wire::thumbprint::Thumbprint;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::der::{Content, Element};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]`, explicit or constructed.
const CONTEXT_0: u8 = 0xa0;
/// `[3]`, explicit.
const CONTEXT_3: u8 = 0xa3;

/// What is done to a certificate of an input before it is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signing {
    /// Nothing.
    AsItIs,
    /// It gets a key of ours and is signed with it, under its own name.
    ByItself,
    /// The root signs it; with a key of ours in it or with its own.
    ByRoot(Holder),
    /// The certificate after it signs it.
    ByNext(Holder),
    /// The root's key signs it, under whatever issuer it names.
    ByRootsKey,
    /// It names the root as its issuer and is signed by somebody else.
    Forged,
}

/// Whose key a certificate holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// One of ours, so that it can sign the certificate before it.
    Ours,
    /// The one that was in it.
    Whoever,
}

impl Signing {
    /// The letters of all, for dictionaries and seeds.
    pub const LETTERS: &'static [u8] = b".srRnNof";

    /// What a letter of an input stands for.
    pub fn of(letter: Option<&u8>) -> Self {
        match letter {
            Some(b's') => Self::ByItself,
            Some(b'r') => Self::ByRoot(Holder::Ours),
            Some(b'R') => Self::ByRoot(Holder::Whoever),
            Some(b'n') => Self::ByNext(Holder::Ours),
            Some(b'N') => Self::ByNext(Holder::Whoever),
            Some(b'o') => Self::ByRootsKey,
            Some(b'f') => Self::Forged,
            _ => Self::AsItIs,
        }
    }
}

/// The key of this name.
fn key(name: &str) -> SigningKey {
    let text = format!("a key of the fuzz targets of auth-edge that protects nothing: {name}");
    SigningKey::from_bytes(&Thumbprint::of(text.as_bytes()).0)
}

fn root_key() -> SigningKey {
    key("root")
}

/// The key of the certificate at this place of an input.
fn key_at(index: usize) -> SigningKey {
    key(&format!("certificate {index}"))
}

/// Signs the certificates of an input as its letters say; the last one first, since each may be named
/// by the one before it.
pub fn sign_all(certificates: &mut [Vec<u8>], letters: &[u8]) {
    for index in (0..certificates.len()).rev() {
        let next = certificates
            .get(index + 1)
            .and_then(|next| part(next, SUBJECT));
        let Some(certificate) = certificates.get_mut(index) else {
            continue;
        };
        let own = key_at(index);
        let signed = match Signing::of(letters.get(index)) {
            Signing::AsItIs => None,
            Signing::ByItself => {
                let subject = part(certificate, SUBJECT);
                sign(certificate, subject, Some(&own), &own)
            }
            Signing::ByRoot(holder) => sign(
                certificate,
                Some(root_name()),
                ours(holder, &own),
                &root_key(),
            ),
            Signing::ByNext(holder) => {
                sign(certificate, next, ours(holder, &own), &key_at(index + 1))
            }
            Signing::Forged => sign(certificate, Some(root_name()), None, &own),
            Signing::ByRootsKey => sign(certificate, None, None, &root_key()),
        };
        if let Some(signed) = signed {
            *certificate = signed;
        }
    }
}

fn ours(holder: Holder, own: &SigningKey) -> Option<&SigningKey> {
    match holder {
        Holder::Ours => Some(own),
        Holder::Whoever => None,
    }
}

/// The root that most configurations with roots trust.
pub fn root() -> Vec<u8> {
    root_until(Element::octets(GENERALIZED_TIME, b"21000101000000Z"), &[])
}

/// A root with the same name and key that may do less: until 2027, for certain names, without
/// intermediates.
pub fn limited_root() -> Vec<u8> {
    let until = Element::octets(UTC_TIME, b"270701000000Z");
    let names: [(u8, &[u8]); 2] = [
        (0x82, b"clients.example.com"),
        (0x87, &[192, 0, 2, 0, 255, 255, 255, 0]),
    ];
    root_until(
        until,
        &[
            path_length(0),
            name_constraints(Subtrees::Permitted, &names),
        ],
    )
}

/// A root with these extensions besides or in place of the usual ones.
fn root_until(until: Element, more: &[Element]) -> Vec<u8> {
    let key = root_key();
    let is_authority = Element::of(SEQUENCE, vec![Element::octets(0x01, &[0xff])]);
    // keyCertSign and cRLSign.
    let usage = Element::octets(BIT_STRING, &[1, 0x06]);
    let extensions = Element::of(
        SEQUENCE,
        vec![
            extension(&[0x55, 0x1d, 0x13], is_authority),
            extension(&[0x55, 0x1d, 0x0f], usage),
        ],
    );
    let since = Element::octets(UTC_TIME, b"200101000000Z");
    let unsigned = Element::of(
        SEQUENCE,
        vec![
            Element::of(CONTEXT_0, vec![Element::octets(INTEGER, &[2])]),
            Element::octets(INTEGER, &[1]),
            ed25519(),
            root_name(),
            Element::of(SEQUENCE, vec![since, until]),
            root_name(),
            key_info(&key),
            Element::of(CONTEXT_3, vec![extensions]),
        ],
    );
    let whole = Element::of(SEQUENCE, vec![unsigned]).write();
    let changed = with_extensions(&whole, more).unwrap_or(whole);
    sign(&changed, None, None, &key).unwrap_or_default()
}

/// A list of revoked certificates as the root would have made it.
pub fn sign_list(list: &[u8]) -> Option<Vec<u8>> {
    let (tree, _) = Element::read(list)?;
    let mut signed = tree.elements().first()?.clone();
    let algorithm = match signed.elements().first()?.tag {
        INTEGER => 1,
        _ => 0,
    };
    replace(&mut signed, algorithm, ed25519());
    replace(&mut signed, algorithm + 1, root_name());
    Some(with_signature(signed, &root_key()))
}

/// A certificate like this one with this serial number, signed by the root.
pub fn with_serial(certificate: &[u8], serial: &[u8]) -> Option<Vec<u8>> {
    let (mut tree, _) = Element::read(certificate)?;
    let mut signed = tree.elements().first()?.clone();
    let place = SERIAL - missing(&signed);
    replace(&mut signed, place, Element::octets(INTEGER, serial));
    replace(&mut tree, 0, signed);
    sign(&tree.write(), Some(root_name()), None, &root_key())
}

/// The certificate with these extensions, each in place of one of its kind; its signature is not made anew.
pub fn with_extensions(certificate: &[u8], extensions: &[Element]) -> Option<Vec<u8>> {
    let (mut tree, _) = Element::read(certificate)?;
    let mut signed = tree.elements().first()?.clone();
    let last = signed.elements().len().checked_sub(1)?;
    let list = signed.elements().get(last)?.elements().first()?;
    let is_kept = |old: &&Element| {
        let kind = old.elements().first();
        extensions.iter().all(|new| new.elements().first() != kind)
    };
    let mut all: Vec<Element> = list.elements().iter().filter(is_kept).cloned().collect();
    all.extend_from_slice(extensions);
    let all = Element::of(CONTEXT_3, vec![Element::of(SEQUENCE, all)]);
    replace(&mut signed, last, all);
    replace(&mut tree, 0, signed);
    Some(tree.write())
}

/// The certificate with these dates, each a UTCTime; its signature is not made anew.
pub fn with_dates(certificate: &[u8], dates: [&[u8]; 2]) -> Option<Vec<u8>> {
    let (mut tree, _) = Element::read(certificate)?;
    let mut signed = tree.elements().first()?.clone();
    let place = DATES - missing(&signed);
    let dates = dates.map(|date| Element::octets(UTC_TIME, date));
    replace(&mut signed, place, Element::of(SEQUENCE, dates.to_vec()));
    replace(&mut tree, 0, signed);
    Some(tree.write())
}

/// basicConstraints of who is no authority.
pub fn no_authority() -> Element {
    extension(&[0x55, 0x1d, 0x13], Element::of(SEQUENCE, Vec::new()))
}

/// keyUsage with these bits alone, of which the last so many are unused.
pub fn key_usage(unused: u8, bits: u8) -> Element {
    extension(
        &[0x55, 0x1d, 0x0f],
        Element::octets(BIT_STRING, &[unused, bits]),
    )
}

/// basicConstraints of an authority with this pathLenConstraint.
pub fn path_length(limit: u8) -> Element {
    let authority = Element::octets(0x01, &[0xff]);
    let limit = Element::octets(INTEGER, &[limit]);
    extension(
        &[0x55, 0x1d, 0x13],
        Element::of(SEQUENCE, vec![authority, limit]),
    )
}

/// Which names nameConstraints speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subtrees {
    /// Only these.
    Permitted,
    /// None of these.
    Excluded,
}

/// nameConstraints with names of the form that the tag stands for (RFC 5280 section 4.2.1.10).
pub fn name_constraints(subtrees: Subtrees, names: &[(u8, &[u8])]) -> Element {
    let tag = match subtrees {
        Subtrees::Permitted => CONTEXT_0,
        Subtrees::Excluded => CONTEXT_0 | 1,
    };
    let names = names.iter().map(|(tag, name)| Element::octets(*tag, name));
    let names = names
        .map(|name| Element::of(SEQUENCE, vec![name]))
        .collect();
    let value = Element::of(SEQUENCE, vec![Element::of(tag, names)]);
    extension(NAME_CONSTRAINTS, value)
}

/// The object identifier of nameConstraints, without tag and length.
pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];

/// extKeyUsage with this purpose alone.
pub fn purpose(identifier: &[u8]) -> Element {
    let purpose = Element::octets(OBJECT_IDENTIFIER, identifier);
    extension(&[0x55, 0x1d, 0x25], Element::of(SEQUENCE, vec![purpose]))
}

/// certificatePolicies with anyPolicy.
pub fn any_policy() -> Element {
    let policy = Element::octets(OBJECT_IDENTIFIER, &[0x55, 0x1d, 0x20, 0x00]);
    let policy = Element::of(SEQUENCE, vec![policy]);
    extension(&[0x55, 0x1d, 0x20], Element::of(SEQUENCE, vec![policy]))
}

/// The serial number that the root's own list of revoked certificates names.
pub const REVOKED: &[u8] = &[0x66];

/// The root's list of revoked certificates, in force from 2021 to 2048.
pub fn revocation_list() -> Vec<u8> {
    list_signed_by(&root_key())
}

/// A list like the root's that another key signed, as an authority of the same name would.
pub fn forged_list(index: usize) -> Vec<u8> {
    list_signed_by(&key_at(index))
}

/// issuingDistributionPoint with this part of it (RFC 5280 section 5.2.5).
pub fn distribution_point(part: u8) -> Element {
    let part = match part {
        0 => {
            let name = Element::octets(0x86, b"http://a.example/crl");
            Element::of(CONTEXT_0, vec![Element::of(CONTEXT_0, vec![name])])
        }
        part => Element::octets(0x80 | part, &[0xff]),
    };
    extension(&[0x55, 0x1d, 0x1c], Element::of(SEQUENCE, vec![part]))
}

/// deltaCRLIndicator.
pub fn delta() -> Element {
    extension(&[0x55, 0x1d, 0x1b], Element::octets(INTEGER, &[1]))
}

/// A list of the root between these dates, each a UTCTime.
pub fn list_between(dates: [&[u8]; 2]) -> Vec<u8> {
    list(Vec::new(), dates, &root_key())
}

fn list_signed_by(key: &SigningKey) -> Vec<u8> {
    let number = Element::octets(INTEGER, &[1]);
    list(
        vec![extension(&[0x55, 0x1d, 0x14], number)],
        LIST_DATES,
        key,
    )
}

/// The root's list with this extension.
pub fn list_with(extension: Element) -> Vec<u8> {
    list(vec![extension], LIST_DATES, &root_key())
}

/// When the root's list is in force.
const LIST_DATES: [&[u8]; 2] = [b"210101000000Z", b"490101000000Z"];

fn list(extensions: Vec<Element>, dates: [&[u8]; 2], key: &SigningKey) -> Vec<u8> {
    let revoked = Element::of(
        SEQUENCE,
        vec![
            Element::octets(INTEGER, REVOKED),
            Element::octets(UTC_TIME, b"210101000000Z"),
        ],
    );
    let extensions = Element::of(SEQUENCE, extensions);
    let signed = Element::of(
        SEQUENCE,
        vec![
            Element::octets(INTEGER, &[1]),
            ed25519(),
            root_name(),
            Element::octets(UTC_TIME, dates[0]),
            Element::octets(UTC_TIME, dates[1]),
            Element::of(SEQUENCE, vec![revoked]),
            Element::of(CONTEXT_0, vec![extensions]),
        ],
    );
    with_signature(signed, key)
}

/// The members of a certificate that is signed, when it has a version.
const SERIAL: usize = 1;
const ALGORITHM: usize = 2;
const ISSUER: usize = 3;
const DATES: usize = 4;
const SUBJECT: usize = 5;
const KEY: usize = 6;

fn part(certificate: &[u8], place: usize) -> Option<Element> {
    let (tree, _) = Element::read(certificate)?;
    let signed = tree.elements().first()?;
    signed.elements().get(place - missing(signed)).cloned()
}

/// 1 when the version is left out, so that the others come sooner.
fn missing(signed: &Element) -> usize {
    let has_version = signed.elements().first().map(|first| first.tag) == Some(CONTEXT_0);
    usize::from(!has_version)
}

fn sign(
    certificate: &[u8],
    issuer: Option<Element>,
    holder: Option<&SigningKey>,
    signer: &SigningKey,
) -> Option<Vec<u8>> {
    let (tree, _) = Element::read(certificate)?;
    let mut signed = tree.elements().first()?.clone();
    let missing = missing(&signed);
    replace(&mut signed, ALGORITHM - missing, ed25519());
    if let Some(issuer) = issuer {
        replace(&mut signed, ISSUER - missing, issuer);
    }
    if let Some(holder) = holder {
        replace(&mut signed, KEY - missing, key_info(holder));
    }
    Some(with_signature(signed, signer))
}

fn replace(parent: &mut Element, place: usize, by: Element) {
    if let Content::Elements(_, elements) = &mut parent.content
        && let Some(element) = elements.get_mut(place)
    {
        *element = by;
    }
}

fn with_signature(signed: Element, key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&signed.write()).to_bytes();
    let bits = Element::octets(BIT_STRING, &[&[0][..], &signature].concat());
    Element::of(SEQUENCE, vec![signed, ed25519(), bits]).write()
}

/// The algorithm of RFC 8410 section 3.
fn ed25519() -> Element {
    Element::of(
        SEQUENCE,
        vec![Element::octets(OBJECT_IDENTIFIER, &[0x2b, 0x65, 0x70])],
    )
}

fn key_info(key: &SigningKey) -> Element {
    let bits = [&[0][..], key.verifying_key().as_bytes()].concat();
    Element::of(
        SEQUENCE,
        vec![ed25519(), Element::octets(BIT_STRING, &bits)],
    )
}

/// The root's name.
pub fn root_name() -> Element {
    let common_name = Element::of(
        SEQUENCE,
        vec![
            Element::octets(OBJECT_IDENTIFIER, &[0x55, 0x04, 0x03]),
            Element::octets(UTF8_STRING, b"Fuzz Root"),
        ],
    );
    Element::of(SEQUENCE, vec![Element::of(SET, vec![common_name])])
}

fn extension(identifier: &[u8], value: Element) -> Element {
    Element::of(
        SEQUENCE,
        vec![
            Element::octets(OBJECT_IDENTIFIER, identifier),
            Element::octets(0x01, &[0xff]),
            Element::octets(OCTET_STRING, &value.write()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth_edge::certificate::{Authority, IssuedBy, LeafCert};

    fn leaf() -> Vec<u8> {
        std::fs::read(crate::corpus::root().join("fixtures/ca_client.der")).unwrap()
    }

    fn signed(letters: &[u8]) -> Vec<LeafCert> {
        let mut chain = vec![leaf(); letters.len()];
        sign_all(&mut chain, letters);
        chain
            .into_iter()
            .map(|der| LeafCert::parse(der).unwrap())
            .collect()
    }

    #[test]
    fn the_root_is_an_authority_that_signed_itself() {
        let root = LeafCert::parse(root()).unwrap();
        assert_eq!(root.issued_by(), IssuedBy::Itself);
        assert_eq!(root.authority(), Authority::Authority);
        assert!(root.is_signed_by_own_key());
    }

    #[test]
    fn a_certificate_is_signed_as_its_letter_says() {
        let [alone] = &signed(b"s")[..] else { panic!() };
        assert!(alone.is_signed_by_own_key());
        let [first, second] = &signed(b"nr")[..] else {
            panic!()
        };
        let root = LeafCert::parse(root()).unwrap();
        assert_eq!(first.issuer(), second.subject());
        assert_eq!(second.issuer(), root.subject());
        let own = LeafCert::parse(leaf()).unwrap();
        let [kept] = &signed(b"R")[..] else { panic!() };
        assert_eq!(kept.key_thumbprint(), own.key_thumbprint());
        assert_ne!(second.key_thumbprint(), own.key_thumbprint());
        let [untouched] = &signed(b".")[..] else {
            panic!()
        };
        assert_eq!(untouched.der(), own.der());
    }
}
