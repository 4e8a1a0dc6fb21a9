//! What is only watched is logged and counted, and forwarded.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::records::counter;
use super::{
    ALIAS, Client, Outcome, PROTOCOLS, SHIPPED, SOON, Stage, config, ensure, forwarded, refused,
    token_request, told,
};
use crate::conformance::envoy_config::Filter;
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE};
use crate::poll;

/// Where a client would be refused, its request is forwarded without a certificate; beside another policy
/// it is forwarded as ever. Both leave a line in the log and a count.
pub fn what_is_only_watched_is_logged_counted_and_forwarded(stage: &Stage) -> Outcome {
    let mut shadow = config(&stage.pki)?;
    shadow["hosts"][0]["mode"] = json!("shadow");
    shadow["hosts"][0]["shadow"] = json!({ "until": tomorrow()? });
    let mut candidate = config(&stage.pki)?;
    candidate["hosts"][0]["shadow"] = json!({
        "until": tomorrow()?,
        "client_certificates": { "ca_signed": { "roots": [stage.pki.authority("ca_rsa")?.pem()] } },
    });
    for (config, identity, code) in [
        (shadow, "ca_client_expired", "certificate_expired"),
        (candidate, "ca_client", "certificate_unknown_issuer"),
    ] {
        let is_told = identity == "ca_client";
        let port = stage.origin.address().port();
        let filter = Filter::Inline(config.to_string());
        let envoy = stage.start(filter, port, &[(API_KEY_VARIABLE, API_KEY)])?;
        for protocol in PROTOCOLS {
            stage.origin.take();
            let options = stage.options_with(ALIAS, identity)?;
            let mut client = Client::open(&envoy, SHIPPED, options, protocol)?;
            forwarded(&client.send(&token_request(ALIAS))?)?;
            let recorded = stage.one_at_origin()?;
            if is_told {
                told(&recorded, stage.pki.get(identity)?, super::SUCCESS)?;
            } else {
                let fields = recorded.values("client-certificate").len();
                ensure(fields == 0, || "the certificate was told".into())?;
            }
        }
        let name = format!("shadow.{code}");
        let counted = || {
            let pair = [
                counter(&envoy, &name).ok()?,
                counter(&envoy, "forwarded").ok()?,
            ];
            (pair == [2, 2]).then_some(())
        };
        ensure(poll::until(SOON, counted).is_some(), || {
            format!("`{name}` or `forwarded` did not become 2")
        })?;
        let log = envoy.log();
        ensure(log.contains("shadow for 2"), || {
            "no word of it at load".into()
        })?;
        let lines = watched_lines(&log);
        ensure(lines.len() == 2, || {
            format!("two lines expected: {lines:?}")
        })?;
        for line in lines {
            let is_right = line["event"] == "forwarded" && line["code"] == code;
            ensure(is_right, || {
                format!("not the line that was expected: {line}")
            })?;
        }
        // What is not watched is refused as ever.
        let options = stage.options_with(ALIAS, "ca_client")?;
        let mut client = Client::open(&envoy, SHIPPED, options, PROTOCOLS[0])?;
        let mut elsewhere = token_request(ALIAS);
        elsewhere.target = b"/elsewhere".to_vec();
        refused(&client.send(&elsewhere)?, 404, "path_not_allowed")?;
    }
    Ok(())
}

/// The lines of requests that were forwarded although something would have refused them.
fn watched_lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| line.split_once('{'));
    let lines = lines.filter_map(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).ok());
    lines
        .filter(|line: &Value| line["shadow"] == true)
        .collect()
}

fn tomorrow() -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let time = Duration::from_secs(now + 86_400);
    Ok(der::DateTime::from_unix_duration(time)?.to_string())
}
