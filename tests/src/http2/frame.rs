//! HTTP/2 frames as they are on the wire.

use std::io::{Read, Write};

use crate::wire::WireError;

/// The kinds of frames, by number.
pub mod kind {
    /// Body bytes.
    pub const DATA: u8 = 0;
    /// The start of a field block.
    pub const HEADERS: u8 = 1;
    /// The abrupt end of a stream.
    pub const RST_STREAM: u8 = 3;
    /// Parameters of the connection.
    pub const SETTINGS: u8 = 4;
    /// A sign of life.
    pub const PING: u8 = 6;
    /// The end of the connection.
    pub const GOAWAY: u8 = 7;
    /// More room for body bytes.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a field block.
    pub const CONTINUATION: u8 = 9;
}

/// The flags of frames.
pub mod flag {
    /// SETTINGS and PING: an answer.
    pub const ACK: u8 = 0x1;
    /// DATA and HEADERS: nothing follows on this stream.
    pub const END_STREAM: u8 = 0x1;
    /// HEADERS and CONTINUATION: the field block is complete.
    pub const END_HEADERS: u8 = 0x4;
    /// DATA and HEADERS: the payload is padded.
    pub const PADDED: u8 = 0x8;
    /// HEADERS: the payload starts with a priority.
    pub const PRIORITY: u8 = 0x20;
}

/// The largest payload that every peer accepts.
pub const MAX_PAYLOAD: usize = 16_384;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The kind, a number of `kind`.
    pub kind: u8,
    /// The flags, of `flag`.
    pub flags: u8,
    /// The stream, 0 for the connection.
    pub stream: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Appends the frame's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.payload.len() as u32).to_be_bytes()[1..]);
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }

    /// Writes the frame at once.
    pub fn write(&self, stream: &mut impl Write) -> std::io::Result<()> {
        let mut out = Vec::new();
        self.encode(&mut out);
        stream.write_all(&out)?;
        stream.flush()
    }

    /// Reads one frame.
    pub fn read(stream: &mut impl Read) -> Result<Self, WireError> {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [high, middle, low, kind, flags, id @ ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if length > MAX_PAYLOAD {
            return Err(WireError::malformed("a frame larger than was allowed"));
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        Ok(Self {
            kind,
            flags,
            stream: u32::from_be_bytes(id) & 0x7fff_ffff,
            payload,
        })
    }

    /// The payload without padding and priority.
    pub fn content(&self) -> Result<&[u8], WireError> {
        let cut = || WireError::malformed("a frame shorter than its padding");
        let mut content = self.payload.as_slice();
        if self.has(flag::PADDED) {
            let (length, rest) = content.split_first().ok_or_else(cut)?;
            let end = rest
                .len()
                .checked_sub(usize::from(*length))
                .ok_or_else(cut)?;
            content = &rest[..end];
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            content = content.get(5..).ok_or_else(cut)?;
        }
        Ok(content)
    }

    /// The big-endian number at an offset of the payload.
    pub fn number(&self, offset: usize) -> Result<u32, WireError> {
        let bytes = self
            .payload
            .get(offset..offset + 4)
            .and_then(|it| it.try_into().ok());
        bytes
            .map(u32::from_be_bytes)
            .ok_or_else(|| WireError::malformed("a cut frame"))
    }
}
