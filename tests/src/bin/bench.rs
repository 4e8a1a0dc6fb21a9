//! Measures in a real Envoy what the built filter takes of the processor and of memory.
//!
//! `bench --envoy PATH --envoy-version V --wasm PATH [--starts N] [--rounds N] [--requests N] [--ways N]
//! [--only "PEER;PEER"] [--modules PATH,PATH] [--parts "requests;connections;hosts;memory"]`; `--modules`
//! compares other Wasm modules, and `--parts` leaves out the others.

use std::error::Error;
use std::process::ExitCode;

use auth_edge_tests::arguments::Arguments;
use auth_edge_tests::bench::requests::Amount;
use auth_edge_tests::bench::{
    BARE, Bench, CONNECTIONS, EDGE, HOST, LUA, LUA_FAMILIES, LuaRemoval, Peer, WAYS, connections,
    lua, memory, requests, with_hosts,
};
use auth_edge_tests::conformance::envoy_config::Filter;
use auth_edge_tests::hosts::{TOKEN, config, with_ca_signed};
use auth_edge_tests::pki::Pki;
use serde_json::json;

const STARTS: usize = 3;
const ROUNDS: usize = 15;
const REQUESTS: usize = 800;
/// How many host names a configuration has: few, and more than most will.
const FEW: usize = 10;
const MANY: usize = 10_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let more = [
        "starts", "rounds", "requests", "modules", "only", "parts", "ways",
    ];
    let bench = Bench::new(Arguments::parse(std::env::args().skip(1), &more)?)?;
    let arguments = &bench.arguments;
    let number = |name, otherwise| {
        let value = arguments.value(name).map(str::parse::<usize>);
        value.unwrap_or(Ok(otherwise)).map(|number| number.max(1))
    };
    let amount = Amount {
        starts: number("starts", STARTS)?,
        rounds: number("rounds", ROUNDS)?,
        requests: number("requests", REQUESTS)?,
    };
    let ways = &WAYS[..number("ways", WAYS.len())?.min(WAYS.len())];
    let parts = arguments.value("parts");
    let has = |part| parts.is_none_or(|parts| parts.split(';').any(|other| other == part));
    let peers = peers(arguments, &bench.pki)?;
    let module = std::fs::metadata(&arguments.wasm)?.len();
    println!(
        "Envoy {}, one worker; the module has {module} bytes",
        arguments.envoy_version
    );
    let Amount {
        starts,
        rounds,
        requests: count,
    } = amount;
    let warm = format!(
        "{rounds} rounds of {count} POST {TOKEN}, {CONNECTIONS} warm connections, TLS to the origin"
    );
    if has("requests") {
        println!("\nRequests: {starts} starts, each with {warm}");
        requests::run(&bench, &peers, ways, amount, &[LUA, LUA_FAMILIES])?;
    }
    if has("connections") {
        connections::run(&bench, &peers, &WAYS[0])?;
    }
    if has("hosts") {
        println!("\nHost names: one start with {warm}");
        let few = format!("{FEW} hosts");
        let inline =
            |count| with_hosts(&bench.pki, count).map(|config| Filter::Inline(config.to_string()));
        let peers = [
            (BARE.into(), Filter::None),
            (few.clone(), inline(FEW)?),
            (format!("{MANY} hosts"), inline(MANY)?),
        ];
        let once = Amount {
            starts: 1,
            ..amount
        };
        requests::run(&bench, &peers, &WAYS[..1], once, &[&few])?;
    }
    if has("memory") {
        memory::run(&bench, &[FEW, MANY], &WAYS[0])?;
    }
    Ok(())
}

/// What is compared, as the arguments have it.
fn peers(arguments: &Arguments, pki: &Pki) -> Result<Vec<Peer>, Box<dyn Error>> {
    let by_edge = config(pki)?;
    let by_host = with_ca_signed(by_edge.clone(), json!({ "verified_by": "host" }));
    let mut peers: Vec<Peer> = vec![
        (BARE.into(), Filter::None),
        (EDGE.into(), Filter::Inline(by_edge.to_string())),
        (HOST.into(), Filter::Inline(by_host.to_string())),
        (LUA.into(), Filter::Lua(lua(pki, LuaRemoval::Names)?)),
        (
            LUA_FAMILIES.into(),
            Filter::Lua(lua(pki, LuaRemoval::Families)?),
        ),
    ];
    let modules = arguments.value("modules").unwrap_or_default();
    for module in modules.split_terminator(',') {
        let module = std::path::absolute(module)?;
        let name = module.file_stem().unwrap_or_default().to_string_lossy();
        let filter = Filter::Module(module.clone(), by_edge.to_string());
        peers.push((name.into_owned(), filter));
    }
    if let Some(only) = arguments.value("only") {
        peers.retain(|(name, _)| name == BARE || only.split(';').any(|other| other == name));
    }
    Ok(peers)
}
