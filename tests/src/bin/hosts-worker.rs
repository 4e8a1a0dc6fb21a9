//! Runs the built Cloudflare Worker in a real workerd through what no vector can say.
//!
//! `hosts-worker --node PATH --npm-root DIR --worker DIR [--only TEXT]`: Node.js, the folder above the
//! `node_modules` that has miniflare, and the folder of the built Worker. The last line counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use auth_edge_tests::worker_hosts::{
    Outcome, Stage, configuration, database, hostile, origins, records, startup, streams,
};

type Test = fn(&Stage) -> Outcome;

/// Tests with their names, in the order they run.
macro_rules! tests {
    ($($module:ident: $($test:ident),+;)+) => {
        &[$($((stringify!($test), $module::$test as Test)),+),+]
    };
}

const TESTS: &[(&str, Test)] = tests! {
    startup:
        the_first_answer_comes_without_help;
    origins:
        an_origin_that_cannot_be_reached_is_answered_503_and_told,
        what_cloudflare_answers_in_the_origins_place_is_passed_on,
        an_answer_that_breaks_off_is_not_taken_for_a_whole_one,
        an_answer_that_comes_late_is_passed_on,
        answers_are_the_origins_own_whatever_their_status,
        nothing_is_answered_from_a_cache,
        compressed_answers_are_passed_on_as_they_are,
        hsts_is_added_over_https_where_the_origin_sends_none,
        the_origin_is_told_the_address_that_cloudflare_tells;
    streams:
        a_request_body_is_passed_on_while_it_comes,
        an_answer_is_passed_on_while_it_comes,
        large_bodies_pass_both_ways,
        every_method_passes_with_its_body,
        an_upgrade_is_not_made,
        a_request_with_an_expectation_is_served;
    configuration:
        a_configuration_is_taken_from_a_text_a_value_or_a_namespace,
        without_a_usable_configuration_every_request_gets_503,
        a_mended_configuration_is_taken_at_the_next_try,
        a_new_configuration_is_taken_after_a_minute_and_a_bad_one_never,
        workers_of_one_bundle_do_not_mix,
        many_first_requests_read_the_configuration_once,
        unusable_bindings_are_left_out;
    database:
        challenges_are_answered_by_host_and_token,
        a_database_without_tables_harms_nothing_but_challenges,
        revocation_lists_count_for_their_own_host,
        a_new_revocation_list_counts_after_a_minute,
        lists_that_cannot_be_read_at_the_start_close_until_they_can,
        requests_at_the_same_time_never_mix;
    records:
        request_ids_differ_and_are_never_the_clients,
        every_decision_leaves_one_data_point,
        what_is_only_watched_is_forwarded_and_told,
        without_a_dataset_nothing_is_counted_and_all_is_served,
        authorities_outside_their_dates_are_told_at_the_start;
    hostile:
        what_contradicts_itself_or_is_not_told_lets_nobody_in,
        whatever_cf_holds_the_edge_decides_and_tells_no_certificate_but_a_good_one;
    // Last, so that the log holds what the others provoked.
    records:
        a_refusal_leaves_exactly_one_log_line_and_a_forward_none;
};

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hosts-worker: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let mut given = arguments(std::env::args().skip(1))?;
    let only = given.remove("only").unwrap_or_default();
    let mut path = |name: &str| -> Result<PathBuf, Box<dyn Error>> {
        let path = given.remove(name);
        let path = path.ok_or_else(|| format!("`--{name}` is missing"))?;
        Ok(std::path::absolute(path)?)
    };
    let stage = Stage::new(path("node")?, path("npm-root")?, path("worker")?)?;
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(&only)) {
        match test(&stage) {
            Ok(()) => {
                println!("ok {name}");
                passed += 1;
            }
            Err(why) => {
                println!("FAILED {name}: {why}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

/// The values of the arguments by their names.
fn arguments(
    mut arguments: impl Iterator<Item = String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut given = BTreeMap::new();
    while let Some(argument) = arguments.next() {
        let name = argument.strip_prefix("--").unwrap_or_default();
        if !["node", "npm-root", "worker", "only"].contains(&name) {
            return Err(format!("unknown argument `{argument}`"));
        }
        let value = arguments.next();
        let value = value.ok_or_else(|| format!("`{argument}` lacks its value"))?;
        given.insert(name.to_owned(), value);
    }
    Ok(given)
}
