//! JSON written out: answers, log lines, metadata.

use alloc::format;
use alloc::string::String;

use super::Json;

/// An object that is being written.
pub(crate) struct Writer {
    json: String,
}

impl Writer {
    /// An object without members.
    pub(crate) fn object() -> Self {
        Self {
            json: String::from("{"),
        }
    }

    /// Adds a member; the value is JSON already.
    pub(crate) fn member(&mut self, name: &str, value: &str) {
        if !self.json.ends_with('{') {
            self.json.push(',');
        }
        self.json.push_str(&string(name));
        self.json.push(':');
        self.json.push_str(value);
    }

    /// The object.
    pub(crate) fn finish(mut self) -> String {
        self.json.push('}');
        self.json
    }
}

/// A JSON string (RFC 8259 section 7).
pub(crate) fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len().saturating_add(2));
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                json.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// An array of values that are JSON already.
pub(crate) fn array(values: impl IntoIterator<Item = String>) -> String {
    let mut json = String::from("[");
    for value in values {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&value);
    }
    json.push(']');
    json
}

/// An object of texts; a member without a text is null.
pub(crate) fn object_of_texts(members: &[(&str, Option<&str>)]) -> String {
    let mut object = Writer::object();
    for (name, value) in members {
        object.member(name, &value.map_or_else(|| String::from("null"), string));
    }
    object.finish()
}

impl Json {
    /// The value written out; none when it holds a number that was not kept.
    pub(crate) fn written(&self) -> Option<String> {
        Some(match self {
            Self::Null => String::from("null"),
            Self::Bool(value) => format!("{value}"),
            Self::Integer(value) => format!("{value}"),
            Self::Number => return None,
            Self::Text(text) => string(text),
            Self::List(values) => {
                let values: Option<alloc::vec::Vec<String>> =
                    values.iter().map(Self::written).collect();
                array(values?)
            }
            Self::Object(members) => {
                let mut object = Writer::object();
                for (name, value) in members {
                    object.member(name, &value.written()?);
                }
                object.finish()
            }
        })
    }
}
