//! The only file that names host calls of proxy-wasm (ABI 0.2.1).
//!
//! Each function makes one call and translates its answer; none decides. The SDK panics on a
//! status it does not expect, which ends the VM and with it the request: closed, not open.
//!
//! What every request calls goes past the SDK, which copies each field and each path it is given.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use auth_edge::refusal::Reason;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};

/// A fact about the current request and its connection, by its name in the host program.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Property {
    /// `connection.id`: 8 bytes, little-endian, unique in the process.
    ConnectionId,
    /// `source.address`: address and port of the TCP peer.
    PeerAddress,
    /// `connection.tls_version`: absent without TLS.
    TlsVersion,
    /// `connection.requested_server_name`: absent without the listener filter `tls_inspector`.
    ServerName,
    /// `connection.mtls`: one byte, whether a client certificate was presented.
    CertificatePresented,
    /// `connection.peer_certificate`: PEM of the leaf; from Envoy 1.38.
    PeerCertificate,
    /// `connection.sha256_peer_certificate_digest`: in hex.
    PeerCertificateDigest,
    /// `connection.peer_certificate_valid`: one byte, Envoy's verdict; from Envoy 1.39.
    PeerCertificateValid,
    /// A variable of NGINX, by its name.
    Nginx(&'static str),
}

impl Property {
    /// The path as the ABI carries it: its parts with a NUL between them.
    fn path(self) -> Cow<'static, str> {
        match self {
            Self::ConnectionId => Cow::Borrowed("connection\0id"),
            Self::PeerAddress => Cow::Borrowed("source\0address"),
            Self::TlsVersion => Cow::Borrowed("connection\0tls_version"),
            Self::ServerName => Cow::Borrowed("connection\0requested_server_name"),
            Self::CertificatePresented => Cow::Borrowed("connection\0mtls"),
            Self::PeerCertificate => Cow::Borrowed("connection\0peer_certificate"),
            Self::PeerCertificateDigest => {
                Cow::Borrowed("connection\0sha256_peer_certificate_digest")
            }
            Self::PeerCertificateValid => Cow::Borrowed("connection\0peer_certificate_valid"),
            Self::Nginx(variable) => Cow::Owned(format!("ngx\0{variable}")),
        }
    }
}

/// What the filter asks of its host program; tests answer in its place.
pub(crate) trait Host {
    /// The request's header section, as `section` reads it.
    fn request_section(&self) -> Option<Vec<u8>>;
    /// Removes every field of this name from the request.
    fn remove_request_field(&self, name: &[u8]);
    /// Puts one field in place of all of this name, and adds it where there is none.
    fn replace_request_field(&self, name: &str, value: &str);
    /// Removes all trailers of the request.
    fn remove_request_trailers(&self);
    /// A property, when the host program has it.
    fn property(&self, property: Property) -> Option<Vec<u8>>;
    /// The time in nanoseconds since 1970.
    fn now_nanoseconds(&self) -> Option<u64>;
    /// Answers the request.
    fn answer(&self, status: u16, headers: Vec<(&str, &str)>, body: &str);
    /// The configuration of this filter.
    fn plugin_configuration(&self) -> Vec<u8>;
    /// The configuration of the VM.
    fn vm_configuration(&self) -> Vec<u8>;
    /// Sets a variable of NGINX for this request.
    fn set_nginx_variable(&self, name: &str, value: &str);
    /// A secret of the VM, by its name.
    fn secret(&self, name: &str) -> Option<String>;
    /// Writes a line into the host program's log.
    fn log_info(&self, line: &str);
    /// Writes a line about a refused request.
    fn log_warning(&self, line: &str);
    /// Writes a line about a fault.
    fn log_error(&self, line: &str);
    /// Defines a counter and returns its handle.
    fn define_counter(&self, name: &str) -> u32;
    /// Calls the module again and again.
    fn tick_each_second(&self);
    /// Adds to a counter.
    fn add_to_counter(&self, counter: u32, amount: u64);
}

/// The host program this filter runs in.
pub(crate) struct ProxyWasm;

impl Host for ProxyWasm {
    fn request_section(&self) -> Option<Vec<u8>> {
        abi::request_section()
    }

    fn remove_request_field(&self, name: &[u8]) {
        check(abi::remove_request_field(name));
    }

    fn replace_request_field(&self, name: &str, value: &str) {
        check(abi::replace_request_field(name, value));
    }

    fn remove_request_trailers(&self) {
        let _ = hostcalls::set_map_bytes(MapType::HttpRequestTrailers, Vec::new());
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        abi::property(&property.path())
    }

    fn now_nanoseconds(&self) -> Option<u64> {
        abi::now_nanoseconds()
    }

    fn answer(&self, status: u16, headers: Vec<(&str, &str)>, body: &str) {
        let _ = hostcalls::send_http_response(status.into(), headers, Some(body.as_bytes()));
    }

    fn plugin_configuration(&self) -> Vec<u8> {
        buffer(BufferType::PluginConfiguration)
    }

