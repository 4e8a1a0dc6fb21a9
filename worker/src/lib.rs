//! Auth Edge as a Cloudflare Worker: gather, decide, apply.
//!
//! `host` is the only file that names what the runtime offers. `gather` turns what it tells into a request of the
//! core, `apply` turns the core's decision into what the runtime is to do, and neither decides anything. Without a
//! configuration every request is answered 503; a trap throws away the instance, and the request with it.

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
mod load;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use auth_edge::acme;
use auth_edge::connections::Connections;
use auth_edge::endpoint::EndpointClass;
use auth_edge::host_name::HostName;
use auth_edge::refusal::{Reason, Refusal};
use auth_edge::reply::Reply;
use auth_edge::request::Request;
use auth_edge::trust::Doubts;
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::thumbprint::Thumbprint;
use auth_edge::{Config, Decision, decide};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use worker::{Context, Delay, Env, console_error, console_log, console_warn};

use crate::gather::Seen;
use crate::load::Source;

/// How long a configuration that is kept elsewhere is used before it is read again, in seconds.
const FRESH_SECONDS: u64 = 60;
/// How long a configuration that could not be used is not tried again, in seconds.
const RETRY_SECONDS: u64 = 5;
/// How often a request looks whether another has read the first configuration; ten seconds in all.
const LOOKS: u32 = 500;
/// The time between.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// After how many seconds a request that reads the first configuration is taken for one that was cut off.
const CUT_OFF_SECONDS: u64 = 5;
/// How many connections are remembered, by all that is told of them: 3 MB of an isolate's 128, 24 MB at worst.
const REMEMBERED: usize = 256;

/// What the requests of an isolate share.
struct Isolate {
    state: RefCell<State>,
    /// Since when a request reads the first configuration, in seconds since 1970.
    loading: Cell<Option<u64>>,
    /// A cache: bounded, and only of what can be computed again.
    connections: RefCell<Connections<String>>,
}

/// What is known of the configuration.
#[derive(Clone)]
enum State {
    /// Nothing yet.
    New,
    /// It cannot be used, and is not looked at again before this time.
    Bad { until: u64 },
    /// It is in force.
    Ready(Rc<Edge>),
}

/// A configuration in force.
struct Edge {
    config: Config,
    digest: Thumbprint,
    has_analytics: bool,
    /// A cache: bounded, and only of what can be computed again from this configuration.
    verdicts: RefCell<VerdictCache>,
    /// When it is read again; never where it cannot have changed.
    due: Cell<Option<u64>>,
}

thread_local! {
    static ISOLATE: Isolate = const {
        Isolate {
            state: RefCell::new(State::New),
            loading: Cell::new(None),
            connections: RefCell::new(Connections::new(REMEMBERED)),
        }
    };
}

/// What the runtime calls with each request; gives a `Response`, or a promise of one.
#[wasm_bindgen]
pub fn fetch(request: JsValue, env: Env, context: JsValue) -> JsValue {
    let told = host::gather(&request);
    let now = time(&told);
    match state(&env, now) {
        State::Ready(edge) => {
            if edge.due.get().is_some_and(|due| due <= now) {
                edge.due.set(Some(now.saturating_add(FRESH_SECONDS)));
                let env = env.clone();
                let context = Context::new(context.unchecked_into());
                context.wait_until(async move { load(&env, now).await });
            }
            settle(&edge, &request, &env, &told)
        }
        State::Bad { .. } => refuse(Reason::NoConfiguration, &told),
        State::New => future_to_promise(async move {
            load_first(&env, now).await;
            // Other requests were told of in the meantime.
            let told = host::gather(&request);
            Ok(match ISOLATE.with(|it| it.state.borrow().clone()) {
                State::Ready(edge) => settle(&edge, &request, &env, &told),
                State::Bad { .. } | State::New => refuse(Reason::NoConfiguration, &told),
            })
        })
        .into(),
    }
}

/// The time of a request that was told of, in seconds since 1970.
fn time(told: &str) -> u64 {
    let milliseconds = told.split('\0').next().and_then(|text| text.parse().ok());
    milliseconds.map_or(0, |milliseconds: u64| milliseconds / 1000)
}

