//! `x-forwarded-client-cert` as Envoy writes it: the certificate of a TLS client and its chain.
//!
//! An element is a list of `KEY=VALUE` divided by `;`, elements are divided by `,`; a value with
//! one of `,;=` in it stands in double quotes, and a quote in it behind a backslash.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use super::forwarded::Certificates;
use super::pem;

/// The field is not exactly one element with exactly one certificate; holds why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidXfcc(&'static str);

impl fmt::Display for InvalidXfcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidXfcc {}

/// Reads the certificates of the one element of the field.
///
/// `Chain`, when it is there, starts with the leaf, as Envoy writes it.
pub fn parse(value: &[u8]) -> Result<Certificates, InvalidXfcc> {
    let mut certificate = None;
    let mut chain = None;
    for pair in pairs(value) {
        let (key, value) = pair?;
        let slot = if key.eq_ignore_ascii_case(b"cert") {
            &mut certificate
        } else if key.eq_ignore_ascii_case(b"chain") {
            &mut chain
        } else {
            continue;
        };
        if slot.replace(value).is_some() {
            return Err(InvalidXfcc("a key given twice"));
        }
    }
    let certificate = certificate.ok_or(InvalidXfcc("no Cert"))?;
    let leaf =
        pem::decode_one(&certificate).map_err(|_| InvalidXfcc("Cert is not one certificate"))?;
    let mut intermediates = Vec::new();
    if let Some(chain) = chain {
        intermediates = pem::decode_all(&chain, pem::Label::Certificate)
            .map_err(|_| InvalidXfcc("Chain is no list of certificates"))?;
        if intermediates.first() != Some(&leaf) {
            return Err(InvalidXfcc("Chain does not start with Cert"));
        }
        intermediates.remove(0);
    }
    Ok(Certificates {
        leaf,
        intermediates,
    })
}

/// The keys and values of the one element; a second element is an error.
fn pairs(
    value: &[u8],
) -> impl Iterator<Item = Result<(&[u8], Cow<'_, [u8]>), InvalidXfcc>> + use<'_> {
    let mut rest = Some(value);
    core::iter::from_fn(move || {
        let text = rest?;
        let (pair, left) = match pair(text) {
            Ok(found) => found,
            Err(error) => {
                rest = None;
                return Some(Err(error));
            }
        };
        rest = left;
        Some(Ok(pair))
    })
}

type Pair<'a> = (&'a [u8], Cow<'a, [u8]>);

/// The first pair, and what stands behind the `;` that ends it.
fn pair(text: &[u8]) -> Result<(Pair<'_>, Option<&[u8]>), InvalidXfcc> {
    let equals = text.iter().position(|byte| *byte == b'=');
    let (key, after) = equals
        .and_then(|at| text.split_at_checked(at))
        .ok_or(InvalidXfcc("no `=`"))?;
    if key.iter().any(|byte| b",;\"".contains(byte)) {
        return Err(InvalidXfcc("a key that is none"));
    }
    let after = after.get(1..).unwrap_or_default();
    let (value, left) = match after.strip_prefix(b"\"") {
        Some(quoted) => quoted_value(quoted)?,
        None => {
            let end = after.iter().position(|byte| b",;\"".contains(byte));
            let (value, left) = after.split_at(end.unwrap_or(after.len()));
            (Cow::Borrowed(value), left)
        }
    };
    match left.split_first() {
        None => Ok(((key, value), None)),
        Some((b';', left)) => Ok(((key, value), Some(left))),
        Some((b',', _)) => Err(InvalidXfcc("more than one element")),
        Some(_) => Err(InvalidXfcc("a quote where none belongs")),
    }
}

/// A value up to its closing quote, and what stands behind it.
fn quoted_value(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), InvalidXfcc> {
    let mut value = Vec::new();
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let left = text.get(at.saturating_add(1)..).unwrap_or_default();
                return Ok((Cow::Owned(value), left));
            }
            b'\\' => match bytes.next() {
                Some((_, escaped)) => value.push(*escaped),
                None => break,
            },
            other => value.push(*other),
        }
    }
    Err(InvalidXfcc("a quote that does not end"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::{format, vec};

    fn url_encoded(der: &[u8]) -> String {
        crate::wire::cert_header::Encoding::UrlEncodedPem.encode(der)
    }

    #[test]
    fn one_element_with_one_certificate_is_read() {
        let (leaf, issuer) = (vec![1, 2, 3], vec![4, 5]);
        let (one, two) = (url_encoded(&leaf), url_encoded(&issuer));
        for (text, intermediates) in [
            (format!("Cert=\"{one}\""), vec![]),
            (format!("Hash=abc;Cert=\"{one}\""), vec![]),
            (
                format!("By=spiffe://a/b;Subject=\"CN=\\\"a,b\\\"\";cert={one}"),
                vec![],
            ),
            (
                format!("Hash=abc;Cert=\"{one}\";Chain=\"{one}{two}\""),
                vec![issuer.clone()],
            ),
            (
                format!("Cert=\"{one}\";Chain=\"{one}\";URI=a;URI=b"),
                vec![],
            ),
        ] {
            let read = parse(text.as_bytes());
            let expected = Certificates {
                leaf: leaf.clone(),
                intermediates,
            };
            assert_eq!(read, Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        let (one, two) = (url_encoded(&[1, 2, 3]), url_encoded(&[4, 5]));
        for text in [
            String::new(),
            String::from("Hash=abc"),
            String::from("Cert"),
            String::from("Cert="),
            format!("Cert=\"{one}"),
            format!("Cert=\"{one}\"x"),
            format!("Cert=\"{one}\";Cert=\"{one}\""),
            format!("Cert=\"{one}{two}\""),
            format!("Cert=\"{one}\",Cert=\"{two}\""),
            format!("Hash=abc,Cert=\"{one}\""),
            format!("Cert=\"{one}\";Chain=\"{two}{one}\""),
            format!("Cert=\"{one}\";Chain=\"\""),
            format!("Cert=\"{one}\";"),
            format!("Chain=\"{one}\""),
            format!(",Cert=\"{one}\""),
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
