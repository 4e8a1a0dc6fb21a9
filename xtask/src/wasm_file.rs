//! Reads the outline of a Wasm module: its sections, imports and exports.

use std::ops::Range;

use crate::exec::Outcome;

const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const CUSTOM: u8 = 0;
const IMPORT: u8 = 2;
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
    let mut names: Vec<String> = Vec::new();
    for body in bodies(module, EXPORT)? {
        names.extend(entries(body)?.into_iter().map(|(name, _)| name));
    }
    names.sort();
    Ok(names)
}

/// The names that the module imports, each as `FROM.NAME`; functions only.
pub(crate) fn imports(module: &[u8]) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for body in bodies(module, IMPORT)? {
        let mut at = 0;
        for _ in 0..leb(body, &mut at)? {
            let (from, name) = (text(body, &mut at)?, text(body, &mut at)?);
            // Behind the names stand the kind, 0 for a function, and the function's type.
            if body.get(at) != Some(&0) {
                return Err(format!(
                    "the Wasm module imports {from}.{name}, which is no function"
                ));
            }
            at += 1;
            leb(body, &mut at)?;
            names.push(format!("{from}.{name}"));
        }
    }
    Ok(names)
}

/// The module with these exports only.
pub(crate) fn with_exports(module: &[u8], keep: &[&str]) -> Outcome<Vec<u8>> {
    let mut kept = HEADER.to_vec();
    for section in sections(module)? {
        if section.id != EXPORT {
            kept.extend_from_slice(&module[section.whole]);
            continue;
        }
        let entries = entries(&module[section.body])?;
        let entries = entries
            .iter()
            .filter(|(name, _)| keep.contains(&name.as_str()));
        let entries: Vec<&[u8]> = entries.map(|(_, entry)| *entry).collect();
        let mut body = Vec::new();
        push_leb(&mut body, entries.len());
        body.extend(entries.concat());
        kept.push(EXPORT);
        push_leb(&mut kept, body.len());
        kept.extend(body);
    }
    Ok(kept)
}

/// The entries of an export section: the name, and the whole.
fn entries(body: &[u8]) -> Outcome<Vec<(String, &[u8])>> {
    let mut entries = Vec::new();
    let mut at = 0;
    for _ in 0..leb(body, &mut at)? {
        let start = at;
        let name = text(body, &mut at)?;
        // Behind the name stand one byte for the kind and the index of what is exported.
        at += 1;
        leb(body, &mut at)?;
        entries.push((name, &body[start..at]));
    }
    Ok(entries)
}

fn bodies(module: &[u8], id: u8) -> Outcome<Vec<&[u8]>> {
    let sections = sections(module)?.into_iter();
    let sections = sections.filter(|section| section.id == id);
    Ok(sections.map(|section| &module[section.body]).collect())
}

fn text(bytes: &[u8], at: &mut usize) -> Outcome<String> {
    let length = leb(bytes, at)?;
    let end = at.checked_add(length).ok_or_else(cut)?;
    let text = bytes.get(*at..end).ok_or_else(cut)?;
    *at = end;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn push_leb(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
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
    fn exports_are_taken_away_and_imports_are_found() {
        let without = with_exports(&module(), &["f"]).unwrap();
        assert_eq!(exports(&without).unwrap(), ["f"]);
        let all = with_exports(&module(), &["f", "memory"]).unwrap();
        assert_eq!(all, module());
        let mut module = module();
        assert!(imports(&module).unwrap().is_empty());
        module.extend_from_slice(b"\x02\x09\x01\x03env\x01f\x00\x00");
        assert_eq!(imports(&module).unwrap(), ["env.f"]);
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
