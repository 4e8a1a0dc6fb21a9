//! Log lines and data points.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{
    ALIAS, ANALYTICS, CONFIG, DATABASE, EDGE, Edge, Outcome, Stage, forwarded, no_certificate,
    refused, token_request,
};
use crate::conformance::vector::API_KEY;
use crate::hosts::{DOMAIN, config, ensure, with_ca_signed};
use crate::pki::{thumbprint_base64url, thumbprint_hex};
use crate::wire::WireRequest;

/// What no log may hold.
const HIDDEN: [&str; 6] = [
    "hidden-query",
    "hidden-cookie",
    "hidden-token",
    "hidden-agent",
    "hidden-body",
    "of-the-client",
];

fn telling_much(host: &str) -> WireRequest {
    let mut request = token_request(host)
        .header("cookie", "session=hidden-cookie")
        .header("authorization", "Basic hidden-token")
        .header("user-agent", "hidden-agent")
        .header("x-request-id", "of-the-client")
        .header("cf-ray", "of-the-client")
        .body("hidden-body");
    request.target = b"/oauth/token?code=hidden-query".to_vec();
    request
}

/// One line of JSON for each refusal, the same as from Envoy, none for what is forwarded, and nothing in them that a
/// client would not want to read in a log.
///
/// # Errors
/// When it is not so.
pub fn a_refusal_leaves_exactly_one_log_line_and_a_forward_none(stage: &Stage) -> Outcome {
    let edge = stage.shared(EDGE);
    let identity = stage.pki.get("self_signed_other")?;
    let written = edge.written()?;
    forwarded(&edge.ask(&telling_much(ALIAS), &stage.cf("ca_client")?)?)?;
    forwarded(&edge.ask(&telling_much(DOMAIN), &no_certificate())?)?;
    let response = edge.ask(&telling_much(ALIAS), &stage.cf("self_signed_other")?)?;
    let id = refused(&response, 401, "certificate_not_registered")?;
    let response = edge.ask(&telling_much(ALIAS), &no_certificate())?;
    let last = refused(&response, 401, "certificate_required")?;
    let lines = written.lines()?;
    let [line, second] = lines.as_slice() else {
        return Err(format!("expected two lines for two refusals, found {lines:?}").into());
    };
    let thumbprint = thumbprint_base64url(identity.leaf());
    let in_hex = thumbprint_hex(identity.leaf());
    for (member, expected) in [
        ("event", "refused"),
        ("code", "certificate_not_registered"),
        ("method", "POST"),
        ("host", ALIAS),
        ("path", "/oauth/token"),
        ("thumbprint", &thumbprint),
        ("certificate_sha256", &in_hex),
        ("request_id", &id),
    ] {
        ensure(line[member] == expected, || {
            format!("expected `{expected}` as `{member}` in {line}")
        })?;
    }
    let members = line.as_object().map_or(0, serde_json::Map::len);
    let has_reason = line["reason"].as_str().is_some_and(|it| !it.is_empty());
    ensure(members == 9 && has_reason, || line.to_string())?;
    let without = second["code"] == "certificate_required"
        && second["request_id"] == last
        && second.get("thumbprint").is_none_or(Value::is_null);
    ensure(without, || second.to_string())?;
    // Of this and of all that the tests before have provoked.
    let all = format!("{:?}{:?}", stage.workerd.logs(0)?, stage.workerd.points(0)?);
    let certificate = stage.cf("self_signed_other")?;
    let certificate = certificate["tlsClientAuth"]["certRFC9440"]
        .as_str()
        .and_then(|text| text.get(200..260));
    let certificate = certificate.ok_or("there is no certificate")?;
    for hidden in HIDDEN.iter().chain([&API_KEY, &certificate, &"BEGIN"]) {
        ensure(!all.contains(hidden), || {
            format!("`{hidden}` stands in what was written")
        })?;
    }
    Ok(())
}

/// No two requests have the same name, and none has one that its client chose.
///
/// # Errors
/// When it is not so.
pub fn request_ids_differ_and_are_never_the_clients(stage: &Stage) -> Outcome {
    let edge = stage.shared(EDGE);
    let mut ids = BTreeSet::new();
    for _ in 0..10 {
        let response = edge.ask(&telling_much(ALIAS), &no_certificate())?;
        ids.insert(refused(&response, 401, "certificate_required")?);
    }
    let is_right = ids.len() == 10 && ids.iter().all(|id| !id.contains("of-the-client"));
    ensure(is_right, || format!("{ids:?}"))
}

