//! Envoy is replaced while clients send: drained as the documents say, or killed.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Mutex;

use super::load::{Caller, Tally, under_load};
use super::shipped::{Shipped, origin, probe};
use super::{Outcome, SOON, Stage, ensure, forwarded};
use crate::poll;
use crate::shipped::ALIAS;
use crate::wire::WireRequest;

/// The Envoys behind a load balancer, by the addresses of edge and health.
type Fleet = [(SocketAddr, SocketAddr); 2];

fn fleet(former: &Shipped, next: &Shipped) -> Fleet {
    [(former.edge, former.health), (next.edge, next.health)]
}

/// The first that says of itself that it is well, which is how a load balancer finds one for a new
/// connection.
fn healthy(fleet: &Fleet) -> Option<SocketAddr> {
    let well = |health| probe(health, "/healthz").is_ok_and(|answer| answer.status == 200);
    let found = fleet.iter().find(|(_, health)| well(*health));
    found.map(|(edge, _)| *edge)
}

/// A request that is answered by the origin: on the alias one that must not be repeated.
fn exchange(caller: &mut Caller<'_>) -> Result<(), String> {
    let request = match caller.name {
        ALIAS => WireRequest::new("POST", ALIAS, "/oauth/token").body("grant_type=none"),
        name => WireRequest::new("GET", name, "/large/20000"),
    };
    let response = caller.send(&request)?;
    forwarded(&response).map_err(|why| why.to_string())
}

/// Runs clients beside `during`, with what became of them.
fn busy(
    stage: &Stage,
    fleet: &Fleet,
    during: impl FnOnce() -> Outcome,
) -> Result<Vec<Tally>, Box<dyn Error>> {
    let outcome = under_load(stage, &|| healthy(fleet), &exchange, during);
    outcome.map(|((), tallies)| tallies)
}

/// `healthcheck/fail`, wait until nobody is connected any more, `quitquitquit`: no request is lost, and
/// none had to be repeated.
///
/// # Errors
/// When it is not so.
pub fn a_drained_envoy_is_replaced_without_a_lost_request(stage: &Stage) -> Outcome {
    let origin = origin(stage)?;
    let former = Shipped::start(stage, origin.address())?;
    let next = Shipped::start(stage, origin.address())?;
    let fleet = fleet(&former, &next);
    let former = Mutex::new(former);
    let tallies = busy(stage, &fleet, || {
        let former = &mut former.lock().map_err(|_| "a client died")?.envoy;
        former.admin_post("/healthcheck/fail")?;
        former.admin_post("/drain_listeners?graceful")?;
        let gone = poll::until(SOON, || {
            let open = former.stat("http.edge.downstream_cx_active").ok()?;
            (open == Some(0)).then_some(())
        });
        ensure(gone.is_some(), || {
            let open = former.stat("http.edge.downstream_cx_active");
            format!("connections stay open: {open:?}")
        })?;
        former.admin_post("/quitquitquit")?;
        let ended = poll::until(SOON, || former.exit_status().ok().flatten());
        let ended = ended.ok_or("Envoy does not end")?;
        ensure(ended.success(), || format!("Envoy ended with {ended}"))
    })?;
    let undisturbed = |it: &Tally| it.lost.is_empty() && it.repeated == 0 && it.opened == 2;
    ensure(tallies.iter().all(undisturbed), || format!("{tallies:?}"))?;
    println!(
        "  drained: {} requests served, none lost",
        tallies.iter().map(|it| it.served).sum::<usize>()
    );
    Ok(())
}

/// Each client loses at most the one request whose answer it was waiting for.
///
/// # Errors
/// When it is not so.
pub fn a_killed_envoy_loses_no_more_than_what_was_in_flight(stage: &Stage) -> Outcome {
    let origin = origin(stage)?;
    let former = Shipped::start(stage, origin.address())?;
    let next = Shipped::start(stage, origin.address())?;
    let fleet = fleet(&former, &next);
    let former = Mutex::new(former);
    let tallies = busy(stage, &fleet, || {
        former.lock().map_err(|_| "a client died")?.envoy.kill()?;
        // Until every client is at the other one.
        let moved = poll::until(SOON, || {
            let open = next.envoy.stat("http.edge.downstream_cx_active").ok()?;
            (open >= Some(4)).then_some(())
        });
        ensure(moved.is_some(), || {
            "the clients did not find the other Envoy".into()
        })
    })?;
    let bounded = |it: &Tally| it.lost.len() + it.repeated <= 1 && it.opened == 2;
    ensure(tallies.iter().all(bounded), || format!("{tallies:?}"))?;
    println!(
        "  killed: {} of {} clients lost a request, {} sent one again",
        tallies.iter().filter(|it| !it.lost.is_empty()).count(),
        tallies.len(),
        tallies.iter().map(|it| it.repeated).sum::<usize>()
    );
    Ok(())
}
