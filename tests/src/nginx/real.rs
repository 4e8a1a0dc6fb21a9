//! A real NGINX with the shipped configuration, without its Wasm lines: what the fake does before and after the
//! filter is compared with it.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::shipped;
use crate::conformance::vector::ORIGIN;
use crate::pki::Pki;
use crate::poll;

const LIMIT: Duration = Duration::from_secs(20);

/// The variables that a request shows the origin, in a field `seen-NAME` with hyphens.
pub const SHOWN: [&str; 7] = [
    "request",
    "seen_uri",
    "ssl_client_verify",
    "ssl_client_escaped_cert",
    "ssl_server_name",
    "ssl_protocol",
    "ssl_cipher",
];

/// What the variable of a field holds in place of what the filter would set.
pub const SET: &str = "set-by-the-filter";

/// A running NGINX.
pub struct Nginx {
    child: Child,
    directory: TempDir,
    /// Where it speaks TLS.
    pub tls: SocketAddr,
    /// Where it answers probes.
    pub health: SocketAddr,
}

impl Nginx {
    /// Starts NGINX in front of an origin.
    ///
    /// # Errors
    /// When it does not start; says what it wrote.
    pub fn start(binary: &Path, pki: &Pki, origin: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::Builder::new()
            .prefix("auth-edge-nginx-")
            .tempdir()?;
        let folder = directory.path().display().to_string();
        let (plain, tls, health) = (free()?, free()?, free()?);
        for name in ["login.example.test", "mtls.login.example.test"] {
            // The vectors ask for names that nobody serves as well.
            let identity =
                pki.server_identity(&[name, "*.example.test", "*.login.example.test"])?;
            let file = |end: &str| directory.path().join(format!("{name}.{end}"));
            fs::write(file("pem"), identity.chain_pem())?;
            fs::write(file("key"), identity.key_pem())?;
        }
        fs::write(directory.path().join("server-ca.pem"), pki.server_ca_pem())?;
        let read = |name: &str| fs::read_to_string(shipped::folder().join(name));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
            .concat();
        let main = without_wasm(&read("nginx.conf")?)
            .replace(
                "http {\n",
                &format!(
                    "daemon off;\nhttp {{\n{temporary}    access_log off;\n    \
                 map $uri $seen_uri {{ \"~[[:cntrl:]]\" \"\"; default $uri; }}\n"
                ),
            )
            .replace(
                "/etc/ssl/certs/ca-certificates.crt",
                &format!("{folder}/server-ca.pem"),
            )
            .replace("/etc/auth-edge/", &format!("{folder}/"))
            .replace("/var/log/nginx/error.log", &format!("{folder}/error.log"))
            .replace("/run/nginx.pid", &format!("{folder}/pid"))
            .replace("listen 80 ", &format!("listen {plain} "))
            .replace("listen 443 ", &format!("listen {tls} "))
            .replace("127.0.0.1:8081", &health.to_string())
            .replace(
                "server tenant-abc123.edge.tenants.us.auth0.com:443;",
                &format!("server {origin};"),
            )
            .replace("tenant-abc123.edge.tenants.us.auth0.com", ORIGIN)
            .replace("login.example.com", "login.example.test");
        fs::write(directory.path().join("nginx.conf"), main)?;
        // In place of the filter: the authority, and a value that no client sends.
        let variables = read("auth_edge_variables.conf")?
            .replace("default \"\"", &format!("default \"{SET}\""))
            .replace(
                &format!("$auth_edge_authority {{ default \"{SET}\""),
                &format!("$auth_edge_authority {{ default \"{ORIGIN}\""),
            )
            .replace(
                &format!("$auth_edge_x_auth_edge_origin {{ default \"{SET}\""),
                "$auth_edge_x_auth_edge_origin { default \"\"",
            );
        fs::write(directory.path().join("auth_edge_variables.conf"), variables)?;
        let location = read("auth_edge_location.conf")?;
        let location = location
            .lines()
            .filter(|line| !line.starts_with("proxy_wasm "));
        let mut location: String = location.map(|line| format!("{line}\n")).collect();
        location = location.replace("/etc/auth-edge/", &format!("{folder}/"));
        for name in SHOWN {
            location.push_str(&format!("proxy_set_header {} ${name};\n", field_of(name)));
        }
        fs::write(directory.path().join("auth_edge_location.conf"), location)?;
        fs::write(
            directory.path().join("auth_edge_fields.conf"),
            read("auth_edge_fields.conf")?,
        )?;
        let child = Command::new(binary)
            .args(["-p", &folder, "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .stderr(fs::File::create(directory.path().join("stderr"))?)
            .spawn()?;
        let mut nginx = Self {
            child,
            directory,
            tls,
            health,
        };
        let up = poll::until(LIMIT, || match nginx.child.try_wait() {
            Ok(None) => TcpStream::connect(tls).is_ok().then_some(true),
            _ => Some(false),
        });
        if up == Some(true) {
            Ok(nginx)
        } else {
            Err(format!("NGINX does not start: {}", nginx.log()).into())
        }
    }

    /// What it has written.
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        read("stderr") + &read("error.log")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is asked to, and not when it is killed.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = poll::until(LIMIT, || self.child.try_wait().ok().flatten());
        if ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The field that shows the origin a variable.
pub fn field_of(variable: &str) -> String {
    format!("seen-{}", variable.replace('_', "-"))
}

/// The configuration without its block `wasm`.
fn without_wasm(text: &str) -> String {
    let Some((before, after)) = text.split_once("\nwasm {\n") else {
        return text.to_owned();
    };
    let rest = after.split_once("\n}\n").map_or("", |(_, rest)| rest);
    format!("{before}\n{rest}")
}

/// An address that nobody listens on.
fn free() -> Result<SocketAddr, std::io::Error> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
