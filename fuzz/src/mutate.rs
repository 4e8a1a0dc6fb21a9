//! Changes to an input: the usual ones of a fuzzer, and changes to DER that leave its lengths right.

use crate::der::{Content, Element};
use crate::random::Random;

/// What the bytes of an input are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// One DER element.
    Der,
    /// Text.
    Text,
    /// Lines of text, an empty line, and DER elements; see [`crate::case`].
    Case,
}

/// The longest input that is made.
pub const MAX_BYTES: usize = 16 * 1024;

/// Changes `input` a few times; `other` is another input to take parts from.
pub fn change(
    input: &[u8],
    other: &[u8],
    tokens: &[Vec<u8>],
    shape: Shape,
    random: &mut Random,
) -> Vec<u8> {
    let mut changed = input.to_vec();
    for _ in 0..=random.below(4) {
        let structural = shape != Shape::Text && random.below(2) == 0;
        changed = match structural.then(|| change_der(&changed, other, shape, random)) {
            Some(Some(changed)) => changed,
            _ => change_bytes(changed, other, tokens, random),
        };
    }
    changed.truncate(MAX_BYTES);
    changed
}

/// Changes one element of the DER in `input`; none where there is no DER.
pub fn change_der(
    input: &[u8],
    other: &[u8],
    shape: Shape,
    random: &mut Random,
) -> Option<Vec<u8>> {
    let start = der_starts(input, shape)?;
    let (mut trees, rest) = trees(input.get(start..)?);
    let (donors, _) = trees_of(other, shape);
    let index = random.below(trees.len());
    let tree = trees.get_mut(index)?;
    if random.below(16) == 0 && shape == Shape::Case {
        // Another certificate of a chain, or one less.
        match donors.first() {
            Some(donor) if random.below(2) == 0 => trees.insert(index, donor.clone()),
            _ => drop(trees.remove(index)),
        }
    } else {
        let place = random.below(tree.count());
        let donor = (random.below(4) == 0).then(|| {
            let donor = random.pick(&donors)?;
            let place = random.below(donor.count());
            donor.clone().nth_mut(place).cloned()
        });
        change_element(tree.nth_mut(place)?, donor.flatten(), random);
    }
    let mut changed = input.get(..start)?.to_vec();
    for tree in &trees {
        changed.extend(tree.write());
    }
    changed.extend_from_slice(rest);
    Some(changed)
}

/// Where the DER of an input begins.
fn der_starts(input: &[u8], shape: Shape) -> Option<usize> {
    match shape {
        Shape::Der => Some(0),
        Shape::Text => None,
        Shape::Case => {
            let empty_line = input.windows(2).position(|pair| pair == b"\n\n")?;
            Some(empty_line + 2)
        }
    }
}

fn trees_of(input: &[u8], shape: Shape) -> (Vec<Element>, &[u8]) {
    let start = der_starts(input, shape);
    trees(
        start
            .and_then(|start| input.get(start..))
            .unwrap_or_default(),
    )
}

fn trees(mut bytes: &[u8]) -> (Vec<Element>, &[u8]) {
    let mut trees = Vec::new();
    while let Some((tree, rest)) = Element::read(bytes) {
        trees.push(tree);
        bytes = rest;
    }
    (trees, bytes)
}

fn change_element(element: &mut Element, donor: Option<Element>, random: &mut Random) {
    if let Some(donor) = donor {
        *element = donor;
        return;
    }
    match &mut element.content {
        Content::Elements(_, elements) if !elements.is_empty() => {
            let index = random.below(elements.len());
            match random.below(6) {
                0 => drop(elements.remove(index)),
                1 => elements.insert(index, elements[index].clone()),
                2 => elements.swap(0, index),
                3 => elements.truncate(index),
                4 => element.tag ^= 1 << random.below(8),
                _ => elements.push(Element::octets(random.byte() & 0xdf, &[])),
            }
        }
        Content::Elements(..) => element.tag ^= 1 << random.below(8),
        Content::Octets(octets) => match random.below(8) {
            0 => element.tag ^= 1 << random.below(8),
            1 => octets.clear(),
            2 => octets.insert(0, 0),
            3 => octets.extend([random.byte()]),
            4 => drop(octets.pop()),
            5 => octets.iter_mut().for_each(|octet| *octet = 0xff),
            _ => {
                let index = random.below(octets.len());
                if let Some(octet) = octets.get_mut(index) {
                    *octet ^= 1 << random.below(8);
                }
            }
        },
    }
}

fn change_bytes(
    mut bytes: Vec<u8>,
    other: &[u8],
    tokens: &[Vec<u8>],
    random: &mut Random,
) -> Vec<u8> {
    let at = random.below(bytes.len() + 1);
    let run = 1 + random.below(16);
    let end = (at + run).min(bytes.len());
    match random.below(9) {
        0 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.insert(at, random.byte()),
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 | 5 => {
            let token = random.pick(tokens).cloned().unwrap_or_default();
            let over = (at + token.len()).min(bytes.len());
            let end = if random.below(2) == 0 { at } else { over };
            bytes.splice(at..end, token);
        }
        6 => {
            let from = random.below(other.len() + 1);
            let to = (from + run * 4).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        7 => bytes[at..end].fill(random.byte()),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_element_leaves_the_lengths_right() {
        let tree = Element::of(
            0x30,
            vec![Element::of(0x30, vec![Element::octets(4, b"abc")])],
        );
        let input = tree.write();
        for seed in 0..500 {
            let changed = change_der(&input, &input, Shape::Der, &mut Random::new(seed)).unwrap();
            let (_, rest) = Element::read(&changed).unwrap_or((tree.clone(), b""));
            assert!(rest.is_empty(), "{changed:02x?}");
        }
    }

    #[test]
    fn changes_are_the_same_for_the_same_seed() {
        let of = |seed| {
            let tokens = [b"token".to_vec()];
            let mut random = Random::new(seed);
            change(
                b":method:GET\n\n\x30\x00",
                b"other",
                &tokens,
                Shape::Case,
                &mut random,
            )
        };
        assert_eq!(of(7), of(7));
        assert!((0..20).any(|seed| of(seed) != of(7)));
    }
}
