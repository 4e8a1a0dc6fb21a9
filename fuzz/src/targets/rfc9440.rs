//! Any bytes as `Client-Cert` and `Client-Cert-Chain`, a line for each field of the chain.

use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::forwarded::Format;
use auth_edge::wire::rfc9440;

/// Reads the bytes as the certificate, and their lines as the fields of a chain.
pub(super) fn run(data: &[u8]) {
    if let Ok(der) = rfc9440::certificate(data) {
        assert!(!der.is_empty());
        let written = Encoding::Rfc9440.encode(&der);
        assert_eq!(rfc9440::certificate(written.as_bytes()), Ok(der.clone()));
        // RFC 8941 section 4.2.7: nothing but this text is that certificate.
        assert_eq!(data.trim_ascii(), written.as_bytes());
        let chain = rfc9440::chain([data].into_iter());
        assert_eq!(chain, Ok(vec![der]));
    }
    let lines = || data.split(|byte| *byte == b'\n');
    let Ok(chain) = rfc9440::chain(lines()) else {
        return;
    };
    let written: Vec<String> = chain
        .iter()
        .map(|der| Encoding::Rfc9440.encode(der))
        .collect();
    let one = written.join(", ");
    assert_eq!(
        rfc9440::chain([one.as_bytes()].into_iter()).as_ref(),
        Ok(&chain)
    );
    let each = written.iter().map(String::as_bytes);
    assert_eq!(rfc9440::chain(each).as_ref(), Ok(&chain));
    if let [leaf, rest @ ..] = &written[..] {
        let read = Format::Rfc9440.parse(leaf.as_bytes(), rest.iter().map(String::as_bytes));
        let read = read.expect("what was written can be read");
        assert_eq!(read.leaf, chain[0]);
        assert_eq!(read.intermediates, chain[1..]);
    }
}
