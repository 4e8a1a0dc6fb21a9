//! Compares the fake NGINX with a real one that has no Wasm module: every vector's request is sent to NGINX with
//! the shipped configuration, and what reaches the origin must be what the fake sends there.
//!
//! `native-nginx --nginx PATH [--only TEXT]`. The last line counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use auth_edge_tests::conformance::nginx::is_whole_der;
use auth_edge_tests::conformance::vector::{self, ORIGIN, Vector};
use auth_edge_tests::http1;
use auth_edge_tests::nginx::ingress::{self, HOST_THAT_IS_NONE, Read};
use auth_edge_tests::nginx::module::Element;
use auth_edge_tests::nginx::real::{Nginx, SET, field_of};
use auth_edge_tests::nginx::shipped::Shipped;
use auth_edge_tests::nginx::upstream;
use auth_edge_tests::origin::{Origin, Recorded};
use auth_edge_tests::pki::{Pki, encode_uri_component};
use auth_edge_tests::tls::{TlsOptions, TlsVersions, connect};
use auth_edge_tests::wire::{Fields, WireRequest, WireResponse};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("native-nginx: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize> {
    let mut arguments = std::env::args().skip(1);
    let (mut binary, mut only) = (None, String::new());
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("an argument lacks its value")?;
        match argument.as_str() {
            "--nginx" => binary = Some(PathBuf::from(value)),
            "--only" => only = value,
            _ => return Err(format!("unknown argument `{argument}`").into()),
        }
    }
    let binary = binary.ok_or("`--nginx` is missing")?;
    let pki = Pki::generate()?;
    let origin = Origin::start(&pki.server_identity(&[ORIGIN])?)?;
    let nginx = Nginx::start(&binary, &pki, origin.address())?;
    let shipped = Shipped::read()?;
    let (mut passed, mut failed) = (0, 0);
    let mut count = |name: &str, outcome: Result<()>| match outcome {
        Ok(()) => passed += 1,
        Err(error) => {
            println!("DIFFERS {name}: {error}");
            failed += 1;
        }
    };
    count("a probe is answered", probe(&nginx));
    for vector in vector::all()? {
        // The TLS client of the tests sends no trailing dot (RFC 6066 section 3).
        let is_sendable = !vector
            .request
            .server_name()
            .is_some_and(|name| name.ends_with('.'));
        if vector.name.contains(&only) && !vector.request.plain && is_sendable {
            count(
                &vector.name,
                check(&vector, &nginx, &origin, &shipped, &pki),
            );
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

fn probe(nginx: &Nginx) -> Result<()> {
    let stream = std::net::TcpStream::connect(nginx.health)?;
    let request = WireRequest::new("GET", "localhost", "/healthz");
    let response = http1::Client::new(stream).send(&request)?;
    match response.status {
        200 => Ok(()),
        other => Err(format!("found {other}").into()),
    }
}

fn check(
    vector: &Vector,
    nginx: &Nginx,
    origin: &Origin,
    shipped: &Shipped,
    pki: &Pki,
) -> Result<()> {
    let wire = vector.request.wire(pki)?;
    origin.take();
    let response = send(vector, &wire, nginx, pki);
    let recorded = origin.take();
    let identity = vector.request.certificate.as_deref();
    let identity = identity.map(|name| pki.get(name)).transpose()?;
    if identity.is_some_and(|identity| !is_whole_der(identity.leaf())) {
        return match (response, recorded.as_slice()) {
            (Err(_), []) => Ok(()),
            _ => Err("expected the handshake to fail".into()),
        };
    }
    let read = match (ingress::read(&wire), recorded.as_slice()) {
        (Ok(read), [one]) => return same(vector, &read, one, &response?, shipped, pki),
        // Which hosts are none has become stricter; the filter refuses them where NGINX does not.
        (Err(own), _) if own.why == HOST_THAT_IS_NONE => return Ok(()),
        (Err(own), []) if response.as_ref().is_ok_and(|it| it.status == own.status) => {
            return Ok(());
        }
        (read, _) => read,
    };
    Err(format!(
        "the fake: {read:?}, NGINX: {response:?}, {} at the origin",
        recorded.len()
    )
    .into())
}

fn send(vector: &Vector, wire: &WireRequest, nginx: &Nginx, pki: &Pki) -> Result<WireResponse> {
    let ca = pki.server_ca_pem();
    let mut options = TlsOptions::new(&ca, vector.request.server_name());
    let identity = vector.request.certificate.as_deref();
    options.identity = identity.map(|name| pki.get(name)).transpose()?;
    options.versions = match vector.request.tls12 {
        true => TlsVersions::Tls12,
        false => TlsVersions::Tls13,
    };
    Ok(http1::Client::new(connect(nginx.tls, &options)?).send(wire)?)
}

/// Whether the origin got what the fake would send, and was shown what the fake would show the filter.
fn same(
    vector: &Vector,
    read: &Read,
    found: &Recorded,
    response: &WireResponse,
    shipped: &Shipped,
    pki: &Pki,
) -> Result<()> {
    let mut variables: BTreeMap<String, Vec<u8>> = shipped
        .variables
        .iter()
        .map(|name| (name.clone(), SET.into()))
        .collect();
    variables.insert("auth_edge_authority".into(), ORIGIN.into());
    let elements = Element::list(&read.fields);
    let expected = upstream::request(read, &elements, &variables, shipped)?;
    differ("target", &expected.target, &found.target)?;
    let (shown, sent): (Fields, Fields) = lower(&found.headers)
        .into_iter()
        .partition(|(name, _)| name.starts_with(b"seen-"));
    let is_framing = |name: &[u8]| name == b"content-length" || name == b"transfer-encoding";
    let mut sent: Fields = sent
        .into_iter()
        .filter(|(name, _)| !is_framing(name))
        .collect();
    let mut expected = lower(&expected.headers);
    // Stable: the order of fields of one name is part of the message.
    sent.sort_by(|one, other| one.0.cmp(&other.0));
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    differ("fields", &texts(&expected), &texts(&sent))?;
    let seen = |name: &str| {
        let field = field_of(name);
        let mut shown = shown.iter().filter(|(name, _)| name == field.as_bytes());
        shown
            .next()
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    differ(
        "$request",
        &Some(String::from_utf8_lossy(&read.line).into_owned()),
        &seen("request"),
    )?;
    if !read.uri.iter().any(u8::is_ascii_control) {
        differ(
            "$uri",
            &Some(String::from_utf8_lossy(&read.uri).trim().to_owned()),
            &seen("seen_uri"),
        )?;
    }
    let server_name = vector.request.server_name().map(str::to_owned);
    differ("$ssl_server_name", &server_name, &seen("ssl_server_name"))?;
    let protocol = if vector.request.tls12 {
        "TLSv1.2"
    } else {
        "TLSv1.3"
    };
    differ(
        "$ssl_protocol",
        &Some(protocol.to_owned()),
        &seen("ssl_protocol"),
    )?;
    let was_asked =
        server_name.is_some_and(|name| name.eq_ignore_ascii_case("mtls.login.example.test"));
    let certificate = vector.request.certificate.as_deref().filter(|_| was_asked);
    let certificate = certificate.map(|name| pki.get(name)).transpose()?;
    let escaped = certificate.map(|identity| encode_uri_component(&identity.leaf_pem()));
    differ(
        "$ssl_client_escaped_cert",
        &escaped,
        &seen("ssl_client_escaped_cert"),
    )?;
    let verdict = seen("ssl_client_verify").unwrap_or_default();
    if (verdict == "NONE") != certificate.is_none() {
        return Err(format!("$ssl_client_verify is {verdict}").into());
    }
    let hsts = response.values("strict-transport-security").len();
    differ("Strict-Transport-Security", &1, &hsts)
}

fn lower(fields: &Fields) -> Fields {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect()
}

fn texts(fields: &Fields) -> Vec<String> {
    let line = |(name, value): &(Vec<u8>, Vec<u8>)| {
        format!(
            "{}: {}",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value)
        )
    };
    fields.iter().map(line).collect()
}

fn differ<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what} differ\n  the fake {expected:?}\n  NGINX    {found:?}").into())
}
