//! Auth Edge as a proxy-wasm filter: gather, decide, apply.
//!
//! `host` is the only file that names host calls. `gather` turns what the host program shows into
//! a request of the core, `apply` turns the core's decision into header edits or an answer, and
//! neither decides anything. Whatever fails, fails closed: a fact that cannot be had refuses the
//! request, and a panic ends the VM, which answers 503.

#![deny(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::unreachable,
    clippy::as_conversions
)]
#![cfg_attr(
    test,
    allow(
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod apply;
mod gather;
mod host;
mod nginx;
mod section;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use auth_edge::connections::Connections;
use auth_edge::edits::Edits;
use auth_edge::request::Request;
use auth_edge::trust::Doubts;
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::config_json;
use auth_edge::wire::thumbprint::Thumbprint;
use auth_edge::{Config, Decision, decide};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::apply::Outcome;
use crate::host::{Counters, Host as _, ProxyWasm};
use crate::nginx::HostProgram;

/// What the host program calls when it has loaded the module.
mod entry {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(crate::Root::default()));
    }}
}

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// One configuration of the filter in one VM.
#[derive(Default)]
struct Root {
    edge: Option<Rc<Edge>>,
}

/// What the requests under one configuration share.
struct Edge {
    config: Config,
    program: HostProgram,
    counters: Rc<Counters>,
    state: RefCell<State>,
    /// When the configuration was loaded, in nanoseconds since 1970: tells apart the request ids
    /// of two runs of the host program.
    loaded_at: u64,
}

impl Drop for Edge {
    /// A configuration that is replaced tells what it counted since the last tick.
    fn drop(&mut self) {
        self.counters.tell(&ProxyWasm);
    }
}

/// How many connections are remembered: 6 MB a worker thread, 80 MB at worst.
const REMEMBERED: usize = 1024;

/// Caches: bounded, and only of what can be computed again.
struct State {
    /// By the host program's name for each.
    connections: Connections<u64>,
    verdicts: VerdictCache,
}

impl Default for State {
    fn default() -> Self {
        Self {
            connections: Connections::new(REMEMBERED),
            verdicts: VerdictCache::default(),
        }
    }
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        // Without a clock nothing is only watched, and no request is served either.
        let loaded_at = ProxyWasm.now_nanoseconds().unwrap_or_default();
        let now = loaded_at / NANOSECONDS_PER_SECOND;
        match load(&ProxyWasm, now) {
            Ok((config, program, digest)) => {
                let hosts = config.len();
                ProxyWasm.log_info(&format!(
                    "auth_edge: configuration sha256 {digest} in force, custom domains: {hosts}"
                ));
                warn_of_doubts(&ProxyWasm, &config, now);
                warn_of_shadows(&ProxyWasm, &config, now);
                if matches!(program, HostProgram::Envoy) {
                    ProxyWasm.tick_each_second();
                }
                self.edge = Some(Rc::new(Edge {
                    config,
                    program,
                    counters: Counters::of_this_vm(&ProxyWasm),
                    state: RefCell::default(),
                    loaded_at,
                }));
                true
            }
            Err(error) => {
                ProxyWasm.log_error(&format!("auth_edge: {error}"));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(edge) = &self.edge {
            edge.counters.tell(&ProxyWasm);
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let edge = self.edge.clone()?;
        Some(Box::new(Stream { edge, context_id }))
    }
}

/// Reads the configuration, for the host program that the VM configuration names; gives its digest as well.
///
/// The latter is read here and not when the VM starts, which NGINX tells once, though it starts a new VM
/// after each panic.
fn load(host: &impl crate::host::Host, now: u64) -> Result<(Config, HostProgram, String), String> {
    let program = HostProgram::of(&host.vm_configuration())?;
    let json = program.configuration(host)?;
    let config = config_json::parse(&json, now, &|name: &str| host.secret(name));
    let config = config.map_err(|error| error.to_string())?;
    program.check(&config)?;
    Ok((config, program, Thumbprint::of(&json).to_hex()))
}

/// How many host names a warning is written for.
const WARNED_HOSTS: usize = 10;

/// Tells the operator what clients would otherwise be the first to notice.
fn warn_of_doubts(host: &impl crate::host::Host, config: &Config, now: u64) {
    for (name, doubts) in config.doubts(now).take(WARNED_HOSTS) {
        let Doubts {
            authorities_outside_dates,
            authorities_without_list,
            stale_lists,
            // Neither Envoy nor NGINX keeps lists.
            unreadable_lists: _,
        } = doubts;
        host.log_warning(&format!(
            "auth_edge: {name}: authorities outside their dates: {authorities_outside_dates}, without a revocation \
             list: {authorities_without_list}; stale revocation lists: {stale_lists}"
        ));
    }
}

/// Tells the operator what is not enforced, and what no longer is watched.
fn warn_of_shadows(host: &impl crate::host::Host, config: &Config, now: u64) {
    for (name, shadow) in config.shadows().take(WARNED_HOSTS) {
        let hours = shadow.until.saturating_sub(now) / 3600;
        host.log_warning(&if shadow.is_on(now) {
            format!("auth_edge: {name}: shadow for {hours} hours more, then everything is enforced")
        } else {
            format!("auth_edge: {name}: shadow has ended, everything is enforced")
        });
    }
}

impl Edge {
    /// Asks the core, and counts what that cost.
    fn judge<'a>(
        &'a self,
        request: &Request<'a>,
        now_nanoseconds: u64,
        verdicts: &mut VerdictCache,
    ) -> Decision<'a> {
        let (verified, remembered) = (verdicts.verifications(), verdicts.hits());
        let now = now_nanoseconds / NANOSECONDS_PER_SECOND;
        let decision = decide(request, &self.config, now, verdicts);
        let verified = verdicts.verifications().saturating_sub(verified);
        let remembered = verdicts.hits().saturating_sub(remembered);
        if verified > 0 {
            let now = ProxyWasm.now_nanoseconds().unwrap_or_default();
            let nanoseconds = now.saturating_sub(now_nanoseconds);
            self.counters
                .add_verifications(verified, nanoseconds / 1000);
        }
        self.counters.add_remembered(remembered);
        decision
    }
}

