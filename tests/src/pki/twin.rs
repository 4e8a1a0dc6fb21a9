//! A P-256 signature in its other spelling: `(r, n - s)` for `(r, s)`, which verifies as well.

use rsa::BoxedUint;

use super::PkiError;
use super::asn1::{self, INTEGER, SEQUENCE, Split, bit_string, element, sequence};

/// The order of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3), big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The certificate with its signature, made by a P-256 key, in the other spelling.
pub(super) fn of(certificate: &[u8]) -> Result<Vec<u8>, PkiError> {
    let (_, content, _) = split(certificate)?;
    let (signed, _, rest) = split(content)?;
    let (algorithm, _, signature) = split(rest)?;
    let (_, bits, _) = split(signature)?;
    let (_, numbers, _) = split(bits.get(1..).unwrap_or_default())?;
    let (r, _, rest) = split(numbers)?;
    let (_, s, _) = split(rest)?;
    let number = |bytes: &[u8]| BoxedUint::from_be_slice_vartime(bytes);
    let twin = number(&ORDER).wrapping_sub(number(s)).to_be_bytes();
    let zeros = twin.iter().take_while(|byte| **byte == 0).count();
    let mut digits = twin[zeros..].to_vec();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    let signature = element(SEQUENCE, &[r, &element(INTEGER, &digits)].concat());
    Ok(sequence(&[signed, algorithm, &bit_string(&signature)]))
}

fn split(der: &[u8]) -> Result<Split<'_>, PkiError> {
    asn1::split(der).ok_or_else(|| PkiError::Key("a certificate is cut short".to_owned()))
}
