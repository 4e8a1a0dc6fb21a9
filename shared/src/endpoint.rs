//! The endpoints of an authorization server, by profile.

/// What kind of endpoint a path is; decides how a refusal is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndpointClass {
    /// The token endpoint (RFC 6749 section 3.2).
    Token,
    /// The pushed authorization request endpoint (RFC 9126).
    Par,
    /// A protected resource (RFC 6750), such as userinfo.
    Resource,
    /// Any other path.
    Other,
}

/// An endpoint that is served on the mTLS alias.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The path, exactly as it stands in a request.
    pub path: &'static str,
    /// How refusals on it are answered.
    pub class: EndpointClass,
}

/// Which authorization server stands behind the edge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// Auth0 with a custom domain.
    Auth0,
    /// Any OpenID provider with its endpoints under `/oauth/`.
    Generic,
}

impl Profile {
    /// The endpoints served on the mTLS alias.
    pub const fn alias_endpoints(self) -> &'static [Endpoint] {
        match self {
            Self::Auth0 => &AUTH0,
            Self::Generic => &GENERIC,
        }
    }
}

const fn row(path: &'static str, class: EndpointClass) -> Endpoint {
    Endpoint { path, class }
}

const AUTH0: [Endpoint; 3] = [
    row("/oauth/token", EndpointClass::Token),
    row("/oauth/par", EndpointClass::Par),
    row("/userinfo", EndpointClass::Resource),
];

const GENERIC: [Endpoint; 3] = [
    row("/oauth/token", EndpointClass::Token),
    row("/oauth/par", EndpointClass::Par),
    row("/oauth/userinfo", EndpointClass::Resource),
];

/// Whether some upstream client would send another path than this: one with a backslash or with
/// dot segments, encoded or not (WHATWG URL section 4.4, RFC 3986 section 5.2.4).
pub(crate) fn is_changed_upstream(path: &[u8]) -> bool {
    path.contains(&b'\\') || path.split(|byte| *byte == b'/').any(is_dot_segment)
}

/// `.`, `..` and their percent-encoded forms.
fn is_dot_segment(segment: &[u8]) -> bool {
    let mut rest = segment;
    let mut dots = 0_u8;
    loop {
        rest = match rest {
            [] => return (1..=2).contains(&dots),
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots = dots.saturating_add(1);
    }
}
