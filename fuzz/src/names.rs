//! What name constraints certainly forbid, read without the core and without its libraries.

use auth_edge::certificate::{AlternativeName, LeafCert};

use crate::authority::{NAME_CONSTRAINTS, Subtrees};
use crate::der::{Content, Element};

/// Forms of names by their tags (RFC 5280 section 4.2.1.6).
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const DIRECTORY: u8 = 0xa4;

/// The names of one form in nameConstraints.
#[derive(Debug)]
pub struct Constraint {
    subtrees: Subtrees,
    form: u8,
    names: Vec<Vec<u8>>,
}

/// The constraints of a certificate, one for each form of names and kind of subtrees.
pub fn constraints(certificate: &[u8]) -> Vec<Constraint> {
    let mut found = Vec::new();
    let Some((tree, _)) = Element::read(certificate) else {
        return found;
    };
    let signed = tree.elements().first().map_or(&[][..], Element::elements);
    let extensions = signed.last().and_then(|last| last.elements().first());
    for extension in extensions.map_or(&[][..], Element::elements) {
        let [identifier, .., value] = extension.elements() else {
            continue;
        };
        if *identifier != Element::octets(0x06, NAME_CONSTRAINTS) {
            continue;
        }
        let value = value.elements().first().map_or(&[][..], Element::elements);
        for part in value {
            let subtrees = match part.tag {
                0xa0 => Subtrees::Permitted,
                _ => Subtrees::Excluded,
            };
            for form in [EMAIL, DNS, URI, DIRECTORY] {
                let names = part.elements().iter();
                let names = names.filter_map(|subtree| subtree.elements().first());
                let names: Vec<Vec<u8>> = names
                    .filter(|name| name.tag == form)
                    .map(|name| match &name.content {
                        Content::Octets(octets) => octets.clone(),
                        Content::Elements(..) => name.write(),
                    })
                    .collect();
                if !names.is_empty() {
                    found.push(Constraint {
                        subtrees,
                        form,
                        names,
                    });
                }
            }
        }
    }
    found
}

impl Constraint {
    /// Whether the leaf certainly has a name that the constraint forbids, or one of a form whose
    /// constraints the edge does not understand.
    #[must_use]
    pub fn forbids(&self, leaf: &LeafCert) -> bool {
        let mut names = leaf.alternative_names();
        match self.form {
            DNS => names.any(|name| match name {
                AlternativeName::Dns(name) if is_plain(name.as_bytes()) => self.forbids_dns(name),
                _ => false,
            }),
            EMAIL => names.any(|name| matches!(name, AlternativeName::Email(_))),
            URI => names.any(|name| matches!(name, AlternativeName::Uri(_))),
            // An empty name has no parts that could be constrained.
            _ => leaf.subject() != [0x30, 0],
        }
    }

    fn forbids_dns(&self, name: &str) -> bool {
        let name = name.as_bytes().to_ascii_lowercase();
        // What a constraint of another form means is not certain.
        let mut names = self.names.iter();
        let is_certain = names.all(|base| is_plain(base));
        let mut names = self.names.iter();
        let is_below = names.any(|base| {
            let base = base.to_ascii_lowercase();
            let before = name.strip_suffix(base.as_slice());
            before.is_some_and(|before| before.is_empty() || before.ends_with(b"."))
        });
        match self.subtrees {
            Subtrees::Excluded => is_below,
            Subtrees::Permitted => is_certain && !is_below,
        }
    }
}

/// Whether it is a host name of labels with letters, digits and hyphens.
fn is_plain(name: &[u8]) -> bool {
    let mut labels = name.split(|byte| *byte == b'.');
    labels.all(|label| {
        let is_ldh = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        !label.is_empty() && label.iter().all(is_ldh)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{name_constraints, with_extensions};
    use crate::scenarios::CA_CLIENT;

    #[track_caller]
    fn check(subtrees: Subtrees, form: u8, name: &[u8], expected: bool) {
        let extension = name_constraints(subtrees, &[(form, name)]);
        let limited = with_extensions(&CA_CLIENT, &[extension]).unwrap();
        let [constraint] = &constraints(&limited)[..] else {
            panic!("one constraint")
        };
        let leaf = LeafCert::parse(CA_CLIENT.clone()).unwrap();
        assert_eq!(constraint.forbids(&leaf), expected, "{constraint:?}");
    }

    #[test]
    fn names_below_a_name_are_constrained_with_it() {
        let parent = b"Clients.example.com";
        check(Subtrees::Permitted, DNS, parent, false);
        check(Subtrees::Excluded, DNS, parent, true);
        check(Subtrees::Permitted, DNS, b"other.example.com", true);
        check(Subtrees::Excluded, DNS, b"1.clients.example.com", false);
        check(Subtrees::Permitted, DNS, b".clients.example.com", false);
        check(Subtrees::Permitted, URI, b"example.com", true);
        check(Subtrees::Excluded, DIRECTORY, &[0x30, 0], true);
    }
}
