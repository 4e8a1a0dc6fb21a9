//! Text forms of a certificate: PEM, thumbprints, and the length of its header value.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::asn1::{INTEGER, split};

/// What ECMAScript's `encodeURIComponent` escapes: all but letters, digits and `-_.!~*'()`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// PEM with lines of 64 columns and a final newline.
pub fn pem(der: &[u8], label: &str) -> String {
    let encoded = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// What `encodeURIComponent` gives for `text`.
pub fn encode_uri_component(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The SHA-256 of `der` in lower-case hex.
pub fn thumbprint_hex(der: &[u8]) -> String {
    Sha256::digest(der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The SHA-256 of `der` in base64url without padding, as in RFC 8705's `x5t#S256`.
pub fn thumbprint_base64url(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(der))
}

/// Whether a certificate names its subject as its issuer; not whether its own key signed it.
///
/// One that cannot be read names nobody.
pub fn issued_by_its_subject(certificate: &[u8]) -> bool {
    let names = || {
        let (_, content, _) = split(certificate)?;
        let (_, fields, _) = split(content)?;
        let (first, _, after) = split(fields)?;
        // Version 1 is left out, and the serial number stands first.
        let rest = match first.first() {
            Some(&INTEGER) => after,
            _ => split(after)?.2,
        };
        let (_, _, rest) = split(rest)?;
        let (issuer, _, rest) = split(rest)?;
        let (_, _, rest) = split(rest)?;
        let (subject, _, _) = split(rest)?;
        Some((issuer, subject))
    };
    names().is_some_and(|(issuer, subject)| issuer == subject)
}

/// The content octets of a certificate's serial number; `None` when it cannot be read.
pub(super) fn serial(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, content, _) = split(certificate)?;
    let (_, fields, _) = split(content)?;
    let (first, _, after) = split(fields)?;
    // Version 1 is left out, and the number stands first.
    let number = match first.first() {
        Some(&INTEGER) => first,
        _ => after,
    };
    split(number).map(|(_, content, _)| content.to_vec())
}
