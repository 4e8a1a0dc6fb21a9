//! Any bytes as `x-forwarded-client-cert`: what is read, written plainly, is read as the same again.

use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::forwarded::Certificates;
use auth_edge::wire::xfcc;

/// Reads the bytes as the value of the field.
pub(super) fn run(data: &[u8]) {
    let Ok(read) = xfcc::parse(data) else {
        return;
    };
    let written = written(&read);
    assert_eq!(xfcc::parse(written.as_bytes()).as_ref(), Ok(&read));
    // With a second element it is nobody's.
    let doubled = format!("{written},{written}");
    assert!(xfcc::parse(doubled.as_bytes()).is_err());
    let before = [b"Hash=aa,", data].concat();
    assert!(xfcc::parse(&before).is_err());
    let after = [data, b";Cert=\"\""].concat();
    assert!(xfcc::parse(&after).is_err());
}

/// As Envoy writes it.
fn written(certificates: &Certificates) -> String {
    let leaf = Encoding::UrlEncodedPem.encode(&certificates.leaf);
    let mut value = format!("Hash=aa;Cert=\"{leaf}\";Subject=\"CN=\\\"a,b;c\\\"\"");
    if !certificates.intermediates.is_empty() {
        let chain = certificates.intermediates.iter();
        let chain: String = chain
            .map(|der| Encoding::UrlEncodedPem.encode(der))
            .collect();
        value.push_str(&format!(";Chain=\"{leaf}{chain}\";URI=urn:a"));
    }
    value
}
