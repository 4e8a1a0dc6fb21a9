//! Public suites for the verification of certificate paths, put to the core through its public door.
//!
//! Each has a table under `tests/suites/` that says where the edge departs from it, and why. A
//! departure that is in the table and does not occur is an error as well, so that the tables stay true.

mod cms;
mod der;
pub mod door;
pub mod limbo;
pub mod pkits;
mod report;

pub use self::report::Report;
