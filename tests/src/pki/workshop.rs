//! How the families of certificates are put together: an authority, a client or a list at a time.

use std::sync::Arc;

use super::authority::Authority;
use super::ca_signed::{HostSays, identity, named_leaf};
use super::certificate::{Template, distinguished_name};
use super::keys::{Key, KeyKind};
use super::revocation::RevocationList;
use super::{Pki, PkiError};

/// The distinguished name of the authority that the tests call `name`.
pub(super) fn authority_name(name: &str) -> Vec<u8> {
    distinguished_name(name, "Example Authority", "AT")
}

/// No departure from a good certificate.
pub(super) fn unchanged(template: Template) -> Template {
    template
}

impl Pki {
    /// Adds a root that departs from a good one.
    pub(super) fn add_root(
        &mut self,
        name: &str,
        kind: KeyKind,
        change: impl FnOnce(Template) -> Template,
    ) -> Result<(), PkiError> {
        let (key, now) = (Key::generate(kind)?, self.generated_at());
        let root = Authority::root_like(authority_name(name), key, now, change)?;
        self.add_authority(name, root);
        Ok(())
    }

    /// Adds an authority that another certified, departing from a good one.
    pub(super) fn add_intermediate(
        &mut self,
        name: &str,
        issuer: &str,
        change: impl FnOnce(Template) -> Template,
    ) -> Result<(), PkiError> {
        let key = Arc::new(Key::generate(KeyKind::P256)?);
        self.add_intermediate_called(name, issuer, authority_name(name), key, change)
    }

    /// Like `add_intermediate`, under a given distinguished name and with a given key.
    pub(super) fn add_intermediate_called(
        &mut self,
        name: &str,
        issuer: &str,
        subject: Vec<u8>,
        key: Arc<Key>,
        change: impl FnOnce(Template) -> Template,
    ) -> Result<(), PkiError> {
        let now = self.generated_at();
        let issuer = self.authority(issuer)?;
        let made = issuer.intermediate_like(subject, key, now, change)?;
        self.add_authority(name, made);
        Ok(())
    }

    /// Adds a client, certified by `issuer`, that presents the certificates of these authorities
    /// behind its own.
    pub(super) fn add_client(
        &mut self,
        name: &str,
        issuer: &str,
        presented: &[&str],
        says: HostSays,
        change: impl FnOnce(Template) -> Template,
    ) -> Result<(), PkiError> {
        let key = Key::generate(KeyKind::P256)?;
        let template = change(named_leaf(name, &key, self.generated_at())?);
        let leaf = self.authority(issuer)?.issue(template, &key)?;
        self.add_presenting(name, leaf, &key, presented, says)
    }

    /// Adds a client with a leaf that stands already.
    pub(super) fn add_presenting(
        &mut self,
        name: &str,
        leaf: Vec<u8>,
        key: &Key,
        presented: &[&str],
        says: HostSays,
    ) -> Result<(), PkiError> {
        let mut chain = vec![leaf];
        for name in presented {
            chain.push(self.authority(name)?.der().to_vec());
        }
        self.add_identity(identity(name, chain, key, says));
        Ok(())
    }

    /// Adds an authority's revocation list.
    pub(super) fn add_list(
        &mut self,
        name: &str,
        issuer: &str,
        list: &RevocationList,
    ) -> Result<(), PkiError> {
        let list = list.issue(self.authority(issuer)?)?;
        self.add_list_der(name, list);
        Ok(())
    }
}
