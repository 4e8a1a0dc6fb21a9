//! A filter that dies: the real module, with a trap around one of its functions.

use std::fs;
use std::sync::Mutex;

use super::load::{Caller, Tally, under_load};
use super::shipped::{Changes, Shipped, get, origin, stat};
use super::{Outcome, PROTOCOLS, SOON, Stage, ensure, forwarded};
use crate::poll;
use crate::shipped::DOMAIN;
use crate::wasm::{Trap, trap_by_number_of_fields};
use crate::wire::WireRequest;

/// Requests with this many fields die before the filter looks at them.
const EARLY: u8 = 50;
/// Those with this many die after it has decided and has put the fields for the origin in place.
const LATE: u8 = 75;

/// A request with more than this many fields, which needs no word on the others: Envoy adds some.
fn with_fields(count: u8, target: &str) -> WireRequest {
    (0..count).fold(get(target), |request, number| {
        request.header(format!("x-field-{number}"), "1")
    })
}

/// However late a request kills the filter, it is not forwarded: 503, and nothing at the origin. The
/// next request is served by a fresh VM. Other connections stay open; what they lose are the requests
/// whose answers were on their way through the same worker, and each of those gets 503.
///
/// # Errors
/// When it is not so.
pub fn a_trap_answers_503_forwards_nothing_and_the_next_request_is_served(
    stage: &Stage,
) -> Outcome {
    let folder = tempfile::tempdir()?;
    let wasm = folder.path().join("trapping.wasm");
    let trap = Trap {
        before: EARLY..LATE,
        after: LATE..u8::MAX,
    };
    let module =
        trap_by_number_of_fields(&fs::read(&stage.wasm)?, "proxy_on_request_headers", &trap)?;
    fs::write(&wasm, module)?;
    let origin = origin(stage)?;
    let changes = Changes {
        wasm: Some(wasm),
        ..Changes::default()
    };
    let edge = Shipped::start_with(stage, origin.address(), changes)?;
    let whereabouts = || Some(edge.edge);
    let failed = Mutex::new(0);
    let exchange = |caller: &mut Caller<'_>| {
        let response = caller.send(&WireRequest::new("GET", caller.name, "/userinfo"))?;
        if response.status == 503 {
            *failed.lock().map_err(|_| "a client died")? += 1;
            return Ok(());
        }
        forwarded(&response).map_err(|why| why.to_string())
    };
    let mut traps = 0;
    let ((), tallies) = under_load(stage, &whereabouts, &exchange, || {
        for protocol in PROTOCOLS {
            for count in [EARLY, LATE] {
                let mut client = edge.open(stage, DOMAIN, None, protocol)?;
                forwarded(&client.send(&get("/before"))?)?;
                let target = format!("/trap/{traps}");
                let response = client.send(&with_fields(count, &target))?;
                traps += 1;
                ensure(response.status == 503, || {
                    format!("{protocol:?}, {count} fields: expected 503, found {response:?}")
                })?;
                // The same connection is served on, at the latest when Envoy has waited a second after
                // the VM it started last.
                let served = poll::until(SOON, || {
                    let response = client.send(&get("/after")).ok()?;
                    forwarded(&response).is_ok().then_some(())
                });
                ensure(served.is_some(), || {
                    format!("{protocol:?}: it is not served any more")
                })?;
            }
        }
        Ok(())
    })?;
    let reached = origin.take();
    let trapped = reached.iter().find(|it| it.target.starts_with(b"/trap"));
    ensure(trapped.is_none(), || {
        format!("a request that killed the filter reached the origin: {trapped:?}")
    })?;
    let whole = reached
        .iter()
        .all(|it| it.values("cname-api-key").len() == 1);
    ensure(whole, || {
        "a request reached the origin past the filter".into()
    })?;
    let failed = *failed.lock().map_err(|_| "a client died")?;
    let served: usize = tallies.iter().map(|it| it.served).sum();
    println!(
        "  {traps} traps: {failed} of {served} requests on other connections answered 503, {} lost without an \
         answer",
        tallies.iter().map(|it| it.lost.len()).sum::<usize>()
    );
    let undisturbed = |it: &Tally| it.lost.is_empty() && it.opened == 1;
    ensure(tallies.iter().all(undisturbed), || format!("{tallies:?}"))?;
    // What an operator finds.
    let log = edge.envoy.log();
    for text in [
        "Function: proxy_on_request_headers failed",
        "wasm_fail_stream",
    ] {
        ensure(log.contains(text), || format!("no `{text}` in the log"))?;
    }
    let reloaded = stat(&edge.envoy, "wasm.auth_edge.vm_reload_success")?;
    ensure(reloaded >= traps, || {
        format!("{traps} traps, and only {reloaded} fresh VMs")
    })
}
