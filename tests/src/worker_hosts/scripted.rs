//! An origin that does with each connection what a test tells it to.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::connect_unspec;
use rustls::{ServerConnection, StreamOwned};

use crate::origin::server_config;
use crate::pki::Identity;

/// A connection that says nothing for this long has failed its test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection of the edge, after the handshake.
pub struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
    read: Vec<u8>,
}

impl Peer {
    /// Reads until this stands in what was read, and gives all that was read before and with it.
    ///
    /// # Errors
    /// When the edge closes before that.
    pub fn read_until(&mut self, text: &str) -> io::Result<Vec<u8>> {
        let text = text.as_bytes();
        loop {
            let found = self.read.windows(text.len()).position(|it| it == text);
            if let Some(start) = found {
                return Ok(self.read.drain(..start + text.len()).collect());
            }
            let mut chunk = [0; 16 * 1024];
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read.extend_from_slice(&chunk[..count]);
        }
    }

    /// Writes, at once.
    ///
    /// # Errors
    /// When the edge takes no more.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Ends the connection with a reset, whatever was written.
    ///
    /// # Errors
    /// When it is not open any more.
    pub fn reset(&self) -> io::Result<()> {
        Ok(connect_unspec(&self.stream.sock)?)
    }
}

/// Waits until a test says so, or has been gone for long.
pub fn wait_for(word: &Mutex<Receiver<()>>) {
    let word = word.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = word.recv_timeout(PATIENCE);
}

/// The origin; it stops taking connections when dropped.
pub struct Scripted {
    address: SocketAddr,
    shared: Arc<(AtomicBool, AtomicUsize)>,
    acceptor: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Starts on a free port of 127.0.0.1; each connection gets the script, and ends with it.
    ///
    /// # Errors
    /// When it cannot listen, or the identity cannot serve.
    pub fn start(
        identity: &Identity,
        script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<Self, Box<dyn Error>> {
        let tls = Arc::new(server_config(identity)?);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new((AtomicBool::new(false), AtomicUsize::new(0)));
        let script = Arc::new(script);
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for socket in listener.incoming().flatten() {
                    if shared.0.load(Ordering::SeqCst) {
                        return;
                    }
                    shared.1.fetch_add(1, Ordering::SeqCst);
                    let (tls, script) = (Arc::clone(&tls), Arc::clone(&script));
                    thread::spawn(move || {
                        socket.set_read_timeout(Some(PATIENCE))?;
                        socket.set_nodelay(true)?;
                        let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
                        let stream = StreamOwned::new(connection, socket);
                        // What fails here is missed at the other end.
                        script(&mut Peer {
                            stream,
                            read: Vec::new(),
                        })
                    });
                }
            }
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

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.shared.1.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.0.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}
