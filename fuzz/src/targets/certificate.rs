//! Any bytes as a certificate: what is read is kept as it was, and reading it again changes nothing.

use auth_edge::certificate::LeafCert;
use auth_edge::request::{ClientCertificate, HostVerdict, MAX_DER_BYTES};
use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::pem;
use auth_edge::wire::thumbprint::Thumbprint;

/// Reads the bytes as DER and as PEM.
pub(super) fn run(data: &[u8]) {
    let _ = pem::decode_one(data);
    let Ok(certificate) = LeafCert::parse(data.to_vec()) else {
        let shown = ClientCertificate::from_der(data.to_vec(), HostVerdict::Verified);
        assert!(!matches!(shown, ClientCertificate::Parsed { .. }));
        return;
    };
    assert_eq!(certificate.der(), data);
    assert_eq!(certificate.thumbprint(), Thumbprint::of(data));
    let encoded = certificate.url_encoded_pem();
    assert_eq!(pem::decode_one(encoded.as_bytes()).as_deref(), Ok(data));
    assert_eq!(encoded, Encoding::UrlEncodedPem.encode(data));
    assert_ne!(certificate.serial().first(), Some(&0));
    assert!(lies_in(certificate.issuer(), certificate.der()));
    assert!(lies_in(certificate.subject(), certificate.der()));
    for name in certificate.alternative_names() {
        assert!(format!("{name:?}").len() < 4 * data.len() + 64);
    }
    let own = certificate.thumbprint();
    assert!(
        !certificate.twin_thumbprints().contains(&own),
        "its own twin"
    );

    let again = ClientCertificate::from_pem(encoded.as_bytes(), HostVerdict::Verified);
    match again {
        ClientCertificate::Parsed { leaf, .. } => same(&certificate, &leaf),
        ClientCertificate::TooLarge => assert!(data.len() > MAX_DER_BYTES),
        _ => panic!("what was read cannot be read again"),
    }
}

fn lies_in(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr())
}

fn same(one: &LeafCert, other: &LeafCert) {
    assert_eq!(one.der(), other.der());
    assert_eq!(one.key_thumbprint(), other.key_thumbprint());
    assert_eq!(one.validity(), other.validity());
    assert_eq!(one.authority(), other.authority());
    assert_eq!(one.key_usage(), other.key_usage());
    assert_eq!(one.extended_key_usage(), other.extended_key_usage());
    assert_eq!(one.critical_extensions(), other.critical_extensions());
    assert_eq!(one.key().is_ok(), other.key().is_ok());
    assert_eq!(one.signature_algorithm(), other.signature_algorithm());
    assert!(one.alternative_names().eq(other.alternative_names()));
    assert_eq!(one.is_signed_by_own_key(), other.is_signed_by_own_key());
}
