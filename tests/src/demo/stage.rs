//! Everything the demo runs on: a folder like `envoy-demo`, its certificates, the origin, the edge.

use std::error::Error;
use std::fs;
use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::audit::Audit;
use super::edge::Edge;
use super::envoy::InEnvoy;
use super::node::{Node, Origin};
use super::worker::{InWorker, Programs};
use super::{ALIAS, DOMAIN, Host, ORIGIN, Options, Stay, progress};
use crate::pki::{
    CLIENT_AUTH, Criticality, Extension, Identity, Key, KeyKind, Pki, Template, distinguished_name,
    encode_uri_component, thumbprint_base64url,
};
use crate::process::Watch;
use crate::shipped::{self, write_identity};

const CALLBACK: &str = "https://app.example.com/callback";

/// The programs of the demo, taken over as they are.
const PROGRAMS: [(&str, &str); 2] = [
    (
        "node/origin.mjs",
        include_str!("../../../envoy-demo/origin.mjs"),
    ),
    (
        "node/client.mjs",
        include_str!("../../../envoy-demo/client.mjs"),
    ),
];

/// The identities that are accepted, and the files that hold them.
pub(super) const CA_SIGNED: &str = "ca_client";
/// See [`CA_SIGNED`].
pub(super) const SELF_SIGNED: &str = "self_signed";
/// See [`CA_SIGNED`].
pub(super) const SELF_SIGNED_ED25519: &str = "self_signed_ed25519";

/// A running demo. What is dropped first stands first.
pub(super) struct Stage {
    /// The edge.
    pub(super) edge: Edge,
    /// The authorization server.
    pub(super) origin: Origin,
    /// Runs the client.
    pub(super) node: Node,
    /// The certificates.
    pub(super) pki: Pki,
    /// An admitted client whose certificate has outgrown its header.
    pub(super) oversized: Identity,
    /// Where the edge listens.
    pub(super) address: SocketAddr,
    /// The API key of the origin.
    pub(super) api_key: String,
    /// The edge's configuration, as it is first in force.
    pub(super) config: Value,
    _watch: Watch,
}

/// What an edge has to know.
pub(super) struct Ground<'a> {
    /// The certificates.
    pub(super) pki: &'a Pki,
    /// Its configuration.
    pub(super) config: &'a Value,
    /// Where it is to listen.
    pub(super) address: SocketAddr,
    /// Where the origin listens.
    pub(super) origin: SocketAddr,
    /// The origin's API key.
    pub(super) api_key: &'a str,
}

impl Stage {
    /// Makes all files and starts all programs; gives what the origin is going to see as well.
    pub(super) fn build(options: &Options) -> Result<(Self, Audit), Box<dyn Error>> {
        let directory = tempfile::Builder::new()
            .prefix("auth-edge-demo-")
            // Keys lie in it.
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let watch = Watch::over(directory.path())?;
        progress("making authorities, certificates and an API key");
        let pki = Pki::generate()?;
        let api_key = random_key()?;
        let root = directory.path();
        let edge_yaml = shipped::edge_yaml(&pki)?;
        let config = shipped::filter_config(&edge_yaml)?;
        match &options.host {
            Host::Envoy { filter, .. } => shipped::write_files(root, &pki, filter, &edge_yaml)?,
            Host::Worker { .. } => shipped::write_authorities(root, &pki)?,
        }
        write_files(root, &pki)?;
        let listener = listen(options, 8443)?;
        let address = listener.local_addr()?;

        progress("starting the origin (oidc-provider on Node.js)");
        let node = Node::new(&options.node, &options.npm_root, &root.join("node"))?;
        let audit = root.join("audit.jsonl");
        let issuer = format!("https://{DOMAIN}:{}", address.port());
        write_json(
            &root.join("node/origin.json"),
            &origin_config(root, &audit, &issuer, address.port()),
        )?;
        write_json(
            &root.join("node/client.json"),
            &client_config(root, &issuer),
        )?;
        let origin = Origin::start(&node, &api_key)?;

        let ground = Ground {
            pki: &pki,
            config: &config,
            address,
            origin: origin.address,
            api_key: &api_key,
        };
        let edge = match &options.host {
            Host::Envoy { program, .. } => {
                progress("starting Envoy with envoy-demo/envoy.yaml");
                // Envoy takes a port, and no listener.
                drop(listener);
                let health = listen(options, 8080)?.local_addr()?;
                Edge::Envoy(InEnvoy::start(
                    directory, program, edge_yaml, health, &ground,
                )?)
            }
            Host::Worker { folder, npm_root } => {
                progress(
                    "starting the Worker on workerd (miniflare), behind a stand-in for Cloudflare's edge",
                );
                let programs = Programs {
                    node: &options.node,
                    npm_root,
                };
                Edge::Worker(InWorker::start(
                    directory, folder, programs, listener, &ground,
                )?)
            }
        };
        let stage = Self {
            oversized: oversized(&pki)?,
            edge,
            origin,
            node,
            pki,
            address,
            api_key,
            config,
            _watch: watch,
        };
        Ok((stage, Audit::new(audit)))
    }
}

