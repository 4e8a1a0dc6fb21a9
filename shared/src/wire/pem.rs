//! One certificate in PEM (RFC 7468 section 5), as a host shows it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The text is not exactly one certificate in PEM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidPem(&'static str);

/// The DER of the one certificate in `text`, which may be URL-encoded as Envoy and NGINX write it.
///
/// White space is allowed before, after and between lines (the lax form of RFC 7468 section 3);
/// anything else outside the two boundaries is an error, a second certificate too.
pub fn decode_one(text: &[u8]) -> Result<Vec<u8>, InvalidPem> {
    let text = core::str::from_utf8(text).map_err(|_| InvalidPem("not ASCII"))?;
    let text = if text.contains('%') {
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
        String::from_utf8(decoded)
            .map(Cow::Owned)
            .map_err(|_| InvalidPem("not ASCII"))?
    } else {
        Cow::Borrowed(text)
    };
    let inner = text
        .trim_ascii()
        .strip_prefix(BEGIN)
        .ok_or(InvalidPem("does not start with a certificate"))?
        .strip_suffix(END)
        .ok_or(InvalidPem("does not end with a certificate"))?;
    if inner.contains('-') {
        return Err(InvalidPem("more than one certificate"));
    }
    let base64: Vec<u8> = inner
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(base64)
        .map_err(|_| InvalidPem("no base64 between its boundaries"))
}

impl fmt::Display for InvalidPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidPem {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn pem(body: &str) -> String {
        format!("{BEGIN}\n{body}\n{END}\n")
    }

    #[test]
    fn one_certificate_is_read_plain_and_url_encoded() {
        let expected = b"\x00\x10\xfb\xff".to_vec();
        assert_eq!(decode_one(pem("ABD7/w==").as_bytes()), Ok(expected.clone()));
        assert_eq!(
            decode_one(pem("ABD7\r\n/w==").as_bytes()),
            Ok(expected.clone())
        );
        let encoded = pem("ABD7%2Fw%3D%3D")
            .replace(' ', "%20")
            .replace('\n', "%0A");
        assert_eq!(decode_one(encoded.as_bytes()), Ok(expected));
    }

    #[test]
    fn anything_but_one_certificate_is_refused() {
        for text in [
            String::new(),
            pem("AA==") + &pem("AA=="),
            pem("AA==") + "x",
            String::from("x") + &pem("AA=="),
            pem("A"),
            pem("AA=*"),
            pem("AA==").replace("CERTIFICATE", "PRIVATE KEY"),
            String::from(BEGIN),
        ] {
            assert!(decode_one(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(decode_one(b"\xff").is_err());
    }
}
