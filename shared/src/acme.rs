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
