//! What to try while the demo stays up.

use super::edge::Edge;
use super::envoy::InEnvoy;
use super::stage::{CA_SIGNED, SELF_SIGNED, Stage};
use super::worker::{CONFIG_FILE, InWorker};
use super::{ALIAS, DOMAIN};

/// Prints commands for another terminal.
pub(super) fn print(stage: &Stage) {
    let folder = stage.edge.directory().display();
    let port = stage.address.port();
    let curl = |what: &str, more: &str| {
        println!("\n# {what}");
        println!("curl --cacert {folder}/certs/origin-authorities.pem {more}");
    };
    let form = |client: &str| {
        format!(
            "-d grant_type=client_credentials -d client_id={client} -d scope=api:read \\\n  \
             -d resource=https://{DOMAIN}:{port}/api"
        )
    };
    let token = |client: &str, host: &str, more: &str| {
        format!(
            "{more}\\\n  https://{host}:{port}/oauth/token \\\n  {}",
            form(client)
        )
    };
    let certificate = |name: &str| {
        format!("\\\n  --cert {folder}/clients/{name}.pem --key {folder}/clients/{name}.key ")
    };
    println!(
        "\nThe edge is at https://{DOMAIN}:{port} and https://{ALIAS}:{port}. In another terminal:"
    );
    curl(
        "a token with a CA-signed certificate: 200",
        &token("client-1", ALIAS, &certificate(CA_SIGNED)),
    );
    curl(
        "a token with a self-signed certificate: 200",
        &token("client-3", ALIAS, &certificate(SELF_SIGNED)),
    );
    let (hint, version) = match stage.edge {
        // Some curl versions drop an HTTP/2 answer that comes before they have sent the body.
        Edge::Envoy(_) => (" (curl hides an early answer over HTTP/2)", "--http1.1 "),
        Edge::Worker(_) => ("", ""),
    };
    curl(
        &format!("no certificate: 400, refused by the edge with certificate_required{hint}"),
        &token("client-1", ALIAS, version),
    );
    curl(
        "forged certificate headers: 401 from the origin, which never sees them",
        &token(
            "client-1",
            DOMAIN,
            &format!("\\\n  -H @{folder}/clients/forged-headers.txt "),
        ),
    );
    match &stage.edge {
        Edge::Envoy(edge) => of_envoy(edge),
        Edge::Worker(edge) => of_worker(edge),
    }
    println!(
        "\nAn answer with `edge_code` is the edge's, one without is the origin's, whose clients are fixed."
    );
    println!("\nCtrl-C ends everything and removes {folder}.");
}

fn of_envoy(edge: &InEnvoy) {
    let folder = edge.envoy.directory().display();
    println!("\n# what the filter counted");
    println!(
        "curl 'http://{}/stats?usedonly&filter=wasmcustom.auth_edge'",
        edge.envoy.admin_address()
    );
    println!(
        "\n# what the origin saw, and what Envoy logs (refusals at once, access lines some seconds late)"
    );
    println!("tail -n 1 {folder}/audit.jsonl");
    println!("tail -n 3 {folder}/envoy.log");
    println!(
        "\nTo change the edge while it runs, edit a copy of {folder}/edge/auth-edge.yaml and move it there."
    );
}

fn of_worker(edge: &InWorker) {
    let folder = edge.directory().display();
    println!("\n# plain HTTP: 308 to HTTPS");
    println!("curl -i http://{DOMAIN}:{}/authorize", edge.http().port());
    println!("\n# what the origin saw");
    println!("tail -n 1 {folder}/audit.jsonl");
    println!(
        "\nWhat the Worker logs, a line for each refusal, is shown below as it comes.\n\
         To change the edge while it runs, edit {folder}/{CONFIG_FILE}: it is put into KV, and the Worker reads it \
         within a minute."
    );
}
