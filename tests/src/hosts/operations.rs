//! What operators look at: the names of metrics, as the documents and the alert rules give them.

use std::collections::BTreeSet;
use std::error::Error;

use super::shipped::{CALLERS, Shipped, get, origin};
use super::{Outcome, Protocol, Stage, ensure, forwarded, token_request};
use crate::shipped::DOMAIN;

const RULES: &str = include_str!("../../../deploy/prometheus/auth-edge.rules.yaml");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const REFUSALS: &str = include_str!("../../../docs/refusals.md");

/// How the name of a metric begins: those of Envoy, and those of the filter.
const BEGINNINGS: [&str; 2] = ["envoy_", "auth_edge_"];
/// How the names of the counters of refusals begin, and of what is only watched; what follows is the code.
const BY_CODE: [&str; 2] = ["auth_edge_refused_", "auth_edge_shadow_"];

/// What Envoy shows to Prometheus: the names of metrics, and those of their labels.
#[derive(Default)]
struct Shown {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Shown {
    fn read(text: &str) -> Self {
        let mut shown = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, rest) = line.split_once('{').unwrap_or((line, ""));
            shown.metrics.insert(name.to_owned());
            for label in rest.split("\",").chain([rest]) {
                let name = label.split("=\"").next().unwrap_or_default();
                shown.labels.insert(name.to_owned());
            }
        }
        shown
    }

    fn knows(&self, name: &str) -> bool {
        self.metrics.contains(name) || self.labels.contains(name)
    }
}

/// The words of a text that begin as a metric does; a label is one of them where its name begins so.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        // Some are given by their beginning alone.
        .filter(|word| {
            BEGINNINGS
                .iter()
                .any(|beginning| word.starts_with(beginning))
        })
        .filter(|word| !word.ends_with('_'))
        .collect()
}

/// What the documents tell operators to look at is there, under that very name, and every counter of the
/// filter is told of.
///
/// # Errors
/// When it is not so.
pub fn the_metrics_of_the_documents_and_of_the_alert_rules_exist(stage: &Stage) -> Outcome {
    let origin = origin(stage)?;
    let edge = Shipped::start(stage, origin.address())?;
    // Some of Envoy's metrics begin with the first request.
    for (name, identity) in CALLERS {
        let mut client = edge.open(stage, name, identity, Protocol::Http1)?;
        forwarded(&client.send(&token_request(name))?)?;
    }
    let mut client = edge.open(stage, DOMAIN, None, Protocol::Http2)?;
    client.send(&get("/status/500"))?;
    let shown = Shown::read(&edge.envoy.admin_get("/stats/prometheus")?);
    for (file, text) in [
        ("the alert rules", RULES),
        ("docs/operations.md", OPERATIONS),
    ] {
        let named = names(text);
        ensure(named.len() > 10, || format!("{file} names hardly a metric"))?;
        let unknown: Vec<&&str> = named.iter().filter(|name| !shown.knows(name)).collect();
        ensure(unknown.is_empty(), || {
            format!("{file}: Envoy shows no {unknown:?}")
        })?;
    }
    every_counter_is_told_of(&shown)
}

fn every_counter_is_told_of(shown: &Shown) -> Result<(), Box<dyn Error>> {
    let told = names(OPERATIONS);
    for name in shown
        .metrics
        .iter()
        .filter(|it| it.starts_with("auth_edge_"))
    {
        let code = BY_CODE.iter().find_map(|start| name.strip_prefix(start));
        let known = match code {
            Some(code) => REFUSALS.contains(&format!("`{code}`")),
            None => told.contains(name.as_str()),
        };
        ensure(known, || format!("no document tells of `{name}`"))?;
    }
    Ok(())
}
