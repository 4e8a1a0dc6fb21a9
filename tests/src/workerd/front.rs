//! A stand-in for Cloudflare's own edge: it ends TLS and hands requests to a Worker, with the facts of the
//! very connection in `request.cf`.
//!
//! It requests a client certificate on every name, takes any whose private key the client has, and verifies
//! nothing else. It is **not Cloudflare**: HTTP/1.1 only, nothing cached or compressed, no limits, and of what
//! Cloudflare refuses by itself only requests without exactly one host or with two framings. A client that goes away
//! while the Worker is silent is noticed when the answer comes.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::connect_unspec;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CipherSuite, DigitallySignedStruct, DistinguishedName, Error, ProtocolVersion, ServerConfig,
    ServerConnection, SignatureScheme,
};

use super::cf::{Presented, Revoked, Transport, cf};
use super::relay::{End, relay};
use super::wire::Arrival;
use crate::origin::OriginError;
use crate::pki::Identity;

/// A connection that says nothing for this long is dropped, as the recording origin does.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a client may take to notice that a connection has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// A running front, with a port for HTTPS and one for plain HTTP; it stops when dropped.
#[derive(Debug)]
pub struct Front {
    https: SocketAddr,
    http: SocketAddr,
    shared: Arc<Shared>,
    acceptors: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    tls: Arc<ServerConfig>,
    known: Vec<Identity>,
    worker: SocketAddr,
    stopping: AtomicBool,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

impl Front {
    /// Starts on free ports of 127.0.0.1 and hands requests to the Worker at `worker`.
    ///
    /// `server` is presented to every client. Of the client certificates that are `known`,
    /// `Identity::host_verified` says whether they verify; others do not.
    ///
    /// # Errors
    /// When it cannot listen, or `server` cannot serve.
    pub fn start(
        server: &Identity,
        known: &[Identity],
        worker: SocketAddr,
    ) -> Result<Self, OriginError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(OriginError::Listen)?;
        Self::start_on(listener, server, known, worker)
    }

    /// The same with the listener for HTTPS, whose port then can be known before the Worker is there.
    ///
    /// # Errors
    /// When it cannot listen, or `server` cannot serve.
    pub fn start_on(
        https: TcpListener,
        server: &Identity,
        known: &[Identity],
        worker: SocketAddr,
    ) -> Result<Self, OriginError> {
        let http = TcpListener::bind(("127.0.0.1", 0)).map_err(OriginError::Listen)?;
        let shared = Arc::new(Shared {
            tls: Arc::new(server_config(server).map_err(OriginError::Identity)?),
            known: known.to_vec(),
            worker,
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let mut front = Self {
            https: worker,
            http: worker,
            shared,
            acceptors: Vec::new(),
        };
        front.https = front.serve(https, serve_tls)?;
        front.http = front.serve(http, serve_plain)?;
        Ok(front)
    }

    /// Where it speaks HTTPS.
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// Where it speaks plain HTTP.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    fn serve(&mut self, listener: TcpListener, serve: Serve) -> Result<SocketAddr, OriginError> {
        let address = listener.local_addr().map_err(OriginError::Listen)?;
        let shared = self.shared.clone();
        let acceptor = thread::spawn(move || accept(&listener, &shared, serve));
        self.acceptors.push(acceptor);
        Ok(address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptors; where nothing can connect, they have ended already.
        for address in [self.https, self.http] {
            drop(TcpStream::connect(address));
        }
        for acceptor in self.acceptors.drain(..) {
            drop(acceptor.join());
        }
        // Their threads are not waited for: one that waits for an answer ends with the Worker.
        for (socket, _) in lock(&self.shared.connections).drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

type Serve = fn(TcpStream, &Shared) -> io::Result<End>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, serve: Serve) {
    for socket in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let opened =
            socket.and_then(|socket| Ok((socket.try_clone()?, socket.try_clone()?, socket)));
        let Ok((handle, end, socket)) = opened else {
            continue;
        };
        let thread = thread::spawn({
            let shared = shared.clone();
            move || {
                let ended = serve(socket, &shared);
                finish(&end, ended.unwrap_or(End::Reset));
            }
        });
        let mut connections = lock(&shared.connections);
        // What has ended is closed here; it has been shut down before.
        connections.retain(|(_, thread)| !thread.is_finished());
        connections.push((handle, thread));
    }
}

/// Ends a connection as the Worker, or the client, did.
fn finish(mut socket: &TcpStream, end: End) {
    match end {
        End::Closed => {
            drop(socket.shutdown(Shutdown::Write));
            drop(socket.set_read_timeout(Some(FAREWELL)));
            // What the client was still saying would make a reset of the end, before it has read the answer.
            while matches!(socket.read(&mut [0; 4096]), Ok(1..)) {}
        }
        // Resets it at once, whoever else holds the socket.
        End::Reset => drop(connect_unspec(socket)),
    }
    drop(socket.shutdown(Shutdown::Both));
}

fn serve_plain(socket: TcpStream, shared: &Shared) -> io::Result<End> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let cf = cf(Transport::Plain);
    let arrival = Arrival {
        cf: &cf,
        client: client_of(&socket)?,
    };
    Ok(relay(socket.try_clone()?, socket, shared.worker, &arrival))
}

fn serve_tls(mut socket: TcpStream, shared: &Shared) -> io::Result<End> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut connection = ServerConnection::new(shared.tls.clone()).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut socket) {
            // The client is to learn from the alert why.
            drop(connection.write_tls(&mut socket));
            return if error.kind() == io::ErrorKind::InvalidData {
                Ok(End::Closed)
            } else {
                Err(error)
            };
        }
    }
    // Tickets follow the handshake.
    while connection.wants_write() {
        connection.write_tls(&mut socket)?;
    }
    let chain: Vec<Vec<u8>> = connection
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|der| der.to_vec())
        .collect();
    let cf = cf(Transport::Tls {
        version: version(&connection),
        cipher: cipher(&connection),
        presented: presented(&chain, &shared.known),
    });
    let arrival = Arrival {
        cf: &cf,
        client: client_of(&socket)?,
    };
    let connection = Arc::new(Mutex::new(connection));
    let reader = TlsReader {
        connection: connection.clone(),
        socket: socket.try_clone()?,
        encrypted: Vec::new(),
    };
    let writer = TlsWriter {
        connection: connection.clone(),
        socket: socket.try_clone()?,
    };
    let end = relay(reader, writer, shared.worker, &arrival);
    if end == End::Closed {
        let mut connection = lock(&connection);
        connection.send_close_notify();
        while connection.wants_write() {
            connection.write_tls(&mut socket)?;
        }
    }
    Ok(end)
}

