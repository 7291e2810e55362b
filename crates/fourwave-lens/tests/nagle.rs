//! Small segments that wait for delayed ACKs: told where packets show it, and only there.

mod common;

use std::time::Duration;

use common::*;
use fourwave_lens::{AnomalyKind, ConnectionRecord, NagleWaits, Names, Role};

/// Answers of `pieces` bytes each, the first `after` µs after the request, the second `waits` µs
/// after the first, the ACK of the first `ack` µs after it.
struct Answers {
    rounds: u32,
    after: u64,
    pieces: [u16; 2],
    ack: u64,
    waits: u64,
}

const CLASSIC: Answers =
    Answers { rounds: 5, after: 400, pieces: [200, 100], ack: 40_000, waits: 40_060 };

fn talk(w: &mut Wire, answers: &Answers) {
    let (mut at, mut up, mut down) = (100_000, 1, 1);
    for _ in 0..answers.rounds {
        let [first, second] = answers.pieces;
        w.at(at, Client, "PSH ACK", up, down, 50);
        up += 50;
        at += answers.after;
        let (ack, next) = (at + answers.ack, at + answers.waits);
        w.at(at, Server, "PSH ACK", down, up, first.into());
        down += u32::from(first);
        if ack <= next {
            w.at(ack, Client, "ACK", up, down, 0);
            w.at(next, Server, "PSH ACK", down, up, second.into());
        } else {
            w.at(next, Server, "PSH ACK", down, up, second.into());
            w.at(ack, Client, "ACK", up, down, 0);
        }
        down += u32::from(second);
        at = ack.max(next) + 300;
    }
}

fn record(answers: &Answers) -> ConnectionRecord {
    let mut w = Wire::measuring();
    w.open();
    talk(&mut w, answers);
    w.record()
}

fn kinds(record: &ConnectionRecord) -> Vec<AnomalyKind> {
    record.anomalies.iter().map(|anomaly| anomaly.kind).collect()
}

#[test]
fn an_answer_in_two_pieces_waits_for_the_delayed_ack() {
    let record = record(&CLASSIC);
    assert_eq!(kinds(&record), [AnomalyKind::NagleDelayedAck]);
    let [client, server] = record.nagle_waits;
    assert_eq!(client, NagleWaits::default());
    let waited = Duration::from_millis(40);
    assert_eq!(server, NagleWaits { times: 5, total: waited * 5, longest: waited });
    let found = &record.anomalies[0];
    assert_eq!((found.who, found.duration), (Some(Role::Server), Some(waited * 5)));
    // The handshake is 1 to 3; a request, the first piece, its ACK and the second piece.
    assert_eq!(found.proof.packets(), [7, 11, 15, 19, 23]);
    assert_eq!(
        found.sentence(&record, &Names::default()),
        "the server's small segments waited for the client's delayed ACKs 5 times, 200 ms in all \
         (40 ms at most)"
    );
    let shown = record
        .entries
        .iter()
        .filter(|entry| entry.annotation == Some("waited for the delayed ACK"));
    assert_eq!(shown.count(), 3, "the first ones stand in the ladder");
}

#[test]
fn both_ends_may_wait() {
    let mut w = Wire::measuring();
    w.open();
    // A request in two pieces, to a server that has nothing to say yet.
    w.at(100_000, Client, "PSH ACK", 1, 1, 50);
    w.at(140_200, Server, "ACK", 1, 51, 0);
    w.at(140_260, Client, "PSH ACK", 51, 1, 20);
    let record = w.record();
    assert_eq!(record.nagle_waits.map(|waits| waits.times), [1, 0]);
    assert!(
        record.anomalies[0]
            .sentence(&record, &Names::default())
            .contains("once, most likely: 40.2 ms")
    );
}

#[test]
fn what_is_sent_without_waiting_is_no_stall() {
    // Before the ACK: TCP_NODELAY.
    assert_eq!(kinds(&record(&Answers { waits: 200, ..CLASSIC })), []);
    // The ACK was not kept back: nothing but the way there (the handshake took 12 ms).
    assert_eq!(kinds(&record(&Answers { ack: 12_000, waits: 12_060, ..CLASSIC })), []);
    // The application took its time: nothing was waiting for the ACK.
    assert_eq!(kinds(&record(&Answers { waits: 55_000, ..CLASSIC })), []);
    // Full segments never wait.
    assert_eq!(kinds(&record(&Answers { pieces: [1460, 1460], ..CLASSIC })), []);
}

#[test]
fn one_who_ever_sent_two_small_segments_at_once_does_not_use_nagle() {
    let mut w = Wire::measuring();
    w.open();
    w.at(50_000, Server, "PSH ACK", 1, 1, 10);
    w.at(50_100, Server, "PSH ACK", 11, 1, 10);
    w.at(62_000, Client, "ACK", 1, 21, 0);
    w.at(100_000, Server, "PSH ACK", 21, 1, 10);
    w.at(140_100, Client, "ACK", 1, 31, 0);
    // It came by chance just behind an ACK.
    w.at(140_300, Server, "PSH ACK", 31, 1, 10);
    assert_eq!(kinds(&w.record()), []);
}

/// Beside the receiver, what an ACK sets free passes a round trip later.
#[test]
fn a_capture_beside_the_receiver_tells_the_same() {
    let mut w = Wire::measuring();
    w.at(0, Client, "SYN", 0, 0, 0);
    w.at(12_000, Server, "SYN ACK", 0, 1, 0);
    w.at(12_050, Client, "ACK", 1, 1, 0);
    talk(&mut w, &Answers { after: 12_400, waits: 52_100, ..CLASSIC });
    assert_eq!(w.record().nagle_waits.map(|waits| waits.times), [0, 5]);
}

#[test]
fn what_was_lost_and_sent_again_waited_for_a_timer() {
    let mut w = Wire::measuring();
    w.open();
    w.at(100_000, Server, "PSH ACK", 1, 1, 10);
    w.at(300_000, Server, "PSH ACK", 1, 1, 10);
    w.at(340_000, Client, "ACK", 1, 11, 0);
    w.at(340_050, Server, "PSH ACK", 11, 1, 10);
    let record = w.record();
    assert!(!kinds(&record).contains(&AnomalyKind::NagleDelayedAck), "{:?}", kinds(&record));
}
