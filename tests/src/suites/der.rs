//! The elements of DER, as far as taking a CMS message apart needs them.

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
    pub(super) content: &'a [u8],
}

/// The elements that `bytes` consists of, one after the other; `None` when it is not DER.
pub(super) fn elements(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let element = first(bytes)?;
        bytes = &bytes[element.whole.len()..];
        found.push(element);
    }
    Some(found)
}

fn first(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let join = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            (length.iter().fold(0, join), rest)
        }
        _ => return None,
    };
    let content = rest.get(..length)?;
    let whole = &bytes[..bytes.len() - rest.len() + length];
    Some(Element {
        tag,
        whole,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of one octet string, whose length is written in the given bytes.
    fn nested(length: &[u8], content: usize) -> Vec<u8> {
        let text = [&[4], length, &vec![7; content]].concat();
        let size = u16::try_from(text.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &size[..], &text].concat()
    }

    #[test]
    fn elements_are_found_with_short_and_long_lengths() {
        for (length, content) in [
            (&[0][..], 0),
            (&[127], 127),
            (&[0x81, 128], 128),
            (&[0x82, 1, 44], 300),
        ] {
            let der = nested(length, content);
            let both = [&der[..], &der].concat();
            let outer = elements(&both).unwrap();
            assert_eq!((outer.len(), outer[1].tag), (2, 0x30));
            assert_eq!(outer[1].whole, der);
            let inner = elements(outer[1].content).unwrap();
            assert_eq!((inner.len(), inner[0].content.len()), (1, content));
        }
    }

    #[test]
    fn what_ends_early_is_no_element() {
        let der = nested(&[0x82, 1, 44], 300);
        for length in 1..der.len() {
            assert_eq!(elements(&der[..length]), None, "{length}");
        }
    }
}
