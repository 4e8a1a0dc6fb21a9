//! Distinguished names as text (RFC 4514), turned into the form certificates hold.
//!
//! Incomplete: attribute types are those of the table below or dotted decimal, and values written
//! as `#` and hex are not read.

use alloc::string::String;
use alloc::vec::Vec;

use super::thumbprint::decode_hex;
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

/// A distinguished name, in the order of a certificate: the most general part first.
///
/// A part is a set of attributes, in order: the DER of the type, without tag and length, and the text.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DistinguishedName(Vec<Vec<Attribute>>);

type Attribute = (Vec<u8>, String);

/// Attribute types with a short name: RFC 4514 section 3, and what OpenSSL prints besides.
const ATTRIBUTES: [(&str, &str); 13] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("serialNumber", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("street", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("organizationIdentifier", "2.5.4.97"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];

impl DistinguishedName {
    /// Reads a certificate's name, the DER of an RDNSequence; none when it holds what is no text.
    ///
    /// The string types are forgotten (UTF8String, PrintableString, BMPString ...); letter case and spaces
    /// are not, although RFC 5280 section 7.1 would fold them: a list that admits says exactly whom.
    pub fn of(der: &[u8]) -> Option<Self> {
        let mut reader = SliceReader::new(der).ok()?;
        let parts = reader.sequence(|reader| {
            let mut parts = Vec::new();
            while !reader.is_finished() {
                let set = AnyRef::decode(reader)?;
                set.tag().assert_eq(Tag::Set)?;
                parts.push(part(set.value())?);
            }
            Ok::<_, der::Error>(parts)
        });
        parts.ok().map(Self)
    }
}

/// The attributes of a part, in order.
fn part(set: &[u8]) -> der::Result<Vec<Attribute>> {
    let mut reader = SliceReader::new(set)?;
    let mut attributes = Vec::new();
    while !reader.is_finished() {
        let (oid, value) = reader.sequence(|reader| {
            Ok::<_, der::Error>((AnyRef::decode(reader)?, AnyRef::decode(reader)?))
        })?;
        let text = text(&value).ok_or(der::ErrorKind::Failed)?;
        attributes.push((oid.value().to_vec(), text));
    }
    attributes.sort_unstable();
    Ok(attributes)
}

/// What a value says, whatever its string type.
fn text(value: &AnyRef<'_>) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        // Older authorities write Latin-1 where T.61 is said.
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let units = bytes.chunks_exact(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.ok().filter(|_| bytes.len().is_multiple_of(2))
        }
        _ => core::str::from_utf8(bytes).ok().map(String::from),
    }
}

/// Whether the DER is an RDNSequence (RFC 5280 section 4.1.2.4) down to each attribute, so that
/// [`DistinguishedName::of`] speaks of all of it.
pub(crate) fn is_well_formed(der: &[u8]) -> bool {
    let check = || {
        let mut reader = SliceReader::new(der)?;
        reader.sequence(|reader| {
            while !reader.is_finished() {
                let set = AnyRef::decode(reader)?;
                set.tag().assert_eq(Tag::Set)?;
                let mut attributes = SliceReader::new(set.value())?;
                while !attributes.is_finished() {
                    attributes.sequence(|reader| {
                        Tag::peek(reader)?.assert_eq(Tag::ObjectIdentifier)?;
                        AnyRef::decode(reader)?;
                        AnyRef::decode(reader)?;
                        Ok::<_, der::Error>(())
                    })?;
                }
            }
            Ok::<_, der::Error>(())
        })?;
        reader.finish()
    };
    check().is_ok()
}

impl core::str::FromStr for DistinguishedName {
    type Err = ();

    /// Reads what `openssl x509 -nameopt RFC2253` prints: the most special part first.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let mut attributes = Vec::new();
            let separator = loop {
                let (attribute, separator, left) = attribute(rest)?;
                if attributes.contains(&attribute) {
                    return Err(());
                }
                attributes.push(attribute);
                rest = left;
                if separator != Some('+') {
                    break separator;
                }
            };
            attributes.sort_unstable();
            parts.push(attributes);
            if separator.is_none() {
                break;
            }
        }
        parts.reverse();
        Ok(Self(parts))
    }
}

/// Reads `TYPE=VALUE` up to an unescaped `,` or `+`: the attribute, what ended it, what is left.
fn attribute(text: &str) -> Result<(Attribute, Option<char>, &str), ()> {
    let (name, rest) = text.split_once('=').ok_or(())?;
    let name = name.trim_start_matches(' ');
    let known = ATTRIBUTES
        .iter()
        .find(|(short, _)| short.eq_ignore_ascii_case(name));
    let dotted = known.map_or(name, |(_, dotted)| dotted);
    let oid = ObjectIdentifier::new(dotted).map_err(|_| ())?;
    let (value, separator, rest) = value(rest)?;
    Ok(((oid.as_bytes().to_vec(), value), separator, rest))
}

