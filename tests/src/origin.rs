//! An HTTPS server that records what reaches it: the origin behind the edge.

use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http1::{Framing, Lines, framing, write_chunks, write_field};
use crate::pki::Identity;
use crate::poll;
use crate::wire::{Fields, WireError, values};

/// A connection that says nothing for this long is dropped. Longer than any pause between two tests that
/// share an Envoy, which would send the next request on a connection that is about to be closed.
const PATIENCE: Duration = Duration::from_secs(600);

/// A request as it reached the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The server name of the TLS connection it came over.
    pub server_name: Option<String>,
    /// The method.
    pub method: Vec<u8>,
    /// The raw request target.
    pub target: Vec<u8>,
    /// The fields in order, as they were spelled.
    pub headers: Fields,
    /// The trailer fields in order.
    pub trailers: Fields,
    /// The body.
    pub body: Vec<u8>,
}

impl Recorded {
    /// All values of a field, whatever the spelling of its name.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        values(&self.headers, name)
    }
}

/// Why the origin did not start.
#[derive(Debug)]
pub enum OriginError {
    /// No port could be had.
    Listen(io::Error),
    /// The identity cannot serve.
    Identity(rustls::Error),
}

impl fmt::Display for OriginError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => write!(formatter, "the origin cannot listen: {error}"),
            Self::Identity(error) => write!(formatter, "the origin's identity is wrong: {error}"),
        }
    }
}

impl std::error::Error for OriginError {}

/// A running origin; it stops when dropped.
///
/// It answers 200 with a small JSON body, `x-origin: 1` and two cookies. A target may ask for
/// something else: `/status/302` for a status, `/large/100000` for a body of that many bytes,
/// `/trailers` for a chunked body with a trailer field, `/with/NAME/VALUE` for one more field,
/// `/echo/NAME` for a body with the values of that field of the request. Some get no whole answer:
/// `/silent` none at all, `/gone` a closed connection, `/cut/length` and `/cut/chunks` one that is
/// closed in the middle of the body.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    tls: Arc<ServerConfig>,
    stopping: AtomicBool,
    recorded: Mutex<Vec<Recorded>>,
    faults: Mutex<Vec<String>>,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

impl Origin {
    /// Starts on a free port of 127.0.0.1.
    pub fn start(identity: &Identity) -> Result<Self, OriginError> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), identity)
    }

    /// Starts where another one has been before.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start_at(address: SocketAddr, identity: &Identity) -> Result<Self, OriginError> {
        let tls = server_config(identity).map_err(OriginError::Identity)?;
        let listener = TcpListener::bind(address).map_err(OriginError::Listen)?;
        let address = listener.local_addr().map_err(OriginError::Listen)?;
        let shared = Arc::new(Shared {
            tls: Arc::new(tls),
            stopping: AtomicBool::new(false),
            recorded: Mutex::default(),
            faults: Mutex::default(),
            connections: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives what was recorded since the last call, and forgets it.
    ///
    /// A request is recorded before it is answered, so whoever has the answer finds it here.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *lock(&self.shared.recorded))
    }

    /// Waits until at least `count` requests are recorded, and takes them; fewer after `limit`.
    pub fn take_at_least(&self, count: usize, limit: Duration) -> Vec<Recorded> {
        poll::until(limit, || {
            (lock(&self.shared.recorded).len() >= count).then_some(())
        });
        self.take()
    }

    /// What went wrong on connections: handshakes that failed, requests that could not be read.
    pub fn faults(&self) -> Vec<String> {
        lock(&self.shared.faults).clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor; if nothing can connect, it has ended already.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        for (socket, worker) in lock(&self.shared.connections).drain(..) {
            drop(socket.shutdown(Shutdown::Both));
            drop(worker.join());
        }
    }
}

/// How a server speaks TLS with this identity: HTTP/1.1, and no client certificates.
pub(crate) fn server_config(identity: &Identity) -> Result<ServerConfig, rustls::Error> {
    let chain = identity.chain.iter().cloned();
    let chain = chain.map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
    let mut tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let opened =
            socket.and_then(|socket| Ok((socket.try_clone()?, socket.try_clone()?, socket)));
        let (handle, end, socket) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                lock(&shared.faults).push(format!("no connection: {error}"));
                continue;
            }
        };
        let worker = thread::spawn({
            let shared = shared.clone();
            move || {
                if let Err(error) = serve(socket, &shared) {
                    lock(&shared.faults).push(error.to_string());
                }
                // The handle that is kept would hold it open.
                drop(end.shutdown(Shutdown::Both));
            }
        });
        let mut connections = lock(&shared.connections);
        connections.retain(|(_, worker)| !worker.is_finished());
        connections.push((handle, worker));
    }
}

