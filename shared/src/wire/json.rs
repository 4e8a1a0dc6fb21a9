//! JSON as a tree that remembers nothing but what was written, and the reading of types from it.
//!
//! Made for configuration: a member given twice is an error, every error names its JSON path, and
//! what was found is described, never shown, unless a type says that it may be.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

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
                    "member `{name}` given twice"
                )));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

/// A type that can be read from JSON.
pub(crate) trait FromJson: Sized {
    /// Reads the value; an error is placed at the value itself.
    fn from_json(json: &Json) -> Result<Self, ConfigError>;

    /// The JSON Schema of what is read.
    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value;
}

/// A member of an object: required as it is, or optional as an `Option`.
pub(crate) trait Member: Sized {
    /// Reads the member, or what its absence means.
    fn from_member(json: Option<&Json>) -> Result<Self, ConfigError>;

    #[cfg(feature = "schema")]
    const IS_REQUIRED: bool;

    #[cfg(feature = "schema")]
    fn member_schema() -> serde_json::Value;
}

impl<T: FromJson> Member for T {
    fn from_member(json: Option<&Json>) -> Result<Self, ConfigError> {
        json.map_or_else(
            || Err(ConfigError::here("found nothing, expected this member")),
            T::from_json,
        )
    }

    #[cfg(feature = "schema")]
    const IS_REQUIRED: bool = true;

    #[cfg(feature = "schema")]
    fn member_schema() -> serde_json::Value {
        T::schema()
    }
}

impl<T: FromJson> Member for Option<T> {
    fn from_member(json: Option<&Json>) -> Result<Self, ConfigError> {
        json.map(T::from_json).transpose()
    }

    #[cfg(feature = "schema")]
    const IS_REQUIRED: bool = false;

    #[cfg(feature = "schema")]
    fn member_schema() -> serde_json::Value {
        T::schema()
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let Json::List(elements) = json else {
            return Err(json.unexpected("an array"));
        };
        let mut list = Self::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            list.push(T::from_json(element).map_err(|error| error.in_element(index))?);
        }
        Ok(list)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "array", "items": T::schema() })
    }
}

impl<T: FromJson> FromJson for Arc<T> {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        T::from_json(json).map(Self::new)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        T::schema()
    }
}

