//! The reasons to refuse: what each is called, and what clients and operators are told.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::host_name::InvalidHostName;
use crate::request::MissingFact;
use crate::signature::AlgorithmProblem;
use crate::trust::{PathLength, PathProblem};
use crate::verdict::Kind;

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
    /// no ACME challenge with this token is open.
    AcmeChallengeUnknown,
    /// the TLS connection is not good enough for this host.
    TlsPolicy,
    /// the TLS server name is not the host name.
    MisdirectedRequest(ServerNameProblem),
    /// R-10b: the request came in TLS early data.
    TooEarly,
    /// a field that must not reach the origin is one that the host program cannot take away.
    IdentityHeaderRefused,
    /// R-5b: `connection` names a field that is not the client's to remove.
    InvalidConnectionHeader,
    /// R-5b: the request asks for another protocol.
    UpgradeNotAllowed,
    /// the method is not one that is served here.
    MethodNotAllowed(Methods),
    /// the path would not reach the origin as it was judged.
    InvalidPath,
    /// the path is not served on the mTLS alias.
    PathNotAllowed,
    /// no client certificate was presented.
    CertificateRequired(NoCertificate),
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
    /// no path leads from the certificate to a root; one code for each problem.
    CertificatePath(PathProblem),
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
    /// What the host program tells of the client certificate contradicts itself.
    HostContradictory,
    /// The host program has no configuration that can be used, and serves nobody.
    NoConfiguration,
    /// R-6b: the origin cannot be reached, or not over verified HTTPS.
    OriginUnavailable,
}

/// Which methods are served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Methods {
    /// Those that are forwarded.
    Forwarded,
    /// Those that ask for what the edge itself has.
    Read,
}

impl Methods {
    /// As `Allow` lists them (RFC 9110 section 10.2.1).
    pub const fn allow(self) -> &'static str {
        match self {
            Self::Forwarded => "GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE",
            Self::Read => "GET, HEAD",
        }
    }

    /// Whether the method is among them.
    pub fn contain(self, method: &[u8]) -> bool {
        match method {
            b"GET" | b"HEAD" => true,
            b"OPTIONS" | b"PUT" | b"POST" | b"PATCH" | b"DELETE" => self == Self::Forwarded,
            _ => false,
        }
    }
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

