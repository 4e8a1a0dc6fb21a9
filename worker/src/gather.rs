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

#[cfg(test)]
mod tests {
    use super::*;
    use auth_edge::request::{ClientCertificate, Tls};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// What a text is made of: what divides it, what members mean, and anything else.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            select(vec![
                "\0",
                "\x01",
                "=",
                "=0",
                "=1",
                "=SUCCESS",
                "=NONE",
                "t",
                "f",
                "!",
                "",
                "https",
                "http",
                "://",
                "/",
                "?",
                "1000",
                "GET",
                "host",
                CONNECTING_ADDRESS,
                "192.0.2.1",
                "=:AQID:",
                ":",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,8}",
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
    }

    fn told(cf: &str, fields: &[(String, String)]) -> String {
        let mut told = format!("1000\0GET\0https://login.example.test/a?b\0{cf}");
        for (name, value) in fields {
            told.push_str(&format!("\0{name}\0{value}"));
        }
        told
    }

    fn tls(cf: &str) -> Option<Tls> {
        match cf::connection(cf).transport {
            Transport::Tls(tls) => Some(*tls),
            Transport::Plain => None,
        }
    }

    proptest! {
        #[test]
        fn no_text_brings_the_reader_down(text in text(), answer in text()) {
            let mut connections = Connections::new(2);
            if let Some(seen) = Seen::read(&text, &mut connections) {
                let request = seen.request(Some(&answer));
                prop_assert!(request.connection.is_ok() == seen.peer.is_some());
            }
        }

        #[test]
        fn no_members_bring_the_reader_down_or_lack_a_connection(cf in text()) {
            prop_assert!(tls(&cf).is_some());
        }

        #[test]
        fn fields_come_in_their_order(
            fields in vec(("[a-z-]{1,12}", "[ -~]{0,12}"), 0..8),
        ) {
            let mut connections = Connections::new(2);
            let told = told("", &fields);
            let seen = Seen::read(&told, &mut connections).unwrap();
            let expected: Vec<Field<'_>> =
                fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            prop_assert_eq!(&seen.fields, &expected);
            prop_assert_eq!((seen.now, seen.is_https, seen.method, seen.target), (1, true, "GET", "/a?b"));
        }

        /// Only the word that says so makes a client without a certificate, and only the other word one with it.
        #[test]
        fn presented_decides_whether_there_is_a_certificate(members in vec(piece(), 3), presented in piece(), more in vec(piece(), 6)) {
            let all: Vec<&str> =
                members.iter().chain([&presented]).chain(&more).map(String::as_str).collect();
            prop_assume!(all.iter().all(|member| !member.contains('\x01')));
            let certificate = tls(&all.join("\x01")).unwrap().client_certificate;
            match certificate {
                ClientCertificate::None => prop_assert_eq!(presented, "=0"),
                ClientCertificate::Parsed { .. }
                | ClientCertificate::Malformed
                | ClientCertificate::TooLarge => prop_assert_eq!(presented, "=1"),
                ClientCertificate::Contradictory => {
                    prop_assert!(presented == "=0" || presented == "=1");
                }
                ClientCertificate::NotShown { .. } => prop_assert_ne!(presented, "=0"),
            }
        }
    }

    #[test]
    fn an_odd_number_of_texts_for_fields_is_not_read() {
        let mut connections = Connections::new(2);
        let told = told("", &[("host".to_owned(), "a".to_owned())]);
        assert!(Seen::read(&told, &mut connections).is_some());
        assert!(Seen::read(&format!("{told}\0name"), &mut connections).is_none());
    }

    #[test]
    fn an_address_that_is_none_is_a_missing_fact() {
        let mut connections = Connections::new(2);
        for (value, expected) in [
            ("198.51.100.7", true),
            ("2001:db8::1", true),
            ("unknown", false),
        ] {
            let field = (CONNECTING_ADDRESS.to_owned(), value.to_owned());
            let told = told("", &[field]);
            let seen = Seen::read(&told, &mut connections).unwrap();
            assert_eq!(seen.request(None).connection.is_ok(), expected, "{value}");
        }
    }
}
