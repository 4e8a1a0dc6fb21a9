//! A decision of the core to forward, carried out in NGINX.

use auth_edge::edits::Edits;

use crate::host::Host;

/// The variable that holds the authority of the origin.
const AUTHORITY: &str = "auth_edge_authority";

/// Makes the client's request the origin's: what is to be removed is what `proxy_set_header` replaces, which
/// the core saw to.
pub(crate) fn edit(host: &impl Host, edits: &Edits<'_>) {
    for (name, value) in edits.set.iter() {
        host.set_nginx_variable(&variable_of(name), value.as_str());
    }
    // Last: without it NGINX has no origin to go to.
    host.set_nginx_variable(AUTHORITY, edits.authority);
}

/// The variable that `proxy_set_header` gives to the field: hyphens as `_`, and underscores as `__`, so that
/// `ssl_client_cert` and `ssl-client-cert` are two.
fn variable_of(field: &str) -> String {
    let name = field.replace('_', "__").replace('-', "_");
    format!("auth_edge_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_variable_of_its_name() {
        for (field, variable) in [
            ("x-forwarded-for", "auth_edge_x_forwarded_for"),
            ("ssl-client-cert", "auth_edge_ssl_client_cert"),
            ("ssl_client_cert", "auth_edge_ssl__client__cert"),
        ] {
            assert_eq!(variable_of(field), variable);
        }
    }
}