/// What is known where a client certificate is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoCertificate {
    /// The client presented none.
    NotPresented,
    /// None belongs to the connection; the host program does not tell for which name it was opened, and for
    /// another name it asks for none.
    PerhapsOtherName,
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
    /// It is too large for the host program to show, or for any header to carry.
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
            Self::IdentityHeaderRefused => "identity_header_refused",
            Self::InvalidConnectionHeader => "invalid_connection_header",
            Self::UpgradeNotAllowed => "upgrade_not_allowed",
            Self::AcmeChallengeUnknown => "acme_challenge_unknown",
            Self::TlsPolicy => "tls_policy",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::InvalidPath => "invalid_path",
            Self::PathNotAllowed => "path_not_allowed",
            Self::CertificateRequired(_) => "certificate_required",
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
            Self::CertificatePath(problem) => path_code(problem),
            Self::CertificateNotVerified => "certificate_not_verified",
            Self::CertificateDenied => "certificate_denied",
            Self::CertificateNotRegistered => "certificate_not_registered",
            Self::CertificateTooLarge(_) => "certificate_too_large",
            Self::HostUnsupported(_) => "host_unsupported",
            Self::HostContradictory => "host_contradictory",
            Self::NoConfiguration => "no_configuration",
            Self::OriginUnavailable => "origin_unavailable",
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
        Self::IdentityHeaderRefused,
        Self::InvalidConnectionHeader,
        Self::UpgradeNotAllowed,
        Self::AcmeChallengeUnknown,
        Self::TlsPolicy,
        Self::MethodNotAllowed(Methods::Forwarded),
        Self::InvalidPath,
        Self::PathNotAllowed,
        Self::CertificateRequired(NoCertificate::NotPresented),
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
        Self::CertificatePath(PathProblem::UnknownIssuer),
        Self::CertificatePath(PathProblem::BadSignature),
        Self::CertificatePath(PathProblem::IssuerExpired),
        Self::CertificatePath(PathProblem::IssuerNotYetValid),
        Self::CertificatePath(PathProblem::IssuerUsage),
        Self::CertificatePath(PathProblem::IssuerUnsupported),
        Self::CertificatePath(PathProblem::NameConstraint),
        Self::CertificatePath(PathProblem::TooLong(PathLength::Constraint)),
        Self::CertificatePath(PathProblem::Revoked),
        Self::CertificatePath(PathProblem::RevocationUnknown),
        Self::CertificatePath(PathProblem::ListExpired),
        Self::CertificateNotVerified,
        Self::CertificateDenied,
        Self::CertificateNotRegistered,
        Self::CertificateTooLarge(TooLarge::NotShown),
        Self::HostUnsupported(MissingFact::ConnectionId),
        Self::HostContradictory,
        Self::NoConfiguration,
        Self::OriginUnavailable,
    ];

    /// The rule of `docs/rules.md` that refuses for this reason.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::InvalidHost(_) | Self::InvalidTarget | Self::UnknownHost => "R-1",
            Self::AcmeChallengeUnknown => "R-40",
            Self::TlsPolicy => "R-52",
            Self::MethodNotAllowed(_) => "R-2",
            Self::HttpsRequired => "R-3",
            Self::IdentityHeaderRefused => "R-4",
            Self::InvalidConnectionHeader | Self::UpgradeNotAllowed => "R-5b",
            Self::MisdirectedRequest(_) => "R-10",
            Self::TooEarly => "R-10b",
            Self::InvalidPath | Self::PathNotAllowed => "R-11",
            Self::CertificateRequired(_) => "R-12",
            Self::CertificateMalformed => "R-13",
            Self::CertificateKindNotAccepted(_) | Self::CertificateIsAuthority => "R-14",
            Self::CertificateKeyWeak
            | Self::CertificateAlgorithmUnsupported(_)
            | Self::CertificateExpired
            | Self::CertificateNotYetValid
            | Self::CertificateVersionUnsupported
            | Self::CertificateUsage(_)
            | Self::CertificateExtensionUnknown
            | Self::CertificateDenied => "R-15",
            Self::CertificatePath(PathProblem::LeafExtensionUnknown) => "R-15",
            Self::CertificatePath(PathProblem::LeafMalformed) => "R-13",
            Self::CertificatePath(_) => "R-16",
            Self::CertificateNotVerified => "R-17",
            Self::CertificateNotRegistered => "R-18, R-19",
            Self::CertificateTooLarge(_) => "R-21",
            Self::HostUnsupported(_) | Self::HostContradictory => "R-9",
            Self::NoConfiguration => "R-50",
            Self::OriginUnavailable => "R-6b",
        }
    }

    /// What the one who can mend it does; for documentation and tools.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::InvalidHost(_) => {
                "Send exactly one host name of at least two labels, without user information."
            }
            Self::InvalidTarget => {
                "Send a path that starts with `/` and an optional query, percent-encoded and without a fragment."
            }
            Self::UnknownHost => {
                "Check the spelling of the host; add it to `hosts` when it is to be served."
            }
            Self::HttpsRequired => "Use `https://`.",
            Self::MisdirectedRequest(_) => {
                "Open a connection whose TLS server name is the mTLS alias; do not reuse another host's. When it always fails, the listener lacks `tls_inspector`."
            }
            Self::TooEarly => {
                "Send the request after the handshake; switch 0-RTT off where TLS ends."
            }
            Self::IdentityHeaderRefused => {
                "Do not send fields that say who the client is or where it comes from; see `docs/nginx.md` for fields of your own."
            }
            Self::InvalidConnectionHeader => {
                "Name in `Connection` only fields of the connection itself."
            }
            Self::UpgradeNotAllowed => "Do not ask for an upgrade on the mTLS alias.",
            Self::AcmeChallengeUnknown => {
                "Put the challenge into `acme_challenges` of this host before the authority asks for it."
            }
            Self::TlsPolicy => {
                "Use TLS 1.3, or a cipher suite of the FAPI 2.0 Security Profile; with `tls12`: `restricted_by_host` TLS 1.2 is left to the host program."
            }
            Self::MethodNotAllowed(_) => "Use a method that `Allow` lists.",
            Self::InvalidPath => {
                "Send the path without `.` and `..` segments, encoded or not, and without backslashes."
            }
            Self::PathNotAllowed => {
                "Use the custom domain for everything but the listed endpoints; see `mtls_paths`."
            }
            Self::CertificateRequired(_) => {
                "Configure the client to present its certificate, and check that it speaks to the mTLS alias over a connection of its own. On Cloudflare: switch client certificates on for this host name."
            }
            Self::CertificateMalformed => {
                "Issue the certificate anew with a tool that writes DER as RFC 5280 has it."
            }
            Self::CertificateKeyWeak => {
                "Issue a certificate for an RSA key of at least 2048 bits, P-256, P-384 or Ed25519."
            }
            Self::CertificateAlgorithmUnsupported(_) => {
                "Use RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519, signed with SHA-256 or better."
            }
            Self::CertificateKindNotAccepted(_) => {
                "Present a certificate of the other kind, or configure `ca_signed` or `self_signed`."
            }
            Self::CertificateExpired => "Renew the client certificate.",
            Self::CertificateNotYetValid => {
                "Wait for the first day of the certificate, and check the clocks of both sides."
            }
            Self::CertificateVersionUnsupported => {
                "Issue the certificate with extensions, as version 3."
            }
            Self::CertificateUsage(_) => {
                "Issue the certificate with keyUsage digitalSignature and extKeyUsage clientAuth, or without these extensions."
            }
            Self::CertificateExtensionUnknown => {
                "Issue the certificate without the critical extension, or not marked critical."
            }
            Self::CertificateIsAuthority => {
                "Issue an end-entity certificate for the client: CA:FALSE and without keyCertSign."
            }
            Self::CertificatePath(problem) => path_remedy(problem),
            Self::CertificateNotVerified => {
                "Check that the client sends its intermediates, that its root is trusted by the listener, and that session resumption is off there."
            }
            Self::CertificateDenied => "The certificate was denied on purpose; see `deny`.",
            Self::CertificateNotRegistered => {
                "Register the certificate: `allow` for CA-signed, `registered` for self-signed ones."
            }
            Self::CertificateTooLarge(_) => {
                "Issue a smaller certificate: an elliptic-curve key, fewer names and extensions."
            }
            Self::HostUnsupported(_) => {
                "The operator's log names the fact and the version of the host program that has it."
            }
            Self::HostContradictory => {
                "Look who besides Cloudflare writes `request.cf`: its members disagree on the client certificate."
            }
            Self::NoConfiguration => {
                "The operator's log says what is wrong with the configuration, or where none was found."
            }
            Self::OriginUnavailable => {
                "Check that the origin answers under its host name and with a certificate for it that is publicly trusted."
            }
        }
    }

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
            Self::IdentityHeaderRefused => {
                "the request holds a field that only the edge may set and that cannot be removed here"
            }
            Self::InvalidConnectionHeader => {
                "the connection field names a field that must not be removed"
            }
            Self::UpgradeNotAllowed => "protocol upgrades are not allowed here",
            Self::AcmeChallengeUnknown => "there is no such challenge",
            Self::TlsPolicy => "the TLS version or cipher suite is not allowed on this host",
            Self::MethodNotAllowed(_) => "the method is not allowed here",
            Self::InvalidPath => "the path holds a dot segment or a backslash",
            Self::PathNotAllowed => "the path is not served on this host",
            Self::CertificateRequired(NoCertificate::NotPresented) => {
                "a client certificate is required on this host"
            }
            Self::CertificateRequired(NoCertificate::PerhapsOtherName) => {
                "a client certificate is required on this host; a connection that was opened for another host name has none"
            }
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
            Self::CertificatePath(problem) => path_description(problem),
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
            Self::CertificateTooLarge(TooLarge::NotShown) => {
                "the client certificate is too large for any header"
            }
            Self::HostUnsupported(_) | Self::HostContradictory | Self::NoConfiguration => {
                "the service is not available"
            }
            Self::OriginUnavailable => "the authorization server cannot be reached",
        };
        text.to_owned()
    }

    /// The status code, before R-8 looks at the kind of endpoint.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidHost(_)
            | Self::InvalidTarget
            | Self::IdentityHeaderRefused
            | Self::InvalidConnectionHeader
            | Self::UpgradeNotAllowed
            | Self::InvalidPath => 400,
            Self::HttpsRequired | Self::TlsPolicy => 403,
            Self::UnknownHost | Self::PathNotAllowed | Self::AcmeChallengeUnknown => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::MisdirectedRequest(_) => 421,
            Self::TooEarly => 425,
            Self::HostUnsupported(_)
            | Self::HostContradictory
            | Self::NoConfiguration
            | Self::OriginUnavailable => 503,
            Self::CertificateRequired(_)
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
            | Self::CertificatePath(_)
            | Self::CertificateNotVerified
            | Self::CertificateDenied
            | Self::CertificateNotRegistered
            | Self::CertificateTooLarge(_) => 400,
        }
    }

    /// Whether the client certificate is what was refused, so that R-8's table applies.
    pub fn is_about_certificate(self) -> bool {
        self.code().starts_with("certificate_") || matches!(self, Self::CertificatePath(_))
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
                "no TLS server name: the client sent none, or the listener has no tls_inspector",
            ),
            Self::MisdirectedRequest(ServerNameProblem::Different) => {
                f.write_str("the TLS server name is another host's")
            }
            Self::CertificateAlgorithmUnsupported(problem) => write!(f, "{problem}"),
            Self::CertificatePath(problem) => write!(f, "{problem}"),
            Self::CertificateNotVerified => {
                f.write_str("the host program did not verify the client certificate")
            }
            Self::CertificateDenied => f.write_str("the client certificate is on the deny list"),
            Self::HostContradictory => f.write_str(
                "what the host program tells of the client certificate contradicts itself",
            ),
            Self::NoConfiguration => f.write_str("there is no configuration that can be used"),
            Self::HostUnsupported(MissingFact::ConnectionId) => {
                f.write_str("the host program gives no connection.id")
            }
            Self::HostUnsupported(MissingFact::PeerAddress) => {
                f.write_str("the host program gives no address of the client (Envoy: source.address; Cloudflare: cf-connecting-ip)")
            }
            Self::HostUnsupported(MissingFact::ClientCertificate) => f.write_str(
                "the host program gives no client certificate: needs Envoy 1.38 or newer (connection.peer_certificate), \
                 or client_certificates.source: envoy_xfcc; on Cloudflare certRFC9440",
            ),
            Self::HostUnsupported(MissingFact::HostVerdict) => f.write_str(
                "the host program gives no verdict: verified_by: host needs Envoy 1.39 or newer \
                 (connection.peer_certificate_valid); on Cloudflare certVerified and certRevoked",
            ),
            Self::HostUnsupported(MissingFact::CertificateDigest) => f.write_str(
                "the host program gives no connection.sha256_peer_certificate_digest",
            ),
            Self::HostUnsupported(MissingFact::ForwardedCertificate) => f.write_str(
                "the host program writes no x-forwarded-client-cert: the listener needs \
                 forward_client_cert_details: SANITIZE_SET with cert and chain",
            ),
            Self::HostUnsupported(MissingFact::PresentedChain) => f.write_str(
                "the host program shows no presented intermediates: presented_chain: host is for Cloudflare",
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

const fn path_code(problem: PathProblem) -> &'static str {
    match problem {
        PathProblem::UnknownIssuer => "certificate_unknown_issuer",
        PathProblem::BadSignature => "certificate_bad_signature",
        PathProblem::IssuerExpired => "certificate_issuer_expired",
        PathProblem::IssuerNotYetValid => "certificate_issuer_not_yet_valid",
        PathProblem::IssuerUsage => "certificate_issuer_usage",
        PathProblem::IssuerUnsupported => "certificate_issuer_unsupported",
        PathProblem::NameConstraint => "certificate_name_constraint",
        PathProblem::TooLong(_) => "certificate_path_too_long",
        PathProblem::LeafExtensionUnknown => "certificate_extension_unknown",
        PathProblem::LeafMalformed => "certificate_malformed",
        PathProblem::Revoked => "certificate_revoked",
        PathProblem::RevocationUnknown => "certificate_revocation_unknown",
        PathProblem::ListExpired => "crl_expired",
    }
}

