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

/// An endpoint of an authorization server, and what its metadata call it (RFC 8414 section 2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The name of the member of the metadata that holds its URL.
    pub metadata: &'static str,
    /// The path, exactly as it stands in a request.
    pub path: &'static str,
    /// How refusals on it are answered.
    pub class: EndpointClass,
    /// Whether the mTLS alias has it too.
    pub on_alias: OnAlias,
}

/// What the mTLS alias does with an endpoint (RFC 8705 section 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnAlias {
    /// It is not served there.
    Absent,
    /// It is served there, and the metadata do not say so.
    Served,
    /// It is served there, and stands in `mtls_endpoint_aliases`.
    Advertised,
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
    /// Every endpoint.
    pub const fn endpoints(self) -> &'static [Endpoint] {
        match self {
            Self::Auth0 => &AUTH0,
            Self::Generic => &GENERIC,
        }
    }

    /// The endpoints served on the mTLS alias.
    pub fn alias_endpoints(self) -> impl Iterator<Item = &'static Endpoint> {
        let endpoints = self.endpoints().iter();
        endpoints.filter(|endpoint| endpoint.on_alias != OnAlias::Absent)
    }

    /// What stands in the issuer behind the host name.
    pub const fn issuer_path(self) -> &'static str {
        match self {
            Self::Auth0 => "/",
            Self::Generic => "",
        }
    }
}

const fn row(
    metadata: &'static str,
    path: &'static str,
    class: EndpointClass,
    on_alias: OnAlias,
) -> Endpoint {
    Endpoint {
        metadata,
        path,
        class,
        on_alias,
    }
}

use EndpointClass::{Other, Par, Resource, Token};
use OnAlias::{Absent, Advertised, Served};

const AUTHORIZATION: &str = "authorization_endpoint";
const TOKEN: &str = "token_endpoint";
const USERINFO: &str = "userinfo_endpoint";
const JWKS: &str = "jwks_uri";
const END_SESSION: &str = "end_session_endpoint";
/// The pushed authorization request endpoint (RFC 9126 section 5).
pub(crate) const PAR: &str = "pushed_authorization_request_endpoint";

const AUTH0: [Endpoint; 6] = [
    row(AUTHORIZATION, "/authorize", Other, Absent),
    row(TOKEN, "/oauth/token", Token, Advertised),
    row(USERINFO, "/userinfo", Resource, Advertised),
    row(JWKS, "/.well-known/jwks.json", Other, Absent),
    row(END_SESSION, "/oidc/logout", Other, Absent),
    // Auth0 serves it on the alias and names the domain's own.
    row(PAR, "/oauth/par", Par, Served),
];

const GENERIC: [Endpoint; 6] = [
    row(AUTHORIZATION, "/oauth/authorize", Other, Absent),
    row(TOKEN, "/oauth/token", Token, Advertised),
    row(USERINFO, "/oauth/userinfo", Resource, Advertised),
    row(JWKS, "/.well-known/jwks.json", Other, Absent),
    row(END_SESSION, "/oauth/logout", Other, Absent),
    row(PAR, "/oauth/par", Par, Advertised),
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