fn client_of(socket: &TcpStream) -> io::Result<IpAddr> {
    Ok(socket.peer_addr()?.ip())
}

fn presented<'a>(chain: &'a [Vec<u8>], known: &'a [Identity]) -> Option<Presented<'a>> {
    let leaf = chain.first()?;
    let identity = known.iter().find(|identity| identity.leaf() == leaf);
    Some(Presented {
        chain,
        verified: identity.map_or("FAILED:unable to get local issuer certificate", |it| {
            Presented::by(it).verified
        }),
        revoked: Revoked::No,
    })
}

fn version(connection: &ServerConnection) -> &'static str {
    match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "unknown",
    }
}

/// The suite as Cloudflare names it: those of rustls.
fn cipher(connection: &ServerConnection) -> &'static str {
    match connection.negotiated_cipher_suite().map(|it| it.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "AEAD-AES128-GCM-SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "AEAD-AES256-GCM-SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "AEAD-CHACHA20-POLY1305-SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) => {
            "ECDHE-ECDSA-AES128-GCM-SHA256"
        }
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384) => {
            "ECDHE-ECDSA-AES256-GCM-SHA384"
        }
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256) => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) => "ECDHE-RSA-AES128-GCM-SHA256",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) => "ECDHE-RSA-AES256-GCM-SHA384",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256) => {
            "ECDHE-RSA-CHACHA20-POLY1305"
        }
        _ => "unknown",
    }
}

/// What the client says. It reads without holding the connection, so that answers can be written meanwhile.
struct TlsReader {
    connection: Arc<Mutex<ServerConnection>>,
    socket: TcpStream,
    /// What was read and is not decrypted yet.
    encrypted: Vec<u8>,
}

impl Read for TlsReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut connection = lock(&self.connection);
            match connection.reader().read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            if !self.encrypted.is_empty() {
                // It takes some at a time, and nothing while there is something to read.
                let mut rest = &self.encrypted[..];
                connection.read_tls(&mut rest)?;
                self.encrypted = rest.to_vec();
                connection
                    .process_new_packets()
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                continue;
            }
            drop(connection);
            let mut read = [0; 16 * 1024];
            match self.socket.read(&mut read)? {
                // Without a farewell: the client is gone.
                0 => return Err(io::ErrorKind::ConnectionReset.into()),
                count => self.encrypted.extend_from_slice(&read[..count]),
            }
        }
    }
}

/// What is answered. It writes without holding the connection, so that the client can go on meanwhile.
struct TlsWriter {
    connection: Arc<Mutex<ServerConnection>>,
    socket: TcpStream,
}

impl Write for TlsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut encrypted = Vec::new();
        let mut connection = lock(&self.connection);
        let count = connection.writer().write(bytes)?;
        while connection.wants_write() {
            connection.write_tls(&mut encrypted)?;
        }
        drop(connection);
        self.socket.write_all(&encrypted)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn server_config(server: &Identity) -> Result<ServerConfig, Error> {
    let provider = default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let chain = server.chain.iter().cloned().map(CertificateDer::from);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server.key.clone()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(AnyCertificate(algorithms)))
        .with_single_cert(chain.collect(), key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Requests a certificate, and takes any or none; the client has to have its private key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
