//! What verification says of a client certificate, and the cache of what it costs.

use alloc::collections::{BTreeMap, VecDeque};

use crate::certificate::{IssuedBy, LeafCert, Validity};
use crate::config::PolicyIndex;
use crate::trust::{Chain, ListSignatures, PathProblem, TrustSet, Verification};
use crate::wire::thumbprint::Thumbprint;

/// The two kinds of trust in a client certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Issued by an authority, or claiming to be.
    CaSigned,
    /// Issuer and subject are the same DER and the certificate's own key verifies its signature.
    SelfSigned,
}

/// How many verdicts of each sort are kept for one certificate policy: kinds, paths, and signatures on
/// revocation lists; at about 200 bytes each, some 150 KB.
pub const VERDICTS_PER_POLICY: usize = 256;
/// How many verdicts are kept in all, some 6 MB; one more, and all are forgotten.
pub const VERDICTS: usize = 32 * 1024;

/// Results of signature verifications, bounded for each policy so that no tenant's clients can push out
/// another's, nor a policy that is only watched those of the one in force.
///
/// Holds only what can be computed again: a decision is the same with and without it. Dates of the
/// leaf, usages and lists of registered certificates are never cached, they are judged on every request.
#[derive(Debug, Default)]
pub struct VerdictCache {
    policies: BTreeMap<PolicyIndex, PolicyVerdicts>,
    held: usize,
    verifications: u64,
    hits: u64,
}

/// What a path leads from and what it leads to: everything but the time that has a say in it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct PathKey {
    leaf: Thumbprint,
    presented: Option<Thumbprint>,
    trust: Option<Thumbprint>,
}

/// What became of a path, and when that holds.
#[derive(Clone, Copy, Debug)]
struct PathVerdict {
    result: Result<(), PathProblem>,
    holds: Validity,
}

#[derive(Debug, Default)]
struct PolicyVerdicts {
    kinds: Bounded<Thumbprint, Kind>,
    paths: Bounded<PathKey, PathVerdict>,
    /// By list and key.
    lists: Bounded<(Thumbprint, Thumbprint), bool>,
}

impl PolicyVerdicts {
    fn len(&self) -> usize {
        let kinds = self.kinds.known.len();
        let paths = self.paths.known.len();
        kinds
            .saturating_add(paths)
            .saturating_add(self.lists.known.len())
    }
}

/// At most [`VERDICTS_PER_POLICY`] entries; the oldest makes room for a new one.
#[derive(Debug)]
struct Bounded<K, V> {
    known: BTreeMap<K, V>,
    oldest_first: VecDeque<K>,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            oldest_first: VecDeque::new(),
        }
    }
}

impl<K: Copy + Ord, V: Copy> Bounded<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.known.get(key).copied()
    }

    fn put(&mut self, key: K, value: V) {
        if self.known.insert(key, value).is_some() {
            return;
        }
        if self.oldest_first.len() >= VERDICTS_PER_POLICY
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.oldest_first.push_back(key);
    }
}

impl ListSignatures for Bounded<(Thumbprint, Thumbprint), bool> {
    fn known(&mut self, list: Thumbprint, key: Thumbprint) -> Option<bool> {
        self.get(&(list, key))
    }

    fn remember(&mut self, list: Thumbprint, key: Thumbprint, verifies: bool) {
        self.put((list, key), verifies);
    }
}

/// A certificate whose path is in question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// The certificate.
    pub(crate) leaf: &'a LeafCert,
    /// What came with it.
    pub(crate) presented: &'a Chain,
}

