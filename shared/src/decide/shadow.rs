//! Shadow: what would be refused, and is only watched.

use super::{Failure, shown_thumbprint};
use crate::config::{CertificatePolicy, Host, PathList, ShadowScope};
use crate::refusal::{Reason, Refusal};
use crate::request::Request;

/// What is watched on a host, and the first that was found there.
pub(super) struct Watched<'a> {
    scope: Option<&'a ShadowScope>,
    found: Option<Failure<'a>>,
}

impl<'a> Watched<'a> {
    /// What the host watches at `now`, in seconds since 1970.
    pub(super) fn new(host: &'a Host, now: u64) -> Self {
        let shadow = host.shadow.as_ref().filter(|shadow| shadow.is_on(now));
        Self {
            scope: shadow.map(|shadow| &shadow.scope),
            found: None,
        }
    }

    /// Lets a failure pass that is only watched; nothing is left then of what was checked.
    pub(super) fn pass<T>(
        &mut self,
        checked: Result<T, Failure<'a>>,
    ) -> Result<Option<T>, Failure<'a>> {
        match checked {
            Ok(passed) => Ok(Some(passed)),
            Err(failure) if self.is_watched(failure.reason) => {
                self.find(failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// but neither early data nor what cannot be read; the path list where that is said.
    fn is_watched(&self, reason: Reason) -> bool {
        let Some(ShadowScope::Refusals(path_list)) = self.scope else {
            return false;
        };
        match reason {
            Reason::MisdirectedRequest(_) => true,
            Reason::PathNotAllowed => *path_list == PathList::Watched,
            Reason::CertificateMalformed => false,
            reason => reason.is_about_certificate(),
        }
    }

    /// The policy that is judged beside the one in force.
    pub(super) fn candidate(&self) -> Option<&'a CertificatePolicy> {
        match self.scope {
            Some(ShadowScope::Candidate(policy)) => Some(policy),
            Some(ShadowScope::Refusals(_)) | None => None,
        }
    }

    /// Remembers what would have refused the request; the first counts.
    pub(super) fn find(&mut self, failure: Failure<'a>) {
        self.found.get_or_insert(failure);
    }

    /// Whether the origin may be told of the client: unless something in force would have refused it.
    pub(super) const fn lets_tell(&self) -> bool {
        self.found.is_none() || matches!(self.scope, Some(ShadowScope::Candidate(_)))
    }

    /// What would have refused the request.
    pub(super) fn found(self, request: &Request<'_>, identity_claims: u32) -> Option<Refusal> {
        let failure = self.found?;
        Some(Refusal {
            reason: failure.reason,
            class: failure.class,
            thumbprint: failure.thumbprint.or_else(|| shown_thumbprint(request)),
            identity_claims,
        })
    }
}
