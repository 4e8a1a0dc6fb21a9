//! What the built filter does in a real Envoy that no vector can say: starts, sessions, several
//! requests and connections, counters and logs, updates, faults.
//!
//! Each test is a function whose name is the claim. Most share one Envoy and ask only for what
//! changed; those that need another configuration start their own.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::conformance::envoy_config::{Filter, Listener, ListenerTls, ORIGIN_NAMES, bootstrap};
use crate::conformance::facts::Xfcc;
use crate::conformance::vector::{API_KEY, API_KEY_VARIABLE, ORIGIN};
use crate::origin::{Origin, Recorded};
use crate::pki::{Identity, Pki, PkiError, encode_uri_component, thumbprint_base64url};
use crate::process::{Envoy, ProcessError};
use crate::tls::{TlsOptions, TlsStream, connect};
use crate::wire::{WireError, WireRequest, WireResponse};
use crate::{http1, http2};

pub mod bodies;
pub mod certificates;
pub mod connections;
pub mod expiry;
pub mod faults;
pub mod load;
pub mod manifests;
pub mod operations;
pub mod origins;
pub mod records;
pub mod restarts;
pub mod secrets;
pub mod sessions;
pub mod shadow;
pub mod shipped;
pub mod starts;
pub mod traps;
pub mod updates;

/// What a test gives.
pub type Outcome = Result<(), Box<dyn Error>>;

/// The custom domain of the tests.
pub const DOMAIN: &str = "login.example.test";
/// Its mTLS alias.
pub const ALIAS: &str = "mtls.login.example.test";
/// The mTLS alias of another custom domain on the same listener.
pub const OTHER_ALIAS: &str = "mtls.other.example.test";
/// A path that is served on the aliases.
pub const TOKEN: &str = "/oauth/token";

/// The listener that most tests ask: no session is resumed.
pub const SHIPPED: &str = "shipped";
/// A listener that resumes sessions.
pub const RESUMING: &str = "resuming";
/// A listener without `tls_inspector`.
pub const UNINSPECTED: &str = "uninspected";
/// A listener whose verdict counts; no session is resumed.
pub const BY_HOST: &str = "verified_by_host";
/// A listener whose verdict counts although it resumes sessions.
pub const RESUMING_BY_HOST: &str = "resuming_verified_by_host";
/// A listener that resumes sessions and shows what clients present behind their certificate.
pub const CHAIN: &str = "chain";
/// A listener that is to show that, and does not.
pub const CHAIN_UNWRITTEN: &str = "chain_unwritten";
/// The listeners with the filter.
pub const FILTERED: [&str; 7] = [
    SHIPPED,
    RESUMING,
    UNINSPECTED,
    BY_HOST,
    RESUMING_BY_HOST,
    CHAIN,
    CHAIN_UNWRITTEN,
];
/// A listener without the filter that writes the client's certificates in a field for the origin.
pub const UNFILTERED: &str = "unfiltered";

/// How long something that Envoy does by itself may take.
pub const SOON: Duration = Duration::from_secs(10);

/// How many updates under load are made unless told: enough to show a leak, and over in seconds.
pub const UPDATES: usize = 300;

/// What the tests share.
pub struct Stage {
    /// The Envoy to test.
    pub binary: PathBuf,
    /// The filter to test.
    pub wasm: PathBuf,
    /// Keys and certificates.
    pub pki: Pki,
    /// The identity of every listener.
    pub server: Identity,
    /// The origin behind `edge`.
    pub origin: Origin,
    /// An Envoy with the listeners named above.
    pub edge: Envoy,
    /// How many updates of the configuration the tests under load make.
    pub updates: usize,
    server_ca: String,
}

