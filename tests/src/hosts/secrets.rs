//! API keys are for their origins alone, wherever they come from.

use std::error::Error;

use auth_edge::host_name::HostName;
use auth_edge::secret::Secret;
use auth_edge::wire::sealed::{NONCE_BYTES, seal};
use serde_json::json;

use super::{
    ALIAS, Client, DOMAIN, OTHER_ALIAS, Outcome, Protocol, SHIPPED, Stage, config, ensure,
    forwarded, token_request,
};
use crate::conformance::envoy_config::Filter;
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE, SEALING_KEY};
use crate::process::Envoy;

/// An API key that stands nowhere but in a sealed text.
const SEALED_API_KEY: &str = "test-only-sealed-api-key";

/// What the administration interface shows of configuration and state.
const DUMPS: [&str; 12] = [
    "/config_dump?include_eds",
    "/server_info",
    "/stats",
    "/stats/prometheus",
    "/certs",
    "/clusters",
    "/clusters?format=json",
    "/listeners?format=json",
    "/init_dump",
    "/runtime",
    "/logging",
    "/help",
];

/// Only the log at the level `info` is claimed to be free of the key: with `router:debug` Envoy
/// itself prints the fields it sends to the origin.
pub fn the_api_key_reaches_the_origin_and_is_shown_nowhere(stage: &Stage) -> Outcome {
    stage.origin.take();
    let options = stage.options_with(ALIAS, "ca_client")?;
    let mut client = Client::open(&stage.edge, SHIPPED, options, Protocol::Http1)?;
    forwarded(&client.send(&token_request(ALIAS))?)?;
    let keys = stage.one_at_origin()?;
    ensure(keys.values("cname-api-key") == [API_KEY.as_bytes()], || {
        "the origin did not get the key".into()
    })?;
    shown_nowhere(&stage.edge, &[API_KEY], API_KEY_VARIABLE)
}

/// A key that stands sealed in the configuration is opened for its host alone, and neither it nor the key that
/// opens it is shown.
pub fn a_sealed_key_reaches_its_origin_and_no_key_is_shown(stage: &Stage) -> Outcome {
    let mut config = config(&stage.pki)?;
    let text = sealed(SEALING_KEY, "2026-11", DOMAIN, SEALED_API_KEY)?;
    config["sealing_keys"] = json!({ "2026-11": { "env": SEALING_KEY.0 } });
    config["hosts"][0]["origin"]["api_key"] = json!({ "sealed": text });
    let port = stage.origin.address().port();
    let filter = Filter::Inline(config.to_string());
    let envoy = stage.start(filter, port, &[(API_KEY_VARIABLE, API_KEY), SEALING_KEY])?;
    for (alias, key) in [(ALIAS, SEALED_API_KEY), (OTHER_ALIAS, API_KEY)] {
        stage.origin.take();
        let options = stage.options_with(alias, "ca_client")?;
        let mut client = Client::open(&envoy, SHIPPED, options, Protocol::Http1)?;
        forwarded(&client.send(&token_request(alias))?)?;
        let keys = stage.one_at_origin()?;
        ensure(keys.values("cname-api-key") == [key.as_bytes()], || {
            format!("the origin behind {alias} did not get its key")
        })?;
    }
    shown_nowhere(&envoy, &[SEALED_API_KEY, API_KEY, SEALING_KEY.1], &text)
}

/// An API key sealed as a configuration has it.
///
/// # Errors
/// When one of the texts cannot be used.
pub(super) fn sealed(
    (_, sealing_key): (&str, &str),
    key_id: &str,
    custom_domain: &str,
    api_key: &str,
) -> Result<String, Box<dyn Error>> {
    let secret = Secret::new(api_key.to_owned())?;
    let custom_domain = HostName::parse(custom_domain)?;
    let mut nonce = [0; NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce)?;
    Ok(seal(
        &sealing_key.parse()?,
        &key_id.parse()?,
        &custom_domain,
        &secret,
        nonce,
    )?)
}

/// Fails when the administration interface, the log or the command line shows one of the secrets, or the dump
/// does not show what stands in the configuration.
fn shown_nowhere(envoy: &Envoy, secrets: &[&str], configured: &str) -> Outcome {
    let check = |place: &str, text: &str| {
        let shown = secrets.iter().any(|secret| text.contains(secret));
        ensure(!shown, || format!("{place} shows a key"))
    };
    for path in DUMPS {
        let dump = envoy.admin_get(path)?;
        check(path, &dump)?;
        ensure(dump.len() > 2, || format!("{path} shows nothing at all"))?;
    }
    let dump = envoy.admin_get("/config_dump?include_eds")?;
    ensure(dump.contains(configured), || {
        "the dump does not show the configuration, so that its silence proves nothing".into()
    })?;
    check("the log", &envoy.log())?;
    let command = std::fs::read(format!("/proc/{}/cmdline", envoy.pid()))?;
    let command = String::from_utf8_lossy(&command);
    ensure(command.contains("--config-path"), || {
        format!("an odd command line: {command}")
    })?;
    check("the command line", &command)
}
