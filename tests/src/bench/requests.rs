//! What a request takes, over warm connections.

use std::error::Error;

use super::{Bench, CONNECTIONS, Clients, Peer, Way, added, median, rounds};
use crate::hosts::Outcome;

const WARM_UP: usize = 2_000;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// How often Envoy is started.
    pub starts: usize,
    /// How many rounds there are with each Envoy.
    pub rounds: usize,
    /// How many requests each peer gets in a round.
    pub requests: usize,
}

/// Measures the peers, the first of which the others are compared with, and shows for each way medians over
/// the starts of medians over the rounds; and what each adds as a share of what the peers named `yardsticks` do.
///
/// # Errors
/// When Envoy does not start, or a request is not forwarded.
pub fn run(
    bench: &Bench,
    peers: &[Peer],
    ways: &[Way],
    amount: Amount,
    yardsticks: &[&str],
) -> Outcome {
    let mut results = Vec::new();
    for _ in 0..amount.starts {
        results.push(measure(bench, peers, ways, amount)?);
    }
    let shares = yardsticks
        .iter()
        .map(|name| format!("{:>17}", format!("of {name}")));
    println!(
        "{:24} {:16} {:>10} {:>9} {}   each start",
        "",
        "",
        "us/request",
        "added us",
        shares.collect::<String>()
    );
    for (w, way) in ways.iter().enumerate() {
        let of_starts = |peer| -> Vec<f64> {
            let starts = results.iter();
            starts.map(|spent: &Spent| added(&spent[w], peer)).collect()
        };
        let unit = |name: &&str| {
            let peer = peers.iter().position(|(peer, _)| peer == name);
            peer.map_or(f64::NAN, |peer| median(&of_starts(peer)))
        };
        let units: Vec<f64> = yardsticks.iter().map(unit).collect();
        for (p, (name, _)) in peers.iter().enumerate() {
            let whole: Vec<f64> = results.iter().map(|spent| median(&spent[w][p])).collect();
            let added = of_starts(p);
            let each: Vec<String> = added.iter().map(|us| format!("{us:.1}")).collect();
            let added = median(&added);
            let shares = units.iter().map(|unit| format!("{:17.2}", added / unit));
            println!(
                "{:24} {name:16} {:10.1} {added:9.1} {}   {}",
                way.name,
                median(&whole),
                shares.collect::<String>(),
                each.join(" ")
            );
        }
    }
    Ok(())
}

/// Microseconds a request, for each way, each peer and each round.
type Spent = Vec<Vec<Vec<f64>>>;

/// Starts an Envoy and asks each peer in each way, round by round.
fn measure(
    bench: &Bench,
    peers: &[Peer],
    ways: &[Way],
    amount: Amount,
) -> Result<Spent, Box<dyn Error>> {
    let stage = bench.start(peers, 1)?;
    let of_way = |way| {
        let mut clients = Vec::new();
        for peer in peers {
            let options = bench.options(way)?;
            let mut asking = Clients::open(&stage.envoy, &peer.0, way, options, CONNECTIONS)?;
            asking.send(WARM_UP)?;
            stage.ensure_told(peer, way)?;
            clients.push(asking);
        }
        rounds(&stage, &mut clients, amount.rounds, |clients| {
            clients.send(amount.requests)
        })
    };
    ways.iter().map(of_way).collect()
}
