//! The shipped configuration of `envoy-demo/`, with what makes it run on this machine.
//!
//! Addresses, ports and the certificates of the clients are replaced, and nothing else: what is tested
//! is what is copied.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::pki::{Identity, Pki, thumbprint_hex};

/// The public name.
pub const DOMAIN: &str = "login.localhost";
/// Its mTLS alias.
pub const ALIAS: &str = "mtls.login.localhost";
/// The origin.
pub const ORIGIN: &str = "origin.localhost";
/// The variable that the API key is taken from.
pub const API_KEY_VARIABLE: &str = "LOGIN_CNAME_API_KEY";

/// Envoy's configuration.
pub const ENVOY_YAML: &str = include_str!("../../envoy-demo/envoy.yaml");
/// The filter as a discovered resource, with its configuration as a text in it.
pub const EDGE_YAML: &str = include_str!("../../envoy-demo/edge/auth-edge.yaml");
/// The files that are taken over as they are.
const AS_SHIPPED: [(&str, &str); 2] = [
    (
        "sds/login.yaml",
        include_str!("../../envoy-demo/sds/login.yaml"),
    ),
    (
        "sds/mtls.yaml",
        include_str!("../../envoy-demo/sds/mtls.yaml"),
    ),
];

/// The text that stands for a root.
const EXAMPLE_ROOT: &str = "REPLACE WITH THE CERTIFICATE OF YOUR ROOT, BASE64 OF ITS DER";
/// The thumbprints that stand for those of real clients.
const EXAMPLE_THUMBPRINTS: [&str; 2] = [
    "0000000000000000000000000000000000000000000000000000000000000001",
    "0000000000000000000000000000000000000000000000000000000000000002",
];
/// The certificates that take their places.
pub const REGISTERED: [&str; 2] = ["self_signed", "self_signed_ed25519"];

/// What stands before the filter's configuration, and how far that is indented.
const BEFORE_JSON: &str = "value: |\n";
const INDENT: &str = "            ";

/// Replaces the one place where `old` stands.
///
/// # Errors
/// When it is not exactly one: then the shipped file has changed.
pub fn replace(text: &str, old: &str, new: &str) -> Result<String, String> {
    match text.matches(old).count() {
        1 => Ok(text.replacen(old, new, 1)),
        count => Err(format!(
            "`{old}` stands {count} times in the shipped configuration, expected once"
        )),
    }
}

/// Envoy's configuration with these addresses of the two listeners and of the origin.
///
/// # Errors
/// When one of them does not stand in the file as expected.
pub fn envoy_yaml(
    edge: SocketAddr,
    health: SocketAddr,
    origin: SocketAddr,
) -> Result<String, String> {
    let mut text = ENVOY_YAML.to_owned();
    for (shipped, here) in [
        ("0.0.0.0, port_value: 8443", edge),
        ("0.0.0.0, port_value: 8080", health),
        ("origin.localhost, port_value: 9443", origin),
    ] {
        text = replace(
            &text,
            &format!("socket_address: {{ address: {shipped} }}"),
            &socket_address(here),
        )?;
    }
    Ok(text)
}

/// An address as it stands in Envoy's configuration.
pub fn socket_address(at: SocketAddr) -> String {
    format!(
        "socket_address: {{ address: {}, port_value: {} }}",
        at.ip(),
        at.port()
    )
}

/// The filter as a resource, with certificates of the tests in the places of the examples.
///
/// # Errors
/// When a certificate is not there, or an example does not stand in the file as expected.
pub fn edge_yaml(pki: &Pki) -> Result<String, Box<dyn std::error::Error>> {
    let authority = STANDARD.encode(pki.authority("ca")?.der());
    let mut edge = replace(EDGE_YAML, EXAMPLE_ROOT, &authority)?;
    for (example, name) in EXAMPLE_THUMBPRINTS.iter().zip(REGISTERED) {
        edge = replace(&edge, example, &thumbprint_hex(pki.get(name)?.leaf()))?;
    }
    Ok(edge)
}

/// The filter's configuration that stands in such a resource.
///
/// # Errors
/// When there is none.
pub fn filter_config(edge_yaml: &str) -> Result<Value, Box<dyn std::error::Error>> {
    let (_, json) = edge_yaml
        .split_once(BEFORE_JSON)
        .ok_or("the shipped resource has no configuration")?;
    Ok(serde_json::from_str(json)?)
}

/// Such a resource with another configuration of the filter.
pub fn with_filter_config(edge_yaml: &str, config: &Value) -> String {
    let head = edge_yaml.split(BEFORE_JSON).next().unwrap_or_default();
    format!("{head}{BEFORE_JSON}{INDENT}{config}\n")
}

/// Makes the folder that Envoy is started in, but for its own configuration.
///
/// # Errors
/// When a file cannot be written, or a certificate is not there.
pub fn write_files(
    root: &Path,
    pki: &Pki,
    wasm: &Path,
    edge_yaml: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    write_authorities(root, pki)?;
    for folder in ["edge", "sds"] {
        fs::create_dir(root.join(folder))?;
    }
    for (name, text) in AS_SHIPPED {
        fs::write(root.join(name), text)?;
    }
    fs::copy(wasm, root.join("auth_edge_filter.wasm"))?;
    for (name, host) in [("login", DOMAIN), ("mtls", ALIAS)] {
        write_identity(
            &root.join("certs").join(name),
            &pki.server_identity(&[host])?,
        )?;
    }
    fs::write(root.join("edge/auth-edge.yaml"), edge_yaml)?;
    Ok(())
}

/// Makes the folder `certs` with the authority of the origin and of the edge, which is the same here.
///
/// # Errors
/// When the file cannot be written.
pub fn write_authorities(root: &Path, pki: &Pki) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir(root.join("certs"))?;
    fs::write(
        root.join("certs/origin-authorities.pem"),
        pki.server_ca_pem(),
    )?;
    Ok(())
}

/// Moves another resource into place, as an operator would.
///
/// # Errors
/// When a file cannot be written.
pub fn replace_edge_yaml(root: &Path, text: &str) -> io::Result<()> {
    // Beside the watched folder, so that only the move is seen there.
    let new = root.join("auth-edge.yaml.new");
    fs::write(&new, text)?;
    fs::rename(new, root.join("edge/auth-edge.yaml"))
}

/// Writes a chain and its key beside each other.
///
/// # Errors
/// When a file cannot be written.
pub fn write_identity(stem: &Path, identity: &Identity) -> io::Result<()> {
    fs::write(stem.with_extension("pem"), identity.chain_pem())?;
    fs::write(stem.with_extension("key"), identity.key_pem())
}
