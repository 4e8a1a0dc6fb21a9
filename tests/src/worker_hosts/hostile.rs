//! Whatever `request.cf` may hold.

use std::cell::RefCell;
use std::error::Error;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use super::{
    ALIAS, CLIENT, EDGE, Outcome, Stage, forwarded, no_certificate, presenting, refused,
    token_request,
};
use crate::hosts::{DOMAIN, ensure};
use crate::http1;
use crate::pki::{encode_uri_component, thumbprint_hex};
use crate::wire::{WireRequest, WireResponse};
use crate::workerd::wire::{CF_BLOB, CLIENT_ADDRESS, absolute};

/// How many objects are made up, and of what: another seed makes others.
const CASES: u32 = 300;
const SEED: [u8; 32] = *b"hostile members of request.cf, 1";

/// The most bytes of `request.cf` that a request is sent with; workerd takes no larger head than that of 64 KiB.
const FITS: usize = 48 * 1024;

/// The members that the Worker reads, and where they stand.
const OUTER: [&str; 3] = ["tlsVersion", "tlsCipher", "httpProtocol"];
const INNER: [&str; 9] = [
    "certPresented",
    "certVerified",
    "certRevoked",
    "certRFC9440",
    "certRFC9440TooLarge",
    "certChainRFC9440",
    "certChainRFC9440TooLarge",
    "certFingerprintSHA256",
    "certSerial",
];

/// The request over HTTPS, with exactly this after the name of the field that becomes `request.cf`.
fn over_https(host: &str, cf: Option<&Value>) -> WireRequest {
    let request = token_request(host);
    let request = WireRequest {
        target: absolute("https", host.as_bytes(), &request.target),
        ..request
    }
    .header(CLIENT_ADDRESS, CLIENT.to_string());
    match cf {
        Some(cf) => request.header(CF_BLOB, cf.to_string()),
        None => request,
    }
}

fn ask(stage: &Stage, host: &str, cf: Option<&Value>) -> Result<WireResponse, Box<dyn Error>> {
    let edge = stage.shared(EDGE);
    Ok(http1::Client::new(edge.open()?).send(&over_https(host, cf))?)
}

/// A connection with the certificate of this name, with other members in its `tlsClientAuth`.
fn with(stage: &Stage, identity: &str, members: Value) -> Result<Value, Box<dyn Error>> {
    let mut cf = stage.cf(identity)?;
    replace(&mut cf["tlsClientAuth"], members);
    Ok(cf)
}

fn replace(object: &mut Value, members: Value) {
    let Value::Object(members) = members else {
        return;
    };
    for (name, value) in members {
        object[name] = value;
    }
}

