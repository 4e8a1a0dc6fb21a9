//! Certificates, connections, HTTP/1.1 and the origin judged by themselves, without Envoy.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use auth_edge_tests::http1;
use auth_edge_tests::origin::Origin;
use auth_edge_tests::pki::{Pki, encode_uri_component, thumbprint_base64url, thumbprint_hex};
use auth_edge_tests::tls::{Sessions, TlsError, TlsOptions, TlsVersions, connect};
use auth_edge_tests::wire::{WireError, WireRequest};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

const HOST: &str = "login.example.com";

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| Pki::generate().unwrap())
}

fn origin() -> Origin {
    Origin::start(&pki().server_identity(&[HOST]).unwrap()).unwrap()
}

/// A server that takes one connection and demands a client certificate from `ca`.
fn strict_server() -> (std::net::SocketAddr, JoinHandle<Option<Vec<u8>>>) {
    let identity = pki().server_identity(&[HOST]).unwrap();
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pki().ca_pem().as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(
            identity
                .chain
                .iter()
                .cloned()
                .map(CertificateDer::from)
                .collect(),
            PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        let mut request = [0; 4096];
        stream.read(&mut request).ok().filter(|count| *count > 0)?;
        stream.write_all(b"HTTP/1.1 204 \r\n\r\n").ok()?;
        Some(stream.conn.peer_certificates()?.first()?.to_vec())
    });
    (address, server)
}

fn options(server_ca: &str) -> TlsOptions<'_> {
    TlsOptions::new(server_ca, Some(HOST))
}

#[test]
fn names_of_identities_are_unique() {
    let mut names: Vec<&str> = pki().names().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(pki().get("nobody").is_err());
}

#[test]
fn sizes_are_what_the_names_say() {
    let length = |name| encode_uri_component(&pki().get(name).unwrap().leaf_pem()).len();
    assert_eq!(length("ca_client_4096"), 4096);
    assert_eq!(length("ca_client_4097_plus"), 4097);
    assert!(pki().get("ca_client_huge").unwrap().leaf().len() > 20_000);
}

#[test]
fn text_forms_are_the_standard_ones() {
    assert_eq!(
        encode_uri_component("a-_.!~*'()Z9 +/=\n"),
        "a-_.!~*'()Z9%20%2B%2F%3D%0A"
    );
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(thumbprint_hex(b""), empty);
    assert_eq!(
        thumbprint_base64url(b""),
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    );
}

#[test]
fn private_keys_are_not_printed() {
    let identity = pki().get("ca_client").unwrap();
    assert!(!format!("{identity:?}").contains(&format!("{:?}", &identity.key[..8])));
    assert!(!format!("{identity:?}").contains("key"));
}

#[test]
fn certificates_are_presented_as_they_are() {
    let ca = pki().server_ca_pem();
    let taken = [
        "ca_client",
        "ca_client_rsa2048",
        "ca_client_ed25519",
        "ca_client_via_intermediate",
    ];
    for name in taken {
        for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
            let identity = pki().get(name).unwrap();
            let (address, server) = strict_server();
            let options = TlsOptions {
                identity: Some(identity),
                versions,
                ..options(&ca)
            };
            let mut client = http1::Client::new(connect(address, &options).unwrap());
            let response = client.send(&WireRequest::new("GET", HOST, "/")).unwrap();
            assert_eq!(response.status, 204, "{name} {versions:?}");
            assert_eq!(server.join().unwrap().as_deref(), Some(identity.leaf()));
        }
    }
}

#[test]
fn a_refused_certificate_is_a_handshake_failure_in_both_versions() {
    let ca = pki().server_ca_pem();
    for name in [
        "unknown_ca_client",
        "ca_client_expired",
        "ca_client_rsa1024",
        "malformed_empty",
    ] {
        for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
            let (address, server) = strict_server();
            let identity = Some(pki().get(name).unwrap());
            let options = TlsOptions {
                identity,
                versions,
                ..options(&ca)
            };
            let failure = match connect(address, &options) {
                Err(TlsError::Handshake(failure)) => failure,
                Err(error) => panic!("{name} {versions:?}: {error}"),
                Ok(stream) => {
                    let mut client = http1::Client::new(stream);
                    match client.send(&WireRequest::new("GET", HOST, "/")) {
                        Err(WireError::Handshake(failure)) => failure,
                        outcome => panic!("{name} {versions:?}: {outcome:?}"),
                    }
                }
            };
            assert!(failure.alert.is_some(), "{name} {versions:?}: {failure}");
            assert_eq!(server.join().unwrap(), None);
        }
    }
}

