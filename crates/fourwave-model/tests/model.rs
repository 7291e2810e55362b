//! The small searches of every run; `FOURWAVE_MODEL_DEPTH` adds to faults and bytes.

use fourwave_model::{Replay, Setup, broken::Broken, explore, explore::Violation};

const ENOUGH: u64 = u64::MAX;

/// Explores all of `setup` and expects that no rule is broken.
fn holds(setup: &Setup) -> u64 {
    let outcome = explore(setup, ENOUGH, |_| {});
    if let Some(violation) = &outcome.violation {
        panic!("{}", Replay::shortest(setup, violation).render());
    }
    assert!(outcome.complete);
    println!("{setup}: {}", outcome.stats);
    outcome.stats.states
}

fn breaks(setup: &Setup) -> Violation {
    explore(setup, ENOUGH, |_| {}).violation.unwrap_or_else(|| panic!("nothing found: {setup}"))
}

/// 0 in every run; 1 takes minutes, 2 hours (`--profile model`).
fn depth() -> u8 {
    let depth = std::env::var("FOURWAVE_MODEL_DEPTH").unwrap_or_else(|_| "0".into());
    depth.parse().expect("FOURWAVE_MODEL_DEPTH is a small number")
}

#[test]
fn open_and_close_with_a_byte_each_way() {
    let bytes = [1 + depth(); 2];
    // So that a search that stops early does not pass for one that found nothing.
    assert!(holds(&Setup { bytes, ..Setup::default() }) > 15_000);
}

#[test]
fn open_and_close_with_a_fault() {
    let setup = Setup { faults: 1 + depth(), bytes: [depth(); 2], ..Setup::default() };
    assert!(holds(&setup) > 15_000);
}

#[test]
fn open_and_close_with_a_fault_and_no_timestamps() {
    let setup = Setup {
        faults: 1 + depth(),
        bytes: [1, depth()],
        polite: true,
        timestamps: false,
        ..Setup::default()
    };
    assert!(holds(&setup) > 20_000);
}

/// Two connections on the same four numbers, and a copy of a segment of the first that may come
/// at any time.
fn old_duplicate() -> Setup {
    Setup {
        faults: 1,
        copies_only: true,
        incarnations: 2,
        fast: true,
        polite: true,
        streams_only: true,
        ..Setup::default()
    }
}

#[test]
fn with_time_wait_no_old_duplicate_reaches_the_next_connection() {
    let bytes = [2 * depth().min(1), 0];
    let fast = |timestamps| Setup { bytes, timestamps, ..old_duplicate() };
    // Where the clock of sequence numbers keeps ahead, the ends are as they should be too.
    let slow = |timestamps| Setup { fast: false, streams_only: false, ..fast(timestamps) };
    holds(&fast(false));
    holds(&slow(true));
    if depth() > 0 {
        holds(&fast(true));
        holds(&slow(false));
    }
}

#[test]
fn without_time_wait_an_old_fin_ends_the_next_connection() {
    let setup = Setup { bytes: [2, 0], time_wait: 0, ..old_duplicate() };
    let violation = breaks(&setup);
    assert!(matches!(violation.broken, Broken::EarlyEnd { read: 0, .. }), "{}", violation.broken);
    let shown = Replay::shortest(&setup, &violation).render();
    println!("{shown}");
    for part in ["copied, to the Server: [FIN ACK]", "late, to the Server: [FIN ACK]", "--replay"] {
        assert!(shown.contains(part), "no {part}");
    }
    // The very same way does no harm with TIME_WAIT.
    let way = &violation.way;
    let protected = Setup { time_wait: 60, ..setup };
    assert_eq!(Replay::new(&protected, way).broken, None);
}

#[test]
fn without_time_wait_a_lost_last_ack_ends_in_an_error() {
    let setup = Setup { faults: 1, time_wait: 0, polite: true, ..Setup::default() };
    let violation = breaks(&setup);
    assert!(matches!(violation.broken, Broken::Reason { .. }), "{}", violation.broken);
}
