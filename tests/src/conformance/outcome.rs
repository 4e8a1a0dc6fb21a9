//! What became of a request, as the tests see it on both sides of a host program.

use std::error::Error;

use serde_json::Value;

use super::expect::{Answer, Outcome, Upstream};
use crate::origin::Recorded;
use crate::wire::{Fields, WireError, WireResponse};

/// What became of the request: what the origin got, or else what the client did.
pub(super) fn outcome(
    response: Result<WireResponse, Box<dyn Error>>,
    recorded: Vec<Recorded>,
) -> Result<Outcome, Box<dyn Error>> {
    match recorded.as_slice() {
        [] => {
            let response = response?;
            Ok(Outcome::Answered(Answer {
                status: response.status,
                headers: response.headers,
                body: response.body,
            }))
        }
        [one] => {
            if !one.trailers.is_empty() {
                return Err(format!("trailers at the origin: {:?}", one.trailers).into());
            }
            let hosts = one.values("host");
            let [authority] = hosts.as_slice() else {
                return Err("not exactly one host field at the origin".into());
            };
            Ok(Outcome::Forwarded(Upstream {
                authority: authority.to_vec(),
                target: one.target.clone(),
                headers: one.headers.clone(),
            }))
        }
        several => Err(format!("{} requests at the origin", several.len()).into()),
    }
}

/// what the origin answers reaches the client as it is.
pub(super) fn passed_back(response: &WireResponse) -> Result<(), Box<dyn Error>> {
    let cookies = response.values("set-cookie").len();
    if response.status != 200 || response.values("x-origin").len() != 1 || cookies != 2 {
        return Err(format!("the origin's answer did not come back whole: {response:?}").into());
    }
    Ok(())
}

/// The host answered with a status of this class, or for 0 ended the connection, and the origin got nothing.
pub(super) fn answered_by_host(
    class: u16,
    response: &Result<WireResponse, Box<dyn Error>>,
    recorded: &[Recorded],
) -> Result<(), Box<dyn Error>> {
    if !recorded.is_empty() {
        return Err("the host was to answer itself, found the request at the origin".into());
    }
    match response {
        Ok(response) if response.status / 100 == class => Ok(()),
        Ok(response) => {
            Err(format!("expected a status of {class}xx, found {}", response.status).into())
        }
        Err(error) if class == 0 => {
            let is_end = |error: &WireError| {
                matches!(
                    error,
                    WireError::Closed
                        | WireError::Reset(_)
                        | WireError::GoAway(_)
                        | WireError::Handshake(_)
                )
            };
            let ended = error.downcast_ref::<WireError>().is_some_and(is_end)
                || error.downcast_ref::<crate::tls::TlsError>().is_some();
            if ended {
                Ok(())
            } else {
                Err(format!("expected the connection to end, found: {error}").into())
            }
        }
        Err(error) => Err(format!("expected a status of {class}xx, found: {error}").into()),
    }
}

/// Whether both reached the origin with the same certificate, or were answered with the same status and code.
pub(super) fn is_same(decided: &Outcome, found: &Outcome) -> bool {
    match (decided, found) {
        (Outcome::Forwarded(decided), Outcome::Forwarded(found)) => {
            let names = ["client-certificate", "client-certificate-ca-verified"];
            let values = |fields: &Fields| {
                names.map(|name| {
                    let values = crate::wire::values(fields, name);
                    values.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
                })
            };
            values(&decided.headers) == values(&found.headers)
        }
        (Outcome::Answered(decided), Outcome::Answered(found)) => {
            let code = |answer: &Answer| {
                let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
                (answer.status, body.map(|body| body["edge_code"].clone()))
            };
            code(decided) == code(found)
        }
        _ => false,
    }
}
