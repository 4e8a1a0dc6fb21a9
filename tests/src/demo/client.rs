//! The rows of the real client: its own report beside what the origin saw meanwhile.

use std::collections::VecDeque;
use std::error::Error;

use super::attempt::{request_text, verdict};
use super::audit::{Audit, Carried, Seen};
use super::node::Step;
use super::stage::{CA_SIGNED, SELF_SIGNED, Stage, thumbprint};
use super::table::{Row, Section};
use super::{ALIAS, DOMAIN};

/// How the client says that the answer came from the edge.
const BY_EDGE: &str = "refused by the edge: ";

/// Runs the client and tells its steps.
pub(super) fn run(stage: &Stage, audit: &mut Audit) -> Result<Vec<Section>, Box<dyn Error>> {
    let steps = stage.node.run_client()?;
    let mut seen: VecDeque<Seen> = audit.take()?.into();
    let prints = [
        thumbprint(stage.pki.get(CA_SIGNED)?),
        thumbprint(stage.pki.get(SELF_SIGNED)?),
    ];
    let mut sections: Vec<Section> = Vec::new();
    let mut left_out = Vec::new();
    for step in &steps {
        let (client, what) = step.step.split_once(": ").unwrap_or(("", &step.step));
        let title = format!("The real client {client} (openid-client)");
        let row = row(step, what, &prints, &mut seen, &mut left_out);
        match sections.last_mut() {
            Some(section) if section.title == title => section.rows.push(row),
            _ => sections.push(Section {
                title,
                rows: vec![row],
            }),
        }
    }
    left_out.extend(seen);
    // Only redirects and key look-ups at the custom domain belong to no step of their own.
    let mut strangers = left_out
        .iter()
        .filter(|it| it.thumbprint.is_some() || it.public_host != DOMAIN);
    if let (Some(stranger), Some(last)) = (
        strangers.next(),
        sections.last_mut().and_then(|it| it.rows.last_mut()),
    ) {
        last.faults.push(format!(
            "a request that no step tells of reached the origin: {} {}",
            stranger.method,
            stranger.path()
        ));
    }
    Ok(sections)
}

fn row(
    step: &Step,
    what: &str,
    prints: &[String; 2],
    seen: &mut VecDeque<Seen>,
    left_out: &mut Vec<Seen>,
) -> Row {
    let detail = step.detail.as_deref().unwrap_or_default();
    let request = step.request.as_deref().unwrap_or_default();
    let (method, url) = request.split_once(' ').unwrap_or_default();
    let url = url.strip_prefix("https://").unwrap_or_default();
    let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
    let host = authority.split(':').next().unwrap_or_default();
    let mut row = Row {
        what: shortened(what),
        request: request_text(method, host, path),
        decision: "forwarded".to_owned(),
        status: step.status,
        origin_saw: "nothing".to_owned(),
        faults: Vec::new(),
    };
    if !step.ok {
        row.faults
            .push(format!("{detail}; expected {}", step.expected));
    }
    if let Some((_, code)) = detail.split_once(BY_EDGE) {
        row.decision = format!("refused {}", code.trim_end_matches(')'));
        return row;
    }
    if step.status.is_some_and(|status| status >= 400) {
        row.decision.push_str(", refused by the origin");
    }
    // Steps come in order, so what stands before the request of this one belongs to the one before.
    let is_this = |it: &Seen| it.method == method && it.path() == path && it.status == step.status;
    let Some(index) = seen.iter().position(is_this) else {
        row.faults.push("the origin saw no such request".to_owned());
        return row;
    };
    left_out.extend(seen.drain(..index));
    if let Some(this) = seen.pop_front() {
        row.origin_saw = this.summary();
        let carried = match step.certificate.as_deref() {
            Some("ca") if host == ALIAS => Some((&prints[0], verdict(true))),
            Some("self-signed") if host == ALIAS => Some((&prints[1], verdict(false))),
            _ => None,
        };
        let carried = carried.map(|(thumbprint, verdict)| Carried {
            thumbprint,
            verdict,
        });
        row.faults.extend(this.faults(host, carried));
    }
    row
}

/// Leaves out what the table's other columns say.
fn shortened(what: &str) -> String {
    [
        " at the custom domain",
        " at the mTLS alias",
        " certificate headers",
    ]
    .iter()
    .fold(what.to_owned(), |text, said| {
        let short = if said.contains("headers") {
            " headers"
        } else {
            ""
        };
        text.replace(said, short)
    })
}
