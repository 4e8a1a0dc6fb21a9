//! The path from a client certificate to a root: built, verified, and why there is none.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, Error, KeyPurposeIdIter, VerifiedPath};

use super::algorithms::{KnownSignature, Work};
use super::list::{Role, Subject};
use super::revocation::{Depth, Signer};
use super::{Der, MAX_INTERMEDIATES, MAX_PRESENTED, RevocationList, Root, TrustSet};
use crate::certificate::{IssuerCert, LeafCert, Validity};
use crate::signature::PublicKey;
use crate::wire::thumbprint::Thumbprint;

/// Why no path leads from a client certificate to a root (RFC 5280 section 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathProblem {
    /// No authority that is trusted, configured or presented has the name of the issuer.
    UnknownIssuer,
    /// An authority has the name of the issuer, and its key does not verify the signature.
    BadSignature,
    /// The certificate of an authority of the path has expired.
    IssuerExpired,
    /// The certificate of an authority of the path is not valid yet.
    IssuerNotYetValid,
    /// An authority of the path may not sign certificates, or not those of TLS clients.
    IssuerUsage,
    /// An authority of the path has a weak or unsupported key, or something critical that the edge
    /// does not understand.
    IssuerUnsupported,
    /// The names in the certificate are outside what an authority of the path may certify.
    NameConstraint,
    /// The path is longer than allowed.
    TooLong(PathLength),
    /// The leaf itself has an extension marked critical that the verification does not understand.
    LeafExtensionUnknown,
    /// The leaf is read differently by the verification of the path.
    LeafMalformed,
    /// The issuer has revoked a certificate of the path.
    Revoked,
    /// No list that speaks for a certificate of the path is at hand.
    RevocationUnknown,
    /// The list that speaks for a certificate of the path is stale.
    ListExpired,
}

/// Which limit a path exceeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathLength {
    /// The pathLenConstraint of an authority.
    Constraint,
    /// [`MAX_INTERMEDIATES`].
    Intermediates,
    /// [`MAX_PRESENTED`].
    Presented,
    /// What the host program shows.
    NotShown,
    /// [`super::MAX_SIGNATURES`], or what rustls-webpki allows itself.
    Work,
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "no trusted path: the issuer is unknown",
            Self::BadSignature => "a signature of the path does not verify",
            Self::IssuerExpired => "a certificate of an issuer has expired",
            Self::IssuerNotYetValid => "a certificate of an issuer is not valid yet",
            Self::IssuerUsage => "an issuer may not certify TLS clients",
            Self::IssuerUnsupported => "an issuer has a key or extension that is not supported",
            Self::NameConstraint => "a name constraint of an issuer excludes the certificate",
            Self::TooLong(PathLength::Constraint) => "the path exceeds a pathLenConstraint",
            Self::TooLong(PathLength::Intermediates) => "the path has more than 4 intermediates",
            Self::TooLong(PathLength::Presented) => "more than 8 intermediates were presented",
            Self::TooLong(PathLength::NotShown) => {
                "more intermediates were presented than the host program shows"
            }
            Self::TooLong(PathLength::Work) => "verifying the path takes too much work",
            Self::LeafExtensionUnknown => "a critical extension is not supported",
            Self::LeafMalformed => "the certificate cannot be read",
            Self::Revoked => "a certificate of the path is revoked",
            Self::RevocationUnknown => "no revocation list speaks for the certificate",
            Self::ListExpired => "the revocation list has expired",
        })
    }
}

/// What became of verifying a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verification {
    /// Whether there is a path, or why not.
    pub result: Result<(), PathProblem>,
    /// When that is so.
    pub holds: Validity,
    /// How many signatures were verified.
    pub signatures: u32,
}

/// What is known of signatures on revocation lists: by list and key.
pub(crate) trait ListSignatures {
    /// Whether the key verifies the list, when that is known.
    fn known(&mut self, list: Thumbprint, key: Thumbprint) -> Option<bool>;
    /// Keeps what was found out.
    fn remember(&mut self, list: Thumbprint, key: Thumbprint, verifies: bool);
}

impl TrustSet {
    /// Looks for a path from the leaf to a root (RFC 5280 section 6), at `time` in seconds since 1970.
    ///
    /// The leaf's own usages, extensions and dates are not judged here. `presented` are the
    /// intermediates that came with the leaf, without it; nobody vouches for them.
    pub(crate) fn verify(
        &self,
        leaf: &LeafCert,
        presented: &[Der],
        time: u64,
        lists: &mut dyn ListSignatures,
    ) -> Verification {
        let mut work = Work::new();
        let result = self.find_path(leaf, presented, time, &mut work, &RefCell::new(lists));
        let result = result.map_err(|problem| match problem {
            _ if work.is_exhausted() => PathProblem::TooLong(PathLength::Work),
            PathProblem::BadSignature if work.met_unusable_key() => PathProblem::IssuerUnsupported,
            problem => problem,
        });
        Verification {
            result,
            holds: self.steady(presented, time),
            signatures: work.done(),
        }
    }

