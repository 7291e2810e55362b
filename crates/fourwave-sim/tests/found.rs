//! On links without faults, the lens finds nothing that only a fault can do.

use fourwave_core::Config;
use fourwave_fault::FaultConfig;
use fourwave_lens::{AnomalyKind, Names};
use fourwave_sim::{Overrides, Plan, World};

/// What no application and no full queue can do.
const OF_THE_NETWORK: [AnomalyKind; 8] = [
    AnomalyKind::SynInConnection,
    AnomalyKind::FinNeverAcknowledged,
    AnomalyKind::DataAfterFin,
    AnomalyKind::ForgedReset,
    AnomalyKind::OldDuplicate,
    AnomalyKind::OutOfOrder,
    AnomalyKind::CaptureGap,
    AnomalyKind::BeginningMissing,
];

/// The world of `seed` with clean links and ordinary engines: its times and applications stay.
fn clean(seed: u64) -> Option<World> {
    let mut plan = Plan::new(seed, &Overrides::default());
    if plan.is_crowd() {
        return None;
    }
    for pipe in &mut plan.pipes {
        let delay = pipe.faults.delay;
        pipe.faults = FaultConfig { delay, ..FaultConfig::default() };
        (pipe.mtu, pipe.dead_after) = (None, None);
    }
    for host in &mut plan.hosts {
        // Their odd delayed ACKs make for needless retransmissions.
        host.config = Config::default();
    }
    Some(World::new(plan))
}

#[test]
fn clean_links_show_no_faults() {
    let (mut stories, mut clean_ones, mut segments) = (0, 0, 0);
    let mut odd = Vec::new();
    for (seed, mut world) in (0..120).filter_map(|seed| Some((seed, clean(seed)?))) {
        world.observe(12);
        world.run().unwrap();
        let probes = world.outcome().counters["TcpExtTCPLossProbes"];
        let mut lens = world.lens().unwrap();
        let mut needless = 0;
        while let Some(story) = lens.poll_record() {
            stories += 1;
            let ends = &story.metrics.as_ref().unwrap().ends;
            needless += ends.iter().map(|end| end.retransmissions.spurious).sum::<u64>();
            clean_ones += u64::from(story.anomalies.is_empty());
            segments += story.segments.iter().sum::<u64>();
            for anomaly in story.anomalies.iter().filter(|a| OF_THE_NETWORK.contains(&a.kind)) {
                let sentence = anomaly.sentence(&story, &Names::default());
                odd.push(format!("seed {seed}, {:?}: {sentence}", story.addrs));
            }
        }
        // A queue that fills up holds an ACK back for longer than two round trips, and what is
        // sent then is a probe (RFC 8985 §7): nothing else is repeated that had arrived.
        assert!(needless <= probes, "seed {seed}: {needless} repeated, {probes} probes");
    }
    assert!(odd.is_empty(), "{} of {stories} stories:\n{}", odd.len(), odd.join("\n"));
    assert!(stories > 300 && segments > 30_000, "{stories} stories, {segments} segments");
    // The others met a full queue, a closed window, or were reset by their applications.
    assert!(clean_ones * 3 > stories, "{clean_ones} of {stories} without an anomaly");
}