    fn vm_configuration(&self) -> Vec<u8> {
        buffer(BufferType::VmConfiguration)
    }

    fn set_nginx_variable(&self, name: &str, value: &str) {
        // The SDK panics on every status but success, an unknown variable among them.
        let _ = hostcalls::set_property(vec!["ngx", name], Some(value.as_bytes()));
    }

    fn secret(&self, name: &str) -> Option<String> {
        environment(name)
    }

    fn log_info(&self, line: &str) {
        let _ = hostcalls::log(LogLevel::Info, line);
    }

    fn log_warning(&self, line: &str) {
        let _ = hostcalls::log(LogLevel::Warn, line);
    }

    fn log_error(&self, line: &str) {
        let _ = hostcalls::log(LogLevel::Critical, line);
    }

    fn define_counter(&self, name: &str) -> u32 {
        hostcalls::define_metric(MetricType::Counter, name).unwrap_or_default()
    }

    fn tick_each_second(&self) {
        let _ = hostcalls::set_tick_period(Duration::from_secs(1));
    }

    fn add_to_counter(&self, counter: u32, amount: u64) {
        let _ = hostcalls::increment_metric(counter, i64::try_from(amount).unwrap_or(i64::MAX));
    }
}

/// Nothing half-edited goes on: a trap ends the VM, and the host program answers 503.
fn check(is_done: bool) {
    if !is_done {
        std::process::abort();
    }
}

fn buffer(which: BufferType) -> Vec<u8> {
    let bytes = hostcalls::get_buffer(which, 0, usize::MAX);
    bytes.ok().flatten().unwrap_or_default()
}

