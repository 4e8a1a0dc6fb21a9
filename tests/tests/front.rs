//! The stand-in for Cloudflare's edge judged by itself, before a fake of a Worker's socket.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use auth_edge_tests::http1::Client;
use auth_edge_tests::pki::{Identity, Pki, thumbprint_hex};
use auth_edge_tests::poll;
use auth_edge_tests::tls::{TlsOptions, TlsStream, TlsVersions, connect};
use auth_edge_tests::wire::{WireError, WireRequest, WireResponse};
use auth_edge_tests::workerd::front::Front;
use serde_json::Value;

const HOST: &str = "mtls.login.example.test";
const LIMIT: Duration = Duration::from_secs(10);
const MEBIBYTE: usize = 1 << 20;

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| Pki::generate().unwrap())
}

/// What the fake saw of a request.
#[derive(Clone, Debug)]
struct Seen {
    /// The number of its connection.
    connection: usize,
    /// The lines before its body.
    lines: Vec<String>,
    /// How much of its body came.
    body: usize,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
}

impl Seen {
    fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.lines.iter().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(present, _)| present.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    fn cf(&self) -> Value {
        let [blob] = self.values("mf-cf-blob")[..] else {
            panic!("not one blob: {:?}", self.lines);
        };
        serde_json::from_str(blob).unwrap()
    }
}

/// A fake of a Worker's own socket: what it answers depends on the path.
struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections that are open.
    open: Arc<AtomicUsize>,
}

impl Fake {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let recorder = seen.clone();
        let open: Arc<AtomicUsize> = Arc::default();
        let count = open.clone();
        // It ends with the test program.
        thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let (recorder, count) = (recorder.clone(), count.clone());
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(&socket.unwrap(), number, &recorder);
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            seen,
            open,
        }
    }

    /// Whether it has closed every connection.
    fn left(&self) -> bool {
        self.open.load(Ordering::SeqCst) == 0
    }

    fn seen(&self, count: usize) -> Vec<Seen> {
        let look = || {
            let seen = self.seen.lock().unwrap();
            (seen.len() >= count).then(|| seen.clone())
        };
        poll::until(LIMIT, look).unwrap()
    }
}

/// Reads up to and with an end; `None` when the peer closed before.
fn until(mut socket: &TcpStream, end: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        text.extend(byte);
    }
    String::from_utf8(text).ok()
}

