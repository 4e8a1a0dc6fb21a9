//! The conformance vectors: one set of requests and expectations for every host that runs the core.
//!
//! A vector is a file under `vectors/`: the file name is the claim, `rule` the rule it belongs to.
//! `vector` reads them, `expect` compares what came out, `native` runs them against the core alone,
//! `envoy` against the built filter in a real Envoy, `nginx` in a fake NGINX, `workerd` against the
//! built Worker on a real workerd. `facts` says what each of them shows the edge.

pub mod envoy;
pub mod envoy_config;
pub mod expect;
pub mod facts;
pub mod native;
pub mod nginx;
mod outcome;
pub mod sweep;
pub mod vector;
pub mod workerd;
