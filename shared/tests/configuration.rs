//! What is refused when a configuration is loaded, with the message the operator gets.

use auth_edge::host_name::HostName;
use auth_edge::secret::Secret;
use auth_edge::wire::config_json::{self, ConfigError};
use auth_edge::wire::sealed::{SealingKey, seal};
use serde_json::{Value, json};

const KEY: &str = "test-only-api-key";
/// Two keys of 32 bytes in base64url that protect nothing.
const SEALING_KEYS: [&str; 2] = [
    "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8",
    "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp4",
];
/// The beginning of both.
const OF_SEALING_KEYS: &str = "gIGCg4SF";

fn secrets(name: &str) -> Option<String> {
    match name {
        "KEY" => Some(KEY.into()),
        "EMPTY" => Some(String::new()),
        "TWO_LINES" => Some("test\nonly".into()),
        "SEALING_KEY" => Some(SEALING_KEYS[0].into()),
        "NEXT_SEALING_KEY" => Some(SEALING_KEYS[1].into()),
        "PADDED_SEALING_KEY" => Some(format!("{}=", SEALING_KEYS[0])),
        "NO_SEALING_KEY" => Some(SEALING_KEYS[0].replace('g', "+")),
        _ => None,
    }
}

/// A configuration that is accepted.
fn good() -> Value {
    json!({
        "$schema": "config.schema.json",
        "version": 1,
        "hosts": [{
            "custom_domain": "login.example.com",
            "origin": { "host": "origin.example.net:8443", "api_key": { "env": "KEY" } },
            "client_certificates": {
                "ca_signed": { "verified_by": "host", "allow": [{ "san_dns": "*.clients.example.com" }] },
                "self_signed": "forward",
            },
        }],
    })
}

fn load(config: &Value) -> Result<usize, ConfigError> {
    config_json::parse(config.to_string().as_bytes(), 0, &secrets).map(|config| config.len())
}

/// Puts `value` at the JSON pointer of a good configuration and expects the error.
#[track_caller]
fn refused(pointer: &str, value: Value, path: &str, problem: &str) {
    let mut config = good();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    match config.pointer_mut(parent).unwrap() {
        Value::Array(elements) => elements.push(value),
        object => object[member] = value,
    }
    let error = load(&config).unwrap_err();
    assert_eq!(error.path(), path, "{error}");
    assert!(error.problem().contains(problem), "{error}");
    let shown = error.to_string();
    assert!(shown.starts_with("configuration refused at `"), "{shown}");
    shows_nothing(&error);
}

/// Neither an API key nor anything of a sealing key.
#[track_caller]
fn shows_nothing(error: &ConfigError) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(KEY), "{shown}");
    assert!(!shown.contains(OF_SEALING_KEYS), "{shown}");
}

#[test]
fn a_good_configuration_is_accepted() {
    assert_eq!(load(&good()), Ok(1));
}

#[test]
fn an_error_names_the_path_what_was_found_and_what_was_expected() {
    refused("/version", json!(2), "version", "found 2, expected 1");
    refused(
        "/version",
        json!("1"),
        "version",
        "found a string, expected 1",
    );
    refused(
        "/hosts",
        json!({}),
        "hosts",
        "found an object, expected an array",
    );
    refused("/hosts", json!([]), "hosts", "found no host");
    refused(
        "/host",
        json!([]),
        "host",
        "found an unknown member, expected one of `version`",
    );
    refused(
        "/hosts/0/custom_domain",
        json!("login_1.example.com"),
        "hosts[0].custom_domain",
        "found `login_1.example.com`, expected a host name such as",
    );
    refused(
        "/hosts/0/mtls",
        json!("on_the_moon"),
        "hosts[0].mtls",
        "expected one of `alias` `same_host`",
    );
    refused(
        "/hosts/0/profile",
        json!("okta"),
        "hosts[0].profile",
        "expected one of `auth0` `generic`",
    );
    refused(
        "/hosts/0/client_certificates/clock_skew_seconds",
        json!(301),
        "hosts[0].client_certificates.clock_skew_seconds",
        "found 301, expected a whole number from 0 to 300",
    );
    refused(
        "/hosts/0/client_certificates/clock_skew_seconds",
        json!(-1),
        "hosts[0].client_certificates.clock_skew_seconds",
        "found a negative, fractional or very large number",
    );
    refused(
        "/hosts/0/trusted_proxies",
        json!(["10.0.0.0/8", "10.0.0.1/8"]),
        "hosts[0].trusted_proxies[1]",
        "found `10.0.0.1/8`, expected an IP address, or a network",
    );
}