/// What Cloudflare should not say, or cannot: each has its answer, and none of them lets a client in.
///
/// # Errors
/// When it is not so.
pub fn what_contradicts_itself_or_is_not_told_lets_nobody_in(stage: &Stage) -> Outcome {
    let good = stage.cf("ca_client")?;
    let other = thumbprint_hex(stage.pki.get("self_signed")?.leaf());
    let certificate = good["tlsClientAuth"]["certRFC9440"].clone();
    let large = format!(":{}:", "A".repeat(10 * 1024));
    let with = |members| with(stage, "ca_client", members);
    let mut without_auth = good.clone();
    without_auth["tlsClientAuth"] = Value::Null;
    let mut nothing_presented = no_certificate();
    replace(
        &mut nothing_presented["tlsClientAuth"],
        json!({ "certRFC9440": certificate }),
    );
    let mut flagged = no_certificate();
    replace(
        &mut flagged["tlsClientAuth"],
        json!({ "certRFC9440TooLarge": true }),
    );
    let contradictory = (503, "host_contradictory");
    let unsupported = (503, "host_unsupported");
    let cases = [
        (
            "0 with a certificate",
            with(json!({ "certPresented": "0" }))?,
            contradictory,
        ),
        (
            "nothing but a certificate",
            nothing_presented,
            contradictory,
        ),
        ("0 and too large", flagged, contradictory),
        (
            "1 without a certificate",
            with(json!({ "certRFC9440": "", "certFingerprintSHA256": "" }))?,
            unsupported,
        ),
        (
            "1 and only a fingerprint",
            with(json!({ "certRFC9440": "" }))?,
            unsupported,
        ),
        (
            "too large",
            with(json!({ "certRFC9440": "", "certRFC9440TooLarge": true }))?,
            (400, "certificate_too_large"),
        ),
        (
            "too large and there",
            with(json!({ "certRFC9440TooLarge": true }))?,
            contradictory,
        ),
        (
            "10 KB that are no certificate",
            with(json!({ "certRFC9440": large, "certFingerprintSHA256": "" }))?,
            (400, "certificate_malformed"),
        ),
        (
            "no base64",
            with(json!({ "certRFC9440": ":%%%:" }))?,
            (400, "certificate_malformed"),
        ),
        (
            "another fingerprint",
            with(json!({ "certFingerprintSHA256": other }))?,
            contradictory,
        ),
        (
            "a fingerprint that is none",
            with(json!({ "certFingerprintSHA256": "00" }))?,
            contradictory,
        ),
        (
            "verified NONE with a certificate",
            with(json!({ "certVerified": "NONE" }))?,
            contradictory,
        ),
        (
            "no word of what was presented",
            with(json!({ "certPresented": null }))?,
            unsupported,
        ),
        (
            "a number",
            with(json!({ "certPresented": 1 }))?,
            unsupported,
        ),
        (
            "a truth value",
            with(json!({ "certPresented": true }))?,
            unsupported,
        ),
        (
            "a member with NUL",
            with(json!({ "certPresented": "1\0" }))?,
            unsupported,
        ),
        (
            "a member with U+0001",
            with(json!({ "certPresented": "1\x01=1" }))?,
            unsupported,
        ),
        ("no tlsClientAuth", without_auth, unsupported),
        ("nothing", json!({}), unsupported),
    ];
    stage.origin.take();
    for (what, cf, (status, code)) in cases {
        let response = ask(stage, ALIAS, Some(&cf))?;
        refused(&response, status, code).map_err(|why| format!("{what}: {why}"))?;
        stage.nothing_at_origin()?;
        // The custom domain is for clients without a certificate as well, and tells none.
        let response = ask(stage, DOMAIN, Some(&cf))?;
        forwarded(&response).map_err(|why| format!("{what}, custom domain: {why}"))?;
        tells_no_certificate(stage).map_err(|why| format!("{what}: {why}"))?;
    }
    let response = ask(stage, ALIAS, None)?;
    refused(&response, 503, "host_unsupported")?;
    stage.nothing_at_origin()?;
    // What the edge has not asked for does not matter.
    for members in [
        json!({ "certChainRFC9440": "", "certChainRFC9440TooLarge": true }),
        json!({ "certChainRFC9440": 1 }),
        json!({ "certFingerprintSHA256": "" }),
        json!({ "certSerial": ["\0"] }),
    ] {
        let response = ask(stage, ALIAS, Some(&with(members.clone())?))?;
        forwarded(&response).map_err(|why| format!("{members}: {why}"))?;
        stage.origin.take();
    }
    Ok(())
}

fn tells_no_certificate(stage: &Stage) -> Outcome {
    let one = stage.one_at_origin()?;
    let told = [
        one.values("client-certificate"),
        one.values("client-certificate-ca-verified"),
    ];
    ensure(told.iter().all(Vec::is_empty), || format!("{told:?}"))
}

