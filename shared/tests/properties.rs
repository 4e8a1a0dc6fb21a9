//! Properties that hold for any input: what reads hostile bytes neither panics nor guesses.

use auth_edge::certificate::LeafCert;
use auth_edge::header::{FieldClass, classify, folds_to_same};
use auth_edge::host_name::HostName;
use auth_edge::network::{Network, client_address};
use auth_edge::request::{
    ClientCertificate, Connection, Removal, Request, ServerName, ShownChain, Tls, TlsVersion,
    Transport,
};
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::thumbprint::Thumbprint;
use auth_edge::wire::{config_json, name::DistinguishedName, pem};
use auth_edge::{Config, Decision, decide};
use proptest::prelude::*;

/// A certificate whose key nobody has, so that mutations start near what parses.
const PEM: &str = include_str!("leaf.pem");

fn config() -> Config {
    let json = br#"{
        "version": 1,
        "hosts": [{
            "custom_domain": "login.example.test",
            "profile": "generic",
            "origin": { "host": "origin.example.test" },
            "client_certificates": { "ca_signed": { "verified_by": "host" }, "self_signed": "forward" }
        }]
    }"#;
    config_json::parse(json, 0, &|_: &str| None).unwrap()
}

/// A token of a path, a host or a field name, so that random input comes near what matters.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let tokens = prop::sample::select(vec![
        "/oauth/token",
        "/userinfo",
        "/",
        "..",
        "%2e",
        "\\",
        "?",
        "login.example.test",
        "mtls.login.example.test",
        ":443",
        "client-certificate",
        "x_ssl_client_verify",
        "connection",
        "host",
        "POST",
        ", ",
    ]);
    let piece = prop_oneof![
        3 => tokens.prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn reading_a_host_name_twice_changes_nothing(text in "[a-zA-Z0-9.:_-]{0,40}") {
        if let Ok(name) = HostName::from_authority(text.as_bytes()) {
            let again = HostName::from_authority(name.as_str().as_bytes()).unwrap();
            prop_assert_eq!(&again, &name);
            prop_assert!(!name.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
        }
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = HostName::from_authority(&bytes);
        let _ = pem::decode_one(&bytes);
        let _ = LeafCert::parse(bytes.clone());
        let _ = config_json::parse(&bytes, 0, &|_: &str| None);
        let _ = classify(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = text.parse::<Thumbprint>();
        let _ = text.parse::<DistinguishedName>();
        let _ = text.parse::<Network>();
        let _ = client_address([127, 0, 0, 1].into(), &["0.0.0.0/0".parse().unwrap()], [&bytes[..]].into_iter());
    }

    #[test]
    fn a_changed_certificate_is_refused_or_read_but_never_taken_for_the_same(
        index in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let der = pem::decode_one(PEM.as_bytes()).unwrap();
        let mut changed = der.clone();
        let index = index.index(changed.len());
        changed[index] ^= 1 << bit;
        let original = LeafCert::parse(der).unwrap();
        prop_assert!(original.is_signed_by_own_key());
        if let Ok(changed) = LeafCert::parse(changed) {
            prop_assert_ne!(changed.thumbprint(), original.thumbprint());
            prop_assert!(!changed.is_signed_by_own_key(), "the signature covers byte {}", index);
        }
    }

    #[test]
    fn a_cut_or_lengthened_certificate_is_malformed(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let der = pem::decode_one(PEM.as_bytes()).unwrap();
        prop_assert!(LeafCert::parse(der[..cut.index(der.len())].to_vec()).is_err());
        let mut longer = der;
        longer.push(byte);
        prop_assert!(LeafCert::parse(longer).is_err());
    }

    #[test]
    fn what_is_encoded_is_what_encode_uri_component_gives(der in prop::collection::vec(any::<u8>(), 0..300)) {
        let value = Encoding::UrlEncodedPem.encode(&der);
        prop_assert_eq!(pem::decode_one(value.as_bytes()), Ok(der.clone()));
        prop_assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()%".contains(&byte)));
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(&value).collect();
        prop_assert_eq!(pem::decode_one(&decoded), Ok(der));
    }

    #[test]
    fn spelling_does_not_change_what_a_field_is(
        name in "(client|x|ssl|cert|cf|forwarded|cname|te)([-_.](certificate|cert|chain|client|forwarded|ssl|for|verify|api|key)){0,4}",
        separators in prop::collection::vec(prop::sample::select(b"-_.~!".to_vec()), 8),
        upper in any::<u32>(),
    ) {
        let mut separators = separators.into_iter().cycle();
        let spelled: Vec<u8> = name.bytes().enumerate().map(|(index, byte)| match byte {
            b'-' | b'_' | b'.' => separators.next().unwrap(),
            letter if upper >> (index % 32) & 1 == 1 => letter.to_ascii_uppercase(),
            letter => letter,
        }).collect();
        prop_assert!(folds_to_same(name.as_bytes(), &spelled));
        prop_assert_eq!(classify(&spelled), classify(name.as_bytes()));
    }

    #[test]
    fn no_request_makes_the_decision_panic_and_no_identity_gets_through(
        method in near(),
        target in near(),
        authority in prop::option::of(near()),
        server_name in prop::option::of(near()),
        fields in prop::collection::vec((near(), near()), 0..6),
        certificate in 0..3,
        now in any::<u64>(),
    ) {
        let connection = Connection::new(Transport::Tls(Box::new(Tls {
            version: TlsVersion::Tls13,
            cipher_suite: None,
                server_name: server_name.map(|name| String::from_utf8_lossy(&name).into_owned()).into(),
                presented_chain: ShownChain::NotShown,
                client_certificate: match certificate {
                    0 => ClientCertificate::None,
                    1 => ClientCertificate::Malformed,
                    _ => ClientCertificate::TooLarge,
                },
            })));
        let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let request = Request {
            method: &method,
            target: &target,
            normalized_path: None,
            authority: authority.as_deref(),
            protocol: None,
            fields: &fields,
            peer: [127, 0, 0, 1].into(),
            connection: Ok(&connection),
            removal: Removal::Any,
            acme_answer: None,
        };
        let config = config();
        match decide(&request, &config, now, &mut VerdictCache::new()) {
            Decision::Refuse(refusal) => {
                let reply = refusal.reply(&request, "id");
                serde_json::from_str::<serde_json::Value>(&reply.body).unwrap();
                serde_json::from_str::<serde_json::Value>(&refusal.log_line(&request, "id")).unwrap();
            }
            Decision::Respond(reply) => {
                prop_assert!([200, 308].contains(&reply.status));
            }
            Decision::Forward(edits) => {
                for (index, (name, _)) in fields.iter().enumerate() {
                    let passes = !edits.remove.contains(index);
                    prop_assert!(!passes || classify(name) == FieldClass::EndToEnd);
                }
                let set: Vec<_> = edits.set.iter().map(|(name, _)| name).collect();
                prop_assert!(!set.contains(&"client-certificate"));
            }
        }
    }
}

#[test]
fn an_extended_connect_on_the_alias_is_an_upgrade() {
    let connection = Connection::new(Transport::Tls(Box::new(Tls {
        version: TlsVersion::Tls13,
        cipher_suite: None,
        server_name: ServerName::Sent("mtls.login.example.test".into()),
        presented_chain: ShownChain::NotShown,
        client_certificate: ClientCertificate::None,
    })));
    let code = |protocol| {
        let request = Request {
            method: b"CONNECT",
            target: b"/oauth/token",
            normalized_path: None,
            authority: Some(b"mtls.login.example.test"),
            protocol,
            fields: &[],
            peer: [127, 0, 0, 1].into(),
            connection: Ok(&connection),
            removal: Removal::Any,
            acme_answer: None,
        };
        match decide(&request, &config(), 0, &mut VerdictCache::new()) {
            Decision::Refuse(refusal) => refusal.reason.code(),
            Decision::Respond(_) => "answered",
            Decision::Forward(_) => "forwarded",
        }
    };
    assert_eq!(code(Some(b"websocket")), "upgrade_not_allowed");
    assert_eq!(code(None), "method_not_allowed");
}
