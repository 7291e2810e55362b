//! Many worlds, each from its seed. `FOURWAVE_SIM_SEEDS` says how many (300 unless it is set),
//! `FOURWAVE_SIM_FIRST` from which on.

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

#[test]
fn the_same_seed_is_the_same_world() {
    let overrides = Overrides::default();
    for seed in [3, 1919, 18_724] {
        let plans = [0, 1].map(|_| format!("{:?}", Plan::new(seed, &overrides)));
        assert_eq!(plans[0], plans[1]);
        let outcomes = [0, 1].map(|_| run(seed, &overrides).map(|o| (o.packets, o.faults, o.time)));
        assert_eq!(outcomes[0], outcomes[1]);
    }
}
