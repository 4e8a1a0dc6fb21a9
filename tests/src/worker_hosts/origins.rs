//! Origins that fail, and what the Worker leaves of an answer.

use std::error::Error;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, mpsc};

use serde_json::{Value, json};

use super::scripted::{Scripted, wait_for};
use super::streams::read_until;
use super::{
    ALIAS, CLIENT, CONFIG, EDGE, EDGE_WITH_HSTS, Edge, HSTS_VALUE, Outcome, SOON, Stage, arrived,
    forwarded, no_certificate, plain, refused, token_request,
};
use crate::conformance::vector::{API_KEY_VARIABLE, ORIGIN};
use crate::hosts::faults::origin_of_an_unknown_authority;
use crate::hosts::{DOMAIN, config, ensure};
use crate::http1;
use crate::origin::Origin;
use crate::wire::{WireError, WireRequest, WireResponse};
use crate::workerd::{Upstream, Worker, Workerd};

/// The custom domain of an origin that fails in this way, and the origin's name.
fn domain(fault: &str) -> String {
    format!("{fault}.faults.example.test")
}

fn origin_of(fault: &str) -> String {
    format!("origin.{fault}.example.test")
}

/// A workerd with one Worker, and for each fault a custom domain in front of an origin that has it.
fn in_front_of(stage: &Stage, faults: &[(&str, SocketAddr)]) -> Result<Workerd, Box<dyn Error>> {
    let mut config = config(&stage.pki)?;
    let hosts = faults.iter().map(|(fault, _)| {
        json!({
            "custom_domain": domain(fault),
            "origin": { "host": origin_of(fault), "api_key": { "env": API_KEY_VARIABLE } },
        })
    });
    config["hosts"] = hosts.collect();
    let mut worker = Worker {
        origins: faults
            .iter()
            .map(|(fault, address)| stage.upstream(&origin_of(fault), *address))
            .collect::<Vec<Upstream>>(),
        ..stage.worker(EDGE)?
    };
    worker
        .bindings
        .insert(CONFIG.into(), json!(config.to_string()));
    Ok(stage.start(&[worker])?)
}

/// Down, closing at once, of another name, of an unknown authority: each is answered 503 by the edge, on the
/// custom domain and on the alias, and nothing of the request is told to anybody.
///
/// # Errors
/// When it is not so.
pub fn an_origin_that_cannot_be_reached_is_answered_503_and_told(stage: &Stage) -> Outcome {
    let down = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let closed_port = down.local_addr()?;
    drop(down);
    let other_name = Origin::start(&stage.pki.server_identity(&["other.example.test"])?)?;
    let name = origin_of("untrusted");
    let untrusted = Origin::start(&origin_of_an_unknown_authority(&stage.pki, &[&name])?)?;
    let gone = Scripted::start(&stage.pki.server_identity(&[&origin_of("gone")])?, |peer| {
        peer.read_until("\r\n\r\n").map(drop)
    })?;
    let faults = [
        ("down", closed_port),
        ("misnamed", other_name.address()),
        ("untrusted", untrusted.address()),
        ("gone", gone.address()),
    ];
    let workerd = in_front_of(stage, &faults)?;
    let edge = Edge::of(&workerd, EDGE);
    let hidden = ["hidden-query", "hidden-token", "hidden-body", "BEGIN"];
    for (fault, _) in faults {
        let domain = domain(fault);
        for (host, cf) in [
            (domain.clone(), no_certificate()),
            (format!("mtls.{domain}"), stage.cf("ca_client")?),
        ] {
            let at = |why: Box<dyn Error>| format!("{fault}, {host}: {why}");
            let written = edge.written()?;
            let mut request = WireRequest::new("POST", &host, "/oauth/token?code=hidden-query")
                .header("authorization", "Bearer hidden-token");
            // Without a body it could be sent a second time.
            if host == domain {
                request = request.body("hidden-body");
            }
            let response = edge.ask(&request, &cf)?;
            let id = refused(&response, 503, "origin_unavailable").map_err(at)?;
            let body: Value = serde_json::from_slice(&response.body)?;
            let is_right = body["error"] == "temporarily_unavailable"
                && response.values("cache-control") == [b"no-store"]
                && response.values("content-type") == [b"application/json"];
            ensure(is_right, || format!("{fault}, {host}: {response:?}"))?;
            let (logs, points) = written.all()?;
            let told: Vec<&str> = logs.iter().map(|log| log.message.as_str()).collect();
            let text = format!("{response:?} {body} {told:?} {points:?}");
            for hidden in hidden {
                ensure(!text.contains(hidden), || {
                    format!("{fault}, {host}: `{hidden}` stands in {text}")
                })?;
            }
            let lines: Vec<Value> = told
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            let [line] = lines.as_slice() else {
                return Err(format!("{fault}, {host}: one line expected: {told:?}").into());
            };
            ensure(
                line["code"] == "origin_unavailable" && line["request_id"] == id,
                || format!("{fault}, {host}: {line}"),
            )?;
            let points: Vec<&Value> = points.iter().map(|it| &it.point["blobs"]).collect();
            let expected = [
                &json!(["forwarded", "", domain]),
                &json!(["refused", "origin_unavailable", domain]),
            ];
            ensure(points == expected, || {
                format!("{fault}, {host}: {points:?}")
            })?;
        }
    }
    ensure(gone.connections() == 2, || {
        format!("{} connections for 2 requests", gone.connections())
    })?;
    let impostors = other_name.take().len() + untrusted.take().len();
    ensure(impostors == 0, || "an impostor got a request".into())
}

