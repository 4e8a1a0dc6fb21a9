//! Certificates of every kind a client may present, made anew at each run.
//!
//! Nothing is committed, so nothing expires and no private key lies in the repository.
//! Each identity has a name that says what is wrong with it; a vector refers to it by that name.

mod asn1;
mod authority;
mod ca_signed;
mod certificate;
mod encoding;
mod extension;
mod keys;
mod paths;
mod presented;
mod revocation;
mod revoked;
mod self_signed;
mod sized;
mod twin;
mod workshop;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

pub use authority::Authority;
pub use certificate::{Template, Version, distinguished_name, printable_name};
pub use encoding::{
    encode_uri_component, issued_by_its_subject, pem, thumbprint_base64url, thumbprint_hex,
};
pub use extension::{
    ANY_PURPOSE, AltName, CLIENT_AUTH, CRL_SIGN, Criticality, DIGITAL_SIGNATURE, Extension,
    KEY_AGREEMENT, KEY_CERT_SIGN, Role, SERVER_AUTH, Scope,
};
pub use keys::{Key, KeyKind, SignedWith};
pub use revocation::RevocationList;

/// Seconds in a day.
pub const DAY: i64 = 86_400;

/// Why a certificate could not be made or found.
#[derive(Debug)]
pub enum PkiError {
    /// A key could not be made or used.
    Key(String),
    /// The clock is before 1970.
    Clock,
    /// No certificate of the wanted size came up.
    Size(usize),
    /// There is no identity of this name.
    UnknownIdentity(String),
    /// There is no authority of this name.
    UnknownAuthority(String),
    /// There is no revocation list of this name.
    UnknownList(String),
}

impl PkiError {
    pub(crate) fn key(error: impl fmt::Display) -> Self {
        Self::Key(error.to_string())
    }
}

impl fmt::Display for PkiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(reason) => write!(formatter, "a key cannot be made or used: {reason}"),
            Self::Clock => formatter.write_str("the clock is before 1970"),
            Self::Size(size) => {
                write!(formatter, "no certificate of {size} encoded bytes came up")
            }
            Self::UnknownIdentity(name) => write!(formatter, "there is no identity `{name}`"),
            Self::UnknownAuthority(name) => write!(formatter, "there is no authority `{name}`"),
            Self::UnknownList(name) => write!(formatter, "there is no revocation list `{name}`"),
        }
    }
}

impl std::error::Error for PkiError {}

/// A certificate chain with the private key of its leaf.
#[derive(Clone)]
pub struct Identity {
    /// The name that vectors use.
    pub name: String,
    /// The certificates in DER, leaf first, as they are presented.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's private key in PKCS#8.
    pub key: Vec<u8>,
    /// What Envoy's `connection.peer_certificate_valid` says when it trusts `Pki::ca_pem`.
    pub host_verified: bool,
    /// Whether Envoy completes a handshake with it at all.
    ///
    /// That is seen on a listener whose `signature_algorithms` name `ed25519` and
    /// `ecdsa_secp521r1_sha512`; without those, keys of the two kinds fail as well.
    pub completes_handshake: bool,
}

impl Identity {
    /// The leaf in DER, empty if there is none.
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// The leaf in PEM.
    pub fn leaf_pem(&self) -> String {
        pem(self.leaf(), "CERTIFICATE")
    }

    /// The whole chain in PEM.
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| pem(der, "CERTIFICATE"))
            .collect()
    }

    /// The private key in PEM, for a program that reads it from a file.
    pub fn key_pem(&self) -> String {
        pem(&self.key, "PRIVATE KEY")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("name", &self.name)
            .field("thumbprint", &thumbprint_hex(self.leaf()))
            .field("host_verified", &self.host_verified)
            .finish_non_exhaustive()
    }
}

/// All authorities and identities of one run.
#[derive(Debug)]
pub struct Pki {
    authorities: Vec<(String, Authority)>,
    identities: Vec<Identity>,
    revocation_lists: Vec<(String, Vec<u8>)>,
    generated_at: i64,
}