#[test]
fn an_error_is_one_line_and_shows_no_password_of_a_url() {
    let url = format!("https://user:{KEY}@origin.example.net");
    refused(
        "/hosts/0/origin/host",
        json!(url),
        "hosts[0].origin.host",
        "found a text with `@`",
    );
    refused(
        "/hosts/0/mtls",
        json!("a\nb"),
        "hosts[0].mtls",
        "found `a\\nb`",
    );
    refused(
        "/hosts/0/mtls",
        json!("a".repeat(200)),
        "hosts[0].mtls",
        "aaa...`",
    );
    refused("/a\nb", json!(1), "a\\nb", "unknown member");
}

#[test]
fn a_missing_member_is_named() {
    let mut config = good();
    config["hosts"][0].as_object_mut().unwrap().remove("origin");
    let error = load(&config).unwrap_err();
    assert_eq!(error.path(), "hosts[0].origin");
    assert_eq!(error.problem(), "found nothing, expected this member");
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let error = config_json::parse(b"{\"version\": 1,\n\"hosts\": [}", 0, &secrets).unwrap_err();
    assert_eq!(error.path(), ".");
    assert!(error.problem().contains("line 2"), "{error}");
    let twice = br#"{"version": 1, "version": 1, "hosts": []}"#;
    let error = config_json::parse(twice, 0, &secrets).unwrap_err();
    assert!(error.problem().contains("`version` given twice"), "{error}");
}

#[test]
fn names_are_served_once_and_requests_do_not_go_in_circles() {
    let host = good()["hosts"][0].clone();
    refused(
        "/hosts/-",
        host.clone(),
        "hosts[1].custom_domain",
        "served already",
    );
    let mut alias = host.clone();
    alias["custom_domain"] = json!("mtls.login.example.com");
    refused(
        "/hosts/-",
        alias,
        "hosts[1].custom_domain",
        "served already",
    );
    let mut alias = host;
    alias["custom_domain"] = json!("other.example.com");
    alias["mtls_alias"] = json!("login.example.com.");
    refused("/hosts/-", alias, "hosts[1].mtls_alias", "served already");
    refused(
        "/hosts/0/origin/host",
        json!("MTLS.login.example.com:444"),
        "hosts[0].origin.host",
        "requests would go in circles",
    );
}

/// However they are spelled, and whichever of two hosts comes first.
#[test]
fn the_names_of_all_hosts_and_origins_are_disjoint() {
    let host = |custom_domain: &str, alias: Option<&str>, origin: &str| {
        let mut host = good()["hosts"][0].clone();
        host["custom_domain"] = json!(custom_domain);
        host["origin"]["host"] = json!(origin);
        if let Some(alias) = alias {
            host["mtls_alias"] = json!(alias);
        }
        host
    };
    let plain = |name| host(name, None, "origin.example.net");
    let aliased = |name, alias| host(name, Some(alias), "origin.example.net");
    let behind = |name, origin| host(name, None, origin);
    let (taken, circle) = ("served already", "requests would go in circles");
    for (first, second, path, problem) in [
        (
            plain("a.example.com"),
            plain("A.Example.com"),
            "hosts[1].custom_domain",
            taken,
        ),
        (
            plain("a.example.com"),
            plain("a.example.com."),
            "hosts[1].custom_domain",
            taken,
        ),
        // The alias that is made of the custom domain, against one that is given, and the reverse.
        (
            plain("a.example.com"),
            plain("MTLS.a.example.com."),
            "hosts[1].custom_domain",
            taken,
        ),
        (
            plain("mtls.a.example.com"),
            plain("a.example.com"),
            "hosts[1].mtls_alias",
            taken,
        ),
        (
            aliased("a.example.com", "tls.example.com"),
            aliased("b.example.com", "TLS.example.com."),
            "hosts[1].mtls_alias",
            taken,
        ),
        (
            aliased("a.example.com", "tls.example.com"),
            plain("tls.example.com"),
            "hosts[1].custom_domain",
            taken,
        ),
        (
            aliased("a.example.com", "a.example.com."),
            plain("b.example.com"),
            "hosts[0].mtls_alias",
            taken,
        ),
        // An origin of either is a name of the other.
        (
            plain("a.example.com"),
            behind("b.example.com", "A.example.com."),
            "hosts[1].origin.host",
            circle,
        ),
        (
            behind("a.example.com", "MTLS.b.example.com.:8443"),
            plain("b.example.com"),
            "hosts[0].origin.host",
            circle,
        ),
        (
            behind("a.example.com", "a.example.com:444"),
            plain("b.example.com"),
            "hosts[0].origin.host",
            circle,
        ),
    ] {
        let mut config = good();
        config["hosts"] = json!([first, second]);
        let error = load(&config).unwrap_err();
        assert_eq!(error.path(), path, "{error}: {config}");
        assert!(error.problem().contains(problem), "{error}: {config}");
    }
    // A host that is not served yet has its names all the same.
    let mut inactive = plain("a.example.com");
    inactive["active"] = json!(false);
    let mut config = good();
    config["hosts"] = json!([inactive, plain("a.example.com")]);
    assert_eq!(load(&config).unwrap_err().path(), "hosts[1].custom_domain");
    // Two hosts may share an origin, and without an alias its name is free.
    let mut without = plain("a.example.com");
    without["mtls"] = json!("off");
    without
        .as_object_mut()
        .unwrap()
        .remove("client_certificates");
    config["hosts"] = json!([without, plain("mtls.a.example.com")]);
    assert_eq!(load(&config), Ok(2));
}

