//! Why a request is not forwarded, and what each reader is told about it.
//!
//! Three readers get three texts; none carries a certificate, a key, a query or a header value.
//! [`Reason::code`] is for machines and never changes once released. `Display` is for the
//! operator's log. [`Refusal::reply`] is for the caller: what a client can mend.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use core::fmt;

use crate::certificate::MalformedCertificate;
use crate::endpoint::EndpointClass;
use crate::header;
use crate::host_name::InvalidHostName;
use crate::reply::Reply;
use crate::request::{ClientCertificate, MissingFact, Request, Transport};
use crate::signature::AlgorithmProblem;
use crate::verdict::Kind;
use crate::wire::json::object_of_texts;

/// The methods the edge forwards, as `Allow` lists them.
pub const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE";

/// How much of a client's text a log line shows, in bytes.
const LOGGED_BYTES: usize = 256;

/// One reason to refuse. A new reason is a new variant, never a new meaning for an old one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// the host name is missing, doubled, contradictory or no host name.
    InvalidHost(InvalidHost),
    /// the request target is not in origin form.
    InvalidTarget,
    /// no host of that name is served.
    UnknownHost,
    /// the connection is not protected by TLS.
    HttpsRequired,
    /// the TLS server name is not the host name.
    MisdirectedRequest(ServerNameProblem),
    /// R-10b: the request came in TLS early data.
    TooEarly,
    /// R-5b: `connection` names a field that is not the client's to remove.
    InvalidConnectionHeader,
    /// R-5b: the request asks for another protocol.
    UpgradeNotAllowed,
    /// the method is not one that is forwarded.
    MethodNotAllowed,
    /// the path would not reach the origin as it was judged.
    InvalidPath,
    /// the path is not served on the mTLS alias.
    PathNotAllowed,
    /// no client certificate was presented.
    CertificateRequired,
    /// what was presented is not exactly one X.509 certificate.
    CertificateMalformed,
    /// the key is weak.
    CertificateKeyWeak,
    /// the key or signature algorithm is not supported.
    CertificateAlgorithmUnsupported(AlgorithmProblem),
    /// this kind of certificate is not accepted here.
    CertificateKindNotAccepted(Kind),
    /// the certificate's last day has passed.
    CertificateExpired,
    /// the certificate's first day has not come.
    CertificateNotYetValid,
    /// the certificate is not of version 3.
    CertificateVersionUnsupported,
    /// the usages in the certificate do not include this one.
    CertificateUsage(UsageProblem),
    /// a critical extension is not understood.
    CertificateExtensionUnknown,
    /// an authority's certificate was presented as a client's.
    CertificateIsAuthority,
    /// the host program did not verify the certificate.
    CertificateNotVerified,
    /// the certificate is on the deny list.
    CertificateDenied,
    /// the certificate is on no list of admitted ones.
    CertificateNotRegistered,
    /// the certificate does not fit the header that carries it.
    CertificateTooLarge(TooLarge),
    /// The host program does not give the edge a fact it needs.
    HostUnsupported(MissingFact),
}

/// What is wrong with the host name of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidHost {
    /// There is none.
    Missing,
    /// There are several.
    Doubled,
    /// `:authority` and `host` differ.
    Contradictory,
    /// It is no host name.
    Malformed(InvalidHostName),
}

/// How the TLS server name fails to be the host name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerNameProblem {
    /// The client sent none, or the host program does not inspect it.
    Absent,
    /// It is another name.
    Different,
}

/// Which usage is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UsageProblem {
    /// keyUsage lacks digitalSignature.
    DigitalSignature,
    /// extKeyUsage lacks clientAuth.
    ClientAuth,
}

/// How large a certificate is in its header, and how large it may be, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TooLarge {
    /// The size of the header value is known.
    Encoded {
        /// The size of the value.
        bytes: usize,
        /// The most the origin takes.
        limit: usize,
    },
    /// The host program could not show a certificate of this size.
    NotShown,
}

