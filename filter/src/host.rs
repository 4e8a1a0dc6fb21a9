//! The only file that names host calls of proxy-wasm (ABI 0.2.1).
//!
//! Each function makes one call and translates its answer; none decides. The SDK panics on a
//! status it does not expect, which ends the VM and with it the request: closed, not open.

use std::time::UNIX_EPOCH;

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
    fn path(self) -> Vec<&'static str> {
        match self {
            Self::ConnectionId => vec!["connection", "id"],
            Self::PeerAddress => vec!["source", "address"],
            Self::TlsVersion => vec!["connection", "tls_version"],
            Self::ServerName => vec!["connection", "requested_server_name"],
            Self::CertificatePresented => vec!["connection", "mtls"],
            Self::PeerCertificate => vec!["connection", "peer_certificate"],
            Self::PeerCertificateDigest => vec!["connection", "sha256_peer_certificate_digest"],
            Self::PeerCertificateValid => vec!["connection", "peer_certificate_valid"],
            Self::Nginx(variable) => vec!["ngx", variable],
        }
    }
}

/// A header field as the host program gives it: names are ASCII, values any bytes.
pub(crate) type OwnedField = (String, Vec<u8>);

/// What the filter asks of its host program; tests answer in its place.
pub(crate) trait Host {
    /// The request's header fields, pseudo-header fields first.
    fn request_fields(&self) -> Option<Vec<OwnedField>>;
    /// Puts these in place of all header fields of the request.
    fn replace_request_fields(&self, fields: Vec<(&str, &[u8])>);
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
    /// Adds to a counter.
    fn add_to_counter(&self, counter: u32, amount: u64);
}

/// The host program this filter runs in.
pub(crate) struct ProxyWasm;

impl Host for ProxyWasm {
    fn request_fields(&self) -> Option<Vec<OwnedField>> {
        hostcalls::get_map_bytes(MapType::HttpRequestHeaders).ok()
    }

    fn replace_request_fields(&self, fields: Vec<(&str, &[u8])>) {
        // The SDK panics on every status but success, so nothing half-edited goes on.
        let _ = hostcalls::set_map_bytes(MapType::HttpRequestHeaders, fields);
    }

    fn remove_request_trailers(&self) {
        let _ = hostcalls::set_map_bytes(MapType::HttpRequestTrailers, Vec::new());
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        hostcalls::get_property(property.path()).ok().flatten()
    }

    fn now_nanoseconds(&self) -> Option<u64> {
        let since = hostcalls::get_current_time()
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        u64::try_from(since.as_nanos()).ok()
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

    fn add_to_counter(&self, counter: u32, amount: u64) {
        let _ = hostcalls::increment_metric(counter, i64::try_from(amount).unwrap_or(i64::MAX));
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

/// The counters of R-51, defined when a configuration is loaded so that each shows from zero.
pub(crate) struct Counters {
    forwarded: u32,
    answered: u32,
    refused: Vec<(&'static str, u32)>,
    identity_claims: u32,
    verifications: u32,
    verification_time: u32,
    verdicts_remembered: u32,
}

impl Counters {
    /// Defines every counter.
    pub(crate) fn define(host: &impl Host) -> Self {
        Self {
            forwarded: host.define_counter("auth_edge.forwarded"),
            answered: host.define_counter("auth_edge.answered"),
            refused: Reason::ALL
                .iter()
                .map(|reason| {
                    let name = format!("auth_edge.refused.{}", reason.code());
                    (reason.code(), host.define_counter(&name))
                })
                .collect(),
            identity_claims: host.define_counter("auth_edge.identity_claims"),
            verifications: host.define_counter("auth_edge.signature_verifications"),
            verification_time: host.define_counter("auth_edge.verification_microseconds"),
            verdicts_remembered: host.define_counter("auth_edge.verdicts_remembered"),
        }
    }

    /// Counts a forwarded request.
    pub(crate) fn add_forwarded(&self, host: &impl Host) {
        host.add_to_counter(self.forwarded, 1);
    }

    /// Counts a request that the edge answered in the origin's place.
    pub(crate) fn add_answered(&self, host: &impl Host) {
        host.add_to_counter(self.answered, 1);
    }

    /// Counts a refused request.
    pub(crate) fn add_refused(&self, host: &impl Host, reason: Reason) {
        let counter = self.refused.iter().find(|(code, _)| *code == reason.code());
        if let Some((_, counter)) = counter {
            host.add_to_counter(*counter, 1);
        }
    }

    /// Counts fields that claimed an identity.
    pub(crate) fn add_identity_claims(&self, host: &impl Host, claims: u32) {
        if claims > 0 {
            host.add_to_counter(self.identity_claims, claims.into());
        }
    }

    /// Counts verified signatures, and the time from `since`, in nanoseconds since 1970, until now.
    pub(crate) fn add_verifications(&self, host: &impl Host, verifications: u64, since: u64) {
        if verifications == 0 {
            return;
        }
        host.add_to_counter(self.verifications, verifications);
        let now = host.now_nanoseconds().unwrap_or_default();
        let microseconds = now.saturating_sub(since) / 1000;
        host.add_to_counter(self.verification_time, microseconds);
    }

    /// Counts verdicts that were known.
    pub(crate) fn add_remembered(&self, host: &impl Host, verdicts: u64) {
        if verdicts > 0 {
            host.add_to_counter(self.verdicts_remembered, verdicts);
        }
    }
}
