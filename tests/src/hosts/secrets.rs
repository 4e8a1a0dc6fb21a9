//! The API key is for the origin alone.

use super::{ALIAS, Client, Outcome, Protocol, SHIPPED, Stage, ensure, forwarded, token_request};
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE};

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
    for path in DUMPS {
        let dump = stage.edge.admin_get(path)?;
        ensure(!dump.contains(API_KEY), || format!("{path} shows the key"))?;
        ensure(dump.len() > 2, || format!("{path} shows nothing at all"))?;
    }
    let dump = stage.edge.admin_get("/config_dump?include_eds")?;
    ensure(dump.contains(API_KEY_VARIABLE), || {
        "the dump does not show the configuration, so that its silence proves nothing".into()
    })?;
    let log = stage.edge.log();
    ensure(!log.contains(API_KEY), || "the log shows the key".into())?;
    let command = std::fs::read(format!("/proc/{}/cmdline", stage.edge.pid()))?;
    let command = String::from_utf8_lossy(&command);
    ensure(command.contains("--config-path"), || {
        format!("an odd command line: {command}")
    })?;
    ensure(!command.contains(API_KEY), || {
        "the command line shows the key".into()
    })
}