/// An origin without an address is answered by Cloudflare, and that answer is passed on like any other.
///
/// # Errors
/// When it is not so.
pub fn what_cloudflare_answers_in_the_origins_place_is_passed_on(stage: &Stage) -> Outcome {
    let mut worker = stage.worker(EDGE)?;
    worker.origins.clear();
    let workerd = stage.start(&[worker])?;
    let response = Edge::of(&workerd, EDGE).ask(&token_request(DOMAIN), &no_certificate())?;
    ensure(response.status == 530, || format!("{response:?}"))
}

/// An answer that breaks off breaks off for the client as well, and the request is not sent again.
///
/// # Errors
/// When it is not so.
pub fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one(stage: &Stage) -> Outcome {
    for edge in [EDGE, EDGE_WITH_HSTS] {
        for target in ["/cut/length", "/cut/chunks"] {
            stage.origin.take();
            let request = WireRequest::new("POST", DOMAIN, target);
            let outcome = stage.shared(edge).try_ask(&request, &no_certificate())?;
            ensure(matches!(outcome, Err(WireError::Closed)), || {
                format!("{target}: expected an incomplete answer, found {outcome:?}")
            })?;
            stage.one_at_origin()?;
        }
    }
    let (release, is_released) = mpsc::channel();
    let is_released = Mutex::new(is_released);
    let name = origin_of("resets");
    let resets = Scripted::start(&stage.pki.server_identity(&[&name])?, move |peer| {
        peer.read_until("\r\n\r\n")?;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\nthe first half")?;
        // Before that the reset would take along what was not read yet.
        wait_for(&is_released);
        peer.reset()
    })?;
    let workerd = in_front_of(stage, &[("resets", resets.address())])?;
    let mut stream = Edge::of(&workerd, EDGE).open()?;
    let request = WireRequest::new("GET", &domain("resets"), "/");
    stream.write_all(&http1::encode(&arrived(&request, &no_certificate())))?;
    read_until(&mut stream, "the first half")?;
    release.send(())?;
    let rest = read_until(&mut stream, "nothing that comes");
    ensure(rest.is_err() && resets.connections() == 1, || {
        format!("{} connections, {rest:?}", resets.connections())
    })
}

