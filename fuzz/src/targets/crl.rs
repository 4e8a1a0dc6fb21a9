//! Any bytes as a revocation list: whoever stands in it is revoked, when the root signs it.

use auth_edge::trust::RevocationList;
use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::config_json;
use auth_edge::wire::pem::{self, Label};
use auth_edge::wire::thumbprint::Thumbprint;
use auth_edge::{Decision, decide, verdict::VerdictCache};
use serde_json::json;

use crate::der::{self, Element};
use crate::{authority, case, scenarios};

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// Reads the bytes as DER and as PEM.
pub(super) fn run(data: &[u8]) {
    let _ = pem::decode_all(data, Label::RevocationList);
    let Ok(list) = RevocationList::parse(data.to_vec()) else {
        return;
    };
    assert_eq!(list.digest(), Thumbprint::of(data));
    assert!(
        data.windows(list.issuer().len())
            .any(|part| part == list.issuer())
    );
    let longer = [data, b"\0"].concat();
    assert!(RevocationList::parse(longer).is_err());

    let serials = serials(data);
    assert_eq!(serials.len(), list.len());
    for serial in &serials {
        assert!(list.revokes(serial), "{serial:02x?} stands in the list");
    }
    let fitting = serials.iter().find(|serial| {
        let first = serial.first();
        first.is_some_and(|first| *first < 0x80) && serial.len() <= 20
    });
    if let (Some(serial), Some(signed)) = (fitting, authority::sign_list(data)) {
        assert!(!passes(serial, &signed), "a revoked certificate passes");
    }
}

/// The serial numbers of the entries without leading zeros, read without the core; negative ones, which no
/// certificate has that is accepted, are left out.
fn serials(der: &[u8]) -> Vec<Vec<u8>> {
    let Some((tree, _)) = Element::read(der) else {
        return Vec::new();
    };
    let signed = tree.elements().first().map_or(&[][..], Element::elements);
    // The algorithm and the issuer are sequences too, and stand before the dates.
    let mut after_dates = signed.iter().skip_while(|part| !is_time(part));
    let entries = after_dates.find(|part| !is_time(part));
    let entries = entries.filter(|part| part.tag == SEQUENCE);
    let entries = entries.map_or(&[][..], Element::elements);
    let serials = entries.iter().filter_map(|entry| entry.elements().first());
    let serials = serials.filter(|serial| serial.tag == INTEGER);
    serials
        .map(Element::write)
        .filter_map(|written| {
            let (content, _) = der::inside(&written)?;
            let zeros = content.iter().take_while(|byte| **byte == 0).count();
            let is_negative = content.first().is_some_and(|first| *first >= 0x80);
            (!is_negative).then(|| content[zeros..].to_vec())
        })
        .collect()
}

fn is_time(element: &Element) -> bool {
    matches!(element.tag, 0x17 | 0x18)
}

/// Whether a certificate of the root with this serial number is accepted where this list is configured.
fn passes(serial: &[u8], list: &[u8]) -> bool {
    let file = json!({ "version": 1, "hosts": [{
        "custom_domain": "login.example.test",
        "profile": "generic",
        "origin": { "host": "origin.example.test" },
        "client_certificates": { "ca_signed": {
            "roots": [Encoding::Base64Der.encode(&authority::root())],
            "crl": { "check": "path", "lists": [Encoding::Base64Der.encode(list)] },
        } },
    }] });
    let Ok(config) = config_json::parse(file.to_string().as_bytes(), 0, &|_: &str| None) else {
        return false;
    };
    let Some(leaf) = authority::with_serial(&scenarios::CA_CLIENT, serial) else {
        return false;
    };
    let input = [b"\n\n", leaf.as_slice()].concat();
    let Some(case) = case::read(&input).pop() else {
        return false;
    };
    let connection = case.connection();
    let fields = case.borrowed_fields();
    let request = case.request(&fields, &connection);
    let decision = decide(&request, &config, case.now, &mut VerdictCache::new());
    matches!(decision, Decision::Forward(_))
}
