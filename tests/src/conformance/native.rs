//! The core alone, given what the wire and the handshake would show it.

use std::error::Error;

use auth_edge::reply::Reply;
use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, Removal, ServerName, ShownChain, Tls, TlsVersion,
    Transport,
};
use auth_edge::trust::Chain;
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::config_json;
use auth_edge::{Decision, decide};

use super::expect::{Answer, Outcome, Upstream, compare};
use super::facts::Shows;
use super::vector::{self, Expect, Refuse, Vector};
use crate::nginx::ingress::Read;
use crate::pki::{Identity, Pki, thumbprint_hex};
use crate::wire::WireRequest;

/// What a vector expects of a host program that shows no more than this.
#[derive(Clone, Debug)]
pub enum Expected {
    /// What it says.
    AsWritten,
    /// A refusal, because a fact is missing.
    Lacking(Expect),
}

/// What the vector expects where the host program shows this much.
///
/// # Errors
/// When the core decides neither as the vector says nor for want of a fact that the configuration
/// asks for.
pub fn expected(vector: &Vector, pki: &Pki, shows: Shows) -> Result<Expected, Box<dyn Error>> {
    let outcome = run(vector, pki, shows)?;
    let Err(differs) = compare(&vector.expect, &vector.request, &outcome, pki) else {
        return Ok(Expected::AsWritten);
    };
    let unsupported = Expect::Refuse(Refuse {
        code: "host_unsupported".into(),
        status: 503,
        error: "temporarily_unavailable".into(),
        allow: None,
        challenges: Vec::new(),
        description: None,
    });
    let is_unsupported = compare(&unsupported, &vector.request, &outcome, pki).is_ok();
    if is_unsupported && vector.asks_for_more_than(shows)? {
        return Ok(Expected::Lacking(unsupported));
    }
    Err(differs)
}

/// Runs a vector against the core, as a host program would ask it that shows this much.
///
/// # Errors
/// When the vector cannot be run.
pub fn run(vector: &Vector, pki: &Pki, shows: Shows) -> Result<Outcome, Box<dyn Error>> {
    run_on(vector, pki, On::Envoy(shows))
}

/// What NGINX shows and does.
#[derive(Clone, Copy, Debug)]
pub struct Nginx<'a> {
    /// The request as it read it.
    pub read: &'a Read,
    /// The fields that it replaces.
    pub replaced: &'a [String],
    /// The configuration it was given.
    pub config: &'a str,
}

/// Runs a vector against the core, given what NGINX shows.
///
/// # Errors
/// When the vector cannot be run.
pub fn run_behind_nginx(
    vector: &Vector,
    pki: &Pki,
    nginx: &Nginx<'_>,
) -> Result<Outcome, Box<dyn Error>> {
    run_on(vector, pki, On::Nginx(nginx))
}

/// What a vector means behind Cloudflare.
#[derive(Clone, Debug)]
pub struct BehindCloudflare {
    /// The configuration, which reads a chain where Cloudflare tells it.
    pub config: String,
    /// Whether the vector's own configuration reads a field that only Envoy writes.
    pub reads_own_xfcc: bool,
}

/// The vector's configuration, as an operator of the Worker writes it.
///
/// # Errors
/// When the vector has none.
pub fn behind_cloudflare(vector: &Vector, pki: &Pki) -> Result<BehindCloudflare, Box<dyn Error>> {
    let text = vector.setup(pki, Shows::Verdict)?.config;
    let mut config: serde_json::Value = serde_json::from_str(&text)?;
    let mut reads_own_xfcc = false;
    let hosts = config["hosts"].as_array().map_or(0, Vec::len);
    let hosts = (0..hosts).map(|index| format!("/hosts/{index}"));
    let places = hosts.chain(["/defaults".to_owned()]);
    let policies = ["client_certificates", "shadow/client_certificates"];
    let policies = places.flat_map(|place| policies.map(|policy| format!("{place}/{policy}")));
    for policy in policies {
        let Some(policy) = config.pointer_mut(&policy) else {
            continue;
        };
        if let Some(ca_signed) = policy.get_mut("ca_signed")
            && ca_signed["presented_chain"] == "envoy_xfcc"
        {
            reads_own_xfcc = true;
            ca_signed["presented_chain"] = "host".into();
        }
        if let Some(policy) = policy.as_object_mut()
            && policy
                .get("source")
                .is_some_and(|source| source == "envoy_xfcc")
        {
            reads_own_xfcc = true;
            policy.remove("source");
        }
    }
    Ok(BehindCloudflare {
        config: config.to_string(),
        reads_own_xfcc,
    })
}

