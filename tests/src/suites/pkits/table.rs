//! What is expected of the suite's tests: `tests/suites/pkits.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use serde::Deserialize;

use super::super::door::Answer;
use super::super::report::Outcome;

const TABLE: &str = include_str!("../../../suites/pkits.json");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// Why the edge departs from the suite, by the names the rows have for it.
    reasons: BTreeMap<String, String>,
    pub(super) not_loaded: NotLoaded,
    /// By section of NIST's document, then by name. A test that is not here is valid for NIST and for
    /// the edge.
    tests: BTreeMap<String, BTreeMap<String, Row>>,
}

/// The files that no configuration may hold, by why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotLoaded {
    /// Certificates of authorities, which can still be presented.
    authorities: Groups,
    /// Revocation lists; the tests run without them.
    lists: Groups,
    /// Revocation lists whose issuer is not configured; it could still be presented.
    lists_of_others: Groups,
}

type Groups = BTreeMap<String, BTreeSet<String>>;

/// What is expected of a test. The last four are names of reasons, of which there is one where the
/// edge departs from NIST.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// NIST's verdict where the name does not tell it.
    nist: Option<Verdict>,
    /// The code the certificate is refused with; without one it is forwarded.
    refuse: Option<String>,
    /// Why that is not the reason the test is about.
    beside: Option<String>,
    /// Why the edge refuses what NIST accepts.
    stricter: Option<String>,
    /// Why the edge accepts what NIST refuses.
    weaker: Option<String>,
    /// Why the test is not run.
    skip: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Valid,
    Invalid,
}

impl Table {
    pub(super) fn read() -> Result<Self, Box<dyn Error>> {
        Ok(serde_json::from_str(TABLE)?)
    }

    pub(super) fn rows(&self) -> BTreeMap<&String, &Row> {
        self.tests.values().flatten().collect()
    }

    /// The names of reasons that no row has.
    pub(super) fn unused_reasons(&self) -> Vec<&String> {
        let rows = self.tests.values().flat_map(BTreeMap::values);
        let used: BTreeSet<&String> = rows.flat_map(Row::reasons).collect();
        let names = self.reasons.keys();
        names.filter(|name| !used.contains(name)).collect()
    }

    fn reason(&self, name: &str) -> Result<String, String> {
        let found = self.reasons.get(name).cloned();
        found.ok_or_else(|| format!("the table has no reason `{name}`"))
    }
}

impl NotLoaded {
    /// Every file.
    pub(super) fn files(&self) -> BTreeSet<&String> {
        let kinds = [&self.authorities, &self.lists, &self.lists_of_others];
        let groups = kinds.into_iter().flat_map(BTreeMap::values);
        groups.flatten().collect()
    }

    pub(super) fn is_authority(&self, name: &str) -> bool {
        is_in(name, &self.authorities)
    }

    pub(super) fn is_list(&self, name: &str) -> bool {
        is_in(name, &self.lists)
    }

    pub(super) fn is_of_others(&self, name: &str) -> bool {
        is_in(name, &self.lists_of_others)
    }
}

fn is_in(name: &str, groups: &Groups) -> bool {
    groups.values().any(|group| group.contains(name))
}

impl Row {
    /// The code the certificate is refused with.
    pub(super) fn code(&self) -> Option<&str> {
        self.refuse.as_deref()
    }

    pub(super) fn allows(&self, answer: &Answer) -> bool {
        match (answer, &self.refuse) {
            (Answer::Forwarded, None) => true,
            (Answer::Refused(code), Some(expected)) => code == expected,
            _ => false,
        }
    }

    /// The outcome when the edge does as the row says.
    pub(super) fn expected(&self, name: &str, table: &Table) -> Result<Outcome, String> {
        if self.reasons().count() > 1 {
            return Err("the table gives more than one reason".into());
        }
        if let Some(reason) = &self.skip {
            return Ok(Outcome::Skipped(table.reason(reason)?));
        }
        let of = |given: &Option<String>, member: &str| match given {
            Some(reason) => table.reason(reason),
            None => Err(format!("the table lacks the reason, `{member}`")),
        };
        match (self.verdict(name)?, &self.refuse) {
            (Verdict::Valid, Some(_)) => Ok(Outcome::Stricter(of(&self.stricter, "stricter")?)),
            (Verdict::Invalid, None) => Ok(Outcome::Weaker(of(&self.weaker, "weaker")?)),
            (Verdict::Invalid, Some(_)) if self.beside.is_some() => {
                Ok(Outcome::Beside(of(&self.beside, "beside")?))
            }
            _ if self.reasons().count() > 0 => {
                Err("the table gives a reason, and there is nothing to give one for".into())
            }
            _ => Ok(Outcome::Agrees),
        }
    }

