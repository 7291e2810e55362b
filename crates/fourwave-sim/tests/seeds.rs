//! Many worlds, each from its seed; one in 25 is a crowd of hosts and connections.
//! `FOURWAVE_SIM_SEEDS` says how many (300 unless it is set), `FOURWAVE_SIM_FIRST` from which on.

use std::collections::BTreeMap;

use fourwave_sim::{Overrides, Plan, run};

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number of seeds")),
        Err(_) => default,
    }
}

#[test]
fn every_world_keeps_the_rules() {
    let first = number("FOURWAVE_SIM_FIRST", 0);
    let count = number("FOURWAVE_SIM_SEEDS", 300);
    let mut faults = 0;
    for seed in first..first + count {
        match run(seed, &Overrides::default()) {
            Ok(outcome) => faults += outcome.faults,
            Err(failure) => panic!(
                "seed {seed} fails {failure}\nagain: \
                 cargo run --release -p fourwave-sim -- --seed {seed} --ladder"
            ),
        }
    }
    // Links without faults would show nothing.
    assert!(faults > count, "{faults} faults in {count} worlds");
}

/// The crowds do what they are there for: every way to end, every way out of TIME_WAIT, limits
/// that are met, all of it many times.
#[test]
fn crowds_meet_everything() {
    let overrides = Overrides::default();
    let is_crowd = |seed: &u64| Plan::new(*seed, &overrides).is_crowd();
    let (mut ends, mut counters) = (BTreeMap::new(), BTreeMap::new());
    for seed in (0..).filter(is_crowd).take(24) {
        let outcome = run(seed, &overrides).unwrap_or_else(|failure| panic!("{seed}: {failure}"));
        for (sums, parts) in [(&mut ends, outcome.ends), (&mut counters, outcome.counters)] {
            parts.into_iter().for_each(|(name, n)| *sums.entry(name).or_insert(0) += n);
        }
    }
    for reason in [
        "orderly",
        "refused",
        "reset-by-peer",
        "connect-timeout",
        "orphan-timeout",
        "fin-wait-2-timeout",
        "user-timeout",
        "aborted",
        "closed-while-opening",
        "closed-with-unread-data",
        "data-after-close",
        "linger-zero",
        "too-many-orphans",
    ] {
        assert!(ends.contains_key(reason), "nothing ended by {reason}: {ends:?}");
    }
    for name in [
        "TcpExtListenOverflows",
        "TcpExtListenDrops",
        "TcpExtTW",
        "TcpExtTWKilled",
        "TcpExtTWRecycled",
        "TcpExtTWTakenOver",
        "TcpExtTWEvicted",
        "TcpExtTCPTimeWaitOverflow",
        "IpExtInCEPkts",
        "TcpExtTCPDeliveredCE",
    ] {
        assert!(counters[name] > 0, "{name} stayed 0: {counters:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let overrides = Overrides::default();
    for seed in [3, 23, 1919, 18_724] {
        let plans = [0, 1].map(|_| format!("{:?}", Plan::new(seed, &overrides)));
        assert_eq!(plans[0], plans[1]);
        let outcomes = [0, 1].map(|_| run(seed, &overrides).map(|o| (o.packets, o.faults, o.time)));
        assert_eq!(outcomes[0], outcomes[1]);
    }
}
