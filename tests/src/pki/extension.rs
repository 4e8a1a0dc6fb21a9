//! Extensions of certificates and revocation lists.

use super::asn1::{
    INTEGER, OCTET_STRING, SEQUENCE, element, explicit, implicit, named_bits, object_identifier,
    sequence,
};
use super::keys::{Key, der_true};

/// The bit of keyUsage that lets a key sign handshakes.
pub const DIGITAL_SIGNATURE: u8 = 0x80;
/// The bit of keyUsage for key agreement.
pub const KEY_AGREEMENT: u8 = 0x08;
/// The bit of keyUsage that lets a key sign certificates.
pub const KEY_CERT_SIGN: u8 = 0x04;
/// The bit of keyUsage that lets a key sign revocation lists.
pub const CRL_SIGN: u8 = 0x02;

/// The purpose `serverAuth`.
pub const SERVER_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
/// The purpose `clientAuth`.
pub const CLIENT_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
/// The purpose `anyExtendedKeyUsage`.
pub const ANY_PURPOSE: &[u32] = &[2, 5, 29, 37, 0];

const SUBJECT_KEY_IDENTIFIER: &[u32] = &[2, 5, 29, 14];
pub(super) const KEY_USAGE: &[u32] = &[2, 5, 29, 15];
pub(super) const SUBJECT_ALT_NAME: &[u32] = &[2, 5, 29, 17];
pub(super) const BASIC_CONSTRAINTS: &[u32] = &[2, 5, 29, 19];
const CRL_NUMBER: &[u32] = &[2, 5, 29, 20];
const DELTA_CRL_INDICATOR: &[u32] = &[2, 5, 29, 27];
const ISSUING_DISTRIBUTION_POINT: &[u32] = &[2, 5, 29, 28];
const NAME_CONSTRAINTS: &[u32] = &[2, 5, 29, 30];
const CRL_DISTRIBUTION_POINTS: &[u32] = &[2, 5, 29, 31];
const CERTIFICATE_POLICIES: &[u32] = &[2, 5, 29, 32];
const POLICY_CONSTRAINTS: &[u32] = &[2, 5, 29, 36];
const AUTHORITY_KEY_IDENTIFIER: &[u32] = &[2, 5, 29, 35];
pub(super) const EXTENDED_KEY_USAGE: &[u32] = &[2, 5, 29, 37];
/// Below the arc for examples in documentation; no program knows it.
const UNKNOWN: &[u32] = &[2, 999, 32_473, 1];

/// Whether a reader that does not know an extension has to refuse the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criticality {
    /// It has to.
    Critical,
    /// It may ignore the extension.
    Ignorable,
}

/// Whether basicConstraints says that the subject is an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `CA:TRUE`.
    Authority,
    /// `CA:TRUE` with a pathLenConstraint: how many intermediates may stand below.
    AuthorityOver(u8),
    /// `CA:FALSE`.
    EndEntity,
}

/// One extension.
#[derive(Clone, Debug)]
pub struct Extension {
    arcs: &'static [u32],
    criticality: Criticality,
    value: Vec<u8>,
}

