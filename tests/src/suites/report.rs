//! What a suite came to, and how that is told.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::process::ExitCode;

/// How one test of a suite came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The suite's verdict, for the suite's reason.
    Agrees,
    /// The suite's verdict, for another reason: the test shows nothing of what it is about.
    Beside(String),
    /// Refused, though the suite would accept; holds why.
    Stricter(String),
    /// Accepted, though the suite would refuse; holds why.
    Weaker(String),
    /// Not put to the edge; holds why.
    Skipped(String),
    /// Not what the table says; holds what is.
    Failed(String),
}

/// The outcomes of a suite.
#[derive(Clone, Debug, Default)]
pub struct Report {
    agreed: usize,
    beside: BTreeMap<String, Vec<String>>,
    stricter: BTreeMap<String, Vec<String>>,
    weaker: BTreeMap<String, Vec<String>>,
    skipped: BTreeMap<String, Vec<String>>,
    failed: Vec<String>,
}

impl Report {
    pub(super) fn add(&mut self, test: &str, outcome: Outcome) {
        let (of_kind, why) = match outcome {
            Outcome::Agrees => {
                self.agreed += 1;
                return;
            }
            Outcome::Failed(why) => {
                self.failed.push(format!("{test}: {why}"));
                return;
            }
            Outcome::Beside(why) => (&mut self.beside, why),
            Outcome::Stricter(why) => (&mut self.stricter, why),
            Outcome::Weaker(why) => (&mut self.weaker, why),
            Outcome::Skipped(why) => (&mut self.skipped, why),
        };
        of_kind.entry(why).or_default().push(test.to_owned());
    }

    /// Prints it, with a closing line that counts, and says with which code to exit.
    pub fn tell(&self, suite: &str) -> ExitCode {
        print!("{suite}\n{self}");
        println!(
            "{} passed, {} failed, {} skipped",
            self.passed(),
            self.failed(),
            self.skipped()
        );
        if self.failed() == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// How many came out as the table says.
    pub fn passed(&self) -> usize {
        self.agreed + count(&self.beside) + count(&self.stricter) + count(&self.weaker)
    }

    /// How many were not put to the edge.
    pub fn skipped(&self) -> usize {
        count(&self.skipped)
    }

    /// How many did not come out as the table says.
    pub fn failed(&self) -> usize {
        self.failed.len()
    }

    /// How many the edge accepts although the suite would refuse.
    pub fn weaker(&self) -> usize {
        count(&self.weaker)
    }
}

fn count(of_kind: &BTreeMap<String, Vec<String>>) -> usize {
    of_kind.values().map(Vec::len).sum()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("agree for another reason", &self.beside),
            ("differ: refused, the suite accepts", &self.stricter),
            ("not run", &self.skipped),
            ("DIFFER UNSAFELY: accepted, the suite refuses", &self.weaker),
        ];
        let mut summary = format!("{} agree", self.agreed);
        for (title, of_kind) in kinds {
            write!(summary, ", {} {title}", count(of_kind))?;
            if of_kind.is_empty() {
                continue;
            }
            writeln!(f, "{title}:")?;
            for (why, tests) in of_kind {
                writeln!(f, "  {why}\n    {}", tests.join(", "))?;
            }
        }
        for failure in &self.failed {
            writeln!(f, "FAILED {failure}")?;
        }
        writeln!(f, "{summary}, {} failed", self.failed.len())
    }
}