/// Answers requests until the peer closes.
fn serve(socket: TcpStream, shared: &Shared) -> Result<(), WireError> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let connection = ServerConnection::new(shared.tls.clone())
        .map_err(|error| WireError::malformed(error.to_string()))?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let server_name = stream.conn.server_name().map(str::to_owned);
    let mut lines = Lines::new(stream);
    loop {
        let line = match lines.line() {
            Ok(line) => line,
            Err(WireError::Closed | WireError::TimedOut) => return Ok(()),
            Err(error) => return Err(error),
        };
        let request = read_request(&mut lines, &line, server_name.clone())?;
        let answer = answer(&request);
        let fate = fate(&request);
        let closing = request
            .values("connection")
            .iter()
            .any(|it| it.eq_ignore_ascii_case(b"close"));
        lock(&shared.recorded).push(request);
        match fate {
            Fate::Whole => lines.stream.write_all(&answer)?,
            Fate::Silent => {
                // Until the peer has had enough.
                drop(lines.line());
                return Ok(());
            }
            Fate::Cut(length) => {
                lines
                    .stream
                    .write_all(answer.get(..length).unwrap_or(&answer))?;
                lines.stream.flush()?;
                return Ok(lines.stream.sock.shutdown(Shutdown::Both)?);
            }
        }
        lines.stream.flush()?;
        if closing {
            lines.stream.conn.send_close_notify();
            return Ok(lines.stream.flush()?);
        }
    }
}

type Connection = StreamOwned<ServerConnection, TcpStream>;

fn read_request(
    lines: &mut Lines<Connection>,
    line: &[u8],
    server_name: Option<String>,
) -> Result<Recorded, WireError> {
    // A target may hold any byte but the space, so the line is cut at its first and last one.
    let first = line.iter().position(|byte| *byte == b' ');
    let last = line.iter().rposition(|byte| *byte == b' ');
    let (Some(first), Some(last)) = (first, last) else {
        let line = String::from_utf8_lossy(line);
        return Err(WireError::malformed(format!("`{line}` is no request line")));
    };
    let target = line.get(first + 1..last).unwrap_or_default().to_vec();
    let headers = lines.fields()?;
    if values(&headers, "expect")
        .iter()
        .any(|it| it.eq_ignore_ascii_case(b"100-continue"))
    {
        lines.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        lines.stream.flush()?;
    }
    let (body, trailers) = match framing(&headers)? {
        Framing::Chunked => lines.chunks()?,
        Framing::Length(length) => (lines.exactly(length)?, Fields::new()),
        Framing::Unstated => (Vec::new(), Fields::new()),
    };
    let method = line[..first].to_vec();
    Ok(Recorded {
        server_name,
        method,
        target,
        headers,
        trailers,
        body,
    })
}

/// How much of its answer a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    Silent,
    /// So many bytes, and the end of the connection without a farewell.
    Cut(usize),
}

fn fate(request: &Recorded) -> Fate {
    match request.target.as_slice() {
        b"/silent" => Fate::Silent,
        b"/gone" => Fate::Cut(0),
        // The head is shorter than that, and head and body are longer.
        b"/cut/length" | b"/cut/chunks" => Fate::Cut(CUT),
        _ => Fate::Whole,
    }
}

/// How much of an answer is sent when it is cut, and how long its body would be.
const CUT: usize = 10_000;
const UNCUT: usize = 20_000;

/// The answer that a request asks for.
fn answer(request: &Recorded) -> Vec<u8> {
    let target = String::from_utf8_lossy(&request.target);
    let path = target.split('?').next().unwrap_or_default();
    let number = |prefix| {
        path.strip_prefix(prefix)?
            .split('/')
            .next()?
            .parse::<usize>()
            .ok()
    };
    let status = number("/status/")
        .filter(|it| (200..1000).contains(it))
        .unwrap_or(200);
    let echoed = path.strip_prefix("/echo/").map(|name| request.values(name));
    let body = match (number("/large/"), echoed) {
        (Some(size), _) => vec![b'x'; size],
        (None, Some(values)) => values.join(&b", "[..]),
        (None, None) if path.starts_with("/cut/") => vec![b'x'; UNCUT],
        (None, None) => b"{\"origin\":true}".to_vec(),
    };
    let mut out = format!("HTTP/1.1 {status} \r\n").into_bytes();
    for (name, value) in [
        ("x-origin", "1"),
        ("content-type", "application/json"),
        ("set-cookie", "first=1; Path=/; HttpOnly"),
        ("set-cookie", "second=2; Path=/; Secure"),
    ] {
        write_field(&mut out, name.as_bytes(), value.as_bytes());
    }
    let with = path.strip_prefix("/with/");
    if let Some((name, value)) = with.and_then(|field| field.split_once('/')) {
        write_field(&mut out, name.as_bytes(), value.as_bytes());
    }
    if (300..400).contains(&status) {
        write_field(
            &mut out,
            b"location",
            b"https://elsewhere.example.com/login?state=1",
        );
    }
    let has_body = request.method != b"HEAD" && !matches!(status, 204 | 304);
    if matches!(path, "/trailers" | "/cut/chunks") && has_body {
        write_field(&mut out, b"transfer-encoding", b"chunked");
        out.extend_from_slice(b"\r\n");
        let trailers = vec![(b"x-origin-trailer".to_vec(), b"1".to_vec())];
        write_chunks(&mut out, &body, &trailers);
        return out;
    }
    if !matches!(status, 204 | 304) {
        write_field(
            &mut out,
            b"content-length",
            body.len().to_string().as_bytes(),
        );
    }
    out.extend_from_slice(b"\r\n");
    if has_body {
        out.extend_from_slice(&body);
    }
    out
}
