//! A decision of the core, carried out.

use std::fmt;

use auth_edge::Decision;
use auth_edge::edits::{Edits, Value};
use auth_edge::refusal::Refusal;
use auth_edge::reply::Reply;
use auth_edge::request::Request;

use crate::host::{Counters, Host};

/// What became of the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It goes to the origin.
    Forwarded,
    /// The edge answered it.
    Answered,
}

/// Carries the decision out; `id` names the request in logs and answers, and `edit` makes the client's request
/// the origin's, which each host program has its own way for.
pub(crate) fn apply(
    host: &impl Host,
    counters: &Counters,
    request: &Request<'_>,
    decision: Decision<'_>,
    id: fmt::Arguments<'_>,
    edit: &dyn Fn(&Edits<'_>),
) -> Outcome {
    match decision {
        Decision::Forward(edits) => {
            edit(&edits);
            counters.add_forwarded();
            counters.add_identity_claims(edits.identity_claims);
            watched(host, counters, request, edits.shadow, id);
            Outcome::Forwarded
        }
        Decision::Respond(reply) => {
            answer(host, &reply);
            counters.add_answered();
            Outcome::Answered
        }
        Decision::Refuse(refusal) => {
            refuse(host, counters, request, refusal, &id.to_string());
            Outcome::Answered
        }
    }
}

/// Tells of a forwarded request what would have refused it.
fn watched(
    host: &impl Host,
    counters: &Counters,
    request: &Request<'_>,
    shadow: Option<Refusal>,
    id: fmt::Arguments<'_>,
) {
    if let Some(refusal) = shadow {
        counters.add_watched(refusal.reason);
        host.log_warning(&refusal.shadow_line(request, &id.to_string()));
    }
}

/// Makes the client's request the origin's, field by field.
pub(crate) fn edit(host: &impl Host, request: &Request<'_>, edits: &Edits<'_>) {
    for (index, (name, _)) in request.fields.iter().enumerate() {
        let is_replaced = || {
            let mut set = edits.set.iter();
            set.any(|(set, _)| set.as_bytes() == *name)
        };
        if edits.remove.contains(index) && !is_replaced() {
            host.remove_request_field(name);
        }
    }
    host.replace_request_field(":authority", edits.authority);
    for (name, value) in edits.set.iter() {
        // A secret is not compared with what a client sent: the time that takes would tell of it.
        let is_secret = matches!(value, Value::Secret(_));
        if is_secret || !stands(request, name, value.as_str()) {
            host.replace_request_field(name, value.as_str());
        }
    }
}

/// Whether the request has this very field and no other of its name, so that nothing need be set: Envoy
/// writes `x-forwarded-proto: https` itself, and each call takes more than a microsecond.
fn stands(request: &Request<'_>, name: &str, value: &str) -> bool {
    let fields = request.fields.iter();
    let mut named = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
    named.next() == Some(&(name.as_bytes(), value.as_bytes())) && named.next().is_none()
}

/// Refuses the request, with an answer, a counter and a log line.
fn refuse(
    host: &impl Host,
    counters: &Counters,
    request: &Request<'_>,
    refusal: Refusal,
    id: &str,
) {
    answer(host, &refusal.reply(request, id));
    counters.add_refused(refusal.reason);
    counters.add_identity_claims(refusal.identity_claims);
    host.log_warning(&refusal.log_line(request, id));
}

/// Answers in the origin's place.
fn answer(host: &impl Host, reply: &Reply) {
    let headers = reply
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    host.answer(reply.status, headers, &reply.body);
}