impl Stage {
    /// Makes certificates, and starts the origin and the shared Envoy.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn new(binary: PathBuf, wasm: PathBuf) -> Result<Self, Box<dyn Error>> {
        let pki = Pki::generate()?;
        let server = pki.server_identity(&[
            "*.example.test",
            "*.login.example.test",
            "*.other.example.test",
        ])?;
        let origin = Origin::start(&pki.server_identity(&ORIGIN_NAMES)?)?;
        let listeners = listeners(&pki)?;
        let port = origin.address().port();
        let bootstrap = bootstrap(&listeners, &wasm, &pki, &server, port).to_string();
        Ok(Self {
            edge: Envoy::start(&binary, &bootstrap, &[(API_KEY_VARIABLE, API_KEY)])?,
            updates: UPDATES,
            server_ca: pki.server_ca_pem(),
            binary,
            wasm,
            pki,
            server,
            origin,
        })
    }

    /// Starts an Envoy of its own with the listener [`SHIPPED`] in front of this origin.
    ///
    /// # Errors
    /// When it does not start; that is what some tests want.
    pub fn start(
        &self,
        filter: Filter,
        origin_port: u16,
        env: &[(&str, &str)],
    ) -> Result<Envoy, ProcessError> {
        self.start_binary(&self.binary, filter, origin_port, env)
    }

    /// Like [`Stage::start`], with another Envoy.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_binary(
        &self,
        binary: &std::path::Path,
        filter: Filter,
        origin_port: u16,
        env: &[(&str, &str)],
    ) -> Result<Envoy, ProcessError> {
        let listener = Listener {
            name: SHIPPED.into(),
            filter,
            tls: ListenerTls::WithoutResumption,
            xfcc: Xfcc::Removed,
        };
        let bootstrap = bootstrap(
            &[listener],
            &self.wasm,
            &self.pki,
            &self.server,
            origin_port,
        );
        Envoy::start(binary, &bootstrap.to_string(), env)
    }

    /// How to connect to a name, so far without a client certificate.
    pub fn options<'a>(&'a self, server_name: &'a str) -> TlsOptions<'a> {
        TlsOptions::new(&self.server_ca, Some(server_name))
    }

    /// How to connect to a name with the client certificate of this name.
    ///
    /// # Errors
    /// When there is no such certificate.
    pub fn options_with<'a>(
        &'a self,
        server_name: &'a str,
        identity: &str,
    ) -> Result<TlsOptions<'a>, Box<dyn Error>> {
        let mut options = self.options(server_name);
        options.identity = Some(self.pki.get(identity)?);
        Ok(options)
    }

    /// How to connect to a name with a certificate made for one test.
    pub fn options_presenting<'a>(
        &'a self,
        server_name: &'a str,
        identity: &'a Identity,
    ) -> TlsOptions<'a> {
        let mut options = self.options(server_name);
        options.identity = Some(identity);
        options
    }

    /// The one request that reached the origin since this was last asked.
    ///
    /// # Errors
    /// When it is not exactly one.
    pub fn one_at_origin(&self) -> Result<Recorded, Box<dyn Error>> {
        let mut recorded = self.origin.take();
        match (recorded.pop(), recorded.is_empty()) {
            (Some(one), true) => Ok(one),
            (last, _) => {
                let count = recorded.len() + usize::from(last.is_some());
                Err(format!("{count} requests at the origin, expected one").into())
            }
        }
    }

    /// Fails when something reached the origin since it was last asked.
    ///
    /// # Errors
    /// When something did.
    pub fn nothing_at_origin(&self) -> Outcome {
        match self.origin.take().len() {
            0 => Ok(()),
            count => Err(format!("{count} requests at the origin, expected none").into()),
        }
    }
}

/// The listeners of the shared Envoy.
fn listeners(pki: &Pki) -> Result<Vec<Listener>, PkiError> {
    use ListenerTls::{WithResumption, WithoutInspector, WithoutResumption};
    use Xfcc::{Removed, Written};
    let inline = |config: Value| Filter::Inline(config.to_string());
    let edge = config(pki)?;
    let by_host = with_ca_signed(edge.clone(), json!({ "verified_by": "host" }));
    let mut policy = verified_by_edge(pki)?;
    policy["presented_chain"] = json!("envoy_xfcc");
    let chain = with_ca_signed(edge.clone(), policy);
    let listeners = [
        (SHIPPED, inline(edge.clone()), WithoutResumption, Removed),
        (RESUMING, inline(edge.clone()), WithResumption, Removed),
        (UNINSPECTED, inline(edge), WithoutInspector, Removed),
        (BY_HOST, inline(by_host.clone()), WithoutResumption, Removed),
        (RESUMING_BY_HOST, inline(by_host), WithResumption, Removed),
        (CHAIN, inline(chain.clone()), WithResumption, Written),
        (CHAIN_UNWRITTEN, inline(chain), WithoutResumption, Removed),
        (UNFILTERED, Filter::None, WithoutResumption, Written),
    ];
    let listeners = listeners.map(|(name, filter, tls, xfcc)| Listener {
        name: name.into(),
        filter,
        tls,
        xfcc,
    });
    Ok(listeners.into())
}

/// The policy for CA-signed certificates: the edge verifies them with the roots that the listeners
/// have as well.
///
/// # Errors
/// When there are no such roots.
pub fn verified_by_edge(pki: &Pki) -> Result<Value, PkiError> {
    let roots = [pki.authority("ca")?.pem(), pki.authority("ca_rsa")?.pem()];
    Ok(json!({ "verified_by": "edge", "roots": roots }))
}

/// A configuration of the tests with another policy for CA-signed certificates.
pub fn with_ca_signed(mut config: Value, policy: Value) -> Value {
    config["defaults"]["client_certificates"]["ca_signed"] = policy;
    config
}

