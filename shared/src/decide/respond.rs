//! What the edge answers in the origin's place.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::acme;
use crate::config::{Host, Surface};
use crate::discovery::{self, Discovery};
use crate::host_name::HostName;
use crate::refusal::{Methods, Reason};
use crate::reply::Reply;
use crate::request::Request;

/// the key authorization for the token, before the host is active and without TLS.
pub(super) fn acme(request: &Request<'_>, host: &Host, token: &[u8]) -> Result<Reply, Reason> {
    check_read(request)?;
    let token = core::str::from_utf8(token).ok();
    let answer = token.and_then(|token| {
        let kept = request.acme_answer;
        let kept = kept.filter(|answer| acme::is_key_authorization(token, answer));
        host.acme_challenges.get(token).map(String::as_str).or(kept)
    });
    let answer = answer.ok_or(Reason::AcmeChallengeUnknown)?;
    Ok(reply(
        200,
        vec![
            ("content-type", "application/octet-stream".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ],
        answer.to_owned(),
    ))
}

/// 308 to the same over HTTPS, where that can be had by following it.
pub(super) fn to_https(
    request: &Request<'_>,
    name: &HostName<'_>,
    surface: Option<Surface>,
) -> Result<Reply, Reason> {
    let can_follow = matches!(request.method, b"GET" | b"HEAD" | b"OPTIONS");
    let target = core::str::from_utf8(request.target).map_err(|_| Reason::InvalidTarget)?;
    if surface != Some(Surface::CustomDomain) || !can_follow {
        return Err(Reason::HttpsRequired);
    }
    Ok(reply(
        308,
        vec![
            ("location", format!("https://{name}{target}")),
            ("cache-control", "no-store".to_owned()),
        ],
        String::new(),
    ))
}

/// Whether metadata are asked for.
pub(super) fn is_metadata(path: &[u8]) -> bool {
    discovery::PATHS
        .iter()
        .any(|known| known.as_bytes() == path)
}

/// the metadata as the edge writes them.
pub(super) fn metadata(
    request: &Request<'_>,
    discovery: &Discovery,
    host: &Host,
) -> Result<Reply, Reason> {
    check_read(request)?;
    let age = discovery.max_age_seconds;
    Ok(reply(
        200,
        vec![
            ("content-type", "application/json".to_owned()),
            ("access-control-allow-origin", "*".to_owned()),
            ("cache-control", format!("public, max-age={age}")),
        ],
        discovery.document(host),
    ))
}

fn check_read(request: &Request<'_>) -> Result<(), Reason> {
    if Methods::Read.contain(request.method) {
        Ok(())
    } else {
        Err(Reason::MethodNotAllowed(Methods::Read))
    }
}

fn reply(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Reply {
    Reply {
        status,
        headers,
        body,
    }
}
