//! What is missing or wrong around the edge closes it.

use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

use super::{
    ALIAS, CHAIN_UNWRITTEN, Client, DOMAIN, Outcome, Protocol, SHIPPED, SOON, Stage, UNINSPECTED,
    config, ensure, forwarded, refused, token_request, with_ca_signed,
};
use crate::conformance::envoy_config::{Filter, ORIGIN_NAMES};
use crate::conformance::facts::{XFCC, written};
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE};
use crate::origin::Origin;
use crate::pki::{
    AltName, DAY, DIGITAL_SIGNATURE, Extension, Identity, Key, KeyKind, Pki, Role, SERVER_AUTH,
    Template, distinguished_name,
};
use crate::poll;
use crate::process::{Envoy, ProcessError};

/// Without `tls_inspector` no server name is known, and the log says what to mend.
pub fn without_tls_inspector_the_alias_is_misdirected_and_the_log_says_why(
    stage: &Stage,
) -> Outcome {
    stage.origin.take();
    let options = stage.options_with(ALIAS, "ca_client")?;
    let mut client = Client::open(&stage.edge, UNINSPECTED, options, Protocol::Http1)?;
    let response = client.send(&token_request(ALIAS))?;
    let id = refused(&response, 421, "misdirected_request")?;
    stage.nothing_at_origin()?;
    let line = logged(&stage.edge, &id)?;
    ensure(line.contains("the listener has no tls_inspector"), || {
        format!("no hint at the listener in {line}")
    })?;
    forwarded(&client.send(&token_request(DOMAIN))?)
}

/// An origin whose certificate is for another name gets no request.
pub fn an_origin_with_another_name_gets_nothing(stage: &Stage) -> Outcome {
    let impostor = stage.pki.server_identity(&["other-origin.example.test"])?;
    gets_nothing(stage, &impostor, "cluster.origin.ssl.fail_verify_san")
}

/// An origin whose certificate comes from an unknown authority gets no request.
pub fn an_origin_of_an_unknown_authority_gets_nothing(stage: &Stage) -> Outcome {
    let impostor = origin_of_an_unknown_authority(&stage.pki, &ORIGIN_NAMES)?;
    gets_nothing(stage, &impostor, "cluster.origin.ssl.fail_verify_error")
}

/// An origin's identity for these names, from an authority that no edge trusts.
///
/// # Errors
/// When it cannot be made.
pub fn origin_of_an_unknown_authority(
    pki: &Pki,
    names: &[&str],
) -> Result<Identity, Box<dyn Error>> {
    let key = Key::generate(KeyKind::P256)?;
    let now = pki.generated_at();
    let names: Vec<AltName<'_>> = names.iter().copied().map(AltName::Dns).collect();
    let template = Template::new(distinguished_name("origin", "", ""), now - DAY, now + DAY)?
        .with(Extension::basic_constraints(Role::EndEntity))
        .with(Extension::key_usage(DIGITAL_SIGNATURE))
        .with(Extension::extended_key_usage(&[SERVER_AUTH]))
        .with(Extension::subject_alt_name(&names));
    Ok(Identity {
        name: "origin".into(),
        chain: vec![pki.authority("other_ca")?.issue(template, &key)?],
        key: key.pkcs8().to_vec(),
        host_verified: false,
        completes_handshake: true,
    })
}

fn gets_nothing(stage: &Stage, impostor: &Identity, statistic: &str) -> Outcome {
    let origin = Origin::start(impostor)?;
    let filter = Filter::Inline(config(&stage.pki)?.to_string());
    let port = origin.address().port();
    let envoy = stage.start(filter, port, &[(API_KEY_VARIABLE, API_KEY)])?;
    for (name, identity) in [(ALIAS, Some("ca_client")), (DOMAIN, None)] {
        let mut options = stage.options(name);
        options.identity = identity.map(|name| stage.pki.get(name)).transpose()?;
        let mut client = Client::open(&envoy, SHIPPED, options, Protocol::Http1)?;
        let response = client.send(&token_request(name))?;
        ensure(response.status == 503, || {
            format!("expected 503, found {response:?}")
        })?;
        ensure(origin.take().is_empty(), || {
            "the impostor got the request".into()
        })?;
    }
    // That it was the certificate, and not an origin that is not there.
    let refused = envoy.stat(statistic)?;
    ensure(refused.is_some_and(|count| count >= 2), || {
        format!("expected `{statistic}` to count both, found {refused:?}")
    })
}

