//! Addresses and networks of peers, and which address is the client's.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

/// A network in CIDR form (RFC 4632, RFC 4291 section 2.3); a bare address is a network of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// The text is no network; holds what is wrong with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidNetwork(&'static str);

impl Network {
    /// Whether the address lies in the network; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let difference = network.to_bits() ^ address.to_bits();
                difference.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let difference = network.to_bits() ^ address.to_bits();
                difference.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

impl Network {
    /// Whether every address of its family lies in it.
    pub const fn is_everybody(&self) -> bool {
        self.prefix == 0
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| InvalidNetwork("no IP address before the slash"))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .map_err(|_| InvalidNetwork("no prefix length after the slash"))?,
            Some(_) => return Err(InvalidNetwork("no prefix length after the slash")),
        };
        if prefix > bits {
            return Err(InvalidNetwork("a prefix longer than the address"));
        }
        let network = match (address.to_canonical(), prefix) {
            // An IPv4 address in IPv6 form; peers are compared as IPv4.
            (IpAddr::V4(mapped), 96..=128) if address.is_ipv6() => Self {
                address: IpAddr::V4(mapped),
                prefix: prefix.saturating_sub(96),
            },
            _ => Self { address, prefix },
        };
        if network != network.masked() {
            return Err(InvalidNetwork("host bits set beyond the prefix"));
        }
        Ok(network)
    }
}

impl Network {
    fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.prefix));
                IpAddr::V4((address.to_bits() & mask.unwrap_or(0)).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.prefix));
                IpAddr::V6((address.to_bits() & mask.unwrap_or(0)).into())
            }
        };
        Self { address, ..self }
    }
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidNetwork {}

/// The address of the client of a trusted proxy: the right-most untrusted address of `forwarded_for`.
///
/// `forwarded_for` gives the values of all `x-forwarded-for` fields, last field first. An element
/// that is no address ends the walk: what stands left of it was not written by a proxy we know.
/// When every element is a trusted proxy, the left-most one is the client.
pub fn client_address<'a>(
    proxy: IpAddr,
    trusted: &[Network],
    forwarded_for: impl Iterator<Item = &'a [u8]>,
) -> IpAddr {
    let mut client = proxy.to_canonical();
    for value in forwarded_for {
        for element in value.rsplit(|byte| *byte == b',') {
            match parse_element(element) {
                Some(address) => client = address,
                None => return client,
            }
            if !trusted.iter().any(|network| network.contains(client)) {
                return client;
            }
        }
    }
    client
}

/// Reads `ADDRESS`, `V4:PORT` or `[V6]:PORT`, with optional white space around it.
fn parse_element(element: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(element)
        .ok()?
        .trim_matches([' ', '\t']);
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let rows = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.255.0.1", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
        ];
        for (network, address, expected) in rows {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(ip(address)),
                expected,
                "{network:?} {address}"
            );
        }
    }

    #[test]
    fn malformed_networks_are_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "x/8",
            "::/129",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[track_caller]
    fn check(proxy: &str, fields: &[&str], expected: &str) {
        let trusted: Vec<Network> = ["10.0.0.0/8", "127.0.0.1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let values = fields.iter().rev().map(|value| value.as_bytes());
        assert_eq!(client_address(ip(proxy), &trusted, values), ip(expected));
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1");
        check(
            "10.0.0.1",
            &["1.1.1.1", "198.51.100.1, 10.0.0.2"],
            "198.51.100.1",
        );
        check("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        check("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
        check("10.0.0.1", &["1.1.1.1, spoof, 10.0.0.3"], "10.0.0.3");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["10.0.0.9, 10.0.0.2"], "10.0.0.9");
        check("::ffff:10.0.0.1", &["x"], "10.0.0.1");
    }
}
