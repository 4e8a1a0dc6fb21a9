//! Certificate revocation lists, how they are used, and what they say of a certificate.
//!
//! Their signatures are verified when they are first needed, since a configuration can hold thousands.

use alloc::vec::Vec;

use super::PathProblem;
use super::list::{RevocationList, Subject};
use crate::signature::PublicKey;
use crate::wire::thumbprint::{Digest, Thumbprint};

/// How much of a path is looked up in revocation lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// The leaf.
    Leaf,
    /// The leaf and every intermediate.
    Path,
}

/// What is done when a list is not as it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tolerance {
    /// The certificate is refused.
    Refuse,
    /// The certificate is taken as not revoked.
    Accept,
}

/// Revocation lists, and how they are used.
#[derive(Clone, Debug)]
pub struct Revocation {
    depth: Depth,
    unknown: Tolerance,
    stale: Tolerance,
    /// The newest first.
    lists: Vec<RevocationList>,
    unreadable: usize,
}

/// The key that has to have signed a list.
pub(super) struct Signer<'a> {
    pub(super) key: &'a PublicKey,
    pub(super) key_thumbprint: Thumbprint,
    /// Whether its certificate allows it to sign lists.
    pub(super) signs_lists: bool,
}

impl Revocation {
    /// Puts lists and policy together.
    pub fn new(
        depth: Depth,
        unknown: Tolerance,
        stale: Tolerance,
        mut lists: Vec<RevocationList>,
    ) -> Self {
        lists.sort_by_key(|list| core::cmp::Reverse(list.this_update()));
        Self {
            depth,
            unknown,
            stale,
            lists,
            unreadable: 0,
        }
    }

    /// Adds lists, and counts those that could not be read.
    pub(super) fn add(&mut self, lists: impl Iterator<Item = Option<RevocationList>>) {
        for list in lists {
            match list {
                Some(list) => self.lists.push(list),
                None => self.unreadable = self.unreadable.saturating_add(1),
            }
        }
        self.lists
            .sort_by_key(|list| core::cmp::Reverse(list.this_update()));
    }

    /// Whether there is no list.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// How many lists could not be read.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable
    }

    pub(super) fn add_to(&self, digest: &mut Digest) {
        let policy = alloc::format!("{:?} {:?} {:?}", self.depth, self.unknown, self.stale);
        digest.add(b"revocation", policy.as_bytes());
        for list in &self.lists {
            digest.add(b"list", &list.digest().0);
        }
    }

    /// How much of a path is looked up.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// The times at which what the lists say can change, in seconds since 1970.
    pub(super) fn steps(&self) -> impl Iterator<Item = u64> {
        let lists = self.lists.iter();
        lists.flat_map(|list| [list.this_update(), list.next_update()])
    }

    /// How many lists should have been followed by another one by then.
    pub(super) fn stale(&self, time: u64) -> usize {
        let lists = self.lists.iter();
        lists.filter(|list| time >= list.next_update()).count()
    }

    /// The issuers of the lists, each as the DER of an RDNSequence.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &[u8]> {
        self.lists.iter().map(RevocationList::issuer)
    }

    /// What becomes of a certificate no list speaks for.
    pub(super) fn unknown(&self) -> Result<(), PathProblem> {
        match self.unknown {
            Tolerance::Refuse => Err(PathProblem::RevocationUnknown),
            Tolerance::Accept => Ok(()),
        }
    }

    /// Whether the certificate is not revoked; its newest list decides, and of equally new ones each.
    ///
    /// Any list that the key signed can revoke: serial numbers are the issuer's own. To release, it has to
    /// speak for the certificate, be in force, and come from a signer whose certificate allows it.
    pub(super) fn check(
        &self,
        subject: &Subject<'_>,
        signer: &Signer<'_>,
        time: u64,
        verifies: &dyn Fn(&RevocationList, &Signer<'_>) -> bool,
    ) -> Result<(), PathProblem> {
        let is_its =
            |list: &&RevocationList| list.issuer() == subject.issuer && verifies(list, signer);
        let mut newest: Option<&RevocationList> = None;
        for list in self.lists.iter().filter(is_its) {
            if newest.is_some_and(|newest| list.this_update() < newest.this_update()) {
                break;
            }
            if list.revokes(subject.serial) {
                return Err(PathProblem::Revoked);
            }
            if list.covers(subject) && signer.signs_lists && list.this_update() <= time {
                newest = newest.filter(|newest| newest.next_update() <= list.next_update());
                newest = newest.or(Some(list));
            }
        }
        let Some(list) = newest else {
            return self.unknown();
        };
        // RFC 5280 section 5.1.2.5: the next list is there by then, so this one is stale.
        if time >= list.next_update() && self.stale == Tolerance::Refuse {
            return Err(PathProblem::ListExpired);
        }
        Ok(())
    }
}