/// A listener that does not write the field the edge reads is closed, and the log names what it lacks.
pub fn a_listener_that_does_not_show_the_chain_is_refused_and_the_log_says_why(
    stage: &Stage,
) -> Outcome {
    for identity in ["ca_client", "ca_client_via_intermediate", "self_signed"] {
        stage.origin.take();
        let options = stage.options_with(ALIAS, identity)?;
        let mut client = Client::open(&stage.edge, CHAIN_UNWRITTEN, options, Protocol::Http1)?;
        // What a client sends in its place is taken away by this Envoy, and would be no help.
        let spoofed = token_request(ALIAS).header(XFCC, written(stage.pki.get(identity)?));
        let id = refused(&client.send(&spoofed)?, 503, "host_unsupported")?;
        stage.nothing_at_origin()?;
        let line = logged(&stage.edge, &id)?;
        for text in ["x-forwarded-client-cert", "SANITIZE_SET"] {
            ensure(line.contains(text), || format!("no `{text}` in {line}"))?;
        }
    }
    Ok(())
}

/// An Envoy that does not say whether it verified a certificate: where its verdict counts, CA-signed
/// ones are refused, and the log names a newer one.
///
/// # Errors
/// When it is not so.
pub fn without_a_verdict_of_the_host_program_ca_signed_certificates_are_refused(
    stage: &Stage,
    older: &Path,
) -> Outcome {
    let policy = json!({ "verified_by": "host" });
    let config = with_ca_signed(config(&stage.pki)?, policy);
    let envoy = start_older(stage, older, &config)?;
    is_unsupported(stage, &envoy, "ca_client")?;
    // The edge needs no verdict on a self-signed one.
    let options = stage.options_with(ALIAS, "self_signed")?;
    let mut client = Client::open(&envoy, SHIPPED, options, Protocol::Http1)?;
    forwarded(&client.send(&token_request(ALIAS))?)?;
    serves_without_a_certificate(stage, &envoy)
}

/// An Envoy that does not show a certificate: where it is to be a fact of the connection, every one is
/// refused, and the log names a newer one.
///
/// # Errors
/// When it is not so.
pub fn without_the_certificate_on_the_connection_every_one_is_refused(
    stage: &Stage,
    older: &Path,
) -> Outcome {
    let mut explicit = config(&stage.pki)?;
    explicit["defaults"]["client_certificates"]["source"] = json!("connection");
    for config in [config(&stage.pki)?, explicit] {
        let envoy = start_older(stage, older, &config)?;
        for identity in ["ca_client", "self_signed", "unknown_ca_client"] {
            let line = is_unsupported(stage, &envoy, identity)?;
            ensure(line.contains("envoy_xfcc"), || {
                format!("no word of what helps in {line}")
            })?;
        }
        serves_without_a_certificate(stage, &envoy)?;
    }
    Ok(())
}

fn start_older(stage: &Stage, older: &Path, config: &Value) -> Result<Envoy, ProcessError> {
    stage.origin.take();
    let filter = Filter::Inline(config.to_string());
    let port = stage.origin.address().port();
    stage.start_binary(older, filter, port, &[(API_KEY_VARIABLE, API_KEY)])
}

/// A request with this certificate is refused for a missing fact; gives the log line, which names an
/// Envoy that is newer than this one.
fn is_unsupported(stage: &Stage, envoy: &Envoy, identity: &str) -> Result<String, Box<dyn Error>> {
    let info: Value = serde_json::from_str(&envoy.admin_get("/server_info")?)?;
    let version = info["version"].as_str().unwrap_or_default();
    let minor = version.split("/1.").nth(1).and_then(leading_number);
    let minor = minor.ok_or_else(|| format!("`{version}` is no version of Envoy"))?;
    let options = stage.options_with(ALIAS, identity)?;
    let mut client = Client::open(envoy, SHIPPED, options, Protocol::Http1)?;
    let id = refused(
        &client.send(&token_request(ALIAS))?,
        503,
        "host_unsupported",
    )?;
    stage.nothing_at_origin()?;
    let line = logged(envoy, &id)?;
    let needed = line.split("needs Envoy 1.").nth(1).and_then(leading_number);
    ensure(needed > Some(minor), || {
        format!("expected an Envoy newer than 1.{minor} in {line}")
    })?;
    Ok(line)
}

/// Where no certificate is presented, nothing is missing.
fn serves_without_a_certificate(stage: &Stage, envoy: &Envoy) -> Outcome {
    let mut client = Client::open(envoy, SHIPPED, stage.options(ALIAS), Protocol::Http1)?;
    refused(
        &client.send(&token_request(ALIAS))?,
        400,
        "certificate_required",
    )?;
    let mut client = Client::open(envoy, SHIPPED, stage.options(DOMAIN), Protocol::Http1)?;
    forwarded(&client.send(&token_request(DOMAIN))?)
}

fn leading_number(text: &str) -> Option<u32> {
    text.split(|letter: char| !letter.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The log line that holds this text.
fn logged(envoy: &Envoy, text: &str) -> Result<String, Box<dyn Error>> {
    let line = poll::until(SOON, || {
        let log = envoy.log();
        log.lines()
            .find(|line| line.contains(text))
            .map(str::to_owned)
    });
    Ok(line.ok_or_else(|| format!("no log line with `{text}`"))?)
}
