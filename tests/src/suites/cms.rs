//! Certificates and revocation lists out of a signed S/MIME message (RFC 8551, RFC 5652).

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::der::{Element, elements};

/// What a signed message brings for the verification of its signature.
#[derive(Clone, Debug)]
pub(super) struct Brought {
    /// In the order of the message.
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) lists: Vec<Vec<u8>>,
}

/// Takes a `multipart/signed` message apart; nothing of it is verified.
pub(super) fn parse(message: &str) -> Result<Brought, Box<dyn Error>> {
    let encoded = signature_part(message).ok_or("no signature part")?;
    let der = STANDARD
        .decode(encoded)
        .map_err(|why| format!("the signature part: {why}"))?;
    let signed = signed_data(&der).ok_or("the signature part is no SignedData")?;
    let inside = |tag: u8| {
        let of_tag = signed.iter().find(|element| element.tag == tag);
        let all = of_tag.map_or(Some(Vec::new()), |element| elements(element.content));
        let whole = |element: Element<'_>| element.whole.to_vec();
        all.map(|all| all.into_iter().map(whole).collect())
    };
    Ok(Brought {
        certificates: inside(0xa0).ok_or("malformed certificates")?,
        lists: inside(0xa1).ok_or("malformed revocation lists")?,
    })
}

/// The base64 of the second part, without line ends.
fn signature_part(message: &str) -> Option<String> {
    let (_, part) = message.split_once("Content-Type: application/pkcs7-signature")?;
    let mut lines = part.lines().skip_while(|line| !line.is_empty());
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with("--")).collect())
}

/// The elements of a SignedData (RFC 5652 section 5.1).
fn signed_data(der: &[u8]) -> Option<Vec<Element<'_>>> {
    let content_info = elements(content(&elements(der)?, 0)?)?;
    let explicit = elements(content(&content_info, 1)?)?;
    elements(content(&explicit, 0)?)
}

fn content<'a>(elements: &[Element<'a>], index: usize) -> Option<&'a [u8]> {
    elements.get(index).map(|element| element.content)
}
