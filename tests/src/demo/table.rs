//! The table: what was tried, what became of it, and whether that is as it should be.

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What is tried.
    pub(super) what: String,
    /// The request: method, which of the two names, path.
    pub(super) request: String,
    /// What became of it.
    pub(super) decision: String,
    /// The status of the answer.
    pub(super) status: Option<u16>,
    /// What the origin saw.
    pub(super) origin_saw: String,
    /// What is not as it should be; empty when all is.
    pub(super) faults: Vec<String>,
}

impl Row {
    /// A row of what is looked at once, and is as it should be so far.
    pub(super) fn new(what: &str, request: &str, decision: &str) -> Self {
        Self {
            what: what.to_owned(),
            request: request.to_owned(),
            decision: decision.to_owned(),
            status: None,
            origin_saw: "nothing".to_owned(),
            faults: Vec::new(),
        }
    }
}

/// The rows of one subject.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The subject.
    pub(super) title: String,
    /// Its rows.
    pub(super) rows: Vec<Row>,
}

/// How many rows came out as they should, and how many did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// As they should.
    pub passed: usize,
    /// Not as they should.
    pub failed: usize,
}

const HEAD: [&str; 6] = [
    "what is tried",
    "request",
    "decision",
    "status",
    "what the origin saw",
    "",
];

/// Prints the table and counts.
pub(super) fn print(sections: &[Section]) -> Count {
    let rows = || sections.iter().flat_map(|section| &section.rows);
    let mut widths = HEAD.map(str::len);
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [String; 6]| {
        let padded = cells.iter().zip(widths);
        let padded: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        println!("  {}", padded.join("  ").trim_end());
    };
    println!();
    line(HEAD.map(str::to_owned));
    for section in sections {
        println!();
        println!("{}", section.title);
        for row in &section.rows {
            line(cells(row));
            for fault in &row.faults {
                println!("      {fault}");
            }
        }
    }
    println!();
    let failed = rows().filter(|row| !row.faults.is_empty()).count();
    Count {
        passed: rows().count() - failed,
        failed,
    }
}

fn cells(row: &Row) -> [String; 6] {
    [
        row.what.clone(),
        row.request.clone(),
        row.decision.clone(),
        row.status
            .map_or("-".to_owned(), |status| status.to_string()),
        row.origin_saw.clone(),
        if row.faults.is_empty() {
            "ok"
        } else {
            "FAILED"
        }
        .to_owned(),
    ]
}
