//! Why a request is not forwarded, and what each reader is told about it.
//!
//! Three readers get three texts; none carries a certificate, a key, a query or a header value.
//! [`Reason::code`] is for machines and never changes once released. `Display` is for the
//! operator's log. [`Refusal::reply`] is for the caller: what a client can mend.

mod reason;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

pub use self::reason::{
    InvalidHost, Methods, NoCertificate, Reason, ServerNameProblem, TooLarge, UsageProblem,
};
use crate::endpoint::EndpointClass;
use crate::header;
use crate::reply::Reply;
use crate::request::Request;
use crate::wire::json::object_of_texts;
use crate::wire::thumbprint::Thumbprint;

/// How much of a client's text a log line shows, in bytes.
const LOGGED_BYTES: usize = 256;

/// A refused request: the reason, and what of the request decides how it is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The kind of endpoint that was asked for, as far as it is known.
    pub class: EndpointClass,
    /// SHA-256 of the client's certificate: of the one that was judged, else of the one that the
    /// connection shows.
    pub thumbprint: Option<Thumbprint>,
    /// How many fields claimed an identity; for a counter.
    pub identity_claims: u32,
}

impl Refusal {
    /// The answer for the caller: JSON, never cached.
    ///
    /// `request_id` is the host program's own name for the request, never the client's.
    pub fn reply(&self, request: &Request<'_>, request_id: &str) -> Reply {
        let scheme = authorization_scheme(request);
        let (status, error, challenge) = self.answer(scheme.as_deref());
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        if let Reason::MethodNotAllowed(methods) = self.reason {
            headers.push(("allow", methods.allow().to_owned()));
        }
        headers.extend(challenge.map(|challenge| ("www-authenticate", challenge)));
        let mut body = object_of_texts(&[
            ("error", Some(error)),
            ("error_description", Some(&self.reason.description())),
            ("edge_code", Some(self.reason.code())),
            ("request_id", Some(request_id)),
        ]);
        body.push('\n');
        Reply {
            status,
            headers,
            body,
        }
    }

    /// Status, `error` and challenge; `scheme` is that of the credentials sent.
    fn answer(&self, scheme: Option<&str>) -> (u16, &'static str, Option<String>) {
        if !self.reason.is_about_certificate() {
            let status = self.reason.status();
            let error = match status {
                503 => "temporarily_unavailable",
                _ => "invalid_request",
            };
            return (status, error, None);
        }
        match (self.class, scheme) {
            (EndpointClass::Token | EndpointClass::Par, None) => (400, "invalid_client", None),
            // RFC 6749 section 5.2: 401, and a challenge of the scheme the client used.
            (EndpointClass::Token | EndpointClass::Par, Some(scheme)) => (
                401,
                "invalid_client",
                Some(format!("{scheme} realm=\"oauth\"")),
            ),
            // RFC 6750 section 3.1: no error code where no credentials were sent.
            (EndpointClass::Resource, None) => (
                401,
                "invalid_request",
                Some("Bearer realm=\"oauth\"".to_owned()),
            ),
            (EndpointClass::Resource, Some(_)) => (
                401,
                "invalid_token",
                Some("Bearer realm=\"oauth\", error=\"invalid_token\"".to_owned()),
            ),
            (EndpointClass::Other, _) => (400, "invalid_request", None),
        }
    }

    /// One line of JSON for the operator's log: no query, no certificate, no header value.
    pub fn log_line(&self, request: &Request<'_>, request_id: &str) -> String {
        self.line("refused", request, request_id)
    }

    /// The same of a request that was forwarded although this would have refused it.
    pub fn shadow_line(&self, request: &Request<'_>, request_id: &str) -> String {
        let mut line = self.line("forwarded", request, request_id);
        line.pop();
        line.push_str(",\"shadow\":true}");
        line
    }

    fn line(&self, event: &str, request: &Request<'_>, request_id: &str) -> String {
        let thumbprint = self.thumbprint;
        let path = request.target.split(|byte| *byte == b'?').next();
        object_of_texts(&[
            ("event", Some(event)),
            ("code", Some(self.reason.code())),
            ("reason", Some(&self.reason.to_string())),
            ("method", Some(&shown(request.method))),
            ("host", host(request).map(shown_segment).as_deref()),
            ("path", path.map(shown_path).as_deref()),
            ("thumbprint", thumbprint.map(|it| it.to_string()).as_deref()),
            // The same as Envoy's access log has it, so that one search finds both lines.
            (
                "certificate_sha256",
                thumbprint.map(Thumbprint::to_hex).as_deref(),
            ),
            ("request_id", Some(request_id)),
        ])
    }
}

/// The host name as it was sent, wherever it stood.
fn host<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    let mut fields = request.fields.iter();
    let mut field = || fields.find(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    request
        .authority
        .or_else(|| field().map(|(_, value)| *value))
}

/// A path without the segments that can hold an email address.
fn shown_path(path: &[u8]) -> String {
    let mut text = String::new();
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            text.push('/');
        }
        text.push_str(&shown_segment(segment));
        if text.len() > LOGGED_BYTES {
            text.truncate(LOGGED_BYTES);
            break;
        }
    }
    text
}

/// A part of a client's text, unless it can hold an email address, encoded once or twice.
fn shown_segment(segment: &[u8]) -> String {
    let holds = |text: &[u8]| segment.windows(text.len()).any(|window| window == text);
    if holds(b"@") || holds(b"%40") || holds(b"%2540") {
        "[email]".to_owned()
    } else {
        shown(segment)
    }
}

/// A client's text as a log may show it: printable ASCII, the rest escaped, and not too long.
fn shown(text: &[u8]) -> String {
    text.iter()
        .take(LOGGED_BYTES)
        .flat_map(|byte| core::ascii::escape_default(*byte))
        .map(char::from)
        .collect()
}

/// The authentication scheme of the first `authorization` field, when there is one.
///
/// A scheme is a token (RFC 9110 section 11.1) and so cannot break out of a challenge; one that is
/// none, or is longer than any registered, is answered as `Basic`.
fn authorization_scheme(request: &Request<'_>) -> Option<String> {
    let (_, value) = request
        .fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"authorization"))?;
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_scheme =
        (1..=20).contains(&scheme.len()) && scheme.iter().all(|byte| header::is_token_byte(*byte));
    match core::str::from_utf8(scheme) {
        Ok(scheme) if is_scheme => Some(scheme.to_owned()),
        _ => Some("Basic".to_owned()),
    }
}
