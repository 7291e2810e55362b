//! Nothing that comes over the wire makes the lens panic, forget its limits or leave the table.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use fourwave_core::state::{Input, State, next};
use fourwave_lens::{
    AnomalyKind, ConnectionRecord, Event, Lens, LensOptions, Move, Proof, comment, follow, json,
    ladder, ladder::LadderOptions,
};
use proptest::prelude::*;

/// States that a few steps of the shared table lead to.
fn reachable(from: State) -> BTreeSet<&'static str> {
    let mut all: Vec<State> = vec![from];
    for _ in 0..4 {
        let steps: Vec<State> = all
            .iter()
            .flat_map(|&state| Input::ALL.into_iter().filter_map(move |i| next(state, i).ok()))
            .collect();
        all.extend(steps);
        all.sort_by_key(|state| state.name());
        all.dedup();
    }
    all.into_iter().map(State::name).collect()
}

fn follows_the_table(moved: Move) -> bool {
    // A retransmitted FIN proves that its ACK had not arrived.
    let put_right = [(State::Closed, State::LastAck), (State::FinWait2, State::FinWait1)];
    put_right.contains(&(moved.from, moved.to)) || reachable(moved.from).contains(moved.to.name())
}

fn check_story(record: &ConnectionRecord, names: &fourwave_lens::Names) {
    assert!(record.entries.len() <= 24 + 24 + 1 + 2 * 64, "{} rows", record.entries.len());
    for entry in &record.entries {
        for moved in entry.moved.into_iter().flatten() {
            assert!(follows_the_table(moved), "{moved:?}");
        }
    }
    for (width, ascii, color) in [(72, true, false), (100, false, true), (200, false, false)] {
        let (names, packets) = (names.clone(), color);
        let options = LadderOptions { width, ascii, color, names, notation: None, packets };
        let drawn = ladder::render(record, &options);
        if !color {
            let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= width, "{widest} > {width}\n{drawn}");
        }
    }
    assert!(!comment::packet(record, names).contains('\n'));
    assert!(record.anomalies.len() <= 2 * AnomalyKind::ALL.len());
    for anomaly in &record.anomalies {
        assert!(!anomaly.sentence(record, names).contains('\n'));
        assert!((1..=Proof::MAX).contains(&anomaly.proof.packets().len()));
        assert!(anomaly.proof.packets().is_sorted(), "{anomaly:?}");
    }
    for (i, end) in record.metrics.iter().flat_map(|m| &m.ends).enumerate() {
        assert!(end.retransmissions.total() + end.out_of_order <= record.segments[i], "{end:?}");
    }
    assert!(record.metrics.iter().all(|m| m.points.len() <= 1024));
}

/// Tells everything and renders it in every way.
fn check(wire: &mut Wire) {
    let records = wire.records();
    assert_eq!(wire.lens.watched(), 0);
    let opened = wire.events.iter().filter(|event| matches!(event, Event::Opened(_))).count();
    assert_eq!(records.len(), opened);
    for record in &records {
        check_story(record, &wire.names);
    }
    for line in wire.json().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    for event in &wire.events {
        let line = follow::line(event, &wire.options());
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
}

/// A segment somewhere near what is going on.
#[derive(Clone, Debug)]
struct Step {
    wait: u64,
    from_server: bool,
    flags: u8,
    seq: u32,
    ack: u32,
    len: usize,
    window: u16,
    gso_size: u16,
    spoil: Option<(usize, u8)>,
    cut: Option<usize>,
}

fn near() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => 0u32..6,
        2 => 0u32..4_000,
        1 => any::<u32>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    let flags = prop_oneof![
        6 => Just(16u8), 4 => Just(17), 3 => Just(2), 3 => Just(18), 1 => Just(4), 1 => Just(20),
        1 => any::<u8>()
    ];
    let len = prop_oneof![3 => Just(0usize), 2 => 1usize..4, 1 => 0usize..60_000];
    let window = prop_oneof![Just(0u16), Just(1_000), any::<u16>()];
    let wait = prop_oneof![8 => 0u64..50_000, 1 => 0u64..200_000_000];
    let gso = prop_oneof![4 => Just(0u16), 1 => any::<u16>()];
    let spoil = proptest::option::weighted(0.05, (0usize..60, any::<u8>()));
    let cut = proptest::option::weighted(0.05, 0usize..60);
    (wait, any::<bool>(), flags, near(), near(), len, window, gso, spoil, cut).prop_map(
        |(wait, from_server, flags, seq, ack, len, window, gso_size, spoil, cut)| Step {
            wait,
            from_server,
            flags,
            seq,
            ack,
            len,
            window,
            gso_size,
            spoil,
            cut,
        },
    )
}

