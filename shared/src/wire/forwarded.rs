//! A client certificate in a header field, as the program that ended TLS writes it (R-4b, R-4c).

use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{pem, rfc9440, xfcc};

/// The certificates of a client in DER.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificates {
    /// The client's own.
    pub leaf: Vec<u8>,
    /// Those that came with it, without it.
    pub intermediates: Vec<Vec<u8>>,
}

/// How a header field carries a client certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// As Envoy writes `x-forwarded-client-cert`, with the chain where it is told to.
    Xfcc,
    /// As RFC 9440 has `Client-Cert`; the chain is in `Client-Cert-Chain`.
    Rfc9440,
    /// PEM, URL-encoded.
    UrlEncodedPem,
    /// DER in base64 (RFC 4648 section 4).
    Base64Der,
}

/// The field does not hold exactly one certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidCertificates;

impl Format {
    /// Reads the value of the field; `chain` are the values of `Client-Cert-Chain`, in their order.
    pub fn parse<'a>(
        self,
        value: &[u8],
        chain: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Certificates, InvalidCertificates> {
        let alone = |leaf| Certificates {
            leaf,
            intermediates: Vec::new(),
        };
        match self {
            Self::Xfcc => xfcc::parse(value).map_err(|_| InvalidCertificates),
            Self::Rfc9440 => {
                let leaf = rfc9440::certificate(value).map_err(|_| InvalidCertificates)?;
                let intermediates = rfc9440::chain(chain).map_err(|_| InvalidCertificates)?;
                Ok(Certificates {
                    leaf,
                    intermediates,
                })
            }
            Self::UrlEncodedPem => pem::decode_one(value)
                .map(alone)
                .map_err(|_| InvalidCertificates),
            Self::Base64Der => STANDARD
                .decode(value.trim_ascii())
                .map(alone)
                .map_err(|_| InvalidCertificates),
        }
    }
}
