//! What a new connection takes: a full TLS handshake with a client certificate, one request, and the end.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;

use super::{Bench, Peer, Way, added, median, read_answer, request, rounds};
use crate::hosts::Outcome;
use crate::http1::encode;
use crate::tls::{TlsOptions, connect};

const WARM_UP: usize = 100;
const ROUNDS: usize = 21;
const CONNECTIONS: usize = 100;

/// Measures the peers, the first of which the others are compared with, and shows medians over the rounds.
///
/// # Errors
/// When Envoy does not start, or a request is not forwarded.
pub fn run(bench: &Bench, peers: &[Peer], way: &Way) -> Outcome {
    let stage = bench.start(peers, 1)?;
    let options = bench.options(way)?;
    let request = encode(&request(way.host));
    let mut addresses = Vec::new();
    for peer in peers {
        let address = stage.envoy.listener_address(&peer.0)?;
        connections(address, &options, &request, WARM_UP)?;
        stage.ensure_told(peer, way)?;
        addresses.push(address);
    }
    let spent = rounds(&stage, &mut addresses, ROUNDS, |address| {
        connections(*address, &options, &request, CONNECTIONS)
    })?;
    println!(
        "\nNew connections, one after the other: full handshake with a client certificate, one request; \
         {ROUNDS} rounds of {CONNECTIONS}"
    );
    println!(
        "{:41} {:>13} {:>9} {:>14}",
        "", "us/connection", "added us", "a second, core"
    );
    for (index, (name, _)) in peers.iter().enumerate() {
        let whole = median(&spent[index]);
        println!(
            "{:24} {name:16} {whole:13.1} {:9.1} {:14.0}",
            way.name,
            added(&spent, index),
            1e6 / whole
        );
    }
    Ok(())
}

/// Opens so many connections, each of which ends before the next begins; gives how many.
fn connections(
    address: SocketAddr,
    options: &TlsOptions<'_>,
    request: &[u8],
    count: usize,
) -> Result<usize, Box<dyn Error>> {
    for _ in 0..count {
        let mut stream = connect(address, options)?;
        stream.write_all(request)?;
        stream.flush()?;
        read_answer(&mut stream)?;
    }
    Ok(count)
}
