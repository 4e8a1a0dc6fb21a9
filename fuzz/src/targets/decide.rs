//! Any request under one of the configurations: what holds of every decision.

use auth_edge::decide;
use auth_edge::verdict::VerdictCache;

use crate::{case, check, scenarios};

/// Decides the first request of the input.
pub(super) fn run(data: &[u8]) {
    let Some(case) = case::read(data).into_iter().next() else {
        return;
    };
    scenarios::with(case.scenario, |scenario| {
        let connection = case.connection();
        let fields = case.borrowed_fields();
        let request = case.request(&fields, &connection);
        let mut cache = VerdictCache::new();
        let decision = decide(&request, &scenario.config, case.now, &mut cache);
        check::decision(&case, &request, &scenario.config, &decision);
        check::vouched(&case, scenario, &decision);
    });
}
