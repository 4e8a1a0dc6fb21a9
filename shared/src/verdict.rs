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
/// How many verdicts are kept in all, some 3 MB; one more, and all are forgotten.
pub const VERDICTS: usize = 32 * 1024;

/// Results of signature verifications, bounded for each host name so that no tenant's clients can
/// push out another's.
///
/// Holds only what can be computed again: a decision is the same with and without it. Dates,
/// usages and lists are never cached, they are judged on every request.
#[derive(Debug, Default)]
pub struct VerdictCache {
    hosts: BTreeMap<HostIndex, HostVerdicts>,
    held: usize,
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
            held: 0,
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
        let kind_of = |is_own| {
            if is_own {
                Kind::SelfSigned
            } else {
                Kind::CaSigned
            }
        };
        if certificate.knows_its_signature() {
            return kind_of(certificate.is_signed_by_own_key());
        }
        let thumbprint = certificate.thumbprint();
        let known = self.hosts.get(&host);
        if let Some(kind) = known.and_then(|known| known.kinds.get(&thumbprint)) {
            return *kind;
        }
        self.verifications = self.verifications.saturating_add(1);
        let kind = kind_of(certificate.is_signed_by_own_key());
        self.remember(host, thumbprint, kind);
        kind
    }
}

impl VerdictCache {
    fn remember(&mut self, host: HostIndex, thumbprint: Thumbprint, kind: Kind) {
        if self.held >= VERDICTS {
            self.hosts.clear();
            self.held = 0;
        }
        let known = self.hosts.entry(host).or_default();
        if known.oldest_first.len() >= VERDICTS_PER_HOST
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.kinds.remove(&oldest);
        } else {
            self.held = self.held.saturating_add(1);
        }
        known.oldest_first.push_back(thumbprint);
        known.kinds.insert(thumbprint, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thumbprint(index: usize) -> Thumbprint {
        Thumbprint::of(&index.to_be_bytes())
    }

    #[test]
    fn the_oldest_verdict_of_a_host_makes_room_for_its_newest() {
        let mut cache = VerdictCache::new();
        let host = HostIndex::default();
        for index in 0..=VERDICTS_PER_HOST {
            cache.remember(host, thumbprint(index), Kind::SelfSigned);
        }
        let known = &cache.hosts[&host];
        assert_eq!(cache.held, VERDICTS_PER_HOST);
        assert_eq!(known.kinds.len(), VERDICTS_PER_HOST);
        assert_eq!(known.oldest_first.len(), VERDICTS_PER_HOST);
        assert_eq!(known.kinds.get(&thumbprint(0)), None);
        assert!(known.kinds.contains_key(&thumbprint(VERDICTS_PER_HOST)));
    }

    #[test]
    fn all_hosts_together_hold_no_more_than_the_bound() {
        let mut cache = VerdictCache::new();
        for index in 0..=VERDICTS {
            cache.remember(
                HostIndex::nth(index / 200),
                thumbprint(index),
                Kind::CaSigned,
            );
            let held: usize = cache.hosts.values().map(|known| known.kinds.len()).sum();
            assert_eq!(cache.held, held);
            if index % 1000 == 0 {
                assert!(held <= VERDICTS);
            }
        }
        assert_eq!(cache.held, 1);
    }
}