impl VerdictCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self {
            policies: BTreeMap::new(),
            held: 0,
            verifications: 0,
            hits: 0,
        }
    }

    /// How many signatures were verified because the answer was not known.
    pub fn verifications(&self) -> u64 {
        self.verifications
    }

    /// How often an answer was known.
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// The kind of the certificate; verifies its signature at most once while it is remembered.
    ///
    /// The key is the SHA-256 of the leaf alone: neither a presented chain nor a trust set has a
    /// say in whether a certificate verifies under its own key.
    pub fn kind(&mut self, policy: PolicyIndex, certificate: &LeafCert) -> Kind {
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
            self.hits = self.hits.saturating_add(1);
            return kind_of(certificate.is_signed_by_own_key());
        }
        let thumbprint = certificate.thumbprint();
        let known = self.policies.get(&policy);
        if let Some(kind) = known.and_then(|known| known.kinds.get(&thumbprint)) {
            self.hits = self.hits.saturating_add(1);
            return kind;
        }
        self.verifications = self.verifications.saturating_add(1);
        let kind = kind_of(certificate.is_signed_by_own_key());
        self.keep(policy, |known| known.kinds.put(thumbprint, kind));
        kind
    }

    /// Whether a path leads from the candidate to a root of the trust set, at `time` in
    /// seconds since 1970; searched for at most once while the answer holds and is remembered.
    pub(crate) fn path(
        &mut self,
        policy: PolicyIndex,
        candidate: Candidate<'_>,
        trust: &TrustSet,
        time: u64,
    ) -> Result<(), PathProblem> {
        self.verdict(policy, candidate, trust, time, |lists| {
            trust.verify(
                candidate.leaf,
                candidate.presented.certificates(),
                time,
                lists,
            )
        })
    }

    /// Whether the revocation lists of the trust set let a leaf pass whose path the host program
    /// verified.
    pub(crate) fn revocation(
        &mut self,
        policy: PolicyIndex,
        leaf: &LeafCert,
        trust: &TrustSet,
        time: u64,
    ) -> Result<(), PathProblem> {
        let candidate = Candidate {
            leaf,
            presented: Chain::EMPTY,
        };
        self.verdict(policy, candidate, trust, time, |lists| {
            trust.check_revocation(leaf, time, lists)
        })
    }

    fn verdict(
        &mut self,
        policy: PolicyIndex,
        candidate: Candidate<'_>,
        trust: &TrustSet,
        time: u64,
        verify: impl FnOnce(&mut dyn ListSignatures) -> Verification,
    ) -> Result<(), PathProblem> {
        let key = PathKey {
            leaf: candidate.leaf.thumbprint(),
            presented: candidate.presented.digest(),
            trust: trust.digest(),
        };
        let known = self.policies.get(&policy);
        let known = known.and_then(|known| known.paths.get(&key));
        if let Some(known) = known.filter(|known| known.holds.contains(time)) {
            self.hits = self.hits.saturating_add(1);
            return known.result;
        }
        let done = self.keep(policy, |known| {
            let done = verify(&mut known.lists);
            let verdict = PathVerdict {
                result: done.result,
                holds: done.holds,
            };
            known.paths.put(key, verdict);
            done
        });
        self.verifications = self.verifications.saturating_add(done.signatures.into());
        done.result
    }

    /// Lets `change` change what is kept for the host.
    fn keep<T>(&mut self, policy: PolicyIndex, change: impl FnOnce(&mut PolicyVerdicts) -> T) -> T {
        if self.held >= VERDICTS {
            self.policies.clear();
            self.held = 0;
        }
        let known = self.policies.entry(policy).or_default();
        let before = known.len();
        let changed = change(known);
        self.held = self.held.saturating_sub(before).saturating_add(known.len());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostIndex;

    fn thumbprint(index: usize) -> Thumbprint {
        Thumbprint::of(&index.to_be_bytes())
    }

    fn remember(cache: &mut VerdictCache, host: PolicyIndex, index: usize) {
        cache.keep(host, |known| {
            known.kinds.put(thumbprint(index), Kind::SelfSigned);
        });
    }

    #[test]
    fn the_oldest_verdict_of_a_host_makes_room_for_its_newest() {
        let mut cache = VerdictCache::new();
        let host = PolicyIndex::default();
        for index in 0..=VERDICTS_PER_POLICY {
            remember(&mut cache, host, index);
        }
        let known = &cache.policies[&host].kinds;
        assert_eq!(cache.held, VERDICTS_PER_POLICY);
        assert_eq!(known.known.len(), VERDICTS_PER_POLICY);
        assert_eq!(known.oldest_first.len(), VERDICTS_PER_POLICY);
        assert_eq!(known.get(&thumbprint(0)), None);
        assert!(known.get(&thumbprint(VERDICTS_PER_POLICY)).is_some());
    }

    #[test]
    fn a_verdict_that_is_replaced_takes_no_more_room() {
        let mut cache = VerdictCache::new();
        for _ in 0..3 {
            remember(&mut cache, PolicyIndex::default(), 1);
        }
        assert_eq!(cache.held, 1);
        assert_eq!(
            cache.policies[&PolicyIndex::default()]
                .kinds
                .oldest_first
                .len(),
            1
        );
    }

    #[test]
    fn all_hosts_together_hold_no_more_than_the_bound() {
        let mut cache = VerdictCache::new();
        for index in 0..=VERDICTS {
            remember(&mut cache, HostIndex::nth(index / 200).in_force(), index);
            let held: usize = cache.policies.values().map(PolicyVerdicts::len).sum();
            assert_eq!(cache.held, held);
            if index % 1000 == 0 {
                assert!(held <= VERDICTS);
            }
        }
        assert_eq!(cache.held, 1);
    }
}