#[test]
fn origins_are_reached_over_https_only() {
    for text in [
        "http://origin.example.net",
        "https://origin.example.net",
        "origin",
        "10.0.0.1",
        "",
    ] {
        refused(
            "/hosts/0/origin/host",
            json!(text),
            "hosts[0].origin.host",
            "without a scheme: origins are reached over HTTPS only",
        );
    }
}

#[test]
fn an_api_key_that_cannot_be_used_is_refused_and_never_shown() {
    let path = "hosts[0].origin.api_key";
    let at = "/hosts/0/origin/api_key";
    refused(
        at,
        json!({ "env": "NONE" }),
        &format!("{path}.env"),
        "found no variable `NONE` among",
    );
    refused(
        at,
        json!({ "env": "EMPTY" }),
        &format!("{path}.env"),
        "no header value (empty)",
    );
    refused(
        at,
        json!({ "env": "TWO_LINES" }),
        &format!("{path}.env"),
        "no header value",
    );
    refused(
        at,
        json!({ "env": KEY }),
        &format!("{path}.env"),
        "found no name of a variable",
    );
    refused(
        at,
        json!({ "inline": KEY }),
        &format!("{path}.inline"),
        "`allow_inline_secrets` is not true",
    );
    refused(
        at,
        json!({ "inline": format!("{KEY}\n") }),
        &format!("{path}.inline"),
        "no header value",
    );
    for wrong in [
        json!(KEY),
        json!([KEY]),
        json!({ KEY: 1 }),
        json!({ "env": [KEY] }),
        json!(4711),
    ] {
        refused(at, wrong, path, "expected an object with one member: `env`");
    }
    refused(
        at,
        json!({ "env": "KEY", "inline": KEY }),
        path,
        "expected an object with one member",
    );
    refused(at, Value::Null, path, "expected an object with one member");
    let mut config = good();
    config["hosts"][0]["origin"]
        .as_object_mut()
        .unwrap()
        .remove("api_key");
    assert!(
        load(&config)
            .unwrap_err()
            .problem()
            .contains("the profile `auth0` needs one")
    );
}

#[test]
fn an_inline_key_is_taken_when_the_file_says_so() {
    let mut config = good();
    config["allow_inline_secrets"] = json!(true);
    config["hosts"][0]["origin"]["api_key"] = json!({ "inline": KEY });
    assert_eq!(load(&config), Ok(1));
}

/// An API key, sealed for a custom domain with the first or the second sealing key.
fn sealed(which: usize, key_id: &str, custom_domain: &str) -> String {
    let key: SealingKey = SEALING_KEYS[which].parse().unwrap();
    let custom_domain = HostName::parse(custom_domain).unwrap();
    let secret = Secret::new(KEY.into()).unwrap();
    let key_id = key_id.parse().unwrap();
    seal(&key, &key_id, &custom_domain, &secret, [7; 24]).unwrap()
}