impl Reason {
    /// The stable name, as `docs/refusals.md` lists it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidHost(_) => "invalid_host",
            Self::InvalidTarget => "invalid_target",
            Self::UnknownHost => "unknown_host",
            Self::HttpsRequired => "https_required",
            Self::MisdirectedRequest(_) => "misdirected_request",
            Self::TooEarly => "too_early",
            Self::InvalidConnectionHeader => "invalid_connection_header",
            Self::UpgradeNotAllowed => "upgrade_not_allowed",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::InvalidPath => "invalid_path",
            Self::PathNotAllowed => "path_not_allowed",
            Self::CertificateRequired => "certificate_required",
            Self::CertificateMalformed => "certificate_malformed",
            Self::CertificateKeyWeak => "certificate_key_weak",
            Self::CertificateAlgorithmUnsupported(_) => "certificate_algorithm_unsupported",
            Self::CertificateKindNotAccepted(_) => "certificate_kind_not_accepted",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::CertificateVersionUnsupported => "certificate_version_unsupported",
            Self::CertificateUsage(_) => "certificate_usage",
            Self::CertificateExtensionUnknown => "certificate_extension_unknown",
            Self::CertificateIsAuthority => "certificate_is_authority",
            Self::CertificateNotVerified => "certificate_not_verified",
            Self::CertificateDenied => "certificate_denied",
            Self::CertificateNotRegistered => "certificate_not_registered",
            Self::CertificateTooLarge(_) => "certificate_too_large",
            Self::HostUnsupported(_) => "host_unsupported",
        }
    }

    /// One reason of each code, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::InvalidHost(InvalidHost::Missing),
        Self::InvalidTarget,
        Self::UnknownHost,
        Self::HttpsRequired,
        Self::MisdirectedRequest(ServerNameProblem::Different),
        Self::TooEarly,
        Self::InvalidConnectionHeader,
        Self::UpgradeNotAllowed,
        Self::MethodNotAllowed,
        Self::InvalidPath,
        Self::PathNotAllowed,
        Self::CertificateRequired,
        Self::CertificateMalformed,
        Self::CertificateKeyWeak,
        Self::CertificateAlgorithmUnsupported(AlgorithmProblem::Weak),
        Self::CertificateKindNotAccepted(Kind::SelfSigned),
        Self::CertificateExpired,
        Self::CertificateNotYetValid,
        Self::CertificateVersionUnsupported,
        Self::CertificateUsage(UsageProblem::ClientAuth),
        Self::CertificateExtensionUnknown,
        Self::CertificateIsAuthority,
        Self::CertificateNotVerified,
        Self::CertificateDenied,
        Self::CertificateNotRegistered,
        Self::CertificateTooLarge(TooLarge::NotShown),
        Self::HostUnsupported(MissingFact::ConnectionId),
    ];

    /// What the caller is told: printable ASCII without `"` and `\` (RFC 6749 section 5.2).
    pub fn description(self) -> String {
        let text = match self {
            Self::InvalidHost(_) => "the request names no valid host",
            Self::InvalidTarget => "the request target is not a path with an optional query",
            Self::UnknownHost => "this host is not served here",
            Self::HttpsRequired => "this host is served over HTTPS only",
            Self::MisdirectedRequest(_) => {
                "the TLS server name is not the host of the request; open a connection for this host"
            }
            Self::TooEarly => {
                "the request came in TLS early data; send it again after the handshake"
            }
            Self::InvalidConnectionHeader => {
                "the connection field names a field that must not be removed"
            }
            Self::UpgradeNotAllowed => "protocol upgrades are not allowed here",
            Self::MethodNotAllowed => "the method is not allowed here",
            Self::InvalidPath => "the path holds a dot segment or a backslash",
            Self::PathNotAllowed => "the path is not served on this host",
            Self::CertificateRequired => "a client certificate is required on this host",
            Self::CertificateMalformed => "the client certificate cannot be read",
            Self::CertificateKeyWeak => "the public key of the client certificate is too weak",
            Self::CertificateAlgorithmUnsupported(_) => {
                "the client certificate uses an algorithm that is not supported"
            }
            Self::CertificateKindNotAccepted(Kind::CaSigned) => {
                "a CA-signed client certificate is not accepted on this host"
            }
            Self::CertificateKindNotAccepted(Kind::SelfSigned) => {
                "a self-signed client certificate is not accepted on this host"
            }
            Self::CertificateExpired => "the client certificate has expired",
            Self::CertificateNotYetValid => "the client certificate is not valid yet",
            Self::CertificateVersionUnsupported => {
                "the client certificate is not of X.509 version 3"
            }
            Self::CertificateUsage(UsageProblem::DigitalSignature) => {
                "the key usage of the client certificate lacks digitalSignature"
            }
            Self::CertificateUsage(UsageProblem::ClientAuth) => {
                "the extended key usage of the client certificate lacks clientAuth"
            }
            Self::CertificateExtensionUnknown => {
                "the client certificate has a critical extension that is not supported"
            }
            Self::CertificateIsAuthority => {
                "a certificate of an authority is no client certificate"
            }
            Self::CertificateNotVerified => {
                "the client certificate is not issued by an authority that is trusted here"
            }
            Self::CertificateDenied | Self::CertificateNotRegistered => {
                "the client certificate is not registered for this host"
            }
            Self::CertificateTooLarge(TooLarge::Encoded { bytes, limit }) => {
                return format!(
                    "the client certificate takes {bytes} bytes in its header, at most {limit} are allowed"
                );
            }
            Self::CertificateTooLarge(TooLarge::NotShown) => "the client certificate is too large",
            Self::HostUnsupported(_) => "the service is not available",
        };
        text.to_owned()
    }

    /// The status code, before R-8 looks at the kind of endpoint.
    const fn status(self) -> u16 {
        match self {
            Self::InvalidHost(_)
            | Self::InvalidTarget
            | Self::InvalidConnectionHeader
            | Self::UpgradeNotAllowed
            | Self::InvalidPath => 400,
            Self::HttpsRequired => 403,
            Self::UnknownHost | Self::PathNotAllowed => 404,
            Self::MethodNotAllowed => 405,
            Self::MisdirectedRequest(_) => 421,
            Self::TooEarly => 425,
            Self::HostUnsupported(_) => 503,
            Self::CertificateRequired
            | Self::CertificateMalformed
            | Self::CertificateKeyWeak
            | Self::CertificateAlgorithmUnsupported(_)
            | Self::CertificateKindNotAccepted(_)
            | Self::CertificateExpired
            | Self::CertificateNotYetValid
            | Self::CertificateVersionUnsupported
            | Self::CertificateUsage(_)
            | Self::CertificateExtensionUnknown
            | Self::CertificateIsAuthority
            | Self::CertificateNotVerified
            | Self::CertificateDenied
            | Self::CertificateNotRegistered
            | Self::CertificateTooLarge(_) => 400,
        }
    }

    /// Whether the client certificate is what was refused, so that R-8's table applies.
    const fn is_about_certificate(self) -> bool {
        matches!(
            self,
            Self::CertificateRequired
                | Self::CertificateMalformed
                | Self::CertificateKeyWeak
                | Self::CertificateAlgorithmUnsupported(_)
                | Self::CertificateKindNotAccepted(_)
                | Self::CertificateExpired
                | Self::CertificateNotYetValid
                | Self::CertificateVersionUnsupported
                | Self::CertificateUsage(_)
                | Self::CertificateExtensionUnknown
                | Self::CertificateIsAuthority
                | Self::CertificateNotVerified
                | Self::CertificateDenied
                | Self::CertificateNotRegistered
                | Self::CertificateTooLarge(_)
        )
    }
}

