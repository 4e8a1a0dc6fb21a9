//! Who the client is: the judgement of its certificate, in the order of R-9.

use alloc::borrow::{Cow, ToOwned};

use super::presented::Presented;
use crate::certificate::{Authority, CriticalExtensions, LeafCert, Usage, Version};
use crate::config::{
    CaSignedPolicy, CertificatePolicy, Host, PolicyIndex, SelfSignedPolicy, VerifiedBy,
};
use crate::edits::Value;
use crate::refusal::{Reason, TooLarge, UsageProblem};
use crate::request::{HostVerdict, MissingFact};
use crate::signature::AlgorithmProblem;
use crate::verdict::{Candidate, Kind, VerdictCache};
use crate::wire::cert_header::Encoding;

/// Who the client is, once that is decided.
pub(super) enum Client<'a> {
    /// Nobody the edge vouches for.
    Anonymous,
    /// The holder of this certificate, whose header value fits.
    Certified { kind: Kind, header: Value<'a> },
}

/// judges what the client presented, under a policy of the host.
pub(super) fn judge(
    presented: &Presented<'_>,
    policy: &CertificatePolicy,
    index: PolicyIndex,
    now: u64,
    verdicts: &mut VerdictCache,
) -> Result<Kind, Reason> {
    let leaf = &*presented.leaf;
    check_algorithms(leaf)?;
    let kind = verdicts.kind(index, leaf);
    check_kind_is_accepted(kind, policy)?;
    check_dates(leaf, policy, now)?;
    check_usages(leaf, kind)?;
    if let Some(ca_signed) = &policy.ca_signed {
        check_is_no_authority(leaf, ca_signed)?;
        if kind == Kind::CaSigned {
            let time = within_validity(leaf, now);
            check_path(presented, ca_signed, index, time, verdicts)?;
        }
    }
    if policy.deny.knows(leaf) {
        return Err(Reason::CertificateDenied);
    }
    check_registered(leaf, kind, policy)?;
    Ok(kind)
}

/// key and signature are of kinds that mean something.
fn check_algorithms(leaf: &LeafCert) -> Result<(), Reason> {
    let problem = match (leaf.key(), leaf.signature_algorithm()) {
        (Ok(_), Ok(_)) => return Ok(()),
        (Err(problem), _) | (_, Err(problem)) => problem,
    };
    Err(match problem {
        AlgorithmProblem::Weak => Reason::CertificateKeyWeak,
        AlgorithmProblem::Unsupported(_) => Reason::CertificateAlgorithmUnsupported(problem),
    })
}

///
fn check_kind_is_accepted(kind: Kind, policy: &CertificatePolicy) -> Result<(), Reason> {
    let accepted = match kind {
        Kind::CaSigned => policy.ca_signed.is_some(),
        Kind::SelfSigned => policy.self_signed.is_some(),
    };
    if accepted {
        Ok(())
    } else {
        Err(Reason::CertificateKindNotAccepted(kind))
    }
}

/// both dates belong to the validity (RFC 5280 section 4.1.2.5).
fn check_dates(leaf: &LeafCert, policy: &CertificatePolicy, now: u64) -> Result<(), Reason> {
    let validity = leaf.validity();
    let skew = policy.clock_skew_seconds;
    if validity.not_after < validity.not_before {
        // Never valid, whatever the skew.
        Err(Reason::CertificateExpired)
    } else if now.saturating_add(skew) < validity.not_before {
        Err(Reason::CertificateNotYetValid)
    } else if now.saturating_sub(skew) > validity.not_after {
        Err(Reason::CertificateExpired)
    } else {
        Ok(())
    }
}

