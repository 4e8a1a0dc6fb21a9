//! What NGINX shows of a request, as the core takes it.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use auth_edge::connections::Connections;
use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, MissingFact, Removal, Request, ShownChain, Tls,
    TlsVersion, Transport,
};

use super::Replaced;
use crate::host::{Host, Property};
use crate::section::Section;

/// A request as it was seen, holding what [`Request`] borrows.
pub(crate) struct Seen {
    section: Vec<u8>,
    target: Vec<u8>,
    /// NGINX's number for the connection; 0 when it gives none.
    pub(crate) connection_id: u64,
    peer: Option<IpAddr>,
    connection: Result<Rc<Connection>, MissingFact>,
    /// The time in nanoseconds since 1970.
    pub(crate) now_nanoseconds: u64,
}

/// Asks NGINX for everything a decision needs; `count` is how many header fields it announced.
pub(crate) fn gather(host: &impl Host, connections: &mut Connections<u64>, count: usize) -> Seen {
    let now = host.now_nanoseconds();
    let number = |name| variable(host, name)?.parse::<u64>().ok();
    let id = number("connection");
    let peer = variable(host, "remote_addr").and_then(|text| text.parse::<IpAddr>().ok());
    let section = host.request_section().unwrap_or_default();
    // NGINX shows the first hundred fields, its own four included, and sends on all of them.
    let is_whole = Section::read(&section).is_some_and(|section| section.fields().len() == count);
    let connection = match (is_whole, now, id, peer) {
        (false, _, _, _) => Err(MissingFact::Fields),
        (_, None, _, _) => Err(MissingFact::Clock),
        (_, _, None, _) => Err(MissingFact::ConnectionId),
        (_, _, _, None) => Err(MissingFact::PeerAddress),
        (true, Some(_), Some(id), Some(_)) => Ok(connections.get(&id, || connection(host))),
    };
    Seen {
        section,
        target: raw_target(host),
        connection_id: id.unwrap_or_default(),
        peer,
        connection,
        now_nanoseconds: now.unwrap_or_default(),
    }
}

/// The request target as it stands in the request line: NGINX's `$request_uri`, which is what goes
/// upstream, is the same for an origin form and hides that a target is in another form.
fn raw_target(host: &impl Host) -> Vec<u8> {
    let line = host
        .property(Property::Nginx("request"))
        .unwrap_or_default();
    let words = line.split(|byte| *byte == b' ');
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [_method, target, _version] => target.to_vec(),
        _ => Vec::new(),
    }
}

fn path_of(target: &[u8]) -> &[u8] {
    let mut parts = target.split(|byte| *byte == b'?');
    parts.next().unwrap_or_default()
}

impl Seen {
    /// The header section; none when NGINX gave none that can be read.
    pub(crate) fn section(&self) -> Option<Section<'_>> {
        Section::read(&self.section)
    }

    /// The request; `section` is that of [`Seen::section`].
    pub(crate) fn request<'a>(
        &'a self,
        section: Option<&'a Section<'a>>,
        replaced: &'a Replaced,
    ) -> Request<'a> {
        let pseudo_field = |name| section.and_then(|section| section.pseudo_field(name));
        Request {
            method: pseudo_field(":method").unwrap_or_default(),
            target: &self.target,
            normalized_path: Some(pseudo_field(":path").map(path_of).unwrap_or_default()),
            // NGINX's `:authority` is the name of a server of its configuration; the host's is the field.
            authority: None,
            protocol: None,
            fields: section.map(Section::fields).unwrap_or_default(),
            peer: self.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            connection: self.connection.as_deref().map_err(|missing| *missing),
            removal: Removal::Named(&replaced.0),
            acme_answer: None,
        }
    }
}

fn variable(host: &impl Host, name: &'static str) -> Option<String> {
    String::from_utf8(host.property(Property::Nginx(name))?).ok()
}

/// What belongs to the connection; asked for once.
fn connection(host: &impl Host) -> Connection {
    Connection::new(match variable(host, "ssl_protocol") {
        Some(version) if !version.is_empty() => Transport::Tls(Box::new(Tls {
            version: TlsVersion::from_name(version.as_bytes()),
            cipher_suite: variable(host, "ssl_cipher"),
            server_name: variable(host, "ssl_server_name")
                .filter(|name| !name.is_empty())
                .into(),
            presented_chain: ShownChain::NotShown,
            client_certificate: client_certificate(host),
        })),
        _ => Transport::Plain,
    })
}