fn play(wire: &mut Wire, steps: &[Step]) {
    let mut micros = wire.now.as_micros() as u64;
    for step in steps {
        micros += step.wait;
        let from = if step.from_server { Server } else { Client };
        wire.window[from.index()] = step.window;
        let mut packet = wire.packet(from, "ACK", step.seq, step.ack, step.len);
        packet[33] = step.flags;
        if let Some((at, bits)) = step.spoil {
            let at = at % packet.len();
            packet[at] ^= bits;
        }
        let wire_len = packet.len() + step.len;
        packet.truncate(step.cut.unwrap_or(packet.len()));
        wire.now = Duration::from_micros(micros);
        wire.seen = wire.lens.observe(wire.now, &packet, wire_len, step.gso_size);
        if let Some(seen) = wire.seen {
            let comment = wire.lens.comment(&seen, &wire.names);
            assert_eq!(comment.is_some(), seen.ended);
        }
        wire.drain();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_panic(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..120),
            any::<usize>(), any::<u16>(), any::<u32>()), 0..20)
    ) {
        let mut lens =
            Lens::new(LensOptions { live: true, metrics: true, ..LensOptions::default() });
        for (mut packet, wire_len, gso_size, at) in packets {
            // Most start like a packet, so that something is read behind the first byte.
            if let Some(first) = packet.first_mut()
                && *first >= 64
            {
                *first = if *first % 2 == 0 { 0x45 } else { 0x60 };
                if packet.len() > 9 {
                    packet[6] = if packet[0] == 0x45 { 0 } else { 6 };
                    packet[7] = 0;
                    packet[9] = 6;
                }
            }
            let _ = lens.observe(Duration::from_micros(at.into()), &packet, wire_len, gso_size);
        }
        lens.finish(Duration::from_secs(10_000));
        let options = LadderOptions::default();
        while let Some(event) = lens.poll_event() {
            let mut out = String::new();
            json::write(&event, &options.names, &mut out);
            out.push_str(&follow::line(&event, &options));
            if let Event::Ended(record) = &event {
                out.push_str(&ladder::render(record, &options));
            }
            prop_assert!(out.ends_with('\n'));
        }
        prop_assert_eq!(lens.watched(), 0);
    }

    #[test]
    fn arbitrary_segments_leave_every_limit_in_place(
        steps in prop::collection::vec(step(), 0..120)
    ) {
        let options = LensOptions {
            live: true,
            metrics: true,
            idle: Some(Duration::from_secs(30)),
            ..LensOptions::default()
        };
        let mut wire = Wire::with(options);
        play(&mut wire, &steps);
        check(&mut wire);
    }

    #[test]
    fn arbitrary_segments_in_the_middle_of_a_life(
        which in 0usize..20,
        steps in prop::collection::vec(step(), 0..60),
        reported in any::<bool>()
    ) {
        let (_, mut wire) = all().swap_remove(which);
        play(&mut wire, &steps);
        if reported {
            let reason = fourwave_core::EndReason::KeepaliveTimeout;
            wire.lens.end(&wire.report(reason, None));
            play(&mut wire, &steps);
        }
        check(&mut wire);
    }
}
