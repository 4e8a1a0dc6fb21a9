//! Requests and responses as bytes, with nothing parsed, normalized or refused.

use std::fmt;
use std::io;

use crate::tls::HandshakeFailure;

/// A list of fields in the order and spelling of the wire.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireRequest {
    /// The method.
    pub method: Vec<u8>,
    /// The request target: `:path` in HTTP/2.
    pub target: Vec<u8>,
    /// `:authority`, or the first `host` field; none is written for `None`.
    pub authority: Option<Vec<u8>>,
    /// The fields in order.
    pub headers: Fields,
    /// The trailer fields in order.
    pub trailers: Fields,
    /// The body.
    pub body: Option<Vec<u8>>,
}

impl WireRequest {
    /// A request without a body.
    pub fn new(method: &str, authority: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.as_bytes().to_vec(),
            target: target.as_ref().to_vec(),
            authority: Some(authority.as_bytes().to_vec()),
            ..Self::default()
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds a trailer field.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }
}

/// A response as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireResponse {
    /// The status code.
    pub status: u16,
    /// The fields in order.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// The trailer fields in order.
    pub trailers: Fields,
}

impl WireResponse {
    /// All values of a field, whatever the spelling of its name.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        values(&self.headers, name)
    }
}

/// All values of the field `name` in `fields`, whatever the spelling of the name.
pub fn values<'a>(fields: &'a [(Vec<u8>, Vec<u8>)], name: &str) -> Vec<&'a [u8]> {
    fields
        .iter()
        .filter(|(present, _)| present.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value.as_slice())
        .collect()
}

/// Why there was no response.
#[derive(Debug)]
pub enum WireError {
    /// The peer ended the TLS handshake after this side took it for done.
    Handshake(HandshakeFailure),
    /// The connection was closed or reset before the response was complete.
    Closed,
    /// Nothing arrived in time.
    TimedOut,
    /// The connection failed otherwise.
    Io(io::Error),
    /// What arrived is not the protocol.
    Malformed(String),
    /// HTTP/2: the peer reset the stream with this error code.
    Reset(u32),
    /// HTTP/2: the peer ended the connection with this error code before it took the request.
    GoAway(u32),
}

impl WireError {
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        if let Some(failure) = HandshakeFailure::of(&error) {
            return Self::Handshake(failure.clone());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(failure) => write!(formatter, "{failure}"),
            Self::Closed => formatter.write_str("the connection closed before the response ended"),
            Self::TimedOut => formatter.write_str("no response in time"),
            Self::Io(error) => write!(formatter, "the connection failed: {error}"),
            Self::Malformed(reason) => write!(formatter, "the response is malformed: {reason}"),
            Self::Reset(code) => write!(formatter, "the stream was reset with code {code}"),
            Self::GoAway(code) => write!(formatter, "the connection ended with code {code}"),
        }
    }
}

impl std::error::Error for WireError {}