/// What the operator is told.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidHost(InvalidHost::Missing) => f.write_str("no host name"),
            Self::InvalidHost(InvalidHost::Doubled) => f.write_str("several host fields"),
            Self::InvalidHost(InvalidHost::Contradictory) => {
                f.write_str(":authority and host differ")
            }
            Self::InvalidHost(InvalidHost::Malformed(error)) => write!(f, "host name: {error}"),
            Self::MisdirectedRequest(ServerNameProblem::Absent) => f.write_str(
                "no TLS server name: the client sent none, or the listener does not inspect it",
            ),
            Self::MisdirectedRequest(ServerNameProblem::Different) => {
                f.write_str("the TLS server name is another host's")
            }
            Self::CertificateAlgorithmUnsupported(problem) => write!(f, "{problem}"),
            Self::CertificateNotVerified => {
                f.write_str("the host program did not verify the client certificate")
            }
            Self::CertificateDenied => f.write_str("the client certificate is on the deny list"),
            Self::HostUnsupported(MissingFact::ConnectionId) => {
                f.write_str("the host program gives no connection.id")
            }
            Self::HostUnsupported(MissingFact::PeerAddress) => {
                f.write_str("the host program gives no source.address")
            }
            Self::HostUnsupported(MissingFact::ClientCertificate) => f.write_str(
                "the host program gives no connection.peer_certificate: needs Envoy 1.38 or newer",
            ),
            Self::HostUnsupported(MissingFact::HostVerdict) => f.write_str(
                "the host program gives no connection.peer_certificate_valid: \
                 verified_by: host needs Envoy 1.39 or newer",
            ),
            Self::HostUnsupported(MissingFact::Fields) => {
                f.write_str("the host program gives no request header fields")
            }
            Self::HostUnsupported(MissingFact::Clock) => {
                f.write_str("the host program gives no time")
            }
            other => f.write_str(&other.description()),
        }
    }
}

impl From<InvalidHostName> for Reason {
    fn from(error: InvalidHostName) -> Self {
        Self::InvalidHost(InvalidHost::Malformed(error))
    }
}

impl From<MalformedCertificate> for Reason {
    fn from(_: MalformedCertificate) -> Self {
        Self::CertificateMalformed
    }
}

