//! What a host changes in a request it forwards: data, which only the host applies.

use alloc::string::String;
use core::fmt;

use crate::refusal::Refusal;

/// The changes that make a client's request the origin's.
///
/// The host removes first, then sets the authority and the fields. A field that is set replaces
/// every field of its name, of which none is left after the removals anyway.
#[derive(Debug, Eq, PartialEq)]
pub struct Edits<'a> {
    /// The upstream authority; its host name is the TLS server name of the upstream connection.
    pub authority: &'a str,
    /// The fields of the request to leave out, by their index in [`crate::Request::fields`].
    pub remove: FieldSet,
    /// The fields to set.
    pub set: SetFields<'a>,
    /// How many removed fields claimed an identity; for a counter.
    pub identity_claims: u32,
    /// What would have refused the request if it were not only watched; for a counter and the log.
    pub shadow: Option<Refusal>,
}

/// A set of indices of fields. The first 128 take no memory; a request with more allocates.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldSet {
    first: [u64; 2],
    rest: alloc::vec::Vec<usize>,
}

impl FieldSet {
    /// Puts the index into the set.
    pub fn insert(&mut self, index: usize) {
        let (word, bit) = Self::place(index);
        match self.first.get_mut(word) {
            Some(word) => *word |= bit,
            None => self.rest.push(index),
        }
    }

    /// Whether the index is in the set.
    pub fn contains(&self, index: usize) -> bool {
        let (word, bit) = Self::place(index);
        match self.first.get(word) {
            Some(word) => word & bit != 0,
            None => self.rest.contains(&index),
        }
    }

    /// Which word, and which bit of it.
    const fn place(index: usize) -> (usize, u64) {
        (index >> 6, 1 << (index & 63))
    }
}

/// A value to set: borrowed from configuration or connection, or made for this request.
#[derive(Clone, Eq, PartialEq)]
pub enum Value<'a> {
    /// A value that may be shown.
    Borrowed(&'a str),
    /// A value made for this request.
    Owned(String),
    /// A secret; hidden from `Debug`.
    Secret(&'a str),
}

impl Value<'_> {
    /// The text to send.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) | Self::Secret(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Borrowed(text) => text.fmt(f),
            Self::Owned(text) => text.fmt(f),
            Self::Secret(_) => f.write_str("Secret(..)"),
        }
    }
}

/// At most as many fields as one request can be given, held without an allocation.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct SetFields<'a> {
    fields: [Option<(&'a str, Value<'a>)>; SET_CAPACITY],
}

/// API key, client address, scheme, host, origin, tenant, certificate and verdict.
const SET_CAPACITY: usize = 8;

impl<'a> SetFields<'a> {
    /// Sets the field, in place of one of the same name.
    pub(crate) fn set(&mut self, name: &'a str, value: Value<'a>) {
        let slot = self
            .fields
            .iter()
            .position(|slot| slot.as_ref().is_none_or(|(other, _)| *other == name));
        if let Some(slot) = slot.and_then(|index| self.fields.get_mut(index)) {
            *slot = Some((name, value));
        }
    }

    /// The fields in the order they were set, each name once.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &Value<'a>)> {
        self.fields
            .iter()
            .flatten()
            .map(|(name, value)| (*name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    #[test]
    fn a_set_of_fields_holds_what_was_put_in() {
        let mut set = FieldSet::default();
        for index in [0, 5, 127, 128, 1000] {
            assert!(!set.contains(index));
            set.insert(index);
            assert!(set.contains(index));
        }
        assert!(!set.contains(1) && !set.contains(129));
    }

    #[test]
    fn a_field_is_set_once_and_a_secret_is_not_shown() {
        let mut fields = SetFields::default();
        fields.set("cname-api-key", Value::Secret("not-a-real-key"));
        fields.set("x-tenant", Value::Borrowed("one"));
        fields.set("x-tenant", Value::Borrowed("two"));
        let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["cname-api-key", "x-tenant"]);
        let shown = format!("{fields:?}");
        assert!(shown.contains("two") && !shown.contains("real"), "{shown}");
    }
}
