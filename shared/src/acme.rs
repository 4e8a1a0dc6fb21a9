//! Answers to ACME challenges over HTTP (R-40, RFC 8555 section 8.3), and what a host program looks up for them.

use crate::config::Config;
use crate::decide;
use crate::host_name::HostName;
use crate::refusal::Methods;
use crate::request::Request;

/// The most characters of a token.
pub const MAX_TOKEN: usize = 128;

const PATH: &[u8] = b"/.well-known/acme-challenge/";

/// What a host program that keeps answers outside the configuration looks up, for [`Request::acme_answer`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lookup<'a> {
    /// The host name of the request, which is served.
    pub host: HostName<'a>,
    /// The token: 1 to [`MAX_TOKEN`] base64url characters.
    pub token: &'a str,
}

/// Whether the request asks for an answer that the configuration does not have.
pub fn lookup<'a>(request: &Request<'a>, config: &Config) -> Option<Lookup<'a>> {
    // Nearly every request ends here.
    let token = request.target.strip_prefix(PATH)?;
    let token = token.split(|byte| *byte == b'?').next()?;
    let token = core::str::from_utf8(token)
        .ok()
        .filter(|token| is_base64url(token))?;
    if !Methods::Read.contain(request.method) {
        return None;
    }
    let host = decide::host_name(request).ok()?;
    let (_, found, _) = config.find(&host)?;
    let is_configured = found.acme_challenges.contains_key(token);
    (!is_configured).then_some(Lookup { host, token })
}

/// What stands behind the prefix of challenges in a path.
pub(crate) fn token(path: &[u8]) -> Option<&[u8]> {
    path.strip_prefix(PATH)
}

/// RFC 8555 section 8.1: the token, a dot, and the thumbprint of the account's key.
pub(crate) fn is_key_authorization(token: &str, text: &str) -> bool {
    let thumbprint = text
        .strip_prefix(token)
        .and_then(|rest| rest.strip_prefix('.'));
    is_base64url(token) && thumbprint.is_some_and(is_base64url)
}

fn is_base64url(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Connection, Removal, Transport};
    use crate::wire::config_json;
    use std::string::ToString as _;

    const CONFIG: &[u8] = br#"{"version":1,"hosts":[{"custom_domain":"login.example.test","profile":"generic",
        "mtls":"off","origin":{"host":"origin.example.test"},"acme_challenges":{"known":"known.thumb"}}]}"#;

    fn check(method: &[u8], host: &str, target: &[u8], expected: Option<&str>) {
        let config = config_json::parse(CONFIG, 0, &|_: &str| None).unwrap();
        let connection = Connection::new(Transport::Plain);
        let fields = [(&b"host"[..], host.as_bytes())];
        let request = Request {
            method,
            target,
            normalized_path: None,
            authority: None,
            protocol: None,
            fields: &fields,
            peer: [127, 0, 0, 1].into(),
            connection: Ok(&connection),
            removal: Removal::Any,
            acme_answer: None,
        };
        let found = lookup(&request, &config);
        let found = found.map(|found| (found.host.to_string(), found.token));
        let expected = expected.map(|token| ("login.example.test".to_string(), token));
        assert_eq!(found, expected, "{host} {target:?}");
    }

    #[test]
    fn only_what_may_be_answered_is_looked_up() {
        let host = "login.example.test";
        let path = b"/.well-known/acme-challenge/tok_-en";
        check(b"GET", host, path, Some("tok_-en"));
        check(
            b"HEAD",
            "LOGIN.example.test:80",
            b"/.well-known/acme-challenge/tok?x",
            Some("tok"),
        );
        check(b"POST", host, path, None);
        check(b"GET", "other.example.test", path, None);
        check(b"GET", host, b"/.well-known/acme-challenge/known", None);
        check(b"GET", host, b"/.well-known/acme-challenge/", None);
        check(b"GET", host, b"/.well-known/acme-challenge/a/b", None);
        check(b"GET", host, b"/.well-known/acme-challenge/a'b", None);
        let longest = [&b"/.well-known/acme-challenge/"[..], &[b'a'; MAX_TOKEN]].concat();
        check(
            b"GET",
            host,
            &longest,
            core::str::from_utf8(&[b'a'; MAX_TOKEN]).ok(),
        );
        check(b"GET", host, &[&longest[..], b"a"].concat(), None);
    }

    #[test]
    fn a_key_authorization_begins_with_its_token() {
        for (token, text, expected) in [
            ("a", "a.b", true),
            ("a", "b.b", false),
            ("a", "a.", false),
            ("a", "ab", false),
            ("a", "a.b.c", false),
            ("", ".b", false),
        ] {
            assert_eq!(
                is_key_authorization(token, text),
                expected,
                "{token} {text}"
            );
        }
    }
}
