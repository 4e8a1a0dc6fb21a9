//! What a worker takes of memory: resident memory of Envoys with one worker and with more.

use std::error::Error;

use super::{BARE, Bench, Clients, Peer, Way, with_hosts};
use crate::conformance::envoy_config::Filter;
use crate::hosts::Outcome;

/// How many workers the larger Envoy has; each has a VM of its own, and one more is what they are copied from.
const WORKERS: u32 = 5;
/// So many that the kernel gives some to every worker.
const CONNECTIONS: usize = 40;
const REQUESTS: usize = 4_000;

/// Measures an Envoy without the filter, and one for each number of host names; shows what the filter adds.
///
/// # Errors
/// When Envoy does not start, or a request is not forwarded.
pub fn run(bench: &Bench, host_counts: &[usize], way: &Way) -> Outcome {
    let mut peers: Vec<Peer> = vec![(BARE.into(), Filter::None)];
    for count in host_counts {
        let config = with_hosts(&bench.pki, *count)?;
        peers.push((format!("{count} hosts"), Filter::Inline(config.to_string())));
    }
    println!(
        "\nResident memory in MB, after {REQUESTS} requests over {CONNECTIONS} connections; a VM is what each \
         worker adds beyond the first, without what it adds where there is no filter"
    );
    println!(
        "{:24} {:>9} {:>10} {:>6}",
        "",
        "1 worker",
        format!("{WORKERS} workers"),
        "a VM"
    );
    let mut bare = None;
    for peer in &peers {
        let one = resident(bench, peer, way, 1)?;
        let more = resident(bench, peer, way, WORKERS)?;
        let slope = (more - one) / f64::from(WORKERS - 1);
        let without = *bare.get_or_insert(slope);
        println!(
            "{:24} {one:9.1} {more:10.1} {:6.1}",
            peer.0,
            slope - without
        );
    }
    Ok(())
}

/// The memory of an Envoy that has worked, in megabytes.
fn resident(bench: &Bench, peer: &Peer, way: &Way, workers: u32) -> Result<f64, Box<dyn Error>> {
    let stage = bench.start(std::slice::from_ref(peer), workers)?;
    let options = bench.options(way)?;
    let mut clients = Clients::open(&stage.envoy, &peer.0, way, options, CONNECTIONS)?;
    clients.send(REQUESTS)?;
    stage.ensure_told(peer, way)?;
    Ok(stage.envoy.resident_memory()? as f64 / 1e6)
}