/// What is known of the configuration, as far as that can be had without waiting.
fn state(env: &Env, now: u64) -> State {
    ISOLATE.with(|isolate| {
        let is_over = matches!(&*isolate.state.borrow(), State::Bad { until } if *until <= now);
        if is_over {
            isolate.state.replace(State::New);
        }
        let known = isolate.state.borrow().clone();
        if !matches!(known, State::New) {
            return known;
        }
        match Source::at_hand(env) {
            None => State::New,
            Some(source) => {
                take(source, env, now, None);
                isolate.state.borrow().clone()
            }
        }
    })
}

/// Reads the first configuration, or waits until another request has: many at once would need many times its memory.
async fn load_first(env: &Env, now: u64) {
    for _ in 0..LOOKS {
        let (is_new, loading) =
            ISOLATE.with(|it| (matches!(&*it.state.borrow(), State::New), it.loading.get()));
        if !is_new {
            return;
        }
        // A request that was cut off does not go on with it.
        if loading.is_none_or(|since| since.saturating_add(CUT_OFF_SECONDS) <= now) {
            ISOLATE.with(|it| it.loading.set(Some(now)));
            load(env, now).await;
            ISOLATE.with(|it| it.loading.set(None));
            return;
        }
        Delay::from(BETWEEN_LOOKS).await;
    }
}

/// Reads the configuration wherever it is kept.
async fn load(env: &Env, now: u64) {
    let source = Source::fetch(env).await;
    take(source, env, now, Some(now.saturating_add(FRESH_SECONDS)));
}

/// Puts a configuration in force, or says why not; a former one stays.
fn take(source: Result<Source, String>, env: &Env, now: u64, due: Option<u64>) {
    let known = ISOLATE.with(|it| it.state.borrow().clone());
    let made = source.and_then(|source| {
        let digest = source.digest();
        if let State::Ready(edge) = &known
            && edge.digest == digest
        {
            edge.due.set(due);
            return Ok(Rc::clone(edge));
        }
        let config = source.parse(env, now)?;
        tell(&config, &digest, now);
        Ok(Rc::new(Edge {
            config,
            digest,
            has_analytics: host::has_analytics(env),
            verdicts: RefCell::new(VerdictCache::new()),
            due: Cell::new(due),
        }))
    });
    let state = match (made, known) {
        (Ok(edge), State::New | State::Bad { .. }) => {
            host::use_bindings(env, &on_unavailable());
            State::Ready(edge)
        }
        (Ok(edge), State::Ready(_)) => State::Ready(edge),
        (Err(error), State::Ready(former)) => {
            console_error!("auth_edge: the configuration stays as it was: {error}");
            State::Ready(former)
        }
        (Err(error), State::New | State::Bad { .. }) => {
            console_error!("auth_edge: {error}");
            State::Bad {
                until: now.saturating_add(RETRY_SECONDS),
            }
        }
    };
    ISOLATE.with(|it| it.state.replace(state));
}

/// How many host names a warning is written for.
const WARNED_HOSTS: usize = 10;

/// Tells the operator what is in force, and what clients would otherwise be the first to notice.
fn tell(config: &Config, digest: &Thumbprint, now: u64) {
    console_log!(
        "auth_edge: configuration {} in force, custom domains: {}",
        digest.to_hex(),
        config.len()
    );
    for (name, doubts) in config.doubts(now).take(WARNED_HOSTS) {
        let Doubts {
            authorities_outside_dates,
            authorities_without_list,
            stale_lists,
            unreadable_lists,
        } = doubts;
        console_warn!(
            "auth_edge: {name}: authorities outside their dates: {authorities_outside_dates}, without a revocation \
             list: {authorities_without_list}; revocation lists that are stale: {stale_lists}, unreadable: \
             {unreadable_lists}"
        );
    }
    for (name, shadow) in config.shadows().take(WARNED_HOSTS) {
        let hours = shadow.until.saturating_sub(now) / 3600;
        match shadow.is_on(now) {
            true => console_warn!(
                "auth_edge: {name}: shadow for {hours} hours more, then everything is enforced"
            ),
            false => console_warn!("auth_edge: {name}: shadow has ended, everything is enforced"),
        }
    }
}