/// A slow origin is waited for, and what it says at last is passed on.
///
/// # Errors
/// When it is not so.
pub fn an_answer_that_comes_late_is_passed_on(stage: &Stage) -> Outcome {
    let (asked, is_asked) = mpsc::channel();
    let (release, is_released) = mpsc::channel();
    let is_released = Mutex::new(is_released);
    let slow = Scripted::start(
        &stage.pki.server_identity(&[&origin_of("slow")])?,
        move |peer| {
            peer.read_until("\r\n\r\n")?;
            let _ = asked.send(());
            wait_for(&is_released);
            peer.write("HTTP/1.1 200 OK\r\nx-origin: 1\r\ncontent-length: 4\r\n\r\nlate")
        },
    )?;
    let workerd = in_front_of(stage, &[("slow", slow.address())])?;
    let edge = Edge::of(&workerd, EDGE);
    // Others are served in the meantime, by the same Worker.
    let request = WireRequest::new("GET", &domain("slow"), "/");
    let mut client = http1::Client::new(edge.open()?);
    std::thread::scope(|scope| -> Outcome {
        let late = scope.spawn(move || client.send(&arrived(&request, &no_certificate())));
        is_asked.recv_timeout(SOON)?;
        for _ in 0..3 {
            let other = WireRequest::new("GET", &domain("slow"), "/../");
            refused(&edge.ask(&other, &no_certificate())?, 400, "invalid_path")?;
        }
        release.send(())?;
        let response = late.join().map_err(|_| "the client died")??;
        forwarded(&response)?;
        ensure(response.body == b"late", || format!("{response:?}"))
    })
}

/// Whatever the status is, answer and fields are those of the origin, with and without HSTS.
///
/// # Errors
/// When it is not so.
pub fn answers_are_the_origins_own_whatever_their_status(stage: &Stage) -> Outcome {
    for edge in [EDGE, EDGE_WITH_HSTS] {
        let edge = stage.shared(edge);
        for (method, target, status, body) in [
            ("GET", "/status/302", 302, "{\"origin\":true}"),
            ("GET", "/status/303", 303, "{\"origin\":true}"),
            ("POST", "/status/307", 307, "{\"origin\":true}"),
            ("GET", "/status/304", 304, ""),
            ("GET", "/status/204", 204, ""),
            ("HEAD", "/", 200, ""),
            ("GET", "/status/401", 401, "{\"origin\":true}"),
            ("GET", "/status/429", 429, "{\"origin\":true}"),
            ("GET", "/status/500", 500, "{\"origin\":true}"),
            ("GET", "/status/503", 503, "{\"origin\":true}"),
        ] {
            let at = |why: String| format!("{method} {target}: {why}");
            stage.origin.take();
            let request = WireRequest::new(method, DOMAIN, target);
            let response = edge.ask(&request, &no_certificate())?;
            let one = stage.one_at_origin()?;
            let same = response.status == status
                && response.body == body.as_bytes()
                && one.method == method.as_bytes()
                && response.values("set-cookie")
                    == [
                        &b"first=1; Path=/; HttpOnly"[..],
                        b"second=2; Path=/; Secure",
                    ];
            ensure(same, || at(format!("{response:?}")))?;
            let location: &[&[u8]] = match status {
                300..400 => &[b"https://elsewhere.example.com/login?state=1"],
                _ => &[],
            };
            ensure(response.values("location") == location, || {
                at(format!("{response:?}"))
            })?;
            if method == "HEAD" {
                ensure(response.values("content-length") == [b"15"], || {
                    at(format!("{response:?}"))
                })?;
            }
        }
    }
    Ok(())
}

/// What the origin lets everybody store is asked for again each time.
///
/// # Errors
/// When it is not so.
pub fn nothing_is_answered_from_a_cache(stage: &Stage) -> Outcome {
    for edge in [EDGE, EDGE_WITH_HSTS] {
        stage.origin.take();
        let target = "/with/cache-control/public,max-age=600";
        for count in 1..=3 {
            let request = WireRequest::new("GET", DOMAIN, target);
            let response = stage.shared(edge).ask(&request, &no_certificate())?;
            forwarded(&response)?;
            let kept = response.values("cache-control") == [b"public,max-age=600"];
            ensure(kept, || format!("{response:?}"))?;
            let one = stage.one_at_origin();
            let one = one.map_err(|why| format!("request {count}: {why}"))?;
            // workerd keeps nothing here; so it writes for whom the answer is not to be taken from a cache.
            let is_asked_for = one.values("cache-control") == [b"no-cache"];
            ensure(is_asked_for, || format!("{one:?}"))?;
        }
    }
    Ok(())
}

