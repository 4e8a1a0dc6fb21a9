//! Any bytes as a configuration: an error shows no secret, and what is accepted can be decided under.

use auth_edge::wire::config_json;
use auth_edge::wire::json::ConfigError;
use auth_edge::{Config, Decision, decide, verdict::VerdictCache};
use serde_json::Value;

use crate::case::{self, Case};
use crate::{check, scenarios};

/// Stands for a key in the wrong place. It is no usual name of a variable: those are shown.
const PLANTED: &str = "xq7plantedkey";

/// What the environment holds, and no output.
const KEYS: [&str; 2] = [scenarios::API_KEY, scenarios::SEALING_KEY];

/// Reads the bytes as they are, then with secrets planted wherever an API key may stand.
pub(super) fn run(data: &[u8]) {
    if let Ok(config) = parse(data) {
        decide_under(&config, data);
    }
    let Ok(mut json) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if json.to_string().contains(PLANTED) {
        return;
    }
    if plant(&mut json) {
        match parse(json.to_string().as_bytes()) {
            Ok(config) => assert!(!format!("{config:?}").contains(PLANTED), "a key is shown"),
            Err(error) => assert!(
                !format!("{error} {error:?}").contains(PLANTED),
                "an error shows a key: {error}"
            ),
        }
    }
}

/// Reads a configuration with an environment that holds a key, no key, and what is no key.
fn parse(json: &[u8]) -> Result<Config, ConfigError> {
    let secrets = |name: &str| match name {
        "EMPTY" => Some(String::new()),
        "LINE" => Some(format!("{}\n", scenarios::API_KEY)),
        name => scenarios::secrets(name),
    };
    let read = config_json::parse(json, 0, &secrets);
    match &read {
        Ok(config) => {
            assert!(!config.is_empty());
            let shown = format!("{config:?}");
            for key in KEYS {
                assert!(!shown.contains(key), "a key is shown");
            }
        }
        Err(error) => {
            let is_in_file = |text: &str| String::from_utf8_lossy(json).contains(text);
            let shown = format!("{error} {error:?}");
            for key in KEYS {
                let is_shown = shown.contains(key) && !is_in_file(key);
                assert!(!is_shown, "an error shows a key");
            }
            assert!(!error.problem().is_empty());
        }
    }
    read
}

/// Puts the secret in place of every text under an `api_key` and under `sealing_keys`; tells whether there was
/// one.
fn plant(json: &mut Value) -> bool {
    let mut planted = json.get_mut("sealing_keys").is_some_and(replace_texts);
    let hosts = json.get_mut("hosts").and_then(Value::as_array_mut);
    for host in hosts.into_iter().flatten() {
        if let Some(key) = host.pointer_mut("/origin/api_key") {
            planted |= replace_texts(key);
        }
    }
    planted
}

fn replace_texts(json: &mut Value) -> bool {
    match json {
        Value::String(text) => {
            *text = PLANTED.to_owned();
            true
        }
        Value::Array(list) => list
            .iter_mut()
            .fold(false, |any, it| replace_texts(it) | any),
        Value::Object(members) => members
            .values_mut()
            .fold(false, |any, it| replace_texts(it) | any),
        _ => false,
    }
}

/// Decides requests to the hosts that the file names.
fn decide_under(config: &Config, data: &[u8]) {
    let json: Value = serde_json::from_slice(data).unwrap_or_default();
    let hosts = json.get("hosts").and_then(Value::as_array);
    for host in hosts.into_iter().flatten().take(2) {
        let text = |member: &str| host.get(member).and_then(Value::as_str);
        let Some(domain) = text("custom_domain") else {
            continue;
        };
        let alias = text("mtls_alias").map_or(format!("mtls.{domain}"), str::to_owned);
        for name in [domain, &alias] {
            for case in requests(host, name) {
                decided(config, &case);
            }
        }
    }
}

/// Requests that send the fields which the file names, with each kind of certificate.
fn requests(host: &Value, name: &str) -> Vec<Case> {
    let name = name.replace('\n', "");
    let mut fields = String::new();
    let texts = ["client_ip_header", "tenant_header"].map(|member| host.get(member));
    let headers = host.get("certificate_headers");
    let more = ["certificate", "verdict"].map(|member| headers?.get(member));
    for field in texts
        .into_iter()
        .chain(more)
        .flatten()
        .filter_map(Value::as_str)
    {
        fields.push_str(&field.replace('\n', "").replace('-', "_"));
        fields.push_str(":forged\n");
    }
    let head = format!(
        ":authority:{name}\n:sni:{name}\n:verified:y\nx-forwarded-for:192.0.2.7\n{fields}\n"
    );
    [&*scenarios::CA_CLIENT, &*scenarios::SELF_SIGNED]
        .into_iter()
        .flat_map(|certificate| case::read(&[head.as_bytes(), certificate].concat()))
        .collect()
}

fn decided(config: &Config, case: &Case) {
    let connection = case.connection();
    let fields = case.borrowed_fields();
    let request = case.request(&fields, &connection);
    let decision: Decision<'_> = decide(&request, config, case.now, &mut VerdictCache::new());
    check::decision(case, &request, config, &decision);
}
