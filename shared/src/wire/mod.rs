//! Formats the edge reads and writes.
//!
//! | module | format | specification | direction |
//! | --- | --- | --- | --- |
//! | `pem` | certificates and revocation lists as PEM, plain or URL-encoded | RFC 7468 section 5 | in |
//! | `forwarded` | a client certificate in a header field, in one of several forms | R-4b, R-4c | in |
//! | `xfcc` | `x-forwarded-client-cert` | Envoy's documentation of its HTTP headers | in |
//! | `rfc9440` | `Client-Cert` and `Client-Cert-Chain` | RFC 9440 section 2 | in |
//! | `cert_header` | a certificate as a header value | R-21, RFC 9440 section 2.2 | out |
//! | `thumbprint` | SHA-256 of a certificate or key as text | RFC 8705 section 3.1 | both |
//! | `name` | a distinguished name as text | RFC 4514 | in |
//! | `sealed` | an API key sealed for the configuration file | its own documentation | both |
//! | `json` | JSON, as far as it is needed | RFC 8259 | both |
//! | `config_json` | the configuration file | `docs/configuration.md` | in |

pub mod cert_header;
pub mod config_json;
pub mod forwarded;
pub mod json;
pub mod name;
pub mod pem;
pub mod rfc9440;
pub mod sealed;
pub mod thumbprint;
pub mod xfcc;
