//! The filter's configuration changes while connections are open (ECDS from a file).

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::secrets::sealed;
use super::{
    ALIAS, Client, DOMAIN, Outcome, PROTOCOLS, Protocol, SHIPPED, SOON, Stage, config, ensure,
    forwarded, refused, telling, token_request, verified_by_edge, with_ca_signed,
};
use crate::conformance::envoy_config::{Filter, discovered};
use crate::conformance::vector::{
    API_KEY, API_KEY_VARIABLE, NEXT_SEALING_KEY, SEALING_KEY, SECRETS,
};
use crate::pki::thumbprint_base64url;
use crate::poll;
use crate::process::Envoy;
use crate::wire::WireRequest;

/// The next request on a connection is decided by the new configuration.
pub fn a_new_configuration_applies_to_the_next_request_of_an_open_connection(
    stage: &Stage,
) -> Outcome {
    let files = Files::new(stage)?;
    let envoy = files.start(stage)?;
    // Not registered at first.
    let mut clients = clients(stage, &envoy, "self_signed_other")?;
    let mut config = config(&stage.pki)?;
    for client in &mut clients {
        refused(&client.send(&request())?, 401, "certificate_not_registered")?;
    }
    let thumbprint = thumbprint_base64url(stage.pki.get("self_signed_other")?.leaf());
    config["defaults"]["client_certificates"]["self_signed"]["registered"] = json!([thumbprint]);
    files.update(stage, &config, &envoy, RELOADED)?;
    for client in &mut clients {
        forwarded(&client.send(&request())?)?;
    }
    config["defaults"]["client_certificates"]["self_signed"]["registered"] = json!([]);
    files.update(stage, &config, &envoy, RELOADED)?;
    for client in &mut clients {
        refused(&client.send(&request())?, 401, "certificate_not_registered")?;
    }
    let dump = envoy.admin_get("/config_dump?include_eds")?;
    ensure(
        dump.contains("EcdsConfigDump") && dump.contains(API_KEY_VARIABLE),
        || "the dump does not show the discovered configuration".into(),
    )?;
    ensure(!dump.contains(API_KEY), || {
        "the dump shows the API key".into()
    })
}

/// A configuration that is refused changes nothing, and the next good one is taken.
pub fn a_refused_configuration_leaves_the_former_in_force(stage: &Stage) -> Outcome {
    let files = Files::new(stage)?;
    let envoy = files.start(stage)?;
    let mut options = stage.options_with(ALIAS, "self_signed")?;
    let mut former = Client::open(&envoy, SHIPPED, options.clone(), Protocol::Http1)?;
    forwarded(&former.send(&request())?)?;
    let mut bad = config(&stage.pki)?;
    bad["defaults"]["client_certificates"]["self_signed"]["registered"] = json!([]);
    bad["hosts"][0]["origin"]["host"] = json!("http://origin.example.test");
    files.update(stage, &bad, &envoy, REJECTED)?;
    let log = envoy.log();
    ensure(
        log.contains("auth_edge: configuration refused at `hosts[0].origin.host`"),
        || format!("the log does not say what is wrong:\n{}", telling(&log)),
    )?;
    forwarded(&former.send(&request())?)?;
    options.versions = crate::tls::TlsVersions::Tls12;
    let mut new = Client::open(&envoy, SHIPPED, options, Protocol::Http1)?;
    forwarded(&new.send(&request())?)?;
    bad["hosts"][0]["origin"]["host"] = json!("origin.example.test");
    files.update(stage, &bad, &envoy, RELOADED)?;
    for client in [&mut former, &mut new] {
        refused(&client.send(&request())?, 401, "certificate_not_registered")?;
    }
    Ok(())
}

/// An Envoy that has never had a good configuration answers nothing but 500, and the metric that the alert
/// looks at tells.
pub fn a_refused_first_configuration_closes_and_shows(stage: &Stage) -> Outcome {
    let files = Files::new(stage)?;
    let mut bad = config(&stage.pki)?;
    bad["hosts"][0]["origin"]["host"] = json!("http://origin.example.test");
    files.put(stage, &bad)?;
    let envoy = files.start(stage)?;
    let mut client = Client::open(&envoy, SHIPPED, stage.options(ALIAS), Protocol::Http1)?;
    let status = client.send(&request())?.status;
    ensure(status == 500, || format!("expected 500, found {status}"))?;
    let taken = discovery(&envoy, ".update_success")?;
    ensure(taken == 0, || format!("{taken} configurations were taken"))?;
    files.update(stage, &config(&stage.pki)?, &envoy, ".update_success")
}

/// A revocation list counts from the next request on, also for a certificate whose path was verified
/// before, and so does its release.
pub fn a_revocation_list_counts_from_the_next_request_of_an_open_connection(
    stage: &Stage,
) -> Outcome {
    let revoking = json!([BASE64.encode(stage.pki.revocation_list("ca")?)]);
    let releasing = json!([BASE64.encode(stage.pki.revocation_list("ca_older")?)]);
    let with_lists = |lists: Value| -> Result<Value, Box<dyn Error>> {
        let mut policy = verified_by_edge(&stage.pki)?;
        policy["crl"] = json!({ "check": "leaf", "lists": lists });
        Ok(with_ca_signed(config(&stage.pki)?, policy))
    };
    follow(
        stage,
        "ca_client_revoked",
        &[
            (with_lists(revoking)?, Some("certificate_revoked")),
            (with_lists(releasing)?, None),
        ],
    )
}

