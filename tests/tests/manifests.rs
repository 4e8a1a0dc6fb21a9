//! The configurations in the manifests under `deploy/` are what the core reads.

use auth_edge::wire::config_json;
use auth_edge_tests::manifests::{
    ENVOY_GATEWAY, ENVOY_GATEWAY_VALUES, EXAMPLE_ROOT, ISTIO, ISTIO_GATEWAY, ISTIO_VALUES,
    Manifests,
};
use auth_edge_tests::pki::Pki;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The configuration of each manifest, and the variables that it lets the filter read.
fn configurations() -> [(String, Vec<String>); 2] {
    let istio = Manifests::read(ISTIO).unwrap();
    let plugin = istio.spec("WasmPlugin", "auth-edge").unwrap();
    let env = plugin["vmConfig"]["env"].as_array().unwrap();
    let istio = (
        plugin["pluginConfig"].to_string(),
        env.iter()
            .map(|env| env["name"].as_str().unwrap().to_owned())
            .collect(),
    );
    let gateway = Manifests::read(ENVOY_GATEWAY).unwrap();
    let plugin = &gateway.spec("EnvoyExtensionPolicy", "auth-edge").unwrap()["wasm"][0];
    let keys = plugin["env"]["hostKeys"].as_array().unwrap();
    let gateway = (
        plugin["config"].to_string(),
        keys.iter()
            .map(|key| key.as_str().unwrap().to_owned())
            .collect(),
    );
    [istio, gateway]
}

fn load(text: &str, variables: &[String]) -> Result<(), String> {
    let secret = |name: &str| {
        let known = variables.iter().any(|variable| variable == name);
        known.then(|| "test-only-api-key".to_owned())
    };
    config_json::parse(text.as_bytes(), 0, &secret)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn with_a_root_the_configurations_are_accepted() {
    let root = STANDARD.encode(Pki::generate().unwrap().authority("ca").unwrap().der());
    for (text, variables) in configurations() {
        assert_eq!(load(&text.replace(EXAMPLE_ROOT, &root), &variables), Ok(()));
    }
}

#[test]
fn as_they_are_the_configurations_are_refused_for_the_root() {
    for (text, variables) in configurations() {
        let why = load(&text, &variables).unwrap_err();
        assert!(why.contains("ca_signed.roots[0]"), "{why}");
    }
}

#[test]
fn both_configurations_are_the_same() {
    let [(istio, _), (gateway, _)] = configurations();
    assert_eq!(istio, gateway);
}

#[test]
fn every_manifest_can_be_read() {
    for text in [ISTIO, ISTIO_GATEWAY, ENVOY_GATEWAY] {
        for resource in Manifests::read(text).unwrap().all() {
            for member in ["apiVersion", "kind"] {
                assert!(resource[member].is_string(), "{resource}");
            }
        }
    }
    for text in [ISTIO_VALUES, ENVOY_GATEWAY_VALUES] {
        assert_eq!(Manifests::read(text).unwrap().all().len(), 1);
    }
}

/// NGINX would ask again, for another path and with the same certificate, because the origin's
/// answer says so.
#[test]
fn nginx_obeys_no_field_of_the_origins_answer() {
    let location = include_str!("../../deploy/nginx/auth_edge_location.conf");
    let mut lines = location.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("proxy_ignore_headers "));
    let ignored: Vec<&str> = ignored
        .map(|names| names.trim_end_matches(';').split(' ').collect())
        .unwrap_or_default();
    for name in [
        "X-Accel-Redirect",
        "X-Accel-Limit-Rate",
        "X-Accel-Charset",
        "X-Accel-Buffering",
        "X-Accel-Expires",
    ] {
        assert!(ignored.contains(&name), "{name}");
    }
}