/// Reads a value (RFC 4514 section 2.4) with its escapes undone.
fn value(text: &str) -> Result<(String, Option<char>, &str), ()> {
    let mut value = Vec::new();
    let mut rest = text;
    let separator = loop {
        let mut characters = rest.chars();
        let Some(character) = characters.next() else {
            break None;
        };
        rest = characters.as_str();
        match character {
            ',' | '+' => break Some(character),
            '\\' => {
                let pair = rest.get(..2).and_then(decode_hex);
                let pair = pair.and_then(|bytes| bytes.first().copied());
                let byte = match (pair, rest.as_bytes().first()) {
                    (Some(byte), _) => {
                        rest = rest.get(2..).unwrap_or_default();
                        byte
                    }
                    (None, Some(byte)) if b" \"#+,;<=>\\".contains(byte) => {
                        rest = rest.get(1..).unwrap_or_default();
                        *byte
                    }
                    _ => return Err(()),
                };
                value.push(byte);
            }
            '"' | ';' | '<' | '>' | '\0' => return Err(()),
            '#' if value.is_empty() => return Err(()),
            plain => value.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    };
    match String::from_utf8(value) {
        Ok(value) if !value.is_empty() => Ok((value, separator, rest)),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[track_caller]
    fn check(text: &str, expected: &[&[(&str, &str)]]) {
        let name: DistinguishedName = text.parse().unwrap();
        let bytes = |oid: &str| ObjectIdentifier::new(oid).unwrap().as_bytes().to_vec();
        let pairs = |part: &&[(&str, &str)]| {
            part.iter()
                .map(|(oid, text)| (bytes(oid), text.to_string()))
                .collect()
        };
        let found = name.0;
        let expected: Vec<Vec<(Vec<u8>, String)>> = expected.iter().map(pairs).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_read_from_the_special_to_the_general() {
        check(
            "CN=a,O=b,C=AT",
            &[
                &[("2.5.4.6", "AT")],
                &[("2.5.4.10", "b")],
                &[("2.5.4.3", "a")],
            ],
        );
        check("cn=a, o=b", &[&[("2.5.4.10", "b")], &[("2.5.4.3", "a")]]);
        check("CN=a+OU=b", &[&[("2.5.4.3", "a"), ("2.5.4.11", "b")]]);
        check("1.3.6.1.4.1.99999=a b", &[&[("1.3.6.1.4.1.99999", "a b")]]);
        check("O=Example\\, Inc.", &[&[("2.5.4.10", "Example, Inc.")]]);
        check(
            "CN=a\\\\,O=b",
            &[&[("2.5.4.10", "b")], &[("2.5.4.3", "a\\")]],
        );
        check("CN=\\+43 1\\2b1", &[&[("2.5.4.3", "+43 1+1")]]);
        check("CN=M\\C3\\BCller", &[&[("2.5.4.3", "M\u{fc}ller")]]);
        check("CN=M\u{fc}ller", &[&[("2.5.4.3", "M\u{fc}ller")]]);
    }

    /// A name with one attribute, CN, of this string type.
    fn der(tag: u8, value: &[u8]) -> Vec<u8> {
        let wrapped = |tag: u8, content: &[u8]| {
            let mut element = std::vec![tag, u8::try_from(content.len()).unwrap()];
            element.extend_from_slice(content);
            element
        };
        let mut attribute = wrapped(0x06, &[0x55, 4, 3]);
        attribute.extend(wrapped(tag, value));
        wrapped(0x30, &wrapped(0x31, &wrapped(0x30, &attribute)))
    }

    impl DistinguishedName {
        fn is(&self, der: &[u8]) -> bool {
            Self::of(der).as_ref() == Some(self)
        }
    }

    #[test]
    fn string_types_do_not_hide_a_name() {
        let listed: DistinguishedName = "CN=M\u{fc}ller".parse().unwrap();
        assert!(listed.is(&der(0x0c, "M\u{fc}ller".as_bytes())));
        assert!(listed.is(&der(0x14, b"M\xfcller")));
        assert!(listed.is(&der(0x1e, b"\0M\0\xfc\0l\0l\0e\0r")));
        assert!(!listed.is(&der(0x1e, b"\0M\0\xfc\0l\0l\0e\0r\0")));
        assert!(!listed.is(&der(0x0c, b"M\xfcller")));
        assert!(!listed.is(&der(0x0c, b"Muller")));
    }

    #[test]
    fn an_attribute_that_stands_twice_does_not_stand_for_another() {
        let listed: DistinguishedName = "CN=a+OU=b".parse().unwrap();
        let cn = [0x30, 8, 0x06, 3, 0x55, 4, 3, 0x0c, 1, b'a'];
        let ou = [0x30, 8, 0x06, 3, 0x55, 4, 11, 0x0c, 1, b'b'];
        let name =
            |one: [u8; 10], other: [u8; 10]| [&[0x30, 22, 0x31, 20][..], &one, &other].concat();
        assert!(listed.is(&name(cn, ou)));
        assert!(!listed.is(&name(cn, cn)));
    }

    #[test]
    fn only_a_name_is_well_formed() {
        assert!(is_well_formed(&der(0x0c, b"a")));
        assert!(is_well_formed(&[0x30, 0]));
        let mut cut = der(0x0c, b"a");
        cut.pop();
        // A tag no reader knows, a set that is none, a cut and a longer element.
        for wrong in [
            der(0x1c, b"\0\0\0a"),
            std::vec![0x30, 2, 0x30, 0],
            cut,
            std::vec![0x30, 0, 0],
        ] {
            assert!(!is_well_formed(&wrong), "{wrong:x?}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "", "CN", "CN=", "CN=a,", "=a", "XX=a", "CN=\"a\"", "CN=a\\", "CN=#0403", "CN=\\FF",
        ] {
            assert!(text.parse::<DistinguishedName>().is_err(), "{text}");
        }
    }
}
