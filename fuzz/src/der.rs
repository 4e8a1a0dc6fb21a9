//! DER as a tree: to change an element and have the lengths around it fit again.
//!
//! It reads more than the core does, since what is not quite DER is what a fuzzer wants to make.

/// How deep a tree is read; what lies deeper is bytes.
const MAX_DEPTH: usize = 24;

/// An element (X.690 section 8.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    /// The identifier octet; tag numbers above 30 are not read.
    pub tag: u8,
    /// What it holds.
    pub content: Content,
}

/// The contents of an element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// Octets without a structure that is known.
    Octets(Vec<u8>),
    /// Elements, all there are; in a bit or octet string after so many octets of its own.
    Elements(Vec<u8>, Vec<Element>),
}

const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED: u8 = 0x20;

impl Element {
    /// An element of these octets.
    pub fn octets(tag: u8, octets: &[u8]) -> Self {
        Self {
            tag,
            content: Content::Octets(octets.to_vec()),
        }
    }

    /// An element of these elements.
    pub fn of(tag: u8, elements: Vec<Self>) -> Self {
        Self {
            tag,
            content: Content::Elements(Vec::new(), elements),
        }
    }

    /// The element that `bytes` starts with, and the bytes after it.
    pub fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        Self::read_at(bytes, 0)
    }

    fn read_at(bytes: &[u8], depth: usize) -> Option<(Self, &[u8])> {
        let (tag, content, rest) = split(bytes)?;
        let inner = match tag {
            BIT_STRING => content
                .split_first_chunk::<1>()
                .filter(|(unused, _)| **unused == [0]),
            OCTET_STRING => Some((&[0], content)),
            _ => None,
        };
        let (own, inside) = match (tag, inner) {
            (BIT_STRING, Some((unused, inside))) => (unused.to_vec(), Some(inside)),
            (OCTET_STRING, Some((_, inside))) => (Vec::new(), Some(inside)),
            (tag, _) if tag & CONSTRUCTED != 0 => (Vec::new(), Some(content)),
            _ => (Vec::new(), None),
        };
        let is_constructed = tag & CONSTRUCTED != 0;
        let elements = inside
            .filter(|inside| depth < MAX_DEPTH && (is_constructed || !inside.is_empty()))
            .and_then(|inside| {
                let elements = read_all(inside, depth + 1)?;
                // What is not DER, or only looks like it, stays as it is.
                let written = elements.iter().flat_map(Self::write);
                written.eq(inside.iter().copied()).then_some(elements)
            });
        let content = match elements {
            Some(elements) => Content::Elements(own, elements),
            None => Content::Octets(content.to_vec()),
        };
        Some((Self { tag, content }, rest))
    }

    /// The element in DER.
    pub fn write(&self) -> Vec<u8> {
        let mut content = Vec::new();
        match &self.content {
            Content::Octets(octets) => content.extend_from_slice(octets),
            Content::Elements(own, elements) => {
                content.extend_from_slice(own);
                for element in elements {
                    content.extend(element.write());
                }
            }
        }
        let mut written = vec![self.tag];
        written.extend(length(content.len()));
        written.append(&mut content);
        written
    }

    /// The elements it holds; none for octets.
    pub fn elements(&self) -> &[Self] {
        match &self.content {
            Content::Octets(_) => &[],
            Content::Elements(_, elements) => elements,
        }
    }

    /// How many elements the tree has, itself included.
    pub fn count(&self) -> usize {
        1 + self.elements().iter().map(Self::count).sum::<usize>()
    }

    /// The element at this place of the tree, counted from the root in reading order.
    pub fn nth_mut(&mut self, place: usize) -> Option<&mut Self> {
        let mut left = place;
        self.find(&mut left)
    }

    fn find(&mut self, left: &mut usize) -> Option<&mut Self> {
        if *left == 0 {
            return Some(self);
        }
        *left -= 1;
        match &mut self.content {
            Content::Octets(_) => None,
            Content::Elements(_, elements) => {
                elements.iter_mut().find_map(|element| element.find(left))
            }
        }
    }
}

/// The first elements of `bytes` that can be told apart, as bytes, and what is left.
pub fn concatenated(mut bytes: &[u8], most: usize) -> (Vec<&[u8]>, &[u8]) {
    let mut found = Vec::new();
    while found.len() < most
        && let Some((_, _, rest)) = split(bytes)
    {
        found.push(&bytes[..bytes.len() - rest.len()]);
        bytes = rest;
    }
    (found, bytes)
}

/// What the element holds that `bytes` starts with, and the bytes after it.
pub fn inside(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split(bytes).map(|(_, content, rest)| (content, rest))
}

fn read_all(mut bytes: &[u8], depth: usize) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (element, rest) = Element::read_at(bytes, depth)?;
        elements.push(element);
        bytes = rest;
    }
    Some(elements)
}

/// Identifier octet, content and what follows.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = bytes.split_first_chunk::<2>()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) || rest.len() < count {
            return None;
        }
        let (digits, after) = rest.split_at(count);
        rest = after;
        digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit))
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Length octets in the shortest definite form (X.690 section 10.1).
fn length(length: usize) -> Vec<u8> {
    if length < 0x80 {
        return vec![length as u8];
    }
    let digits: Vec<u8> = length
        .to_be_bytes()
        .into_iter()
        .skip_while(|digit| *digit == 0)
        .collect();
    let mut written = vec![0x80 | digits.len() as u8];
    written.extend(digits);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    #[test]
    fn what_is_read_is_written_the_same() {
        let certificates = corpus::inputs("certificate").unwrap();
        let mut read = 0;
        for input in certificates {
            if auth_edge::certificate::LeafCert::parse(input.bytes.clone()).is_ok() {
                let (tree, rest) = Element::read(&input.bytes).unwrap();
                assert_eq!(tree.write(), input.bytes, "{}", input.name);
                assert!(rest.is_empty() && tree.count() > 10);
                read += 1;
            }
        }
        assert!(read > 0);
    }

    #[test]
    fn elements_are_found_in_reading_order() {
        let mut tree = Element::of(
            0x30,
            vec![
                Element::of(0x31, vec![Element::octets(5, &[])]),
                Element::octets(2, &[7]),
            ],
        );
        let tags: Vec<u8> = (0..tree.count())
            .map(|place| tree.nth_mut(place).unwrap().tag)
            .collect();
        assert_eq!(tags, [0x30, 0x31, 5, 2]);
        assert_eq!(tree.nth_mut(4), None);
    }
}
