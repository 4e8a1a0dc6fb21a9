//! What the first verification of a certificate costs in a Worker, and a known one.
//!
//! Every certificate is a new one of the same key, so that the Worker has seen none of them before.

use super::*;
use crate::pki::{DAY, Extension, Key, KeyKind, Role, Template};
use crate::poll;

/// What Cloudflare gives a Worker without a paid plan for a request.
const FREE_PLAN: Duration = Duration::from_millis(10);
/// The kinds of keys that are accepted.
const KINDS: [(&str, KeyKind); 5] = [
    ("RSA-2048", KeyKind::Rsa2048),
    ("RSA-4096", KeyKind::Rsa4096),
    ("P-256", KeyKind::P256),
    ("P-384", KeyKind::P384),
    ("Ed25519", KeyKind::Ed25519),
];
/// How long workerd may take to be at rest.
const REST_LIMIT: Duration = Duration::from_secs(2);
/// How many certificates of each kind are shown to a Worker that has seen some.
const CERTIFICATES: usize = 30;
/// How many certificates of each kind come before: V8 compiles what is hot.
const BEFORE: usize = 20;
/// How often a Worker is shown a certificate that it knows.
const KNOWN: usize = 200;

/// Measures each kind of key in one Worker, and in `fresh` Workers that have verified nothing yet; shows medians.
///
/// # Errors
/// When workerd does not start, or a certificate is refused.
pub fn run(programs: &Programs, fresh: usize) -> Outcome {
    let pki = Pki::generate()?;
    let mut config = config(&pki)?;
    config["defaults"]["client_certificates"]["self_signed"] = json!("forward");
    let bindings = json!({ "AUTH_EDGE_CONFIG": config, API_KEY_VARIABLE: API_KEY });
    let fresh_name = |kind: &str, number: usize| format!("fresh {kind} {number}");
    let names = KINDS
        .iter()
        .flat_map(|(kind, _)| (0..fresh).map(|number| fresh_name(kind, number)));
    let names = names.chain([EDGE.to_owned()]);
    let workers = names.map(|name| (name, programs.edge.clone(), bindings.clone()));
    let workers = workers.collect();
    let stage = Stage::with(programs, pki, tempfile::tempdir()?, workers)?;
    println!(
        "\nVerifications, in milliseconds of processor time for the whole request; Workers Free allows {}:",
        FREE_PLAN.as_millis()
    );
    println!(
        "{:10} {:>12} {:>14} {:>14} {:>8}",
        "", "fresh: first", "fresh: a cert", "first (worst)", "known"
    );
    for (kind, key_kind) in KINDS {
        let maker = Maker::new(key_kind, stage.pki.generated_at())?;
        let (mut starts, mut cold) = (Vec::new(), Vec::new());
        for number in 0..fresh {
            let mut asking = Asking::new(&stage, &fresh_name(kind, number))?;
            // Reads the configuration, with which no certificate has to do.
            starts.push(asking.domain()?);
            cold.push(asking.alias(&maker.certificate()?)?);
        }
        let mut asking = Asking::new(&stage, EDGE)?;
        for _ in 0..BEFORE {
            asking.alias(&maker.certificate()?)?;
        }
        let firsts = (0..CERTIFICATES).map(|_| asking.alias(&maker.certificate()?));
        let firsts: Vec<f64> = firsts.collect::<Result<_, Box<dyn Error>>>()?;
        let same = maker.certificate()?;
        asking.alias(&same)?;
        let known: Vec<f64> = (0..KNOWN)
            .map(|_| asking.alias(&same))
            .collect::<Result<_, _>>()?;
        let worst = firsts.iter().copied().fold(0.0, f64::max);
        println!(
            "{kind:10} {:12.2} {:14.2} {:>14} {:8.2}",
            median(&starts),
            median(&cold),
            format!("{:.2} ({worst:.2})", median(&firsts)),
            median(&known)
        );
    }
    Ok(())
}

/// Makes self-signed certificates of one key.
struct Maker {
    key: Key,
    template: Template,
    now: i64,
}

impl Maker {
    fn new(kind: KeyKind, now: i64) -> Result<Self, Box<dyn Error>> {
        let key = Key::generate(kind)?;
        let subject = distinguished_name("bench", "Example Clients", "AT");
        let template = Template::new(subject, now - DAY, now + 30 * DAY)?
            .with(Extension::subject_key_identifier(&key))
            .with(Extension::basic_constraints(Role::Authority));
        Ok(Self { key, template, now })
    }

    /// Another certificate: its serial number is drawn.
    fn certificate(&self) -> Result<Identity, Box<dyn Error>> {
        let subject = &self.template.subject;
        let mut template = Template::new(subject.clone(), self.now - DAY, self.now + 30 * DAY)?;
        template.extensions.clone_from(&self.template.extensions);
        let with = self.key.natural_signature();
        Ok(Identity {
            name: "bench".to_owned(),
            chain: vec![template.sign(&self.key, subject, &self.key, with)?],
            key: self.key.pkcs8().to_vec(),
            host_verified: false,
            completes_handshake: true,
        })
    }
}

/// A client of one Worker, whose requests are measured one by one.
struct Asking<'a> {
    stage: &'a Stage,
    client: Client,
}

impl<'a> Asking<'a> {
    fn new(stage: &'a Stage, worker: &str) -> Result<Self, Box<dyn Error>> {
        let client = Client::open(stage.address(worker)?)?;
        Ok(Self { stage, client })
    }

    /// What a request without a certificate takes, in milliseconds.
    fn domain(&mut self) -> Result<f64, Box<dyn Error>> {
        self.spent(&arrived(&super::super::request(DOMAIN), None))
    }

    /// What a token request with this certificate takes, in milliseconds.
    fn alias(&mut self, identity: &Identity) -> Result<f64, Box<dyn Error>> {
        self.spent(&arrived(&super::super::request(ALIAS), Some(identity)))
    }

    fn spent(&mut self, request: &WireRequest) -> Result<f64, Box<dyn Error>> {
        let before = self.at_rest()?;
        let answer = self.client.send(request)?;
        let spent = self.at_rest()?.saturating_sub(before);
        if answer.status != 200 {
            let body = String::from_utf8_lossy(&answer.body);
            return Err(format!("a certificate was refused: {body}").into());
        }
        Ok(spent.as_secs_f64() * 1e3)
    }

    /// The processor time of workerd once it does nothing more: V8 may compile on after an answer.
    fn at_rest(&self) -> Result<Duration, Box<dyn Error>> {
        let mut last = None;
        let rest = poll::until(REST_LIMIT, || {
            let now = self.stage.cpu_time().ok()?;
            let is_at_rest = last.replace(now) == Some(now);
            is_at_rest.then_some(now)
        });
        rest.ok_or_else(|| "workerd does not come to rest".into())
    }
}
