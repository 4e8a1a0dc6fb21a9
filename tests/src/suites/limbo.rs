//! x509-limbo (Apache-2.0, <https://x509-limbo.com>): path validation as its file `limbo.json` has it.
//!
//! The file is in no registry, so it is given by path. Most of the suite verifies servers; what is
//! about clients, or about paths alone, is put to the edge, with the intermediates presented by the
//! client. A test that is not in the table, `tests/suites/limbo.json`, comes out as the suite says; a
//! test that cannot be put to the edge is skipped with its reason.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::door::{Answer, Question, Way};
use super::report::{Outcome, Report};

/// The departures of the whole suite, as [`Table::parse`] reads them.
pub const TABLE: &str = include_str!("../../suites/limbo.json");

/// The suite's file, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Limbo {
    version: u32,
    testcases: Vec<Testcase>,
}

#[derive(Debug, Deserialize)]
struct Testcase {
    id: String,
    validation_kind: Kind,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    #[serde(default)]
    validation_time: Option<String>,
    #[serde(default)]
    features: Vec<String>,
    signature_algorithms: Vec<String>,
    key_usage: Vec<String>,
    extended_key_usage: Vec<String>,
    expected_result: Verdict,
    #[serde(default)]
    max_chain_depth: Option<u32>,
    #[serde(default)]
    crls: Vec<String>,
}

/// Whose certificate is verified.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Success,
    Failure,
}

/// The tests that come out otherwise than the suite says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Why, by the names that the rows have for it.
    reasons: BTreeMap<String, String>,
    tests: BTreeMap<String, Row>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// The code the certificate is refused with, or `not_loaded`; without it, it is forwarded.
    refuse: Option<String>,
    /// The name of the reason why that is not the suite's verdict.
    why: String,
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(json: &str) -> Result<Self, Box<dyn Error>> {
        Ok(serde_json::from_str(json)?)
    }
}

/// Runs the suite of this file.
///
/// # Errors
/// When the file is not the suite's.
pub fn run(limbo: &str, mut table: Table) -> Result<Report, Box<dyn Error>> {
    let limbo: Limbo = serde_json::from_str(limbo)?;
    if limbo.version != 1 {
        return Err(format!("found version {}, expected 1", limbo.version).into());
    }
    let mut report = Report::default();
    for test in &limbo.testcases {
        let row = table.tests.remove(&test.id);
        let outcome = match test.skipped() {
            Some(why) => Outcome::Skipped(why.into()),
            None => test
                .outcome(row, &table.reasons)
                .map_err(|why| format!("{}: {why}", test.id))?,
        };
        report.add(&test.id, outcome);
    }
    for id in table.tests.into_keys() {
        report.add(&id, Outcome::Failed("there is no such test".into()));
    }
    Ok(report)
}

impl Testcase {
    /// Why the test cannot be put to the edge, as far as the file tells.
    fn skipped(&self) -> Option<&'static str> {
        let only = |given: &[String], known: &str| given.iter().all(|one| one == known);
        let is_in = |group: &str| self.id.starts_with(group);
        let has = |feature: &str| self.features.iter().any(|one| one.starts_with(feature));
        if is_in("bettertls::") || is_in("online::") {
            Some("it is about the names of servers")
        } else if has("pedantic-webpki") {
            Some("it is about what the CA/Browser Forum asks of servers' certificates")
        } else if self.max_chain_depth.is_some() {
            Some("the edge's limit to the length of a path is no setting")
        } else if !self.signature_algorithms.is_empty() {
            Some("the edge's signature algorithms are no setting")
        } else if !only(&self.key_usage, "digitalSignature") {
            Some("it asks for another key usage than the edge")
        } else if !only(&self.extended_key_usage, "clientAuth") {
            Some("it asks for another extended key usage than the edge")
        } else {
            None
        }
    }

    fn outcome(
        &self,
        row: Option<Row>,
        reasons: &BTreeMap<String, String>,
    ) -> Result<Outcome, Box<dyn Error>> {
        let answer = self.answer()?;
        let code = match &answer {
            Answer::Forwarded => None,
            Answer::Refused(code) => Some(code.as_str()),
            Answer::NotLoaded(_) => Some("not_loaded"),
            Answer::Unstable => return Ok(Outcome::Failed(answer.to_string())),
        };
        if self.validation_kind == Kind::Server && code == Some("certificate_usage") {
            return Ok(match row {
                None => Outcome::Skipped("its certificate is for servers only".into()),
                Some(_) => Outcome::Failed("the table has a skipped test".into()),
            });
        }
        let agrees = (self.expected_result == Verdict::Success) == code.is_none();
        Ok(match (row, agrees) {
            (None, true) => Outcome::Agrees,
            (Some(row), false) if row.refuse.as_deref() == code => {
                let reason = reasons.get(&row.why).cloned();
                let why = reason.ok_or_else(|| format!("there is no reason `{}`", row.why))?;
                match code {
                    Some(_) => Outcome::Stricter(why),
                    None => Outcome::Weaker(why),
                }
            }
            (Some(_), true) => Outcome::Failed(format!("{answer}, as the suite says")),
            (_, false) => Outcome::Failed(format!("{answer}, expected {:?}", self.expected_result)),
        })
    }

    fn answer(&self) -> Result<Answer, Box<dyn Error>> {
        let leaf = der(&self.peer_certificate)?;
        let all = |texts: &[String]| {
            texts
                .iter()
                .map(|text| der(text))
                .collect::<Result<Vec<_>, _>>()
        };
        let roots = all(&self.trusted_certs)?;
        let intermediates = all(&self.untrusted_intermediates)?;
        let lists = all(&self.crls)?;
        let now = match &self.validation_time {
            Some(text) => seconds(text).ok_or_else(|| format!("`{text}` is no time"))?,
            None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        };
        let question = Question {
            leaf: &leaf,
            roots: roots.iter().map(Vec::as_slice).collect(),
            intermediates: intermediates.iter().map(Vec::as_slice).collect(),
            way: Way::Presented,
            lists: lists.iter().map(Vec::as_slice).collect(),
            now,
        };
        Ok(question.ask())
    }
}

/// The content of one PEM block.
fn der(pem: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.collect::<String>());
    Ok(der.map_err(|why| format!("a certificate or list: {why}"))?)
}

/// Seconds since 1970 of a time in UTC as RFC 3339 writes it; a part of a second is dropped.
fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T')?;
    let time = time.strip_suffix('Z').or(time.strip_suffix("+00:00"))?;
    let (time, _) = time.split_once('.').unwrap_or((time, ""));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    // Days since 0000-03-01, so that a leap day is the last of its year.
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        _ => (year, month.checked_sub(3)?),
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let numbers: Option<Vec<u64>> = text
        .split(separator)
        .map(|part| part.parse().ok())
        .collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:03+00:00", Some(3)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("2024-03-01T00:00:00.999+00:00", Some(1_709_251_200)),
            ("2024-12-31T12:00:00Z", Some(1_735_646_400)),
            ("2969-05-03T00:00:00Z", Some(31_536_000_000)),
            ("2024-03-01T00:00:00+01:00", None),
            ("2024-03-01", None),
            ("1969-12-31T23:59:59Z", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
