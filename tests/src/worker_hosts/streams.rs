//! Bodies on their way, methods with and without them, and what is no plain request.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use super::scripted::{Scripted, wait_for};
use super::{
    ALIAS, EDGE, EDGE_WITH_HSTS, Edge, Outcome, SOON, Stage, arrived, forwarded, no_certificate,
    refused, token_request, told,
};
use crate::conformance::vector::ORIGIN;
use crate::hosts::{DOMAIN, ensure};
use crate::http1;
use crate::wire::{WireRequest, WireResponse};
use crate::workerd::{Worker, Workerd};

/// A workerd with the shared Workers in front of another origin.
fn in_front_of(stage: &Stage, origin: &Scripted) -> Result<Workerd, Box<dyn Error>> {
    let mut workers = Vec::new();
    for name in [EDGE, EDGE_WITH_HSTS] {
        let mut worker = Worker {
            origins: vec![stage.upstream(ORIGIN, origin.address())],
            ..stage.worker(name)?
        };
        if name == EDGE_WITH_HSTS {
            let value = super::HSTS_VALUE.into();
            worker.bindings.insert(super::HSTS.into(), value);
        }
        workers.push(worker);
    }
    Ok(stage.start(&workers)?)
}

/// The head of a request with a body in chunks.
fn chunked(host: &str, target: &str, cf: &serde_json::Value) -> Vec<u8> {
    let request = WireRequest::new("POST", host, target).header("transfer-encoding", "chunked");
    http1::encode(&arrived(&request, cf))
}

/// Reads until this has come, and gives all of it.
///
/// # Errors
/// When the connection ends before that.
pub fn read_until(stream: &mut TcpStream, text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut read = Vec::new();
    while !read.windows(text.len()).any(|it| it == text.as_bytes()) {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            let read = String::from_utf8_lossy(&read);
            return Err(format!("no `{text}` in {read}").into());
        }
        read.extend_from_slice(&chunk[..count]);
    }
    Ok(read)
}

/// The origin has the first part of a request before the client has sent the last one.
///
/// # Errors
/// When it is not so.
pub fn a_request_body_is_passed_on_while_it_comes(stage: &Stage) -> Outcome {
    let (reached, has_reached) = mpsc::channel();
    let origin = Scripted::start(&stage.pki.server_identity(&[ORIGIN])?, move |peer| {
        for part in ["first part", "last part"] {
            peer.read_until(part)?;
            let _ = reached.send(part);
        }
        peer.write("HTTP/1.1 200 OK\r\nx-origin: 1\r\ncontent-length: 2\r\n\r\nok")
    })?;
    let workerd = in_front_of(stage, &origin)?;
    for (host, cf) in [(DOMAIN, no_certificate()), (ALIAS, stage.cf("ca_client")?)] {
        let mut stream = Edge::of(&workerd, EDGE).open()?;
        stream.write_all(&chunked(host, "/oauth/token", &cf))?;
        stream.write_all(b"a\r\nfirst part\r\n")?;
        // Only when that is there does the client go on.
        let part = has_reached.recv_timeout(SOON);
        ensure(part == Ok("first part"), || {
            format!("{host}: the origin waits for the whole body: {part:?}")
        })?;
        stream.write_all(b"9\r\nlast part\r\n0\r\n\r\n")?;
        read_until(&mut stream, "ok")?;
        ensure(has_reached.recv_timeout(SOON) == Ok("last part"), || {
            format!("{host}: the rest did not come")
        })?;
    }
    Ok(())
}

/// The client has the first part of an answer before the origin has sent the last one.
///
/// # Errors
/// When it is not so.
pub fn an_answer_is_passed_on_while_it_comes(stage: &Stage) -> Outcome {
    let (release, is_released) = mpsc::channel::<()>();
    let is_released = Mutex::new(is_released);
    let origin = Scripted::start(&stage.pki.server_identity(&[ORIGIN])?, move |peer| {
        peer.read_until("\r\n\r\n")?;
        peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nfirst part\r\n")?;
        wait_for(&is_released);
        peer.write("9\r\nlast part\r\n0\r\n\r\n")
    })?;
    let workerd = in_front_of(stage, &origin)?;
    for edge in [EDGE, EDGE_WITH_HSTS] {
        let mut stream = Edge::of(&workerd, edge).open()?;
        let request = WireRequest::new("GET", DOMAIN, "/");
        stream.write_all(&http1::encode(&arrived(&request, &no_certificate())))?;
        read_until(&mut stream, "first part").map_err(|why| format!("{edge}: {why}"))?;
        release.send(())?;
        read_until(&mut stream, "last part")?;
    }
    Ok(())
}

