//! The filter in NGINX with the WasmX module, which shows and takes other things than Envoy.
//!
//! `docs/nginx.md` says why each is done as it is. In short: facts are NGINX's variables, and what goes
//! to the origin is written by NGINX's `proxy_set_header` from variables that are set here. Header fields
//! themselves are left alone: one that is removed here reaches the origin all the same.

mod apply;
mod gather;

use auth_edge::Config;
use auth_edge::header::{REPLACED_BY_NAME, WRITTEN_BY_HOST_PROGRAM};

pub(crate) use self::apply::edit;
pub(crate) use self::gather::gather;
use crate::host::Host;

/// What the filter runs in. Its configuration says so, not what it shows: nothing a client sends, and no
/// fact that happens to be missing, makes it the other.
#[derive(Debug)]
pub(crate) enum HostProgram {
    /// Envoy.
    Envoy,
    /// NGINX.
    Nginx(Replaced),
}

/// The fields that NGINX's configuration replaces.
#[derive(Debug)]
pub(crate) struct Replaced(Vec<String>);

impl HostProgram {
    /// The host program of this VM configuration: Envoy for an empty one; for NGINX `nginx`, followed by
    /// the names of fields that its configuration replaces besides the shipped ones.
    pub(crate) fn of(vm_configuration: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(vm_configuration);
        let text = text.map_err(|_| "the VM configuration is no text".to_owned())?;
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            None => Ok(Self::Envoy),
            Some("nginx") => {
                let shipped = REPLACED_BY_NAME.iter().chain(WRITTEN_BY_HOST_PROGRAM);
                let shipped = shipped.map(|name| (*name).to_owned());
                let own = words.map(str::to_ascii_lowercase);
                Ok(Self::Nginx(Replaced(shipped.chain(own).collect())))
            }
            Some(other) => Err(format!(
                "the VM configuration names the host program `{other}`, expected `nginx` or nothing"
            )),
        }
    }

    /// The configuration of the edge, in which NGINX has room for 4 KiB: there `env:NAME` can stand for
    /// what the variable `NAME` of the environment holds.
    pub(crate) fn configuration(&self, host: &impl Host) -> Result<Vec<u8>, String> {
        let given = host.plugin_configuration();
        match (self, given.strip_prefix(b"env:")) {
            (Self::Nginx(_), Some(name)) => {
                let name = String::from_utf8_lossy(name);
                let held = host.secret(&name);
                let held = held.ok_or_else(|| {
                    format!("the environment has no `{name}`: name it in an `env` of nginx.conf")
                })?;
                Ok(held.into_bytes())
            }
            _ => Ok(given),
        }
    }

    /// Whether the host program can do all that the configuration asks of it; what it cannot, if not.
    pub(crate) fn check(&self, config: &Config) -> Result<(), String> {
        if let Some(host) = config.readers_of_shown_chain().next() {
            return Err(format!(
                "configuration refused for {host}: `presented_chain`: `host` is for Cloudflare, and this host program shows no chain"
            ));
        }
        let Self::Nginx(replaced) = self else {
            return Ok(());
        };
        if let Some(host) = config.readers_of_own_xfcc().next() {
            return Err(format!(
                "configuration refused for {host}: `envoy_xfcc` is a field that Envoy writes, and NGINX does not"
            ));
        }
        let is_missing = |name: &str| !replaced.0.iter().any(|known| known == name);
        match config.fields().find(|(_, name)| is_missing(name)) {
            None => Ok(()),
            Some((host, name)) => Err(format!(
                "configuration refused for {host}: NGINX does not replace the field `{name}`: give it a variable and a proxy_set_header, \
                 and name it in the configuration of the module"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vm_configuration_names_the_host_program() {
        assert!(matches!(HostProgram::of(b""), Ok(HostProgram::Envoy)));
        assert!(matches!(HostProgram::of(b" \n"), Ok(HostProgram::Envoy)));
        let Ok(HostProgram::Nginx(Replaced(names))) = HostProgram::of(b"nginx X-Tenant x-other")
        else {
            panic!("not NGINX")
        };
        for name in ["client-certificate", "connection", "x-tenant", "x-other"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        for text in [&b"envoy"[..], b"NGINX", b"nginxx", b"\xff"] {
            assert!(HostProgram::of(text).is_err());
        }
    }
}