/// One name of the subjectAltName extension, or what a name constraint holds names to.
#[derive(Clone, Copy, Debug)]
pub enum AltName<'a> {
    /// A DNS name.
    Dns(&'a str),
    /// A URI.
    Uri(&'a str),
    /// An email address.
    Email(&'a str),
    /// An IP address in network order; in a constraint with its mask behind it.
    Ip(&'a [u8]),
    /// A distinguished name in DER.
    Directory(&'a [u8]),
}

impl AltName<'_> {
    /// The name as a `GeneralName` (RFC 5280 4.2.1.6).
    fn der(&self) -> Vec<u8> {
        match self {
            Self::Email(text) => element(implicit(1), text.as_bytes()),
            Self::Dns(text) => element(implicit(2), text.as_bytes()),
            Self::Directory(name) => element(explicit(4), name),
            Self::Uri(text) => element(implicit(6), text.as_bytes()),
            Self::Ip(octets) => element(implicit(7), octets),
        }
    }
}

/// What a revocation list is for, by its issuingDistributionPoint (RFC 5280 5.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Certificates that are no authorities'.
    Users,
    /// Certificates of authorities.
    Authorities,
    /// Certificates that name this distribution point.
    Point(&'a str),
}

impl Extension {
    /// basicConstraints, critical.
    pub fn basic_constraints(role: Role) -> Self {
        let value = match role {
            Role::Authority => sequence(&[&der_true()]),
            Role::AuthorityOver(count) => sequence(&[&der_true(), &element(INTEGER, &[count])]),
            Role::EndEntity => sequence(&[]),
        };
        Self {
            arcs: BASIC_CONSTRAINTS,
            criticality: Criticality::Critical,
            value,
        }
    }

    /// keyUsage, critical, with the given bits.
    pub fn key_usage(bits: u8) -> Self {
        Self {
            arcs: KEY_USAGE,
            criticality: Criticality::Critical,
            value: named_bits(bits),
        }
    }

    /// extKeyUsage with the given purposes.
    pub fn extended_key_usage(purposes: &[&[u32]]) -> Self {
        let purposes: Vec<u8> = purposes
            .iter()
            .flat_map(|arcs| object_identifier(arcs))
            .collect();
        Self::ignorable(EXTENDED_KEY_USAGE, element(SEQUENCE, &purposes))
    }

    /// subjectAltName with the given names.
    pub fn subject_alt_name(names: &[AltName<'_>]) -> Self {
        let names: Vec<u8> = names.iter().flat_map(AltName::der).collect();
        Self::ignorable(SUBJECT_ALT_NAME, element(SEQUENCE, &names))
    }

    /// subjectKeyIdentifier of `key`.
    pub fn subject_key_identifier(key: &Key) -> Self {
        Self::ignorable(
            SUBJECT_KEY_IDENTIFIER,
            element(OCTET_STRING, &key.identifier()),
        )
    }

    /// authorityKeyIdentifier naming `key`.
    pub fn authority_key_identifier(key: &Key) -> Self {
        let identifier = element(implicit(0), &key.identifier());
        Self::ignorable(AUTHORITY_KEY_IDENTIFIER, sequence(&[&identifier]))
    }

    /// An extension nobody knows, with a value of the given bytes.
    pub fn unknown(criticality: Criticality, bytes: &[u8]) -> Self {
        Self {
            arcs: UNKNOWN,
            criticality,
            value: element(OCTET_STRING, bytes),
        }
    }

    /// nameConstraints, critical: what names may be, and what they may not.
    pub fn name_constraints(permitted: &[AltName<'_>], excluded: &[AltName<'_>]) -> Self {
        let subtrees = |number: u8, names: &[AltName<'_>]| {
            let subtrees: Vec<u8> = names
                .iter()
                .flat_map(|name| sequence(&[&name.der()]))
                .collect();
            // A list that is there must not be empty (RFC 5280 4.2.1.10).
            if subtrees.is_empty() {
                return subtrees;
            }
            element(explicit(number), &subtrees)
        };
        Self {
            arcs: NAME_CONSTRAINTS,
            criticality: Criticality::Critical,
            value: sequence(&[&subtrees(0, permitted), &subtrees(1, excluded)]),
        }
    }

    /// certificatePolicies with one policy that nobody asks for.
    pub fn certificate_policies(criticality: Criticality) -> Self {
        let policy = sequence(&[&object_identifier(UNKNOWN)]);
        Self {
            arcs: CERTIFICATE_POLICIES,
            criticality,
            value: sequence(&[&policy]),
        }
    }

    /// policyConstraints that demand a policy of every certificate below.
    pub fn policy_constraints() -> Self {
        let require_explicit_policy = element(implicit(0), &[0]);
        Self::ignorable(POLICY_CONSTRAINTS, sequence(&[&require_explicit_policy]))
    }

    /// cRLDistributionPoints: where the list that can revoke a certificate is.
    pub fn crl_distribution_point(uri: &str) -> Self {
        let point = sequence(&[&distribution_point_name(uri)]);
        Self::ignorable(CRL_DISTRIBUTION_POINTS, sequence(&[&point]))
    }

    /// issuingDistributionPoint, critical: what a revocation list is for.
    pub fn issuing_distribution_point(scope: Scope<'_>) -> Self {
        let scope = match scope {
            Scope::Point(uri) => distribution_point_name(uri),
            Scope::Users => element(implicit(1), &[0xff]),
            Scope::Authorities => element(implicit(2), &[0xff]),
        };
        Self {
            arcs: ISSUING_DISTRIBUTION_POINT,
            criticality: Criticality::Critical,
            value: sequence(&[&scope]),
        }
    }

    /// cRLNumber, which every revocation list has.
    pub(crate) fn crl_number(number: &[u8]) -> Self {
        Self::ignorable(CRL_NUMBER, element(INTEGER, number))
    }

    /// deltaCRLIndicator, critical: the list holds only what has changed since that one.
    pub fn delta_crl_indicator(number: &[u8]) -> Self {
        Self {
            arcs: DELTA_CRL_INDICATOR,
            criticality: Criticality::Critical,
            value: element(INTEGER, number),
        }
    }

    /// A list of extensions in DER.
    pub(crate) fn list(extensions: &[Self]) -> Vec<u8> {
        let parts: Vec<u8> = extensions.iter().flat_map(Self::der).collect();
        element(SEQUENCE, &parts)
    }

    pub(super) fn is_same_kind(&self, other: &Self) -> bool {
        self.is(other.arcs)
    }

    pub(super) fn is(&self, arcs: &[u32]) -> bool {
        self.arcs == arcs
    }

    fn ignorable(arcs: &'static [u32], value: Vec<u8>) -> Self {
        Self {
            arcs,
            criticality: Criticality::Ignorable,
            value,
        }
    }

    fn der(&self) -> Vec<u8> {
        let critical = match self.criticality {
            Criticality::Critical => der_true(),
            Criticality::Ignorable => Vec::new(),
        };
        sequence(&[
            &object_identifier(self.arcs),
            &critical,
            &element(OCTET_STRING, &self.value),
        ])
    }
}

/// A `DistributionPointName` with one full name, in the field `[0]` where both extensions have it.
fn distribution_point_name(uri: &str) -> Vec<u8> {
    let full_name = element(explicit(0), &AltName::Uri(uri).der());
    element(explicit(0), &full_name)
}