/// A variable of the VM's environment, as `vm_config.environment_variables` gives it.
///
/// The standard library knows no environment on this target, so WASI is asked itself.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "WASI fills buffers through raw pointers")]
fn environment(name: &str) -> Option<String> {
    // SAFETY: the call writes two numbers into its own return values and nothing else.
    let (count, size) = unsafe { wasi::environ_sizes_get() }.ok()?;
    let mut pointers = vec![std::ptr::null_mut::<u8>(); count];
    let mut buffer = vec![0_u8; size];
    // SAFETY: both buffers have the sizes that WASI has just asked for, and outlive the call.
    unsafe { wasi::environ_get(pointers.as_mut_ptr(), buffer.as_mut_ptr()) }.ok()?;
    let mut variables = buffer.split(|byte| *byte == 0);
    variables.find_map(|variable| {
        let text = std::str::from_utf8(variable).ok()?;
        let (key, value) = text.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn environment(_name: &str) -> Option<String> {
    None
}

/// The calls of the ABI that take or give buffers, without copies.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "the ABI hands buffers over as raw pointers")]
mod abi {
    use std::ptr::null_mut;

    use proxy_wasm::types::MapType;

    /// A number, not the SDK's enum: the host program may give one that the SDK does not know.
    type Status = u32;
    const OK: Status = 0;
    const REQUEST_HEADERS: MapType = MapType::HttpRequestHeaders;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize)
        -> Status;
        fn proxy_remove_header_map_value(map: MapType, name: *const u8, name_size: usize)
        -> Status;
        fn proxy_replace_header_map_value(
            map: MapType,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> Status;
        fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> Status;
        fn proxy_get_current_time_nanoseconds(time: *mut u64) -> Status;
    }

    /// What a call gave that was asked with a place for data and its size.
    fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> Status) -> Option<Vec<u8>> {
        let (mut data, mut size) = (null_mut(), 0);
        if call(&mut data, &mut size) != OK || data.is_null() {
            return None;
        }
        // SAFETY: the host program writes what it gives into memory that it asked of `malloc`, which this
        // module exports and which gives a box of exactly the size that it is asked for.
        Some(unsafe { Vec::from_raw_parts(data, size, size) })
    }

    pub(super) fn request_section() -> Option<Vec<u8>> {
        // SAFETY: the two places outlive the call.
        given(|data, size| unsafe { proxy_get_header_map_pairs(REQUEST_HEADERS, data, size) })
    }

    pub(super) fn remove_request_field(name: &[u8]) -> bool {
        // SAFETY: the host program reads the name during the call only.
        let status =
            unsafe { proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) };
        status == OK
    }

    pub(super) fn replace_request_field(name: &str, value: &str) -> bool {
        let (name_size, value_size) = (name.len(), value.len());
        let (name, value) = (name.as_ptr(), value.as_ptr());
        // SAFETY: the host program reads name and value during the call only.
        let status = unsafe {
            proxy_replace_header_map_value(REQUEST_HEADERS, name, name_size, value, value_size)
        };
        status == OK
    }

    pub(super) fn property(path: &str) -> Option<Vec<u8>> {
        // SAFETY: the host program reads the path during the call only; the two places outlive it.
        given(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
    }

    pub(super) fn now_nanoseconds() -> Option<u64> {
        let mut time = 0;
        // SAFETY: the place outlives the call.
        let status = unsafe { proxy_get_current_time_nanoseconds(&mut time) };
        (status == OK).then_some(time)
    }
}

/// There is no host program but in Wasm.
#[cfg(not(target_arch = "wasm32"))]
mod abi {
    pub(super) fn request_section() -> Option<Vec<u8>> {
        None
    }

    pub(super) fn remove_request_field(_name: &[u8]) -> bool {
        false
    }

    pub(super) fn replace_request_field(_name: &str, _value: &str) -> bool {
        false
    }

    pub(super) fn property(_path: &str) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn now_nanoseconds() -> Option<u64> {
        None
    }
}

/// The counters of R-51, defined when a configuration is loaded so that each shows from zero.
///
/// What is counted is told to the host program once a second: a call for each request would cost as much
/// as the decision.
pub(crate) struct Counters {
    forwarded: Counter,
    answered: Counter,
    refused: Vec<(Reason, Counter)>,
    /// What would have been refused, and was forwarded.
    watched: Vec<(Reason, Counter)>,
    identity_claims: Counter,
    verifications: Counter,
    verification_time: Counter,
    verdicts_remembered: Counter,
}

/// A counter of the host program, and what it was not told yet.
struct Counter {
    handle: u32,
    untold: Cell<u64>,
}

impl Counter {
    fn define(host: &impl Host, name: &str) -> Self {
        Self {
            handle: host.define_counter(&format!("auth_edge.{name}")),
            untold: Cell::default(),
        }
    }

    fn add(&self, amount: u64) {
        self.untold.set(self.untold.get().saturating_add(amount));
    }

    fn tell(&self, host: &impl Host) {
        match self.untold.take() {
            0 => {}
            amount => host.add_to_counter(self.handle, amount),
        }
    }
}

thread_local! {
    /// A VM has one thread.
    static COUNTERS: OnceCell<Rc<Counters>> = const { OnceCell::new() };
}

impl Counters {
    /// The counters of this VM, which all its configurations share: Envoy keeps an entry for each time a
    /// counter is defined as long as the VM lives, and a VM lives through all updates.
    pub(crate) fn of_this_vm(host: &impl Host) -> Rc<Self> {
        COUNTERS.with(|it| Rc::clone(it.get_or_init(|| Rc::new(Self::define(host)))))
    }

    /// Defines every counter.
    pub(crate) fn define(host: &impl Host) -> Self {
        let counter = |name: &str| Counter::define(host, name);
        let by_code = |prefix: &str| {
            let reasons = Reason::ALL.iter();
            let counters = reasons.map(|reason| {
                let name = format!("{prefix}.{}", reason.code());
                (*reason, counter(&name))
            });
            counters.collect::<Vec<_>>()
        };
        Self {
            forwarded: counter("forwarded"),
            answered: counter("answered"),
            refused: by_code("refused"),
            watched: by_code("shadow"),
            identity_claims: counter("identity_claims"),
            verifications: counter("signature_verifications"),
            verification_time: counter("verification_microseconds"),
            verdicts_remembered: counter("verdicts_remembered"),
        }
    }

    /// Counts a forwarded request.
    pub(crate) fn add_forwarded(&self) {
        self.forwarded.add(1);
    }

    /// Counts a request that the edge answered in the origin's place.
    pub(crate) fn add_answered(&self) {
        self.answered.add(1);
    }

    /// Counts a refused request.
    pub(crate) fn add_refused(&self, reason: Reason) {
        add_of(&self.refused, reason);
    }

    /// Counts a request that would have been refused, and was forwarded.
    pub(crate) fn add_watched(&self, reason: Reason) {
        add_of(&self.watched, reason);
    }

    /// Counts fields that claimed an identity.
    pub(crate) fn add_identity_claims(&self, claims: u32) {
        self.identity_claims.add(claims.into());
    }

    /// Counts verified signatures, and how long they took.
    pub(crate) fn add_verifications(&self, verifications: u64, microseconds: u64) {
        self.verifications.add(verifications);
        self.verification_time.add(microseconds);
    }

    /// Counts verdicts that were known.
    pub(crate) fn add_remembered(&self, verdicts: u64) {
        self.verdicts_remembered.add(verdicts);
    }

    /// Tells the host program what was counted since it was last told.
    pub(crate) fn tell(&self, host: &impl Host) {
        let few = [
            &self.forwarded,
            &self.answered,
            &self.identity_claims,
            &self.verifications,
            &self.verification_time,
            &self.verdicts_remembered,
        ];
        let by_code = self.refused.iter().chain(&self.watched);
        let by_code = by_code.map(|(_, counter)| counter);
        for counter in few.into_iter().chain(by_code) {
            counter.tell(host);
        }
    }
}

/// Adds one to the counter of the reason's code.
fn add_of(counters: &[(Reason, Counter)], reason: Reason) {
    let mut counters = counters.iter();
    if let Some((_, counter)) = counters.find(|(other, _)| other.code() == reason.code()) {
        counter.add(1);
    }
}
