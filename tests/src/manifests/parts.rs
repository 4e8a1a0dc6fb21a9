//! What both control planes generate alike.

use serde_json::{Value, json};

const TYPE: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn listener(name: &str, port: u16, chains: Vec<Value>) -> Value {
    json!({
        "name": name,
        "address": { "socket_address": { "address": "0.0.0.0", "port_value": port } },
        "listener_filters": [{
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": { "@type": format!("{TYPE}.filters.listener.tls_inspector.v3.TlsInspector") },
        }],
        "filter_chains": chains,
    })
}

/// A chain for one name. `common` goes into the common TLS context, `more` beside it.
pub(super) fn chain(
    host: &str,
    route: &str,
    mut manager: Value,
    common: Value,
    more: Value,
) -> Value {
    manager["@type"] = json!(format!(
        "{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
    ));
    manager["stat_prefix"] = json!(host);
    manager["rds"] = json!({ "route_config_name": route });
    let mut tls = more;
    tls["@type"] = json!(format!(
        "{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext"
    ));
    tls["common_tls_context"] = common;
    tls["common_tls_context"]["alpn_protocols"] = json!(["h2", "http/1.1"]);
    json!({
        "name": route,
        "filter_chain_match": { "server_names": [host] },
        "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": tls },
        "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }],
    })
}

/// The filter as a control plane writes it; where the code comes from is put in later.
pub(super) fn wasm(
    name: &str,
    config: &Value,
    keys: Value,
    root: &str,
    failure_policy: Value,
) -> Value {
    let mut plugin = json!({
        "name": name,
        "root_id": root,
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": config.to_string(),
        },
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "environment_variables": { "host_env_keys": keys },
        },
    });
    if !failure_policy.is_null() {
        plugin["failure_policy"] = failure_policy;
    }
    json!({
        "name": name,
        "typed_config": { "@type": format!("{TYPE}.filters.http.wasm.v3.Wasm"), "config": plugin },
    })
}

pub(super) fn late_fields(fields: &Value) -> Value {
    let mutations: Vec<Value> = fields["addIfAbsent"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|field| {
            let header = json!({ "key": field["name"], "value": field["value"] });
            json!({ "append": { "header": header, "append_action": "ADD_IF_ABSENT" } })
        })
        .collect();
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": format!("{TYPE}.filters.http.header_mutation.v3.HeaderMutation"),
            "mutations": { "response_mutations": mutations },
        },
    })
}

pub(super) fn fault() -> Value {
    json!({
        "name": "envoy.filters.http.fault",
        "typed_config": { "@type": format!("{TYPE}.filters.http.fault.v3.HTTPFault") },
    })
}

pub(super) fn cors() -> Value {
    json!({
        "name": "envoy.filters.http.cors",
        "typed_config": { "@type": format!("{TYPE}.filters.http.cors.v3.Cors") },
    })
}

pub(super) fn router(suppress_envoy_headers: bool) -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": format!("{TYPE}.filters.http.router.v3.Router"),
            "suppress_envoy_headers": suppress_envoy_headers,
        },
    })
}