/// Two hosts, each sealed with a key of its own.
fn good_sealed() -> Value {
    let mut config = good();
    config["sealing_keys"] = json!({
        "2026-11": { "env": "SEALING_KEY" },
        "2027-05": { "env": "NEXT_SEALING_KEY" },
    });
    let mut other = config["hosts"][0].clone();
    other["custom_domain"] = json!("login.example.org");
    other["origin"]["api_key"] = json!({ "sealed": sealed(1, "2027-05", "login.example.org") });
    let first = sealed(0, "2026-11", "login.example.com");
    config["hosts"][0]["origin"]["api_key"] = json!({ "sealed": first });
    config["hosts"].as_array_mut().unwrap().push(other);
    config
}

/// Changes the configuration with sealed keys and expects the error.
#[track_caller]
fn refused_sealed(change: impl FnOnce(&mut Value), path: &str, problem: &str) {
    let mut config = good_sealed();
    change(&mut config);
    let error = load(&config).unwrap_err();
    assert_eq!((error.path(), error.problem()), (path, problem));
    shows_nothing(&error);
}

#[test]
fn keys_that_are_sealed_under_two_ids_are_opened_at_once() {
    let json = good_sealed().to_string();
    let config = config_json::parse(json.as_bytes(), 0, &secrets).unwrap();
    for name in ["login.example.com", "login.example.org"] {
        let (_, host, _) = config.find(&HostName::parse(name).unwrap()).unwrap();
        let key = host.origin.api_key.as_ref().map(Secret::expose);
        assert_eq!(key, Some(KEY), "{name}");
    }
    let shown = format!("{config:?}");
    assert!(!shown.contains(KEY));
    assert!(!shown.contains(OF_SEALING_KEYS));
    assert!(!json.contains(KEY));
}

#[test]
fn a_host_name_in_another_spelling_is_the_one_that_was_sealed_for() {
    let mut config = good_sealed();
    config["hosts"][0]["custom_domain"] = json!("Login.Example.COM.");
    assert_eq!(load(&config), Ok(2));
}

#[test]
fn a_sealing_key_is_no_api_key() {
    let mut config = good();
    config["sealing_keys"] = json!({ "2026-11": { "env": "SEALING_KEY" } });
    config["hosts"][0]["origin"]["api_key"] = json!({ "env": "SEALING_KEY" });
    let error = load(&config).unwrap_err();
    assert_eq!(error.path(), "hosts[0].origin.api_key.env");
    assert!(
        error
            .problem()
            .contains("found the variable of a sealing key")
    );
}

#[test]
fn sealing_keys_that_no_host_needs_are_read_all_the_same() {
    let mut config = good();
    config["sealing_keys"] = json!({ "2026-11": { "env": "SEALING_KEY" } });
    assert_eq!(load(&config), Ok(1));
    config["sealing_keys"]["2027-05"] = json!({ "env": "NONE" });
    let error = load(&config).unwrap_err();
    assert_eq!(error.path(), "sealing_keys.2027-05.env");
    assert!(error.problem().contains("found no variable `NONE` among"));
}

#[test]
fn a_sealed_key_that_does_not_open_is_refused() {
    let path = "hosts[0].origin.api_key.sealed";
    let not_opened = "found a text that the sealing key `2026-11` does not open, expected one that was sealed with it \
                      for `login.example.com`";
    let put = |text: String| {
        move |config: &mut Value| {
            config["hosts"][0]["origin"]["api_key"]["sealed"] = json!(text);
        }
    };
    let good = sealed(0, "2026-11", "login.example.com");
    let flipped = match good.strip_suffix('A') {
        Some(rest) => format!("{rest}Q"),
        None => format!("{}A", &good[..good.len() - 1]),
    };
    for (text, problem) in [
        // Of another host, of its alias, with another key, with one bit changed.
        (sealed(0, "2026-11", "login.example.org"), not_opened),
        (sealed(0, "2026-11", "mtls.login.example.com"), not_opened),
        (sealed(1, "2026-11", "login.example.com"), not_opened),
        (good.replace("2026-11:B", "2026-11:C"), not_opened),
        (flipped, not_opened),
        (
            good.replace("2026-11", "2027-05"),
            "found a text that the sealing key `2027-05` does not open, expected one that was sealed with it \
             for `login.example.com`",
        ),
        (
            sealed(0, "2025-05", "login.example.com"),
            "found a text that is sealed with another key, expected `2026-11` or `2027-05` of `sealing_keys`",
        ),
        // Two lines; made by libsodium, see `shared/src/wire/sealed.rs`.
        (
            "v1:2026-11:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXhXsc_jeZmj-IAXDfy5ShigAb5yUfLVgbsQ".into(),
            "found in the sealed text no header value (a byte that cannot stand in a header value), expected an API key",
        ),
    ] {
        refused_sealed(put(text), path, problem);
    }
    refused_sealed(
        |config| drop(config.as_object_mut().unwrap().remove("sealing_keys")),
        path,
        "found a text that is sealed with another key, expected `sealing_keys` at the top of the file with the key \
         that it is sealed with",
    );
    refused_sealed(
        |config| {
            drop(
                config["sealing_keys"]
                    .as_object_mut()
                    .unwrap()
                    .remove("2026-11"),
            )
        },
        path,
        "found a text that is sealed with another key, expected `2027-05` of `sealing_keys`",
    );
}

