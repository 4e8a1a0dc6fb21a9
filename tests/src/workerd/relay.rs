//! HTTP/1.1 requests handed on to a Worker's own socket as Cloudflare would, and the answers brought back.
//!
//! Heads are rewritten line by line, so that what is left alone stays byte for byte. Bodies pass in both
//! directions at once, as they come. An upgrade is not carried out.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::wire::{Arrival, absolute};
use crate::http1::{Framing, Lines, framing, write_field};
use crate::wire::{Fields, WireError, values};

/// How much of a body is handed on at once.
const PIECE: usize = 64 * 1024;

/// Fields that Cloudflare writes itself, whatever the client sent. `X-Forwarded-For` it adds to.
const OVERWRITTEN: [&str; 7] = [
    "mf-cf-blob",
    "cf-connecting-ip",
    "cf-ipcountry",
    "cf-ray",
    "cf-visitor",
    "x-forwarded-for",
    "x-forwarded-proto",
];

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// In order: whoever had something to say has said it.
    Closed,
    /// In the middle of a request or an answer.
    Reset,
}

/// Serves one client until it or the Worker ends the connection.
pub(super) fn relay(
    client: impl Read,
    mut answers: impl Write + Send,
    worker: SocketAddr,
    arrival: &Arrival<'_>,
) -> End {
    let mut client = Lines::new(client);
    let mut upstream = None;
    loop {
        let head = match Head::read(&mut client) {
            Ok(Some(head)) => head,
            Ok(None) => return End::Closed,
            Err(WireError::Malformed(_)) => return refuse(&mut answers, "400 Bad Request"),
            Err(_) => return End::Reset,
        };
        let Ok(request) = Request::new(&head, arrival) else {
            return refuse(&mut answers, "400 Bad Request");
        };
        let open = upstream
            .take()
            .filter(Upstream::is_alive)
            .map_or_else(|| Upstream::open(worker), Ok);
        let Ok(mut open) = open else {
            return refuse(&mut answers, "521 Web Server Is Down");
        };
        match exchange(&mut client, &mut answers, &mut open, &request) {
            Ok(After::Keep) => upstream = Some(open),
            Ok(After::Close) => return End::Closed,
            Err(_) => return End::Reset,
        }
    }
}

fn refuse(answers: &mut impl Write, status: &str) -> End {
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    match answers
        .write_all(answer.as_bytes())
        .and_then(|()| answers.flush())
    {
        Ok(()) => End::Closed,
        Err(_) => End::Reset,
    }
}

/// A connection to the Worker.
struct Upstream {
    writer: TcpStream,
    reader: Lines<TcpStream>,
}

impl Upstream {
    fn open(worker: SocketAddr) -> io::Result<Self> {
        let writer = TcpStream::connect(worker)?;
        writer.set_nodelay(true)?;
        let reader = Lines::new(writer.try_clone()?);
        Ok(Self { writer, reader })
    }