/// `test` as gzip has it (RFC 1952).
const GZIP: [u8; 24] = [
    0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0xff, 0x2b, 0x49, 0x2d, 0x2e, 0x01, 0, 0x0c, 0x7e, 0x7f,
    0xd8, 4, 0, 0, 0,
];

/// What the origin has compressed is neither decompressed nor compressed anew, and its length stays.
///
/// # Errors
/// When it is not so.
pub fn compressed_answers_are_passed_on_as_they_are(stage: &Stage) -> Outcome {
    let compressing = Scripted::start(&stage.pki.server_identity(&[ORIGIN])?, |peer| {
        peer.read_until("\r\n\r\n")?;
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 24\r\n\r\n";
        peer.write([head.as_bytes(), &GZIP].concat())
    })?;
    for (name, value) in [(EDGE, None), (EDGE_WITH_HSTS, Some(HSTS_VALUE))] {
        let mut worker = stage.worker(name)?;
        worker.origins = vec![stage.upstream(ORIGIN, compressing.address())];
        if let Some(value) = value {
            worker.bindings.insert(super::HSTS.into(), json!(value));
        }
        let workerd = stage.start(&[worker])?;
        for accepted in ["gzip", "identity", "br"] {
            let request = WireRequest::new("GET", DOMAIN, "/").header("accept-encoding", accepted);
            let response = Edge::of(&workerd, name).ask(&request, &no_certificate())?;
            let same = response.body == GZIP
                && response.values("content-encoding") == [b"gzip"]
                && response.values("content-length") == [b"24"];
            ensure(same, || {
                format!("{name}, accepting {accepted}: {response:?}")
            })?;
        }
    }
    Ok(())
}

/// The value is added over HTTPS where the origin sent none, to refusals too, and never over plain HTTP; without
/// the binding it is nowhere.
///
/// # Errors
/// When it is not so.
pub fn hsts_is_added_over_https_where_the_origin_sends_none(stage: &Stage) -> Outcome {
    let ours: &[&[u8]] = &[HSTS_VALUE.as_bytes()];
    let none: &[&[u8]] = &[];
    let get = |host: &str, target: &str| WireRequest::new("GET", host, target);
    let with = "/with/strict-transport-security/max-age=1";
    for (request, cf, expected) in [
        (get(DOMAIN, "/"), no_certificate(), ours),
        (get(DOMAIN, "/status/302"), no_certificate(), ours),
        (get(DOMAIN, "/status/204"), no_certificate(), ours),
        (get(DOMAIN, with), no_certificate(), &[b"max-age=1"]),
        // Nothing can be added to what is no status of HTTP.
        (get(DOMAIN, "/status/999"), no_certificate(), none),
        (token_request(ALIAS), stage.cf("ca_client")?, ours),
        (token_request(ALIAS), no_certificate(), ours),
        (get("nobody.example.test", "/"), no_certificate(), ours),
        // Redirected to https, and refused.
        (get(DOMAIN, "/"), plain(), none),
        (token_request(ALIAS), plain(), none),
    ] {
        let at = |what: &str, response: &WireResponse| format!("{what}, {request:?}: {response:?}");
        let response = stage.shared(EDGE_WITH_HSTS).ask(&request, &cf)?;
        let found = response.values("strict-transport-security");
        ensure(found == expected, || at("with HSTS", &response))?;
        let response = stage.shared(EDGE).ask(&request, &cf)?;
        let found = response.values("strict-transport-security");
        let is_right = found.is_empty() || found == [b"max-age=1"];
        ensure(is_right, || at("without HSTS", &response))?;
    }
    Ok(())
}

/// The origin hears the client's address from the edge.
///
/// # Errors
/// When it is not so.
pub fn the_origin_is_told_the_address_that_cloudflare_tells(stage: &Stage) -> Outcome {
    stage.origin.take();
    let request = token_request(DOMAIN).header("x-forwarded-for", "192.0.2.99");
    forwarded(&stage.shared(EDGE).ask(&request, &no_certificate())?)?;
    let one = stage.one_at_origin()?;
    let client = CLIENT.to_string();
    ensure(one.values("x-forwarded-for") == [client.as_bytes()], || {
        format!("{one:?}")
    })
}
