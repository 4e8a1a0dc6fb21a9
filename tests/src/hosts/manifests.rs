//! The manifests under `deploy/`, in a real Envoy behind stand-ins for the control planes.
//!
//! There is no cluster here. What Istio and Envoy Gateway would generate is written down in
//! `tests/src/manifests/`, after their sources, as far as the manifests ask for it; the patches of the
//! manifests are applied to it as they would apply them; and what they cannot bring along (secrets, the
//! module, addresses) is put in last. So this proves that the patches find their places and what they do in
//! Envoy, and not that the control planes generate what the stand-ins do.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Client, Outcome, PROTOCOLS, Protocol, SELF_SIGNED, SUCCESS, Stage, TOKEN};
use super::{ensure, forwarded, refused, told};
use crate::conformance::vector::API_KEY;
use crate::manifests::{
    ENVOY_GATEWAY, EXAMPLE_ROOT, Generated, ISTIO, Manifests, envoy_filter, envoy_gateway, istio,
    json_patch,
};
use crate::origin::Origin;
use crate::pki::{Pki, thumbprint_base64url};
use crate::process::Envoy;
use crate::wire::WireRequest;

/// The names in the manifests.
const NAMES: [&str; 2] = ["login.example.com", "mtls.login.example.com"];
/// The origin in the manifests.
const ORIGIN: &str = "tenant-abc123.edge.tenants.us.auth0.com";
/// The variable in the manifests.
const KEY: &str = "LOGIN_CNAME_API_KEY";

const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// Where the filter finds the certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    /// As the manifests have it: Envoy shows it as a fact of the connection.
    Connection,
    /// In the field that Envoy writes, as the chapters have it for an Envoy before 1.38.
    Field,
}

/// The Gateway, its patches and the plugin make an edge that serves the custom domain and its alias.
pub fn the_manifests_for_istio_serve_both_names(stage: &Stage) -> Outcome {
    serve_istio(stage, &stage.binary, Source::Connection)
}

/// With `source: envoy_xfcc` they do so in an Envoy that does not show the certificate itself.
pub fn the_manifests_for_istio_serve_both_names_from_the_field_of_an_older_envoy(
    stage: &Stage,
    older: &Path,
) -> Outcome {
    serve_istio(stage, older, Source::Field)
}

fn serve_istio(stage: &Stage, binary: &Path, source: Source) -> Outcome {
    let manifests = Manifests::read(ISTIO)?;
    let mut generated = istio::generated(&manifests)?;
    let patches = manifests.spec("EnvoyFilter", "auth-edge")?;
    envoy_filter::apply(patches, &mut generated)?;
    let tls = &manifests.spec("DestinationRule", "origin")?["trafficPolicy"]["tls"];
    ensure(tls["mode"] == "SIMPLE", || format!("the origin has {tls}"))?;
    let socket = json!({
        "sni": tls["sni"],
        "common_tls_context": { "validation_context": {
            "match_typed_subject_alt_names": [
                { "san_type": "DNS", "matcher": { "exact": tls["subjectAltNames"][0] } },
            ],
        } },
    });
    let cluster = "outbound|443||tenant-abc123.edge.tenants.us.auth0.com";
    serve(stage, binary, generated, cluster, socket, source)
}

/// The Gateway, its policies and patches make an edge that serves the custom domain and its alias.
pub fn the_manifests_for_envoy_gateway_serve_both_names(stage: &Stage) -> Outcome {
    let manifests = Manifests::read(ENVOY_GATEWAY)?;
    let mut generated = envoy_gateway::generated(&manifests)?;
    let patches = manifests.spec("EnvoyPatchPolicy", "auth-edge")?;
    json_patch::apply(patches, &mut generated)?;
    let validation = &manifests.spec("BackendTLSPolicy", "origin")?["validation"];
    ensure(validation["wellKnownCACertificates"] == "System", || {
        format!("the origin has {validation}")
    })?;
    let socket = json!({
        "sni": validation["hostname"],
        "auto_sni_san_validation": true,
        "common_tls_context": { "validation_context": {} },
    });
    let cluster = "httproute/auth-edge/auth-edge/rule/0";
    serve(
        stage,
        &stage.binary,
        generated,
        cluster,
        socket,
        Source::Connection,
    )
}

