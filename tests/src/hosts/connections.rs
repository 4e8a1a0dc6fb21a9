//! Requests and connections are kept apart.

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;

use super::{
    ALIAS, CHAIN, Client, DOMAIN, OTHER_ALIAS, Outcome, PROTOCOLS, Protocol, SELF_SIGNED, SHIPPED,
    SUCCESS, Stage, TOKEN, UNFILTERED, ensure, forwarded, refused, token_request, told,
};
use crate::conformance::facts::{XFCC, written};
use crate::hosts::records::{counter, settle};
use crate::wire::WireRequest;

/// What one request was decided says nothing of the next.
pub fn each_request_of_a_connection_is_decided_by_itself(stage: &Stage) -> Outcome {
    for protocol in PROTOCOLS {
        stage.origin.take();
        let options = stage.options_with(ALIAS, "ca_client")?;
        let mut client = Client::open(&stage.edge, SHIPPED, options, protocol)?;
        for round in 0..2 {
            let at = |why| format!("{protocol:?}, round {round}: {why}");
            forwarded(&client.send(&token_request(ALIAS))?).map_err(at)?;
            told(
                &stage.one_at_origin()?,
                stage.pki.get("ca_client")?,
                SUCCESS,
            )
            .map_err(at)?;
            let elsewhere = WireRequest::new("GET", ALIAS, "/authorize");
            refused(&client.send(&elsewhere)?, 404, "path_not_allowed").map_err(at)?;
            let trace = WireRequest::new("TRACE", ALIAS, TOKEN);
            refused(&client.send(&trace)?, 405, "method_not_allowed").map_err(at)?;
            stage.nothing_at_origin().map_err(at)?;
        }
    }
    Ok(())
}

/// Envoy closes an HTTP/1.1 connection after a 400 of its own and after answering a request that is
/// still on its way; the answer is whole and says so.
pub fn a_refusal_says_whether_the_connection_stays_open(stage: &Stage) -> Outcome {
    let elsewhere = WireRequest::new("POST", ALIAS, "/authorize");
    let requests = [
        (token_request(ALIAS), 400, "certificate_required", true),
        (
            token_request(ALIAS).body("a=b"),
            400,
            "certificate_required",
            true,
        ),
        (elsewhere.clone(), 404, "path_not_allowed", false),
        (elsewhere.body("a=b"), 404, "path_not_allowed", true),
    ];
    stage.origin.take();
    for protocol in PROTOCOLS {
        for (request, status, code, ends) in &requests {
            let at = |why| format!("{protocol:?}, {request:?}: {why}");
            let mut client = Client::open(&stage.edge, SHIPPED, stage.options(ALIAS), protocol)?;
            let response = client.send(request)?;
            refused(&response, *status, code).map_err(at)?;
            let says_so = response.values("connection") == [b"close"];
            ensure(says_so == (*ends && protocol == Protocol::Http1), || {
                at(format!("unexpected end of the connection in {response:?}").into())
            })?;
            if !says_so {
                refused(&client.send(request)?, *status, code).map_err(at)?;
            }
        }
    }
    stage.nothing_at_origin()
}

/// A connection for one alias is for that alias; a custom domain asks for nothing of the kind.
pub fn another_host_name_on_a_connection_is_misdirected_on_an_alias(stage: &Stage) -> Outcome {
    for protocol in PROTOCOLS {
        stage.origin.take();
        let options = stage.options_with(ALIAS, "ca_client")?;
        let mut client = Client::open(&stage.edge, SHIPPED, options, protocol)?;
        forwarded(&client.send(&token_request(ALIAS))?)?;
        stage.origin.take();
        refused(
            &client.send(&token_request(OTHER_ALIAS))?,
            421,
            "misdirected_request",
        )?;
        stage.nothing_at_origin()?;
        // The custom domain shares the connection, and its origin is told of no certificate.
        forwarded(&client.send(&token_request(DOMAIN))?)?;
        let shared = stage.one_at_origin()?;
        ensure(shared.values("client-certificate").is_empty(), || {
            "the origin was told of a certificate on the custom domain".into()
        })?;
        forwarded(&client.send(&token_request(ALIAS))?)?;

        let options = stage.options_with(DOMAIN, "ca_client")?;
        let mut client = Client::open(&stage.edge, SHIPPED, options, protocol)?;
        stage.origin.take();
        refused(
            &client.send(&token_request(ALIAS))?,
            421,
            "misdirected_request",
        )?;
        stage.nothing_at_origin()?;
    }
    Ok(())
}

/// The verdict on a certificate is kept by its thumbprint, beyond its connection.
pub fn a_signature_is_verified_once_for_all_requests_and_connections(stage: &Stage) -> Outcome {
    const NAME: &str = "signature_verifications";
    // A registered certificate that no other test presents.
    let identity = stage.pki.get("self_signed_p384")?;
    settle(stage)?;
    let before = counter(&stage.edge, NAME)?;
    for protocol in PROTOCOLS {
        for _ in 0..2 {
            let options = stage.options_with(ALIAS, &identity.name)?;
            let mut client = Client::open(&stage.edge, SHIPPED, options, protocol)?;
            for _ in 0..3 {
                stage.origin.take();
                forwarded(&client.send(&token_request(ALIAS))?)?;
                told(&stage.one_at_origin()?, identity, SELF_SIGNED)?;
            }
        }
    }
    settle(stage)?;
    let verified = counter(&stage.edge, NAME)? - before;
    ensure(verified == 1, || {
        format!("expected one verification for 12 requests on 4 connections, found {verified}")
    })
}

