//! HPACK (RFC 7541): an encoder that never compresses, and a complete decoder.
//!
//! Field blocks are written as literals without indexing and without Huffman coding, so that any
//! bytes go through, also those that a well-behaved encoder would refuse.

use std::sync::LazyLock;

use crate::wire::{Fields, WireError};

/// The size of the dynamic table that a peer may use unless told otherwise.
const TABLE_SIZE: usize = 4096;

/// What every entry of the dynamic table counts beyond its bytes (RFC 7541 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Writes one field as a literal that no table remembers.
pub fn encode_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    for text in [name, value] {
        encode_integer(out, text.len());
        out.extend_from_slice(text);
    }
}

/// Writes an integer with a prefix of seven bits whose first bit is zero.
fn encode_integer(out: &mut Vec<u8>, value: usize) {
    if value < 0x7f {
        out.push(value as u8);
        return;
    }
    out.push(0x7f);
    let mut rest = value - 0x7f;
    while rest >= 0x80 {
        out.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A decoder with the dynamic table of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The newest entry is the first.
    dynamic: Vec<(Vec<u8>, Vec<u8>)>,
    limit: Option<usize>,
}

impl Decoder {
    /// Decodes one complete field block.
    pub fn decode(&mut self, block: &[u8]) -> Result<Fields, WireError> {
        let mut rest = block;
        let mut fields = Fields::new();
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut rest, 7)?;
                fields.push(self.entry(index)?);
            } else if first & 0xc0 == 0x40 {
                let field = self.literal(&mut rest, 6)?;
                self.insert(field.clone());
                fields.push(field);
            } else if first & 0xe0 == 0x20 {
                let limit = integer(&mut rest, 5)?;
                if limit > TABLE_SIZE {
                    return Err(WireError::malformed("a header table larger than allowed"));
                }
                self.limit = Some(limit);
                self.evict();
            } else {
                fields.push(self.literal(&mut rest, 4)?);
            }
        }
        Ok(fields)
    }

    fn literal(&self, rest: &mut &[u8], prefix: u32) -> Result<(Vec<u8>, Vec<u8>), WireError> {
        let name = match integer(rest, prefix)? {
            0 => string(rest)?,
            index => self.entry(index)?.0,
        };
        Ok((name, string(rest)?))
    }

    fn entry(&self, index: usize) -> Result<(Vec<u8>, Vec<u8>), WireError> {
        let missing = || WireError::malformed("a header index beyond the table");
        let index = index.checked_sub(1).ok_or_else(missing)?;
        match STATIC_TABLE.get(index) {
            Some((name, value)) => Ok((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
            None => self
                .dynamic
                .get(index - STATIC_TABLE.len())
                .cloned()
                .ok_or_else(missing),
        }
    }

    fn insert(&mut self, field: (Vec<u8>, Vec<u8>)) {
        self.dynamic.insert(0, field);
        self.evict();
    }

    fn evict(&mut self) {
        let limit = self.limit.unwrap_or(TABLE_SIZE);
        let mut size = 0;
        let kept = self.dynamic.iter().take_while(|(name, value)| {
            size += name.len() + value.len() + ENTRY_OVERHEAD;
            size <= limit
        });
        let kept = kept.count();
        self.dynamic.truncate(kept);
    }
}

fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, WireError> {
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(byte(rest)?) & mask;
    if value < mask {
        return Ok(value);
    }
    for group in 0..4 {
        let next = byte(rest)?;
        value += usize::from(next & 0x7f) << (7 * group);
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::malformed(
        "an integer too large for a header block",
    ))
}

fn string(rest: &mut &[u8]) -> Result<Vec<u8>, WireError> {
    let huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let (text, after) = rest
        .split_at_checked(length)
        .ok_or_else(|| WireError::malformed("a cut header block"))?;
    *rest = after;
    if huffman {
        decode_huffman(text)
    } else {
        Ok(text.to_vec())
    }
}

fn byte(rest: &mut &[u8]) -> Result<u8, WireError> {
    let (first, after) = rest
        .split_first()
        .ok_or_else(|| WireError::malformed("a cut header block"))?;
    *rest = after;
    Ok(*first)
}

/// The Huffman code of RFC 7541 appendix B.
///
/// It is canonical: codes of one length are consecutive numbers in the order of their symbols, so
/// the lengths alone say everything.
struct Code {
    /// All symbols by the length of their code, then by value; 256 is the end of a string.
    symbols: Vec<u16>,
    /// How many symbols have a code of this length.
    counts: [u32; 31],
}

static CODE: LazyLock<Code> = LazyLock::new(|| {
    let length = |symbol: &u16| {
        CODE_LENGTHS
            .get(usize::from(*symbol))
            .copied()
            .unwrap_or(30)
    };
    let mut symbols: Vec<u16> = (0..=256).collect();
    symbols.sort_by_key(length);
    let mut counts = [0; 31];
    for symbol in &symbols {
        counts[usize::from(length(symbol))] += 1;
    }
    Code { symbols, counts }
});

/// Decodes Huffman coding bit by bit.
fn decode_huffman(text: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::new();
    // `first` is the lowest code of this length, `skipped` how many symbols have shorter codes.
    let (mut code, mut length, mut first, mut skipped) = (0_u32, 0_usize, 0_u32, 0_u32);
    for bit in text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        first <<= 1;
        let count = CODE.counts[length];
        if code < first + count {
            let symbol = CODE.symbols[(skipped + code - first) as usize];
            let symbol = u8::try_from(symbol);
            out.push(symbol.map_err(|_| WireError::malformed("an end of string inside one"))?);
            (code, length, first, skipped) = (0, 0, 0, 0);
        } else {
            first += count;
            skipped += count;
        }
    }
    // What is left is padding: fewer than eight bits, all ones.
    if length >= 8 || code != (1 << length) - 1 {
        return Err(WireError::malformed("a padding that is none"));
    }
    Ok(out)
}

