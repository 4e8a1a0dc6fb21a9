//! The core alone in a Wasm module: what a decision costs there, with a verdict to be found and
//! with one that is known.
//!
//! `verify.mjs` calls it in Node.js, whose Wasm engine is V8 as in Envoy and workerd.

use std::cell::RefCell;

use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, Removal, ServerName, ShownChain, Tls, TlsVersion,
    Transport,
};
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::config_json;
use auth_edge::{Config, Decision, Request, decide};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const ALIAS: &str = "mtls.login.example.test";

/// A client that asks for a token, under a configuration.
pub struct Case {
    config: Config,
    leaf: Vec<u8>,
    now: u64,
    connection: Connection,
    verdicts: VerdictCache,
}

thread_local! {
    static CASE: RefCell<Option<Case>> = const { RefCell::new(None) };
}

impl Case {
    /// From `{"config": {...}, "leaf": "BASE64 OF DER", "now": SECONDS}`; none when that is no case.
    pub fn read(json: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(json).ok()?;
        let leaf = STANDARD.decode(json["leaf"].as_str()?).ok()?;
        let config = json["config"].to_string();
        Some(Self {
            config: config_json::parse(config.as_bytes(), 0, &|_: &str| {
                Some("test-only-api-key".into())
            })
            .ok()?,
            now: json["now"].as_u64()?,
            connection: connection(&leaf),
            leaf,
            verdicts: VerdictCache::new(),
        })
    }

    /// Whether the request is forwarded that reads the certificate anew, with nothing known.
    pub fn forwards_first(&self) -> bool {
        let connection = connection(&self.leaf);
        let mut known = VerdictCache::new();
        forwards(&self.config, self.now, &connection, &mut known, TOKEN)
    }

    /// Whether a request for this target on the one connection is forwarded.
    pub fn forwards(&mut self, target: &str) -> bool {
        let known = &mut self.verdicts;
        forwards(&self.config, self.now, &self.connection, known, target)
    }
}

/// The target that a client certificate is for.
pub const TOKEN: &str = "/oauth/token";

fn forwards(
    config: &Config,
    now: u64,
    connection: &Connection,
    known: &mut VerdictCache,
    target: &str,
) -> bool {
    let fields: [(&[u8], &[u8]); 8] = [
        (b"user-agent", b"example-client/1.0"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"authorization", b"Basic bm90LWEtcmVhbC1zZWNyZXQ="),
        (b"x-forwarded-for", b"198.51.100.7"),
        (b"content-length", b"90"),
        (b"x-forwarded-proto", b"https"),
    ];
    let request = Request {
        method: b"POST",
        target: target.as_bytes(),
        normalized_path: None,
        authority: Some(ALIAS.as_bytes()),
        protocol: None,
        fields: &fields,
        peer: [198, 51, 100, 7].into(),
        connection: Ok(connection),
        removal: Removal::Any,
        acme_answer: None,
    };
    matches!(decide(&request, config, now, known), Decision::Forward(_))
}

/// A connection of a client with the certificate, read anew.
fn connection(leaf: &[u8]) -> Connection {
    Connection::new(Transport::Tls(Box::new(Tls {
        version: TlsVersion::Tls13,
        cipher_suite: None,
        server_name: ServerName::Sent(ALIAS.into()),
        presented_chain: ShownChain::NotShown,
        client_certificate: ClientCertificate::from_der(leaf.to_vec(), HostVerdict::Unavailable),
    })))
}

/// Memory for this many bytes of input; never given back.
#[expect(unsafe_code, reason = "the name has to be exported")]
#[unsafe(no_mangle)]
pub extern "C" fn allocate(length: usize) -> *mut u8 {
    Box::leak(vec![0; length].into_boxed_slice()).as_mut_ptr()
}

/// Takes a case as JSON; gives 1 when it can be measured.
///
/// # Safety
/// `input` has to come from [`allocate`] with the same length.
#[expect(unsafe_code, reason = "the input comes as a pointer")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prepare(input: *const u8, length: usize) -> u32 {
    // SAFETY: the caller got the memory from `allocate`, which gave this length and keeps it.
    let json = unsafe { std::slice::from_raw_parts(input, length) };
    let case = Case::read(json);
    let is_read = case.is_some();
    CASE.set(case);
    u32::from(is_read)
}

/// Reads the certificate and decides this often, each time with nothing known; gives how many of the
/// requests were forwarded.
#[expect(unsafe_code, reason = "the name has to be exported")]
#[unsafe(no_mangle)]
pub extern "C" fn first(times: u32) -> u32 {
    count(times, |case| case.forwards_first())
}

/// Decides this often on one connection, with the verdict known after the first; gives how many of the
/// requests were forwarded.
#[expect(unsafe_code, reason = "the name has to be exported")]
#[unsafe(no_mangle)]
pub extern "C" fn cached(times: u32) -> u32 {
    count(times, |case| case.forwards(TOKEN))
}

fn count(times: u32, mut decide: impl FnMut(&mut Case) -> bool) -> u32 {
    CASE.with_borrow_mut(|case| {
        let Some(case) = case else { return 0 };
        (0..times).map(|_| u32::from(decide(case))).sum()
    })
}
