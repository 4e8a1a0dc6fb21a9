//! HTTP/1.1 over any byte stream, sending exactly the bytes it is given.

use std::io::{Read, Write};

use crate::wire::{Fields, WireError, WireRequest, WireResponse, values};

/// More than any honest response line or field takes; keeps a broken peer from filling memory.
const MAX_LINE: usize = 1 << 20;

/// A client on one connection, which it keeps for further requests.
#[derive(Debug)]
pub struct Client<S> {
    lines: Lines<S>,
}

impl<S: Read + Write> Client<S> {
    /// A client on an open connection.
    pub fn new(stream: S) -> Self {
        Self {
            lines: Lines::new(stream),
        }
    }

    /// Sends a request and reads its response.
    pub fn send(&mut self, request: &WireRequest) -> Result<WireResponse, WireError> {
        self.send_raw(&encode(request), &request.method)
    }

    /// Sends bytes as they are and reads one response to a request of the given method.
    pub fn send_raw(&mut self, bytes: &[u8], method: &[u8]) -> Result<WireResponse, WireError> {
        let stream = &mut self.lines.stream;
        let written = stream.write_all(bytes).and_then(|()| stream.flush());
        // A server may answer and close before it has read all of a request; the answer counts.
        match (self.read_response(method), written) {
            (Err(WireError::Closed), Err(error)) => Err(error.into()),
            (outcome, _) => outcome,
        }
    }

    /// The connection below.
    pub fn stream(&self) -> &S {
        &self.lines.stream
    }

    /// Gives the connection back; bytes read beyond the last response are lost.
    pub fn into_stream(self) -> S {
        self.lines.stream
    }

    fn read_response(&mut self, method: &[u8]) -> Result<WireResponse, WireError> {
        let (status, headers) = loop {
            let status = status(&self.lines.line()?)?;
            let headers = self.lines.fields()?;
            // 100 and 103 announce the response; 101 is one.
            if !(100..200).contains(&status) || status == 101 {
                break (status, headers);
            }
        };
        let mut response = WireResponse {
            status,
            headers,
            ..WireResponse::default()
        };
        if method == b"HEAD" || matches!(status, 101 | 204 | 304) {
            return Ok(response);
        }
        match framing(&response.headers)? {
            Framing::Chunked => (response.body, response.trailers) = self.lines.chunks()?,
            Framing::Length(length) => response.body = self.lines.exactly(length)?,
            Framing::Unstated => response.body = self.lines.rest()?,
        }
        Ok(response)
    }
}

/// The bytes of a request on the wire.
///
/// Framing is added for a body unless the request's own fields state one, right or wrong.
pub fn encode(request: &WireRequest) -> Vec<u8> {
    let mut out = Vec::new();
    for part in [
        &request.method[..],
        b" ",
        &request.target[..],
        b" HTTP/1.1\r\n",
    ] {
        out.extend_from_slice(part);
    }
    if let Some(authority) = &request.authority {
        write_field(&mut out, b"host", authority);
    }
    for (name, value) in &request.headers {
        write_field(&mut out, name, value);
    }
    let framed = ["content-length", "transfer-encoding"]
        .iter()
        .any(|name| !values(&request.headers, name).is_empty());
    let body = request.body.as_deref();
    if request.trailers.is_empty() {
        if let (Some(body), false) = (body, framed) {
            write_field(
                &mut out,
                b"content-length",
                body.len().to_string().as_bytes(),
            );
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body.unwrap_or_default());
        return out;
    }
    if !framed {
        write_field(&mut out, b"transfer-encoding", b"chunked");
    }
    out.extend_from_slice(b"\r\n");
    write_chunks(&mut out, body.unwrap_or_default(), &request.trailers);
    out
}

/// Writes a body as one chunk, the last chunk, and the trailer fields.
pub(crate) fn write_chunks(out: &mut Vec<u8>, body: &[u8], trailers: &Fields) {
    if !body.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        write_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// How the end of a body is told.
pub(crate) enum Framing {
    Chunked,
    Length(usize),
    Unstated,
}

pub(crate) fn framing(headers: &Fields) -> Result<Framing, WireError> {
    if let Some(coding) = values(headers, "transfer-encoding").last() {
        return if coding.to_ascii_lowercase().ends_with(b"chunked") {
            Ok(Framing::Chunked)
        } else {
            Err(WireError::malformed("a transfer coding other than chunked"))
        };
    }
    match values(headers, "content-length").first() {
        Some(length) => std::str::from_utf8(length)
            .ok()
            .and_then(|length| length.trim().parse().ok())
            .map(Framing::Length)
            .ok_or_else(|| WireError::malformed("a content-length that is no number")),
        None => Ok(Framing::Unstated),
    }
}

fn status(line: &[u8]) -> Result<u16, WireError> {
    line.strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            let line = String::from_utf8_lossy(line);
            WireError::malformed(format!("`{line}` is no status line"))
        })
}

/// A stream read by lines and lengths; the recording origin reads requests with it too.
#[derive(Debug)]
pub(crate) struct Lines<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl<S: Read> Lines<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// One line without its end.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, WireError> {
        let mut searched = 0;
        loop {
            if let Some(found) = self.buffer[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let end = searched + found;
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            searched = self.buffer.len();
            if searched > MAX_LINE {
                return Err(WireError::malformed("a line without an end"));
            }
            if self.fill()? == 0 {
                return Err(WireError::Closed);
            }
        }
    }

    /// Fields up to the empty line; the white space around a value is not part of it.
    pub(crate) fn fields(&mut self) -> Result<Fields, WireError> {
        let mut fields = Fields::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .ok_or_else(|| WireError::malformed("a field without a colon"))?;
            fields.push((
                line[..colon].to_vec(),
                line[colon + 1..].trim_ascii().to_vec(),
            ));
        }
    }

    /// A chunked body and its trailer fields.
    pub(crate) fn chunks(&mut self) -> Result<(Vec<u8>, Fields), WireError> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            let size = std::str::from_utf8(size)
                .ok()
                .and_then(|size| usize::from_str_radix(size, 16).ok())
                .ok_or_else(|| WireError::malformed("a chunk size that is no number"))?;
            if size == 0 {
                return Ok((body, self.fields()?));
            }
            body.extend(self.exactly(size)?);
            if !self.line()?.is_empty() {
                return Err(WireError::malformed("a chunk longer than its size"));
            }
        }
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Result<Vec<u8>, WireError> {
        while self.buffer.len() < length {
            if self.fill()? == 0 {
                return Err(WireError::Closed);
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// What there is, but no more than `most`; empty when the peer has closed.
    pub(crate) fn some(&mut self, most: usize) -> Result<Vec<u8>, WireError> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(self.buffer.drain(..most.min(self.buffer.len())).collect())
    }

    /// Everything until the peer closes, with or without a farewell.
    fn rest(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            match self.fill() {
                Ok(0) | Err(WireError::Closed) => return Ok(std::mem::take(&mut self.buffer)),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self) -> Result<usize, WireError> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}
