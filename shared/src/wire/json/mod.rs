//! JSON as a tree that remembers nothing but what was written, and the reading of types from it.
//!
//! Made for configuration: a member given twice is an error, every error names its JSON path, and
//! what was found is described, never shown, unless a type says that it may be.

mod read;
mod write;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

#[cfg(feature = "schema")]
pub(crate) use self::read::described;
pub(crate) use self::read::{
    Bounded, Expected, FromJson, Member, Text, choice, members, object, quoted,
};
pub(crate) use self::write::{Writer, array, object_of_texts, string};

/// A JSON value (RFC 8259).
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A whole number from 0 to 2^64-1.
    Integer(u64),
    /// Any other number; none is ever expected.
    Number,
    Text(String),
    List(Vec<Json>),
    /// The members in their order, each name once.
    Object(Vec<(String, Json)>),
}

/// A configuration that is refused, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    path: String,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// An error of the value itself, to be placed by its parents.
    pub(crate) fn here(problem: impl Into<String>) -> Self {
        Self::new("", problem)
    }

    /// The same error, seen from the member of an object.
    pub(crate) fn in_member(self, name: &str) -> Self {
        Self {
            path: format!(".{name}{}", self.path),
            ..self
        }
    }

    /// The same error, seen from the list; elements are counted from 0.
    pub(crate) fn in_element(self, index: usize) -> Self {
        Self {
            path: format!("[{index}]{}", self.path),
            ..self
        }
    }

    /// The JSON path of the member at fault: `hosts[0].origin.host`; `.` for the whole file.
    pub fn path(&self) -> &str {
        match self.path.strip_prefix('.').unwrap_or(&self.path) {
            "" => ".",
            path => path,
        }
    }

    /// What was found there and what was expected.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "configuration refused at `{}`: {}",
            self.path(),
            self.problem
        )
    }
}

impl core::error::Error for ConfigError {}

impl Json {
    /// Reads one JSON text; bytes left over are an error.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        serde_json::from_slice(text).map_err(|error| ConfigError::here(format!("{error}")))
    }

    /// What this is, in the words of an error message.
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Number => "a negative, fractional or very large number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The error that something else was expected here.
    pub(crate) fn unexpected(&self, expected: &str) -> ConfigError {
        ConfigError::here(format!("found {}, expected {expected}", self.kind()))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(u64::try_from(value).map_or(Json::Number, Json::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Json::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if members.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!(
                    "member {} given twice",
                    quoted(&name)
                )));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_given_twice_is_an_error() {
        let error = Json::parse(br#"{"a": {"b": 1, "b": 2}}"#).err().unwrap();
        assert!(error.problem().contains("`b` given twice"), "{error}");
        assert!(Json::parse(br#"{"a": {"b": 1}, "b": 2}"#).is_ok());
    }

    #[test]
    fn texts_are_escaped_as_json_demands() {
        let json = object_of_texts(&[("a", Some("\"\\\n\u{e4}")), ("b", None)]);
        assert_eq!(json, "{\"a\":\"\\\"\\\\\\u000a\u{e4}\",\"b\":null}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["a"], "\"\\\n\u{e4}");
    }

    #[test]
    fn paths_grow_from_the_inside() {
        let error = ConfigError::here("x")
            .in_element(2)
            .in_member("list")
            .in_member("a");
        assert_eq!(error.path(), "a.list[2]");
        assert_eq!(ConfigError::here("x").path(), ".");
    }
}
