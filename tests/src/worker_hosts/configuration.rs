//! Where a configuration comes from, what becomes of a bad one, and of a new one.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::{Value, json};

use super::{
    ALIAS, ANALYTICS, CONFIG, CONFIG_KEY, EDGE, Edge, HSTS, Outcome, SOON, SUCCESS, Stage,
    forwarded, no_certificate, refused, token_request, told,
};
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE};
use crate::hosts::{DOMAIN, config, ensure};
use crate::poll;
use crate::wire::WireRequest;
use crate::workerd::{Clock, Log, Worker, Workerd};

/// When tests with a clock that is told begin.
fn start(stage: &Stage) -> u64 {
    stage.pki.generated_at().unsigned_abs() + 10
}

/// A Worker that reads this entry from KV, if there is one, and is told the time.
fn from_namespace(
    stage: &Stage,
    name: &str,
    entry: Option<&str>,
) -> Result<Worker, Box<dyn Error>> {
    let mut worker = stage.worker(name)?;
    worker.bindings.remove(CONFIG);
    let entries = entry.map(|text| (CONFIG_KEY.to_owned(), text.to_owned()));
    let entries: BTreeMap<String, String> = entries.into_iter().collect();
    worker.kv.insert(CONFIG.into(), entries);
    worker.clock = Clock::Told;
    Ok(worker)
}

/// The configuration of the tests with another custom domain in place of the first.
fn config_with(stage: &Stage, domain: &str) -> Result<Value, Box<dyn Error>> {
    let mut config = config(&stage.pki)?;
    config["hosts"][0]["custom_domain"] = json!(domain);
    Ok(config)
}

fn lines_with(logs: &[Log], text: &str) -> usize {
    logs.iter().filter(|log| log.message.contains(text)).count()
}

/// A text, a value in JSON, an entry of a namespace: all the same.
///
/// # Errors
/// When it is not so.
pub fn a_configuration_is_taken_from_a_text_a_value_or_a_namespace(stage: &Stage) -> Outcome {
    let text = stage.worker("text")?;
    let mut value = stage.worker("value")?;
    value.bindings.insert(CONFIG.into(), config(&stage.pki)?);
    let entry = config(&stage.pki)?.to_string();
    let namespace = from_namespace(stage, "namespace", Some(&entry))?;
    let workerd = stage.start(&[text, value, namespace])?;
    for name in ["text", "value", "namespace"] {
        let edge = Edge::of(&workerd, name).at(start(stage));
        stage.origin.take();
        let written = edge.written_from_its_first_request()?;
        forwarded(&edge.ask(&token_request(DOMAIN), &no_certificate())?)
            .map_err(|why| format!("{name}: {why}"))?;
        let one = stage.one_at_origin()?;
        let is_keyed = one.values("cname-api-key") == [API_KEY.as_bytes()];
        ensure(is_keyed, || format!("{name}: no API key in {one:?}"))?;
        forwarded(&edge.ask(&token_request(ALIAS), &stage.cf("ca_client")?)?)?;
        told(
            &stage.one_at_origin()?,
            stage.pki.get("ca_client")?,
            SUCCESS,
        )?;
        let (logs, _) = written.all()?;
        let in_force = lines_with(&logs, "in force, custom domains: 2");
        ensure(in_force == 1, || format!("{name}: {logs:?}"))?;
    }
    Ok(())
}

/// The Workers that cannot use what they have, with what the log says of each.
fn unusable(stage: &Stage) -> Result<Vec<(Worker, &'static str)>, Box<dyn Error>> {
    let with = |name: &str, config: Value| -> Result<Worker, Box<dyn Error>> {
        let mut worker = stage.worker(name)?;
        worker.bindings.insert(CONFIG.into(), config);
        worker.clock = Clock::Told;
        Ok(worker)
    };
    let mut misspelled = config(&stage.pki)?;
    misspelled["hosts"][1]["custom_domian"] = json!("hidden-member");
    let mut of_envoy = config(&stage.pki)?;
    of_envoy["defaults"]["client_certificates"]["ca_signed"]["presented_chain"] =
        json!("envoy_xfcc");
    let mut absent = stage.worker("absent")?;
    absent.bindings.remove(CONFIG);
    absent.clock = Clock::Told;
    let mut no_secret = with("no-secret", config(&stage.pki)?)?;
    no_secret.bindings.remove(API_KEY_VARIABLE);
    let mut bad_secret = with("bad-secret", config(&stage.pki)?)?;
    bad_secret
        .bindings
        .insert(API_KEY_VARIABLE.into(), json!("hidden\nkey"));
    Ok(vec![
        (with("text", json!("{\"hidden-text"))?, "configuration"),
        (with("empty", json!(""))?, "configuration"),
        (with("number", json!(1))?, "configuration"),
        (with("member", misspelled)?, "hosts[1].custom_domian"),
        (with("envoy", of_envoy)?, "envoy_xfcc"),
        (absent, "no binding AUTH_EDGE_CONFIG"),
        (no_secret, "hosts[0].origin.api_key"),
        (bad_secret, "hosts[0].origin.api_key"),
        (
            from_namespace(stage, "no-entry", None)?,
            "has no `config.json`",
        ),
        (
            from_namespace(stage, "bad-entry", Some("{\"version\":2}"))?,
            "version",
        ),
    ])
}

