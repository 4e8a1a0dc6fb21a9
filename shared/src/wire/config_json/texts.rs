//! The texts of a configuration file, each with the one form it may have.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use der::DateTime;

use crate::certificate::without_leading_zeros;
use crate::endpoint::is_changed_upstream;
use crate::header::HeaderName;
use crate::host_name::HostName;
use crate::network::Network;
use crate::wire::json::Expected;
use crate::wire::name::DistinguishedName;
use crate::wire::thumbprint::{Thumbprint, decode_hex};

impl Expected for HostName<'static> {
    const EXPECTED: &'static str = "a host name such as `login.example.com`: at least two labels of letters, digits and hyphens, no port";
}

impl Expected for HeaderName {
    const EXPECTED: &'static str = "the name of a header field the edge may set: letters, digits, `-` and `_`, and no field of the message itself";
}

impl Expected for Network {
    const EXPECTED: &'static str =
        "an IP address, or a network such as `192.0.2.0/24` without host bits";
}

impl Expected for Thumbprint {
    const EXPECTED: &'static str =
        "a SHA-256 thumbprint in base64url, or in hex with or without colons";
}

impl Expected for DistinguishedName {
    const EXPECTED: &'static str =
        "a distinguished name as `openssl x509 -nameopt RFC2253` prints it";
}

/// The name of a tenant.
#[derive(Clone)]
pub(super) struct TenantName(pub(super) String);

impl Expected for TenantName {
    const EXPECTED: &'static str = "1 to 64 letters, digits, `-`, `_` or `.`";
}

impl FromStr for TenantName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(is_plain);
        fits.then(|| Self(text.to_owned())).ok_or(())
    }
}

/// A time in seconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) u64);

impl Expected for Time {
    const EXPECTED: &'static str = "a time in UTC such as `2026-01-31T12:00:00Z`";
}

impl FromStr for Time {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let time = DateTime::from_str(text).map_err(|_| ())?;
        Ok(Self(time.unix_duration().as_secs()))
    }
}

/// The name of an origin among several.
#[derive(Clone)]
pub(super) struct RouteName(pub(super) String);

impl Expected for RouteName {
    const EXPECTED: &'static str = "1 to 64 letters, digits, `-`, `_` or `.`";
}

impl FromStr for RouteName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(|TenantName(name)| Self(name))
    }
}

/// `NAME` or `NAME:PORT` of an origin.
pub(super) struct Authority(pub(super) String);

impl Expected for Authority {
    const EXPECTED: &'static str = "a host name such as `origin.example.com`, with `:PORT` when it is not 443, and without a scheme: origins are reached over HTTPS only";
}

impl FromStr for Authority {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let name = HostName::from_authority(text.as_bytes()).map_err(|_| ())?;
        Ok(Self(match text.split_once(':') {
            Some((_, port)) if port.starts_with('0') => return Err(()),
            Some((_, port)) => format!("{name}:{port}"),
            None => name.into(),
        }))
    }
}

/// The name of a variable among the host program's secrets.
#[derive(Clone)]
pub(super) struct SecretName(pub(super) String);

impl FromStr for SecretName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let fits = !text.is_empty() && text.bytes().all(is_plain);
        fits.then(|| Self(text.to_owned())).ok_or(())
    }
}

impl SecretName {
    /// The name as an error shows it behind a noun. A key that was put in its place by mistake is not shown; the
    /// usual form of a name is.
    pub(super) fn shown(&self) -> String {
        let is_usual = |byte: u8| byte.is_ascii_uppercase() || b"_0123456789".contains(&byte);
        match self.0.bytes().all(is_usual) {
            true => format!(" `{}`", self.0),
            false => String::new(),
        }
    }
}

/// A serial number, big-endian without leading zeros.
pub(super) struct Serial(pub(super) Vec<u8>);

impl Expected for Serial {
    const EXPECTED: &'static str =
        "a serial number of at most 20 bytes in hex, with or without colons";
}

impl FromStr for Serial {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = decode_hex(text).ok_or(())?;
        let number = without_leading_zeros(&bytes);
        let fits = !bytes.is_empty() && number.len() <= 20;
        fits.then(|| Self(number.to_vec())).ok_or(())
    }
}

/// A DNS name, or one label under it.
pub(super) enum DnsPattern {
    Exact(String),
    /// The name without `*.`.
    OneLabelUnder(String),
}

impl Expected for DnsPattern {
    const EXPECTED: &'static str = "a DNS name, or `*.` and a DNS name";
}

impl FromStr for DnsPattern {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let name = |text| HostName::parse(text).map_err(|_| ());
        match text.strip_prefix("*.") {
            Some(parent) => Ok(Self::OneLabelUnder(name(parent)?.into())),
            None => Ok(Self::Exact(name(text)?.into())),
        }
    }
}

/// A text with at least one character.
pub(super) struct NonEmpty(pub(super) String);

impl Expected for NonEmpty {
    const EXPECTED: &'static str = "a text that is not empty";
}

impl FromStr for NonEmpty {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        (!text.is_empty()).then(|| Self(text.to_owned())).ok_or(())
    }
}

/// The path of an endpoint.
pub(super) struct Path(pub(super) String);

impl Expected for Path {
    const EXPECTED: &'static str =
        "a path such as `/oauth/revoke`: visible ASCII without `?`, `#`, `\\` and dot segments";
}

impl FromStr for Path {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_plain = |byte: u8| (b'!'..=b'~').contains(&byte) && !b"?#".contains(&byte);
        let fits = text.starts_with('/')
            && text.bytes().all(is_plain)
            && !is_changed_upstream(text.as_bytes());
        fits.then(|| Self(text.to_owned())).ok_or(())
    }
}
