//! The certificates that differ from one in nothing but the spelling of its ECDSA signature.
//!
//! With `(r, s)` its twin `(r, n - s)` verifies too (SEC 1 section 4.1.4, `n` the order of the curve), and
//! anybody can turn one into the other. So a certificate that is denied by its thumbprint would
//! come back as its twin, with another thumbprint and the same key, names and dates.

use alloc::vec::Vec;

use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};

use crate::wire::thumbprint::Thumbprint;

/// The orders of the curves whose signatures TLS libraries verify (SEC 2 section 2): P-224, P-256, P-384
/// and P-521, big-endian.
const ORDERS: [&[u8]; 4] = [
    &[
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x16,
        0xa2, 0xe0, 0xb8, 0xf0, 0x3e, 0x13, 0xdd, 0x29, 0x45, 0x5c, 0x5c, 0x2a, 0x3d,
    ],
    &[
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ],
    &[
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37,
        0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc,
        0xc5, 0x29, 0x73,
    ],
    &[
        0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01,
        0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47, 0xae, 0xbb, 0x6f,
        0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
    ],
];

/// The thumbprints of the twins of the certificate made of these three elements.
///
/// Which curve the issuer's key is on is not known here, so there is one for each that fits.
pub(super) fn thumbprints(signed: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<Thumbprint> {
    let Ok((r, s)) = read(signature) else {
        return Vec::new();
    };
    let mut thumbprints = Vec::new();
    for order in ORDERS {
        if let Some(twin) = difference(order, s) {
            let signature = element(0x30, &[&integer(r), &integer(&twin)]);
            let bits = element(0x03, &[&[0], &signature]);
            thumbprints.push(Thumbprint::of(&element(0x30, &[signed, algorithm, &bits])));
        }
    }
    thumbprints
}

/// `r` and `s` of an Ecdsa-Sig-Value (RFC 3279 section 2.2.3), without leading zeros.
fn read(signature: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(signature)?;
    let numbers = reader.sequence(|reader| {
        let r = UintRef::decode(reader)?.as_bytes();
        let s = UintRef::decode(reader)?.as_bytes();
        Ok::<_, der::Error>((r, s))
    })?;
    reader.finish()?;
    Ok(numbers)
}

/// `order - number`, when that is positive.
fn difference(order: &[u8], number: &[u8]) -> Option<Vec<u8>> {
    let mut digits: Vec<u8> = Vec::with_capacity(order.len());
    let mut borrow = false;
    let mut subtrahend = number.iter().rev();
    for minuend in order.iter().rev() {
        let (once, first) = minuend.overflowing_sub(*subtrahend.next().unwrap_or(&0));
        let (twice, second) = once.overflowing_sub(u8::from(borrow));
        borrow = first || second;
        digits.push(twice);
    }
    let fits = !borrow && subtrahend.next().is_none();
    digits.reverse();
    (fits && digits.iter().any(|digit| *digit != 0)).then_some(digits)
}

/// The DER of a positive INTEGER.
fn integer(number: &[u8]) -> Vec<u8> {
    let digits = super::without_leading_zeros(number);
    match digits.first() {
        Some(first) if *first < 0x80 => element(0x02, &[digits]),
        _ => element(0x02, &[&[0], digits]),
    }
}

/// An element with this tag and these parts as its content (X.690 section 8.1).
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = super::without_leading_zeros(&length);
    let mut element = Vec::with_capacity(content.len().saturating_add(9));
    element.push(tag);
    match (length, u8::try_from(length.len())) {
        ([], _) => element.push(0),
        ([short], _) if *short < 0x80 => element.push(*short),
        (long, Ok(count)) => {
            element.push(0x80 | count);
            element.extend_from_slice(long);
        }
        (_, Err(_)) => {}
    }
    element.extend_from_slice(&content);
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::LeafCert;
    use crate::wire::pem;

    const PEM: &str = include_str!("../../tests/leaf.pem");

    /// The twin of a P-256 certificate, whole.
    fn twin(der: &[u8]) -> Vec<u8> {
        let raw = super::super::RawCertificate::parse(der).unwrap();
        let (r, s) = read(raw.signature).unwrap();
        let s = difference(ORDERS[1], s).unwrap();
        let signature = element(0x30, &[&integer(r), &integer(&s)]);
        let bits = element(0x03, &[&[0], &signature]);
        element(0x30, &[raw.signed, raw.algorithm, &bits])
    }

    #[test]
    fn each_twin_knows_the_other() {
        let der = pem::decode_one(PEM.as_bytes()).unwrap();
        let original = LeafCert::parse(der.clone()).unwrap();
        let other = LeafCert::parse(twin(&der)).unwrap();
        assert_ne!(original.thumbprint(), other.thumbprint());
        assert!(
            other.is_signed_by_own_key(),
            "the twin is a valid signature"
        );
        assert!(original.twin_thumbprints().contains(&other.thumbprint()));
        assert!(other.twin_thumbprints().contains(&original.thumbprint()));
    }

    #[test]
    fn differences_are_positive_and_below_the_order() {
        assert_eq!(difference(&[1, 0], &[1]), Some(std::vec![0, 255]));
        assert_eq!(difference(&[5], &[5]), None);
        assert_eq!(difference(&[5], &[6]), None);
        assert_eq!(difference(&[5], &[1, 0]), None);
    }
}
