//! A bad configuration refuses the start, and the log says what to mend.

use serde_json::{Value, json};

use super::secrets::sealed;
use super::{DOMAIN, Outcome, Stage, config, ensure, telling, with_ca_signed};
use crate::conformance::envoy_config::Filter;
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE, SEALING_KEY, SECRETS};
use crate::pki::PkiError;
use crate::process::ProcessError;

/// An unknown member refuses the start.
pub fn an_unknown_member_refuses_the_start(stage: &Stage) -> Outcome {
    let mut config = config(&stage.pki)?;
    config["hosts"][1]["custom_domian"] = json!("login.example.test");
    let log = ["`hosts[1].custom_domian`", "expected"];
    refuses(stage, &config, Some(API_KEY), &log)
}

/// A variable that is not among the secrets refuses the start.
pub fn a_missing_secret_variable_refuses_the_start(stage: &Stage) -> Outcome {
    let log = [
        "`hosts[0].origin.api_key.env`",
        API_KEY_VARIABLE,
        "expected",
    ];
    refuses(stage, &config(&stage.pki)?, None, &log)
}

/// A variable that cannot be a header value refuses the start, and is not shown.
pub fn a_secret_with_a_line_break_refuses_the_start(stage: &Stage) -> Outcome {
    let log = ["`hosts[0].origin.api_key.env`", "expected an API key"];
    let key = format!("{API_KEY}\n");
    refuses(stage, &config(&stage.pki)?, Some(&key), &log)
}

/// An alias without a word on its certificates refuses the start.
pub fn missing_client_certificates_refuse_the_start(stage: &Stage) -> Outcome {
    let mut config = config(&stage.pki)?;
    config["defaults"] = json!({});
    let log = [
        "`hosts[0].client_certificates`",
        "expected which client certificates",
    ];
    refuses(stage, &config, Some(API_KEY), &log)
}

/// A key in the file refuses the start unless the file permits it.
pub fn an_inline_secret_without_permission_refuses_the_start(stage: &Stage) -> Outcome {
    let mut config = config(&stage.pki)?;
    config["hosts"][0]["origin"]["api_key"] = json!({ "inline": API_KEY });
    let log = [
        "`hosts[0].origin.api_key.inline`",
        "allow_inline_secrets",
        "expected `env`",
    ];
    refuses(stage, &config, None, &log)
}

/// The edge cannot verify without a root, and one that is left out is no consent to any.
pub fn an_edge_without_roots_refuses_the_start(stage: &Stage) -> Outcome {
    for policy in [json!({}), json!({ "verified_by": "edge", "roots": [] })] {
        let config = with_ca_signed(config(&stage.pki)?, policy);
        let log = [
            "client_certificates.ca_signed.roots`",
            "found no root",
            "expected at least one",
        ];
        refuses(stage, &config, Some(API_KEY), &log)?;
    }
    Ok(())
}

/// A root that cannot be read refuses the start.
pub fn a_root_that_is_no_certificate_refuses_the_start(stage: &Stage) -> Outcome {
    let policy = json!({ "roots": [API_KEY_VARIABLE] });
    let config = with_ca_signed(config(&stage.pki)?, policy);
    let log = [
        "client_certificates.ca_signed.roots[0]`",
        "expected the certificate of an authority",
    ];
    refuses(stage, &config, Some(API_KEY), &log)
}

/// A chain that only Cloudflare shows refuses the start.
pub fn a_chain_that_envoy_does_not_show_refuses_the_start(stage: &Stage) -> Outcome {
    let root = stage.pki.authority("ca")?.pem();
    let policy = json!({ "roots": [root], "presented_chain": "host" });
    let config = with_ca_signed(config(&stage.pki)?, policy);
    let log = [DOMAIN, "`presented_chain`: `host` is for Cloudflare"];
    refuses(stage, &config, Some(API_KEY), &log)
}

/// A file that is no JSON refuses the start.
pub fn a_configuration_that_is_no_json_refuses_the_start(stage: &Stage) -> Outcome {
    let cut = Value::String(r#"{"version": 1, "hosts": ["#.into());
    refuses(stage, &cut, Some(API_KEY), &["EOF", "line 1 column 25"])
}

/// What was sealed for one host does not open for another.
pub fn a_key_sealed_for_another_host_refuses_the_start(stage: &Stage) -> Outcome {
    let text = sealed(SEALING_KEY, "2026-11", "other.example.test", API_KEY)?;
    let log = [
        "`hosts[0].origin.api_key.sealed`",
        "the sealing key `2026-11` does not open",
        "expected one that was sealed with it for `login.example.test`",
    ];
    let config = with_sealed(stage, &text)?;
    refuses_with(stage, &config, &SECRETS, &log)
}

/// A sealing key that is not among the secrets refuses the start.
pub fn a_missing_sealing_key_refuses_the_start(stage: &Stage) -> Outcome {
    let text = sealed(SEALING_KEY, "2026-11", DOMAIN, API_KEY)?;
    let log = ["`sealing_keys.2026-11.env`", SEALING_KEY.0, "expected one"];
    let config = with_sealed(stage, &text)?;
    refuses(stage, &config, Some(API_KEY), &log)
}

fn with_sealed(stage: &Stage, text: &str) -> Result<Value, PkiError> {
    let mut config = config(&stage.pki)?;
    config["sealing_keys"] = json!({ "2026-11": { "env": SEALING_KEY.0 } });
    config["hosts"][0]["origin"]["api_key"] = json!({ "sealed": text });
    Ok(config)
}

/// Envoy exits, its log holds one line of ours with all of `expected`, and the key stands nowhere.
fn refuses(stage: &Stage, config: &Value, key: Option<&str>, expected: &[&str]) -> Outcome {
    let env: Vec<_> = key.map(|key| (API_KEY_VARIABLE, key)).into_iter().collect();
    refuses_with(stage, config, &env, expected)
}

fn refuses_with(stage: &Stage, config: &Value, env: &[(&str, &str)], expected: &[&str]) -> Outcome {
    let json = config
        .as_str()
        .map_or_else(|| config.to_string(), str::to_owned);
    let port = stage.origin.address().port();
    let log = match stage.start(Filter::Inline(json), port, env) {
        Err(ProcessError::Exited { log, .. }) => log,
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("Envoy started".into()),
    };
    for secret in [API_KEY, SEALING_KEY.1] {
        ensure(!log.contains(secret), || "the log holds a key".into())?;
    }
    let mut ours = log
        .lines()
        .filter(|line| line.contains("auth_edge: configuration refused "));
    let found = ours.any(|line| expected.iter().all(|text| line.contains(text)));
    ensure(found, || {
        format!(
            "expected one line with {expected:?}, found\n{}",
            telling(&log)
        )
    })
}
