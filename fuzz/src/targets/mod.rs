//! The targets, each a function of bytes that panics when something does not hold.

mod cached;
mod certificate;
mod config;
mod crl;
mod decide;
mod rfc9440;
mod xfcc;

use crate::mutate::Shape;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which its folders and its dictionary bear too.
    pub name: &'static str,
    /// What its inputs look like.
    pub shape: Shape,
    /// How many changed inputs it gets in a test run: what takes some seconds.
    pub changed: u64,
    /// Runs it on one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const ALL: &[Target] = &[
    Target {
        name: "certificate",
        shape: Shape::Der,
        changed: 20_000,
        run: certificate::run,
    },
    Target {
        name: "crl",
        shape: Shape::Der,
        changed: 20_000,
        run: crl::run,
    },
    Target {
        name: "xfcc",
        shape: Shape::Text,
        changed: 20_000,
        run: xfcc::run,
    },
    Target {
        name: "rfc9440",
        shape: Shape::Text,
        changed: 20_000,
        run: rfc9440::run,
    },
    Target {
        name: "config",
        shape: Shape::Text,
        changed: 20_000,
        run: config::run,
    },
    Target {
        name: "decide",
        shape: Shape::Case,
        changed: 10_000,
        run: decide::run,
    },
    Target {
        name: "cached",
        shape: Shape::Case,
        changed: 4_000,
        run: cached::run,
    },
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
