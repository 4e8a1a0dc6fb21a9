//! Writes the fixtures and the seeds: `cargo run -p auth-edge-fuzz --example seeds`.
//!
//! Certificates come from the test PKI, whose keys are forgotten when this program ends, so that every
//! run writes others. Inputs that a fuzzer found have the names of their hashes and are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use auth_edge::host_name::HostName;
use auth_edge::secret::Secret;
use auth_edge::wire::cert_header::Encoding;
use auth_edge::wire::sealed::{NONCE_BYTES, seal};
use auth_edge_fuzz::authority::Subtrees;
use auth_edge_fuzz::{authority, corpus, der, scenarios};
use auth_edge_tests::conformance::vector;
use auth_edge_tests::pki::{DAY, Pki, thumbprint_hex};
use serde_json::json;

/// How many vectors of a subject become seeds.
const OF_EACH_SUBJECT: usize = 1;

/// Certificates that requests of the seeds come with.
const CLIENTS: &[&str] = &[
    "ca_client",
    "ca_client_ed25519",
    "ca_client_rsa2048",
    "ca_client_is_ca",
    "ca_client_expired",
    "self_signed",
    "self_signed_ed25519",
    "self_signed_rsa_pss",
    "self_signed_bad_signature",
    "self_issued_other_key",
];

fn main() -> Result<(), Box<dyn Error>> {
    let pki = Pki::generate()?;
    fixtures(&pki)?;
    certificates(&pki)?;
    configurations()?;
    requests(&pki)?;
    authorities(&pki)?;
    limited_authorities(&pki)?;
    after_others(&pki)?;
    lists(&pki)?;
    fields(&pki)?;
    cached(&pki)?;
    Ok(())
}

fn write(file: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let file = corpus::root().join(file);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, bytes)?)
}

/// The certificate with another serial number and a signature of nobody: an input holds nothing that the
/// root signed, since what is signed by it is what `:sign:` says.
fn with_serial(certificate: &[u8], serial: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut changed = authority::with_serial(certificate, serial).ok_or("no certificate")?;
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    Ok(changed)
}

/// What the configurations in `src/scenarios.rs` hold.
fn fixtures(pki: &Pki) -> Result<(), Box<dyn Error>> {
    for name in ["ca_client", "self_signed"] {
        write(&format!("fixtures/{name}.der"), pki.get(name)?.leaf())?;
    }
    for name in ["ca", "ca_rsa", "intermediate"] {
        write(&format!("fixtures/{name}.der"), pki.authority(name)?.der())?;
    }
    let now = pki.generated_at();
    let ca = pki.authority("ca")?;
    let issued: BTreeSet<String> = pki
        .identities()
        .iter()
        .filter(|identity| {
            identity.host_verified || identity.name == "ca_client_missing_intermediate"
        })
        .flat_map(|identity| &identity.chain)
        .filter_map(|der| Some(der::concatenated(der::inside(der)?.0, 1).0[0]))
        .map(thumbprint_hex)
        .collect();
    let issued: String = issued.iter().map(|hash| format!("{hash}\n")).collect();
    write("fixtures/issued.txt", issued.as_bytes())?;
    let serial: &[u8] = &[0x42, 0x42];
    let list = ca.revocation_list(&[serial], now - DAY, now + 30 * DAY)?;
    write("fixtures/ca.crl.der", &list)
}

fn certificates(pki: &Pki) -> Result<(), Box<dyn Error>> {
    for identity in pki.identities() {
        // The others differ in what is above them.
        let differs = ["ca_client", "self_", "malformed", "same_", "unknown_"];
        let differs = differs.iter().any(|start| identity.name.starts_with(start));
        if differs && identity.leaf().len() < 2000 {
            write(
                &format!("corpus/certificate/{}", identity.name),
                identity.leaf(),
            )?;
        }
    }
    let pem = pki.get("ca_client")?.leaf_pem();
    write("corpus/certificate/pem", pem.as_bytes())
}

