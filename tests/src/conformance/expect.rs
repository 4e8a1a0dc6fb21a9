//! The one comparison: what a host did against what a vector says.

use std::collections::BTreeMap;
use std::error::Error;

use super::vector::{API_KEY, Expect, Forward, ORIGIN, Refuse, Respond, filled_in};
use crate::pki::Pki;
use crate::wire::Fields;

/// What a host made of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The origin got this.
    Forwarded(Upstream),
    /// The client got this, and the origin nothing.
    Answered(Answer),
}

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The authority.
    pub authority: Vec<u8>,
    /// The request target.
    pub target: Vec<u8>,
    /// The header fields.
    pub headers: Fields,
}

/// An answer as the client got it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
}

/// Fields that frame the message or that the host program adds for its own purposes.
const HOSTS_OWN: [&str; 4] = [
    "host",
    "content-length",
    "transfer-encoding",
    "x-request-id",
];

/// Compares; `request` is the vector's request, for its method, target and host name.
///
/// # Errors
/// Says what differs.
pub fn compare(
    expect: &Expect,
    request: &super::vector::Request,
    outcome: &Outcome,
    pki: &Pki,
) -> Result<(), Box<dyn Error>> {
    match (expect, outcome) {
        (Expect::Forward(expected), Outcome::Forwarded(found)) => {
            forwarded(expected, request, found, pki)
        }
        (Expect::Refuse(expected), Outcome::Answered(found)) => refused(expected, request, found),
        (Expect::Respond(expected), Outcome::Answered(found)) => responded(expected, found),
        (Expect::Respond(_), Outcome::Forwarded(_)) => {
            Err("expected an answer, found it at the origin".into())
        }
        (Expect::Forward(_), Outcome::Answered(found)) => Err(format!(
            "expected it to reach the origin, found an answer {}: {}",
            found.status,
            String::from_utf8_lossy(&found.body)
        )
        .into()),
        (Expect::Refuse(expected), Outcome::Forwarded(_)) => {
            Err(format!("expected `{}`, found it at the origin", expected.code).into())
        }
    }
}

fn responded(expected: &Respond, found: &Answer) -> Result<(), Box<dyn Error>> {
    differ("status", &expected.status, &found.status)?;
    for (name, value) in &expected.headers {
        let fields = found.headers.iter();
        let named = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        let values: Vec<_> = named
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect();
        differ(name, &vec![value.as_str().into()], &values)?;
    }
    match &expected.json {
        Some(json) => differ("body", json, &serde_json::from_slice(&found.body)?),
        None => differ(
            "body",
            &expected.body.as_str(),
            &&*String::from_utf8_lossy(&found.body),
        ),
    }
}

fn forwarded(
    expected: &Forward,
    request: &super::vector::Request,
    found: &Upstream,
    pki: &Pki,
) -> Result<(), Box<dyn Error>> {
    let host = request.authority.as_deref().unwrap_or_default();
    let host = host
        .split(':')
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let mut fields: BTreeMap<String, Option<String>> = BTreeMap::from([
        ("cname-api-key".into(), Some(API_KEY.into())),
        ("x-forwarded-for".into(), Some("127.0.0.1".into())),
        ("x-forwarded-proto".into(), Some("https".into())),
        ("x-forwarded-host".into(), Some(host.to_ascii_lowercase())),
    ]);
    fields.extend(expected.instead.clone());
    if let Some((certificate, verdict)) = &expected.certificate {
        fields.insert(
            "client-certificate".into(),
            Some(format!("${{pem:{certificate}}}")),
        );
        fields.insert(
            "client-certificate-ca-verified".into(),
            Some(verdict.clone()),
        );
    }
    let set = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut wanted = Vec::new();
    for (name, value) in expected.headers.iter().cloned().chain(set) {
        wanted.push((name.to_ascii_lowercase(), filled_in(&value, pki)?));
    }
    let text = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
    };
    let mut present: Vec<(String, String)> = found
        .headers
        .iter()
        .map(|(name, value)| (text(name).to_ascii_lowercase(), text(value)))
        .filter(|(name, _)| !HOSTS_OWN.contains(&name.as_str()))
        .collect();
    // Stable: the order of fields of one name is part of the message.
    wanted.sort_by(|one, other| one.0.cmp(&other.0));
    present.sort_by(|one, other| one.0.cmp(&other.0));
    differ("header fields at the origin", &wanted, &present)?;
    differ("authority", &ORIGIN.to_owned(), &text(&found.authority))?;
    let target = expected.target.as_ref().unwrap_or(&request.target);
    differ("request target", target, &text(&found.target))
}

fn refused(
    expected: &Refuse,
    request: &super::vector::Request,
    found: &Answer,
) -> Result<(), Box<dyn Error>> {
    let body = String::from_utf8_lossy(&found.body).into_owned();
    differ("status", &expected.status, &found.status)
        .map_err(|error| format!("{error}: {body}"))?;
    let values = |name: &str| {
        let values = crate::wire::values(&found.headers, name);
        values
            .into_iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect::<Vec<_>>()
    };
    differ(
        "www-authenticate",
        &expected.challenges,
        &values("www-authenticate"),
    )?;
    differ(
        "content-type",
        &vec!["application/json".to_owned()],
        &values("content-type"),
    )?;
    differ(
        "cache-control",
        &vec!["no-store".to_owned()],
        &values("cache-control"),
    )?;
    let allow = match (expected.status, &expected.allow) {
        (_, Some(allow)) => vec![allow.clone()],
        (405, None) => vec!["GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE".to_owned()],
        _ => Vec::new(),
    };
    differ("allow", &allow, &values("allow"))?;
    if request.method == "HEAD" {
        return differ("body of an answer to HEAD", &String::new(), &body);
    }
    let json: BTreeMap<String, String> = serde_json::from_str(&body)
        .map_err(|error| format!("no JSON of texts ({error}): {body}"))?;
    let member = |name: &str| json.get(name).cloned().unwrap_or_default();
    differ("edge_code", &expected.code, &member("edge_code"))?;
    differ("error", &expected.error, &member("error"))?;
    let description = member("error_description");
    let needed = expected.description.as_deref().unwrap_or_default();
    if description.is_empty() || !description.contains(needed) {
        return Err(
            format!("expected `{needed}` in the description, found `{description}`").into(),
        );
    }
    let id = member("request_id");
    let is_clients = |(_, value): &(String, String)| !value.is_empty() && *value == id;
    if id.is_empty() || request.headers.iter().any(is_clients) {
        return Err(format!("expected a request id of the host's own, found `{id}`").into());
    }
    Ok(())
}

fn differ<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), Box<dyn Error>> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what} differ\n  expected {expected:?}\n  found    {found:?}").into())
}
