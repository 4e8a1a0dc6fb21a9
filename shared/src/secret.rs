//! Values that must not be seen: an origin's API key.

use alloc::string::String;
use core::fmt;

/// A secret that is sent as a header value: at least one visible ASCII character, no control
/// characters, no space at either end.
///
/// `Debug` prints a placeholder, there is no `Display` and no serialization, so that a secret
/// reaches a log, an error or a configuration dump only through [`Secret::expose`].
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

/// The text cannot be a header value; deliberately says nothing of the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidSecret(&'static str);

impl Secret {
    /// Takes the text over, when it can stand in a header (RFC 9110 section 5.5, ASCII only).
    pub fn new(text: String) -> Result<Self, InvalidSecret> {
        if text.is_empty() {
            return Err(InvalidSecret("empty"));
        }
        if text.starts_with([' ', '\t']) || text.ends_with([' ', '\t', '\r', '\n']) {
            return Err(InvalidSecret("white space at its start or end"));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(InvalidSecret("a byte that cannot stand in a header value"));
        }
        Ok(Self(text))
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidSecret {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn debug_output_and_errors_hold_nothing_of_the_text() {
        let secret = Secret::new("not-a-real-key".to_string()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        let error = Secret::new("not-a-real-key\n".to_string()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("real"));
    }

    #[test]
    fn only_header_values_are_taken() {
        for text in ["a", "a b", "!~"] {
            assert!(Secret::new(text.to_string()).is_ok(), "{text}");
        }
        for text in ["", " a", "a ", "a\r\nb", "a\0", "\u{e4}", "a\n", "\t"] {
            assert!(Secret::new(text.to_string()).is_err(), "{text:?}");
        }
    }
}
