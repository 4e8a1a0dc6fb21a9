//! Whom a host name trusts to certify its clients, and whether a path leads there.
//!
//! Paths are built and verified by rustls-webpki (RFC 5280 section 6); what it leaves open is judged
//! here: how long a path may be, whether every authority may sign certificates, the dates and limits
//! of the root itself, and revocation.

mod algorithms;
mod list;
mod path;
mod public_roots;
mod revocation;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use rustls_pki_types::{CertificateDer, TrustAnchor};

pub use self::list::{InvalidRevocationList, MAX_LIST_BYTES, RevocationList};
pub(crate) use self::path::ListSignatures;
pub use self::path::{PathLength, PathProblem, Verification};
pub use self::public_roots::READ_ON as PUBLIC_ROOTS_READ_ON;
use self::revocation::Signer;
pub use self::revocation::{Depth, Revocation, Tolerance};
use crate::certificate::{IssuerCert, Validity, Version};
use crate::request::MAX_DER_BYTES;
use crate::signature::PublicKey;
use crate::wire::thumbprint::{Digest, Thumbprint};

/// How many intermediates a path may hold.
pub const MAX_INTERMEDIATES: usize = 4;
/// How many intermediates a client may present.
pub const MAX_PRESENTED: usize = 8;
/// How many signatures are verified for one path before it is given up.
pub const MAX_SIGNATURES: u32 = 16;

/// A certificate in DER.
pub type Der = CertificateDer<'static>;

/// The intermediates that came with a leaf, without it; nobody vouches for them.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    certificates: Vec<Der>,
    digest: Option<Thumbprint>,
}

impl Chain {
    /// No intermediates.
    pub const EMPTY: &'static Self = &Self {
        certificates: Vec::new(),
        digest: None,
    };

    /// The certificates in DER.
    pub fn new(certificates: Vec<Vec<u8>>) -> Self {
        if certificates.is_empty() {
            return Self::default();
        }
        let mut digest = Digest::new();
        for der in &certificates {
            digest.add(b"certificate", der);
        }
        Self {
            certificates: certificates.into_iter().map(Der::from).collect(),
            digest: Some(digest.finish()),
        }
    }

    /// SHA-256 over the certificates; none when there are none.
    pub(crate) fn digest(&self) -> Option<Thumbprint> {
        self.digest
    }

    /// The certificates.
    pub fn certificates(&self) -> &[Der] {
        &self.certificates
    }
}

/// What a host name trusts: roots, intermediates that need not be presented, and revocation lists.
#[derive(Clone, Debug, Default)]
pub struct TrustSet {
    roots: Vec<Root>,
    /// In the order of `roots`.
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<Intermediate>,
    revocation: Option<Revocation>,
    keys: BTreeSet<Thumbprint>,
    /// The times at which a certificate or a list begins or ceases to hold, in seconds since 1970.
    steps: Vec<u64>,
    digest: Option<Thumbprint>,
}

/// The certificate of an authority that is trusted by itself.
#[derive(Clone, Debug)]
pub struct Root {
    der: Der,
    anchor: TrustAnchor<'static>,
    facts: Facts,
    path_len: Option<u64>,
    constrains_email: bool,
}

/// The certificate of an authority that a path may lead through.
#[derive(Clone, Debug)]
pub struct Intermediate {
    der: Der,
    facts: Facts,
}

/// What is asked of a configured authority, whatever it is.
#[derive(Clone, Debug)]
struct Facts {
    subject: Vec<u8>,
    key: PublicKey,
    key_thumbprint: Thumbprint,
    signs_revocation_lists: bool,
    validity: Validity,
}

/// The certificate cannot stand in a configuration; holds why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidAuthority(&'static str);

impl fmt::Display for InvalidAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for InvalidAuthority {}