fn client_certificate(host: &impl Host) -> ClientCertificate {
    let verdict = variable(host, "ssl_client_verify");
    if verdict.as_deref() == Some("NONE") {
        return ClientCertificate::None;
    }
    // Absent is taken for "presented": then the certificate itself must show, or all is refused.
    let pem = host.property(Property::Nginx("ssl_client_escaped_cert"));
    let Some(pem) = pem.filter(|pem| !pem.is_empty()) else {
        return ClientCertificate::NotShown { digest: None };
    };
    let host_verdict = match verdict.as_deref() {
        None => HostVerdict::Unavailable,
        Some("SUCCESS") => HostVerdict::Verified,
        Some(_) => HostVerdict::NotVerified,
    };
    ClientCertificate::from_pem(&pem, host_verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::tests::written;
    use std::collections::BTreeMap;

    /// NGINX: its variables, and a field that came.
    struct Fake(BTreeMap<&'static str, &'static str>);

    impl Fake {
        fn new() -> Self {
            Self(BTreeMap::from([
                ("connection", "12345678"),
                ("remote_addr", "198.51.100.7"),
                ("request", "GET /a%2Fb HTTP/1.1"),
                ("ssl_protocol", "TLSv1.3"),
                ("ssl_client_verify", "NONE"),
            ]))
        }

        fn with(mut self, name: &'static str, value: Option<&'static str>) -> Self {
            match value {
                Some(value) => self.0.insert(name, value),
                None => self.0.remove(name),
            };
            self
        }
    }

    impl Host for Fake {
        fn request_section(&self) -> Option<Vec<u8>> {
            Some(written(&[
                (b":path", b"/a/b?c=d"),
                (b":method", b"GET"),
                (b":authority", b"a.server:443"),
                (b"Host", b"login.example.test"),
            ]))
        }

        fn property(&self, property: Property) -> Option<Vec<u8>> {
            match property {
                Property::Nginx(name) => Some(self.0.get(name)?.as_bytes().to_vec()),
                _ => None,
            }
        }

        fn now_nanoseconds(&self) -> Option<u64> {
            Some(1_700_000_000_000_000_000)
        }

        fn remove_request_field(&self, _name: &[u8]) {}
        fn replace_request_field(&self, _name: &str, _value: &str) {}
        fn tick_each_second(&self) {}
        fn remove_request_trailers(&self) {}
        fn answer(&self, _status: u16, _headers: Vec<(&str, &str)>, _body: &str) {}
        fn plugin_configuration(&self) -> Vec<u8> {
            Vec::new()
        }
        fn vm_configuration(&self) -> Vec<u8> {
            Vec::new()
        }
        fn set_nginx_variable(&self, _name: &str, _value: &str) {}
        fn secret(&self, _name: &str) -> Option<String> {
            None
        }
        fn log_info(&self, _line: &str) {}
        fn log_warning(&self, _line: &str) {}
        fn log_error(&self, _line: &str) {}
        fn define_counter(&self, _name: &str) -> u32 {
            0
        }
        fn add_to_counter(&self, _counter: u32, _amount: u64) {}
    }

    fn seen(fake: &Fake, count: usize) -> Seen {
        gather(fake, &mut Connections::new(8), count)
    }

    #[test]
    fn a_request_is_what_its_variables_say() {
        let seen = seen(&Fake::new(), 1);
        let section = seen.section();
        let replaced = Replaced(Vec::new());
        let request = seen.request(section.as_ref(), &replaced);
        assert_eq!(request.target, b"/a%2Fb");
        assert_eq!(request.normalized_path, Some(&b"/a/b"[..]));
        assert_eq!((request.method, request.authority), (&b"GET"[..], None));
        assert_eq!(request.fields.len(), 1);
        assert!(request.connection.is_ok());
    }

    #[test]
    fn each_missing_fact_refuses() {
        for (fake, count, missing) in [
            (Fake::new(), 2, MissingFact::Fields),
            (Fake::new(), 0, MissingFact::Fields),
            (
                Fake::new().with("connection", None),
                1,
                MissingFact::ConnectionId,
            ),
            (
                Fake::new().with("connection", Some("x")),
                1,
                MissingFact::ConnectionId,
            ),
            (
                Fake::new().with("remote_addr", None),
                1,
                MissingFact::PeerAddress,
            ),
            (
                Fake::new().with("remote_addr", Some("unix:")),
                1,
                MissingFact::PeerAddress,
            ),
        ] {
            assert_eq!(seen(&fake, count).connection.err(), Some(missing));
        }
        assert!(
            seen(&Fake::new().with("request", Some("GET")), 1)
                .target
                .is_empty()
        );
    }

    #[test]
    fn a_certificate_that_does_not_show_is_none_only_when_nginx_says_so() {
        for (verdict, is_none) in [
            (Some("NONE"), true),
            (Some("SUCCESS"), false),
            (None, false),
        ] {
            let fake = Fake::new().with("ssl_client_verify", verdict);
            let found = client_certificate(&fake);
            assert_eq!(
                matches!(found, ClientCertificate::None),
                is_none,
                "{verdict:?}"
            );
            if !is_none {
                assert!(matches!(
                    found,
                    ClientCertificate::NotShown { digest: None }
                ));
            }
        }
    }
}