/// The verdict on a path is kept as well, by what leads to it.
pub fn a_path_is_verified_once_for_all_requests_and_connections(stage: &Stage) -> Outcome {
    const NAMES: [&str; 3] = [
        "signature_verifications",
        "verification_microseconds",
        "verdicts_remembered",
    ];
    // No other test presents it; its path has two signatures, and a presented authority is told from a
    // stranger by its own.
    let identity = stage.pki.get("ca_client_via_silent_intermediate")?;
    let counters = || -> Result<[u64; 3], Box<dyn Error>> {
        let [verified, time, remembered] = NAMES.map(|name| counter(&stage.edge, name));
        Ok([verified?, time?, remembered?])
    };
    settle(stage)?;
    let before = counters()?;
    for protocol in PROTOCOLS {
        for _ in 0..2 {
            let options = stage.options_with(ALIAS, &identity.name)?;
            let mut client = Client::open(&stage.edge, CHAIN, options, protocol)?;
            for _ in 0..3 {
                stage.origin.take();
                forwarded(&client.send(&token_request(ALIAS))?)?;
                told(&stage.one_at_origin()?, identity, SUCCESS)?;
            }
        }
    }
    settle(stage)?;
    let after = counters()?;
    let [verified, time, remembered] = std::array::from_fn(|index| after[index] - before[index]);
    ensure(verified == 2 && time > 0 && remembered == 11, || {
        format!(
            "expected two verifications that took some time and 11 remembered verdicts for 12 requests on \
             4 connections, found {verified}, {time} us, {remembered}"
        )
    })
}

/// The vectors and the core's own runs take this to be what Envoy writes.
pub fn the_field_that_envoy_writes_is_the_one_the_vectors_know(stage: &Stage) -> Outcome {
    let presented = [
        "ca_client",
        "self_signed",
        "ca_client_via_intermediate",
        "via_9_presented",
    ];
    for protocol in PROTOCOLS {
        for name in presented {
            stage.origin.take();
            let options = stage.options_with(DOMAIN, name)?;
            let mut client = Client::open(&stage.edge, UNFILTERED, options, protocol)?;
            let request = token_request(DOMAIN).header(XFCC, "Hash=of-the-client");
            forwarded(&client.send(&request)?)?;
            let recorded = stage.one_at_origin()?;
            let expected = written(stage.pki.get(name)?);
            ensure(recorded.values(XFCC) == [expected.as_bytes()], || {
                format!(
                    "{name}: expected {expected}, found {:?}",
                    recorded
                        .values(XFCC)
                        .iter()
                        .map(|it| String::from_utf8_lossy(it))
                        .collect::<Vec<_>>()
                )
            })?;
        }
        let mut client = Client::open(&stage.edge, UNFILTERED, stage.options(DOMAIN), protocol)?;
        let request = token_request(DOMAIN).header(XFCC, "Hash=of-the-client");
        forwarded(&client.send(&request)?)?;
        ensure(stage.one_at_origin()?.values(XFCC).is_empty(), || {
            "a field although no certificate was presented".into()
        })?;
    }
    Ok(())
}

/// Four connections with two certificates, all sending at the same time.
pub fn certificates_of_connections_open_at_the_same_time_never_mix(stage: &Stage) -> Outcome {
    const REQUESTS: usize = 100;
    let clients = [
        ("ca_client", SUCCESS, Protocol::Http1),
        ("self_signed", SELF_SIGNED, Protocol::Http1),
        ("ca_client_p384", SUCCESS, Protocol::Http2),
        ("self_signed", SELF_SIGNED, Protocol::Http2),
    ];
    stage.origin.take();
    let outcomes: Vec<Result<(), String>> = thread::scope(|scope| {
        let workers = clients
            .iter()
            .enumerate()
            .map(|(number, (identity, _, protocol))| {
                scope.spawn(move || {
                    send_many(stage, number, identity, *protocol, REQUESTS)
                        .map_err(|why| format!("client {number}: {why}"))
                })
            });
        // All are started before the first is waited for.
        let workers: Vec<_> = workers.collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|outcome| outcome.unwrap_or_else(|_| Err("a client died".into())))
            .collect()
    });
    outcomes.into_iter().collect::<Result<(), String>>()?;
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut changes = 0;
    let mut last = None;
    for request in stage.origin.take() {
        let target = String::from_utf8_lossy(&request.target).into_owned();
        let number: usize = target.rsplit('=').next().unwrap_or_default().parse()?;
        let (identity, verdict, _) = clients.get(number).ok_or("an unknown client")?;
        told(&request, stage.pki.get(identity)?, verdict)
            .map_err(|why| format!("client {number}: {why}"))?;
        *seen.entry(number).or_default() += 1;
        changes += usize::from(last.replace(number) != Some(number));
    }
    ensure(
        seen.values().all(|count| *count == REQUESTS) && seen.len() == clients.len(),
        || format!("expected {REQUESTS} requests of each client, found {seen:?}"),
    )?;
    // One after the other would be four changes, and prove nothing.
    ensure(changes > REQUESTS, || {
        format!("the clients hardly interleaved: {changes} changes")
    })
}

fn send_many(
    stage: &Stage,
    number: usize,
    identity: &str,
    protocol: Protocol,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let options = stage.options_with(ALIAS, identity)?;
    let mut client = Client::open(&stage.edge, SHIPPED, options, protocol)?;
    let mut request = token_request(ALIAS);
    request.target = format!("{TOKEN}?client={number}").into_bytes();
    for _ in 0..count {
        forwarded(&client.send(&request)?)?;
    }
    Ok(())
}
