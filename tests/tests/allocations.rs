//! On a warm connection a decision allocates nothing but the header values it makes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use auth_edge::certificate::LeafCert;
use auth_edge::edits::Value;
use auth_edge::request::{
    ClientCertificate, Connection, HostVerdict, Removal, Request, ServerName, ShownChain, Tls,
    TlsVersion, Transport,
};
use auth_edge::verdict::VerdictCache;
use auth_edge::wire::config_json;
use auth_edge::{Decision, decide};
use auth_edge_tests::pki::Pki;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_warm_decision_allocates_its_header_values_and_nothing_else() {
    let pki = Pki::generate().unwrap();
    let now = u64::try_from(pki.generated_at()).unwrap();
    let json = br#"{
        "version": 1,
        "hosts": [{
            "custom_domain": "login.example.test",
            "origin": { "host": "origin.example.test", "api_key": { "env": "KEY" } },
            "client_certificates": { "ca_signed": { "verified_by": "host" }, "self_signed": "forward" }
        }]
    }"#;
    let config = config_json::parse(json, 0, &|_: &str| Some("test-only-api-key".into())).unwrap();
    for name in ["ca_client", "self_signed"] {
        let identity = pki.get(name).unwrap();
        let connection = Connection::new(Transport::Tls(Box::new(Tls {
            version: TlsVersion::Tls13,
            cipher_suite: None,
            server_name: ServerName::Sent("mtls.login.example.test".into()),
            presented_chain: ShownChain::NotShown,
            client_certificate: ClientCertificate::Parsed {
                leaf: Box::new(LeafCert::parse(identity.leaf().to_vec()).unwrap()),
                host_verdict: HostVerdict::Verified,
            },
        })));
        let fields: [(&[u8], &[u8]); 5] = [
            (b"accept", b"*/*"),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"x-ssl-client-verify", b"SUCCESS"),
            (b"x-forwarded-for", b"198.51.100.7"),
            (b"user-agent", b"test/1.0"),
        ];
        let request = Request {
            method: b"POST",
            target: b"/oauth/token?a=b",
            normalized_path: None,
            authority: Some(b"mtls.login.example.test"),
            protocol: None,
            fields: &fields,
            peer: [203, 0, 113, 9].into(),
            connection: Ok(&connection),
            removal: Removal::Any,
            acme_answer: None,
        };
        let mut verdicts = VerdictCache::new();
        let _ = decide(&request, &config, now, &mut verdicts);
        let before = ALLOCATIONS.with(Cell::get);
        let decision = decide(&request, &config, now, &mut verdicts);
        let allocated = ALLOCATIONS.with(Cell::get) - before;
        let Decision::Forward(edits) = decision else {
            panic!("{name} was refused")
        };
        let is_made = |value: &Value<'_>| matches!(value, Value::Owned(_));
        let made = edits.set.iter().filter(|(_, value)| is_made(value)).count();
        assert_eq!((made, allocated), (1, 1), "{name}");
    }
}
