//! The public door of the core: a configuration, a request with a client certificate, and a time.

use std::fmt;

use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, Removal, ServerName, ShownChain, Tls, TlsVersion,
    Transport,
};
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::config_json;
use auth_edge::{Decision, decide};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const CUSTOM_DOMAIN: &str = "login.example.test";
const ALIAS: &str = "mtls.login.example.test";

/// A client certificate, and whom the host name trusts to certify it. Certificates and lists are DER.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The client's certificate.
    pub leaf: &'a [u8],
    /// The trusted roots.
    pub roots: Vec<&'a [u8]>,
    /// The certificates between them, in any order.
    pub intermediates: Vec<&'a [u8]>,
    /// How the edge comes by those.
    pub way: Way,
    /// The revocation lists, by which the whole path is checked; without any, nothing is.
    pub lists: Vec<&'a [u8]>,
    /// The time in seconds since 1970.
    pub now: u64,
}

/// How the edge comes by intermediates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They are in the configuration.
    Configured,
    /// The client presents them: a trusted proxy hands leaf and chain on in the fields of RFC 9440.
    Presented,
}

/// What the edge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request goes to the origin.
    Forwarded,
    /// It does not, with this code.
    Refused(String),
    /// The configuration is refused, with this error.
    NotLoaded(String),
    /// Another thing when it is asked again.
    Unstable,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forwarded => f.write_str("forwarded"),
            Self::Refused(code) => write!(f, "refused with {code}"),
            Self::NotLoaded(why) => write!(f, "the configuration is refused: {why}"),
            Self::Unstable => f.write_str("a warm verdict cache changes the answer"),
        }
    }
}

impl Question<'_> {
    /// Asks the core.
    pub fn ask(&self) -> Answer {
        let json = self.config().to_string();
        let config = match config_json::parse(json.as_bytes(), 0, &|_: &str| None) {
            Ok(config) => config,
            Err(why) => return Answer::NotLoaded(why.to_string()),
        };
        let connection = Connection::new(Transport::Tls(Box::new(Tls {
            version: TlsVersion::Tls13,
            cipher_suite: None,
            server_name: ServerName::Sent(ALIAS.into()),
            presented_chain: ShownChain::NotShown,
            client_certificate: self.client_certificate(),
        })));
        let fields = self.fields();
        let fields: Vec<(&[u8], &[u8])> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let request = auth_edge::Request {
            method: b"POST",
            target: b"/oauth/token",
            normalized_path: None,
            authority: Some(ALIAS.as_bytes()),
            protocol: None,
            fields: &fields,
            peer: [127, 0, 0, 1].into(),
            connection: Ok(&connection),
            removal: Removal::Any,
            acme_answer: None,
        };
        let mut verdicts = VerdictCache::new();
        let decision = decide(&request, &config, self.now, &mut verdicts);
        // the answer is the same with a warm cache.
        if decide(&request, &config, self.now, &mut verdicts) != decision {
            return Answer::Unstable;
        }
        match decision {
            Decision::Forward(_) => Answer::Forwarded,
            Decision::Respond(reply) => Answer::NotLoaded(format!("answered {}", reply.status)),
            Decision::Refuse(refusal) => Answer::Refused(refusal.reason.code().into()),
        }
    }

    fn config(&self) -> Value {
        let all = |list: &[&[u8]]| -> Vec<String> {
            list.iter().map(|der| STANDARD.encode(der)).collect()
        };
        let mut ca_signed = json!({ "verified_by": "edge", "roots": all(&self.roots) });
        if self.way == Way::Configured && !self.intermediates.is_empty() {
            ca_signed["intermediates"] = all(&self.intermediates).into();
        }
        if !self.lists.is_empty() {
            ca_signed["crl"] = json!({ "check": "path", "lists": all(&self.lists) });
        }
        let mut certificates = json!({ "source": "connection" });
        let mut host = json!({
            "custom_domain": CUSTOM_DOMAIN,
            "profile": "generic",
            "origin": { "host": "origin.example.test" },
        });
        if self.way == Way::Presented {
            certificates["source"] = json!({ "proxy_field": "client-cert", "encoding": "rfc9440" });
            ca_signed["presented_chain"] = "proxy_field".into();
            host["trusted_proxies"] = json!(["127.0.0.1/32"]);
        }
        certificates["ca_signed"] = ca_signed;
        host["client_certificates"] = certificates;
        json!({ "version": 1, "hosts": [host] })
    }

    fn client_certificate(&self) -> ClientCertificate {
        match self.way {
            // The verdict is one the edge does not ask for.
            Way::Configured => {
                ClientCertificate::from_der(self.leaf.to_vec(), HostVerdict::NotVerified)
            }
            Way::Presented => ClientCertificate::None,
        }
    }

    /// RFC 9440 sections 2.2 and 2.3.
    fn fields(&self) -> Vec<(&'static str, String)> {
        if self.way == Way::Configured {
            return Vec::new();
        }
        let item = |der: &&[u8]| format!(":{}:", STANDARD.encode(der));
        let mut fields = vec![("client-cert", item(&self.leaf))];
        if !self.intermediates.is_empty() {
            let chain: Vec<String> = self.intermediates.iter().map(item).collect();
            fields.push(("client-cert-chain", chain.join(", ")));
        }
        fields
    }
}
