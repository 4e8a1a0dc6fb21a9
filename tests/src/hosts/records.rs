//! Counters and log lines.

use std::error::Error;

use serde_json::Value;

use super::{
    ALIAS, Client, DOMAIN, FILTERED, Outcome, PROTOCOLS, Protocol, SHIPPED, SOON, Stage, ensure,
    forwarded, refused, token_request,
};
use crate::pki::thumbprint_base64url;
use crate::poll;
use crate::process::Envoy;
use crate::wire::WireRequest;

/// What stands before the name of each counter in `/stats`.
const PREFIX: &str = "wasmcustom.auth_edge.";
/// What stands before it in `/stats/prometheus`.
const PROMETHEUS_PREFIX: &str = "auth_edge_";

/// The counter of this name, as `/stats` shows it.
///
/// # Errors
/// When there is none, which is another thing than zero.
pub fn counter(envoy: &Envoy, name: &str) -> Result<u64, Box<dyn Error>> {
    let name = format!("{PREFIX}{name}");
    let value = envoy.stat(&name)?;
    Ok(value.ok_or_else(|| format!("there is no counter `{name}`"))?)
}

/// Waits until what the filter has counted so far stands in `/stats`: it tells Envoy now and then, and
/// for each listener by itself.
///
/// # Errors
/// When it does not come.
pub fn settle(stage: &Stage) -> Outcome {
    // No other test of the shared Envoy provokes it.
    const MARK: &str = "refused.invalid_path";
    let before = counter(&stage.edge, MARK)?;
    for listener in FILTERED {
        let mut client = Client::open(
            &stage.edge,
            listener,
            stage.options(DOMAIN),
            Protocol::Http1,
        )?;
        let marked = client.send(&WireRequest::new("GET", DOMAIN, "/../"))?;
        refused(&marked, 400, "invalid_path")?;
    }
    let marks = || Some(counter(&stage.edge, MARK).ok()? - before);
    let told = poll::until(SOON, || marks().filter(|it| *it == FILTERED.len() as u64));
    ensure(told.is_some(), || {
        format!("`{MARK}` grew by {:?} only", marks())
    })
}

/// The same counter, as `/stats/prometheus` shows it.
fn prometheus(envoy: &Envoy, name: &str) -> Result<u64, Box<dyn Error>> {
    let name = format!("{PROMETHEUS_PREFIX}{}", name.replace('.', "_"));
    let stats = envoy.admin_get("/stats/prometheus")?;
    let mut lines = stats.lines().filter(|line| !line.starts_with('#'));
    let line = lines.find(|line| line.split(['{', ' ']).next() == Some(&name));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    Ok(value.ok_or_else(|| format!("there is no metric `{name}`"))?)
}

/// Every decision and every claimed identity is counted, in both forms that Envoy shows.
pub fn counters_tell_what_was_forwarded_refused_and_claimed(stage: &Stage) -> Outcome {
    let names = [
        ("forwarded", 2),
        ("refused.path_not_allowed", 1),
        ("refused.certificate_required", 1),
        ("refused.unknown_host", 0),
        ("identity_claims", 3),
    ];
    let read = || -> Result<Vec<[u64; 2]>, Box<dyn Error>> {
        let both = |(name, _): &(&str, u64)| {
            Ok([counter(&stage.edge, name)?, prometheus(&stage.edge, name)?])
        };
        names.iter().map(both).collect()
    };
    settle(stage)?;
    let before = read()?;
    let options = stage.options_with(ALIAS, "ca_client")?;
    let mut client = Client::open(&stage.edge, SHIPPED, options, Protocol::Http1)?;
    let spoofed = token_request(ALIAS)
        .header("client-certificate", "spoofed")
        .header("Client_Certificate", "spoofed");
    forwarded(&client.send(&spoofed)?)?;
    forwarded(&client.send(&token_request(DOMAIN))?)?;
    let elsewhere = WireRequest::new("GET", ALIAS, "/").header("client-cert", ":spoofed:");
    refused(&client.send(&elsewhere)?, 404, "path_not_allowed")?;
    let options = stage.options(ALIAS);
    let mut client = Client::open(&stage.edge, SHIPPED, options, Protocol::Http2)?;
    refused(
        &client.send(&token_request(ALIAS))?,
        400,
        "certificate_required",
    )?;
    // After that nothing more comes.
    settle(stage)?;
    for (((name, expected), before), after) in names.iter().zip(before).zip(read()?) {
        let grown = [after[0] - before[0], after[1] - before[1]];
        ensure(grown == [*expected; 2], || {
            format!(
                "`{name}` grew by {grown:?} in /stats and /stats/prometheus, expected {expected}"
            )
        })?;
    }
    Ok(())
}

/// One line of JSON, and nothing in it that a client would not want to read in a log.
pub fn a_refusal_leaves_exactly_one_structured_log_line(stage: &Stage) -> Outcome {
    let identity = stage.pki.get("self_signed_other")?;
    let hidden = [
        "hidden-query",
        "hidden-cookie",
        "hidden-token",
        "hidden-agent",
    ];
    for protocol in PROTOCOLS {
        let start = stage.edge.log().len();
        let options = stage.options_with(ALIAS, "self_signed_other")?;
        let mut client = Client::open(&stage.edge, SHIPPED, options, protocol)?;
        let mut request = token_request(ALIAS)
            .header("cookie", "session=hidden-cookie")
            .header("authorization", "Basic hidden-token")
            .header("user-agent", "hidden-agent")
            .header("x-request-id", "of-the-client");
        request.target = b"/oauth/token?code=hidden-query".to_vec();
        let id = refused(&client.send(&request)?, 401, "certificate_not_registered")?;
        // A second refusal, so that a line too many of the first has had its time to appear.
        let last = refused(
            &client.send(&token_request(ALIAS))?,
            400,
            "certificate_not_registered",
        )?;
        ensure(id != last, || {
            format!("two requests are both called `{id}`")
        })?;
        let log = poll::until(SOON, || {
            let log = stage.edge.log().split_off(start);
            log.contains(&last).then_some(log)
        });
        let log = log.ok_or("no log line of the second refusal")?;
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&id)).collect();
        let [line] = lines.as_slice() else {
            return Err(format!("expected one line for {id}, found {lines:?}").into());
        };
        ensure(
            log.matches("certificate_not_registered").count() == 2,
            || format!("expected two lines for two refusals, found\n{log}"),
        )?;
        let json = line
            .find('{')
            .and_then(|at| line.get(at..))
            .unwrap_or_default();
        let json: Value = serde_json::from_str(json).map_err(|why| format!("{why}: {line}"))?;
        let thumbprint = thumbprint_base64url(identity.leaf());
        for (member, expected) in [
            ("event", "refused"),
            ("code", "certificate_not_registered"),
            ("method", "POST"),
            ("host", ALIAS),
            ("path", "/oauth/token"),
            ("thumbprint", &thumbprint),
            ("request_id", &id),
        ] {
            ensure(json[member] == expected, || {
                format!("expected `{expected}` as `{member}` in {json}")
            })?;
        }
        ensure(
            json["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            || format!("no reason in {json}"),
        )?;
        for text in hidden {
            ensure(!log.contains(text), || {
                format!("`{text}` stands in the log:\n{log}")
            })?;
        }
    }
    Ok(())
}
