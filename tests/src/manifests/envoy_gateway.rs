//! A stand-in for Envoy Gateway: what it generates for the manifests.

use std::error::Error;

use serde_json::{Value, json};

use super::parts::{chain, late_fields, listener, router, wasm};
use super::{ENVOY_GATEWAY_VALUES, Generated, Manifests, expect};

/// What Envoy Gateway 1.9 generates for the Gateway and its policies (`addHCMToXDSListener`,
/// `buildXdsDownstreamTLSSocket`, `buildHCMWasmFilter`, `buildHeaderMutationFilter`).
///
/// # Errors
/// When the manifests say something that this does not know.
pub fn generated(manifests: &Manifests) -> Result<Generated, Box<dyn Error>> {
    let values = Manifests::read(ENVOY_GATEWAY_VALUES)?;
    let own = &values.all()[0]["config"]["envoyGateway"];
    expect(
        own["extensionApis"]["enableEnvoyPatchPolicy"] == true
            && own["extensionApis"]["enableBackend"] == true
            && own["runtimeFlags"]["enabled"][0] == "XDSNameSchemeV2",
        || format!("Envoy Gateway is not set up for the manifests: {own}"),
    )?;
    let plugin = &manifests.spec("EnvoyExtensionPolicy", "auth-edge")?["wasm"][0];
    let name = "envoy.filters.http.wasm/envoyextensionpolicy/auth-edge/auth-edge/wasm/0";
    let keys = plugin["env"]["hostKeys"].clone();
    let pods = manifests.spec("EnvoyProxy", "auth-edge")?;
    let container = &pods["provider"]["kubernetes"]["envoyDeployment"]["container"]["env"][0];
    expect(
        keys == json!([container["name"]]) && plugin["failOpen"] == false,
        || format!("the plugin does not read what the container has: {plugin}"),
    )?;
    let root = plugin["rootID"].as_str().unwrap_or_default();
    let mut filter = wasm(name, &plugin["config"], keys, root, Value::Null);
    filter["disabled"] = json!(true);
    let listeners = manifests.spec("Gateway", "auth-edge")?["listeners"].as_array();
    let (mut chains, mut routes) = (Vec::new(), Vec::new());
    for server in listeners.ok_or("no listeners")? {
        let section = server["name"].as_str().unwrap_or_default();
        let host = server["hostname"].as_str().unwrap_or_default();
        let policy = manifests.spec("ClientTrafficPolicy", section)?;
        expect(policy["targetRefs"][0]["sectionName"] == section, || {
            format!("the policy `{section}` is for another listener")
        })?;
        let name = format!("auth-edge/auth-edge/{section}");
        let (tls, path, timeout) = (&policy["tls"], &policy["path"], &policy["timeout"]["http"]);
        let escaped = &path["escapedSlashesAction"];
        let manager = json!({
            "normalize_path": true,
            "merge_slashes": path["disableMergeSlashes"] != true,
            "path_with_escaped_slashes_action":
                if escaped == "KeepUnchanged" { "KEEP_UNCHANGED" } else { "UNESCAPE_AND_REDIRECT" },
            "use_remote_address": true,
            "forward_client_cert_details": "SANITIZE",
            "server_header_transformation": "PASS_THROUGH",
            "common_http_protocol_options": {
                "headers_with_underscores_action":
                    if policy["headers"]["withUnderscoresAction"] == "Allow" { "ALLOW" } else { "REJECT_REQUEST" },
                "idle_timeout": timeout["idleTimeout"],
            },
            "request_headers_timeout": timeout["requestHeadersReceivedTimeout"],
            "request_timeout": timeout["requestReceivedTimeout"],
            "stream_idle_timeout": timeout["streamIdleTimeout"],
            "http2_protocol_options": {
                "max_concurrent_streams": 100,
                "initial_stream_window_size": 65536,
                "initial_connection_window_size": 1_048_576,
            },
            "http_filters": [late_fields(&policy["headers"]["lateResponseHeaders"]), filter, router(true)],
        });
        let version = |text: &Value| {
            format!(
                "TLSv{}",
                text.as_str().unwrap_or_default().replace('.', "_")
            )
        };
        let mut common = json!({
            "tls_params": {
                "tls_minimum_protocol_version": version(&tls["minVersion"]),
                "tls_maximum_protocol_version": version(&tls["maxVersion"]),
                "cipher_suites": tls["ciphers"],
                "signature_algorithms": tls.get("signatureAlgorithms").cloned().unwrap_or_else(|| json!([])),
            },
        });
        match tls.get("clientValidation") {
            None => {}
            Some(validation) if *validation == json!({ "mode": "Request" }) => {
                common["validation_context"] =
                    json!({ "trust_chain_verification": "ACCEPT_UNTRUSTED" });
            }
            Some(other) => return Err(format!("{section} has {other}").into()),
        }
        let more = json!({
            "require_client_certificate": false,
            "disable_stateful_session_resumption": true,
            "disable_stateless_session_resumption": true,
        });
        chains.push(chain(host, &name, manager, common, more));
        let enabled = json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "config": {},
        });
        routes.push(json!({
            "name": name,
            "ignore_port_in_host_matching": true,
            "virtual_hosts": [{
                "name": host.replace('.', "_"),
                "domains": [host],
                "routes": [{
                    "match": { "prefix": "/" },
                    "route": {
                        "cluster": "httproute/auth-edge/auth-edge/rule/0",
                        "timeout": manifests.spec("HTTPRoute", "auth-edge")?["rules"][0]["timeouts"]["request"],
                        "upgrade_configs": [{ "upgrade_type": "websocket" }],
                    },
                    "typed_per_filter_config": { filter["name"].as_str().unwrap_or_default(): enabled },
                }],
            }],
        }));
    }
    let mut listener = listener("tcp-443", 10443, chains);
    listener["per_connection_buffer_limit_bytes"] = json!(32768);
    Ok(Generated { listener, routes })
}