    /// The time around `time` in which no date of any certificate or list passes: in it a verification
    /// always gives the same.
    fn steady(&self, presented: &[Der], time: u64) -> Validity {
        let certificates = presented
            .iter()
            .filter_map(|der| IssuerCert::parse(der).ok());
        let dates = certificates.flat_map(|certificate| certificate.validity().steps());
        let mut steady = Validity::ALWAYS;
        for date in dates.chain(self.steps.iter().copied()) {
            if date <= time {
                steady.not_before = steady.not_before.max(date);
            } else {
                steady.not_after = steady.not_after.min(date.saturating_sub(1));
            }
        }
        steady
    }

    fn find_path<'a>(
        &'a self,
        leaf: &'a LeafCert,
        presented: &'a [Der],
        time: u64,
        work: &mut Work<'a>,
        lists: &RefCell<&mut dyn ListSignatures>,
    ) -> Result<(), PathProblem> {
        if presented.len() > MAX_PRESENTED {
            return Err(PathProblem::TooLong(PathLength::Presented));
        }
        let der = CertificateDer::from(leaf.der());
        let end_entity = EndEntityCert::try_from(&der).map_err(|error| match error {
            Error::UnsupportedCriticalExtension => PathProblem::LeafExtensionUnknown,
            _ => PathProblem::LeafMalformed,
        })?;
        let Genuine {
            certificates,
            otherwise,
        } = self.genuine(leaf, presented, work);
        let configured = self.intermediates.iter().map(|it| &it.der);
        let intermediates: Vec<CertificateDer<'_>> = configured
            .chain(certificates)
            .map(|der| CertificateDer::from(der.as_ref()))
            .collect();
        let work = &*work;
        let accept = |path: &VerifiedPath<'_>| self.judge(leaf, path, time, work, lists);
        let algorithms = work.algorithms();
        let algorithms = algorithms
            .each_ref()
            .map(|algorithm| -> &dyn SignatureVerificationAlgorithm { algorithm });
        end_entity
            .verify_for_usage(
                &algorithms,
                &self.anchors,
                &intermediates,
                UnixTime::since_unix_epoch(Duration::from_secs(time)),
                ForClients,
                None,
                Some(&accept),
            )
            .map(|_| ())
            .map_err(|error| match problem(&error) {
                PathProblem::UnknownIssuer => otherwise,
                problem => problem,
            })
    }

    /// The presented certificates that a trusted authority signed, or one that such a one signed.
    ///
    /// Only these take part in building a path: whoever presents certificates of his own making
    /// cannot make that search long.
    fn genuine<'a>(
        &'a self,
        leaf: &LeafCert,
        presented: &'a [Der],
        work: &mut Work<'a>,
    ) -> Genuine<'a> {
        let mut candidates: Vec<(&'a Der, IssuerCert<'a>)> = presented
            .iter()
            .filter(|der| !self.holds(der))
            .filter_map(|der| Some((der, IssuerCert::parse(der).ok()?)))
            .collect();
        let mut genuine = Genuine {
            certificates: Vec::new(),
            otherwise: PathProblem::UnknownIssuer,
        };
        // By name and key: first the configured authorities, then those that the round before has found,
        // so that no certificate is tried with a key twice.
        let mut signers: Vec<(&[u8], Cow<'_, PublicKey>)> = self
            .authorities()
            .map(|facts| (facts.subject.as_slice(), Cow::Borrowed(&facts.key)))
            .collect();
        while !signers.is_empty() {
            let mut found = Vec::new();
            candidates.retain(|(der, certificate)| {
                let mut keys = signers
                    .iter()
                    .filter(|(name, _)| *name == certificate.issuer())
                    .map(|(_, key)| key)
                    .peekable();
                if keys.peek().is_none() {
                    return true;
                }
                let Some(known) = keys.find_map(|key| certificate.verified_by(key, work)) else {
                    // Worth telling of one that pretends to be the leaf's issuer; others are beside the path.
                    if certificate.subject() == leaf.issuer() {
                        genuine.otherwise = PathProblem::BadSignature;
                    }
                    return true;
                };
                work.remember(known);
                if let Ok(key) = certificate.key() {
                    found.push((certificate.subject(), Cow::Owned(key)));
                }
                genuine.certificates.push(der);
                false
            });
            signers = found;
        }
        genuine
    }

    /// What rustls-webpki does not judge of a path that it found.
    fn judge(
        &self,
        leaf: &LeafCert,
        path: &VerifiedPath<'_>,
        time: u64,
        work: &Work<'_>,
        lists: &RefCell<&mut dyn ListSignatures>,
    ) -> Result<(), Error> {
        let root = self.root(path).ok_or(Error::UnknownIssuer)?;
        check_dates(root.facts.validity, time)?;
        let intermediates: Vec<CertificateDer<'_>> = path
            .intermediate_certificates()
            .map(|certificate| certificate.der())
            .collect();
        let intermediates: Vec<IssuerCert<'_>> = intermediates
            .iter()
            .map(|der| IssuerCert::parse(der).map_err(|_| Error::MalformedExtensions))
            .collect::<Result<_, _>>()?;
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(Error::MaximumPathDepthExceeded);
        }
        let length = u64::try_from(intermediates.len()).unwrap_or(u64::MAX);
        if root.path_len.is_some_and(|limit| length > limit) {
            return Err(Error::PathLenConstraintViolated);
        }
        for certificate in &intermediates {
            if !certificate.signs_certificates() {
                return Err(Error::EndEntityUsedAsCa);
            }
            // They could demand a policy, and policies are not evaluated.
            if certificate.constrains_policies() {
                return Err(Error::UnsupportedCriticalExtension);
            }
        }
        check_email_constraints(leaf, &intermediates, root)?;
        if let Some(revocation) = &self.revocation {
            let verifies =
                |list: &RevocationList, signer: &Signer<'_>| signs_list(list, signer, work, lists);
            let keys: Vec<PublicKey> = intermediates
                .iter()
                .map(|it| it.key().map_err(|_| Error::MalformedExtensions))
                .collect::<Result<_, _>>()?;
            let issuers = intermediates.iter().zip(&keys);
            let signers: Vec<Signer<'_>> = issuers
                .map(|(certificate, key)| Signer {
                    key,
                    key_thumbprint: certificate.key_thumbprint(),
                    signs_lists: certificate.signs_revocation_lists(),
                })
                .chain([root.facts.signer()])
                .collect();
            let authorities = intermediates.iter().map(Subject::from_issuer);
            let subjects = core::iter::once(Subject::from_leaf(leaf)).chain(authorities);
            for (subject, signer) in subjects.zip(&signers) {
                if subject.role == Role::Authority && revocation.depth() == Depth::Leaf {
                    break;
                }
                revocation
                    .check(&subject, signer, time, &verifies)
                    .map_err(|problem| error(problem, time))?;
            }
        }
        Ok(())
    }

    fn root(&self, path: &VerifiedPath<'_>) -> Option<&Root> {
        let anchors = self.anchors.iter().zip(&self.roots);
        let mut found = anchors.filter(|(anchor, _)| core::ptr::eq(*anchor, path.anchor()));
        found.next().map(|(_, root)| root)
    }

    /// What the configured lists say of a leaf whose path the host program verified.
    ///
    /// Which key signed the leaf is not known here, so every configured one of the issuer's name has to
    /// vouch for it.
    pub(crate) fn check_revocation(
        &self,
        leaf: &LeafCert,
        time: u64,
        lists: &mut dyn ListSignatures,
    ) -> Verification {
        let work = Work::new();
        let lists = RefCell::new(lists);
        let verifies =
            |list: &RevocationList, signer: &Signer<'_>| signs_list(list, signer, &work, &lists);
        let mut result = Ok(());
        if let Some(revocation) = &self.revocation {
            let subject = Subject::from_leaf(leaf);
            let mut is_vouched_for = false;
            for facts in self.named(leaf.issuer()) {
                is_vouched_for = true;
                match revocation.check(&subject, &facts.signer(), time, &verifies) {
                    Ok(()) => {}
                    // That it is revoked outweighs that another key's list is missing.
                    Err(PathProblem::Revoked) => result = Err(PathProblem::Revoked),
                    Err(problem) => result = result.and(Err(problem)),
                }
            }
            if !is_vouched_for {
                result = revocation.unknown();
            }
        }
        Verification {
            result,
            holds: self.steady(&[], time),
            signatures: work.done(),
        }
    }
}