/// So does a root that is taken away.
pub fn a_removed_root_refuses_the_next_request_of_an_open_connection(stage: &Stage) -> Outcome {
    let policy = json!({ "roots": [stage.pki.authority("ca_rsa")?.pem()] });
    let without = with_ca_signed(config(&stage.pki)?, policy);
    follow(
        stage,
        "ca_client",
        &[
            (without, Some("certificate_unknown_issuer")),
            (config(&stage.pki)?, None),
        ],
    )
}

/// A key that is sealed in the file, and the id that it is sealed under, change with the file; one that was
/// sealed for another host leaves the former in force.
pub fn a_new_sealed_key_is_sent_from_the_next_request_of_an_open_connection(
    stage: &Stage,
) -> Outcome {
    let files = Files::new(stage)?;
    let envoy = files.start(stage)?;
    let mut clients = clients(stage, &envoy, "ca_client")?;
    let mut config = config(&stage.pki)?;
    config["sealing_keys"] = json!({
        "2026-11": { "env": SEALING_KEY.0 },
        "2027-05": { "env": NEXT_SEALING_KEY.0 },
    });
    let first = sealed(SEALING_KEY, "2026-11", DOMAIN, "test-only-first")?;
    let second = sealed(NEXT_SEALING_KEY, "2027-05", DOMAIN, "test-only-second")?;
    let of_another = sealed(NEXT_SEALING_KEY, "2027-05", ALIAS, "test-only-third")?;
    for (text, counter, sent) in [
        (first, RELOADED, "test-only-first"),
        (second, RELOADED, "test-only-second"),
        (of_another, REJECTED, "test-only-second"),
    ] {
        config["hosts"][0]["origin"]["api_key"] = json!({ "sealed": text });
        files.update(stage, &config, &envoy, counter)?;
        for client in &mut clients {
            stage.origin.take();
            forwarded(&client.send(&request())?)?;
            let keys = stage.one_at_origin()?;
            ensure(keys.values("cname-api-key") == [sent.as_bytes()], || {
                format!("the origin did not get `{sent}`")
            })?;
        }
    }
    Ok(())
}

/// Connections in each protocol that are forwarded at first; then each configuration in turn, with the
/// code that it refuses with, if it does.
fn follow(stage: &Stage, identity: &str, turns: &[(Value, Option<&str>)]) -> Outcome {
    let files = Files::new(stage)?;
    let envoy = files.start(stage)?;
    let mut clients = clients(stage, &envoy, identity)?;
    for client in &mut clients {
        forwarded(&client.send(&request())?)?;
    }
    for (config, refusal) in turns {
        files.update(stage, config, &envoy, RELOADED)?;
        for client in &mut clients {
            let response = client.send(&request())?;
            match refusal {
                None => forwarded(&response)?,
                Some(code) => drop(refused(&response, 401, code)?),
            }
        }
    }
    Ok(())
}

/// What ends the name of the counter of updates that were taken.
const RELOADED: &str = ".config_reload";
/// What ends the name of the counter of updates that were refused.
const REJECTED: &str = ".update_rejected";

/// A request with credentials, so that a refusal is a 401: after a 400 Envoy closes HTTP/1.1.
fn request() -> WireRequest {
    token_request(ALIAS).header("authorization", "Basic Y2xpZW50OnNlY3JldA==")
}

/// A connection in each protocol, with this certificate.
fn clients(stage: &Stage, envoy: &Envoy, identity: &str) -> Result<Vec<Client>, Box<dyn Error>> {
    let open = |protocol| {
        let options = stage.options_with(ALIAS, identity)?;
        Client::open(envoy, SHIPPED, options, protocol)
    };
    PROTOCOLS.into_iter().map(open).collect()
}

/// The folder that Envoy watches.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new(stage: &Stage) -> Result<Self, Box<dyn Error>> {
        let files = Self {
            folder: tempfile::tempdir()?,
        };
        files.put(stage, &config(&stage.pki)?)?;
        Ok(files)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("filter.json")
    }

    fn start(&self, stage: &Stage) -> Result<Envoy, Box<dyn Error>> {
        let filter = Filter::File(self.path().to_string_lossy().into_owned());
        let port = stage.origin.address().port();
        Ok(stage.start(filter, port, &SECRETS)?)
    }

    /// Moves a new file into place, which is what Envoy watches for.
    fn put(&self, stage: &Stage, config: &Value) -> Result<(), Box<dyn Error>> {
        let resource = discovered(&config.to_string(), SHIPPED, &stage.wasm);
        let unfinished = self.folder.path().join("unfinished");
        fs::write(&unfinished, resource.to_string())?;
        Ok(fs::rename(unfinished, self.path())?)
    }

    /// Puts a new file, and waits until the counter says what became of it.
    fn update(&self, stage: &Stage, config: &Value, envoy: &Envoy, ending: &str) -> Outcome {
        let before = discovery(envoy, ending)?;
        self.put(stage, config)?;
        let counted = poll::until(SOON, || {
            discovery(envoy, ending)
                .ok()
                .filter(|count| *count > before)
        });
        ensure(counted.is_some(), || {
            format!(
                "`{ending}` stays at {before}; the log:\n{}",
                telling(&envoy.log())
            )
        })
    }
}

/// The counter of the filter's discovery with this ending.
fn discovery(envoy: &Envoy, ending: &str) -> Result<u64, Box<dyn Error>> {
    let stats = envoy.admin_get("/stats?filter=extension_config_discovery")?;
    let mut lines = stats.lines().filter_map(|line| line.split_once(": "));
    let value = lines
        .find(|(name, _)| name.ends_with(ending))
        .map(|(_, value)| value.parse());
    Ok(value.ok_or_else(|| format!("no counter `{ending}` in\n{stats}"))??)
}
