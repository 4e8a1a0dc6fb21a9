//! `Client-Cert` and `Client-Cert-Chain` of RFC 9440, as fields of a proxy that ended TLS.

use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The field is not as RFC 9440 has it; holds why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidField(&'static str);

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidField {}

/// The DER of `Client-Cert`: one Byte Sequence (RFC 8941 section 3.3.5) without parameters.
pub fn certificate(value: &[u8]) -> Result<Vec<u8>, InvalidField> {
    byte_sequence(trim(value))
}

/// The DERs of `Client-Cert-Chain`: a List (RFC 8941 section 3.1) of Byte Sequences without
/// parameters, which several fields of the name may hold together.
pub fn chain<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, InvalidField> {
    let mut certificates = Vec::new();
    for value in values {
        if trim(value).is_empty() {
            continue;
        }
        for member in value.split(|byte| *byte == b',') {
            certificates.push(byte_sequence(trim(member))?);
        }
    }
    Ok(certificates)
}

fn byte_sequence(text: &[u8]) -> Result<Vec<u8>, InvalidField> {
    let inner = text
        .strip_prefix(b":")
        .and_then(|text| text.strip_suffix(b":"))
        .ok_or(InvalidField("not between colons"))?;
    let der = STANDARD
        .decode(inner)
        .map_err(|_| InvalidField("no base64 between its colons"))?;
    if der.is_empty() {
        return Err(InvalidField("empty"));
    }
    Ok(der)
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn byte_sequences_are_read() {
        assert_eq!(certificate(b":AQID:"), Ok(vec![1, 2, 3]));
        assert_eq!(certificate(b" :AQI=: "), Ok(vec![1, 2]));
        let fields: [&[u8]; 3] = [b":AQ==:, :Ag==:", b"", b":Aw==:"];
        assert_eq!(
            chain(fields.into_iter()),
            Ok(vec![vec![1], vec![2], vec![3]])
        );
        assert_eq!(chain(core::iter::empty()), Ok(vec![]));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            &b""[..],
            b":",
            b"::",
            b"AQID",
            b":AQID",
            b":AQ ID:",
            b":AQID:;a=1",
            b":AQID:,:AQID:",
            b":AQI:",
        ] {
            assert!(certificate(text).is_err(), "{text:?}");
        }
        for text in [&b","[..], b":AQ==:,", b":AQ==:,x", b":AQ==: :Ag==:"] {
            assert!(chain([text].into_iter()).is_err(), "{text:?}");
        }
    }
}
