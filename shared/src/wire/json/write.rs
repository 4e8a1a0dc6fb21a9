//! JSON written out: answers and log lines are objects of texts.

use alloc::format;
use alloc::string::String;

/// Appends a JSON string (RFC 8259 section 7) to a text.
fn push_string(to: &mut String, text: &str) {
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
