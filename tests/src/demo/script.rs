//! What the demo tries itself: what has to pass, and what has to be refused.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use auth_edge::certificate::LeafCert;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::attempt::Attempt;
use super::attempt::Expected::{Closed, Forwarded, Refused};
use super::audit::Audit;
use super::stage::{CA_SIGNED, SELF_SIGNED, SELF_SIGNED_ED25519, Stage};
use super::table::{Row, Section};
use super::{ALIAS, DOMAIN, around};
use crate::pki::{DAY, Identity, Pki, PkiError, encode_uri_component};
use crate::poll;
use crate::shipped::replace;

/// How long a replaced configuration may take to be in force in every worker.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);
const STATS: &str = "extension_config_discovery.http_filter.auth_edge";

const TOKEN: &str = "/oauth/token";
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
        ("Names", names(ca_signed)),
        ("Claims in headers", claims(&stage.pki)?),
    ] {
        let rows = attempts.iter().map(|attempt| attempt.run(stage, audit));
        sections.push(Section {
            title: title.to_owned(),
            rows: rows.collect::<Result<_, _>>()?,
        });
    }
    sections.push(Section {
        title: "The configuration is replaced while Envoy runs".to_owned(),
        rows: replaced(stage, audit)?,
    });
    sections.push(Section {
        title: "Around the edge".to_owned(),
        rows: vec![
            around::health(stage, audit)?,
            around::origin_without_key(stage, audit)?,
            around::secret(stage)?,
        ],
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
            "self-signed, HTTP/2",
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
        (
            "weak key (RSA 1024)",
            "ca_client_rsa1024",
            "certificate_key_weak",
        ),
    ] {
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
        on_alias(
            "encoded dot segment, HTTP/2",
            "/oauth/%2e%2e/oauth/token",
            invalid,
        )
        .http2(),
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

fn names(ca_signed: &Identity) -> Vec<Attempt<'_>> {
    vec![
        // The one that would otherwise skip the request for a certificate.
        Attempt::token(
            "TLS for the custom domain, host the alias",
            "client-1",
            None,
            TOKEN,
            Refused("misdirected_request", 421),
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
        Attempt::token(
            "TLS for a name that is not served",
            "client-1",
            Some(ca_signed),
            TOKEN,
            Closed,
        )
        .server_name("other.localhost"),
        Attempt::new(
            "a host that is not served",
            "GET",
            "other.localhost",
            "/",
            Refused("unknown_host", 404),
        )
        .server_name(DOMAIN),
    ]
}

/// Headers by which a client says who it is, which is for the edge to say.
fn claims(pki: &Pki) -> Result<Vec<Attempt<'_>>, PkiError> {
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
    Ok(vec![
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
        alias(
            "replaced by the real certificate",
            "client-3",
            self_signed,
            Forwarded(200),
        ),
        alias("the same, HTTP/2", "client-3", self_signed, Forwarded(200)).http2(),
        alias(
            "another client's name on it",
            "client-1",
            self_signed,
            Forwarded(401),
        ),
    ])
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

fn replaced(stage: &Stage, audit: &mut Audit) -> Result<Vec<Row>, Box<dyn Error>> {
    let shipped = &stage.edge_yaml;
    let without_self_signed = without_self_signed(shipped)?;
    let bad = replace(shipped, "\"version\": 1,", "\"version\": 2,")?;
    let self_signed = |what, expected| -> Result<_, PkiError> {
        Ok(Attempt::token(
            what,
            "client-3",
            Some(stage.pki.get(SELF_SIGNED)?),
            TOKEN,
            expected,
        ))
    };
    let refused = self_signed(
        "one that takes no self-signed certificates",
        Refused("certificate_kind_not_accepted", 400),
    )?;
    let mut rows = Vec::new();
    move_into_place(stage, &revoking(stage)?, "update_success")?;
    let revoked = Attempt::token(
        "one with a list that revokes client-1",
        "client-1",
        Some(stage.pki.get(CA_SIGNED)?),
        TOKEN,
        Refused("certificate_revoked", 400),
    );
    rows.push(once_in_force(&revoked, stage, audit)?);
    move_into_place(stage, &without_self_signed, "update_success")?;
    rows.push(once_in_force(&refused, stage, audit)?);
    // The former one stays, whatever the new one would have allowed.
    move_into_place(stage, &bad, "update_rejected")?;
    let kept = self_signed(
        "a faulty one: the former stays in force",
        Refused("certificate_kind_not_accepted", 400),
    )?;
    rows.push(kept.run(stage, audit)?);
    move_into_place(stage, shipped, "update_success")?;
    let back = self_signed("the shipped one again", Forwarded(200))?;
    rows.push(once_in_force(&back, stage, audit)?);
    Ok(rows)
}

/// The configuration with a revocation list of the clients' authority, on which client-1 stands.
fn revoking(stage: &Stage) -> Result<String, Box<dyn Error>> {
    let leaf = LeafCert::parse(stage.pki.get(CA_SIGNED)?.leaf().to_vec())?;
    let now = stage.pki.generated_at();
    let authority = stage.pki.authority("ca")?;
    let list = authority.revocation_list(&[leaf.serial()], now - DAY, now + DAY)?;
    let crl = format!(
        "\"crl\": {{ \"check\": \"leaf\", \"lists\": [\"{}\"] }},\n                      \"roots\":",
        STANDARD.encode(list)
    );
    Ok(replace(&stage.edge_yaml, "\"roots\":", &crl)?)
}

/// The configuration with the member `self_signed`, the last of its object, taken out.
fn without_self_signed(shipped: &str) -> Result<String, String> {
    let missing = "the shipped configuration has another form than the demo knows";
    let (before, rest) = shipped.split_once("\"self_signed\": {").ok_or(missing)?;
    let (_, after) = rest.split_once('}').ok_or(missing)?;
    let before = before.trim_end().strip_suffix(',').ok_or(missing)?;
    Ok(format!("{before}{after}"))
}

/// Replaces the configuration and waits until Envoy has judged it.
fn move_into_place(stage: &Stage, text: &str, outcome: &str) -> Result<(), Box<dyn Error>> {
    let counter = format!("{STATS}.{outcome}");
    let count = || -> Result<u64, Box<dyn Error>> { Ok(stage.envoy.stat(&counter)?.unwrap_or(0)) };
    let before = count()?;
    stage.replace_edge_yaml(text)?;
    poll::until(RELOAD_LIMIT, || match count() {
        Ok(now) if now == before => None,
        other => Some(other.map(drop)),
    })
    .unwrap_or_else(|| {
        Err(format!("envoy did not count `{outcome}` for the new configuration").into())
    })
}

/// Envoy counts before every worker has changed over, so the first answers may be the former ones.
fn once_in_force(
    attempt: &Attempt<'_>,
    stage: &Stage,
    audit: &mut Audit,
) -> Result<Row, Box<dyn Error>> {
    let deadline = Instant::now() + RELOAD_LIMIT;
    loop {
        let row = attempt.run(stage, audit)?;
        if row.faults.is_empty() || Instant::now() > deadline {
            return Ok(row);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