/// A value of any type, small or large.
fn any_value(texts: Vec<String>) -> BoxedStrategy<Value> {
    let text = prop_oneof![
        4 => proptest::sample::select(texts),
        1 => "\\PC{0,20}",
        1 => vec(proptest::sample::select(vec!["\0", "\u{1}", "=", ":", ",", "1", "é", "\r\n"]), 0..6)
            .prop_map(|parts| parts.concat()),
        1 => (0..FITS / 3, proptest::sample::select(vec!["A", ":", "\u{1}"]))
            .prop_map(|(count, part)| part.repeat(count / 6)),
    ];
    let leaf = prop_oneof![
        6 => text.prop_map(Value::from),
        1 => Just(Value::Null),
        2 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{1,4}", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Members with these names, of which some are missing.
fn any_members(
    names: &'static [&'static str],
    texts: Vec<String>,
) -> BoxedStrategy<Map<String, Value>> {
    let each = proptest::option::weighted(0.3, any_value(texts));
    vec(each, names.len())
        .prop_map(|values| {
            let members = names.iter().zip(values);
            members
                .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
                .collect()
        })
        .boxed()
}

/// A true `request.cf` with some of its members replaced, removed, or everything.
fn any_cf(stage: &Stage) -> Result<BoxedStrategy<Value>, Box<dyn Error>> {
    let mut bases = vec![json!({}), no_certificate()];
    let mut texts: Vec<String> = [
        "",
        "0",
        "1",
        "2",
        "SUCCESS",
        "NONE",
        "FAILED:self signed certificate",
        "TLSv1.3",
        "TLSv1.2",
        "AEAD-AES128-GCM-SHA256",
        ":AQID:",
        "::",
        ":",
        "true",
    ]
    .map(str::to_owned)
    .into();
    for identity in [
        "ca_client",
        "self_signed",
        "unknown_ca_client",
        "ca_client_via_intermediate",
    ] {
        let cf = stage.cf(identity)?;
        for name in ["certRFC9440", "certFingerprintSHA256", "certChainRFC9440"] {
            texts.extend(cf["tlsClientAuth"][name].as_str().map(str::to_owned));
        }
        bases.push(cf);
    }
    let removed = vec(proptest::sample::select(INNER.to_vec()), 0..3);
    let strategy = (
        proptest::sample::select(bases),
        any_members(&OUTER, texts.clone()),
        any_members(&INNER, texts.clone()),
        removed,
        proptest::option::weighted(0.05, any_value(texts)),
    )
        .prop_map(|(mut cf, outer, inner, removed, auth)| {
            replace(&mut cf, Value::Object(outer));
            match auth {
                Some(auth) => cf["tlsClientAuth"] = auth,
                None => {
                    replace(&mut cf["tlsClientAuth"], Value::Object(inner));
                    for name in removed {
                        if let Some(auth) = cf["tlsClientAuth"].as_object_mut() {
                            auth.remove(name);
                        }
                    }
                }
            }
            cf
        })
        .prop_filter("it does not fit", |cf| cf.to_string().len() < FITS);
    Ok(strategy.boxed())
}

/// Objects made up at random: the edge forwards or refuses in its own words, nothing throws, and on the alias a
/// certificate is told only when `request.cf` shows exactly that one and says that it was presented.
///
/// # Errors
/// With the smallest object for which it is not so.
pub fn whatever_cf_holds_the_edge_decides_and_tells_no_certificate_but_a_good_one(
    stage: &Stage,
) -> Outcome {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let written = stage.shared(EDGE).written()?;
    let tally = RefCell::new((0, 0));
    let outcome = runner.run(&any_cf(stage)?, |cf| {
        check(stage, &cf, &tally).map_err(|why| TestCaseError::fail(why.to_string()))
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, cf)) => {
            let seed = String::from_utf8_lossy(&SEED);
            return Err(format!("{why}, with seed `{seed}` and {cf}").into());
        }
        Err(error) => return Err(error.to_string().into()),
    }
    let (told, refused) = tally.into_inner();
    println!("   of {CASES} objects {told} let a client in and {refused} did not, on the alias");
    // Otherwise the objects are too odd, or not odd enough, to say anything.
    ensure(told > 10 && refused > 10, || format!("{told}, {refused}"))?;
    // Nothing but refusals is written.
    written.lines().map(drop)
}

fn check(stage: &Stage, cf: &Value, tally: &RefCell<(u32, u32)>) -> Outcome {
    stage.origin.take();
    let response = ask(stage, ALIAS, Some(cf))?;
    if response.status == 200 {
        forwarded(&response)?;
        let one = stage.one_at_origin()?;
        let told = one.values("client-certificate");
        let good = ["ca_client", "self_signed", "ca_client_via_intermediate"];
        let auth = &cf["tlsClientAuth"];
        let shown = good.iter().find_map(|name| {
            let identity = stage.pki.get(name).ok()?;
            let shown = &presenting(identity)["tlsClientAuth"]["certRFC9440"];
            (auth["certRFC9440"] == *shown).then(|| encode_uri_component(&identity.leaf_pem()))
        });
        let is_right =
            auth["certPresented"] == "1" && shown.is_some_and(|shown| told == [shown.as_bytes()]);
        ensure(is_right, || format!("{cf} let in {told:?}"))?;
        tally.borrow_mut().0 += 1;
    } else {
        is_the_edges_own(&response)?;
        stage.nothing_at_origin()?;
        tally.borrow_mut().1 += 1;
    }
    let response = ask(stage, DOMAIN, Some(cf))?;
    if response.status == 200 {
        forwarded(&response)?;
        tells_no_certificate(stage)
    } else {
        is_the_edges_own(&response)?;
        stage.nothing_at_origin()
    }
}

fn is_the_edges_own(response: &WireResponse) -> Outcome {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let is_own = body["edge_code"].is_string()
        && body["request_id"].is_string()
        && (response.status < 500 || response.status == 503);
    ensure(is_own, || format!("no answer of the edge: {response:?}"))
}
