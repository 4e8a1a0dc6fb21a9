//! Rewrites a Wasm module so that one of its functions traps.

use std::fmt;
use std::ops::Range;

const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const EXPORT: u8 = 7;
const CODE: u8 = 10;

/// For which values of a function's second argument it traps.
#[derive(Clone, Debug)]
pub struct Trap {
    /// Before it runs.
    pub before: Range<u8>,
    /// After it has run.
    pub after: Range<u8>,
}

/// Why a module cannot be rewritten.
#[derive(Debug)]
pub struct WasmError(&'static str);

impl fmt::Display for WasmError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "this module cannot be rewritten: {}", self.0)
    }
}

impl std::error::Error for WasmError {}

/// Puts another function in place of an exported one with three parameters of 32 bits and such a
/// result: it calls the former, and traps when its second argument lies in one of the ranges.
///
/// # Errors
/// When the module does not have the expected form.
pub fn trap_by_number_of_fields(
    module: &[u8],
    export: &str,
    trap: &Trap,
) -> Result<Vec<u8>, WasmError> {
    let sections = sections(module)?;
    let body = |id: u8| {
        let found = sections.iter().find(|(found, _)| *found == id);
        found
            .map(|(_, body)| *body)
            .ok_or(WasmError("a section is missing"))
    };
    let imported = imported_functions(body(IMPORT)?)?;
    let mut functions = Reader(body(FUNCTION)?);
    let count = functions.number()?;
    let mut exports = Reader(body(EXPORT)?);
    let mut rewritten = Vec::new();
    let mut former = None;
    let export_count = exports.number()?;
    number(&mut rewritten, export_count);
    for _ in 0..export_count {
        let name = exports.bytes()?;
        let kind = exports.byte()?;
        let mut index = exports.number()?;
        if name == export.as_bytes() {
            former = Some(index);
            index = imported + count;
        }
        number(&mut rewritten, name.len() as u32);
        rewritten.extend_from_slice(name);
        rewritten.push(kind);
        number(&mut rewritten, index);
    }
    let former = former.ok_or(WasmError("there is no such export"))?;
    let own = former
        .checked_sub(imported)
        .ok_or(WasmError("the export is an import"))?;
    let mut kinds = functions;
    let mut kind = None;
    for _ in 0..=own {
        kind = Some(kinds.number()?);
    }
    let kind = kind.ok_or(WasmError("the function has no type"))?;
    let mut out = HEADER.to_vec();
    for (id, body) in &sections {
        let body = match *id {
            FUNCTION => {
                let mut body = one_more(body)?;
                number(&mut body, kind);
                body
            }
            EXPORT => rewritten.clone(),
            CODE => {
                let mut body = one_more(body)?;
                let code = code(former, trap);
                number(&mut body, code.len() as u32);
                body.extend(code);
                body
            }
            _ => body.to_vec(),
        };
        out.push(*id);
        number(&mut out, body.len() as u32);
        out.extend(body);
    }
    Ok(out)
}

/// The body of the function: no locals, then its instructions.
fn code(former: u32, trap: &Trap) -> Vec<u8> {
    const LOCAL_GET: u8 = 0x20;
    const CALL: u8 = 0x10;
    const END: u8 = 0x0b;
    let mut code = vec![0];
    trap_in(&mut code, &trap.before);
    for parameter in 0..3 {
        code.extend([LOCAL_GET, parameter]);
    }
    code.push(CALL);
    number(&mut code, former);
    trap_in(&mut code, &trap.after);
    code.push(END);
    code
}

/// `if (second - start) < length, unsigned, { unreachable }`.
fn trap_in(code: &mut Vec<u8>, range: &Range<u8>) {
    code.extend([0x20, 1]);
    constant(code, i32::from(range.start));
    code.push(0x6b);
    constant(code, i32::from(range.end) - i32::from(range.start));
    code.extend([0x49, 0x04, 0x40, 0x00, 0x0b]);
}

/// `i32.const` with a number of at most two bytes, which is signed.
fn constant(code: &mut Vec<u8>, value: i32) {
    let low = (value & 0x7f) as u8 | 0x80;
    let high = (value >> 7 & 0x7f) as u8;
    code.extend([0x41, low, high]);
}

/// A vector with room for one more element, which is still to be written.
fn one_more(body: &[u8]) -> Result<Vec<u8>, WasmError> {
    let mut reader = Reader(body);
    let mut out = Vec::new();
    number(&mut out, reader.number()? + 1);
    out.extend_from_slice(reader.0);
    Ok(out)
}

fn imported_functions(body: &[u8]) -> Result<u32, WasmError> {
    let mut reader = Reader(body);
    let count = reader.number()?;
    for _ in 0..count {
        reader.bytes()?;
        reader.bytes()?;
        if reader.byte()? != 0 {
            return Err(WasmError("it imports something that is no function"));
        }
        reader.number()?;
    }
    Ok(count)
}

fn sections(module: &[u8]) -> Result<Vec<(u8, &[u8])>, WasmError> {
    let body = module.strip_prefix(HEADER);
    let mut reader = Reader(body.ok_or(WasmError("it is none of version 1"))?);
    let mut sections = Vec::new();
    while !reader.0.is_empty() {
        sections.push((reader.byte()?, reader.bytes()?));
    }
    Ok(sections)
}

/// An unsigned number of 32 bits (LEB128).
fn number(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, WasmError> {
        let (first, rest) = self.0.split_first().ok_or(WasmError("it is cut short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u32, WasmError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WasmError("a number is longer than 32 bits"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], WasmError> {
        let length = self.number()? as usize;
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(WasmError("it is cut short"))?;
        self.0 = rest;
        Ok(bytes)
    }
}
