//! NIST's Public Key Interoperability Test Suite (PKITS 1.0.1), of the US government and in the public
//! domain: <https://csrc.nist.gov/projects/pki-testing>.
//!
//! Each test comes with a signed message, which brings the certificates of the test's path and the
//! revocation lists for it. A test runs three times: with its authorities configured; with them presented
//! by the client; and among all authorities and lists of the suite, where no more may be accepted. The
//! first two are given exactly what the message brings, so that the reason of a refusal is that of the
//! test. NIST's settings are the defaults: any policy will do, and none is required. NIST's verdict is
//! the first word of a test's name, or in the table, `tests/suites/pkits.json`.

mod files;
mod table;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use self::files::{Files, Test};
use self::table::{NotLoaded, Row, Table};
use super::door::{Answer, Question, Way};
use super::report::{Outcome, Report};

/// 2020-01-01 00:00:00 UTC, when all of the suite is valid that is meant to be (2010 to 2030).
const NOW: u64 = 1_577_836_800;

/// Runs the suite whose folders `certs`, `crls` and `smime` are in `folder`.
///
/// # Errors
/// When a file of the suite, or the table, cannot be read.
pub fn run(folder: &Path) -> Result<Report, Box<dyn Error>> {
    let table = Table::read()?;
    let files = Files::read(folder)?;
    let mut report = Report::default();
    check_loading(&table.not_loaded, &files, &mut report);
    let all = All::of(&files, &table.not_loaded);
    let mut rows = table.rows();
    for (name, test) in &files.tests {
        let row = rows.remove(name).cloned().unwrap_or_default();
        let outcome = outcome(&table, &row, name, || {
            let mut answers = answers(test, &files, &table.not_loaded);
            answers.push(("among all", all.verdict(test, &files, &row)));
            answers
        });
        report.add(name, outcome);
    }
    for name in rows.into_keys() {
        report.add(name, Outcome::Failed("there is no such test".into()));
    }
    for name in table.unused_reasons() {
        report.add(name, Outcome::Failed("no test has this reason".into()));
    }
    Ok(report)
}

/// What is said not to load does not, beside the root alone.
fn check_loading(not_loaded: &NotLoaded, files: &Files, report: &mut Report) {
    let authorities = files
        .certificates
        .iter()
        .map(|file| (Way::Configured, file));
    let lists = files.lists.iter().map(|file| (Way::Presented, file));
    let mut left = not_loaded.files();
    for (way, (der, name)) in authorities.chain(lists) {
        if !left.remove(name) || not_loaded.is_of_others(name) {
            continue;
        }
        let mut question = question(&files.root, files, way);
        match way {
            Way::Configured => question.intermediates.push(der),
            Way::Presented => question.lists.push(der),
        }
        if !matches!(question.ask(), Answer::NotLoaded(_)) {
            let found = "is said not to load, but a configuration holds it".into();
            report.add(name, Outcome::Failed(found));
        }
    }
    for name in left {
        report.add(name, Outcome::Failed("there is no such file".into()));
    }
}

fn question<'a>(leaf: &'a [u8], files: &'a Files, way: Way) -> Question<'a> {
    Question {
        leaf,
        roots: vec![&files.root],
        intermediates: Vec::new(),
        way,
        lists: Vec::new(),
        now: NOW,
    }
}

/// What the edge says to a test on its own, however it comes by the authorities.
fn answers(test: &Test, files: &Files, not_loaded: &NotLoaded) -> Vec<(&'static str, Answer)> {
    let ask = |way| {
        let mut question = question(&test.leaf, files, way);
        question.intermediates = test.authorities.iter().map(Vec::as_slice).collect();
        question.lists = lists(test, files, not_loaded).into_iter().collect();
        question.ask()
    };
    let mut answers = vec![("presented", ask(Way::Presented))];
    let configured = ask(Way::Configured);
    let mut lists = test.lists.iter();
    let loads = authorities_load(test, files, not_loaded)
        && !lists.any(|der| not_loaded.is_of_others(files.list(der)));
    // That a configuration is refused is no answer where the table has it.
    if loads || !matches!(configured, Answer::NotLoaded(_)) {
        answers.push(("configured", configured));
    }
    answers
}

/// The lists of a test, each once, without those that do not load.
fn lists<'a>(test: &'a Test, files: &Files, not_loaded: &NotLoaded) -> BTreeSet<&'a [u8]> {
    let all = test.lists.iter().map(Vec::as_slice);
    all.filter(|der| !not_loaded.is_list(files.list(der)))
        .collect()
}

/// Whether a configuration can hold the authorities of a test.
fn authorities_load(test: &Test, files: &Files, not_loaded: &NotLoaded) -> bool {
    let mut authorities = test.authorities.iter();
    authorities.all(|der| !not_loaded.is_authority(files.certificate(der)))
}

/// The authorities and lists of all tests, without what no configuration can hold.
struct All<'a> {
    authorities: Vec<&'a [u8]>,
    lists: Vec<&'a [u8]>,
}

impl<'a> All<'a> {
    fn of(files: &'a Files, not_loaded: &NotLoaded) -> Self {
        let mut all_authorities = BTreeSet::new();
        let mut all_lists = BTreeSet::new();
        let tests = files.tests.values();
        for test in tests.filter(|test| authorities_load(test, files, not_loaded)) {
            all_authorities.extend(test.authorities.iter().map(Vec::as_slice));
            all_lists.extend(lists(test, files, not_loaded));
        }
        all_lists.retain(|der| !not_loaded.is_of_others(files.list(der)));
        Self {
            authorities: all_authorities.into_iter().collect(),
            lists: all_lists.into_iter().collect(),
        }
    }

    /// What the edge says, where only the verdict counts: among many authorities of all kinds it may
    /// meet another problem first.
    fn verdict(&self, test: &Test, files: &Files, row: &Row) -> Answer {
        let mut question = question(&test.leaf, files, Way::Configured);
        question.intermediates.clone_from(&self.authorities);
        question.lists.clone_from(&self.lists);
        match (question.ask(), row.code()) {
            (Answer::Refused(_), Some(code)) => Answer::Refused(code.to_owned()),
            (answer, _) => answer,
        }
    }
}

fn outcome(
    table: &Table,
    row: &Row,
    name: &str,
    answers: impl FnOnce() -> Vec<(&'static str, Answer)>,
) -> Outcome {
    let expected = match row.expected(name, table) {
        Ok(Outcome::Skipped(why)) => return Outcome::Skipped(why),
        expected => expected,
    };
    let answers = answers();
    let is_as_expected = answers.iter().all(|(_, answer)| row.allows(answer));
    let why = match expected {
        Ok(outcome) if is_as_expected => return outcome,
        Ok(_) => match row.code() {
            Some(code) => format!("expected a refusal with {code}"),
            None => "expected a forward".to_owned(),
        },
        Err(why) => why,
    };
    let show = |(way, answer): &(&str, Answer)| format!("{way}: {answer}");
    let answers: Vec<String> = answers.iter().map(show).collect();
    Outcome::Failed(format!("{why}; {}", answers.join("; ")))
}
