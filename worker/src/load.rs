//! The configuration: where it comes from, and when it is read again.

use std::cell::Cell;

use auth_edge::config::Config;
use auth_edge::host_name::HostName;
use auth_edge::wire::config_json::{self, Store};
use auth_edge::wire::thumbprint::Thumbprint;
use worker::Env;

use crate::host::{self, ConfigBinding};

/// The configuration that was there when the Worker was built; empty when none was.
static BUNDLED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/config.json"));

/// What a configuration is made of.
pub(crate) struct Source {
    json: Vec<u8>,
    /// What the database holds; none without one.
    lists: Option<Result<Lists, String>>,
}

/// Revocation lists: custom domain and DER.
type Lists = Vec<(String, Vec<u8>)>;

/// The secrets and lists of this Worker.
struct Kept<'a> {
    env: &'a Env,
    lists: Option<Result<&'a Lists, &'a String>>,
    /// Why a list that was asked for could not be had.
    missed: Cell<Option<&'a String>>,
}

impl Store for Kept<'_> {
    fn secret(&self, name: &str) -> Option<String> {
        host::text(self.env, name)
    }

    fn revocation_lists(&self, custom_domain: &HostName<'_>) -> Option<Vec<Vec<u8>>> {
        let of_host = |(host, _): &&(String, Vec<u8>)| host == custom_domain.as_str();
        let lists = match self.lists? {
            Ok(lists) => lists.iter().filter(of_host),
            Err(error) => {
                self.missed.set(Some(error));
                return Some(Vec::new());
            }
        };
        Some(lists.map(|(_, der)| der.clone()).collect())
    }
}

impl Source {
    /// What can be had without waiting; none where something else is bound.
    pub(crate) fn at_hand(env: &Env) -> Option<Result<Self, String>> {
        if host::database(env).is_some() {
            return None;
        }
        let json = match host::config_binding(env) {
            ConfigBinding::Text(text) => Ok(text.into_bytes()),
            ConfigBinding::None => bundled(),
            ConfigBinding::Namespace => return None,
        };
        Some(json.map(|json| Self { json, lists: None }))
    }

    /// Reads everything.
    pub(crate) async fn fetch(env: &Env) -> Result<Self, String> {
        let json = match host::config_binding(env) {
            ConfigBinding::Text(text) => text.into_bytes(),
            ConfigBinding::None => bundled()?,
            ConfigBinding::Namespace => host::config_from_namespace(env).await?,
        };
        let lists = match host::database(env) {
            None => None,
            Some(database) => {
                let lists = host::revocation_lists(&database).await;
                Some(lists.map_err(|error| format!("revocation lists in D1: {error}")))
            }
        };
        Ok(Self { json, lists })
    }

    /// SHA-256 over all of it.
    pub(crate) fn digest(&self) -> Thumbprint {
        let mut all = Thumbprint::of(&self.json).to_hex();
        for (host, der) in self.lists.iter().flatten().flatten() {
            all.push_str(host);
            all.push_str(&Thumbprint::of(der).to_hex());
        }
        Thumbprint::of(all.as_bytes())
    }

    /// The configuration, for this host program.
    pub(crate) fn parse(&self, env: &Env, now: u64) -> Result<Config, String> {
        let kept = Kept {
            env,
            lists: self.lists.as_ref().map(Result::as_ref),
            missed: Cell::new(None),
        };
        let config =
            config_json::parse(&self.json, now, &kept).map_err(|error| error.to_string())?;
        // Where nobody asks for lists, a database that does not answer harms nobody.
        if let Some(error) = kept.missed.get() {
            return Err(error.clone());
        }
        if let Some(host) = config.readers_of_own_xfcc().next() {
            return Err(format!(
                "configuration refused for {host}: `envoy_xfcc` is a field that Envoy writes; here `presented_chain` is `host`"
            ));
        }
        Ok(config)
    }
}

fn bundled() -> Result<Vec<u8>, String> {
    match BUNDLED {
        [] => Err("there is no binding AUTH_EDGE_CONFIG, and no configuration was there when the Worker was built".to_owned()),
        json => Ok(json.to_vec()),
    }
}