/// Starts an Envoy with what was generated, and asks it for everything the manifests are about.
fn serve(
    stage: &Stage,
    binary: &Path,
    generated: Generated,
    cluster: &str,
    mut socket: Value,
    source: Source,
) -> Outcome {
    let origin = Origin::start(&stage.pki.server_identity(&[ORIGIN])?)?;
    socket["@type"] = json!(format!(
        "{TYPE}.transport_sockets.tls.v3.UpstreamTlsContext"
    ));
    socket["common_tls_context"]["validation_context"]["trusted_ca"] =
        json!({ "inline_string": stage.pki.server_ca_pem() });
    let name = generated.listener["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let bootstrap = json!({
        "static_resources": {
            "listeners": [brought_along(generated, stage, source)?],
            "clusters": [{
                "name": cluster,
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": cluster,
                    "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                        "socket_address": { "address": "127.0.0.1", "port_value": origin.address().port() },
                    } } }] }],
                },
                "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": socket },
            }],
        },
    });
    let envoy = Envoy::start(binary, &bootstrap.to_string(), &[(KEY, API_KEY)])?;
    asked(stage, &envoy, &name, &origin)
}

/// Puts in what a control plane and its agent bring along: certificates, routes, the module, a free port;
/// and the roots and thumbprints of this run in place of the examples.
fn brought_along(
    generated: Generated,
    stage: &Stage,
    source: Source,
) -> Result<Value, Box<dyn std::error::Error>> {
    let Generated {
        mut listener,
        routes,
    } = generated;
    listener["address"]["socket_address"] = json!({ "address": "127.0.0.1", "port_value": 0 });
    let identity = stage.pki.server_identity(&NAMES)?;
    for chain in listener["filter_chains"]
        .as_array_mut()
        .ok_or("no chains")?
    {
        let tls = &mut chain["transport_socket"]["typed_config"]["common_tls_context"];
        tls["tls_certificates"] = json!([{
            "certificate_chain": { "inline_string": identity.chain_pem() },
            "private_key": { "inline_string": identity.key_pem() },
        }]);
        let manager = chain["filters"][0]["typed_config"]
            .as_object_mut()
            .ok_or("no manager")?;
        let route = manager.remove("rds").ok_or("no route")?;
        let route = routes
            .iter()
            .find(|it| it["name"] == route["route_config_name"]);
        manager.insert("route_config".into(), route.ok_or("no such route")?.clone());
        for filter in manager["http_filters"].as_array_mut().ok_or("no filters")? {
            let Some(plugin) = filter["typed_config"].get_mut("config") else {
                continue;
            };
            plugin["vm_config"]["code"] = json!({ "local": { "filename": stage.wasm } });
            let config = example_replaced(&plugin["configuration"]["value"], &stage.pki, source)?;
            plugin["configuration"]["value"] = config;
        }
    }
    Ok(listener)
}

/// The plugin's configuration with the root and the thumbprints of this run.
fn example_replaced(
    text: &Value,
    pki: &Pki,
    source: Source,
) -> Result<Value, Box<dyn std::error::Error>> {
    let mut config: Value = serde_json::from_str(text.as_str().unwrap_or_default())?;
    let certificates = &mut config["hosts"][0]["client_certificates"];
    ensure(
        certificates["ca_signed"]["roots"] == json!([EXAMPLE_ROOT]),
        || format!("the example of a root is not there: {certificates}"),
    )?;
    certificates["ca_signed"]["roots"] = json!([STANDARD.encode(pki.authority("ca")?.der())]);
    let mut registered = Vec::new();
    for name in ["self_signed", "self_signed_ed25519"] {
        registered.push(thumbprint_base64url(pki.get(name)?.leaf()));
    }
    certificates["self_signed"]["registered"] = json!(registered);
    if source == Source::Field {
        certificates["source"] = json!("envoy_xfcc");
    }
    Ok(json!(config.to_string()))
}

