//! Sessions that connections share, and to whom they are offered.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

use super::TlsOptions;
use super::presented::Presented;
use super::verifier::Verifier;

/// Sessions that several connections share, one after the other.
///
/// A session is only resumed with the server's root and the identity it was made with: rustls asks
/// for the very same verifier and credentials, so they are kept here as well.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Arc<Store>,
    parties: Arc<Mutex<HashMap<Party, Parties>>>,
}

type Party = (String, Option<(String, Vec<u8>)>);
type Parties = (Arc<Verifier>, Arc<Presented>);

/// Whether a session may be offered to a server of another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    SameName,
    AnyName,
}

impl Sessions {
    /// Sessions that are offered to the server name they were made with, as browsers do.
    pub fn new() -> Self {
        Self::with_scope(Scope::SameName)
    }

    /// Sessions that are offered to any server name, as an attacker does.
    pub fn across_names() -> Self {
        Self::with_scope(Scope::AnyName)
    }

    fn with_scope(scope: Scope) -> Self {
        let cache = ClientSessionMemoryCache::new(256);
        Self {
            store: Arc::new(Store { cache, scope }),
            parties: Arc::default(),
        }
    }

    pub(super) fn store(&self) -> Arc<dyn ClientSessionStore> {
        self.store.clone()
    }

    /// The verifier and credentials of earlier connections of the same parties, or the given ones.
    pub(super) fn parties(&self, options: &TlsOptions<'_>, new: Parties) -> Parties {
        let identity = options
            .identity
            .map(|it| (it.name.clone(), it.leaf().to_vec()));
        let party = (options.server_ca.to_owned(), identity);
        let mut known = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(party).or_insert(new).clone()
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Store {
    cache: ClientSessionMemoryCache,
    scope: Scope,
}

impl Store {
    fn key(&self, name: &ServerName<'_>) -> ServerName<'static> {
        match self.scope {
            Scope::AnyName => ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()),
            Scope::SameName => name.to_owned(),
        }
    }
}

impl ClientSessionStore for Store {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(self.key(&name), group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(&self.key(name))
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.set_tls12_session(self.key(&name), value);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.cache.tls12_session(&self.key(name))
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.cache.remove_tls12_session(&self.key(name));
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.cache.insert_tls13_ticket(self.key(&name), value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.cache.take_tls13_ticket(&self.key(name))
    }
}
