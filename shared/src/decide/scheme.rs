//! Whether a request came over TLS, and over TLS that is good enough.

use super::presented::Peer;
use crate::config::{Host, Scheme, Tls12, TlsPolicy};
use crate::header;
use crate::refusal::Reason;
use crate::request::{Connection, Request, Tls, TlsVersion, Transport};

/// a fact of the connection, or where the host says so of the trusted proxy that ended TLS.
pub(super) fn is_https(
    request: &Request<'_>,
    connection: &Connection,
    host: Option<&Host>,
    peer: Peer,
) -> bool {
    let asks_proxy = host.is_some_and(|host| host.scheme == Scheme::TrustedProxy);
    if !asks_proxy || peer == Peer::Unknown {
        return matches!(connection.transport, Transport::Tls(_));
    }
    let name = header::X_FORWARDED_PROTO.as_bytes();
    let fields = request.fields.iter();
    let mut schemes = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    matches!(
        (schemes.next(), schemes.next()),
        (Some((_, b"https")), None)
    )
}

/// what FAPI 2.0 asks of TLS (FAPI 2.0 Security Profile section 5.2.1, BCP 195).
pub(super) fn check_policy(tls: Option<&Tls>, host: &Host) -> Result<(), Reason> {
    let TlsPolicy::Fapi(tls12) = host.tls else {
        return Ok(());
    };
    let is_good = tls.is_some_and(|tls| match (tls.version, &tls.cipher_suite) {
        (TlsVersion::Tls13, _) => true,
        (TlsVersion::Tls12, Some(suite)) => FAPI_SUITES.iter().flatten().any(|name| name == suite),
        (TlsVersion::Tls12, None) => tls12 == Tls12::RestrictedByHost,
        (TlsVersion::Other, _) => false,
    });
    if is_good {
        Ok(())
    } else {
        Err(Reason::TlsPolicy)
    }
}

/// The suites of TLS 1.2 that RFC 9325 section 4.2 recommends, at IANA and in OpenSSL.
const FAPI_SUITES: [[&str; 2]; 4] = [
    [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ],
    [
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ],
    [
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ],
    [
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ],
];
