//! Reads the outline of a Wasm module: its sections and its exports.

use std::ops::Range;

use crate::exec::Outcome;

const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const CUSTOM: u8 = 0;
const EXPORT: u8 = 7;
pub(crate) const CODE: u8 = 10;
pub(crate) const DATA: u8 = 11;

/// A section of a module: its number, its bytes with the head, and its bytes without.
struct Section {
    id: u8,
    whole: Range<usize>,
    body: Range<usize>,
}

/// The module without its custom sections: names, producers and the like, which the host does not need.
pub(crate) fn without_custom_sections(module: &[u8]) -> Outcome<Vec<u8>> {
    let mut kept = HEADER.to_vec();
    for section in sections(module)?
        .into_iter()
        .filter(|section| section.id != CUSTOM)
    {
        kept.extend_from_slice(&module[section.whole]);
    }
    Ok(kept)
}

/// The size of the sections with this number.
pub(crate) fn section_size(module: &[u8], id: u8) -> Outcome<usize> {
    Ok(sections(module)?
        .iter()
        .filter(|section| section.id == id)
        .map(|section| section.body.len())
        .sum())
}

/// The names that the module exports, in order of the alphabet.
pub(crate) fn exports(module: &[u8]) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for section in sections(module)?
        .into_iter()
        .filter(|section| section.id == EXPORT)
    {
        let body = &module[section.body];
        let mut at = 0;
        for _ in 0..leb(body, &mut at)? {
            let length = leb(body, &mut at)?;
            let name = at
                .checked_add(length)
                .and_then(|end| body.get(at..end))
                .ok_or_else(cut)?;
            names.push(String::from_utf8_lossy(name).into_owned());
            // After the name stand one byte for the kind and the index of what is exported.
            at += length + 1;
            leb(body, &mut at)?;
        }
    }
    names.sort();
    Ok(names)
}

fn sections(module: &[u8]) -> Outcome<Vec<Section>> {
    if !module.starts_with(HEADER) {
        return Err("this is no Wasm module of version 1".to_owned());
    }
    let mut sections = Vec::new();
    let mut at = HEADER.len();
    while let Some(&id) = module.get(at) {
        let start = at;
        at += 1;
        let length = leb(module, &mut at)?;
        let end = at
            .checked_add(length)
            .filter(|end| *end <= module.len())
            .ok_or_else(cut)?;
        sections.push(Section {
            id,
            whole: start..end,
            body: at..end,
        });
        at = end;
    }
    Ok(sections)
}

/// Reads an unsigned number of at most 32 bits.
fn leb(bytes: &[u8], at: &mut usize) -> Outcome<usize> {
    let mut value: u64 = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.get(*at).ok_or_else(cut)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| cut());
        }
    }
    Err("the Wasm module has a number longer than 32 bits".to_owned())
}

fn cut() -> String {
    "the Wasm module is cut short".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A custom section, then an export section with `memory` and `f`.
    fn module() -> Vec<u8> {
        let mut module = HEADER.to_vec();
        module.extend_from_slice(b"\x00\x03\x01nx");
        module.extend_from_slice(b"\x07\x0e\x02\x06memory\x02\x00\x01f\x00\x01");
        module
    }

    #[test]
    fn exports_are_found_and_custom_sections_go() {
        assert_eq!(exports(&module()).unwrap(), ["f", "memory"]);
        let stripped = without_custom_sections(&module()).unwrap();
        assert_eq!(stripped.len(), module().len() - 5);
        assert_eq!(exports(&stripped).unwrap(), ["f", "memory"]);
        assert_eq!(section_size(&module(), EXPORT).unwrap(), 14);
    }

    #[test]
    fn a_damaged_module_is_an_error() {
        let module = module();
        for length in (0..8).chain([9, 11, 14, module.len() - 1]) {
            assert!(exports(&module[..length]).is_err(), "{length}");
        }
        assert!(exports(b"\0asm\x01\0\0\0\x07\xff\xff\xff\xff\xff\xff").is_err());
    }
}
