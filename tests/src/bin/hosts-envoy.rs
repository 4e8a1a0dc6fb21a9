//! Runs the built filter in a real Envoy through what no vector can say.
//!
//! `hosts-envoy --envoy PATH --envoy-version V --wasm PATH [--envoy-without-verdict PATH]
//! [--envoy-without-certificate PATH] [--only TEXT] [--updates N]`; the two are an Envoy 1.38, which does not
//! say whether it verified a certificate, and one before that, which does not show it. N is how often the
//! configuration changes under load. The last line counts.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use auth_edge_tests::arguments::Arguments;
use auth_edge_tests::hosts::{
    Outcome, Stage, bodies, certificates, connections, expiry, faults, load, manifests, operations,
    origins, records, restarts, secrets, sessions, shadow, shipped, starts, traps, updates,
};

type Test = fn(&Stage) -> Outcome;

/// Tests with their names, in the order they run.
macro_rules! tests {
    ($($module:ident: $($test:ident),+;)+) => {
        &[$($((stringify!($test), $module::$test as Test)),+),+]
    };
}

const TESTS: &[(&str, Test)] = tests! {
    starts:
        an_unknown_member_refuses_the_start,
        a_missing_secret_variable_refuses_the_start,
        a_secret_with_a_line_break_refuses_the_start,
        missing_client_certificates_refuse_the_start,
        an_inline_secret_without_permission_refuses_the_start,
        an_edge_without_roots_refuses_the_start,
        a_root_that_is_no_certificate_refuses_the_start,
        a_chain_that_envoy_does_not_show_refuses_the_start,
        a_configuration_that_is_no_json_refuses_the_start,
        a_key_sealed_for_another_host_refuses_the_start,
        a_missing_sealing_key_refuses_the_start;
    sessions:
        a_ca_signed_certificate_keeps_working_on_a_resumed_session,
        presented_intermediates_keep_working_on_a_resumed_session,
        a_certificate_of_an_unknown_issuer_is_refused_on_a_resumed_session_too,
        where_the_host_program_verifies_a_ca_signed_certificate_is_refused_on_a_resumed_session,
        a_registered_self_signed_certificate_keeps_working_on_a_resumed_session,
        an_unregistered_certificate_is_refused_on_a_resumed_session_too,
        a_session_resumed_under_another_name_is_judged_by_its_certificate,
        with_resumption_off_nothing_resumes_and_a_ca_signed_client_keeps_working;
    connections:
        each_request_of_a_connection_is_decided_by_itself,
        a_refusal_says_whether_the_connection_stays_open,
        another_host_name_on_a_connection_is_misdirected_on_an_alias,
        a_signature_is_verified_once_for_all_requests_and_connections,
        a_path_is_verified_once_for_all_requests_and_connections,
        the_field_that_envoy_writes_is_the_one_the_vectors_know,
        certificates_of_connections_open_at_the_same_time_never_mix;
    certificates:
        each_test_certificate_is_decided_as_the_core_decides_it;
    records:
        counters_tell_what_was_forwarded_refused_and_claimed,
        a_refusal_leaves_exactly_one_structured_log_line;
    shadow:
        what_is_only_watched_is_logged_counted_and_forwarded;
    expiry:
        a_certificate_that_expires_on_an_open_connection_is_refused,
        an_intermediate_that_expires_on_an_open_connection_is_refused,
        a_revocation_list_that_expires_on_an_open_connection_is_refused;
    faults:
        without_tls_inspector_the_alias_is_misdirected_and_the_log_says_why,
        a_listener_that_does_not_show_the_chain_is_refused_and_the_log_says_why,
        an_origin_with_another_name_gets_nothing,
        an_origin_of_an_unknown_authority_gets_nothing;
    updates:
        a_new_configuration_applies_to_the_next_request_of_an_open_connection,
        a_refused_configuration_leaves_the_former_in_force,
        a_refused_first_configuration_closes_and_shows,
        a_revocation_list_counts_from_the_next_request_of_an_open_connection,
        a_removed_root_refuses_the_next_request_of_an_open_connection,
        a_new_sealed_key_is_sent_from_the_next_request_of_an_open_connection;
    load:
        updates_under_load_lose_no_request_no_connection_and_no_memory,
        refused_updates_under_load_change_nothing;
    traps:
        a_trap_answers_503_forwards_nothing_and_the_next_request_is_served;
    restarts:
        a_drained_envoy_is_replaced_without_a_lost_request,
        a_killed_envoy_loses_no_more_than_what_was_in_flight;
    origins:
        an_origin_that_fails_is_told_from_an_answer_and_never_asked_twice,
        the_route_of_a_host_chooses_its_origin_and_stays_here;
    shipped:
        hsts_is_added_where_the_origin_sends_none,
        what_is_not_the_origins_is_never_stored,
        cors_fields_of_the_origin_are_left_alone,
        health_is_answered_without_the_filter_until_envoy_drains;
    operations:
        the_metrics_of_the_documents_and_of_the_alert_rules_exist;
    manifests:
        the_manifests_for_istio_serve_both_names,
        the_manifests_for_envoy_gateway_serve_both_names;
    bodies:
        large_bodies_stream_through_both_ways,
        messages_without_a_body_pass;
    secrets:
        a_sealed_key_reaches_its_origin_and_no_key_is_shown;
    // Last, so that the log holds everything that the others provoked.
    secrets:
        the_api_key_reaches_the_origin_and_is_shown_nowhere;
};

type OlderTest = fn(&Stage, &Path) -> Outcome;

/// Tests of an Envoy that lacks a fact, with the argument that names it.
const OLDER: [(&str, &str, OlderTest); 3] = [
    (
        "envoy-without-verdict",
        "without_a_verdict_of_the_host_program_ca_signed_certificates_are_refused",
        faults::without_a_verdict_of_the_host_program_ca_signed_certificates_are_refused,
    ),
    (
        "envoy-without-certificate",
        "without_the_certificate_on_the_connection_every_one_is_refused",
        faults::without_the_certificate_on_the_connection_every_one_is_refused,
    ),
    (
        "envoy-without-certificate",
        "the_manifests_for_istio_serve_both_names_from_the_field_of_an_older_envoy",
        manifests::the_manifests_for_istio_serve_both_names_from_the_field_of_an_older_envoy,
    ),
];

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hosts-envoy: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let more = [
        "envoy-without-verdict",
        "envoy-without-certificate",
        "only",
        "updates",
    ];
    let arguments = Arguments::parse(std::env::args().skip(1), &more)?;
    let only = arguments.value("only").unwrap_or_default();
    let mut stage = Stage::new(arguments.envoy.clone(), arguments.wasm.clone())?;
    if let Some(updates) = arguments.value("updates") {
        stage.updates = updates.parse()?;
    }
    let mut tally = Tally::default();
    for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(only)) {
        tally.add(name, test(&stage));
    }
    for (argument, name, test) in OLDER.iter().filter(|(_, name, _)| name.contains(only)) {
        if let Some(older) = arguments.value(argument) {
            tally.add(name, test(&stage, Path::new(older)));
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed)
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn add(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                println!("ok {name}");
                self.passed += 1;
            }
            Err(why) => {
                println!("FAILED {name}: {why}");
                self.failed += 1;
            }
        }
    }
}
