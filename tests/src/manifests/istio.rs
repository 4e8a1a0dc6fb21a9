//! A stand-in for Istio: what it generates for the manifests.

use std::error::Error;

use serde_json::{Value, json};

use super::parts::{chain, cors, fault, listener, router, wasm};
use super::{Generated, ISTIO_GATEWAY, ISTIO_VALUES, Manifests, expect};

/// What Istio 1.30 generates for the Gateway, the VirtualService and the WasmPlugin (`buildGatewayListeners`,
/// `buildHTTPConnectionManager`, `buildGatewayHTTPRouteConfig`, `buildWasmConfig`). Its filters that are not
/// in an Envoy of Envoy's own project are left out.
///
/// # Errors
/// When the manifests say something that this does not know.
pub fn generated(manifests: &Manifests) -> Result<Generated, Box<dyn Error>> {
    let values = Manifests::read(ISTIO_VALUES)?;
    let normalization = &values.all()[0]["meshConfig"]["pathNormalization"]["normalization"];
    let pods = Manifests::read(ISTIO_GATEWAY)?;
    let template = &pods.spec("Deployment", "auth-edge")?["template"];
    let proxy = &template["metadata"]["annotations"]["proxy.istio.io/config"];
    let proxy = Manifests::read(proxy.as_str().unwrap_or_default())?;
    let disabled = |name: &str| proxy.all()[0]["proxyHeaders"][name]["disabled"] == true;
    let plugin = manifests.spec("WasmPlugin", "auth-edge")?;
    let env = &plugin["vmConfig"]["env"][0];
    let container = &template["spec"]["containers"][0]["env"][0];
    expect(
        plugin["phase"] == "AUTHN"
            && env["valueFrom"] == "HOST"
            && env["name"] == container["name"],
        || format!("the plugin does not read what the container has: {env}"),
    )?;
    let filter = wasm(
        "auth-edge.auth-edge",
        &plugin["pluginConfig"],
        json!([env["name"]]),
        "",
        json!(plugin["failStrategy"]),
    );
    let route = &manifests.spec("VirtualService", "auth-edge")?["http"][0];
    let destination = &route["route"][0]["destination"];
    let cluster = format!(
        "outbound|{}||{}",
        destination["port"]["number"],
        destination["host"].as_str().unwrap_or_default()
    );
    let servers = manifests.spec("Gateway", "auth-edge")?["servers"].as_array();
    let (mut chains, mut routes) = (Vec::new(), Vec::new());
    for server in servers.ok_or("no servers")? {
        let (host, port, tls) = (&server["hosts"][0], &server["port"], &server["tls"]);
        let host = host.as_str().unwrap_or_default();
        expect(tls["mode"] == "SIMPLE", || format!("{host} has {tls}"))?;
        let version = |text: &Value| text.as_str().unwrap_or_default().replace("TLSV", "TLSv");
        let name = format!(
            "https.{}.{}.auth-edge.auth-edge",
            port["number"],
            port["name"].as_str().unwrap_or_default()
        );
        let manager = json!({
            "normalize_path": normalization != "NONE",
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "use_remote_address": true,
            "forward_client_cert_details": "SANITIZE_SET",
            "set_current_client_cert_details": { "subject": true, "cert": true, "dns": true, "uri": true },
            "server_name": if disabled("server") { "" } else { "istio-envoy" },
            "server_header_transformation": if disabled("server") { "PASS_THROUGH" } else { "OVERWRITE" },
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "stream_idle_timeout": "0s",
            "http_filters": [filter, fault(), cors(), router(disabled("envoyDebugHeaders"))],
        });
        let tls = json!({
            "tls_params": {
                "tls_minimum_protocol_version": version(&tls["minProtocolVersion"]),
                "tls_maximum_protocol_version": version(&tls["maxProtocolVersion"]),
                "cipher_suites": tls["cipherSuites"],
            },
        });
        chains.push(chain(
            host,
            &name,
            manager,
            tls,
            json!({ "require_client_certificate": false }),
        ));
        routes.push(json!({
            "name": name,
            "validate_clusters": false,
            "ignore_port_in_host_matching": true,
            "virtual_hosts": [{
                "name": format!("{host}:{}", port["number"]),
                "domains": [host],
                "include_request_attempt_count": !disabled("attemptCount"),
                "routes": [{
                    "match": { "prefix": "/" },
                    "route": { "cluster": cluster, "timeout": route["timeout"] },
                }],
            }],
        }));
    }
    Ok(Generated {
        listener: listener("0.0.0.0_8443", 8443, chains),
        routes,
    })
}