    /// NIST's verdict.
    fn verdict(&self, name: &str) -> Result<Verdict, String> {
        let named = match name {
            _ if name.starts_with("Valid") => Some(Verdict::Valid),
            _ if name.starts_with("Invalid") => Some(Verdict::Invalid),
            _ => None,
        };
        match (named, self.nist) {
            (Some(verdict), None) | (None, Some(verdict)) => Ok(verdict),
            (Some(_), Some(_)) => Err("the table repeats the verdict of the name".into()),
            (None, None) => Err("neither name nor table tells NIST's verdict".into()),
        }
    }

    fn reasons(&self) -> impl Iterator<Item = &String> {
        let reasons = [&self.beside, &self.stricter, &self.weaker, &self.skip];
        reasons.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(name: &str, row: &str) -> Result<Outcome, String> {
        let table = Table {
            reasons: BTreeMap::from([("why".to_owned(), "because".to_owned())]),
            not_loaded: serde_json::from_str(
                r#"{ "authorities": {}, "lists": {}, "lists_of_others": {} }"#,
            )
            .unwrap(),
            tests: BTreeMap::new(),
        };
        let row: Row = serde_json::from_str(row).unwrap();
        row.expected(name, &table)
    }

    #[test]
    fn a_departure_has_its_reason_and_nothing_else_has_one() {
        let because = || "because".to_owned();
        for (name, row, outcome) in [
            ("ValidX", r#"{}"#, Ok(Outcome::Agrees)),
            ("InvalidX", r#"{ "refuse": "a" }"#, Ok(Outcome::Agrees)),
            ("X", r#"{ "nist": "valid" }"#, Ok(Outcome::Agrees)),
            (
                "InvalidX",
                r#"{ "refuse": "a", "beside": "why" }"#,
                Ok(Outcome::Beside(because())),
            ),
            (
                "ValidX",
                r#"{ "refuse": "a", "stricter": "why" }"#,
                Ok(Outcome::Stricter(because())),
            ),
            (
                "InvalidX",
                r#"{ "weaker": "why" }"#,
                Ok(Outcome::Weaker(because())),
            ),
            (
                "ValidX",
                r#"{ "skip": "why" }"#,
                Ok(Outcome::Skipped(because())),
            ),
            ("X", r#"{}"#, Err(())),
            ("ValidX", r#"{ "nist": "valid" }"#, Err(())),
            ("ValidX", r#"{ "refuse": "a" }"#, Err(())),
            (
                "ValidX",
                r#"{ "refuse": "a", "stricter": "what" }"#,
                Err(()),
            ),
            ("ValidX", r#"{ "stricter": "why" }"#, Err(())),
            ("ValidX", r#"{ "weaker": "why" }"#, Err(())),
            ("InvalidX", r#"{}"#, Err(())),
            (
                "InvalidX",
                r#"{ "refuse": "a", "stricter": "why" }"#,
                Err(()),
            ),
            ("InvalidX", r#"{ "weaker": "why", "skip": "why" }"#, Err(())),
        ] {
            assert_eq!(expected(name, row).map_err(|_| ()), outcome, "{name} {row}");
        }
    }

    #[test]
    fn an_answer_has_to_be_the_one_expected() {
        let refused = |code: &str| Answer::Refused(code.to_owned());
        let row: Row = serde_json::from_str(r#"{ "refuse": "a" }"#).unwrap();
        assert!(row.allows(&refused("a")));
        assert!(!row.allows(&refused("b")));
        assert!(!row.allows(&Answer::Forwarded));
        assert!(!row.allows(&Answer::NotLoaded("a".to_owned())));
        assert!(Row::default().allows(&Answer::Forwarded));
        assert!(!Row::default().allows(&refused("a")));
    }
}