/// The presented certificates that take part, and what is said when no path is found with them.
struct Genuine<'a> {
    certificates: Vec<&'a Der>,
    otherwise: PathProblem,
}

impl<'a> IssuerCert<'a> {
    /// The signature of this certificate, when the key verifies it.
    fn verified_by(&self, key: &PublicKey, work: &Work<'_>) -> Option<KnownSignature<'a>> {
        let (message, signature) = self.signed();
        let algorithm = self.signature_algorithm().ok()?;
        work.verifies(algorithm, key, message, signature)
            .then(|| KnownSignature {
                key: key.clone(),
                message,
                signature,
            })
    }
}

fn signs_list(
    list: &RevocationList,
    signer: &Signer<'_>,
    work: &Work<'_>,
    lists: &RefCell<&mut dyn ListSignatures>,
) -> bool {
    let mut lists = lists.borrow_mut();
    if let Some(known) = lists.known(list.digest(), signer.key_thumbprint) {
        return known;
    }
    let (algorithm, message, signature) = list.signed();
    let verifies = work.verifies_list(algorithm, signer.key, message, signature);
    lists.remember(list.digest(), signer.key_thumbprint, verifies);
    verifies
}

/// RFC 5280 section 4.2.1.10: constraints on email addresses reach those in subjects, which
/// rustls-webpki does not look at. They are not evaluated, so such a name under one is refused.
fn check_email_constraints(
    leaf: &LeafCert,
    intermediates: &[IssuerCert<'_>],
    root: &Root,
) -> Result<(), Error> {
    let mut is_constrained = root.constrains_email;
    for certificate in intermediates.iter().rev() {
        if is_constrained && has_email_address(certificate.subject()) {
            return Err(Error::NameConstraintViolation);
        }
        is_constrained |= certificate.constrains_email();
    }
    if is_constrained && has_email_address(leaf.subject()) {
        return Err(Error::NameConstraintViolation);
    }
    Ok(())
}

/// Whether the name has the attribute emailAddress (RFC 5280 section 4.1.2.6), or bytes that look like it.
fn has_email_address(name: &[u8]) -> bool {
    const EMAIL_ADDRESS: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
    name.windows(EMAIL_ADDRESS.len())
        .any(|window| window == EMAIL_ADDRESS)
}

fn check_dates(validity: Validity, time: u64) -> Result<(), Error> {
    let unix = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    if time < validity.not_before {
        return Err(Error::CertNotValidYet {
            time: unix(time),
            not_before: unix(validity.not_before),
        });
    }
    if time > validity.not_after {
        return Err(Error::CertExpired {
            time: unix(time),
            not_after: unix(validity.not_after),
        });
    }
    Ok(())
}

/// extKeyUsage of the leaf was judged before; of an authority anyExtendedKeyUsage will do.
struct ForClients;

impl webpki::ExtendedKeyUsageValidator for ForClients {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        /// 1.3.6.1.5.5.7.3.2, id-kp-clientAuth.
        const CLIENT_AUTH: webpki::KeyPurposeId<'_> =
            webpki::KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
        /// 2.5.29.37.0, anyExtendedKeyUsage.
        const ANY: webpki::KeyPurposeId<'_> = webpki::KeyPurposeId::new(&[0x55, 0x1d, 37, 0]);
        let mut is_restricted = false;
        for purpose in purposes {
            let purpose = purpose?;
            if purpose == CLIENT_AUTH || purpose == ANY {
                return Ok(());
            }
            is_restricted = true;
        }
        if is_restricted {
            // What rustls-webpki gives for an authority that may not be one.
            return Err(Error::EndEntityUsedAsCa);
        }
        Ok(())
    }
}

/// A problem as rustls-webpki ranks it; turned back by [`problem`].
fn error(problem: PathProblem, time: u64) -> Error {
    let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
    match problem {
        PathProblem::Revoked => Error::CertRevoked,
        PathProblem::ListExpired => Error::CrlExpired {
            time,
            next_update: time,
        },
        _ => Error::UnknownRevocationStatus,
    }
}

fn problem(error: &Error) -> PathProblem {
    match error {
        Error::UnknownIssuer => PathProblem::UnknownIssuer,
        Error::InvalidSignatureForPublicKey => PathProblem::BadSignature,
        Error::CertExpired { .. } => PathProblem::IssuerExpired,
        Error::CertNotValidYet { .. } => PathProblem::IssuerNotYetValid,
        Error::EndEntityUsedAsCa | Error::RequiredEkuNotFoundContext(_) => PathProblem::IssuerUsage,
        Error::NameConstraintViolation
        | Error::MalformedNameConstraint
        | Error::InvalidNetworkMaskConstraint
        | Error::UnsupportedNameType
        | Error::MalformedDnsIdentifier => PathProblem::NameConstraint,
        Error::PathLenConstraintViolated => PathProblem::TooLong(PathLength::Constraint),
        Error::MaximumPathDepthExceeded => PathProblem::TooLong(PathLength::Intermediates),
        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => PathProblem::TooLong(PathLength::Work),
        Error::CertRevoked => PathProblem::Revoked,
        Error::UnknownRevocationStatus => PathProblem::RevocationUnknown,
        Error::CrlExpired { .. } => PathProblem::ListExpired,
        // Algorithms, extensions and encodings; `Error` may grow, and what is new refuses as well.
        _ => PathProblem::IssuerUnsupported,
    }
}