/// A refused request: the reason, and what of the request decides how it is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The kind of endpoint that was asked for, as far as it is known.
    pub class: EndpointClass,
    /// How many fields claimed an identity; for a counter.
    pub identity_claims: u32,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            class: EndpointClass::Other,
            identity_claims: 0,
        }
    }
}

impl Refusal {
    /// The answer for the caller: JSON, never cached.
    ///
    /// `request_id` is the host program's own name for the request, never the client's.
    pub fn reply(&self, request: &Request<'_>, request_id: &str) -> Reply {
        let scheme = authorization_scheme(request);
        let (status, error, challenge) = self.answer(scheme.as_deref());
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        if self.reason == Reason::MethodNotAllowed {
            headers.push(("allow", ALLOWED_METHODS.to_owned()));
        }
        headers.extend(challenge.map(|challenge| ("www-authenticate", challenge)));
        let mut body = object_of_texts(&[
            ("error", Some(error)),
            ("error_description", Some(&self.reason.description())),
            ("edge_code", Some(self.reason.code())),
            ("request_id", Some(request_id)),
        ]);
        body.push('\n');
        Reply {
            status,
            headers,
            body,
        }
    }

    /// Status, `error` and challenge; `scheme` is that of the credentials sent.
    fn answer(&self, scheme: Option<&str>) -> (u16, &'static str, Option<String>) {
        if !self.reason.is_about_certificate() {
            let error = match self.reason {
                Reason::HostUnsupported(_) => "temporarily_unavailable",
                _ => "invalid_request",
            };
            return (self.reason.status(), error, None);
        }
        match (self.class, scheme) {
            (EndpointClass::Token | EndpointClass::Par, None) => (400, "invalid_client", None),
            // RFC 6749 section 5.2: 401, and a challenge of the scheme the client used.
            (EndpointClass::Token | EndpointClass::Par, Some(scheme)) => (
                401,
                "invalid_client",
                Some(format!("{scheme} realm=\"oauth\"")),
            ),
            // RFC 6750 section 3.1: no error code where no credentials were sent.
            (EndpointClass::Resource, None) => (401, "invalid_request", Some("Bearer".to_owned())),
            (EndpointClass::Resource, Some(_)) => (
                401,
                "invalid_token",
                Some("Bearer error=\"invalid_token\"".to_owned()),
            ),
            (EndpointClass::Other, _) => (400, "invalid_request", None),
        }
    }

    /// One line of JSON for the operator's log: no query, no certificate, no header value.
    pub fn log_line(&self, request: &Request<'_>, request_id: &str) -> String {
        let transport = request.connection.map(|connection| &connection.transport);
        let thumbprint = match transport {
            Ok(Transport::Tls(tls)) => match &tls.client_certificate {
                ClientCertificate::Parsed { leaf, .. } => Some(leaf.thumbprint().to_string()),
                _ => None,
            },
            Ok(Transport::Plain) | Err(_) => None,
        };
        let path = request.target.split(|byte| *byte == b'?').next();
        object_of_texts(&[
            ("event", Some("refused")),
            ("code", Some(self.reason.code())),
            ("reason", Some(&self.reason.to_string())),
            ("method", Some(&shown(request.method))),
            ("host", request.authority.map(shown).as_deref()),
            ("path", path.map(shown).as_deref()),
            ("thumbprint", thumbprint.as_deref()),
            ("request_id", Some(request_id)),
        ])
    }
}

/// A client's text as a log may show it: printable ASCII, the rest escaped, and not too long.
fn shown(text: &[u8]) -> String {
    text.iter()
        .take(LOGGED_BYTES)
        .flat_map(|byte| core::ascii::escape_default(*byte))
        .map(char::from)
        .collect()
}

/// The authentication scheme of the first `authorization` field, when there is one.
///
/// A scheme is a token (RFC 9110 section 11.1) and so cannot break out of a challenge; one that is
/// none, or is longer than any registered, is answered as `Basic`.
fn authorization_scheme(request: &Request<'_>) -> Option<String> {
    let (_, value) = request
        .fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"authorization"))?;
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_scheme =
        (1..=20).contains(&scheme.len()) && scheme.iter().all(|byte| header::is_token_byte(*byte));
    match core::str::from_utf8(scheme) {
        Ok(scheme) if is_scheme => Some(scheme.to_owned()),
        _ => Some("Basic".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The published codes: one may be added, but one that changes breaks someone's alert.
    #[test]
    fn codes_are_unique_and_descriptions_can_stand_in_a_challenge() {
        let mut seen = BTreeSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.code()), "{reason:?}");
            let description = reason.description();
            let fits = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte);
            assert!(description.bytes().all(fits), "{description}");
        }
    }
}