impl Facts {
    /// What both kinds of authorities must fulfil; a certificate that could never be part of a
    /// path is a mistake that is better seen when the configuration is loaded.
    fn read(certificate: &IssuerCert<'_>) -> Result<Self, InvalidAuthority> {
        if certificate.version() != Version::V3 {
            return Err(InvalidAuthority("a certificate that is not of version 3"));
        }
        if !certificate.signs_certificates() {
            return Err(InvalidAuthority(
                "a certificate that may not sign others: no CA:TRUE, or keyUsage without keyCertSign",
            ));
        }
        if !certificate.is_for_clients() {
            return Err(InvalidAuthority(
                "an authority whose extKeyUsage forbids clientAuth",
            ));
        }
        if certificate.constrains_policies() {
            return Err(InvalidAuthority(
                "an authority with policyConstraints, which are not evaluated",
            ));
        }
        let key = certificate
            .key()
            .map_err(|_| InvalidAuthority("an authority whose key is weak or not supported"))?;
        Ok(Self {
            subject: certificate.subject().into(),
            key,
            key_thumbprint: certificate.key_thumbprint(),
            signs_revocation_lists: certificate.signs_revocation_lists(),
            validity: certificate.validity(),
        })
    }

    fn signer(&self) -> Signer<'_> {
        Signer {
            key: &self.key,
            key_thumbprint: self.key_thumbprint,
            signs_lists: self.signs_revocation_lists,
        }
    }
}

fn parse(der: &[u8]) -> Result<IssuerCert<'_>, InvalidAuthority> {
    if der.len() > MAX_DER_BYTES {
        return Err(InvalidAuthority("a certificate of more than 16384 bytes"));
    }
    IssuerCert::parse(der).map_err(|_| InvalidAuthority("no readable X.509 certificate"))
}

impl Root {
    /// Takes a certificate in DER for a root.
    pub fn new(der: Vec<u8>) -> Result<Self, InvalidAuthority> {
        let certificate = parse(&der)?;
        let facts = Facts::read(&certificate)?;
        let path_len = certificate.path_len();
        let constrains_email = certificate.constrains_email();
        let der = Der::from(der);
        check_extensions(&der)?;
        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|_| InvalidAuthority("no readable X.509 certificate"))?
            .to_owned();
        Ok(Self {
            der,
            anchor,
            facts,
            path_len,
            constrains_email,
        })
    }

    /// Whether browsers and operating systems trust the root, so that anybody can get a
    /// certificate under it; by the table of [`PUBLIC_ROOTS_READ_ON`].
    pub fn is_publicly_trusted(&self) -> bool {
        public_roots::contains(&self.facts.key_thumbprint)
    }
}

impl Intermediate {
    /// Takes a certificate in DER for an intermediate.
    pub fn new(der: Vec<u8>) -> Result<Self, InvalidAuthority> {
        let certificate = parse(&der)?;
        let facts = Facts::read(&certificate)?;
        let der = Der::from(der);
        check_extensions(&der)?;
        Ok(Self { der, facts })
    }
}

/// Whether rustls-webpki reads the certificate, of a root too, of which it would ignore what is critical.
fn check_extensions(der: &Der) -> Result<(), InvalidAuthority> {
    match webpki::EndEntityCert::try_from(der) {
        Ok(_) => Ok(()),
        Err(webpki::Error::UnsupportedCriticalExtension) => Err(InvalidAuthority(
            "an authority with a critical extension that is not supported",
        )),
        Err(_) => Err(InvalidAuthority("no readable X.509 certificate")),
    }
}

/// What an operator would want to know of a trust set before its clients do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Doubts {
    /// Authorities that are not valid.
    pub authorities_outside_dates: usize,
    /// Authorities of whose name there is no revocation list, where lists are configured.
    pub authorities_without_list: usize,
    /// Revocation lists that should have been replaced.
    pub stale_lists: usize,
    /// Revocation lists that the host program keeps and that cannot be read.
    pub unreadable_lists: usize,
}