#[rustfmt::skip]
const CODE_LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

#[rustfmt::skip]
const STATIC_TABLE: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
        pairs
            .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
            .collect()
    }

    fn text(fields: Fields) -> Vec<String> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        fields
            .into_iter()
            .map(|(name, value)| format!("{}={}", text(name), text(value)))
            .collect()
    }

    /// RFC 7541 appendix C.6: three responses with Huffman coding and evictions.
    #[test]
    fn responses_of_the_specification_decode() {
        let mut decoder = Decoder {
            limit: Some(256),
            ..Decoder::default()
        };
        let first = bytes(
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
             2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        );
        let shared = [
            "cache-control=private",
            "date=Mon, 21 Oct 2013 20:13:21 GMT",
            "location=https://www.example.com",
        ];
        let fields = text(decoder.decode(&first).unwrap());
        assert_eq!(fields[0], ":status=302");
        assert_eq!(fields[1..], shared);
        let fields = text(decoder.decode(&bytes("4883 640e ffc1 c0bf")).unwrap());
        assert_eq!(fields[0], ":status=307");
        assert_eq!(fields[1..], shared);
        let third = bytes(
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad \
             94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 \
             65c0 03ed 4ee5 b106 3d50 07",
        );
        let fields = text(decoder.decode(&third).unwrap());
        assert_eq!(
            fields[3..],
            [
                "location=https://www.example.com",
                "content-encoding=gzip",
                "set-cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ]
        );
        assert_eq!(decoder.dynamic.len(), 3);
    }

    #[test]
    fn any_bytes_survive_the_encoder() {
        let field = (
            b":path".to_vec(),
            (0..=255).cycle().take(70_000).collect::<Vec<u8>>(),
        );
        let mut block = Vec::new();
        encode_field(&mut block, &field.0, &field.1);
        assert_eq!(Decoder::default().decode(&block).unwrap(), [field]);
    }

    #[test]
    fn every_length_of_code_is_used_up() {
        let share = |(length, count): (usize, &u32)| f64::from(*count) / (length as f64).exp2();
        let used: f64 = CODE.counts.iter().enumerate().map(share).sum();
        assert_eq!(used, 1.0);
    }
}