/// One point for each decision: the custom domain as index, as far as an index is long; outcome, code and custom
/// domain; and one. What is not served here has no name, since that would be a client's text.
///
/// # Errors
/// When it is not so.
pub fn every_decision_leaves_one_data_point(stage: &Stage) -> Outcome {
    let long = format!("{}.{}.example.test", "a".repeat(60), "b".repeat(60));
    let mut shadow = config(&stage.pki)?;
    shadow["hosts"][0]["mode"] = json!("shadow");
    shadow["hosts"][0]["shadow"] = json!({ "until": tomorrow()? });
    shadow["hosts"][0]["acme_challenges"] = json!({ "token": "token.thumbprint" });
    let mut other = shadow["hosts"][1].clone();
    other["custom_domain"] = json!(long);
    if let Some(hosts) = shadow["hosts"].as_array_mut() {
        hosts.push(other);
    }
    let mut worker = stage.worker(EDGE)?;
    worker
        .bindings
        .insert(CONFIG.into(), json!(shadow.to_string()));
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, EDGE);
    let written = edge.written()?;
    let get = |host: &str, target: &str| WireRequest::new("GET", host, target);
    let challenge = "/.well-known/acme-challenge/token";
    let other_alias = "mtls.other.example.test";
    for (request, identity, domain, outcome, code) in [
        (get(DOMAIN, "/"), None, DOMAIN, "forwarded", ""),
        (get(&long, "/"), None, &long, "forwarded", ""),
        (
            token_request(ALIAS),
            Some("ca_client_expired"),
            DOMAIN,
            "shadow",
            "certificate_expired",
        ),
        (get(DOMAIN, challenge), None, DOMAIN, "answered", ""),
        (
            token_request(other_alias),
            Some("ca_client_expired"),
            "other.example.test",
            "refused",
            "certificate_expired",
        ),
        (
            get("hidden.example.test", "/"),
            None,
            "",
            "refused",
            "unknown_host",
        ),
    ] {
        let before = written.all()?.1.len();
        let cf = identity.map_or_else(|| Ok(no_certificate()), |name| stage.cf(name))?;
        let response = edge.ask(&request, &cf)?;
        let is_refused = response.status >= 400;
        ensure(is_refused == (outcome == "refused"), || {
            format!("{response:?}")
        })?;
        let points = written.all()?.1.split_off(before);
        let index = domain.get(..96).unwrap_or(domain);
        let expected =
            json!({ "indexes": [index], "blobs": [outcome, code, domain], "doubles": [1] });
        let [point] = points.as_slice() else {
            return Err(format!("expected one point, found {points:?}").into());
        };
        let is_right = point.dataset == ANALYTICS && point.point == expected;
        ensure(is_right, || format!("{point:?} is not {expected}"))?;
    }
    Ok(())
}

/// What is only watched is forwarded, and told in a line that says so.
///
/// # Errors
/// When it is not so.
pub fn what_is_only_watched_is_forwarded_and_told(stage: &Stage) -> Outcome {
    let mut shadow = config(&stage.pki)?;
    shadow["hosts"][0]["mode"] = json!("shadow");
    shadow["hosts"][0]["shadow"] = json!({ "until": tomorrow()? });
    let mut worker = stage.worker(EDGE)?;
    worker
        .bindings
        .insert(CONFIG.into(), json!(shadow.to_string()));
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, EDGE);
    let (logs, _) = edge.written_from_its_first_request()?.all()?;
    let is_told = logs.iter().any(|log| log.message.contains("shadow for 2"));
    ensure(is_told, || format!("no word of it at load: {logs:?}"))?;
    let written = edge.written()?;
    stage.origin.take();
    forwarded(&edge.ask(&telling_much(ALIAS), &stage.cf("ca_client_expired")?)?)?;
    let one = stage.one_at_origin()?;
    ensure(one.values("client-certificate").is_empty(), || {
        format!("{one:?}")
    })?;
    let lines = written.lines()?;
    let [line] = lines.as_slice() else {
        return Err(format!("expected one line, found {lines:?}").into());
    };
    let is_right = line["event"] == "forwarded"
        && line["shadow"] == true
        && line["code"] == "certificate_expired"
        && line["path"] == "/oauth/token";
    ensure(is_right, || line.to_string())
}

/// Nothing depends on what is not bound: without a dataset and without a database the Worker does the same.
///
/// # Errors
/// When it is not so.
pub fn without_a_dataset_nothing_is_counted_and_all_is_served(stage: &Stage) -> Outcome {
    let mut bare = stage.worker("bare")?;
    bare.analytics.clear();
    let mut full = stage.worker("full")?;
    full.d1.insert(DATABASE.into(), Vec::new());
    let workerd = stage.start(&[bare, full])?;
    for (name, counted) in [("bare", 0), ("full", 2)] {
        let edge = Edge::of(&workerd, name);
        let written = edge.written()?;
        forwarded(&edge.ask(&token_request(DOMAIN), &no_certificate())?)?;
        let response = edge.ask(&token_request(ALIAS), &no_certificate())?;
        refused(&response, 400, "certificate_required")?;
        let (logs, points) = written.all()?;
        ensure(logs.len() == 1 && points.len() == counted, || {
            format!("{name}: {logs:?} {points:?}")
        })?;
    }
    Ok(())
}

/// An alias for which no client can be let in any more is told of when the configuration comes into force.
///
/// # Errors
/// When it is not so.
pub fn authorities_outside_their_dates_are_told_at_the_start(stage: &Stage) -> Outcome {
    let roots = [stage.pki.authority("root_expired")?.pem()];
    let policy = json!({ "verified_by": "edge", "roots": roots });
    let config = with_ca_signed(config(&stage.pki)?, policy);
    let mut worker = stage.worker(EDGE)?;
    worker
        .bindings
        .insert(CONFIG.into(), json!(config.to_string()));
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, EDGE);
    let (logs, _) = edge.written_from_its_first_request()?.all()?;
    let told = logs.iter().filter(|log| {
        log.level == "warn" && log.message.contains("authorities outside their dates: 1")
    });
    ensure(told.count() == 2, || format!("{logs:?}"))
}

fn tomorrow() -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let time = now + std::time::Duration::from_secs(86_400);
    let time = std::time::Duration::from_secs(time.as_secs());
    Ok(der::DateTime::from_unix_duration(time)?.to_string())
}
