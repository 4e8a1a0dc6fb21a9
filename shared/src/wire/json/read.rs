//! Types read from JSON, and the schema that says how they are written.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::str::FromStr;

use super::{ConfigError, Json};

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

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    fn expected() -> String {
        if MIN == MAX {
            format!("{MIN}")
        } else {
            format!("a whole number from {MIN} to {MAX}")
        }
    }
}

impl<const MIN: u64, const MAX: u64> FromJson for Bounded<MIN, MAX> {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        match json {
            Json::Integer(number) if (MIN..=MAX).contains(number) => Ok(Self(*number)),
            Json::Integer(number) => Err(ConfigError::here(format!(
                "found {number}, expected {}",
                Self::expected()
            ))),
            _ => Err(json.unexpected(&Self::expected())),
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
        let error =
            |_| ConfigError::here(format!("found {}, expected {}", quoted(text), T::EXPECTED));
        text.parse().map(Self).map_err(error)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

/// A text of the file as an error may show it: on one line, not too long, and not at all when it
/// can be a URL with a password.
pub(crate) fn quoted(text: &str) -> String {
    if text.contains('@') {
        return String::from("a text with `@`");
    }
    let mut shown = String::from("`");
    shown.extend(text.chars().take(100).flat_map(char::escape_debug));
    shown.push_str(if text.chars().nth(100).is_some() {
        "...`"
    } else {
        "`"
    });
    shown
}

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
            Err(error.in_member(quoted(name).trim_matches('`')))
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
                        alloc::format!(
                            "found {}, expected {expected}",
                            $crate::wire::json::quoted(text)
                        ),
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
