//! A header section as the ABI carries it, read in place.
//!
//! proxy-wasm ABI 0.2.1, serialized maps: the number of fields, the lengths of name and value of each, then
//! each name and value with a NUL behind it; numbers are 32 bits, little-endian.

use auth_edge::request::Field;

/// The fields of a request, pseudo-header fields first.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    fields: Vec<Field<'a>>,
    pseudo_fields: usize,
}

impl<'a> Section<'a> {
    /// Reads a serialized section; none when it is not one.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = number(bytes)?;
        // A length takes 8 bytes: what is not there is not allocated for.
        let (lengths, mut texts) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut fields = Vec::with_capacity(count);
        for lengths in lengths.chunks_exact(8) {
            let (name_length, value_length) = number(lengths)?;
            let (value_length, _) = number(value_length)?;
            let name = text(&mut texts, name_length)?;
            let value = text(&mut texts, value_length)?;
            fields.push((name, value));
        }
        let is_pseudo = |(name, _): &&Field<'_>| name.starts_with(b":");
        Some(Self {
            pseudo_fields: fields.iter().take_while(is_pseudo).count(),
            fields,
        })
    }

    /// The fields without pseudo-header fields.
    pub(crate) fn fields(&self) -> &[Field<'a>] {
        self.fields.get(self.pseudo_fields..).unwrap_or_default()
    }

    /// The pseudo-header fields.
    pub(crate) fn pseudo_fields(&self) -> &[Field<'a>] {
        self.fields.get(..self.pseudo_fields).unwrap_or_default()
    }

    /// The value of a pseudo-header field.
    pub(crate) fn pseudo_field(&self, wanted: &str) -> Option<&'a [u8]> {
        let mut fields = self.pseudo_fields().iter();
        fields.find_map(|(name, value)| (*name == wanted.as_bytes()).then_some(*value))
    }
}

/// A number, and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// Takes a text of this length and the NUL behind it.
fn text<'a>(texts: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (text, rest) = texts.split_at_checked(length)?;
    *texts = rest.strip_prefix(b"\0")?;
    Some(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const FIELDS: [Field<'static>; 4] = [
        (b":method", b"GET"),
        (b":path", b"/"),
        (b"accept", b""),
        (b"x-bytes", b"\0\xff\0"),
    ];

    /// A section as a host program writes it.
    pub(crate) fn written(fields: &[Field<'_>]) -> Vec<u8> {
        let number = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
        let mut bytes = number(fields.len()).to_vec();
        for (name, value) in fields {
            bytes.extend(number(name.len()));
            bytes.extend(number(value.len()));
        }
        for (name, value) in fields {
            bytes.extend([name, &b"\0"[..], value, b"\0"].concat());
        }
        bytes
    }

    #[test]
    fn a_section_that_was_written_is_read_as_it_was() {
        let bytes = written(&FIELDS);
        let section = Section::read(&bytes).unwrap();
        assert_eq!(section.pseudo_fields(), &FIELDS[..2]);
        assert_eq!(section.fields(), &FIELDS[2..]);
        assert_eq!(section.pseudo_field(":path"), Some(&b"/"[..]));
        assert_eq!(section.pseudo_field(":authority"), None);
        assert_eq!(section.pseudo_field("accept"), None);
    }

    #[test]
    fn the_bytes_are_those_of_the_abi() {
        let bytes = written(&[(b"a", b"bc")]);
        assert_eq!(bytes, *b"\x01\0\0\0\x01\0\0\0\x02\0\0\0a\0bc\0");
    }

    #[test]
    fn what_is_cut_short_or_no_section_is_not_read() {
        let bytes = written(&FIELDS);
        for length in 0..bytes.len() {
            assert!(Section::read(&bytes[..length]).is_none(), "{length}");
        }
        // More fields than there are bytes, and a text without its NUL.
        assert!(Section::read(b"\xff\xff\xff\xff\0\0\0\0").is_none());
        assert!(Section::read(b"\x01\0\0\0\x01\0\0\0\0\0\0\0ab\0").is_none());
    }
}
