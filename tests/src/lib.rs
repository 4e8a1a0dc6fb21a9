//! Test harness: certificates made at run time, raw HTTP clients, a recording origin, a supervised Envoy or workerd.
//!
//! Only `conformance` knows the edge's core. A test built on the rest therefore cannot share a mistake
//! with the code it judges: the bytes of certificates, requests and frames are written out by hand.
//! Everything is blocking, listens on loopback only, takes free ports, and cleans up when dropped.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod bench;
pub mod conformance;
pub mod demo;
pub mod hosts;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod manifests;
pub mod nginx;
pub mod origin;
pub mod pki;
pub mod poll;
pub mod process;
pub mod shipped;
pub mod suites;
pub mod tls;
pub mod wasm;
pub mod wire;
pub mod worker_hosts;
pub mod workerd;
