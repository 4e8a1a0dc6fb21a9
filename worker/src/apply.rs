//! A decision of the core, as `host.js` carries it out.

use auth_edge::edits::Edits;
use auth_edge::header::X_AUTH_EDGE_ORIGIN;
use auth_edge::reply::Reply;
use auth_edge::request::Request;

/// The URL, a digit for each field (1: it is left out), then names and values to set, with a NUL between them.
pub(crate) fn edits(request: &Request<'_>, edits: &Edits<'_>) -> String {
    let target = String::from_utf8_lossy(request.target);
    let mut text = String::with_capacity(ROOM);
    text.push_str("https://");
    text.push_str(edits.authority);
    text.push_str(&target);
    text.push('\0');
    for index in 0..request.fields.len() {
        text.push(match edits.remove.contains(index) {
            true => '1',
            false => '0',
        });
    }
    for (name, value) in edits.set.iter() {
        // By this an Envoy chooses among several origins; here the URL says where the request goes.
        if name == X_AUTH_EDGE_ORIGIN {
            continue;
        }
        text.push('\0');
        text.push_str(name);
        text.push('\0');
        text.push_str(value.as_str());
    }
    text
}

/// Mostly enough for a URL, the usual fields and a certificate, in bytes.
const ROOM: usize = 6 * 1024;

/// The fields of an answer, names and values, with a NUL between them.
pub(crate) fn fields(reply: &Reply) -> String {
    let mut text = String::new();
    for (name, value) in &reply.headers {
        for part in [name, value.as_str()] {
            if !text.is_empty() {
                text.push('\0');
            }
            text.push_str(part);
        }
    }
    text
}
