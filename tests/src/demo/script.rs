//! What the demo tries itself: what has to pass, and what has to be refused.

use std::error::Error;

use super::attempt::Attempt;
use super::attempt::Expected::{Closed, Forwarded, Refused};
use super::audit::Audit;
use super::edge::Edge;
use super::stage::{CA_SIGNED, SELF_SIGNED, SELF_SIGNED_ED25519, Stage};
use super::table::Section;
use super::{ALIAS, DOMAIN, around};
use crate::pki::{Identity, PkiError, encode_uri_component};

/// The token endpoint.
pub(super) const TOKEN: &str = "/oauth/token";
/// The client whose key is too short.
const WEAK: &str = "ca_client_rsa1024";

const USERINFO: &str = "/userinfo";
const JWKS: &str = "/.well-known/jwks.json";

/// Runs everything.
pub(super) fn run(stage: &Stage, audit: &mut Audit) -> Result<Vec<Section>, Box<dyn Error>> {
    let ca_signed = stage.pki.get(CA_SIGNED)?;
    let mut sections = vec![Section {
        title: "The origin's own document".to_owned(),
        rows: vec![around::discovery(stage, audit)?],
    }];
    for (title, attempts) in [
        ("Client certificates", certificates(stage)?),
        ("Paths, with the certificate of client-1", paths(ca_signed)),
        ("Names", names(&stage.edge, ca_signed)),
        ("Claims in headers", claims(stage)?),
    ] {
        let rows = attempts.iter().map(|attempt| attempt.run(stage, audit));
        sections.push(Section {
            title: title.to_owned(),
            rows: rows.collect::<Result<_, _>>()?,
        });
    }
    sections.push(stage.edge.replaced(stage, audit)?);
    let mut rows = vec![around::origin_without_key(stage, audit)?];
    rows.extend(stage.edge.around(stage, audit)?);
    sections.push(Section {
        title: "Around the edge".to_owned(),
        rows,
    });
    Ok(sections)
}

fn certificates(stage: &Stage) -> Result<Vec<Attempt<'_>>, PkiError> {
    let pki = &stage.pki;
    let mut attempts = vec![
        Attempt::token(
            "CA-signed",
            "client-1",
            Some(pki.get(CA_SIGNED)?),
            TOKEN,
            Forwarded(200),
        ),
        Attempt::token(
            "self-signed",
            "client-3",
            Some(pki.get(SELF_SIGNED)?),
            TOKEN,
            Forwarded(200),
        )
        .http2(),
        Attempt::token(
            "self-signed, Ed25519",
            "client-4",
            Some(pki.get(SELF_SIGNED_ED25519)?),
            TOKEN,
            Forwarded(200),
        ),
        Attempt::token(
            "none",
            "client-1",
            None,
            TOKEN,
            Refused("certificate_required", 400),
        ),
        Attempt::new(
            "none, with a token",
            "GET",
            ALIAS,
            USERINFO,
            Refused("certificate_required", 401),
        )
        .header("authorization", "Bearer stolen"),
    ];
    for (what, name, code) in [
        ("expired", "ca_client_expired", "certificate_expired"),
        (
            "not valid yet",
            "ca_client_not_yet_valid",
            "certificate_not_yet_valid",
        ),
        (
            "CA-signed, not on the allow list",
            "ca_client_other",
            "certificate_not_registered",
        ),
        (
            "self-signed, not registered",
            "self_signed_other",
            "certificate_not_registered",
        ),
        (
            "self-signed, in the name of client-1",
            "self_signed_subject_of_ca_client",
            "certificate_not_registered",
        ),
        (
            "in the name of client-1, from a namesake of the CA",
            "same_subject_other_ca",
            "certificate_bad_signature",
        ),
        (
            "from an unknown CA",
            "unknown_ca_client",
            "certificate_unknown_issuer",
        ),
        (
            "CA-signed, an authority's own (CA:TRUE)",
            "ca_client_is_ca",
            "certificate_is_authority",
        ),
        (
            "for servers only",
            "ca_client_eku_server_only",
            "certificate_usage",
        ),
        ("weak key (RSA 1024)", WEAK, "certificate_key_weak"),
    ] {
        // The stand-in's TLS library has no signatures of such keys; Cloudflare's has.
        if name == WEAK && matches!(stage.edge, Edge::Worker(_)) {
            continue;
        }
        attempts.push(Attempt::token(
            what,
            "client-1",
            Some(pki.get(name)?),
            TOKEN,
            Refused(code, 400),
        ));
    }
    attempts.push(Attempt::token(
        "too large for its header",
        "client-2",
        Some(&stage.oversized),
        TOKEN,
        Refused("certificate_too_large", 400),
    ));
    Ok(attempts)
}