impl TrustSet {
    /// Puts together what a host name trusts.
    pub fn new(roots: Vec<Root>, intermediates: Vec<Intermediate>) -> Self {
        let mut digest = Digest::new();
        for root in &roots {
            digest.add(b"root", &root.der);
        }
        for intermediate in &intermediates {
            digest.add(b"intermediate", &intermediate.der);
        }
        let mut set = Self {
            anchors: roots.iter().map(|root| root.anchor.clone()).collect(),
            digest: Some(digest.finish()),
            roots,
            intermediates,
            ..Self::default()
        };
        set.keys = set.authorities().map(|it| it.key_thumbprint).collect();
        let steps = set.authorities().flat_map(|it| it.validity.steps());
        set.steps = steps.collect();
        set
    }

    /// The roots, then the intermediates.
    fn authorities(&self) -> impl Iterator<Item = &Facts> {
        let roots = self.roots.iter().map(|root| &root.facts);
        roots.chain(self.intermediates.iter().map(|it| &it.facts))
    }

    /// The same set with revocation lists.
    #[must_use]
    pub fn with_revocation(mut self, revocation: Revocation) -> Self {
        self.steps.extend(revocation.steps());
        let mut digest = Digest::new();
        if let Some(Thumbprint(authorities)) = &self.digest {
            digest.add(b"authorities", authorities);
        }
        revocation.add_to(&mut digest);
        Self {
            digest: Some(digest.finish()),
            revocation: Some(revocation),
            ..self
        }
    }

    /// Adds revocation lists, each one DER, to those that are configured; one that cannot be read is only counted,
    /// so that it harms nobody but whom it speaks for.
    pub fn add_lists(&mut self, lists: Vec<Vec<u8>>) {
        let Some(mut revocation) = self.revocation.take() else {
            return;
        };
        revocation.add(lists.into_iter().map(|der| RevocationList::parse(der).ok()));
        *self = core::mem::take(self).with_revocation(revocation);
    }

    /// SHA-256 over everything that has a say in a verdict; none for a set that trusts nobody.
    pub fn digest(&self) -> Option<Thumbprint> {
        self.digest
    }

    /// Whether the key is that of a configured authority, which is no client's.
    pub fn has_authority_key(&self, key_thumbprint: &Thumbprint) -> bool {
        self.keys.contains(key_thumbprint)
    }

    /// What is in doubt at `time`, by dates and names alone.
    pub fn doubts(&self, time: u64) -> Doubts {
        let outside = self.authorities().filter(|it| !it.validity.contains(time));
        let authorities_outside_dates = outside.count();
        let Some(revocation) = &self.revocation else {
            return Doubts {
                authorities_outside_dates,
                ..Doubts::default()
            };
        };
        let issuers: BTreeSet<&[u8]> = revocation.issuers().collect();
        let is_listed = |it: &&Facts| issuers.contains(&*it.subject);
        Doubts {
            authorities_outside_dates,
            authorities_without_list: self.authorities().filter(|it| !is_listed(it)).count(),
            stale_lists: revocation.stale(time),
            unreadable_lists: revocation.unreadable(),
        }
    }

    /// What the configuration says of revocation.
    pub fn revocation(&self) -> Option<&Revocation> {
        self.revocation.as_ref()
    }

    /// The configured authorities of a name, the DER of an RDNSequence.
    fn named<'a>(&'a self, subject: &'a [u8]) -> impl Iterator<Item = &'a Facts> {
        self.authorities().filter(move |it| it.subject == subject)
    }

    /// Whether the certificate itself is configured.
    fn holds(&self, der: &Der) -> bool {
        let mut intermediates = self.intermediates.iter();
        self.roots.iter().any(|root| root.der == *der) || intermediates.any(|it| it.der == *der)
    }

    /// Whether an authority of that name is configured.
    pub fn has_authority(&self, subject: &[u8]) -> bool {
        self.named(subject).next().is_some()
    }
}