impl FromJson for bool {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        match json {
            Json::Bool(value) => Ok(*value),
            _ => Err(json.unexpected("`true` or `false`")),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "boolean" })
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy)]
pub(crate) struct Bounded<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> FromJson for Bounded<MIN, MAX> {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        match json {
            Json::Integer(number) if (MIN..=MAX).contains(number) => Ok(Self(*number)),
            Json::Integer(number) => Err(ConfigError::here(format!(
                "found {number}, expected a whole number from {MIN} to {MAX}"
            ))),
            _ => Err(json.unexpected(&format!("a whole number from {MIN} to {MAX}"))),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A text that is read into `T`; errors show the text, so `T` is nothing secret.
#[derive(Clone)]
pub(crate) struct Text<T>(pub(crate) T);

/// A type that is read from a text in a configuration.
pub(crate) trait Expected: FromStr {
    /// What such a text is, in the words of an error message.
    const EXPECTED: &'static str;
}

impl<T: Expected> FromJson for Text<T> {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let Json::Text(text) = json else {
            return Err(json.unexpected(T::EXPECTED));
        };
        text.parse().map(Self).map_err(|_| {
            let shown: Cow<'_, str> = match text.char_indices().nth(100) {
                Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()).into(),
                None => text.into(),
            };
            ConfigError::here(format!("found `{shown}`, expected {}", T::EXPECTED))
        })
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

/// Writes a type that is read from an object: every member, and no other.
macro_rules! object {
    (
        $(#[$meta:meta])*
        struct $name:ident {
            $($(#[doc = $member_doc:literal])* $member:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        pub(super) struct $name {
            $($(#[doc = $member_doc])* pub(super) $member: $type,)*
        }

        impl $crate::wire::json::FromJson for $name {
            fn from_json(
                json: &$crate::wire::json::Json,
            ) -> Result<Self, $crate::wire::json::ConfigError> {
                use $crate::wire::json::Member as _;
                let known = [$(stringify!($member)),*];
                let members = $crate::wire::json::members(json, &known)?;
                Ok(Self {
                    $($member: <$type>::from_member(members.get(stringify!($member)))
                        .map_err(|error| error.in_member(stringify!($member)))?,)*
                })
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                use $crate::wire::json::Member as _;
                let mut properties = serde_json::Map::new();
                let mut required = alloc::vec::Vec::new();
                $(
                    let description = concat!($($member_doc),*).trim();
                    let schema = $crate::wire::json::described(<$type>::member_schema(), description);
                    properties.insert(stringify!($member).into(), schema);
                    if <$type as $crate::wire::json::Member>::IS_REQUIRED {
                        required.push(stringify!($member));
                    }
                )*
                serde_json::json!({
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": false,
                })
            }
        }
    };
}

/// Writes a type that is read from one of a few texts.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        enum $name:ident {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Eq, PartialEq)]
        pub(super) enum $name {
            $($(#[doc = $variant_doc])* $variant,)*
        }

        impl $crate::wire::json::FromJson for $name {
            fn from_json(
                json: &$crate::wire::json::Json,
            ) -> Result<Self, $crate::wire::json::ConfigError> {
                let expected = concat!("one of", $(" `", $text, "`"),*);
                let $crate::wire::json::Json::Text(text) = json else {
                    return Err(json.unexpected(expected));
                };
                match text.as_str() {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::wire::json::ConfigError::here(
                        alloc::format!("found `{text}`, expected {expected}"),
                    )),
                }
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                serde_json::json!({ "oneOf": [$(
                    { "const": $text, "description": concat!($($variant_doc),*).trim() },
                )*] })
            }
        }
    };
}

pub(crate) use {choice, object};

/// The members of an object by name, when all are known ones.
pub(crate) fn members<'a>(json: &'a Json, known: &[&str]) -> Result<Members<'a>, ConfigError> {
    let Json::Object(members) = json else {
        return Err(json.unexpected("an object"));
    };
    match members
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        None => Ok(Members(members)),
        Some((name, _)) => {
            let mut expected = String::from("expected one of");
            for name in known {
                expected.push_str(&format!(" `{name}`"));
            }
            let error = ConfigError::here(format!("found an unknown member, {expected}"));
            Err(error.in_member(name))
        }
    }
}

/// Members of an object.
pub(crate) struct Members<'a>(&'a [(String, Json)]);

impl<'a> Members<'a> {
    /// The member of that name.
    pub(crate) fn get(&self, wanted: &str) -> Option<&'a Json> {
        let mut members = self.0.iter();
        members.find_map(|(name, value)| (name == wanted).then_some(value))
    }
}

/// The schema with a description.
#[cfg(feature = "schema")]
pub(crate) fn described(mut schema: serde_json::Value, description: &str) -> serde_json::Value {
    if let Some(members) = schema.as_object_mut() {
        members.insert("description".into(), description.into());
    }
    schema
}

/// Appends a JSON string (RFC 8259 section 7) to a text.
pub(crate) fn push_string(to: &mut String, text: &str) {
    to.push('"');
    for character in text.chars() {
        match character {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                to.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => to.push(other),
        }
    }
    to.push('"');
}

/// An object of texts; a member without a text is null.
pub(crate) fn object_of_texts(members: &[(&str, Option<&str>)]) -> String {
    let mut json = String::from("{");
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_string(&mut json, name);
        json.push(':');
        match value {
            Some(text) => push_string(&mut json, text),
            None => json.push_str("null"),
        }
    }
    json.push('}');
    json
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