/// The configuration of the tests: two custom domains; CA-signed certificates verified by the edge,
/// and two self-signed ones.
///
/// # Errors
/// When one of the certificates is not there.
pub fn config(pki: &Pki) -> Result<Value, PkiError> {
    let registered: Vec<String> = ["self_signed", "self_signed_p384"]
        .iter()
        .filter_map(|name| pki.get(name).ok())
        .map(|identity| thumbprint_base64url(identity.leaf()))
        .collect();
    let host = |custom_domain: &str| {
        json!({
            "custom_domain": custom_domain,
            "origin": { "host": ORIGIN, "api_key": { "env": API_KEY_VARIABLE } },
        })
    };
    Ok(json!({
        "version": 1,
        "defaults": { "client_certificates": {
            "ca_signed": verified_by_edge(pki)?,
            "self_signed": { "registered": registered },
        } },
        "hosts": [host(DOMAIN), host("other.example.test")],
    }))
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Both protocols.
pub const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A client on one connection.
#[derive(Debug)]
pub enum Client {
    /// In HTTP/1.1.
    Http1(http1::Client<TlsStream>),
    /// In HTTP/2.
    Http2(http2::Client<TlsStream>),
}

impl Client {
    /// Opens a connection to a listener.
    ///
    /// # Errors
    /// When there is no such listener, or no connection.
    pub fn open(
        envoy: &Envoy,
        listener: &str,
        options: TlsOptions<'_>,
        protocol: Protocol,
    ) -> Result<Self, Box<dyn Error>> {
        Self::at(envoy.listener_address(listener)?, options, protocol)
    }

    /// Opens a connection to an address.
    ///
    /// # Errors
    /// When there is none.
    pub fn at(
        address: SocketAddr,
        mut options: TlsOptions<'_>,
        protocol: Protocol,
    ) -> Result<Self, Box<dyn Error>> {
        options.alpn = match protocol {
            Protocol::Http1 => &[b"http/1.1"],
            Protocol::Http2 => &[b"h2"],
        };
        let stream = connect(address, &options)?;
        Ok(match protocol {
            Protocol::Http1 => Self::Http1(http1::Client::new(stream)),
            Protocol::Http2 => Self::Http2(http2::Client::new(stream)?),
        })
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// When there is none.
    pub fn send(&mut self, request: &WireRequest) -> Result<WireResponse, WireError> {
        match self {
            Self::Http1(client) => client.send(request),
            Self::Http2(client) => client.send(request),
        }
    }

    /// Whether the peer has said that it takes no more requests on this connection.
    pub fn is_leaving(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(client) => client.is_leaving(),
        }
    }

    /// How many bytes were read, those of TLS itself not counted.
    pub fn received(&self) -> u64 {
        match self {
            Self::Http1(client) => client.stream().received(),
            Self::Http2(client) => client.stream().received(),
        }
    }

    /// Whether the TLS session was resumed.
    pub fn resumed(&self) -> bool {
        match self {
            Self::Http1(client) => client.stream().resumed(),
            Self::Http2(client) => client.stream().resumed(),
        }
    }
}

/// A request for a token.
///
/// It has no body, because Envoy closes an HTTP/1.1 connection after it answered a request whose
/// body was still on its way.
pub fn token_request(host: &str) -> WireRequest {
    WireRequest::new("POST", host, TOKEN)
}

/// Fails unless the response is the origin's.
///
/// # Errors
/// When it is not.
pub fn forwarded(response: &WireResponse) -> Outcome {
    if response.status == 200 && response.values("x-origin").len() == 1 {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&response.body);
    Err(format!(
        "expected the origin's answer, found {}: {body}",
        response.status
    )
    .into())
}

/// Fails unless the response is a refusal of the edge with this status and code; gives its
/// `request_id`.
///
/// # Errors
/// When it is something else.
pub fn refused(response: &WireResponse, status: u16, code: &str) -> Result<String, Box<dyn Error>> {
    let body = String::from_utf8_lossy(&response.body);
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    if response.status != status || json["edge_code"] != code {
        let found = response.status;
        return Err(format!("expected {status} `{code}`, found {found}: {body}").into());
    }
    match json["request_id"].as_str() {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        _ => Err(format!("no request_id in {body}").into()),
    }
}

/// Fails unless the origin was told exactly this certificate and this verdict.
///
/// # Errors
/// When it was told something else.
pub fn told(recorded: &Recorded, identity: &Identity, verdict: &str) -> Outcome {
    let certificate = encode_uri_component(&identity.leaf_pem()).into_bytes();
    let expected = [certificate.as_slice(), verdict.as_bytes()];
    let mut found = recorded.values("client-certificate");
    found.extend(recorded.values("client-certificate-ca-verified"));
    if found == expected {
        return Ok(());
    }
    let found: Vec<_> = found.iter().map(|it| String::from_utf8_lossy(it)).collect();
    Err(format!(
        "expected {} with {verdict}, the origin was told {found:?}",
        identity.name
    )
    .into())
}

/// Fails with the message unless the condition holds.
///
/// # Errors
/// When it does not.
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(message().into())
    }
}

/// The lines of Envoy's log that tell more than that it starts.
pub fn telling(log: &str) -> String {
    let lines = log.lines().filter(|line| !line.contains("][info]["));
    lines.collect::<Vec<_>>().join("\n")
}

/// What the origin is told of a CA-signed certificate.
pub const SUCCESS: &str = "SUCCESS";
/// What the origin is told of a self-signed certificate.
pub const SELF_SIGNED: &str = "FAILED:self-signed certificate";