/// Decides on the request that was told of, and carries the decision out.
fn settle(edge: &Rc<Edge>, request: &JsValue, env: &Env, told: &str) -> JsValue {
    let Some(seen) = ISOLATE.with(|it| Seen::read(told, &mut it.connections.borrow_mut())) else {
        return refuse(Reason::NoConfiguration, told);
    };
    let wanted = acme::lookup(&seen.request(None), &edge.config)
        .and_then(|wanted| Some((wanted, host::database(env)?)));
    let Some((wanted, database)) = wanted else {
        return carry_out(edge, request, &seen, None);
    };
    let (edge, request, now) = (Rc::clone(edge), request.clone(), seen.now);
    let (name, token) = (wanted.host.to_string(), wanted.token.to_owned());
    future_to_promise(async move {
        let found = host::acme_answer(&database, &name, &token, now).await;
        let found = found.unwrap_or_else(|error| {
            console_error!("auth_edge: ACME challenges in D1: {error}");
            None
        });
        let told = host::gather(&request);
        let seen = ISOLATE.with(|it| Seen::read(&told, &mut it.connections.borrow_mut()));
        Ok(seen.map_or_else(
            || refuse(Reason::NoConfiguration, &told),
            |seen| carry_out(&edge, &request, &seen, found.as_deref()),
        ))
    })
    .into()
}

/// Decides, and carries the decision out.
fn carry_out(
    edge: &Edge,
    request: &JsValue,
    seen: &Seen<'_>,
    acme_answer: Option<&str>,
) -> JsValue {
    let asked = seen.request(acme_answer);
    let mut verdicts = edge.verdicts.borrow_mut();
    let decision = decide(&asked, &edge.config, seen.now, &mut verdicts);
    drop(verdicts);
    match decision {
        Decision::Forward(edits) => {
            if let Some(refusal) = edits.shadow {
                console_warn!("{}", refusal.shadow_line(&asked, &host::new_id()));
                count(edge, &asked, "shadow", refusal.reason.code());
            } else {
                count(edge, &asked, "forwarded", "");
            }
            host::forward(request, &apply::edits(&asked, &edits))
        }
        Decision::Respond(reply) => {
            count(edge, &asked, "answered", "");
            answer(&reply, &asked, seen)
        }
        Decision::Refuse(refusal) => {
            count(edge, &asked, "refused", refusal.reason.code());
            refuse_with(refusal, &asked, seen)
        }
    }
}

fn count(edge: &Edge, request: &Request<'_>, outcome: &str, code: &str) {
    if edge.has_analytics {
        // A name that is not served is a client's text, and an index takes no more than 96 bytes.
        let mut fields = request.fields.iter();
        let host = fields
            .find(|(name, _)| *name == b"host")
            .and_then(|(_, value)| HostName::from_authority(value).ok())
            .and_then(|name| edge.config.find(&name));
        let host = host.map_or("", |(_, host, _)| host.custom_domain.as_str());
        host::count(outcome, code, host);
    }
}

/// Refuses a request on which the core was not asked.
fn refuse(reason: Reason, told: &str) -> JsValue {
    let mut connections = Connections::new(1);
    match Seen::read(told, &mut connections) {
        Some(seen) => {
            let refusal = Refusal {
                reason,
                class: EndpointClass::Other,
                thumbprint: None,
                identity_claims: 0,
            };
            let request = seen.request(None);
            if let State::Ready(edge) = ISOLATE.with(|it| it.state.borrow().clone()) {
                count(&edge, &request, "refused", reason.code());
            }
            refuse_with(refusal, &request, &seen)
        }
        None => host::answer(503, "", None, false),
    }
}

/// Refuses the request, with an answer and a log line.
fn refuse_with(refusal: Refusal, request: &Request<'_>, seen: &Seen<'_>) -> JsValue {
    let id = host::new_id();
    console_warn!("{}", refusal.log_line(request, &id));
    answer(&refusal.reply(request, &id), request, seen)
}

/// Answers in the origin's place.
fn answer(reply: &Reply, request: &Request<'_>, seen: &Seen<'_>) -> JsValue {
    let body = Some(reply.body.as_str());
    // An empty text would be given a type of content.
    let body = body.filter(|body| !body.is_empty() && request.method != b"HEAD");
    host::answer(reply.status, &apply::fields(reply), body, seen.is_https)
}

/// What `host.js` calls when an origin cannot be reached, with the text that told of the request.
fn on_unavailable() -> JsValue {
    let refuse = |told: String| refuse(Reason::OriginUnavailable, &told);
    Closure::<dyn Fn(String) -> JsValue>::new(refuse).into_js_value()
}