fn random_key() -> Result<String, Box<dyn Error>> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| "no random bytes can be had")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Listens on the nice port when somebody is going to type it and nobody has it, else on any.
fn listen(options: &Options, nice: u16) -> io::Result<TcpListener> {
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match options.stay {
        Stay::UntilInterrupted => listen(nice).or_else(|_| listen(0)),
        Stay::Once => listen(0),
    }
}

/// Writes what the origin and the clients need, but for what holds a port.
fn write_files(root: &Path, pki: &Pki) -> Result<(), Box<dyn Error>> {
    for folder in ["clients", "node"] {
        fs::create_dir(root.join(folder))?;
    }
    for (name, text) in PROGRAMS {
        fs::write(root.join(name), text)?;
    }
    write_identity(&root.join("certs/origin"), &pki.server_identity(&[ORIGIN])?)?;
    for name in [CA_SIGNED, SELF_SIGNED, SELF_SIGNED_ED25519] {
        write_identity(&root.join("clients").join(name), pki.get(name)?)?;
    }
    fs::write(
        root.join("clients/forged-headers.txt"),
        format!(
            "client-certificate: {}\nclient-certificate-ca-verified: SUCCESS\nx-forwarded-for: 192.0.2.1\n",
            encode_uri_component(&pki.get(CA_SIGNED)?.leaf_pem())
        ),
    )?;
    Ok(())
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), Box<dyn Error>> {
    fs::write(path, value.to_string())?;
    Ok(())
}

fn origin_config(root: &Path, audit: &Path, issuer: &str, port: u16) -> serde_json::Value {
    let client = |id: &str, auth: &str| {
        json!({
            "client_id": id,
            "auth": auth,
            "grant_types": ["authorization_code", "client_credentials"],
            "redirect_uris": [CALLBACK],
        })
    };
    let self_signed = |id: &str, name: &str| {
        let mut client = client(id, "self_signed_tls_client_auth");
        client["cert"] = json!(root.join("clients").join(name).with_extension("pem"));
        client
    };
    let mut ca_signed = client("client-1", "tls_client_auth");
    ca_signed["san_dns"] = json!("client-1.clients.example.com");
    json!({
        "tls": { "cert": root.join("certs/origin.pem"), "key": root.join("certs/origin.key") },
        "issuer": issuer,
        "mtls_issuer": format!("https://{ALIAS}:{port}"),
        "audit": audit,
        "clients": [
            ca_signed,
            self_signed("client-3", SELF_SIGNED),
            self_signed("client-4", SELF_SIGNED_ED25519),
        ],
    })
}

/// The real client; who steals a token in it is the other one of the two, whom the edge admits too.
fn client_config(root: &Path, issuer: &str) -> serde_json::Value {
    let client = |name: &str, id: &str, auth: &str, files: &str| {
        json!({
            "name": name,
            "client_id": id,
            "auth": auth,
            "redirect_uri": CALLBACK,
            "cert": root.join("clients").join(files).with_extension("pem"),
            "key": root.join("clients").join(files).with_extension("key"),
        })
    };
    json!({
        "issuer": issuer,
        "address": "127.0.0.1",
        "ca": root.join("certs/origin-authorities.pem"),
        "clients": [
            client("client-1", "client-1", "tls_client_auth", CA_SIGNED),
            client("client-3", "client-3", "self_signed_tls_client_auth", SELF_SIGNED),
        ],
    })
}

/// A good certificate of an admitted client, too long for the 4096 bytes of its header.
fn oversized(pki: &Pki) -> Result<Identity, Box<dyn Error>> {
    let key = Key::generate(KeyKind::P256)?;
    let subject = distinguished_name("client-2", "Example Clients", "AT");
    let now = pki.generated_at();
    let template = Template::new(subject, now - crate::pki::DAY, now + crate::pki::DAY)?
        .with(Extension::extended_key_usage(&[CLIENT_AUTH]))
        .with(Extension::unknown(Criticality::Ignorable, &[b'x'; 4096]));
    Ok(Identity {
        name: "client-2".to_owned(),
        chain: vec![pki.authority("ca")?.issue(template, &key)?],
        key: key.pkcs8().to_vec(),
        host_verified: true,
        completes_handshake: true,
    })
}

/// The thumbprint of an identity as the origin writes it.
pub(super) fn thumbprint(identity: &Identity) -> String {
    thumbprint_base64url(identity.leaf())
}