#[test]
fn a_server_from_another_authority_or_of_another_name_is_refused() {
    let origin = origin();
    let strangers = pki().ca_pem();
    let ca = pki().server_ca_pem();
    for options in [
        options(&strangers),
        TlsOptions::new(&ca, Some("other.example.com")),
    ] {
        assert!(matches!(
            connect(origin.address(), &options),
            Err(TlsError::Handshake(_))
        ));
    }
}

#[test]
fn sessions_are_resumed_only_where_they_are_shared() {
    let origin = origin();
    let ca = pki().server_ca_pem();
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let sessions = Sessions::new();
        let resumed = |sessions: Option<&Sessions>, name: Option<&'static str>| {
            let options = TlsOptions {
                sessions,
                versions,
                server_name: name,
                ..options(&ca)
            };
            let stream = connect(origin.address(), &options).unwrap();
            let resumed = stream.resumed();
            // TLS 1.3 brings its tickets with the first data.
            http1::Client::new(stream)
                .send(&WireRequest::new("GET", HOST, "/"))
                .unwrap();
            resumed
        };
        assert!(!resumed(Some(&sessions), Some(HOST)), "{versions:?}");
        assert!(resumed(Some(&sessions), Some(HOST)), "{versions:?}");
        assert!(!resumed(Some(&sessions), None), "{versions:?}");
        assert!(!resumed(None, Some(HOST)), "{versions:?}");
    }
}

#[test]
fn the_origin_records_what_http1_sent() {
    let origin = origin();
    let ca = pki().server_ca_pem();
    let stream = connect(origin.address(), &options(&ca)).unwrap();
    let mut client = http1::Client::new(stream);
    let odd = WireRequest::new("POST", HOST, b"/a/../b%2f?q=\xff b")
        .header("X-Mixed_Case", b"\xfe")
        .header("x-mixed_case", "second")
        .body("a=b");
    let chunked = WireRequest::new("PUT", HOST, "/")
        .body("chunked")
        .trailer("X-Trailer", "1");
    for request in [&odd, &chunked] {
        let response = client.send(request).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.values("set-cookie").len(), 2);
        assert_eq!(response.values("x-origin"), [b"1"]);
    }
    let recorded = origin.take();
    assert_eq!(recorded.len(), 2);
    assert_eq!(recorded[0].server_name.as_deref(), Some(HOST));
    assert_eq!(recorded[0].target, odd.target);
    assert_eq!(
        recorded[0].headers[0],
        (b"host".to_vec(), HOST.as_bytes().to_vec())
    );
    assert_eq!(recorded[0].headers[1..3], odd.headers);
    assert_eq!(recorded[0].body, b"a=b");
    assert_eq!(recorded[1].body, b"chunked");
    assert_eq!(recorded[1].trailers, chunked.trailers);
    assert!(origin.take().is_empty());
    assert!(origin.faults().is_empty(), "{:?}", origin.faults());
}

#[test]
fn the_origin_answers_what_the_target_asks_for() {
    let origin = origin();
    let ca = pki().server_ca_pem();
    let mut client = http1::Client::new(connect(origin.address(), &options(&ca)).unwrap());
    let mut get = |method: &str, target: &str| {
        client
            .send(&WireRequest::new(method, HOST, target))
            .unwrap()
    };
    let redirect = get("GET", "/status/302?x");
    assert_eq!(
        (redirect.status, redirect.values("location").len()),
        (302, 1)
    );
    assert_eq!(get("GET", "/status/204").status, 204);
    assert_eq!(get("GET", "/status/304").status, 304);
    let head = get("HEAD", "/");
    assert_eq!(
        (head.body.len(), head.values("content-length")),
        (0, vec![&b"15"[..]])
    );
    assert_eq!(get("GET", "/large/200000").body.len(), 200_000);
    let trailing = get("GET", "/trailers");
    assert_eq!(trailing.body, b"{\"origin\":true}");
    assert_eq!(trailing.trailers.len(), 1);
}

#[test]
fn a_stopped_origin_listens_no_more() {
    let origin = origin();
    let address = origin.address();
    let ca = pki().server_ca_pem();
    let idle = connect(address, &options(&ca)).unwrap();
    drop(origin);
    assert!(TcpStream::connect(address).is_err());
    drop(idle);
}