/// One request.
struct Stream {
    edge: Rc<Edge>,
    context_id: u32,
}

impl Stream {
    /// Decides, and carries the decision out; what is known besides the request is the time in nanoseconds
    /// since 1970, and the host program's name for the connection.
    fn settle(
        &self,
        request: &Request<'_>,
        (now_nanoseconds, connection_id): (u64, u64),
        verdicts: &mut VerdictCache,
        edit: &dyn Fn(&Edits<'_>),
    ) -> Outcome {
        let edge = &*self.edge;
        let decision = edge.judge(request, now_nanoseconds, verdicts);
        let loaded_at = edge.loaded_at;
        let id = format_args!("{loaded_at:x}-{connection_id}-{}", self.context_id);
        apply::apply(&ProxyWasm, &edge.counters, request, decision, id, edit)
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, count: usize, _end_of_stream: bool) -> Action {
        let edge = &*self.edge;
        let state = &mut *edge.state.borrow_mut();
        let outcome = match &edge.program {
            HostProgram::Envoy => {
                let seen = gather::gather(&ProxyWasm, &mut state.connections);
                let section = seen.section();
                let request = seen.request(section.as_ref());
                let known = (seen.now_nanoseconds, seen.connection_id);
                self.settle(&request, known, &mut state.verdicts, &|edits| {
                    apply::edit(&ProxyWasm, &request, edits);
                })
            }
            HostProgram::Nginx(replaced) => {
                let seen = nginx::gather(&ProxyWasm, &mut state.connections, count);
                let section = seen.section();
                let request = seen.request(section.as_ref(), replaced);
                let known = (seen.now_nanoseconds, seen.connection_id);
                let outcome = self.settle(&request, known, &mut state.verdicts, &|edits| {
                    nginx::edit(&ProxyWasm, edits);
                });
                // NGINX ticks in an instance of the module that sees no requests.
                edge.counters.tell(&ProxyWasm);
                outcome
            }
        };
        match outcome {
            Outcome::Forwarded => Action::Continue,
            Outcome::Answered => Action::Pause,
        }
    }

    fn on_http_request_trailers(&mut self, _fields: usize) -> Action {
        ProxyWasm.remove_request_trailers();
        Action::Continue
    }
}