/// Whoever asks, for whatever, gets 503, and the log says once where the mistake is, and nothing secret.
///
/// # Errors
/// When it is not so.
pub fn without_a_usable_configuration_every_request_gets_503(stage: &Stage) -> Outcome {
    let (workers, says): (Vec<Worker>, Vec<&str>) = unusable(stage)?.into_iter().unzip();
    let workerd = stage.start(&workers)?;
    stage.origin.take();
    for (worker, says) in workers.iter().zip(says) {
        let name = &worker.name;
        let edge = Edge::of(&workerd, name).at(start(stage));
        let written = edge.written_from_its_first_request()?;
        let mut count = 0;
        for host in [DOMAIN, ALIAS, "nobody.example.test", "127.0.0.1"] {
            for (method, target) in [
                ("GET", "/"),
                ("POST", "/oauth/token"),
                ("OPTIONS", "/oauth/token"),
                ("DELETE", "/../"),
                ("GET", "/.well-known/acme-challenge/token"),
            ] {
                let response = edge.ask(
                    &WireRequest::new(method, host, target),
                    &stage.cf("ca_client")?,
                )?;
                refused(&response, 503, "no_configuration")
                    .map_err(|why| format!("{name}, {method} {target}: {why}"))?;
                let body: Value = serde_json::from_slice(&response.body)?;
                ensure(body["error"] == "temporarily_unavailable", || {
                    body.to_string()
                })?;
                count += 1;
            }
        }
        let head = WireRequest::new("HEAD", DOMAIN, "/");
        let response = edge.ask(&head, &no_certificate())?;
        ensure(response.status == 503, || format!("{name}: {response:?}"))?;
        let (logs, points) = written.all()?;
        let (refusals, others): (Vec<&Log>, Vec<&Log>) = logs
            .iter()
            .partition(|log| log.message.contains("\"code\":\"no_configuration\""));
        let is_told = match others.as_slice() {
            [one] => one.level == "error" && one.message.contains(says),
            _ => false,
        };
        ensure(is_told && refusals.len() == count + 1, || {
            format!("{name}: `{says}` once expected: {others:?}")
        })?;
        let text = format!("{logs:?}");
        ensure(!text.contains("hidden") && !text.contains(API_KEY), || text)?;
        ensure(points.is_empty(), || format!("{name}: {points:?}"))?;
    }
    stage.nothing_at_origin()
}

/// An entry that is mended is read at the next try, five seconds after the last one and not before.
///
/// # Errors
/// When it is not so.
pub fn a_mended_configuration_is_taken_at_the_next_try(stage: &Stage) -> Outcome {
    let workerd = stage.start(&[from_namespace(stage, EDGE, Some("{"))?])?;
    let time = start(stage);
    let ask = |seconds| {
        Edge::of(&workerd, EDGE)
            .at(seconds)
            .ask(&token_request(DOMAIN), &no_certificate())
    };
    refused(&ask(time)?, 503, "no_configuration")?;
    put(&workerd, &config(&stage.pki)?.to_string())?;
    refused(&ask(time + 4)?, 503, "no_configuration")?;
    forwarded(&ask(time + 5)?)
}

fn put(workerd: &Workerd, entry: &str) -> Outcome {
    Ok(workerd.put(EDGE, CONFIG, CONFIG_KEY, entry)?)
}