/// the certificate is meant for a TLS client, as far as it says.
fn check_usages(leaf: &LeafCert, kind: Kind) -> Result<(), Reason> {
    if leaf.version() != Version::V3 {
        return Err(Reason::CertificateVersionUnsupported);
    }
    // Common tools mark what they self-sign as an authority's; a CA that does so is at fault.
    if kind == Kind::CaSigned && leaf.authority() == Authority::Authority {
        return Err(Reason::CertificateIsAuthority);
    }
    if leaf.key_usage() == Usage::Forbidden {
        return Err(Reason::CertificateUsage(UsageProblem::DigitalSignature));
    }
    if leaf.extended_key_usage() == Usage::Forbidden {
        return Err(Reason::CertificateUsage(UsageProblem::ClientAuth));
    }
    match leaf.critical_extensions() {
        CriticalExtensions::Known => Ok(()),
        CriticalExtensions::Unknown => Err(Reason::CertificateExtensionUnknown),
    }
}

/// the certificate of a configured authority, or one with its key, is no client's.
fn check_is_no_authority(leaf: &LeafCert, policy: &CaSignedPolicy) -> Result<(), Reason> {
    if policy.trust.has_authority_key(&leaf.key_thumbprint()) {
        Err(Reason::CertificateIsAuthority)
    } else {
        Ok(())
    }
}

/// The time at which a path is judged: now, or where the clock skew lets a leaf pass that is not valid
/// now, the nearest second at which it is.
fn within_validity(leaf: &LeafCert, now: u64) -> u64 {
    let validity = leaf.validity();
    now.max(validity.not_before).min(validity.not_after)
}

/// a path leads to a root, by whom the configuration trusts to say so.
fn check_path(
    presented: &Presented<'_>,
    policy: &CaSignedPolicy,
    index: PolicyIndex,
    time: u64,
    verdicts: &mut VerdictCache,
) -> Result<(), Reason> {
    let leaf = &*presented.leaf;
    match (policy.verified_by, presented.host_verdict) {
        (VerifiedBy::Edge(_), _) => {
            let candidate = Candidate {
                leaf,
                presented: &presented.chain,
            };
            verdicts
                .path(index, candidate, &policy.trust, time)
                .map_err(Reason::CertificatePath)
        }
        (VerifiedBy::Host, HostVerdict::Unavailable) => {
            Err(Reason::HostUnsupported(MissingFact::HostVerdict))
        }
        (VerifiedBy::Host, HostVerdict::NotVerified) => Err(Reason::CertificateNotVerified),
        (VerifiedBy::Host, HostVerdict::Verified) if policy.trust.revocation().is_none() => Ok(()),
        (VerifiedBy::Host, HostVerdict::Verified) => verdicts
            .revocation(index, leaf, &policy.trust, time)
            .map_err(Reason::CertificatePath),
    }
}

///
fn check_registered(leaf: &LeafCert, kind: Kind, policy: &CertificatePolicy) -> Result<(), Reason> {
    let admitted = match kind {
        Kind::CaSigned => policy
            .ca_signed
            .as_ref()
            .is_some_and(|policy| policy.allow.as_ref().is_none_or(|list| list.contains(leaf))),
        Kind::SelfSigned => match &policy.self_signed {
            Some(SelfSignedPolicy::Forward) => true,
            Some(SelfSignedPolicy::Registered(known)) => known.contains(&leaf.thumbprint()),
            None => false,
        },
    };
    if admitted {
        Ok(())
    } else {
        Err(Reason::CertificateNotRegistered)
    }
}

/// never truncated, never dropped.
pub(super) fn header_value<'a>(
    presented: &Presented<'a>,
    host: &Host,
) -> Result<Value<'a>, Reason> {
    let fields = &host.certificate_fields;
    let value = match (fields.encoding, &presented.leaf) {
        (Encoding::UrlEncodedPem, Cow::Borrowed(leaf)) => Value::Borrowed(leaf.url_encoded_pem()),
        (Encoding::UrlEncodedPem, Cow::Owned(leaf)) => {
            Value::Owned(leaf.url_encoded_pem().to_owned())
        }
        (encoding, leaf) => Value::Owned(encoding.encode(leaf.der())),
    };
    let bytes = value.as_str().len();
    if bytes > fields.max_bytes {
        return Err(Reason::CertificateTooLarge(TooLarge::Encoded {
            bytes,
            limit: fields.max_bytes,
        }));
    }
    Ok(value)
}
