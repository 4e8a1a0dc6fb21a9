//! What becomes of a request.

use crate::edits::Edits;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// The outcome of [`crate::decide()`]; a host applies it and adds nothing of its own.
#[derive(Debug, Eq, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made and applied once a request; a box would be an allocation for each"
)]
#[must_use = "a decision has no effect until a host applies it"]
pub enum Decision<'a> {
    /// The request goes to the origin, changed as the edits say.
    Forward(Edits<'a>),
    /// The edge answers in the origin's place: a redirect, metadata, an ACME challenge.
    Respond(Reply),
    /// The edge refuses, and nothing goes to the origin.
    Refuse(Refusal),
}
