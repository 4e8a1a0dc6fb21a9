//! Certificates and revocation lists in PEM (RFC 7468 section 5).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands between the boundaries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Label {
    /// A certificate.
    Certificate,
    /// A certificate revocation list.
    RevocationList,
}

impl Label {
    const fn begin(self) -> &'static str {
        match self {
            Self::Certificate => "-----BEGIN CERTIFICATE-----",
            Self::RevocationList => "-----BEGIN X509 CRL-----",
        }
    }

    const fn end(self) -> &'static str {
        match self {
            Self::Certificate => "-----END CERTIFICATE-----",
            Self::RevocationList => "-----END X509 CRL-----",
        }
    }
}

/// The text is not what is asked for in PEM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidPem(&'static str);

/// The DER of the one certificate in `text`, which may be URL-encoded as Envoy and NGINX write it.
///
/// White space is allowed before, after and between lines (the lax form of RFC 7468 section 3);
/// anything else outside the two boundaries is an error, a second certificate too.
pub fn decode_one(text: &[u8]) -> Result<Vec<u8>, InvalidPem> {
    let mut all = decode_all(text, Label::Certificate)?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(InvalidPem("more than one certificate")),
    }
}

/// The DERs of everything in `text`, at least one; like [`decode_one`] otherwise.
pub fn decode_all(text: &[u8], label: Label) -> Result<Vec<Vec<u8>>, InvalidPem> {
    let text = core::str::from_utf8(text).map_err(|_| InvalidPem("not ASCII"))?;
    let text = if text.contains('%') {
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
        String::from_utf8(decoded)
            .map(Cow::Owned)
            .map_err(|_| InvalidPem("not ASCII"))?
    } else {
        Cow::Borrowed(text)
    };
    let mut rest = text.trim_ascii();
    let mut all = Vec::new();
    loop {
        let after = rest
            .strip_prefix(label.begin())
            .ok_or(InvalidPem("does not start as it should"))?;
        let (inner, left) = after
            .split_once(label.end())
            .ok_or(InvalidPem("does not end as it should"))?;
        let der = decode_base64(inner);
        all.push(der.ok_or(InvalidPem("no base64 between its boundaries"))?);
        rest = left.trim_ascii_start();
        if rest.is_empty() {
            return Ok(all);
        }
    }
}

/// The bytes of base64 with any white space in it (RFC 7468 section 3); none when it is not that.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let is_white = u8::is_ascii_whitespace;
    let base64: Vec<u8> = text.bytes().filter(|byte| !is_white(byte)).collect();
    STANDARD.decode(base64).ok()
}

/// The DERs of the blocks in `text`, at least one; what stands around them is skipped, as RFC 7468
/// section 2 has it and tools write it. A block with another label is an error.
pub fn decode_blocks(text: &str, label: Label) -> Result<Vec<Vec<u8>>, InvalidPem> {
    const BEGIN: &str = "-----BEGIN ";
    let mut rest = text;
    let mut all = Vec::new();
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (name, _) = after.split_once("-----").unwrap_or((after, ""));
        let whole = [BEGIN, name, "-----"].concat();
        if whole != label.begin() {
            return Err(InvalidPem("it holds something of another kind"));
        }
        let (inner, left) = after
            .split_once(label.end())
            .ok_or(InvalidPem("does not end as it should"))?;
        let block = [BEGIN, inner, label.end()].concat();
        all.append(&mut decode_all(block.as_bytes(), label)?);
        rest = left;
    }
    if all.is_empty() {
        return Err(InvalidPem("does not start as it should"));
    }
    Ok(all)
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
        let (begin, end) = (Label::Certificate.begin(), Label::Certificate.end());
        format!("{begin}\n{body}\n{end}\n")
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
    fn text_around_blocks_is_skipped() {
        let text = String::from("\u{feff}Certificate:\n  Data: 1\n")
            + &pem("AA==")
            + "# two\n"
            + &pem("AQ==");
        let all = decode_blocks(&text, Label::Certificate);
        assert_eq!(all, Ok(std::vec![std::vec![0], std::vec![1]]));
        let with_key =
            text.clone() + "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
        assert!(decode_blocks(&with_key, Label::Certificate).is_err());
        assert!(decode_blocks(&text, Label::RevocationList).is_err());
        assert!(decode_blocks("certificate", Label::Certificate).is_err());
        let cut = text.trim_end().trim_end_matches('-');
        assert!(decode_blocks(cut, Label::Certificate).is_err());
    }

    #[test]
    fn several_are_read_in_their_order() {
        let text = pem("AA==") + "\r\n" + &pem("AQ==");
        let all = decode_all(text.as_bytes(), Label::Certificate);
        assert_eq!(all, Ok(std::vec![std::vec![0], std::vec![1]]));
        assert!(decode_all(text.as_bytes(), Label::RevocationList).is_err());
        assert!(decode_all((text + "x").as_bytes(), Label::Certificate).is_err());
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
            String::from(Label::Certificate.begin()),
        ] {
            assert!(decode_one(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(decode_one(b"\xff").is_err());
    }
}
