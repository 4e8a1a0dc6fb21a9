//! What is known of a certificate ends when it does: nothing here waits for luck, each test polls
//! until the end has come.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{
    ALIAS, CHAIN, Client, Outcome, Protocol, SHIPPED, Stage, config, ensure, forwarded, refused,
    token_request, verified_by_edge, with_ca_signed,
};
use crate::conformance::envoy_config::Filter;
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE};
use crate::pki::{
    Authority, CLIENT_AUTH, DAY, DIGITAL_SIGNATURE, Extension, Identity, Key, KeyKind,
    RevocationList, Role, Template, distinguished_name,
};
use crate::poll;
use crate::process::Envoy;
use crate::wire::WireResponse;

/// How long things hold, in seconds: longer ones are for a machine so busy that the first has ended
/// before it was looked at.
const SPANS: [i64; 4] = [3, 10, 30, 90];
/// How much later than it should the end may be seen.
const LATE: Duration = Duration::from_secs(20);

/// The verdict on a path is known, and its certificate expires.
pub fn a_certificate_that_expires_on_an_open_connection_is_refused(stage: &Stage) -> Outcome {
    let ca = stage.pki.authority("ca")?;
    within_a_span(|end| {
        let identity = client(ca, &[], end)?;
        let options = stage.options_presenting(ALIAS, &identity);
        let mut client = Client::open(&stage.edge, SHIPPED, options, Protocol::Http1)?;
        ends(&mut client, end, "certificate_expired")
    })
}

/// The verdict on a path is known, and the certificate of its intermediate expires.
pub fn an_intermediate_that_expires_on_an_open_connection_is_refused(stage: &Stage) -> Outcome {
    let ca = stage.pki.authority("ca")?;
    within_a_span(|end| {
        let subject = distinguished_name("short-lived", "Example Authority", "AT");
        let key = Arc::new(Key::generate(KeyKind::P256)?);
        let now = stage.pki.generated_at();
        let intermediate = ca.intermediate_like(subject, key, now, |template| Template {
            not_after: end,
            ..template
        })?;
        let identity = client(&intermediate, &[intermediate.der()], end + DAY)?;
        let options = stage.options_presenting(ALIAS, &identity);
        let mut client = Client::open(&stage.edge, CHAIN, options, Protocol::Http1)?;
        ends(&mut client, end, "certificate_issuer_expired")
    })
}

/// The verdict on a path is known, and the next revocation list is due.
pub fn a_revocation_list_that_expires_on_an_open_connection_is_refused(stage: &Stage) -> Outcome {
    within_a_span(|end| {
        let list = RevocationList::new(end - DAY, end).issue(stage.pki.authority("ca")?)?;
        let mut policy = verified_by_edge(&stage.pki)?;
        policy["crl"] = json!({ "check": "leaf", "lists": [STANDARD.encode(list)] });
        let filter = Filter::Inline(with_ca_signed(config(&stage.pki)?, policy).to_string());
        let port = stage.origin.address().port();
        let envoy: Envoy = stage.start(filter, port, &[(API_KEY_VARIABLE, API_KEY)])?;
        let options = stage.options_with(ALIAS, "ca_client")?;
        let mut client = Client::open(&envoy, SHIPPED, options, Protocol::Http1)?;
        // The second in which the next list is due is the first without one.
        ends(&mut client, end - 1, "crl_expired")
    })
}

/// Whether a test saw the time before the end.
enum Seen {
    Both,
    OnlyAfter,
}

/// Runs a test with an end that is near, and with later ones while it is over before it is seen.
fn within_a_span(test: impl Fn(i64) -> Result<Seen, Box<dyn Error>>) -> Outcome {
    for span in SPANS {
        if let Seen::Both = test(now()? + span)? {
            return Ok(());
        }
    }
    Err("everything had ended before it was seen".into())
}

/// Sends until the request is refused with `code`, which must not be before the second after `end`.
fn ends(client: &mut Client, end: i64, code: &str) -> Result<Seen, Box<dyn Error>> {
    // A request with credentials, so that a refusal is a 401: after a 400 Envoy closes HTTP/1.1.
    let request = token_request(ALIAS).header("authorization", "Basic Y2xpZW50OnNlY3JldA==");
    let mut count = 0;
    let mut send = || -> Result<WireResponse, Box<dyn Error>> {
        count += 1;
        Ok(client.send(&request)?)
    };
    // Twice, so that the second is answered by what is known.
    for _ in 0..2 {
        let response = send()?;
        if response.status == 401 && now()? > end {
            refused(&response, 401, code)?;
            return Ok(Seen::OnlyAfter);
        }
        forwarded(&response)?;
    }
    let left = Duration::from_secs(u64::try_from(end - now()?).unwrap_or(0));
    let last = poll::until(left + LATE, || match send() {
        Ok(response) if forwarded(&response).is_ok() => None,
        other => Some(other),
    });
    let last = last.ok_or("it is served after its end")??;
    refused(&last, 401, code)?;
    ensure(now()? > end, || {
        format!("refused with `{code}` before its end")
    })?;
    Ok(Seen::Both)
}

/// A client certificate that is valid until `end`.
fn client(issuer: &Authority, presented: &[&[u8]], end: i64) -> Result<Identity, Box<dyn Error>> {
    let key = Key::generate(KeyKind::P256)?;
    let subject = distinguished_name("short-lived client", "Example Clients", "AT");
    let template = Template::new(subject, end - 2 * DAY, end)?
        .with(Extension::basic_constraints(Role::EndEntity))
        .with(Extension::key_usage(DIGITAL_SIGNATURE))
        .with(Extension::extended_key_usage(&[CLIENT_AUTH]));
    let mut chain = vec![issuer.issue(template, &key)?];
    chain.extend(presented.iter().map(|der| der.to_vec()));
    Ok(Identity {
        name: "short_lived".into(),
        chain,
        key: key.pkcs8().to_vec(),
        host_verified: true,
        completes_handshake: true,
    })
}

fn now() -> Result<i64, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(now.as_secs())?)
}
