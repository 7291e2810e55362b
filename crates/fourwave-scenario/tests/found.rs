//! What the lens finds odd in each scenario's packets, without a word of the engine: nothing where
//! nothing was done.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use fourwave_core::Config;
use fourwave_lens::{Lens, LensOptions, Names};
use fourwave_scenario::{Performance, all};

fn found(performance: &Performance) -> String {
    // What comes in TIME_WAIT is part of the record.
    let settle = Duration::from_secs(60);
    let options = LensOptions { metrics: true, settle, ..LensOptions::default() };
    let mut lens = Lens::new(options);
    let mut last = Duration::ZERO;
    for (at, packet) in performance.packets() {
        let _ = lens.observe(at, packet, packet.len(), 0);
        last = at;
    }
    lens.finish(last);
    // The first sentence of each kind, and how many connections have it.
    let mut kinds: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    while let Some(record) = lens.poll_record() {
        for anomaly in &record.anomalies {
            let sentence = || anomaly.sentence(&record, &Names::default());
            let entry = kinds.entry(anomaly.kind.name()).or_insert_with(|| (0, sentence()));
            entry.0 += 1;
        }
    }
    kinds.into_iter().fold(String::new(), |mut out, (kind, (times, sentence))| {
        let _ = writeln!(out, "    {times} × {kind}: {sentence}");
        out
    })
}

#[test]
fn what_is_found_in_each_scenario() {
    let mut out = String::new();
    for scenario in all() {
        let performance = scenario.play(&Config::default());
        let _ = writeln!(out, "{}\n{}", scenario.name, found(&performance));
    }
    insta::assert_snapshot!(out);
}
