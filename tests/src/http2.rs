//! HTTP/2 over any byte stream, sending any bytes in pseudo-headers and fields.
//!
//! One request at a time: what is tested is what a server makes of a request, not concurrency.

use std::io::{Read, Write};

use crate::hpack::{self, Decoder};
use crate::wire::{Fields, WireError, WireRequest, WireResponse};

pub mod frame;

use frame::{Frame, MAX_PAYLOAD, flag, kind};

/// What a client says first (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const SETTINGS_ENABLE_PUSH: u16 = 2;
const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;
const DEFAULT_WINDOW: i64 = 65_535;
/// What the peer may send on each stream before it waits; given back as it is used up.
const RECEIVE_WINDOW: u32 = 1 << 20;
const CANCEL: u32 = 8;

/// A client on one connection, which it keeps for further requests.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    scheme: Vec<u8>,
    decoder: Decoder,
    next_stream: u32,
    /// How many body bytes the peer still takes on the connection.
    window: i64,
    /// How many body bytes the peer takes on a new stream.
    initial_window: i64,
    goaway: Option<u32>,
}

impl<S: Read + Write> Client<S> {
    /// Says hello on an open connection whose peer speaks HTTP/2.
    pub fn new(mut stream: S) -> Result<Self, WireError> {
        let mut settings = Vec::new();
        for (name, value) in [
            (SETTINGS_ENABLE_PUSH, 0),
            (SETTINGS_INITIAL_WINDOW_SIZE, RECEIVE_WINDOW),
        ] {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        let mut hello = PREFACE.to_vec();
        Frame::new(kind::SETTINGS, 0, 0, settings).encode(&mut hello);
        Frame::new(kind::WINDOW_UPDATE, 0, 0, RECEIVE_WINDOW.to_be_bytes()).encode(&mut hello);
        stream.write_all(&hello)?;
        stream.flush()?;
        Ok(Self {
            stream,
            scheme: b"https".to_vec(),
            decoder: Decoder::default(),
            next_stream: 1,
            window: DEFAULT_WINDOW,
            initial_window: DEFAULT_WINDOW,
            goaway: None,
        })
    }

    /// Sends another `:scheme` than `https`.
    pub fn set_scheme(&mut self, scheme: impl Into<Vec<u8>>) {
        self.scheme = scheme.into();
    }

    /// Sends a request and reads its response.
    pub fn send(&mut self, request: &WireRequest) -> Result<WireResponse, WireError> {
        if let Some(code) = self.goaway {
            return Err(WireError::GoAway(code));
        }
        let mut exchange = Exchange::new(self.next_stream, self.initial_window);
        self.next_stream += 2;
        match self.write_request(request, &mut exchange) {
            // Why the peer no longer reads stands in what it sent last.
            Ok(()) | Err(WireError::Closed) => {}
            Err(error) => return Err(error),
        }
        while exchange.phase != Phase::Done {
            self.step(&mut exchange)?;
        }
        Ok(exchange.response)
    }

    /// Writes a frame as it is.
    pub fn send_frame(&mut self, frame: &Frame) -> Result<(), WireError> {
        Ok(frame.write(&mut self.stream)?)
    }

    /// The connection below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Whether the peer has said that it takes no more requests here.
    pub fn is_leaving(&self) -> bool {
        self.goaway.is_some()
    }

    fn write_request(
        &mut self,
        request: &WireRequest,
        exchange: &mut Exchange,
    ) -> Result<(), WireError> {
        let last_is_body = request.trailers.is_empty();
        let ends = |last| if last { flag::END_STREAM } else { 0 };
        let head_ends = ends(request.body.is_none() && last_is_body);
        let head = self.head(request);
        self.stream
            .write_all(&block_frames(exchange.stream, head_ends, &head))?;
        self.stream.flush()?;
        if let Some(body) = &request.body {
            self.write_body(body, ends(last_is_body), exchange)?;
        }
        if exchange.phase == Phase::Done {
            // Answered before it was sent in full: say that no more will come.
            let code = CANCEL.to_be_bytes();
            return Ok(
                Frame::new(kind::RST_STREAM, 0, exchange.stream, code).write(&mut self.stream)?
            );
        }
        if !last_is_body {
            let block = block(&request.trailers);
            self.stream
                .write_all(&block_frames(exchange.stream, flag::END_STREAM, &block))?;
            self.stream.flush()?;
        }
        Ok(())
    }

    fn head(&self, request: &WireRequest) -> Vec<u8> {
        let mut out = Vec::new();
        hpack::encode_field(&mut out, b":method", &request.method);
        hpack::encode_field(&mut out, b":scheme", &self.scheme);
        if let Some(authority) = &request.authority {
            hpack::encode_field(&mut out, b":authority", authority);
        }
        hpack::encode_field(&mut out, b":path", &request.target);
        out.extend(block(&request.headers));
        out
    }

    /// Sends body bytes as the peer gives room, reading while it does not.
    fn write_body(
        &mut self,
        body: &[u8],
        end: u8,
        exchange: &mut Exchange,
    ) -> Result<(), WireError> {
        let mut rest = body;
        loop {
            let room = usize::try_from(self.window.min(exchange.window)).unwrap_or(0);
            if room == 0 && !rest.is_empty() {
                self.step(exchange)?;
                if exchange.phase == Phase::Done {
                    return Ok(());
                }
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(room).min(MAX_PAYLOAD));
            let flags = if later.is_empty() { end } else { 0 };
            Frame::new(kind::DATA, flags, exchange.stream, now).write(&mut self.stream)?;
            self.window -= now.len() as i64;
            exchange.window -= now.len() as i64;
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    /// Reads one frame and does what it asks for.
    fn step(&mut self, exchange: &mut Exchange) -> Result<(), WireError> {
        let frame = match Frame::read(&mut self.stream) {
            Ok(frame) => frame,
            Err(WireError::Closed) => {
                return Err(self.goaway.map_or(WireError::Closed, WireError::GoAway));
            }
            Err(error) => return Err(error),
        };
        let ours = frame.stream == exchange.stream;
        match frame.kind {
            kind::SETTINGS if !frame.has(flag::ACK) => self.apply_settings(&frame, exchange)?,
            kind::PING if !frame.has(flag::ACK) => {
                self.answer(&[Frame::new(kind::PING, flag::ACK, 0, frame.payload)])?;
            }
            kind::WINDOW_UPDATE => {
                let room = i64::from(frame.number(0)? & 0x7fff_ffff);
                if frame.stream == 0 {
                    self.window += room;
                } else if ours {
                    exchange.window += room;
                }
            }
            kind::HEADERS => {
                let fields = self.read_block(&frame)?;
                if ours {
                    exchange.take_fields(fields, frame.has(flag::END_STREAM))?;
                }
            }
            kind::DATA => {
                self.give_back(&frame)?;
                if ours {
                    exchange.take_data(frame.content()?, frame.has(flag::END_STREAM))?;
                }
            }
            kind::RST_STREAM if ours => return Err(WireError::Reset(frame.number(0)?)),
            kind::GOAWAY => {
                let code = frame.number(4)?;
                self.goaway = Some(code);
                if frame.number(0)? & 0x7fff_ffff < exchange.stream {
                    return Err(WireError::GoAway(code));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_settings(&mut self, frame: &Frame, exchange: &mut Exchange) -> Result<(), WireError> {
        for setting in frame.payload.chunks_exact(6) {
            let [high, low, value @ ..] = setting else {
                continue;
            };
            if u16::from_be_bytes([*high, *low]) == SETTINGS_INITIAL_WINDOW_SIZE {
                let value = value
                    .iter()
                    .fold(0, |value, byte| value << 8 | i64::from(*byte));
                exchange.window += value - self.initial_window;
                self.initial_window = value;
            }
        }
        self.answer(&[Frame::new(kind::SETTINGS, flag::ACK, 0, [])])
    }

    /// Reads the rest of a field block, which nothing may interrupt, and decodes it.
    ///
    /// Blocks of other streams are decoded too, because they change the decoder's table.
    fn read_block(&mut self, first: &Frame) -> Result<Fields, WireError> {
        let mut block = first.content()?.to_vec();
        let mut complete = first.has(flag::END_HEADERS);
        while !complete {
            let more = Frame::read(&mut self.stream)?;
            if more.kind != kind::CONTINUATION || more.stream != first.stream {
                return Err(WireError::malformed("an interrupted field block"));
            }
            block.extend_from_slice(&more.payload);
            complete = more.has(flag::END_HEADERS);
        }
        self.decoder.decode(&block)
    }

    /// Lets the peer send as many bytes again as it just did, padding included.
    fn give_back(&mut self, frame: &Frame) -> Result<(), WireError> {
        let count = frame.payload.len() as u32;
        if count == 0 {
            return Ok(());
        }
        let mut frames = vec![Frame::new(kind::WINDOW_UPDATE, 0, 0, count.to_be_bytes())];
        if !frame.has(flag::END_STREAM) {
            frames.push(Frame::new(
                kind::WINDOW_UPDATE,
                0,
                frame.stream,
                count.to_be_bytes(),
            ));
        }
        self.answer(&frames)
    }

    /// Writes what the protocol demands of a reader.
    ///
    /// A peer that no longer reads has said why in a frame that is still to be read.
    fn answer(&mut self, frames: &[Frame]) -> Result<(), WireError> {
        let mut out = Vec::new();
        for frame in frames {
            frame.encode(&mut out);
        }
        let written = self
            .stream
            .write_all(&out)
            .and_then(|()| self.stream.flush());
        match written.map_err(WireError::from) {
            Err(WireError::Closed) => Ok(()),
            outcome => outcome,
        }
    }
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    Done,
}

/// One request and its response.
#[derive(Debug)]
struct Exchange {
    stream: u32,
    window: i64,
    phase: Phase,
    response: WireResponse,
}

impl Exchange {
    fn new(stream: u32, window: i64) -> Self {
        Self {
            stream,
            window,
            phase: Phase::Head,
            response: WireResponse::default(),
        }
    }

    fn take_fields(&mut self, fields: Fields, last: bool) -> Result<(), WireError> {
        if self.phase == Phase::Body {
            self.response.trailers = fields;
        } else {
            let status = fields.iter().find(|(name, _)| name == b":status");
            let status: u16 = status
                .and_then(|(_, value)| std::str::from_utf8(value).ok())
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| WireError::malformed("a response without a status"))?;
            // 100 and 103 announce the response.
            if (100..200).contains(&status) {
                return Ok(());
            }
            self.response.status = status;
            self.response.headers = fields
                .into_iter()
                .filter(|(name, _)| name != b":status")
                .collect();
            self.phase = Phase::Body;
        }
        if last {
            self.phase = Phase::Done;
        }
        Ok(())
    }

    fn take_data(&mut self, content: &[u8], last: bool) -> Result<(), WireError> {
        if self.phase != Phase::Body {
            return Err(WireError::malformed("a body before its head"));
        }
        self.response.body.extend_from_slice(content);
        if last {
            self.phase = Phase::Done;
        }
        Ok(())
    }
}

/// A field block with names in lower case, as HTTP/2 demands.
fn block(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        hpack::encode_field(&mut out, &name.to_ascii_lowercase(), value);
    }
    out
}

/// HEADERS and as many CONTINUATION frames as a field block needs.
fn block_frames(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let count = block.len().div_ceil(MAX_PAYLOAD).max(1);
    for number in 0..count {
        let rest = &block[number * MAX_PAYLOAD..];
        let part = &rest[..rest.len().min(MAX_PAYLOAD)];
        let end = if number + 1 == count {
            flag::END_HEADERS
        } else {
            0
        };
        let frame = match number {
            0 => Frame::new(kind::HEADERS, flags | end, stream, part),
            _ => Frame::new(kind::CONTINUATION, end, stream, part),
        };
        frame.encode(&mut out);
    }
    out
}
