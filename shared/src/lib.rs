//! The decision who a TLS client is, and what the authorization server behind the edge is told.
//!
//! A host (Envoy, NGINX, a Worker, a command-line tool) gathers what it saw into a [`Request`],
//! calls [`decide()`], and applies the [`Decision`]. Nothing here does I/O, reads a clock, draws
//! random numbers or logs: what a check needs is a field of the request or of the [`Config`].
//!
//! Rule numbers (`R-10`) are those of `docs/rules.md`.
//!
//! Reading order: the small types (`host_name`, `header`, `secret`, `network`, `endpoint`, `reply`),
//! certificates (`signature`, `certificate`, `trust`, `verdict`), what is configured and seen (`config`,
//! `request`, `acme`, `connections`, `wire`), what comes out (`edits`, `refusal`, `decision`), and `decide`.

#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::unreachable,
    clippy::as_conversions
)]
#![cfg_attr(
    test,
    allow(
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod host_name;

pub mod header;

pub mod secret;

pub mod network;

pub mod endpoint;

pub mod reply;

pub mod wire;

pub mod certificate;

pub mod signature;

pub mod trust;

pub mod verdict;

pub mod config;

pub mod discovery;

pub mod request;

pub mod acme;

pub mod connections;

pub mod edits;

pub mod refusal;

pub mod decision;

pub mod decide;

pub use config::Config;
pub use decide::decide;
pub use decision::Decision;
pub use request::Request;