const fn path_remedy(problem: PathProblem) -> &'static str {
    match problem {
        PathProblem::UnknownIssuer => {
            "Check that the root is among `roots`, and that the intermediates are configured or presented and read: `intermediates`, `presented_chain`."
        }
        PathProblem::BadSignature => {
            "Look for another authority of the same name: a renewed root has another key, and belongs into `roots` as well."
        }
        PathProblem::IssuerExpired => {
            "Renew the certificate of the authority, and replace it in `roots` or `intermediates`."
        }
        PathProblem::IssuerNotYetValid => {
            "Wait for the first day of the authority's certificate, and check the clock."
        }
        PathProblem::IssuerUsage => {
            "Issue the authority's certificate with CA:TRUE, keyUsage keyCertSign, and extKeyUsage clientAuth or none."
        }
        PathProblem::IssuerUnsupported => {
            "Use authorities with RSA keys of 2048 to 4096 bits, P-256, P-384 or Ed25519, and without critical extensions beyond the usual."
        }
        PathProblem::NameConstraint => {
            "Issue the client certificate with names that the authorities' name constraints allow; constraints on directory names, URIs and email addresses are not evaluated and refuse."
        }
        PathProblem::TooLong(_) => {
            "Use a path of at most 4 intermediates that keeps to every pathLenConstraint, and present no more than 8."
        }
        PathProblem::LeafExtensionUnknown => {
            "Issue the certificate without the critical extension, or not marked critical."
        }
        PathProblem::LeafMalformed => {
            "Issue the certificate anew with a tool that writes DER as RFC 5280 has it."
        }
        PathProblem::Revoked => "The issuer has revoked the certificate: issue a new one.",
        PathProblem::RevocationUnknown => {
            "Configure the revocation list of the certificate's issuer in `crl.lists`, signed by the key that signed the certificate."
        }
        PathProblem::ListExpired => "Fetch the current revocation list into `crl.lists`.",
    }
}

