//! An answer the edge writes itself.

use alloc::string::String;
use alloc::vec::Vec;

/// Status, header fields and body of an answer; a host sends it as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The status code (RFC 9110 section 15).
    pub status: u16,
    /// The header fields, names in lower case; the host adds the framing.
    pub headers: Vec<(&'static str, String)>,
    /// The body; a host sends its length but not the body itself in answer to HEAD.
    pub body: String,
}
