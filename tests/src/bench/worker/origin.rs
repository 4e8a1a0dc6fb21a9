//! An origin that costs next to nothing: plain HTTP, one answer for everything, and the last request kept.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What everybody is answered.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
    set-cookie: a=1; Path=/; Secure; HttpOnly\r\nset-cookie: b=2; Path=/; Secure; HttpOnly\r\n\
    content-length: 15\r\n\r\n{\"origin\":true}";

/// A running origin; its threads end with the connections, and with this program.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    last: Arc<Mutex<Vec<u8>>>,
}

impl Origin {
    /// Listens on loopback.
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let last = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&last);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let last = Arc::clone(&kept);
                // A connection that ends, however, ends only itself.
                thread::spawn(move || serve(stream, &last));
            }
        });
        Ok(Self { address, last })
    }

    /// The head of the last request, as text; empty when there was none since the last call.
    pub(super) fn take(&self) -> String {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *last)).into_owned()
    }
}

fn serve(mut stream: TcpStream, last: &Mutex<Vec<u8>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        let whole = loop {
            if let Some(lengths) = whole_request(&read) {
                break lengths;
            }
            match stream.read(&mut part)? {
                0 => return Ok(()),
                count => read.extend_from_slice(&part[..count]),
            }
        };
        let head = read[..whole.0].to_vec();
        // Before the answer, after which it is looked for.
        *last.lock().unwrap_or_else(PoisonError::into_inner) = head;
        stream.write_all(ANSWER)?;
        read.drain(..whole.1);
    }
}

/// The lengths of the head and of all of a request that has arrived whole; bodies have a length or are chunked
/// without trailers.
fn whole_request(read: &[u8]) -> Option<(usize, usize)> {
    let head = position(read, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let body = if field("transfer-encoding:").is_some() {
        position(&read[head..], b"0\r\n\r\n")? + 5
    } else {
        let length = field("content-length:").map_or(Ok(0), |length| length.trim().parse());
        length.unwrap_or(0)
    };
    (read.len() >= head + body).then_some((head, head + body))
}

fn position(all: &[u8], wanted: &[u8]) -> Option<usize> {
    all.windows(wanted.len()).position(|part| part == wanted)
}