/// Runs a vector against the core, given what Cloudflare tells a Worker.
///
/// # Errors
/// When the vector cannot be run.
pub fn run_behind_cloudflare(
    vector: &Vector,
    pki: &Pki,
    shown: &BehindCloudflare,
) -> Result<Outcome, Box<dyn Error>> {
    run_on(vector, pki, On::Cloudflare(shown))
}

/// Whose facts the core is given.
#[derive(Clone, Copy)]
enum On<'a> {
    Envoy(Shows),
    Nginx(&'a Nginx<'a>),
    Cloudflare(&'a BehindCloudflare),
}

fn run_on(vector: &Vector, pki: &Pki, on: On<'_>) -> Result<Outcome, Box<dyn Error>> {
    let shows = match on {
        On::Envoy(shows) => shows,
        On::Nginx(_) | On::Cloudflare(_) => Shows::Verdict,
    };
    let setup = vector.setup(pki, shows)?;
    let config = match on {
        On::Envoy(_) => &setup.config,
        On::Nginx(nginx) => nginx.config,
        On::Cloudflare(shown) => &shown.config,
    };
    let now = u64::try_from(pki.generated_at())?;
    let config = config_json::parse(config.as_bytes(), now, &vector::secret)?;
    let mut wire = vector.request.wire(pki)?;
    let identity = vector.request.certificate.as_deref();
    let identity = identity.map(|name| pki.get(name)).transpose()?;
    let mut normalized_path = None;
    match on {
        On::Envoy(_) => wire.headers = setup.xfcc.applied_to(&wire.headers, identity),
        On::Nginx(Nginx { read, .. }) => {
            wire.headers = read.fields.clone();
            // The host is one of the fields.
            wire.authority = None;
            normalized_path = Some(read.uri.as_slice());
        }
        On::Cloudflare(_) => {}
    }
    let server_name = vector.request.server_name().map(str::to_owned);
    let chain = identity.map_or(&[][..], |identity| &identity.chain);
    let connection = Connection::new(if vector.request.plain {
        Transport::Plain
    } else {
        Transport::Tls(Box::new(Tls {
            version: match vector.request.tls12 {
                true => TlsVersion::Tls12,
                false => TlsVersion::Tls13,
            },
            cipher_suite: match (on, vector.request.tls12) {
                (On::Envoy(_), _) => None,
                (On::Nginx(_) | On::Cloudflare(_), true) => {
                    Some(super::nginx::TLS12_SUITE.to_owned())
                }
                (On::Nginx(_), false) => Some(super::nginx::TLS13_SUITE.to_owned()),
                (On::Cloudflare(_), false) => Some("AEAD-AES128-GCM-SHA256".to_owned()),
            },
            server_name: match on {
                On::Envoy(_) | On::Nginx(_) => server_name.into(),
                On::Cloudflare(_) => ServerName::Unavailable,
            },
            presented_chain: match on {
                On::Envoy(_) | On::Nginx(_) => ShownChain::NotShown,
                On::Cloudflare(_) => {
                    let others = chain.iter().skip(1).cloned().collect();
                    ShownChain::Shown(Chain::new(others))
                }
            },
            client_certificate: identity
                .map_or(Ok(ClientCertificate::None), |it| certificate(it, shows))?,
        }))
    });
    let fields: Vec<(&[u8], &[u8])> = wire
        .headers
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    let request = auth_edge::Request {
        method: &wire.method,
        target: &wire.target,
        normalized_path,
        authority: wire.authority.as_deref(),
        protocol: None,
        fields: &fields,
        peer: [127, 0, 0, 1].into(),
        connection: Ok(&connection),
        removal: match on {
            On::Envoy(_) | On::Cloudflare(_) => Removal::Any,
            On::Nginx(nginx) => Removal::Named(nginx.replaced),
        },
        acme_answer: None,
    };
    let mut verdicts = VerdictCache::new();
    let decision = decide(&request, &config, now, &mut verdicts);
    // the answer is the same with a warm cache.
    if decide(&request, &config, now, &mut verdicts) != decision {
        return Err("the decision differs with a warm verdict cache".into());
    }
    Ok(match decision {
        Decision::Forward(edits) => {
            let watched = edits.shadow.map(|refusal| {
                let line = refusal.shadow_line(&request, "native-1");
                check_log(&line, &wire).map(|()| refusal.reason.code())
            });
            let watched = watched.transpose()?;
            // Cloudflare does not tell all that would be watched.
            if !matches!(on, On::Cloudflare(_))
                && let Expect::Forward(expected) = &vector.expect
                && expected.shadow.as_deref() != watched
            {
                return Err(format!(
                    "expected {:?} to be watched, found {watched:?}",
                    expected.shadow
                )
                .into());
            }
            let kept = wire.headers.iter().enumerate();
            let kept = kept.filter(|(index, _)| !edits.remove.contains(*index));
            let set = edits.set.iter();
            let set = set.map(|(name, value)| (name.into(), value.as_str().into()));
            Outcome::Forwarded(Upstream {
                authority: edits.authority.into(),
                target: wire.target.clone(),
                headers: kept.map(|(_, field)| field.clone()).chain(set).collect(),
            })
        }
        Decision::Respond(reply) => Outcome::Answered(answer(reply, &wire)),
        Decision::Refuse(refusal) => {
            check_log(&refusal.log_line(&request, "native-1"), &wire)?;
            Outcome::Answered(answer(refusal.reply(&request, "native-1"), &wire))
        }
    })
}

