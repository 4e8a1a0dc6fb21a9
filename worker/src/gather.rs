//! What the runtime tells of a request, as the core takes it.
//!
//! It comes as one text, see `host.js`: time, method, URL, what `request.cf` says of the connection, and the header
//! fields, with a NUL between them.

mod cf;

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use auth_edge::connections::Connections;
use auth_edge::request::{Connection, Field, MissingFact, Removal, Request, Transport};

/// The field in which Cloudflare writes the address of its client, over whatever came.
const CONNECTING_ADDRESS: &str = "cf-connecting-ip";

/// A request as it was told.
pub(crate) struct Seen<'a> {
    /// The time in seconds since 1970.
    pub(crate) now: u64,
    /// Whether the client came over TLS.
    pub(crate) is_https: bool,
    method: &'a str,
    target: &'a str,
    fields: Vec<Field<'a>>,
    peer: Option<IpAddr>,
    connection: Rc<Connection>,
}

impl<'a> Seen<'a> {
    /// Reads what was told; none when it is not the text that `host.js` makes.
    pub(crate) fn read(told: &'a str, connections: &mut Connections<String>) -> Option<Self> {
        let mut parts = told.split('\0');
        let milliseconds: u64 = parts.next()?.parse().ok()?;
        let method = parts.next()?;
        let (scheme, rest) = parts.next()?.split_once("://")?;
        let is_https = scheme == "https";
        let cf = parts.next()?;
        // Requests do not say which connection they share. What is told of it is all that matters of it, and
        // mostly the same as before.
        let connection = match is_https {
            true => connections.get(cf, || cf::connection(cf)),
            false => Rc::new(Connection::new(Transport::Plain)),
        };
        let mut fields = Vec::with_capacity(32);
        let mut peer = None;
        while let Some(name) = parts.next() {
            let value = parts.next()?;
            if name == CONNECTING_ADDRESS {
                peer = value.parse().ok();
            }
            fields.push((name.as_bytes(), value.as_bytes()));
        }
        // The host name is taken from its field, never from here.
        let target = rest.find(['/', '?']).and_then(|start| rest.get(start..));
        Some(Self {
            now: milliseconds / 1000,
            is_https,
            method,
            target: target.unwrap_or_default(),
            fields,
            peer,
            connection,
        })
    }

    /// The request, with the answer to the ACME challenge it asks for, where that was looked up.
    pub(crate) fn request<'b>(&'b self, acme_answer: Option<&'b str>) -> Request<'b> {
        Request {
            method: self.method.as_bytes(),
            target: self.target.as_bytes(),
            normalized_path: None,
            authority: None,
            protocol: None,
            fields: &self.fields,
            peer: self.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            connection: match self.peer {
                Some(_) => Ok(&self.connection),
                None => Err(MissingFact::PeerAddress),
            },
            removal: Removal::Any,
            acme_answer,
        }
    }
}
