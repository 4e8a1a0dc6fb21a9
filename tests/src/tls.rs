//! A TLS client that verifies the server and presents any certificate, however odd.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
pub use rustls::{AlertDescription, ProtocolVersion};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned, version};

use crate::pki::Identity;

mod presented;
mod sessions;
mod verifier;

pub use sessions::Sessions;

use presented::Presented;
use verifier::Verifier;

/// The name that stands for the server where no name is sent.
const NO_NAME: &str = "no-name.invalid";

/// The TLS versions a client offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct TlsOptions<'a> {
    /// The root in PEM that the server's certificate has to come from.
    pub server_ca: &'a str,
    /// The server name to send and to find in the server's certificate; `None` does neither.
    pub server_name: Option<&'a str>,
    /// The client certificate to present when the server asks for one.
    pub identity: Option<&'a Identity>,
    /// The versions to offer.
    pub versions: TlsVersions,
    /// The application protocols to offer, best first.
    pub alpn: &'a [&'a [u8]],
    /// Where sessions are kept; without it none is resumed.
    pub sessions: Option<&'a Sessions>,
    /// The longest wait for a connection, and for each read and write.
    pub timeout: Duration,
}

impl<'a> TlsOptions<'a> {
    /// Both versions, no client certificate, no application protocol, no resumption.
    pub fn new(server_ca: &'a str, server_name: Option<&'a str>) -> Self {
        Self {
            server_ca,
            server_name,
            identity: None,
            versions: TlsVersions::Both,
            alpn: &[],
            sessions: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum TlsError {
    /// The options make no sense.
    Options(String),
    /// No TCP connection came about.
    Connect(io::Error),
    /// The handshake failed.
    Handshake(HandshakeFailure),
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(reason) => write!(formatter, "the tls options are wrong: {reason}"),
            Self::Connect(error) => write!(formatter, "no connection: {error}"),
            Self::Handshake(failure) => write!(formatter, "{failure}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// How a handshake failed.
#[derive(Clone, Debug)]
pub struct HandshakeFailure {
    /// The alert the server sent, if it sent one.
    pub alert: Option<AlertDescription>,
    /// What this side makes of it.
    pub reason: String,
}

impl HandshakeFailure {
    /// The handshake failure that a read or write reported, if it was one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    fn new(error: &io::Error) -> Self {
        let alert = match tls_error(error) {
            Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
            _ => None,
        };
        Self {
            alert,
            reason: error.to_string(),
        }
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the tls handshake failed: {}", self.reason)
    }
}

impl std::error::Error for HandshakeFailure {}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Connects and completes the handshake as far as this side can tell.
///
/// In TLS 1.3 the server judges the client's certificate only after that, so its alert arrives with
/// the first read: see `TlsStream`.
pub fn connect(address: SocketAddr, options: &TlsOptions<'_>) -> Result<TlsStream, TlsError> {
    let config = config(options)?;
    let name = options.server_name.unwrap_or(NO_NAME).to_owned();
    let name = ServerName::try_from(name).map_err(|error| TlsError::Options(error.to_string()))?;
    let tcp = TcpStream::connect_timeout(&address, options.timeout).map_err(TlsError::Connect)?;
    tcp.set_read_timeout(Some(options.timeout))
        .map_err(TlsError::Connect)?;
    tcp.set_write_timeout(Some(options.timeout))
        .map_err(TlsError::Connect)?;
    tcp.set_nodelay(true).map_err(TlsError::Connect)?;
    let connection = ClientConnection::new(Arc::new(config), name)
        .map_err(|error| TlsError::Options(error.to_string()))?;
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        let progress = stream.conn.complete_io(&mut stream.sock);
        progress.map_err(|error| TlsError::Handshake(HandshakeFailure::new(&error)))?;
    }
    Ok(TlsStream {
        stream,
        heard: Heard::Nothing,
        received: 0,
    })
}

fn config(options: &TlsOptions<'_>) -> Result<ClientConfig, TlsError> {
    let wrong = |error: rustls::Error| TlsError::Options(error.to_string());
    let versions: &[_] = match options.versions {
        TlsVersions::Both => &[&version::TLS13, &version::TLS12],
        TlsVersions::Tls12 => &[&version::TLS12],
        TlsVersions::Tls13 => &[&version::TLS13],
    };
    let verifier = Arc::new(Verifier::new(options.server_ca)?);
    let presented = Arc::new(Presented::new(options.identity)?);
    let (verifier, presented) = match options.sessions {
        Some(sessions) => sessions.parties(options, (verifier, presented)),
        None => (verifier, presented),
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .map_err(wrong)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(presented);
    config.alpn_protocols = options
        .alpn
        .iter()
        .map(|protocol| protocol.to_vec())
        .collect();
    config.enable_sni = options.server_name.is_some();
    config.resumption = match options.sessions {
        Some(sessions) => Resumption::store(sessions.store()),
        None => Resumption::disabled(),
    };
    Ok(config)
}

/// Whether the server has said anything after the handshake, which proves that it accepted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Data,
}

/// An open TLS connection.
///
/// An alert that arrives before any data is the server's verdict on the handshake. A read or write
/// then fails with an error that holds a `HandshakeFailure` (see `HandshakeFailure::of`).
#[derive(Debug)]
pub struct TlsStream {
    stream: StreamOwned<ClientConnection, TcpStream>,
    heard: Heard,
    received: u64,
}

impl TlsStream {
    /// Whether the session was resumed, so that the server saw no certificate this time.
    pub fn resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The negotiated version.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.stream.conn.protocol_version()
    }

    /// The name of the negotiated cipher suite.
    pub fn cipher_suite(&self) -> Option<String> {
        self.stream
            .conn
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()))
    }

    /// The negotiated application protocol.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.conn.alpn_protocol()
    }

    /// The server's certificates in DER, leaf first.
    pub fn server_chain(&self) -> Vec<Vec<u8>> {
        let chain = self.stream.conn.peer_certificates().unwrap_or_default();
        chain.iter().map(|der| der.to_vec()).collect()
    }

    /// How many bytes were read, those of TLS itself not counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// This side's address, to find the connection in a server's log.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.sock.local_addr()
    }

    fn classify(&self, error: io::Error) -> io::Error {
        let alert = matches!(tls_error(&error), Some(rustls::Error::AlertReceived(_)));
        if alert && self.heard == Heard::Nothing {
            return io::Error::other(HandshakeFailure::new(&error));
        }
        error
    }

    /// Reads what the server sent before it stopped reading: an alert explains why it did.
    fn explain(&mut self, error: io::Error) -> io::Error {
        let broken = [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
        ];
        if !broken.contains(&error.kind()) {
            return self.classify(error);
        }
        while matches!(self.stream.conn.read_tls(&mut self.stream.sock), Ok(1..)) {
            if let Err(alert) = self.stream.conn.process_new_packets() {
                return self.classify(io::Error::new(io::ErrorKind::InvalidData, alert));
            }
        }
        error
    }
}

impl TlsStream {
    fn hear(&mut self, count: usize) -> usize {
        self.heard = Heard::Data;
        self.received += count as u64;
        count
    }
}

impl Read for TlsStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(out) {
            Ok(count) => Ok(self.hear(count)),
            Err(error) => {
                let error = self.explain(error);
                // An answer that the server gave before it closed is worth more than the error.
                match self.stream.conn.reader().read(out) {
                    Ok(count @ 1..) => Ok(self.hear(count)),
                    _ => Err(error),
                }
            }
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream
            .write(bytes)
            .map_err(|error| self.explain(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().map_err(|error| self.explain(error))
    }
}