/// A mebibyte each way, on the custom domain and on the alias.
///
/// # Errors
/// When a byte of it is another.
pub fn large_bodies_pass_both_ways(stage: &Stage) -> Outcome {
    let body: Vec<u8> = (0..1_u32 << 20).map(|at| (at % 251) as u8).collect();
    for (host, target, cf) in [
        (DOMAIN, "/large/1048576", no_certificate()),
        (ALIAS, "/oauth/token", stage.cf("ca_client")?),
    ] {
        for edge in [EDGE, EDGE_WITH_HSTS] {
            stage.origin.take();
            let request = WireRequest::new("POST", host, target).body(body.clone());
            let response = stage.shared(edge).ask(&request, &cf)?;
            forwarded(&response)?;
            let one = stage.one_at_origin()?;
            ensure(one.body == body, || {
                format!("{host}: {} bytes reached the origin", one.body.len())
            })?;
            let is_whole = host == ALIAS || response.body == vec![b'x'; 1 << 20];
            ensure(is_whole, || {
                format!("{} bytes came back", response.body.len())
            })?;
        }
    }
    Ok(())
}

/// Each method of R-2, with a body and without one; others are refused and reach nobody.
///
/// # Errors
/// When it is not so.
pub fn every_method_passes_with_its_body(stage: &Stage) -> Outcome {
    let edge = stage.shared(EDGE);
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"] {
        for body in [None, Some("a=b"), Some("")] {
            stage.origin.take();
            let mut request = WireRequest::new(method, DOMAIN, "/userinfo");
            request.body = body.map(Into::into);
            let response = edge.ask(&request, &no_certificate())?;
            forwarded(&response).map_err(|why| format!("{method}, {body:?}: {why}"))?;
            let one = stage.one_at_origin()?;
            // GET and HEAD go without, see docs/exceptions.md.
            let expected = match method {
                "GET" | "HEAD" => "",
                _ => body.unwrap_or_default(),
            };
            let passed = one.body == expected.as_bytes();
            ensure(passed && one.method == method.as_bytes(), || {
                format!("{method}, {body:?}: {one:?}")
            })?;
        }
    }
    for method in ["TRACE", "PROPFIND", "QUERY"] {
        let response = edge.ask(&WireRequest::new(method, DOMAIN, "/"), &no_certificate())?;
        // What the runtime does not know, it refuses itself.
        let is_refused = (400..502).contains(&response.status);
        ensure(is_refused, || format!("{method}: {response:?}"))?;
    }
    stage.nothing_at_origin()
}

/// Nobody changes to another protocol: on the custom domain the request is one like any other, on the alias it is
/// refused.
///
/// # Errors
/// When it is not so.
pub fn an_upgrade_is_not_made(stage: &Stage) -> Outcome {
    let ask = |host: &str, protocol: &str| {
        let request = WireRequest::new("GET", host, "/userinfo")
            .header("connection", "Upgrade")
            .header("upgrade", protocol);
        match protocol {
            "websocket" => request
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            _ => request,
        }
    };
    for protocol in ["websocket", "h2c", "TLS/1.0"] {
        let at = |why: Box<dyn Error>| format!("{protocol}: {why}");
        stage.origin.take();
        let response = stage
            .shared(EDGE)
            .ask(&ask(DOMAIN, protocol), &no_certificate())?;
        forwarded(&response).map_err(at)?;
        let one = stage.one_at_origin()?;
        ensure(one.values("upgrade").is_empty(), || format!("{one:?}"))?;
        let cf = stage.cf("ca_client")?;
        let response: WireResponse = stage.shared(EDGE).ask(&ask(ALIAS, protocol), &cf)?;
        refused(&response, 400, "upgrade_not_allowed").map_err(at)?;
        stage.nothing_at_origin()?;
    }
    Ok(())
}

/// A client that would rather wait for `100 Continue` is served.
///
/// # Errors
/// When it is not so.
pub fn a_request_with_an_expectation_is_served(stage: &Stage) -> Outcome {
    stage.origin.take();
    let identity = stage.pki.get("ca_client")?;
    let request = token_request(ALIAS)
        .header("expect", "100-continue")
        .body("grant_type=client_credentials");
    let response = stage.shared(EDGE).ask(&request, &stage.cf("ca_client")?)?;
    forwarded(&response)?;
    let one = stage.one_at_origin()?;
    ensure(one.body == b"grant_type=client_credentials", || {
        format!("{one:?}")
    })?;
    told(&one, identity, super::SUCCESS)
}