/// The configurations of the tests and of the documentation, and some that are refused.
fn configurations() -> Result<(), Box<dyn Error>> {
    let root = corpus::root().parent().unwrap_or(Path::new("."));
    let base = fs::read_to_string(root.join("tests/configs/base.json"))?;
    let without_facts = base.replace("${", "").replace("}\"", "\"");
    write("corpus/config/base", without_facts.as_bytes())?;
    let docs = fs::read_to_string(root.join("docs/configuration.md"))?;
    let blocks = docs.split("```json\n").skip(1);
    for (index, block) in blocks.enumerate() {
        let block = block.split("```").next().unwrap_or_default();
        let block = block.replace("\"env\": \"", "\"env\": \"ORIGIN_API_KEY\", \"was\": \"");
        let block = without_was(&block);
        write(&format!("corpus/config/docs-{index:02}"), block.as_bytes())?;
    }
    write("corpus/config/sealed", sealed()?.as_bytes())?;
    for (letter, json) in scenarios::files() {
        let name = format!("corpus/config/scenario-{}", char::from(letter));
        write(&name, json.as_bytes())?;
    }
    Ok(())
}

/// A configuration with a sealed API key.
fn sealed() -> Result<String, Box<dyn Error>> {
    let secret = Secret::new(scenarios::API_KEY.to_owned())?;
    let text = seal(
        &scenarios::SEALING_KEY.parse()?,
        &"2026-11".parse()?,
        &HostName::parse("login.example.test")?,
        &secret,
        // Each run writes the same; the key protects nothing.
        [0; NONCE_BYTES],
    )?;
    let json = json!({
        "version": 1,
        "sealing_keys": { "2026-11": { "env": scenarios::SEALING_KEY_VARIABLE } },
        "hosts": [{
            "custom_domain": "login.example.test",
            "mtls": "off",
            "origin": { "host": "origin.example.test", "api_key": { "sealed": text } },
        }],
    });
    Ok(format!("{json:#}\n"))
}

/// Takes the names of variables out that the targets do not know.
fn without_was(text: &str) -> String {
    let mut parts = text.split(", \"was\": \"");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('"').map_or("", |(_, rest)| rest));
    }
    out
}

/// Vectors as inputs of `decide`, and the certificates of every kind.
fn requests(pki: &Pki) -> Result<(), Box<dyn Error>> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for vector in vector::all()? {
        let subject = vector.name.split('/').next().unwrap_or_default();
        let certificate = vector.request.certificate.as_deref();
        let count = taken.entry(subject.to_owned()).or_default();
        if *count >= OF_EACH_SUBJECT || certificate.is_some_and(|name| !CLIENTS.contains(&name)) {
            continue;
        }
        *count += 1;
        let wire = vector.request.wire(pki)?;
        let mut input = Vec::new();
        let mut line = |name: &[u8], value: &[u8]| {
            input.extend([name, b":", value, b"\n"].concat());
        };
        line(b":method", &wire.method);
        line(b":target", &wire.target);
        line(b":authority", wire.authority.as_deref().unwrap_or_default());
        line(
            b":sni",
            vector.request.server_name().unwrap_or_default().as_bytes(),
        );
        if vector.request.plain {
            line(b":connection", b"p");
        }
        if certificate.is_some_and(|name| pki.get(name).is_ok_and(|it| it.host_verified)) {
            line(b":verified", b"y");
        }
        for (name, value) in &wire.headers {
            line(name, value);
        }
        input.push(b'\n');
        if let Some(name) = certificate {
            input.extend_from_slice(pki.get(name)?.leaf());
        }
        let name = vector.name.replace('/', "-");
        write(&format!("corpus/decide/{name}"), &input)?;
    }
    for name in CLIENTS {
        for letter in ['a', 'b', 'c'] {
            if letter != 'a' && name.len() > "self_signed".len() {
                continue;
            }
            let head = format!(":scenario:{letter}\n:verified:y\n\n");
            let input = [head.as_bytes(), pki.get(name)?.leaf()].concat();
            write(&format!("corpus/decide/{letter}-{name}"), &input)?;
        }
    }
    let many: String = (0..140).map(|_| "a:\nx-ssl-client-a:\n").collect();
    let input = format!(":authority:login.example.test\n{many}");
    write("corpus/decide/many-fields", input.as_bytes())?;
    for letters in ["s", "r", "R", "o", "nr", "Nnr"] {
        let head = format!(":sign:{letters}\n:verified:y\n\n");
        let leaf = pki.get("ca_client")?.leaf();
        let authority = pki.authority("intermediate")?.der();
        let rest = authority.repeat(letters.len() - 1);
        let input = [head.as_bytes(), leaf, &rest].concat();
        write(&format!("corpus/decide/signed-{letters}"), &input)?;
    }
    Ok(())
}