const fn path_description(problem: PathProblem) -> &'static str {
    match problem {
        PathProblem::UnknownIssuer | PathProblem::BadSignature => {
            "the client certificate is not issued by an authority that is trusted here"
        }
        PathProblem::IssuerExpired => "the certificate of an issuer has expired",
        PathProblem::IssuerNotYetValid => "the certificate of an issuer is not valid yet",
        PathProblem::IssuerUsage => "an issuer may not certify TLS clients",
        PathProblem::IssuerUnsupported => "the certificate of an issuer is not supported",
        PathProblem::NameConstraint => {
            "an issuer may not certify the names in the client certificate"
        }
        PathProblem::TooLong(PathLength::Constraint | PathLength::Intermediates) => {
            "the path from the client certificate to its root is too long"
        }
        PathProblem::TooLong(PathLength::Presented | PathLength::NotShown | PathLength::Work) => {
            "too many intermediate certificates were presented"
        }
        PathProblem::LeafExtensionUnknown => {
            "the client certificate has a critical extension that is not supported"
        }
        PathProblem::LeafMalformed => "the client certificate cannot be read",
        PathProblem::Revoked => "the client certificate or one of its issuers is revoked",
        PathProblem::RevocationUnknown | PathProblem::ListExpired => {
            "it is not known whether the client certificate is revoked"
        }
    }
}

impl From<InvalidHostName> for Reason {
    fn from(error: InvalidHostName) -> Self {
        Self::InvalidHost(InvalidHost::Malformed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_methods_that_are_served_are_those_that_are_told() {
        let all = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"];
        for methods in [Methods::Forwarded, Methods::Read] {
            let contained = all.iter().filter(|name| methods.contain(name.as_bytes()));
            let names: std::vec::Vec<_> = contained.copied().collect();
            assert_eq!(names.join(", "), methods.allow());
        }
        for other in ["", "get", "GET, HEAD", " HEAD", "TRACE", "CONNECT"] {
            assert!(!Methods::Forwarded.contain(other.as_bytes()), "{other}");
        }
    }

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