/// The client certificate as a fact of the connection.
fn certificate(identity: &Identity, shows: Shows) -> Result<ClientCertificate, Box<dyn Error>> {
    let host_verdict = match (shows, identity.host_verified) {
        (Shows::Digest, _) => {
            let digest = Some(thumbprint_hex(identity.leaf()).parse()?);
            return Ok(ClientCertificate::NotShown { digest });
        }
        (Shows::Certificate, _) => HostVerdict::Unavailable,
        (Shows::Verdict, true) => HostVerdict::Verified,
        (Shows::Verdict, false) => HostVerdict::NotVerified,
    };
    Ok(ClientCertificate::from_der(
        identity.leaf().to_vec(),
        host_verdict,
    ))
}

/// What the client gets of a reply.
fn answer(reply: Reply, wire: &WireRequest) -> Answer {
    Answer {
        status: reply.status,
        headers: reply
            .headers
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        body: if wire.method == b"HEAD" {
            Vec::new()
        } else {
            reply.body.into()
        },
    }
}

/// a log line is JSON and holds no query and no header value.
fn check_log(line: &str, wire: &WireRequest) -> Result<(), Box<dyn Error>> {
    let _: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)?;
    let query = wire.target.iter().skip_while(|byte| **byte != b'?');
    let query: Vec<u8> = query.copied().collect();
    let shown = |name: &[u8]| name.eq_ignore_ascii_case(b"host");
    let values = wire
        .headers
        .iter()
        .filter(|(name, _)| !shown(name))
        .map(|(_, value)| value);
    for text in values.chain([&query]).filter(|text| text.len() > 8) {
        if line.contains(String::from_utf8_lossy(text).as_ref()) {
            return Err(format!("the log line shows what it must not: {line}").into());
        }
    }
    Ok(())
}
