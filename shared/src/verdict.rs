//! What verification says of a client certificate, and the cache of what it costs.

use alloc::collections::{BTreeMap, VecDeque};

use crate::certificate::{IssuedBy, LeafCert};
use crate::config::HostIndex;
use crate::wire::thumbprint::Thumbprint;

/// The two kinds of trust in a client certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Issued by an authority, or claiming to be.
    CaSigned,
    /// Issuer and subject are the same DER and the certificate's own key verifies its signature.
    SelfSigned,
}

/// How many verdicts are kept for one host name; at about 100 bytes each, some 25 KB.
pub const VERDICTS_PER_HOST: usize = 256;

/// Results of signature verifications, bounded for each host name so that no tenant's clients can
/// push out another's.
///
/// Holds only what can be computed again: a decision is the same with and without it. Dates,
/// usages and lists are never cached, they are judged on every request.
#[derive(Debug, Default)]
pub struct VerdictCache {
    hosts: BTreeMap<HostIndex, HostVerdicts>,
    verifications: u64,
}

#[derive(Debug, Default)]
struct HostVerdicts {
    kinds: BTreeMap<Thumbprint, Kind>,
    oldest_first: VecDeque<Thumbprint>,
}

impl VerdictCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self {
            hosts: BTreeMap::new(),
            verifications: 0,
        }
    }

    /// How many signatures were verified because the answer was not known.
    pub fn verifications(&self) -> u64 {
        self.verifications
    }

    /// The kind of the certificate; verifies its signature at most once while it is remembered.
    ///
    /// The key is the SHA-256 of the leaf alone: neither a presented chain nor a trust set has a
    /// say in whether a certificate verifies under its own key.
    pub fn kind(&mut self, host: HostIndex, certificate: &LeafCert) -> Kind {
        if certificate.issued_by() == IssuedBy::Other {
            return Kind::CaSigned;
        }
        let thumbprint = certificate.thumbprint();
        let known = self.hosts.entry(host).or_default();
        if let Some(kind) = known.kinds.get(&thumbprint) {
            return *kind;
        }
        self.verifications = self.verifications.saturating_add(1);
        let kind = if certificate.is_signed_by_own_key() {
            Kind::SelfSigned
        } else {
            Kind::CaSigned
        };
        known.remember(thumbprint, kind);
        kind
    }
}

impl HostVerdicts {
    fn remember(&mut self, thumbprint: Thumbprint, kind: Kind) {
        if self.oldest_first.len() >= VERDICTS_PER_HOST
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.kinds.remove(&oldest);
        }
        self.oldest_first.push_back(thumbprint);
        self.kinds.insert(thumbprint, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_verdict_makes_room_for_the_newest() {
        let mut verdicts = HostVerdicts::default();
        let thumbprint = |index: usize| Thumbprint::of(&index.to_be_bytes());
        for index in 0..=VERDICTS_PER_HOST {
            verdicts.remember(thumbprint(index), Kind::SelfSigned);
        }
        assert_eq!(verdicts.kinds.len(), VERDICTS_PER_HOST);
        assert_eq!(verdicts.oldest_first.len(), VERDICTS_PER_HOST);
        assert_eq!(verdicts.kinds.get(&thumbprint(0)), None);
        assert!(verdicts.kinds.contains_key(&thumbprint(VERDICTS_PER_HOST)));
    }
}
