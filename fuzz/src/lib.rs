//! Fuzz targets: what holds of the core for any bytes.
//!
//! A target is a function of bytes that panics when something does not hold. Two programs call it:
//! `replay`, which runs the committed inputs and a fixed number of changed ones in every test run, and
//! the one in `libfuzzer/`, which searches for new inputs by coverage.
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
