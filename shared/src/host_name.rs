//! Names of hosts: normalized once, compared as bytes afterwards.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// The longest name in presentation form (RFC 1035 section 2.3.4, without the root's dot), in bytes.
pub const MAX_NAME_BYTES: usize = 253;
/// The longest label of a name (RFC 1035 section 2.3.4), in bytes.
pub const MAX_LABEL_BYTES: usize = 63;

/// A host name as the edge compares it: lower case, A-labels, no port, no trailing dot.
///
/// Borrows from its input when that is normalized already, which on the wire it nearly always is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct HostName<'a>(Cow<'a, str>);

/// The text is no host name the edge can serve; holds the first rule it broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidHostName(&'static str);

impl<'a> HostName<'a> {
    /// Reads an authority without user information: `NAME`, `NAME.`, `NAME:PORT` or `NAME.:PORT`.
    ///
    /// One port and one trailing dot are taken off. The rest must be at least two LDH labels
    /// (RFC 5890 section 2.3.1) in at most 253 bytes, and no IP literal.
    pub fn from_authority(authority: &'a [u8]) -> Result<Self, InvalidHostName> {
        let text = core::str::from_utf8(authority).map_err(|_| InvalidHostName("not ASCII"))?;
        let colon = authority.iter().position(|byte| *byte == b':');
        let name = match colon.and_then(|colon| text.split_at_checked(colon)) {
            Some((name, port)) if port.strip_prefix(':').is_some_and(is_port) => name,
            Some(_) => return Err(InvalidHostName("what follows the colon is no port")),
            None => text,
        };
        Self::parse(name)
    }

    /// Reads a name without a port: `NAME` or `NAME.`.
    pub fn parse(text: &'a str) -> Result<Self, InvalidHostName> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > MAX_NAME_BYTES {
            return Err(InvalidHostName("longer than 253 bytes"));
        }
        let (mut labels, mut is_number, mut is_upper) = (0_usize, false, false);
        for label in name.as_bytes().split(|byte| *byte == b'.') {
            let seen = read_label(label)?;
            labels = labels.saturating_add(1);
            is_number = seen.is_number;
            is_upper |= seen.is_upper;
        }
        if labels < 2 {
            return Err(InvalidHostName("fewer than two labels"));
        }
        // A last label of digits makes the whole an IPv4 address in some parser (WHATWG URL 3.5).
        if is_number {
            return Err(InvalidHostName("an IP address"));
        }
        let name = if is_upper {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        Ok(Self(name))
    }

    /// The normalized name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name, free of the input's lifetime.
    pub fn into_owned(self) -> HostName<'static> {
        HostName(Cow::Owned(self.0.into_owned()))
    }
}

impl FromStr for HostName<'static> {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        HostName::parse(text).map(HostName::into_owned)
    }
}

impl From<HostName<'_>> for String {
    fn from(name: HostName<'_>) -> Self {
        name.0.into_owned()
    }
}

impl fmt::Display for HostName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidHostName {}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

/// What a label consists of.
struct Label {
    /// Digits only.
    is_number: bool,
    /// Some letters in upper case.
    is_upper: bool,
}

fn read_label(label: &[u8]) -> Result<Label, InvalidHostName> {
    if label.is_empty() {
        return Err(InvalidHostName("an empty label"));
    }
    if label.len() > MAX_LABEL_BYTES {
        return Err(InvalidHostName("a label longer than 63 bytes"));
    }
    if label.starts_with(b"-") || label.ends_with(b"-") {
        return Err(InvalidHostName("a label that starts or ends with a hyphen"));
    }
    let mut read = Label {
        is_number: true,
        is_upper: false,
    };
    for byte in label {
        match byte {
            b'0'..=b'9' => {}
            b'a'..=b'z' | b'-' => read.is_number = false,
            b'A'..=b'Z' => (read.is_number, read.is_upper) = (false, true),
            _ => {
                return Err(InvalidHostName(
                    "a byte that is no letter, digit or hyphen; internationalized names are written as A-labels",
                ));
            }
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn good(authority: &str, name: &str) {
        assert_eq!(
            HostName::from_authority(authority.as_bytes())
                .unwrap()
                .as_str(),
            name
        );
    }

    #[track_caller]
    fn bad(authority: &[u8]) {
        assert!(HostName::from_authority(authority).is_err());
    }

    #[test]
    fn one_port_and_one_dot_are_taken_off_and_case_is_folded() {
        good("login.example.com", "login.example.com");
        good("LOGIN.Example.COM", "login.example.com");
        good("login.example.com.", "login.example.com");
        good("login.example.com:8443", "login.example.com");
        good("login.example.com.:443", "login.example.com");
        good("xn--bcher-kva.example", "xn--bcher-kva.example");
        good("1.example.com", "1.example.com");
    }

    #[test]
    fn what_is_no_dns_host_name_is_refused() {
        for text in [
            "",
            ".",
            "localhost",
            "login..example.com",
            "login.example.com..",
            ".example.com",
            "login.example.com:",
            "login.example.com:65536",
            "login.example.com:443:443",
            "login.example.com:+443",
            "login.example.com: 443",
            "login_1.example.com",
            "-login.example.com",
            "login-.example.com",
            "a,a.example.com",
            "127.0.0.1",
            "[::1]",
            "[::1]:443",
            "login.example.com/",
            "user@login.example.com",
            "login.example.com ",
            "b\u{fc}cher.example",
            "*.example.com",
            "login.example.0",
        ] {
            bad(text.as_bytes());
        }
        bad(b"login.ex\xffample.com");
        bad(&[b'a'; 64]);
        bad(("a.".repeat(127) + "a").as_bytes());
    }

    #[test]
    fn the_longest_name_and_label_pass() {
        let label = "a".repeat(63);
        let name = std::format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(name.len(), MAX_NAME_BYTES);
        good(&name, &name);
    }
}
