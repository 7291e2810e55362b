//! The rules that turn a sample into findings: a file for each family, nothing but arithmetic.

mod close_wait;
mod orphans;
mod ports;
mod queues;
mod settings;
mod time_wait;
mod traffic;
mod view;

use std::cmp::Reverse;

use crate::{Finding, Sample, Thresholds};
use view::View;

/// A finding and how many sockets, drops or segments it is about: the order within one severity.
struct Ranked {
    finding: Finding,
    size: u64,
}

/// What is wrong with the host, the most severe first, within one severity the largest first.
///
/// Rates and growth need a [`Sample`] over some time; with `interval` zero only what one snapshot
/// shows is examined. Cost: O(sockets), a few passes.
pub fn diagnose(sample: &Sample, thresholds: &Thresholds) -> Vec<Finding> {
    let view = View::of(sample, thresholds);
    let mut found = Vec::new();
    let reported = ports::check(&view, &mut found);
    time_wait::check(&view, &reported, &mut found);
    close_wait::check(&view, &mut found);
    queues::check(&view, &mut found);
    orphans::check(&view, &mut found);
    traffic::check(&view, &mut found);
    settings::check(&view, &mut found);
    found.sort_by(|a, b| {
        let key =
            |one: &Ranked| (Reverse(one.finding.severity), Reverse(one.size), one.finding.kind);
        key(a).cmp(&key(b)).then_with(|| a.finding.about.cmp(&b.finding.about))
    });
    found.into_iter().map(|one| one.finding).collect()
}

#[cfg(test)]
mod tests;