    /// Whether it can take another request: workerd closes what is idle for some seconds.
    fn is_alive(&self) -> bool {
        let look = || {
            self.writer.set_nonblocking(true)?;
            let found = self.writer.peek(&mut [0]);
            self.writer.set_nonblocking(false)?;
            found
        };
        matches!(look(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum After {
    Keep,
    Close,
}

/// Hands one request on while its answer comes back.
fn exchange(
    client: &mut Lines<impl Read>,
    answers: &mut (impl Write + Send),
    upstream: &mut Upstream,
    request: &Request,
) -> Result<After, WireError> {
    let Upstream { writer, reader } = upstream;
    let (statuses, heard) = mpsc::channel();
    thread::scope(|scope| {
        let end = writer.try_clone()?;
        let answer = scope.spawn(move || {
            let outcome = bring_back(reader, answers, &request.method, &statuses);
            if outcome.is_err() {
                // Whoever hands the body on must not wait for a Worker that nobody listens to.
                drop(end.shutdown(Shutdown::Both));
            }
            outcome
        });
        // Without the head nothing comes back, and that says why.
        let sent = writer.write_all(&request.head);
        let waits = sent.is_ok() && request.expects_continue;
        // A client that is told something else than to go on will not send its body.
        let body = if waits && heard.recv() != Ok(100) {
            Ok(After::Close)
        } else {
            hand_on(client, writer, &request.framing)
        };
        if body.is_err() {
            drop(writer.shutdown(Shutdown::Both));
        }
        let answer = answer.join().unwrap_or(Err(WireError::Closed))?;
        Ok(match (body?, answer) {
            (After::Keep, After::Keep) => After::Keep,
            _ => After::Close,
        })
    })
}

/// Hands a request's body on. What the Worker does not take any more is read all the same: the client may
/// listen only when it has said everything.
///
/// # Errors
/// When the client goes away before its end.
fn hand_on(
    client: &mut Lines<impl Read>,
    worker: &mut TcpStream,
    framing: &Framing,
) -> Result<After, WireError> {
    let mut after = After::Keep;
    let mut to_worker = |bytes: &[u8]| {
        if after == After::Keep && worker.write_all(bytes).is_err() {
            after = After::Close;
        }
        Ok(())
    };
    match framing {
        Framing::Chunked => chunks(client, &mut to_worker)?,
        Framing::Length(length) => exactly(client, *length, &mut to_worker)?,
        Framing::Unstated => {}
    }
    Ok(after)
}

/// Brings the answer to one request back, those before it included; tells the status of each.
fn bring_back(
    worker: &mut Lines<TcpStream>,
    client: &mut impl Write,
    method: &[u8],
    statuses: &Sender<u16>,
) -> Result<After, WireError> {
    let (status, head) = loop {
        let Some(head) = Head::read(worker)? else {
            refuse(client, "520 Unknown Error");
            return Err(WireError::Closed);
        };
        let status = head.status()?;
        client.write_all(&head.bytes())?;
        client.flush()?;
        // Nobody may wait for it.
        let _ = statuses.send(status);
        match status {
            101 => return Err(WireError::malformed("an upgrade")),
            100..200 => {}
            _ => break (status, head),
        }
    };
    let closes = values(&head.fields, "connection")
        .iter()
        .any(|it| it.eq_ignore_ascii_case(b"close"));
    let mut after = if closes { After::Close } else { After::Keep };
    let mut to_client = |bytes: &[u8]| {
        client.write_all(bytes)?;
        Ok(client.flush()?)
    };
    if method == b"HEAD" || matches!(status, 204 | 304) {
        return Ok(after);
    }
    match framing(&head.fields)? {
        Framing::Chunked => chunks(worker, &mut to_client)?,
        Framing::Length(length) => exactly(worker, length, &mut to_client)?,
        Framing::Unstated => {
            after = After::Close;
            loop {
                let piece = worker.some(PIECE)?;
                if piece.is_empty() {
                    break;
                }
                to_client(&piece)?;
            }
        }
    }
    Ok(after)
}

/// Where pieces of a body go.
type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), WireError> + 'a;

fn exactly(from: &mut Lines<impl Read>, length: usize, to: &mut Sink<'_>) -> Result<(), WireError> {
    let mut left = length;
    while left > 0 {
        let piece = from.some(left.min(PIECE))?;
        if piece.is_empty() {
            return Err(WireError::Closed);
        }
        left -= piece.len();
        to(&piece)?;
    }
    Ok(())
}

/// A chunked body with its extensions and trailers, as it was written.
fn chunks(from: &mut Lines<impl Read>, to: &mut Sink<'_>) -> Result<(), WireError> {
    loop {
        let line = from.line()?;
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(size.trim_ascii())
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok())
            .ok_or_else(|| WireError::malformed("a chunk size that is no number"))?;
        to(&[&line[..], b"\r\n"].concat())?;
        if size == 0 {
            break;
        }
        exactly(from, size, to)?;
        let end = from.line()?;
        to(&[&end[..], b"\r\n"].concat())?;
    }
    loop {
        let line = from.line()?;
        to(&[&line[..], b"\r\n"].concat())?;
        if line.is_empty() {
            return Ok(());
        }
    }
}

/// The lines before a body, and what the fields among them say.
struct Head {
    first: Vec<u8>,
    lines: Vec<Vec<u8>>,
    fields: Fields,
}

impl Head {
    /// Reads one; `None` when the peer has closed before.
    fn read(from: &mut Lines<impl Read>) -> Result<Option<Self>, WireError> {
        let first = match from.line() {
            Ok(line) => line,
            Err(WireError::Closed) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut lines, mut fields) = (Vec::new(), Fields::new());
        loop {
            let line = from.line()?;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let colon = colon.ok_or_else(|| WireError::malformed("a field without a colon"))?;
            fields.push((
                line[..colon].trim_ascii().to_vec(),
                line[colon + 1..].trim_ascii().to_vec(),
            ));
            lines.push(line);
        }
        Ok(Some(Self {
            first,
            lines,
            fields,
        }))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for line in [&self.first].into_iter().chain(&self.lines) {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn status(&self) -> Result<u16, WireError> {
        let digits = self
            .first
            .get(9..12)
            .and_then(|it| std::str::from_utf8(it).ok());
        digits
            .and_then(|it| it.parse().ok())
            .ok_or_else(|| WireError::malformed("no status line"))
    }
}

/// A request as the Worker gets it.
struct Request {
    method: Vec<u8>,
    head: Vec<u8>,
    framing: Framing,
    expects_continue: bool,
}

impl Request {
    /// # Errors
    /// When Cloudflare would refuse it: no request line, not exactly one host, two framings or a wrong one.
    fn new(head: &Head, arrival: &Arrival<'_>) -> Result<Self, WireError> {
        let mut parts = head.first.splitn(2, |byte| *byte == b' ');
        let method = parts.next().unwrap_or_default();
        let mut parts = parts
            .next()
            .unwrap_or_default()
            .rsplitn(2, |byte| *byte == b' ');
        let version = parts.next().unwrap_or_default();
        let target = parts.next().unwrap_or_default();
        if target.is_empty() || !version.starts_with(b"HTTP/1.") {
            return Err(WireError::malformed("no request line"));
        }
        let [host] = values(&head.fields, "host")[..] else {
            return Err(WireError::malformed("not exactly one host"));
        };
        let framings =
            ["content-length", "transfer-encoding"].map(|name| values(&head.fields, name).len());
        if framings.iter().sum::<usize>() > 1 {
            return Err(WireError::malformed("more than one framing"));
        }
        let mut out = [
            method,
            b" ",
            &absolute(arrival.scheme(), host, target),
            b" ",
            version,
        ]
        .concat();
        out.extend_from_slice(b"\r\n");
        for (line, (name, _)) in head.lines.iter().zip(&head.fields) {
            let is_name = |it: &&str| name.eq_ignore_ascii_case(it.as_bytes());
            if !OVERWRITTEN.iter().any(is_name) {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
        }
        let client = arrival.client.to_string();
        let mut passed = values(&head.fields, "x-forwarded-for");
        passed.push(client.as_bytes());
        let scheme = arrival.scheme();
        for (name, value) in [
            ("X-Forwarded-For", passed.join(&b", "[..])),
            ("X-Forwarded-Proto", scheme.into()),
            ("CF-Visitor", format!("{{\"scheme\":\"{scheme}\"}}").into()),
            ("CF-Ray", "0123456789abcdef-TST".into()),
            ("CF-IPCountry", "AT".into()),
        ] {
            write_field(&mut out, name.as_bytes(), &value);
        }
        for (name, value) in arrival.fields() {
            write_field(&mut out, &name, &value);
        }
        out.extend_from_slice(b"\r\n");
        let expects = values(&head.fields, "expect");
        Ok(Self {
            method: method.to_vec(),
            head: out,
            framing: framing(&head.fields)?,
            expects_continue: expects
                .iter()
                .any(|it| it.eq_ignore_ascii_case(b"100-continue")),
        })
    }
}
