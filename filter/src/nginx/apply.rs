//! A decision of the core, carried out in NGINX.

use std::fmt;

use auth_edge::Decision;
use auth_edge::request::Request;

use crate::apply::{Outcome, answer, refuse, watched};
use crate::host::{Counters, Host};

/// The variable that holds the authority of the origin.
const AUTHORITY: &str = "auth_edge_authority";

/// Carries the decision out; `id` names the request in logs and answers.
pub(crate) fn apply(
    host: &impl Host,
    counters: &Counters,
    request: &Request<'_>,
    decision: Decision<'_>,
    id: fmt::Arguments<'_>,
) -> Outcome {
    match decision {
        Decision::Forward(edits) => {
            // What is to be removed is what `proxy_set_header` replaces: the core saw to that.
            for (name, value) in edits.set.iter() {
                host.set_nginx_variable(&variable_of(name), value.as_str());
            }
            // Last: without it NGINX has no origin to go to.
            host.set_nginx_variable(AUTHORITY, edits.authority);
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

/// The variable that `proxy_set_header` gives to the field: hyphens as `_`, and underscores as `__`, so that
/// `ssl_client_cert` and `ssl-client-cert` are two.
fn variable_of(field: &str) -> String {
    let name = field.replace('_', "__").replace('-', "_");
    format!("auth_edge_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_variable_of_its_name() {
        for (field, variable) in [
            ("x-forwarded-for", "auth_edge_x_forwarded_for"),
            ("ssl-client-cert", "auth_edge_ssl_client_cert"),
            ("ssl_client_cert", "auth_edge_ssl__client__cert"),
        ] {
            assert_eq!(variable_of(field), variable);
        }
    }
}