#[test]
fn what_is_no_sealed_key_is_refused_and_not_shown() {
    for (text, found) in [
        (KEY.to_owned(), "no three parts with `:` between them"),
        (format!("v2:2026-11:{KEY}"), "another version"),
        (format!("v1::{KEY}"), "no key id"),
        (
            format!("v1:2026-11:{KEY}=="),
            "no base64url in its third part",
        ),
        (format!("v1:2026-11:{}", SEALING_KEYS[0]), "too few bytes"),
        (format!("v1:2026-11:{}", "A".repeat(5516)), "too many bytes"),
    ] {
        refused(
            "/hosts/0/origin/api_key",
            json!({ "sealed": text }),
            "hosts[0].origin.api_key.sealed",
            &format!(
                "found no sealed key ({found}), expected `v1:KEY_ID:BASE64URL` as it was sealed"
            ),
        );
    }
    refused(
        "/hosts/0/origin/api_key",
        json!({ "sealed": [KEY] }),
        "hosts[0].origin.api_key",
        "expected an object with one member: `env`",
    );
}

#[test]
fn a_sealing_key_that_cannot_be_used_is_refused_and_not_shown() {
    let key = SEALING_KEYS[0];
    let (at, path) = ("/sealing_keys", "sealing_keys");
    let variable = |name: &str| json!({ "2026-11": { "env": name } });
    for (name, problem) in [
        ("NONE", "found no variable `NONE` among"),
        (
            "EMPTY",
            "found in the variable `EMPTY` no sealing key (another length), expected 32 bytes in base64url: 43 characters",
        ),
        ("PADDED_SEALING_KEY", "(another length)"),
        ("NO_SEALING_KEY", "(no base64url)"),
        ("none", "found no variable among"),
        ("A-B", "found no name of a variable"),
        (&format!("{key}="), "found no name of a variable"),
    ] {
        let path = format!("{path}.2026-11.env");
        refused(at, variable(name), &path, problem);
    }
    // The key itself in the place of the variable's name is not shown.
    refused(
        at,
        variable(key),
        "sealing_keys.2026-11.env",
        "found no variable among",
    );
    for wrong in [
        json!(key),
        json!({ "inline": key }),
        json!({ "env": [key] }),
        json!({ "env": "SEALING_KEY", "inline": key }),
        Value::Null,
    ] {
        let problem = "expected an object with one member: `env`, the name of the variable that holds the sealing key";
        refused(
            at,
            json!({ "2026-11": wrong }),
            "sealing_keys.2026-11",
            problem,
        );
    }
    for id in ["", "a.b", "a:b", key] {
        let problem = "found no key id, expected 1 to 32 letters, digits, `-` and `_`";
        refused(at, json!({ id: { "env": "SEALING_KEY" } }), path, problem);
    }
    let three = json!({
        "a": { "env": "SEALING_KEY" },
        "b": { "env": "SEALING_KEY" },
        "c": { "env": "SEALING_KEY" },
    });
    refused(
        at,
        three,
        path,
        "found 3 sealing keys, expected one, or two",
    );
    refused(
        at,
        json!({}),
        path,
        "found 0 sealing keys, expected one, or two",
    );
    refused(
        at,
        json!([key]),
        path,
        "found an array, expected an object of sealing keys by their ids",
    );
}

