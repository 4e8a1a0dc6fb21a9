//! A stand-in for what Istio does with an `EnvoyFilter`, as far as the manifests go.
//!
//! Written after `pilot/pkg/networking/core/envoyfilter` and `pkg/proto/merge` of Istio 1.30. What it does
//! not know is an error, so that no part of a patch is passed over.

use serde_json::{Map, Value};

use super::Generated;

/// Applies the patches of an `EnvoyFilter` to what was generated.
///
/// # Errors
/// When a patch is not understood, or there is nothing that it matches.
pub fn apply(spec: &Value, generated: &mut Generated) -> Result<(), String> {
    let patches = spec["configPatches"].as_array().ok_or("no patches")?;
    for (number, entry) in patches.iter().enumerate() {
        let context = |why: &str| format!("configPatches[{number}]: {why}");
        let entry = members(entry, &["applyTo", "match", "patch"]).map_err(|it| context(&it))?;
        let applied = patch(entry, generated).map_err(|it| context(&it))?;
        if !applied {
            return Err(context("there is nothing that it matches"));
        }
    }
    Ok(())
}

/// Applies one patch; tells whether it matched.
fn patch(entry: &Map<String, Value>, generated: &mut Generated) -> Result<bool, String> {
    let change = members(&entry["patch"], &["operation", "value"])?;
    if change["operation"] != "MERGE" {
        return Err(format!("the operation {}", change["operation"]));
    }
    let value = &change["value"];
    let place = members(
        &entry["match"],
        &["context", "listener", "routeConfiguration"],
    )?;
    if place["context"] != "GATEWAY" {
        return Err(format!("the context {}", place["context"]));
    }
    match entry["applyTo"].as_str() {
        Some("VIRTUAL_HOST") => {
            let route = members(&place["routeConfiguration"], &["vhost"])?;
            let name = &members(&route["vhost"], &["name"])?["name"];
            let hosts = generated
                .routes
                .iter_mut()
                .filter_map(|route| route["virtual_hosts"].as_array_mut())
                .flatten();
            let mut applied = false;
            for host in hosts.filter(|host| host["name"] == *name) {
                merge(host, value);
                applied = true;
            }
            Ok(applied)
        }
        Some(kind @ ("LISTENER" | "FILTER_CHAIN" | "NETWORK_FILTER")) => {
            let place = members(&place["listener"], &["portNumber", "filterChain"])?;
            let listener = &mut generated.listener;
            if listener["address"]["socket_address"]["port_value"] != place["portNumber"] {
                return Ok(false);
            }
            if kind == "LISTENER" {
                merge(listener, value);
                return Ok(true);
            }
            let chain_match = members(&place["filterChain"], &["sni", "filter"])?;
            let chains = listener["filter_chains"].as_array_mut();
            let mut applied = false;
            for chain in chains.ok_or("no filter chains")? {
                let names = chain["filter_chain_match"]["server_names"].as_array();
                let fits = chain_match
                    .get("sni")
                    .is_none_or(|sni| names.is_some_and(|names| names.contains(sni)));
                if fits && kind == "FILTER_CHAIN" {
                    merge_chain(chain, value)?;
                    applied = true;
                } else if fits {
                    let name = &members(&chain_match["filter"], &["name"])?["name"];
                    let filters = chain["filters"].as_array_mut().ok_or("no filters")?;
                    for filter in filters.iter_mut().filter(|filter| filter["name"] == *name) {
                        merge(&mut filter["typed_config"], &value["typed_config"]);
                        applied = true;
                    }
                }
            }
            Ok(applied)
        }
        other => Err(format!("{other:?}")),
    }
}

/// Istio merges either the transport socket or the rest of a filter chain, never both.
fn merge_chain(chain: &mut Value, value: &Value) -> Result<(), String> {
    match value.get("transport_socket") {
        None => merge(chain, value),
        Some(socket) => {
            members(value, &["transport_socket"])?;
            let own = &mut chain["transport_socket"];
            for member in ["/name", "/typed_config/@type"] {
                if own.pointer(member) != socket.pointer(member) {
                    return Err("a transport socket of another type".into());
                }
            }
            merge(&mut own["typed_config"], &socket["typed_config"]);
        }
    }
    Ok(())
}

/// Merges messages of protocol buffers, as JSON: lists grow, and a value that is 0, empty or `false` is as
/// good as none, even where it stands for a message that wraps it.
pub fn merge(own: &mut Value, other: &Value) {
    match (own, other) {
        (Value::Object(own), Value::Object(other)) => {
            for (name, value) in other {
                merge(own.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(own), Value::Array(other)) => own.extend(other.iter().cloned()),
        (own, other) => {
            let zero = match other {
                Value::Bool(value) => !value,
                Value::Number(number) => number.as_f64() == Some(0.0),
                Value::String(text) => text.is_empty(),
                _ => false,
            };
            if !zero {
                *own = other.clone();
            }
        }
    }
}

/// The members of an object that has no others than these.
fn members<'a>(value: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("expected an object with {known:?}, found {value}"))?;
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("`{unknown}` is not one of {known:?}")),
        None => Ok(object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_adds_to_lists_and_never_switches_off() {
        let mut own = json!({ "normalize_path": true, "domains": ["a"], "limit": 1, "kept": "x" });
        merge(
            &mut own,
            &json!({ "normalize_path": false, "domains": ["*"], "limit": 2, "more": { "y": true } }),
        );
        let merged = json!({
            "normalize_path": true, "domains": ["a", "*"], "limit": 2, "kept": "x", "more": { "y": true },
        });
        assert_eq!(own, merged);
    }

    #[test]
    fn a_patch_that_is_not_understood_or_matches_nothing_is_an_error() {
        let listener = json!({
            "address": { "socket_address": { "port_value": 8443 } },
            "filter_chains": [{ "filter_chain_match": { "server_names": ["a"] }, "filters": [] }],
        });
        let with = |place: Value, operation: &str| {
            let mut generated = Generated {
                listener: listener.clone(),
                routes: Vec::new(),
            };
            let patch = json!({ "operation": operation, "value": { "name": "x" } });
            let place = json!({ "context": "GATEWAY", "listener": place });
            let spec = json!({
                "configPatches": [{ "applyTo": "FILTER_CHAIN", "match": place, "patch": patch }],
            });
            apply(&spec, &mut generated)
        };
        let place =
            |port: u16, sni: &str| json!({ "portNumber": port, "filterChain": { "sni": sni } });
        assert_eq!(with(place(8443, "a"), "MERGE"), Ok(()));
        for (place, operation, why) in [
            (place(8443, "a"), "ADD", "operation"),
            (place(443, "a"), "MERGE", "matches"),
            (place(8443, "b"), "MERGE", "matches"),
            (
                json!({ "portNumber": 8443, "name": "x" }),
                "MERGE",
                "`name`",
            ),
        ] {
            let error = with(place, operation).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
