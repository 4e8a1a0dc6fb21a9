//! The fields a client sent that must not reach the origin as they came (R-4, R-5b, R-6).

use crate::config::Config;
use crate::edits::FieldSet;
use crate::header::{self, FieldClass};
use crate::refusal::Reason;
use crate::request::Request;

/// Whether the client asks to leave HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Upgrade {
    NotRequested,
    Requested,
}

/// The fields that must not reach the origin as they came.
pub(super) struct OutsideFields {
    pub(super) remove: FieldSet,
    pub(super) identity_claims: u32,
    pub(super) upgrade: Upgrade,
}

impl OutsideFields {
    /// R-4, R-5b, R-6: sorts the fields of the request in one pass, or two where `connection` shows.
    ///
    /// `input` are the fields that are read as a certificate, which go as well but are no claim.
    pub(super) fn inspect(
        request: &Request<'_>,
        config: &Config,
        input: [Option<&str>; 2],
    ) -> Result<Self, Reason> {
        let mut outside = Self {
            remove: FieldSet::default(),
            identity_claims: 0,
            upgrade: Upgrade::NotRequested,
        };
        let mut has_connection = false;
        for (index, (name, _)) in request.fields.iter().enumerate() {
            let class = Self::class(name, config);
            if class != FieldClass::EndToEnd && !request.removal.covers(name) {
                return Err(Reason::IdentityHeaderRefused);
            }
            match class {
                FieldClass::EndToEnd => continue,
                FieldClass::Identity if is_input(name, input) => {}
                FieldClass::Identity => {
                    outside.identity_claims = outside.identity_claims.saturating_add(1);
                }
                FieldClass::HopByHop if name.eq_ignore_ascii_case(b"upgrade") => {
                    outside.upgrade = Upgrade::Requested;
                }
                FieldClass::HopByHop if name.eq_ignore_ascii_case(b"connection") => {
                    has_connection = true;
                }
                FieldClass::HopByHop | FieldClass::Forwarding | FieldClass::Host => {}
            }
            outside.remove.insert(index);
        }
        if has_connection {
            outside.remove_nominated(request, config)?;
        }
        Ok(outside)
    }

    fn class(name: &[u8], config: &Config) -> FieldClass {
        match header::classify(name) {
            FieldClass::EndToEnd if config.owns_field(name) => FieldClass::Identity,
            class => class,
        }
    }

    /// R-5b: what `connection` names goes too, unless it is not the client's to take away.
    fn remove_nominated(&mut self, request: &Request<'_>, config: &Config) -> Result<(), Reason> {
        let values = request
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
            .map(|(_, value)| *value);
        for nominated in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            let nominated = nominated.trim_ascii();
            let kept: [&[u8]; 3] = [b"authorization", b"cookie", b"content-length"];
            let is_kept = kept.iter().any(|name| name.eq_ignore_ascii_case(nominated));
            let class = Self::class(nominated, config);
            let is_edges = matches!(
                class,
                FieldClass::Identity | FieldClass::Forwarding | FieldClass::Host
            );
            if is_kept || is_edges {
                return Err(Reason::InvalidConnectionHeader);
            }
            for (index, (name, _)) in request.fields.iter().enumerate() {
                // Framing stays even when it is nominated: removing it would change the message.
                if name.eq_ignore_ascii_case(nominated)
                    && !name.eq_ignore_ascii_case(b"transfer-encoding")
                {
                    if !request.removal.covers(name) {
                        return Err(Reason::InvalidConnectionHeader);
                    }
                    self.remove.insert(index);
                }
            }
        }
        Ok(())
    }
}

fn is_input(name: &[u8], input: [Option<&str>; 2]) -> bool {
    let mut input = input.into_iter().flatten();
    input.any(|input| name.eq_ignore_ascii_case(input.as_bytes()))
}

/// How many fields claim an identity, of a request that is refused (R-4).
pub(super) fn identity_claims(
    request: &Request<'_>,
    config: &Config,
    input: [Option<&str>; 2],
) -> u32 {
    let is_claim = |name: &[u8]| OutsideFields::class(name, config) == FieldClass::Identity;
    let claims = request
        .fields
        .iter()
        .filter(|(name, _)| is_claim(name) && !is_input(name, input))
        .count();
    u32::try_from(claims).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Connection, Removal, Transport};
    use crate::wire::config_json;
    use std::borrow::ToOwned;

    const CONFIG: &[u8] = br#"{
        "version": 1,
        "hosts": [{
            "custom_domain": "login.example.test",
            "origin": { "host": "origin.example.test", "api_key": { "env": "KEY" } },
            "client_certificates": { "self_signed": "forward" }
        }]
    }"#;

    #[track_caller]
    fn check(field: (&str, &str), removal: Removal<'_>, expected: Option<Reason>) {
        let config =
            config_json::parse(CONFIG, 0, &|_: &str| Some("test-only-api-key".into())).unwrap();
        let connection = Connection::new(Transport::Plain);
        let fields = [
            (field.0.as_bytes(), field.1.as_bytes()),
            (&b"x-foo"[..], &b"1"[..]),
        ];
        let request = Request {
            method: b"GET",
            target: b"/",
            normalized_path: None,
            authority: None,
            protocol: None,
            fields: &fields,
            peer: [127, 0, 0, 1].into(),
            connection: Ok(&connection),
            removal,
            acme_answer: None,
        };
        let found = OutsideFields::inspect(&request, &config, [None, None]);
        assert_eq!(found.err(), expected, "{field:?}");
    }

    #[test]
    fn what_cannot_be_removed_refuses() {
        let names = ["client-certificate", "connection", "x-real-ip"].map(ToOwned::to_owned);
        let named = Removal::Named(&names);
        let refused = Some(Reason::IdentityHeaderRefused);
        for (name, expected) in [
            ("client-certificate", None),
            ("Client-Certificate", None),
            ("x-real-ip", None),
            ("accept", None),
            ("client_certificate", refused),
            ("client--certificate", refused),
            ("x-ssl-client-verify", refused),
            ("x-forwarded-for", refused),
            ("upgrade", refused),
            ("host", refused),
        ] {
            check((name, "1"), named, expected);
            check((name, "1"), Removal::Any, None);
        }
        let nominates = ("connection", "close, X-Foo");
        let refused = Some(Reason::InvalidConnectionHeader);
        check(nominates, named, refused);
        check(nominates, Removal::Any, None);
        check(("connection", "close"), named, None);
    }
}