fn paths(ca_signed: &Identity) -> Vec<Attempt<'_>> {
    let on_alias =
        |what, path, expected| Attempt::token(what, "client-1", Some(ca_signed), path, expected);
    let invalid = Refused("invalid_path", 400);
    let not_allowed = Refused("path_not_allowed", 404);
    vec![
        on_alias("dot segment", "/oauth/../oauth/token", invalid),
        on_alias("encoded dot segment", "/oauth/%2e%2e/oauth/token", invalid).http2(),
        on_alias("backslash", "/oauth\\token", invalid),
        on_alias("encoded slash", "/oauth%2ftoken", not_allowed),
        on_alias("encoded letter", "/oauth/toke%6e", not_allowed),
        on_alias("doubled slash", "//oauth/token", not_allowed),
        on_alias("slash at the end", "/oauth/token/", not_allowed),
        on_alias("other letters", "/OAuth/Token", not_allowed),
        on_alias("parameter", "/oauth/token;a=b", not_allowed),
        on_alias("not served on the alias", "/authorize", not_allowed),
        Attempt::new(
            "dot segment at the custom domain",
            "GET",
            DOMAIN,
            "/a/../userinfo",
            invalid,
        ),
    ]
}

fn names<'a>(edge: &Edge, ca_signed: &'a Identity) -> Vec<Attempt<'a>> {
    // A Worker is not told the TLS server name. It sees that there is no certificate.
    let misdirected = match edge {
        Edge::Envoy(_) => Refused("misdirected_request", 421),
        Edge::Worker(_) => Refused("certificate_required", 400),
    };
    let mut attempts = vec![
        // The one that would otherwise skip the request for a certificate.
        Attempt::token(
            "TLS for the custom domain, host the alias",
            "client-1",
            None,
            TOKEN,
            misdirected,
        )
        .server_name(DOMAIN),
        Attempt::new(
            "TLS for the alias with certificate, host the domain",
            "GET",
            DOMAIN,
            JWKS,
            Forwarded(200),
        )
        .server_name(ALIAS)
        .identity(ca_signed),
        Attempt::new(
            "a host that is not served",
            "GET",
            "other.localhost",
            "/",
            Refused("unknown_host", 404),
        )
        .server_name(DOMAIN),
    ];
    // Which names have TLS at all is for Cloudflare to say, and nothing of a Worker's.
    if let Edge::Envoy(_) = edge {
        let unserved = Attempt::token(
            "TLS for a name that is not served",
            "client-1",
            Some(ca_signed),
            TOKEN,
            Closed,
        );
        attempts.push(unserved.server_name("other.localhost"));
    }
    attempts
}

/// Headers by which a client says who it is, which is for the edge to say.
fn claims(stage: &Stage) -> Result<Vec<Attempt<'_>>, PkiError> {
    let pki = &stage.pki;
    let certificate = encode_uri_component(&pki.get(CA_SIGNED)?.leaf_pem());
    let domain = |what, method, path, expected| {
        forged(
            Attempt::new(what, method, DOMAIN, path, expected),
            &certificate,
        )
    };
    let alias = |what, client, identity, expected| {
        forged(
            Attempt::token(what, client, identity, TOKEN, expected),
            &certificate,
        )
    };
    let self_signed = Some(pki.get(SELF_SIGNED)?);
    let replaced = |what| alias(what, "client-3", self_signed, Forwarded(200));
    let mut attempts = vec![
        domain("removed at the custom domain", "GET", JWKS, Forwarded(200)),
        domain(
            "no client authentication either",
            "POST",
            TOKEN,
            Forwarded(401),
        )
        .form("client-1"),
        alias(
            "no certificate",
            "client-1",
            None,
            Refused("certificate_required", 400),
        ),
        replaced("replaced by the real certificate"),
        alias(
            "another client's name on it",
            "client-1",
            self_signed,
            Forwarded(401),
        ),
    ];
    if let Edge::Envoy(_) = stage.edge {
        attempts.push(replaced("replaced by the real certificate").http2());
    }
    Ok(attempts)
}

fn forged<'a>(attempt: Attempt<'a>, certificate: &str) -> Attempt<'a> {
    attempt
        .header("client-certificate", certificate)
        .header("client-certificate-ca-verified", "SUCCESS")
        .header("client_certificate", certificate)
        .header("x-forwarded-client-cert", "By=spiffe://forged;Hash=00")
        .header("x-ssl-client-verify", "SUCCESS")
        .header("cname-api-key", "guessed")
        .header("x-forwarded-for", "192.0.2.1")
        .header("true-client-ip", "192.0.2.1")
        .header("x-original-url", "/admin")
}
