//! Fuzz targets: what holds of the core for any bytes.
//!
//! A target is a function of bytes that panics when something does not hold. `replay` runs the
//! committed inputs and a fixed number of changed ones in every test run.
#![forbid(unsafe_code)]

pub mod authority;
pub mod case;
pub mod check;
pub mod corpus;
pub mod der;
pub mod mutate;
pub mod names;
pub mod random;
pub mod replay;
pub mod scenarios;
pub mod targets;
