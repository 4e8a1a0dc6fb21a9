//! Seals an API key for the configuration file, until there is a command line that does.
//!
//! `cargo run -p auth-edge --example seal -- KEY_ID CUSTOM_DOMAIN VARIABLE < key`: the API key is read from
//! standard input, the sealing key from the variable of the environment, so that neither stands in a command
//! line, which others on the machine can read. What is printed stands under `sealed`.

use std::error::Error;
use std::io::Read as _;
use std::process::ExitCode;
use std::{env, fs, io};

use auth_edge::host_name::HostName;
use auth_edge::secret::Secret;
use auth_edge::wire::sealed::{MAX_SECRET_BYTES, NONCE_BYTES, SealingKey, seal};

/// Where this system gives random bytes for keys and nonces.
const RANDOM: &str = "/dev/urandom";

fn main() -> ExitCode {
    match run() {
        Ok(sealed) => {
            println!("{sealed}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("seal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [key_id, custom_domain, variable] = arguments.as_slice() else {
        return Err(
            "expected KEY_ID CUSTOM_DOMAIN VARIABLE, and the API key on standard input".into(),
        );
    };
    let key_id = key_id.parse()?;
    let custom_domain = HostName::parse(custom_domain)?;
    let key = env::var(variable).map_err(|_| "the environment has no such variable")?;
    let key: SealingKey = key
        .parse()
        .map_err(|error| format!("the variable holds no sealing key: {error}"))?;
    let mut nonce = [0; NONCE_BYTES];
    fs::File::open(RANDOM)?.read_exact(&mut nonce)?;
    Ok(seal(&key, &key_id, &custom_domain, &api_key()?, nonce)?)
}

/// Reads a little more than can be sealed, so that what is too long is seen to be.
fn api_key() -> Result<Secret, Box<dyn Error>> {
    let most = u64::try_from(MAX_SECRET_BYTES)?.saturating_add(2);
    let mut text = String::new();
    io::stdin().take(most).read_to_string(&mut text)?;
    // The line feed that an editor or `echo` writes belongs to no key.
    let key = text.strip_suffix('\n').unwrap_or(&text);
    Secret::new(key.to_owned())
        .map_err(|error| format!("standard input is no API key: {error}").into())
}