#[test]
fn who_is_accepted_on_an_alias_is_said() {
    let at = "/hosts/0/client_certificates";
    let path = "hosts[0].client_certificates";
    refused(
        at,
        json!({}),
        path,
        "found neither `ca_signed` nor `self_signed`",
    );
    refused(
        at,
        json!({ "ca_signed": { "verified_by": "edge" } }),
        &format!("{path}.ca_signed.roots"),
        "expected at least one",
    );
    refused(
        at,
        json!({ "ca_signed": {} }),
        &format!("{path}.ca_signed.roots"),
        "expected at least one",
    );
    let mut config = good();
    config["hosts"][0]
        .as_object_mut()
        .unwrap()
        .remove("client_certificates");
    assert_eq!(load(&config).unwrap_err().path(), path);
    config["hosts"][0]["mtls"] = json!("off");
    assert_eq!(load(&config), Ok(1));
    config["hosts"][0]["mtls_alias"] = json!("mtls.example.com");
    assert_eq!(load(&config).unwrap_err().path(), "hosts[0].mtls_alias");
}

#[test]
fn an_entry_of_a_list_names_a_certificate_in_one_way() {
    let allow = "/hosts/0/client_certificates/ca_signed/allow/-";
    let path = "hosts[0].client_certificates.ca_signed.allow[1]";
    for wrong in [
        json!({}),
        json!({ "serial": "01" }),
        json!({ "issuer": "CN=a" }),
        json!({ "san_dns": "a.example", "san_uri": "urn:a" }),
        json!({ "subject": "CN=a", "issuer": "CN=a", "serial": "01" }),
    ] {
        refused(allow, wrong, path, "expected exactly one of");
    }
    refused(
        allow,
        json!({ "thumbprint": "00" }),
        &format!("{path}.thumbprint"),
        "expected a SHA-256",
    );
    refused(
        allow,
        json!({ "subject": "a" }),
        &format!("{path}.subject"),
        "RFC2253",
    );
    refused(
        allow,
        json!({ "serial": "xyz", "issuer": "CN=a" }),
        &format!("{path}.serial"),
        "in hex",
    );
    refused(
        allow,
        json!({ "san_dns": "*.*.example.com" }),
        &format!("{path}.san_dns"),
        "a DNS name",
    );
    refused(
        allow,
        json!({ "san_uri": "" }),
        &format!("{path}.san_uri"),
        "not empty",
    );
    refused(
        allow,
        json!({ "cn": "a" }),
        &format!("{path}.cn"),
        "unknown member",
    );
    refused(
        "/hosts/0/client_certificates/deny",
        json!([{ "issuer": "CN=a" }]),
        "hosts[0].client_certificates.deny[0]",
        "expected exactly one of",
    );
}

#[test]
fn self_signed_needs_a_verdict_unless_the_origin_matches_thumbprints() {
    let mut config = good();
    config["hosts"][0]["certificate_headers"] = json!("rfc9440");
    let error = load(&config).unwrap_err();
    assert_eq!(error.path(), "hosts[0].client_certificates.self_signed");
    config["hosts"][0]["origin"]["matches"] = json!("thumbprints_only");
    assert_eq!(load(&config), Ok(1));
}

#[test]
fn a_field_carries_one_thing() {
    let custom = |certificate: &str| json!({ "certificate": certificate, "encoding": "base64_der", "verdict": "x-verdict" });
    let at = "/hosts/0/certificate_headers";
    for taken in ["x-forwarded-for", "X-Forwarded-Host", "cname-api-key"] {
        refused(
            at,
            custom(taken),
            "hosts[0].certificate_headers",
            "carries something else already",
        );
    }
    refused(
        at,
        custom("x-envoy-retry-on"),
        "hosts[0].certificate_headers",
        "tells where a request came from",
    );
    let path = "hosts[0].certificate_headers.certificate";
    for wrong in ["authorization", "content-length", "host", "a b", ""] {
        refused(
            at,
            custom(wrong),
            path,
            "expected the name of a header field",
        );
    }
    refused(
        "/hosts/0/client_ip_header",
        json!("client-certificate"),
        "hosts[0].certificate_headers",
        "carries something else already",
    );
    refused(
        "/hosts/0/tenant_header",
        json!("x-tenant"),
        "hosts[0].tenant",
        "expected a tenant",
    );
}

