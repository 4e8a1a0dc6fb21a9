//! One program for every target; `FUZZ_TARGET` says which.
#![no_main]

use std::sync::OnceLock;

use auth_edge_fuzz::mutate::{self, Shape};
use auth_edge_fuzz::random::Random;
use auth_edge_fuzz::targets::{self, Target};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        targets::find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET names no target: `{name}`"))
    })
}

fuzz_target!(|data: &[u8]| {
    (target().run)(data);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(seed.into());
    let shape = target().shape;
    if shape != Shape::Text && random.below(3) == 0 {
        let input = data[..size].to_vec();
        let changed = mutate::change_der(&input, &input, shape, &mut random);
        if let Some(changed) = changed.filter(|changed| changed.len() <= max_size) {
            data[..changed.len()].copy_from_slice(&changed);
            return changed.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
});
