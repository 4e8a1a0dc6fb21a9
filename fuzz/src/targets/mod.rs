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
    /// Runs it on one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const ALL: &[Target] = &[
    Target {
        name: "certificate",
        shape: Shape::Der,
        run: certificate::run,
    },
    Target {
        name: "crl",
        shape: Shape::Der,
        run: crl::run,
    },
    Target {
        name: "xfcc",
        shape: Shape::Text,
        run: xfcc::run,
    },
    Target {
        name: "rfc9440",
        shape: Shape::Text,
        run: rfc9440::run,
    },
    Target {
        name: "config",
        shape: Shape::Text,
        run: config::run,
    },
    Target {
        name: "decide",
        shape: Shape::Case,
        run: decide::run,
    },
    Target {
        name: "cached",
        shape: Shape::Case,
        run: cached::run,
    },
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
