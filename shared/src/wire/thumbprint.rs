//! SHA-256 thumbprints as text: base64url (RFC 8705 `x5t#S256`) or hex, with or without colons.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// SHA-256 over the DER of a certificate, or of a public key's SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Thumbprint(pub [u8; 32]);

/// The text is no SHA-256 thumbprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidThumbprint;

impl Thumbprint {
    /// The thumbprint of these bytes.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Lower-case hex without colons, as Envoy's access log writes a fingerprint.
    pub fn to_hex(self) -> String {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        let digits = self
            .0
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        digits.collect()
    }
}

/// SHA-256 over several things, each with what it is and how long it is.
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn add(&mut self, what: &[u8], bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(what);
        self.0.update(length.to_be_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Thumbprint {
        Thumbprint(self.0.finalize().into())
    }
}

impl FromStr for Thumbprint {
    type Err = InvalidThumbprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = match text.len() {
            43 => URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| InvalidThumbprint)?,
            64 | 95 => decode_hex(text).ok_or(InvalidThumbprint)?,
            _ => return Err(InvalidThumbprint),
        };
        bytes.try_into().map(Self).map_err(|_| InvalidThumbprint)
    }
}

/// Reads hex digits in pairs; colons may stand between pairs, all of them or none.
pub(crate) fn decode_hex(text: &str) -> Option<alloc::vec::Vec<u8>> {
    let bytes = text.as_bytes();
    let step = if bytes.get(2) == Some(&b':') { 3 } else { 2 };
    bytes
        .chunks(step)
        .enumerate()
        .map(|(index, chunk)| {
            let is_last = index.saturating_add(1).saturating_mul(step) >= bytes.len();
            let (high, low) = match (chunk, step, is_last) {
                ([high, low], 2, _) | ([high, low], 3, true) | ([high, low, b':'], 3, false) => {
                    (high, low)
                }
                _ => return None,
            };
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let value = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
            u8::try_from(value).ok()
        })
        .collect()
}

/// base64url without padding, the form of `x5t#S256`.
impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = URL_SAFE_NO_PAD.encode(self.0);
        f.write_str(&text)
    }
}

impl fmt::Display for InvalidThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no SHA-256 thumbprint in base64url, or in hex with or without colons")
    }
}

impl core::error::Error for InvalidThumbprint {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn the_three_ways_to_write_a_thumbprint_are_one() {
        let thumbprint = Thumbprint::of(b"abc");
        let base64url = thumbprint.to_string();
        assert_eq!(base64url, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        let hex: Vec<_> = thumbprint
            .0
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        for text in [
            base64url,
            hex.concat(),
            hex.concat().to_lowercase(),
            hex.join(":"),
        ] {
            assert_eq!(text.parse(), Ok(thumbprint), "{text}");
            assert_eq!(thumbprint.to_hex().parse(), Ok(thumbprint));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let hex = "00".repeat(32);
        for text in [
            "",
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=",
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0",
            &"0".repeat(63),
            &format!("{hex}0"),
            &hex.replacen("00", "0g", 1),
            &std::vec!["00"; 31].join(":"),
            &(std::vec!["00"; 31].join(":") + ":0:"),
        ] {
            assert!(text.parse::<Thumbprint>().is_err(), "{text}");
        }
    }
}