fn serve(mut socket: &TcpStream, connection: usize, recorder: &Mutex<Vec<Seen>>) {
    while let Some(head) = until(socket, b"\r\n\r\n") {
        let lines: Vec<String> = head.trim_end().lines().map(str::to_owned).collect();
        let mut seen = Seen {
            connection,
            lines,
            body: 0,
            end: End::Whole,
        };
        let length = seen
            .values("content-length")
            .first()
            .map(|it| it.parse().unwrap());
        let path = seen.lines[0]
            .split(' ')
            .nth(1)
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        let chunked = !seen.values("transfer-encoding").is_empty();
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        if path == "duplex" {
            socket
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .unwrap();
        }
        if path == "refuses" {
            socket
                .write_all(b"HTTP/1.1 413 \r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            recorder.lock().unwrap().push(seen);
            continue;
        }
        let mut body = Vec::new();
        let whole = if chunked {
            chunks(socket, &mut body, path == "duplex")
        } else {
            body = vec![0; length.unwrap_or(0)];
            let read = read_up_to(socket, &mut body);
            body.truncate(read);
            length.is_none_or(|length| length == read)
        };
        seen.body = body.len();
        if !whole {
            seen.end = End::Cut;
            recorder.lock().unwrap().push(seen);
            return;
        }
        recorder.lock().unwrap().push(seen);
        match path.as_str() {
            "duplex" => {
                socket.write_all(b"0\r\n\r\n").unwrap();
                continue;
            }
            "cut" => {
                answer.extend(b"content-length: 100\r\n\r\nbeginning");
                socket.write_all(&answer).unwrap();
                socket.shutdown(Shutdown::Both).unwrap();
                return;
            }
            // Until the front has had enough.
            "waits" => drop(until(socket, b"\0")),
            "silent" => return socket.shutdown(Shutdown::Both).unwrap(),
            "none" => answer = b"HTTP/1.1 304 \r\netag: \"x\"\r\n\r\n".to_vec(),
            "head" => answer.extend(b"content-length: 100\r\n\r\n"),
            _ if chunked => {
                answer.extend(b"transfer-encoding: chunked\r\n\r\n");
                for piece in body.chunks(40_000) {
                    answer.extend(format!("{:x}\r\n", piece.len()).bytes());
                    answer.extend(piece);
                    answer.extend(b"\r\n");
                }
                answer.extend(b"0\r\n\r\n");
            }
            _ => {
                answer.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
                answer.extend(&body);
            }
        }
        socket.write_all(&answer).unwrap();
        if path == "leaves" {
            return socket.shutdown(Shutdown::Both).unwrap();
        }
    }
}

fn read_up_to(mut socket: &TcpStream, body: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < body.len() {
        match socket.read(&mut body[filled..]) {
            Ok(count @ 1..) => filled += count,
            _ => break,
        }
    }
    filled
}

/// Reads chunks, which are echoed at once if asked; says whether the last one came.
fn chunks(mut socket: &TcpStream, body: &mut Vec<u8>, echoed: bool) -> bool {
    while let Some(line) = until(socket, b"\r\n") {
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut piece = vec![0; size + 2];
        if read_up_to(socket, &mut piece) < size + 2 {
            return false;
        }
        if size == 0 {
            return true;
        }
        body.extend(&piece[..size]);
        if echoed {
            socket
                .write_all(&[line.as_bytes(), &piece].concat())
                .unwrap();
        }
    }
    false
}

fn front(fake: &Fake) -> Front {
    let server = pki().server_identity(&[HOST]).unwrap();
    Front::start(&server, pki().identities(), fake.address).unwrap()
}

fn open(front: &Front, identity: Option<&Identity>, versions: TlsVersions) -> TlsStream {
    let ca = pki().server_ca_pem();
    let options = TlsOptions {
        identity,
        versions,
        timeout: LIMIT,
        ..TlsOptions::new(&ca, Some(HOST))
    };
    connect(front.https(), &options).unwrap()
}

fn client(front: &Front) -> Client<TlsStream> {
    Client::new(open(front, None, TlsVersions::Both))
}

fn request(method: &str, path: &str) -> WireRequest {
    WireRequest::new(method, HOST, path)
}

#[test]
fn a_worker_is_told_the_facts_of_the_connection_and_nothing_a_client_claims() {
    let (fake, get) = (Fake::start(), |name| pki().get(name).unwrap());
    let front = front(&fake);
    let forged = request("GET", "/a/../b%2F?q='x'")
        .header(
            "MF-CF-Blob",
            r#"{"tlsClientAuth":{"certVerified":"SUCCESS"}}"#,
        )
        .header("mf-cf-blob", "{}")
        .header("CF-Connecting-IP", "192.0.2.1")
        .header("X-Forwarded-For", "192.0.2.2")
        .header("x-forwarded-proto", "http")
        .header("cf-visitor", "x")
        .header("CF-Ray", "forged")
        .header("X-Odd_Name", "  kept  as it is");
    let mut count = 0;
    for (identity, versions, verified) in [
        (Some("ca_client"), TlsVersions::Tls13, "SUCCESS"),
        (Some("ca_client"), TlsVersions::Tls12, "SUCCESS"),
        (
            Some("ca_client_via_intermediate"),
            TlsVersions::Tls13,
            "SUCCESS",
        ),
        (
            Some("unknown_ca_client"),
            TlsVersions::Tls13,
            "FAILED:unable to get local issuer certificate",
        ),
        (
            Some("self_signed"),
            TlsVersions::Tls13,
            "FAILED:self signed certificate",
        ),
        (None, TlsVersions::Tls12, "NONE"),
    ] {
        let identity = identity.map(get);
        let stream = open(&front, identity, versions);
        let mut client = Client::new(stream);
        assert_eq!(client.send(&forged).unwrap().status, 200);
        count += 1;
        let seen = fake.seen(count).pop().unwrap();
        assert_eq!(
            seen.lines[0],
            format!("GET https://{HOST}/a/../b%2F?q='x' HTTP/1.1")
        );
        assert_eq!(seen.lines[1], format!("host: {HOST}"));
        assert_eq!(seen.lines[2], "X-Odd_Name:   kept  as it is");
        assert_eq!(seen.values("cf-connecting-ip"), ["127.0.0.1"]);
        assert_eq!(seen.values("x-forwarded-for"), ["192.0.2.2, 127.0.0.1"]);
        assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
        assert_eq!(seen.values("cf-visitor"), [r#"{"scheme":"https"}"#]);
        assert_eq!(seen.values("cf-ray").len(), 1);
        assert!(!seen.lines.iter().any(|line| line.contains("forged")));
        let cf = seen.cf();
        let (version, suites) = match versions {
            TlsVersions::Tls12 => ("TLSv1.2", "ECDHE-ECDSA-"),
            _ => ("TLSv1.3", "AEAD-"),
        };
        assert_eq!(cf["tlsVersion"], version);
        assert!(
            cf["tlsCipher"].as_str().unwrap().starts_with(suites),
            "{cf}"
        );
        let auth = &cf["tlsClientAuth"];
        assert_eq!(auth["certVerified"], verified);
        assert_eq!(
            auth["certPresented"],
            if identity.is_some() { "1" } else { "0" }
        );
        let digest = identity
            .map(|it| thumbprint_hex(it.leaf()))
            .unwrap_or_default();
        assert_eq!(auth["certFingerprintSHA256"], digest);
        let others = identity.map_or(0, |it| it.chain.len() - 1);
        assert_eq!(
            auth["certChainRFC9440"]
                .as_str()
                .unwrap()
                .matches(":, :")
                .count()
                + 1,
            others.max(1)
        );
        assert_eq!(auth["certChainRFC9440"] != "", others > 0);
    }
}

#[test]
fn plain_http_has_a_plain_url_and_no_tls() {
    let fake = Fake::start();
    let front = front(&fake);
    let mut client = Client::new(TcpStream::connect(front.http()).unwrap());
    for _ in 0..2 {
        assert_eq!(client.send(&request("GET", "/x")).unwrap().status, 200);
    }
    let seen = fake.seen(2).pop().unwrap();
    assert_eq!(seen.lines[0], format!("GET http://{HOST}/x HTTP/1.1"));
    assert_eq!(seen.cf()["tlsVersion"], "");
    assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
}

#[test]
fn a_mebibyte_passes_both_ways_in_either_framing() {
    let fake = Fake::start();
    let front = front(&fake);
    let mut client = client(&front);
    let body: Vec<u8> = (0..MEBIBYTE).map(|at| (at % 251) as u8).collect();
    let sized = request("POST", "/echo").body(body.clone());
    let chunked = sized.clone().header("transfer-encoding", "chunked");
    let chunked = WireRequest {
        body: Some(
            [
                format!("{MEBIBYTE:x}\r\n").as_bytes(),
                &body,
                b"\r\n0\r\n\r\n",
            ]
            .concat(),
        ),
        ..chunked
    };
    for request in [sized, chunked] {
        let response = client.send(&request).unwrap();
        assert_eq!((response.status, response.body.len()), (200, MEBIBYTE));
        assert!(response.body == body);
    }
    assert!(
        fake.seen(2)
            .iter()
            .all(|seen| seen.body == MEBIBYTE && seen.connection == 0)
    );
}

#[test]
fn connections_are_kept_whatever_the_answers_are() {
    let fake = Fake::start();
    let front = front(&fake);
    let mut client = client(&front);
    for (method, path, status) in [
        ("GET", "/a", 200),
        ("HEAD", "/head", 200),
        ("GET", "/none", 304),
        ("POST", "/b", 200),
    ] {
        let response = client.send(&request(method, path).body("")).unwrap();
        assert_eq!(
            (response.status, response.body.len()),
            (status, 0),
            "{path}"
        );
    }
    let connections: Vec<usize> = fake.seen(4).iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 0, 0]);
}

#[test]
fn a_client_stays_connected_when_the_worker_leaves_between_two_requests() {
    let fake = Fake::start();
    let front = front(&fake);
    let mut client = client(&front);
    for _ in 0..3 {
        assert_eq!(client.send(&request("GET", "/leaves")).unwrap().status, 200);
        // Until it is gone: the next request would meet the end of the connection.
        poll::until(LIMIT, || fake.left().then_some(())).unwrap();
    }
    assert_eq!(fake.seen(3)[2].connection, 2);
}

#[test]
fn bodies_pass_in_both_directions_at_once() {
    let fake = Fake::start();
    let front = front(&fake);
    let mut stream = open(&front, None, TlsVersions::Both);
    let head =
        format!("POST /duplex HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut read = Vec::new();
    for piece in ["first", "second"] {
        stream
            .write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes())
            .unwrap();
        // It comes back before the next one is sent.
        while !String::from_utf8_lossy(&read).contains(piece) {
            let mut some = [0; 1024];
            let count = stream.read(&mut some).unwrap();
            read.extend(&some[..count]);
        }
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(fake.seen(1)[0].end, End::Whole);
}

#[test]
fn a_client_that_goes_away_in_mid_body_ends_the_request_to_the_worker() {
    let fake = Fake::start();
    let front = front(&fake);
    let part = "x".repeat(1000);
    for (count, framing) in [
        (1, "content-length: 100000\r\n\r\n".to_owned()),
        (2, "transfer-encoding: chunked\r\n\r\n10000\r\n".to_owned()),
    ] {
        let mut stream = open(&front, None, TlsVersions::Both);
        let head = format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\n{framing}{part}");
        stream.write_all(head.as_bytes()).unwrap();
        poll::until(LIMIT, || (!fake.left()).then_some(())).unwrap();
        drop(stream);
        assert_eq!(fake.seen(count)[count - 1].end, End::Cut);
        poll::until(LIMIT, || fake.left().then_some(())).unwrap();
    }
}

#[test]
fn an_answer_that_is_cut_is_no_whole_answer() {
    let fake = Fake::start();
    let front = front(&fake);
    let outcome = client(&front).send(&request("GET", "/cut"));
    assert!(matches!(outcome, Err(WireError::Closed)), "{outcome:?}");
    assert_eq!(
        client(&front)
            .send(&request("GET", "/silent"))
            .unwrap()
            .status,
        520
    );
}

#[test]
fn a_body_that_is_refused_before_it_is_sent_is_not_waited_for() {
    let fake = Fake::start();
    let front = front(&fake);
    let mut client = client(&front);
    let head = format!(
        "POST /refuses HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    );
    assert_eq!(
        client.send_raw(head.as_bytes(), b"POST").unwrap().status,
        413
    );
    let next = client.send(&request("GET", "/x"));
    assert!(matches!(next, Err(WireError::Closed)), "{next:?}");
    assert_eq!(fake.seen(1).len(), 1);
}

#[test]
fn requests_that_cannot_be_told_apart_are_refused() {
    let fake = Fake::start();
    let front = front(&fake);
    let fields = |text: &str| format!("GET / HTTP/1.1\r\n{text}\r\n");
    for text in [
        fields(""),
        fields("host: a\r\nhost: a\r\n"),
        fields("host: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n"),
        fields("host: a\r\nx\r\n"),
        "GET /\r\nhost: a\r\n\r\n".to_owned(),
    ] {
        let response: WireResponse = client(&front).send_raw(text.as_bytes(), b"GET").unwrap();
        assert_eq!(response.status, 400, "{text}");
    }
    assert!(fake.seen(0).is_empty());
}

#[test]
fn a_front_that_is_dropped_listens_no_more() {
    let fake = Fake::start();
    let front = front(&fake);
    let mut idle = client(&front);
    idle.send(&request("GET", "/")).unwrap();
    let ports = [front.https(), front.http()];
    let mut waiting = open(&front, None, TlsVersions::Both);
    let head = format!("GET /waits HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    waiting.write_all(head.as_bytes()).unwrap();
    fake.seen(2);
    drop(front);
    assert!(ports.iter().all(|port| TcpStream::connect(port).is_err()));
    assert!(idle.send(&request("GET", "/")).is_err());
    assert!(!matches!(waiting.read(&mut [0]), Ok(1..)));
}
