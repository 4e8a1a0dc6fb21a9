//! A request as Cloudflare hands it to a Worker, for the Worker's own socket.

use std::net::IpAddr;

use serde_json::Value;

use crate::wire::{Fields, WireRequest};

/// The field that workerd takes away and makes `request.cf` of.
pub const CF_BLOB: &str = "MF-CF-Blob";
/// The field that Cloudflare writes the client's address into.
pub const CLIENT_ADDRESS: &str = "CF-Connecting-IP";

/// What stands for the host in the URL of a request without one; the Worker finds no `host` field then.
const NO_HOST: &str = "no-host.invalid";

/// How a request came to Cloudflare.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// What becomes `request.cf`; without a `tlsVersion` the request came over plain HTTP.
    pub cf: &'a Value,
    /// The client's address.
    pub client: IpAddr,
}

impl Arrival<'_> {
    /// The scheme of the URL that the Worker sees.
    pub fn scheme(&self) -> &'static str {
        match self.cf["tlsVersion"].as_str() {
            Some("") | None => "http",
            Some(_) => "https",
        }
    }

    /// The two fields that a Worker relies on.
    pub fn fields(&self) -> [(Vec<u8>, Vec<u8>); 2] {
        let field = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
        [
            field(CLIENT_ADDRESS, self.client.to_string()),
            field(CF_BLOB, self.cf.to_string()),
        ]
    }
}

/// The same request as it goes to the Worker's own socket: its target with scheme and authority before it, and
/// the two fields of [`Arrival::fields`] in place of what the client sent under their names.
///
/// Everything else stays byte for byte: names, values, their order, and what the target is made of. What
/// Cloudflare itself refuses or changes besides is not played here.
pub fn arriving(request: &WireRequest, arrival: &Arrival<'_>) -> WireRequest {
    let authority = request.authority.as_deref().unwrap_or(NO_HOST.as_bytes());
    let written = arrival.fields();
    let ours = |name: &[u8]| written.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    let kept = request.headers.iter().filter(|(name, _)| !ours(name));
    let headers: Fields = kept.cloned().chain(written.clone()).collect();
    WireRequest {
        target: absolute(arrival.scheme(), authority, &request.target),
        headers,
        ..request.clone()
    }
}

/// A target in absolute form, with nothing escaped, resolved or refused.
pub fn absolute(scheme: &str, authority: &[u8], target: &[u8]) -> Vec<u8> {
    [scheme.as_bytes(), b"://", authority, target].concat()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::http1::encode;
    use crate::workerd::cf::{Transport, cf};

    #[test]
    fn a_request_arrives_byte_for_byte_but_for_the_fields_of_cloudflare() {
        let request = WireRequest::new("POST", "Login.Example.test:443", b"/a/../b%2f?q=\xff")
            .header("X-Mixed_Case", b"\xfe  x")
            .header("mf-cf-blob", "{}")
            .header("cf-connecting-ip", "192.0.2.1")
            .header("x-mixed_case", "")
            .body("a=b");
        let cf = cf(Transport::tls13(None));
        let arrival = Arrival {
            cf: &cf,
            client: Ipv4Addr::new(198, 51, 100, 7).into(),
        };
        let mut expected =
            b"POST https://Login.Example.test:443/a/../b%2f?q=\xff HTTP/1.1\r\n".to_vec();
        expected
            .extend(b"host: Login.Example.test:443\r\nX-Mixed_Case: \xfe  x\r\nx-mixed_case: \r\n");
        expected.extend(format!("CF-Connecting-IP: 198.51.100.7\r\nMF-CF-Blob: {cf}\r\n").bytes());
        expected.extend(b"content-length: 3\r\n\r\na=b");
        assert_eq!(encode(&arriving(&request, &arrival)), expected);
    }

    #[test]
    fn a_plain_connection_has_a_plain_url_and_no_host_is_made_up() {
        let mut request = WireRequest::new("GET", "", "/p");
        request.authority = None;
        let cf = cf(Transport::Plain);
        let arrival = Arrival {
            cf: &cf,
            client: Ipv4Addr::LOCALHOST.into(),
        };
        let arriving = arriving(&request, &arrival);
        assert_eq!(arriving.target, b"http://no-host.invalid/p");
        assert_eq!((arriving.authority, arriving.headers.len()), (None, 2));
    }
}