impl Pki {
    /// Makes everything anew; takes about a second.
    pub fn generate() -> Result<Self, PkiError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| PkiError::Clock)?;
        let now = i64::try_from(now.as_secs()).map_err(|_| PkiError::Clock)?;
        let name = |common_name| distinguished_name(common_name, "Example Authority", "AT");
        // Large RSA keys take most of the time, so they are made beside everything else.
        thread::scope(|scope| {
            let rsa4096 = scope.spawn(|| Key::generate(KeyKind::Rsa4096));
            let rsa2048 = Key::generate(KeyKind::Rsa2048)?;
            let rsa1024 = Key::generate(KeyKind::Rsa1024)?;
            let ca = Authority::root(name("Example Client CA"), KeyKind::P256, now)?;
            let intermediate = ca.intermediate(name("Example Client Intermediate CA"), now)?;
            let ca_rsa = Authority::root(name("Example Client RSA CA"), KeyKind::Rsa2048, now)?;
            let other_ca = Authority::root(name("Another Client CA"), KeyKind::P256, now)?;
            let namesake_ca = Authority::root(name("Example Client CA"), KeyKind::P256, now)?;
            let server_ca = Authority::root(name("Example Server CA"), KeyKind::P256, now)?;
            let rsa4096 = rsa4096
                .join()
                .map_err(|_| PkiError::Key("the thread making an rsa key died".to_owned()))??;
            let mut pki = Self {
                authorities: Vec::new(),
                identities: Vec::new(),
                revocation_lists: Vec::new(),
                generated_at: now,
            };
            for (name, authority) in [
                ("ca", ca),
                ("intermediate", intermediate),
                ("ca_rsa", ca_rsa),
                ("other_ca", other_ca),
                ("namesake_ca", namesake_ca),
                ("server_ca", server_ca),
            ] {
                pki.add_authority(name, authority);
            }
            let rsa = SharedRsaKeys {
                rsa1024: Arc::new(rsa1024),
                rsa2048,
                rsa4096,
            };
            let mut identities = ca_signed::identities(&pki, &rsa)?;
            identities.extend(self_signed::identities(&pki, &rsa)?);
            pki.identities = identities;
            paths::add_to(&mut pki, &rsa)?;
            presented::add_to(&mut pki)?;
            revoked::add_to(&mut pki)?;
            Ok(pki)
        })
    }

    fn add_authority(&mut self, name: &str, authority: Authority) {
        self.authorities.push((name.to_owned(), authority));
    }

    fn add_identity(&mut self, identity: Identity) {
        self.identities.push(identity);
    }

    fn add_list_der(&mut self, name: &str, list: Vec<u8>) {
        self.revocation_lists.push((name.to_owned(), list));
    }

    /// The identity of this name.
    pub fn get(&self, name: &str) -> Result<&Identity, PkiError> {
        self.identities
            .iter()
            .find(|identity| identity.name == name)
            .ok_or_else(|| PkiError::UnknownIdentity(name.to_owned()))
    }

    /// The names of all identities, in the order they were made.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.identities
            .iter()
            .map(|identity| identity.name.as_str())
    }

    /// All identities, in the order they were made.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The authority of this name: `ca`, `ca_rsa`, `server_ca` or another.
    pub fn authority(&self, name: &str) -> Result<&Authority, PkiError> {
        self.authorities
            .iter()
            .find(|(present, _)| present == name)
            .map(|(_, authority)| authority)
            .ok_or_else(|| PkiError::UnknownAuthority(name.to_owned()))
    }

    /// The revocation list of this name, in DER.
    pub fn revocation_list(&self, name: &str) -> Result<&[u8], PkiError> {
        self.revocation_lists
            .iter()
            .find(|(present, _)| present == name)
            .map(|(_, list)| list.as_slice())
            .ok_or_else(|| PkiError::UnknownList(name.to_owned()))
    }

    /// The roots that clients are verified with: `ca` and `ca_rsa`, without the intermediate.
    pub fn ca_pem(&self) -> String {
        self.pem_of(&["ca", "ca_rsa"])
    }

    /// The root that servers are verified with.
    pub fn server_ca_pem(&self) -> String {
        self.pem_of(&["server_ca"])
    }

    /// The moment everything was made, in seconds since 1970; all dates are relative to it.
    pub fn generated_at(&self) -> i64 {
        self.generated_at
    }

    /// A server's identity for DNS names and IP addresses, certified by the server authority.
    pub fn server_identity(&self, names: &[&str]) -> Result<Identity, PkiError> {
        let key = Key::generate(KeyKind::P256)?;
        let addresses: Vec<Option<Vec<u8>>> = names
            .iter()
            .map(|name| name.parse().ok().map(octets))
            .collect();
        let alternatives: Vec<AltName<'_>> = names
            .iter()
            .zip(&addresses)
            .map(|(name, address)| match address {
                Some(octets) => AltName::Ip(octets),
                None => AltName::Dns(name),
            })
            .collect();
        let common_name = names.first().copied().unwrap_or("server");
        let subject = distinguished_name(common_name, "", "");
        let template = Template::new(
            subject,
            self.generated_at - DAY,
            self.generated_at + 90 * DAY,
        )?
        .with(Extension::basic_constraints(Role::EndEntity))
        .with(Extension::key_usage(DIGITAL_SIGNATURE))
        .with(Extension::extended_key_usage(&[SERVER_AUTH]))
        .with(Extension::subject_alt_name(&alternatives))
        .with(Extension::subject_key_identifier(&key));
        Ok(Identity {
            name: common_name.to_owned(),
            chain: vec![self.authority("server_ca")?.issue(template, &key)?],
            key: key.pkcs8().to_vec(),
            host_verified: false,
            completes_handshake: true,
        })
    }

    fn pem_of(&self, names: &[&str]) -> String {
        names
            .iter()
            .filter_map(|name| self.authority(name).ok())
            .map(Authority::pem)
            .collect()
    }
}

/// RSA keys that several identities share, because making one takes long.
struct SharedRsaKeys {
    rsa1024: Arc<Key>,
    rsa2048: Key,
    rsa4096: Key,
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