/// Chains that the edge verifies itself, by their letters; see `authority::Signing`.
const CHAINS: &[&str] = &[
    "r",
    "R",
    "o",
    "nr",
    "Nnr",
    "nnnnr",
    "nnnnnr",
    "rr",
    "rf",
    "rrfffffff",
    "f",
    "s",
    ".",
];

fn authorities(pki: &Pki) -> Result<(), Box<dyn Error>> {
    let leaf = pki.get("ca_client")?.leaf();
    let authority = pki.authority("intermediate")?.der();
    let revoked = with_serial(leaf, authority::REVOKED)?;
    let missing = pki.get("ca_client_missing_intermediate")?.leaf();
    for (letter, lines) in [
        ('d', ""),
        ('e', ":shown:x\n"),
        ('f', ":shown:x\n:leaf:h\n"),
        ('g', ":shown:x\n"),
        ('h', ":shown:r\n"),
        ('i', ":shown:x\n"),
        ('j', ":shown:u\n"),
        ('k', ":shown:b\n"),
        ('l', ":verified:y\n"),
        ('m', ":shown:x\n"),
    ] {
        let add = |name: &str, letters: &str, leaf: &[u8]| {
            let head = format!(":scenario:{letter}\n{lines}:sign:{letters}\n\n");
            let rest = authority.repeat(letters.len() - 1);
            let input = [head.as_bytes(), leaf, &rest].concat();
            write(&format!("corpus/decide/{letter}-{name}"), &input)?;
            let second = format!(":skip:1\n:scenario:{letter}\n:next:\n");
            let input = [second.as_bytes(), &input].concat();
            write(&format!("corpus/cached/{letter}-{name}"), &input)
        };
        for letters in CHAINS {
            // Two of a place would be one file.
            let name = letters.replace('R', "kept-r").replace('N', "kept-n");
            let is_taken = match letter {
                'e' => true,
                'f' | 'g' | 'm' => ["r", "nr", "rf", "rrfffffff"].contains(letters),
                'h' | 'i' => ["r", "nr"].contains(letters),
                _ => ["r", "f", "."].contains(letters),
            };
            if is_taken {
                add(&name.replace('.', "as-it-is"), letters, leaf)?;
            }
        }
        add("revoked", "r", &revoked)?;
        if ['d', 'e'].contains(&letter) {
            add("by-intermediate", "..", missing)?;
        }
    }
    Ok(())
}

/// An authority that may not certify everything, between the leaf and the root.
fn limited_authorities(pki: &Pki) -> Result<(), Box<dyn Error>> {
    let leaf = pki.get("ca_client")?.leaf();
    let intermediate = pki.authority("intermediate")?.der();
    let excluded = |tag, name| authority::name_constraints(Subtrees::Excluded, &[(tag, name)]);
    let permitted = |tag, name| authority::name_constraints(Subtrees::Permitted, &[(tag, name)]);
    let client_auth: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
    let server_auth: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    for (name, extension) in [
        ("path-length-0", authority::path_length(0)),
        ("no-authority", authority::no_authority()),
        ("only-lists", authority::key_usage(1, 0x02)),
        ("no-lists", authority::key_usage(2, 0x04)),
        ("permitted-dns", permitted(0x82, b"clients.example.com")),
        ("permitted-other-dns", permitted(0x82, b"other.example.com")),
        ("excluded-dns", excluded(0x82, b"example.com")),
        (
            "excluded-other-dns",
            excluded(0x82, b"1.clients.example.com"),
        ),
        (
            "excluded-ip",
            excluded(0x87, &[192, 0, 2, 0, 255, 255, 255, 0]),
        ),
        ("permitted-email", permitted(0x81, b"clients.example.com")),
        ("excluded-uri", excluded(0x86, b"example.com")),
        ("permitted-directory", permitted(0xa4, &[0x30, 0])),
        ("purpose-client", authority::purpose(client_auth)),
        ("purpose-server", authority::purpose(server_auth)),
        ("purpose-any", authority::purpose(&[0x55, 0x1d, 0x25, 0])),
        ("policy", authority::any_policy()),
    ] {
        let limited =
            authority::with_extensions(intermediate, &[extension]).ok_or("no authority")?;
        for (letters, chain) in [
            ("nr", [&limited[..], &[]]),
            ("nnr", [intermediate, &limited]),
        ] {
            if letters == "nnr" && !["path-length-0", "no-authority"].contains(&name) {
                continue;
            }
            let head = format!(":scenario:e\n:shown:x\n:sign:{letters}\n\n");
            let input = [head.as_bytes(), leaf, &chain.concat()].concat();
            write(&format!("corpus/decide/{letters}-{name}"), &input)?;
        }
    }
    Ok(())
}