fn asked(stage: &Stage, envoy: &Envoy, listener: &str, origin: &Origin) -> Outcome {
    let [domain, alias] = NAMES;
    for protocol in PROTOCOLS {
        // Who the client is, and what the origin is told of it.
        for (name, verdict) in [
            ("ca_client", SUCCESS),
            ("self_signed", SELF_SIGNED),
            ("self_signed_ed25519", SELF_SIGNED),
        ] {
            let options = stage.options_with(alias, name)?;
            let mut client = Client::open(envoy, listener, options, protocol)?;
            let mut request = WireRequest::new("POST", alias, TOKEN);
            for (field, value) in [
                ("client_certificate", "forged"),
                ("x-forwarded-client-cert", "Hash=forged"),
                ("x-forwarded-for", "192.0.2.1"),
            ] {
                request.headers.push((field.into(), value.into()));
            }
            let response = client.send(&request)?;
            forwarded(&response)?;
            let hsts = response.values("strict-transport-security");
            ensure(hsts == [b"max-age=31536000"], || {
                format!("HSTS is {hsts:?}")
            })?;
            let recorded = origin.take().pop().ok_or("nothing at the origin")?;
            told(&recorded, stage.pki.get(name)?, verdict)?;
            for (field, expected) in [
                ("cname-api-key", &[API_KEY][..]),
                ("x-forwarded-for", &["127.0.0.1"]),
                ("client_certificate", &[]),
                ("x-forwarded-client-cert", &[]),
                ("x-envoy-attempt-count", &[]),
                ("x-envoy-expected-rq-timeout-ms", &[]),
            ] {
                let found = recorded.values(field);
                ensure(
                    found
                        == expected
                            .iter()
                            .map(|text| text.as_bytes())
                            .collect::<Vec<_>>(),
                    || format!("the origin got {found:?} as `{field}`, expected {expected:?}"),
                )?;
            }
            let host = recorded.values("host");
            ensure(
                host == [ORIGIN.as_bytes()] && recorded.server_name.as_deref() == Some(ORIGIN),
                || format!("the origin is asked for {recorded:?}"),
            )?;
        }
        // The handshake ends well without a certificate, and the filter answers.
        let mut client = Client::open(envoy, listener, stage.options(alias), protocol)?;
        let response = client.send(&WireRequest::new("POST", alias, TOKEN))?;
        refused(&response, 400, "certificate_required")?;
        // What is judged is what was sent.
        for (target, status, code) in [
            ("/x/../oauth/token", 400, "invalid_path"),
            ("/oauth%2Ftoken", 404, "path_not_allowed"),
            ("//oauth/token", 404, "path_not_allowed"),
        ] {
            let options = stage.options_with(alias, "ca_client")?;
            let mut client = Client::open(envoy, listener, options, protocol)?;
            let response = client.send(&WireRequest::new("POST", alias, target))?;
            refused(&response, status, code)?;
        }
        // The patches hold a limit, which in HTTP/2 would be a stream that is reset.
        if protocol == Protocol::Http1 {
            let options = stage.options_with(alias, "ca_client")?;
            let mut client = Client::open(envoy, listener, options, protocol)?;
            let request = WireRequest::new("POST", alias, TOKEN);
            let many = (0..110).fold(request, |it, number| it.header(format!("x-{number}"), "1"));
            let status = client.send(&many)?.status;
            ensure(status == 431, || {
                format!("110 fields are answered {status}")
            })?;
        }
        // The custom domain: nobody is asked for a certificate.
        let options = stage.options_with(domain, "ca_client")?;
        let mut client = Client::open(envoy, listener, options, protocol)?;
        forwarded(&client.send(&WireRequest::new("GET", domain, "/authorize?x=%2F"))?)?;
        let recorded = origin.take().pop().ok_or("nothing at the origin")?;
        ensure(recorded.values("client-certificate").is_empty(), || {
            "the custom domain told of a certificate".into()
        })?;
    }
    ensure(origin.take().is_empty(), || {
        "a refused request reached the origin".into()
    })
}
