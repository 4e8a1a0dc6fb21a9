//! Certificates whose PEM has a given length after URL component encoding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PkiError;
use super::authority::Authority;
use super::certificate::Template;
use super::extension::{Criticality, Extension};
use super::keys::{Key, KeyKind};

/// Enough to meet a length that one certificate in some hundreds has.
const TRIES: usize = 20_000;
/// How many lengths of padding around the estimate are tried in turn.
const SPREAD: usize = 32;

/// The length of a certificate's header value, reckoned without writing it.
fn encoded_length(der: &[u8]) -> usize {
    /// The two lines around the base64, each with one space that takes three bytes.
    const FRAME: usize =
        "-----BEGIN%20CERTIFICATE-----".len() + "-----END%20CERTIFICATE-----".len();
    let text = STANDARD.encode(der);
    let escaped = text
        .bytes()
        .filter(|byte| matches!(byte, b'+' | b'/' | b'='))
        .count();
    let newlines = text.len().div_ceil(64) + 2;
    FRAME + text.len() + 2 * escaped + 3 * newlines
}

/// Issues a certificate with a header value of exactly `length` bytes, for a new key.
///
/// Padding brings the length near; how many of the base64 characters need escaping differs with
/// every key, serial number and signature, and that is tried until it fits.
pub(crate) fn issue(
    authority: &Authority,
    template: &Template,
    length: usize,
) -> Result<(Vec<u8>, Key), PkiError> {
    let (bare, _) = attempt(authority, template, 0)?;
    // 64 base64 characters hold 48 bytes and take 67 encoded ones.
    let padding = length.saturating_sub(encoded_length(&bare)) * 48 / 67;
    for shift in (0..SPREAD).cycle().take(TRIES) {
        let padding = (padding + shift).saturating_sub(SPREAD / 2);
        let (der, key) = attempt(authority, template, padding)?;
        if encoded_length(&der) == length {
            return Ok((der, key));
        }
    }
    Err(PkiError::Size(length))
}

fn attempt(
    authority: &Authority,
    template: &Template,
    padding: usize,
) -> Result<(Vec<u8>, Key), PkiError> {
    // A key or number that happens to need much escaping rules some lengths out, so each attempt has
    // its own, and nothing in the certificate is random but the same every time.
    let key = Key::generate(KeyKind::P256)?;
    let filler = vec![b'x'; padding];
    let mut template = template
        .clone()
        .with(Extension::unknown(Criticality::Ignorable, &filler));
    template.renew_serial()?;
    Ok((authority.issue_exactly(&template, &key)?, key))
}