#[test]
fn the_field_that_chooses_the_origin_carries_nothing_else() {
    let custom = json!({ "certificate": "x-certificate", "encoding": "base64_der", "verdict": "X-Auth_Edge-Origin" });
    for (pointer, value, path) in [
        (
            "/hosts/0/client_ip_header",
            json!("x-auth-edge-origin"),
            "hosts[0].client_ip_header",
        ),
        (
            "/hosts/0/certificate_headers",
            custom,
            "hosts[0].certificate_headers",
        ),
    ] {
        refused(pointer, value, path, "carries something else already");
    }
}

#[test]
fn a_host_takes_from_the_defaults_what_it_does_not_give() {
    let mut config = good();
    let certificates = config["hosts"][0]
        .as_object_mut()
        .unwrap()
        .remove("client_certificates")
        .unwrap();
    config["defaults"] = json!({ "client_certificates": certificates, "profile": "generic" });
    assert_eq!(load(&config), Ok(1));
    config["hosts"][0]["client_certificates"] = json!({});
    assert_eq!(
        load(&config).unwrap_err().path(),
        "hosts[0].client_certificates"
    );
    config["defaults"]["custom_domain"] = json!("a.example.com");
    assert_eq!(load(&config).unwrap_err().path(), "defaults.custom_domain");
}

#[test]
fn paths_are_paths() {
    let at = "/hosts/0/mtls_paths";
    refused(at, json!([]), "hosts[0].mtls_paths", "found no path");
    for wrong in [
        "oauth/token",
        "",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/a b",
        "/\u{e4}",
        "/a/../b",
        "/a/%2e/b",
    ] {
        refused(
            at,
            json!([{ "path": wrong, "class": "token" }]),
            "hosts[0].mtls_paths[0].path",
            "expected a path such as",
        );
    }
}

#[test]
fn what_is_only_watched_has_an_end_and_an_object() {
    let day = |day: u64| format!("1970-01-{day:02}T00:00:00Z");
    let shadowed = |mode: Value, shadow: Value| {
        let mut config = good();
        config["hosts"][0]["mode"] = mode;
        config["hosts"][0]["shadow"] = shadow;
        config
    };
    let candidate = json!({ "self_signed": "forward" });
    let good = [
        (json!("shadow"), json!({ "until": day(31) })),
        (
            json!("shadow"),
            json!({ "until": day(2), "path_list": "shadow" }),
        ),
        (
            json!("enforce"),
            json!({ "until": day(2), "client_certificates": candidate }),
        ),
    ];
    for (mode, shadow) in good {
        assert_eq!(load(&shadowed(mode, shadow)), Ok(1));
    }
    let bad = [
        (
            json!("shadow"),
            Value::Null,
            "",
            "found nothing although `mode` is `shadow`",
        ),
        (json!("shadow"), json!({}), ".until", "found nothing"),
        (
            json!("shadow"),
            json!({ "until": "1970-01-31T00:00:01Z" }),
            ".until",
            "more than 30 days ahead",
        ),
        (
            json!("shadow"),
            json!({ "until": "1970-01-02" }),
            ".until",
            "expected a time in UTC",
        ),
        (
            json!("shadow"),
            json!({ "until": "1970-02-30T00:00:00Z" }),
            ".until",
            "expected a time in UTC",
        ),
        (
            json!("shadow"),
            json!({ "until": day(2), "client_certificates": candidate }),
            ".client_certificates",
            "although `mode` is `shadow`",
        ),
        (
            json!("enforce"),
            json!({ "until": day(2) }),
            "",
            "found nothing to watch",
        ),
        (
            json!("enforce"),
            json!({ "until": day(2), "path_list": "shadow", "client_certificates": candidate }),
            ".path_list",
            "no effect unless `mode` is `shadow`",
        ),
        (
            json!("enforce"),
            json!({ "until": day(2), "client_certificates": { "self_signed": "forward", "source": "envoy_xfcc" } }),
            ".client_certificates",
            "both judge the same certificate",
        ),
    ];
    for (mode, shadow, path, problem) in bad {
        let mut config = shadowed(mode, shadow.clone());
        if shadow.is_null() {
            let host = config["hosts"][0].as_object_mut().unwrap();
            host.remove("shadow");
        }
        let error = load(&config).unwrap_err();
        assert_eq!(error.path(), format!("hosts[0].shadow{path}"), "{error}");
        assert!(error.problem().contains(problem), "{error}");
    }
}
