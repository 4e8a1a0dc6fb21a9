//! A resumed TLS session is judged like any other.

use super::{
    ALIAS, BY_HOST, CHAIN, Client, DOMAIN, Outcome, Protocol, RESUMING, RESUMING_BY_HOST,
    SELF_SIGNED, SHIPPED, SUCCESS, Stage, ensure, forwarded, refused, token_request, told,
};
use crate::tls::{Sessions, TlsVersions};
use crate::wire::WireResponse;

const VERSIONS: [TlsVersions; 2] = [TlsVersions::Tls12, TlsVersions::Tls13];

/// The certificate survives resumption, and that is all the edge needs.
pub fn a_ca_signed_certificate_keeps_working_on_a_resumed_session(stage: &Stage) -> Outcome {
    both_reach_the_origin(stage, RESUMING, "ca_client", Expected::Resumed, SUCCESS)
}

/// What the client presented behind its certificate survives resumption as well.
pub fn presented_intermediates_keep_working_on_a_resumed_session(stage: &Stage) -> Outcome {
    both_reach_the_origin(
        stage,
        CHAIN,
        "ca_client_via_intermediate",
        Expected::Resumed,
        SUCCESS,
    )
}

/// Resumption opens no way around the roots.
pub fn a_certificate_of_an_unknown_issuer_is_refused_on_a_resumed_session_too(
    stage: &Stage,
) -> Outcome {
    for (listener, name) in [
        (RESUMING, "unknown_ca_client"),
        (RESUMING, "ca_client_via_intermediate"),
        (CHAIN, "via_intermediate_plain"),
    ] {
        for versions in VERSIONS {
            for response in twice(stage, listener, name, versions, Expected::Resumed)? {
                refused(&response, 400, "certificate_unknown_issuer")
                    .map_err(|why| format!("{name}, {versions:?}: {why}"))?;
            }
            stage.nothing_at_origin()?;
        }
    }
    Ok(())
}

/// Envoy forgets its verdict with a resumed session, and nothing may be made of that but a refusal.
pub fn where_the_host_program_verifies_a_ca_signed_certificate_is_refused_on_a_resumed_session(
    stage: &Stage,
) -> Outcome {
    for versions in VERSIONS {
        let name = "ca_client";
        let [first, second] = twice(stage, RESUMING_BY_HOST, name, versions, Expected::Resumed)?;
        forwarded(&first).map_err(|why| format!("{versions:?}, first: {why}"))?;
        refused(&second, 400, "certificate_not_verified")
            .map_err(|why| format!("{versions:?}, resumed: {why}"))?;
        // The first request, and only it.
        told(
            &stage.one_at_origin()?,
            stage.pki.get("ca_client")?,
            SUCCESS,
        )?;
    }
    Ok(())
}

/// The certificate survives resumption, and the edge judges a self-signed one itself.
pub fn a_registered_self_signed_certificate_keeps_working_on_a_resumed_session(
    stage: &Stage,
) -> Outcome {
    both_reach_the_origin(
        stage,
        RESUMING,
        "self_signed",
        Expected::Resumed,
        SELF_SIGNED,
    )
}

/// Resumption opens no way around the list of registered certificates.
pub fn an_unregistered_certificate_is_refused_on_a_resumed_session_too(stage: &Stage) -> Outcome {
    for versions in VERSIONS {
        let name = "self_signed_other";
        for response in twice(stage, RESUMING, name, versions, Expected::Resumed)? {
            refused(&response, 400, "certificate_not_registered")
                .map_err(|why| format!("{versions:?}: {why}"))?;
        }
        stage.nothing_at_origin()?;
    }
    Ok(())
}

/// A session that began at the custom domain brings its certificate along, to be judged anew.
pub fn a_session_resumed_under_another_name_is_judged_by_its_certificate(stage: &Stage) -> Outcome {
    for versions in VERSIONS {
        stage.origin.take();
        let sessions = Sessions::across_names();
        let mut options = stage.options_with(DOMAIN, "self_signed_other")?;
        options.versions = versions;
        options.sessions = Some(&sessions);
        let mut first = Client::open(&stage.edge, RESUMING, options.clone(), Protocol::Http1)?;
        forwarded(&first.send(&token_request(DOMAIN))?)?;
        stage.origin.take();
        options.server_name = Some(ALIAS);
        let mut second = Client::open(&stage.edge, RESUMING, options, Protocol::Http1)?;
        // Envoy may refuse to resume; judged is the certificate in either case.
        let response = second.send(&token_request(ALIAS))?;
        refused(&response, 400, "certificate_not_registered")
            .map_err(|why| format!("{versions:?}: {why}"))?;
        stage.nothing_at_origin()?;
    }
    Ok(())
}

/// Without resumption the second connection is a full handshake with a verdict.
pub fn with_resumption_off_nothing_resumes_and_a_ca_signed_client_keeps_working(
    stage: &Stage,
) -> Outcome {
    for listener in [SHIPPED, BY_HOST] {
        both_reach_the_origin(stage, listener, "ca_client", Expected::Full, SUCCESS)?;
    }
    Ok(())
}

/// Requests on a first and a second connection reach the origin, with this verdict on the certificate.
fn both_reach_the_origin(
    stage: &Stage,
    listener: &str,
    identity: &str,
    expected: Expected,
    verdict: &str,
) -> Outcome {
    for versions in VERSIONS {
        let both = twice(stage, listener, identity, versions, expected)?;
        for response in both {
            forwarded(&response).map_err(|why| format!("{versions:?}: {why}"))?;
        }
        let recorded = stage.origin.take();
        ensure(recorded.len() == 2, || {
            "not two requests at the origin".into()
        })?;
        for request in &recorded {
            told(request, stage.pki.get(identity)?, verdict)?;
        }
    }
    Ok(())
}

/// How the second connection is to begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    Resumed,
    Full,
}

/// One request on each of two connections that share their sessions.
fn twice(
    stage: &Stage,
    listener: &str,
    identity: &str,
    versions: TlsVersions,
    expected: Expected,
) -> Result<[WireResponse; 2], Box<dyn std::error::Error>> {
    stage.origin.take();
    let sessions = Sessions::new();
    let mut options = stage.options_with(ALIAS, identity)?;
    options.versions = versions;
    options.sessions = Some(&sessions);
    let mut first = Client::open(&stage.edge, listener, options.clone(), Protocol::Http1)?;
    ensure(!first.resumed(), || {
        "the first connection was resumed".into()
    })?;
    // A ticket of TLS 1.3 arrives with the answer at the latest.
    let before = first.send(&token_request(ALIAS))?;
    let mut second = Client::open(&stage.edge, listener, options, Protocol::Http1)?;
    let resumed = second.resumed();
    ensure(resumed == (expected == Expected::Resumed), || {
        format!(
            "{versions:?}: expected a second handshake that is {expected:?}, resumed: {resumed}"
        )
    })?;
    Ok([before, second.send(&token_request(ALIAS))?])
}
