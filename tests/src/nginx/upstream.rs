//! What `proxy_pass` sends (`ngx_http_proxy_create_request`).

use std::collections::BTreeMap;

use super::ingress::Read;
use super::module::Element;
use super::shipped::Shipped;
use crate::conformance::expect::Upstream;

/// The request for the origin; `variables` are those that the filter has set.
///
/// # Errors
/// When there is no upstream to go to, or a directive is not one the fake knows.
pub fn request(
    read: &Read,
    elements: &[Element],
    variables: &BTreeMap<String, Vec<u8>>,
    shipped: &Shipped,
) -> Result<Upstream, String> {
    let value_of = |text: &str| match text.strip_prefix('$') {
        None if text.is_empty() => Ok(Vec::new()),
        Some(name) if shipped.variables.contains(name) => {
            Ok(variables.get(name).cloned().unwrap_or_default())
        }
        _ => Err(format!("the fake does not know the value `{text}`")),
    };
    let authority = value_of("$auth_edge_authority")?;
    if authority.is_empty() {
        return Err("500: `proxy_pass https://` has no upstream".into());
    }
    let mut headers = Vec::new();
    for (name, value) in &shipped.replaced {
        let value = value_of(value)?;
        // An empty value is not sent.
        if !value.is_empty() {
            headers.push((name.clone().into_bytes(), value));
        }
    }
    for element in elements {
        let name = element.name.to_ascii_lowercase();
        let replaced =
            std::str::from_utf8(&name).is_ok_and(|name| shipped.replaced.contains_key(name));
        // The replaced ones are looked up by the hash of the name, which removing sets to 0: so a field that a
        // module removed is not found there, and goes.
        let is_framing = matches!(
            name.as_slice(),
            b"content-length" | b"transfer-encoding" | b"expect"
        );
        if !(is_framing || replaced && element.is_hashed) {
            headers.push((element.name.clone(), element.value.clone()));
        }
    }
    Ok(Upstream {
        authority,
        target: read.unparsed_uri.clone(),
        headers,
    })
}
