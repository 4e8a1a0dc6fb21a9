//! A certificate as a header value: what the origin reads.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What `encodeURIComponent` leaves alone besides letters and digits (ECMA-262 section 19.2.6.5).
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Columns of a line of base64 in PEM (RFC 7468 section 2).
const PEM_COLUMNS: usize = 64;

/// How a certificate is written into a header value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// PEM with 64-column lines and a final newline, encoded as `encodeURIComponent` does it.
    UrlEncodedPem,
    /// A Byte Sequence of RFC 8941 section 3.3.5, as RFC 9440 section 2.1 has it: `:BASE64:`.
    Rfc9440,
    /// The DER in base64 (RFC 4648 section 4), nothing around it.
    Base64Der,
}

impl Encoding {
    /// The header value for the certificate.
    pub fn encode(self, der: &[u8]) -> String {
        match self {
            Self::UrlEncodedPem => url_encoded_pem(der),
            Self::Rfc9440 => {
                let mut value = String::from(":");
                STANDARD.encode_string(der, &mut value);
                value.push(':');
                value
            }
            Self::Base64Der => STANDARD.encode(der),
        }
    }
}

fn url_encoded_pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut pem = Vec::with_capacity(
        base64
            .len()
            .saturating_add(base64.len() / 32)
            .saturating_add(64),
    );
    pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(PEM_COLUMNS) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    let mut value = String::with_capacity(pem.len().saturating_add(pem.len() / 8));
    value.extend(percent_encoding::percent_encode(&pem, URI_COMPONENT));
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pem;

    #[test]
    fn encodings_are_as_published() {
        let der = [0xfb, 0xef, 0xff];
        assert_eq!(Encoding::Base64Der.encode(&der), "++//");
        assert_eq!(Encoding::Rfc9440.encode(&der), ":++//:");
        assert_eq!(
            Encoding::UrlEncodedPem.encode(&der),
            "-----BEGIN%20CERTIFICATE-----%0A%2B%2B%2F%2F%0A-----END%20CERTIFICATE-----%0A"
        );
    }

    #[test]
    fn lines_have_64_columns_and_what_is_written_can_be_read() {
        for len in [0, 1, 47, 48, 49, 96, 1000] {
            let der = std::vec![0x5a; len];
            let value = Encoding::UrlEncodedPem.encode(&der);
            let lines = value.split("%0A").filter(|line| !line.starts_with('-'));
            assert!(
                lines
                    .map(|line| line.len())
                    .all(|len| len <= PEM_COLUMNS + 4)
            );
            assert_eq!(pem::decode_one(value.as_bytes()), Ok(der));
        }
    }
}