/// Requests after which another must not be decided otherwise, by scenario.
fn after_others(pki: &Pki) -> Result<(), Box<dyn Error>> {
    let long: [&[u8]; 2] = [b"210101000000Z", b"491231235959Z"];
    let leaf = authority::with_dates(pki.get("ca_client")?.leaf(), long).ok_or("no leaf")?;
    let intermediate = pki.authority("intermediate")?.der();
    let short: [&[u8]; 2] = [b"210101000000Z", b"270101000000Z"];
    let short = authority::with_dates(intermediate, short).ok_or("no authority")?;
    let chain = [&leaf[..], intermediate].concat();
    let until_2027 = [&leaf[..], &short].concat();
    // The limited root ends in July 2027, the root's list in 2049.
    for (name, certificates, first, second) in [
        ("another-chain", &chain, "e\n:sign:nr", "e\n:sign:nf"),
        (
            "an-issuer-until-2027",
            &until_2027,
            "e\n:sign:nr",
            "e\n:now:8640000\n:sign:nr",
        ),
        (
            "a-root-until-2027",
            &leaf,
            "m\n:sign:r",
            "m\n:now:25920000\n:sign:r",
        ),
        (
            "a-list-until-2049",
            &leaf,
            "m\n:sign:r",
            "m\n:at:2493072000\n:sign:r",
        ),
        (
            "a-list-until-2049-exactly",
            &leaf,
            "f\n:at:2493071999\n:leaf:h\n:sign:r",
            "f\n:at:2493072000\n:leaf:h\n:sign:r",
        ),
        (
            "a-list-until-the-next",
            &leaf,
            "n\n:sign:r",
            "n\n:at:1803168000\n:sign:r",
        ),
        (
            "a-list-before-the-first",
            &leaf,
            "o\n:sign:r",
            "o\n:at:1806105600\n:sign:r",
        ),
        (
            "a-list-not-yet",
            &leaf,
            "p\n:at:1800000000\n:sign:r",
            "p\n:sign:r",
        ),
        (
            "another-on-the-connection",
            &chain,
            "f\n:leaf:h\n:sign:rr",
            "f\n:leaf:q\n:sign:rr",
        ),
    ] {
        let head = format!(":shown:x\n:scenario:{second}\n\n");
        let input = [head.as_bytes(), certificates].concat();
        write(&format!("corpus/decide/{name}"), &input)?;
        for (name, first, second) in [
            (name.to_owned(), first, second),
            (format!("{name}-turned"), second, first),
        ] {
            let head =
                format!(":shown:x\n:scenario:{first}\n:next:\n:shown:x\n:scenario:{second}\n\n");
            let input = [head.as_bytes(), certificates].concat();
            write(&format!("corpus/cached/{name}"), &input)?;
        }
    }
    for (name, serial) in [("denied", 0x43), ("allowed", 0x42)] {
        let leaf = with_serial(&leaf, &[serial])?;
        let input = [b":scenario:c\n:verified:y\n:sign:R\n\n", &leaf[..]].concat();
        write(&format!("corpus/decide/c-{name}"), &input)?;
    }
    let zeros = with_serial(&leaf, &[0, 0x80])?;
    write("corpus/certificate/serial-with-a-zero", &zeros)
}

