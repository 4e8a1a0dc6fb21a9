//! Bodies stream, and messages without one pass.

use super::{ALIAS, Client, DOMAIN, Outcome, PROTOCOLS, SHIPPED, Stage, TOKEN, ensure, forwarded};
use crate::wire::WireRequest;

/// More than Envoy holds for a filter that would wait for a whole body.
const LARGE: usize = 4 << 20;

/// Neither direction is held back until it is complete.
pub fn large_bodies_stream_through_both_ways(stage: &Stage) -> Outcome {
    let body: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    for protocol in PROTOCOLS {
        stage.origin.take();
        let options = stage.options_with(ALIAS, "ca_client")?;
        let mut client = Client::open(&stage.edge, SHIPPED, options, protocol)?;
        let request = WireRequest::new("POST", ALIAS, TOKEN).body(body.clone());
        forwarded(&client.send(&request)?)?;
        ensure(stage.one_at_origin()?.body == body, || {
            format!("{protocol:?}: another body reached the origin")
        })?;
        let mut client = Client::open(&stage.edge, SHIPPED, stage.options(DOMAIN), protocol)?;
        let request = WireRequest::new("GET", DOMAIN, format!("/large/{LARGE}"));
        let response = client.send(&request)?;
        forwarded(&response)?;
        let whole = response.body.len() == LARGE && response.body.iter().all(|byte| *byte == b'x');
        ensure(whole, || {
            format!(
                "{protocol:?}: {} bytes of another body came back",
                response.body.len()
            )
        })?;
    }
    Ok(())
}

/// HEAD, 204, 304, redirects and requests without a body keep a connection usable.
pub fn messages_without_a_body_pass(stage: &Stage) -> Outcome {
    for protocol in PROTOCOLS {
        stage.origin.take();
        let mut client = Client::open(&stage.edge, SHIPPED, stage.options(DOMAIN), protocol)?;
        for (method, target, status) in [
            ("GET", "/", 200),
            ("HEAD", "/large/1000", 200),
            ("GET", "/status/204", 204),
            ("DELETE", "/status/204", 204),
            ("GET", "/status/304", 304),
            ("HEAD", "/status/302", 302),
            ("POST", "/status/200", 200),
            ("PUT", "/status/500", 500),
        ] {
            let at = format!("{protocol:?}, {method} {target}");
            let response = client.send(&WireRequest::new(method, DOMAIN, target))?;
            ensure(
                response.status == status && response.values("x-origin").len() == 1,
                || format!("{at}: expected the origin's {status}, found {response:?}"),
            )?;
            let empty = method == "HEAD" || matches!(status, 204 | 304);
            ensure(response.body.is_empty() == empty, || {
                format!("{at}: found a body of {} bytes", response.body.len())
            })?;
            let recorded = stage.one_at_origin()?;
            ensure(
                recorded.method == method.as_bytes() && recorded.body.is_empty(),
                || format!("{at}: the origin got {recorded:?}"),
            )?;
        }
        let head = client.send(&WireRequest::new("HEAD", DOMAIN, "/large/1000"))?;
        ensure(head.values("content-length") == [b"1000"], || {
            format!("{protocol:?}: HEAD lost its content-length: {head:?}")
        })?;
        stage.origin.take();
    }
    Ok(())
}
