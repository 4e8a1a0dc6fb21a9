//! Envoy configurations for the vectors and the host tests.
//!
//! Each listener has one configuration of the filter and shows it everything: client certificates
//! are requested from everybody, none is refused in the handshake, nothing is normalized.

use std::path::Path;

use serde_json::{Value, json};

use super::facts::Xfcc;
use super::vector::{ORIGIN, SECRETS};
use crate::pki::Pki;

/// A listener to be made.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The filter's configuration.
    pub filter: Filter,
    /// Whether TLS is spoken.
    pub tls: ListenerTls,
    /// What becomes of `x-forwarded-client-cert`.
    pub xfcc: Xfcc,
}

/// Where the filter's configuration comes from.
#[derive(Clone, Debug)]
pub enum Filter {
    /// It stands in the listener.
    Inline(String),
    /// It is read from this file, and again when the file is moved into place (ECDS).
    File(String),
    /// There is none: what a measurement compares with. The route then names the origin.
    None,
    /// A Lua filter of this text: what a measurement compares with.
    Lua(String),
    /// Another Wasm module: what a measurement compares with. The route then names the origin.
    Module(std::path::PathBuf, String),
}

/// How a listener speaks TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListenerTls {
    /// Not at all.
    Plain,
    /// With session resumption switched off, as `verified_by: host` needs it.
    WithoutResumption,
    /// With session resumption.
    WithResumption,
    /// Without the listener filter that makes the server name known.
    WithoutInspector,
}

/// A whole bootstrap configuration: the listeners, and the recording origin as their cluster.
pub fn bootstrap(
    listeners: &[Listener],
    wasm: &Path,
    pki: &Pki,
    server: &crate::pki::Identity,
    origin_port: u16,
) -> Value {
    let listeners: Vec<Value> = listeners
        .iter()
        .map(|description| listener(description, wasm, pki, server))
        .collect();
    json!({
        "static_resources": {
            "listeners": listeners,
            "clusters": [origin(pki, origin_port)],
        },
        "stats_config": { "use_all_default_tags": true },
        // Envoy takes no discovered configuration without a name of its own.
        "node": { "id": "auth-edge", "cluster": "auth-edge" },
    })
}

fn listener(
    description: &Listener,
    wasm: &Path,
    pki: &Pki,
    server: &crate::pki::Identity,
) -> Value {
    let mut chain = json!({
        "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(description, wasm),
        }],
    });
    if description.tls != ListenerTls::Plain {
        chain["transport_socket"] = downstream_tls(description.tls, pki, server);
    }
    let inspected = !matches!(
        description.tls,
        ListenerTls::Plain | ListenerTls::WithoutInspector
    );
    let inspector = json!({
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        },
    });
    json!({
        "name": description.name,
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "listener_filters": if inspected { vec![inspector] } else { Vec::new() },
        "filter_chains": [chain],
    })
}

fn downstream_tls(tls: ListenerTls, pki: &Pki, server: &crate::pki::Identity) -> Value {
    let mut socket = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_2",
                // The defaults lack Ed25519, and a client cannot present what is not on offer.
                "signature_algorithms": [
                    "ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512",
                    "ed25519", "rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512",
                    "rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512",
                ],
            },
            "tls_certificates": [{
                "certificate_chain": { "inline_string": server.chain_pem() },
                "private_key": { "inline_string": server.key_pem() },
            }],
            "validation_context": {
                "trusted_ca": { "inline_string": pki.ca_pem() },
                "trust_chain_verification": "ACCEPT_UNTRUSTED",
            },
        },
        "require_client_certificate": false,
    });
    if tls != ListenerTls::WithResumption {
        socket["disable_stateless_session_resumption"] = json!(true);
        socket["disable_stateful_session_resumption"] = json!(true);
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": socket })
}

fn connection_manager(description: &Listener, wasm: &Path) -> Value {
    let name = &description.name;
    let edge = match &description.filter {
        Filter::None => None,
        Filter::Inline(json) => {
            Some(json!({ "name": "auth_edge", "typed_config": wasm_filter(json, name, wasm) }))
        }
        Filter::Lua(text) => Some(json!({
            "name": "envoy.filters.http.lua",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                "default_source_code": { "inline_string": text },
            },
        })),
        Filter::Module(module, json) => {
            Some(json!({ "name": "auth_edge", "typed_config": wasm_filter(json, name, module) }))
        }
        Filter::File(path) => Some(json!({
            "name": "auth_edge",
            "config_discovery": {
                "config_source": {
                    "path_config_source": {
                        "path": path,
                        "watched_directory": { "path": Path::new(path).parent() },
                    },
                    "resource_api_version": "V3",
                },
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            },
        })),
    };
    let mut route = json!({ "cluster": "origin" });
    if matches!(description.filter, Filter::None | Filter::Module(..)) {
        route["host_rewrite_literal"] = json!(ORIGIN);
    }
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    });
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "use_remote_address": true,
        "skip_xff_append": true,
        "forward_client_cert_details": description.xfcc.envoy(),
        "set_current_client_cert_details": { "cert": true, "chain": true },
        "normalize_path": false,
        "merge_slashes": false,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "max_request_headers_kb": 96,
        // Without delay, so that a test of a connection Envoy closes does not wait for it.
        "delayed_close_timeout": "0.050s",
        // Trailers reach the filter, which must be what takes them away.
        "http_protocol_options": { "enable_trailers": true },
        "route_config": {
            "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": route }],
            }],
        },
        "http_filters": edge.into_iter().chain([router]).collect::<Vec<_>>(),
    })
}

/// The filter with a configuration, as it stands in a listener or in an ECDS resource.
pub fn wasm_filter(json: &str, name: &str, wasm: &Path) -> Value {
    json!({
           "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
           "config": {
               "name": "auth_edge",
               "root_id": name,
               "fail_open": false,
               "failure_policy": "FAIL_RELOAD",
               "configuration": {
                   "@type": "type.googleapis.com/google.protobuf.StringValue",
                   "value": json,
               },
               "vm_config": {
    "vm_id": "auth_edge",
                   "runtime": "envoy.wasm.runtime.v8",
                   "code": { "local": { "filename": wasm } },
                   "environment_variables": { "host_env_keys": SECRETS.map(|(name, _)| name) },
               },
           },
       })
}

/// The file that [`Filter::File`] reads, with the filter of a listener of this name.
pub fn discovered(json: &str, name: &str, wasm: &Path) -> Value {
    json!({
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": "auth_edge",
            "typed_config": wasm_filter(json, name, wasm),
        }],
    })
}

fn origin(pki: &Pki, port: u16) -> Value {
    json!({
        "name": "origin",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                "socket_address": { "address": "127.0.0.1", "port_value": port },
            } } }] }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "upstream_http_protocol_options": { "auto_sni": true, "auto_san_validation": true },
                "explicit_http_config": { "http_protocol_options": { "enable_trailers": true } },
            },
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "validation_context": { "trusted_ca": { "inline_string": pki.server_ca_pem() } },
                },
            },
        },
    })
}

/// The origin's name, for its certificate.
pub const ORIGIN_NAMES: [&str; 1] = [ORIGIN];