fn lists(pki: &Pki) -> Result<(), Box<dyn Error>> {
    let now = pki.generated_at();
    for (name, serials) in [
        ("none", &[][..]),
        ("one", &[&[0x42][..]][..]),
        ("some", &[&[1][..], &[0, 0x80][..], &[0x7f; 20][..]][..]),
    ] {
        for authority in ["ca", "ca_rsa"] {
            let list = pki.authority(authority)?;
            let list = list.revocation_list(serials, now - DAY, now + 30 * DAY)?;
            write(&format!("corpus/crl/{authority}-{name}"), &list)?;
        }
    }
    write("corpus/crl/root", &authority::revocation_list())?;
    for (name, extension) in [
        ("for-clients", authority::distribution_point(1)),
        ("for-authorities", authority::distribution_point(2)),
        ("indirect", authority::distribution_point(4)),
        ("divided", authority::distribution_point(0)),
        ("delta", authority::delta()),
    ] {
        let list = authority::list_with(extension);
        write(&format!("corpus/crl/{name}"), &list)?;
    }
    Ok(())
}

/// Fields with certificates as proxies write them; the certificates are short, to keep them so.
fn fields(pki: &Pki) -> Result<(), Box<dyn Error>> {
    let pem = |der: &[u8]| Encoding::UrlEncodedPem.encode(der);
    let (one, two) = (pem(&[1, 2, 3]), pem(&[4; 60]));
    let plain = one.replace("%20", " ").replace("%0A", "\n");
    for (name, text) in [
        ("cert", format!("Cert=\"{one}\"")),
        ("bare", format!("Cert={one}")),
        ("plain", format!("Cert=\"{plain}\"")),
        (
            "chain",
            format!("Hash=aa;Cert=\"{one}\";Chain=\"{one}{two}\""),
        ),
        (
            "all",
            format!(
                "By=spiffe://a/b;Hash=aa;Cert=\"{one}\";Chain=\"{one}{two}{two}\";\
                 Subject=\"CN=\\\"a,b\\\"\";URI=urn:a;URI=urn:b;DNS=a.example"
            ),
        ),
        ("two-elements", format!("Cert=\"{one}\",Cert=\"{two}\"")),
        ("twice", format!("Cert=\"{one}\";cert=\"{two}\"")),
        (
            "another-first",
            format!("Cert=\"{one}\";Chain=\"{two}{one}\""),
        ),
        ("no-end", format!("Cert=\"{one}")),
        (
            "whole",
            format!("Cert=\"{}\"", pem(pki.get("ca_client")?.leaf())),
        ),
    ] {
        write(&format!("corpus/xfcc/{name}"), text.as_bytes())?;
    }
    for (name, text) in [
        ("one", ":AQID:"),
        ("spaces", " :AQI=: \t"),
        ("list", ":AQ==:, :Ag==:\n\n:Aw==:"),
        ("parameter", ":AQID:;a=1"),
        ("empty", "::"),
        ("no-padding", ":AQI:"),
        ("comma", ":AQID:,"),
    ] {
        write(&format!("corpus/rfc9440/{name}"), text.as_bytes())?;
    }
    let whole = Encoding::Rfc9440.encode(pki.get("ca_client")?.leaf());
    write("corpus/rfc9440/whole", whole.as_bytes())
}

/// Requests after others with other certificates.
fn cached(pki: &Pki) -> Result<(), Box<dyn Error>> {
    for (index, pair) in CLIENTS.windows(2).enumerate() {
        for letter in ['a', 'b', 'c'] {
            if letter != 'a' && index % 4 != 0 {
                continue;
            }
            let head = format!(
                ":scenario:{letter}\n:skip:1\n:verified:y\n:next:\n:scenario:{letter}\n:verified:y\n\n"
            );
            let certificates = [pki.get(pair[0])?.leaf(), pki.get(pair[1])?.leaf()].concat();
            let input = [head.as_bytes(), &certificates].concat();
            write(&format!("corpus/cached/{letter}-{index}"), &input)?;
        }
    }
    for (letters, name) in [
        ("s", "self_signed"),
        ("ss", "two-self-signed"),
        ("nr", "chain"),
    ] {
        let head = format!(":sign:{letters}\n:skip:1\n:next:\n:sign:{letters}\n:verified:y\n\n");
        let leaf = pki.get("ca_client")?.leaf();
        let input = [head.as_bytes(), leaf, pki.get("self_signed")?.leaf()].concat();
        write(&format!("corpus/cached/{name}"), &input)?;
    }
    Ok(())
}