/// A namespace is read again after a minute and not before. What has become bad is told and leaves the former in
/// force, and what is good is in force from then on.
///
/// # Errors
/// When it is not so.
pub fn a_new_configuration_is_taken_after_a_minute_and_a_bad_one_never(stage: &Stage) -> Outcome {
    const OTHER: &str = "new.example.test";
    const STAYS: &str = "the configuration stays as it was";
    let first = config(&stage.pki)?.to_string();
    let workerd = stage.start(&[from_namespace(stage, EDGE, Some(&first))?])?;
    let time = start(stage);
    let ask = |seconds, host: &str| {
        Edge::of(&workerd, EDGE)
            .at(seconds)
            .ask(&token_request(host), &no_certificate())
    };
    let stays = || -> Result<usize, Box<dyn Error>> { Ok(lines_with(&workerd.logs(0)?, STAYS)) };
    forwarded(&ask(time, DOMAIN)?)?;
    let mut bad = config_with(stage, OTHER)?;
    bad["hosts"][0]["unknown"] = json!("hidden");
    put(&workerd, &bad.to_string())?;
    forwarded(&ask(time + 59, DOMAIN)?)?;
    // By the mark of this everything that was begun is written.
    Edge::of(&workerd, EDGE).at(time + 59).written()?;
    ensure(stays()? == 0, || "it was read again too early".into())?;
    forwarded(&ask(time + 60, DOMAIN)?)?;
    let is_told = poll::until(SOON, || stays().ok().filter(|count| *count == 1));
    ensure(is_told.is_some(), || "the log says nothing of it".into())?;
    let logs = format!("{:?}", workerd.logs(0)?);
    ensure(
        logs.contains("hosts[0].unknown") && !logs.contains("hidden"),
        || logs,
    )?;
    forwarded(&ask(time + 61, DOMAIN)?)?;
    refused(&ask(time + 61, OTHER)?, 404, "unknown_host")?;
    put(&workerd, &config_with(stage, OTHER)?.to_string())?;
    refused(&ask(time + 119, OTHER)?, 404, "unknown_host")?;
    ask(time + 120, DOMAIN)?;
    let in_force = poll::until(SOON, || {
        let response = ask(time + 120, OTHER).ok()?;
        forwarded(&response).ok()
    });
    ensure(in_force.is_some(), || "the new one is not in force".into())?;
    refused(&ask(time + 121, DOMAIN)?, 404, "unknown_host")?;
    ensure(stays()? == 1, || "a good one was told as bad".into())
}

/// Workers of one bundle know nothing of each other's configuration.
///
/// # Errors
/// When it is not so.
pub fn workers_of_one_bundle_do_not_mix(stage: &Stage) -> Outcome {
    let names = ["first", "second", "third"];
    let domain = |name: &str| format!("{name}.example.test");
    let mut workers = Vec::new();
    for name in names {
        let mut worker = stage.worker(name)?;
        let config = config_with(stage, &domain(name))?;
        worker
            .bindings
            .insert(CONFIG.into(), json!(config.to_string()));
        let key = format!("key-of-{name}");
        worker.bindings.insert(API_KEY_VARIABLE.into(), json!(key));
        workers.push(worker);
    }
    let workerd = stage.start(&workers)?;
    for _ in 0..3 {
        for name in names {
            for host in names {
                stage.origin.take();
                let request = token_request(&domain(host));
                let response = Edge::of(&workerd, name).ask(&request, &no_certificate())?;
                if name != host {
                    refused(&response, 404, "unknown_host")?;
                    stage.nothing_at_origin()?;
                    continue;
                }
                forwarded(&response)?;
                let one = stage.one_at_origin()?;
                let key = format!("key-of-{name}");
                ensure(one.values("cname-api-key") == [key.as_bytes()], || {
                    format!("{name}: {one:?}")
                })?;
            }
        }
    }
    Ok(())
}

/// The first configuration is read by one of the requests that want it, and all are served.
///
/// # Errors
/// When it is not so.
pub fn many_first_requests_read_the_configuration_once(stage: &Stage) -> Outcome {
    const REQUESTS: usize = 40;
    let mut worker = from_namespace(stage, "many", Some(&config(&stage.pki)?.to_string()))?;
    worker.clock = Clock::Real;
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, "many");
    let served = std::thread::scope(|scope| {
        let ask = || {
            let request = token_request(DOMAIN);
            let response = edge.ask(&request, &no_certificate());
            response.is_ok_and(|response| forwarded(&response).is_ok())
        };
        let asking: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(ask)).collect();
        let served = asking.into_iter().map(|it| it.join().unwrap_or(false));
        served.filter(|is_served| *is_served).count()
    });
    stage.origin.take();
    ensure(served == REQUESTS, || {
        format!("{served} of {REQUESTS} were served")
    })?;
    let loaded = lines_with(&workerd.logs(0)?, " in force");
    ensure(loaded == 1, || {
        format!("the configuration was taken {loaded} times")
    })
}

/// A variable that cannot be a field, and a dataset that is none, are told and harm nobody.
///
/// # Errors
/// When it is not so.
pub fn unusable_bindings_are_left_out(stage: &Stage) -> Outcome {
    let mut worker = stage.worker("unusable")?;
    worker.analytics.clear();
    worker
        .bindings
        .insert(HSTS.into(), json!("max-age=1\nx: y"));
    worker
        .bindings
        .insert(ANALYTICS.into(), json!({ "no": "dataset" }));
    let workerd = stage.start(&[worker])?;
    let edge = Edge::of(&workerd, "unusable");
    stage.origin.take();
    forwarded(&edge.ask(&token_request(DOMAIN), &no_certificate())?)?;
    stage.one_at_origin()?;
    let response = edge.ask(&token_request(ALIAS), &no_certificate())?;
    refused(&response, 400, "certificate_required")?;
    let logs = workerd.logs(0)?;
    ensure(
        lines_with(&logs, "AUTH_EDGE_HSTS cannot be sent") == 1,
        || format!("{logs:?}"),
    )?;
    ensure(
        lines_with(&logs, "a data point was not written") == 2,
        || format!("{logs:?}"),
    )
}
