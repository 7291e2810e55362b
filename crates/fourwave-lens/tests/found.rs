//! Anomalies by name, each from the packets that prove it.

mod common;

use std::time::Duration;

use common::*;
use fourwave_lens::{
    Anomaly, AnomalyKind as A, ConnectionRecord, Ended, LensOptions, Names, Role, RstCause,
};

fn names(record: &ConnectionRecord) -> Vec<&'static str> {
    record.anomalies.iter().map(|anomaly| anomaly.kind.name()).collect()
}

/// The only anomaly of the only record.
fn only(w: &mut Wire, kind: A) -> (ConnectionRecord, Anomaly) {
    let record = w.record();
    assert_eq!(names(&record), [kind.name()]);
    let anomaly = record.anomalies[0].clone();
    let sentence = anomaly.sentence(&record, &Names::default());
    assert!(sentence.len() > 20 && !sentence.ends_with('.'), "{sentence}");
    (record, anomaly)
}

fn says(record: &ConnectionRecord, anomaly: &Anomaly) -> String {
    anomaly.sentence(record, &Names::default())
}

fn close(w: &mut Wire, at: u64, up: u32, down: u32) {
    w.at(at, Client, "FIN ACK", up, down, 0);
    w.at(at + 1_000, Server, "FIN ACK", down, up + 1, 0);
    w.at(at + 1_040, Client, "ACK", up + 1, down + 1, 0);
}

#[test]
fn a_clean_connection_has_none() {
    let mut w = Wire::measuring();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Server, "PSH ACK", 1, 74, 512);
    w.at(24_050, Client, "ACK", 74, 513, 0);
    close(&mut w, 30_000, 74, 513);
    assert_eq!(names(&w.record()), [""; 0]);
}

#[test]
fn nothing_is_found_without_being_asked() {
    let mut w = Wire::with(LensOptions::default());
    w.at(0, Server, "ACK", 1, 1, 10);
    let record = w.record();
    assert!(record.anomalies.is_empty() && record.metrics.is_none());
}

#[test]
fn a_syn_sent_again() {
    let mut w = Wire::measuring();
    w.at(0, Client, "SYN", 0, 0, 0);
    w.at(1_000_000, Client, "SYN", 0, 0, 0);
    w.at(1_011_900, Server, "SYN ACK", 0, 1, 0);
    w.at(1_012_000, Client, "ACK", 1, 1, 0);
    let (record, found) = only(&mut w, A::SynRetransmitted);
    assert_eq!(found.proof.packets(), [2]);
    assert_eq!(says(&record, &found), "the client sent its SYN twice: no answer came in time");
    assert_eq!(record.metrics.unwrap().ends[0].retransmissions.syn, 1);
}

#[test]
fn a_syn_that_nothing_answers() {
    let mut w = Wire::measuring();
    for at in [0, 1_000_000, 3_000_000] {
        w.at(at, Client, "SYN", 0, 0, 0);
    }
    let (record, found) = only(&mut w, A::SynUnanswered);
    assert_eq!(found.proof.packets(), [1, 2, 3]);
    assert_eq!(
        says(&record, &found),
        "nothing answered the client's SYN, sent 3 times, within 3 s"
    );
    // The capture ends too early to say so.
    let mut w = Wire::measuring();
    w.at(0, Client, "SYN", 0, 0, 0);
    w.now = Duration::from_secs(1);
    assert!(w.record().anomalies.is_empty());
}

#[test]
fn a_refused_connection() {
    let mut w = Wire::measuring();
    w.at(0, Client, "SYN", 0, 0, 0);
    w.at(8_400, Server, "RST ACK", 0, 1, 0);
    let (_, found) = only(&mut w, A::Refused);
    assert_eq!((found.who, found.proof.packets()), (Some(Client), &[1, 2][..]));
}

#[test]
fn a_half_open_connection() {
    let mut w = Wire::measuring();
    w.at(0, Client, "SYN", 0, 0, 0);
    for at in [100, 1_000_100, 3_000_100] {
        w.at(at, Server, "SYN ACK", 0, 1, 0);
    }
    let (_, found) = only(&mut w, A::HalfOpen);
    assert_eq!(found.proof.packets(), [2, 3, 4]);
}

fn reopen(w: &mut Wire, who: Role) -> ConnectionRecord {
    w.open();
    let (x, y) = (who, who.other());
    w.at(20_000, x, "FIN ACK", 1, 1, 0);
    w.at(20_050, y, "FIN ACK", 1, 2, 0);
    w.at(20_090, x, "ACK", 2, 2, 0);
    w.isn = [70_000_000, 80_000_000];
    w.at(10_000_000, Client, "SYN", 0, 0, 0);
    w.at(10_000_100, Server, "SYN ACK", 0, 1, 0);
    w.at(10_000_150, Client, "ACK", 1, 1, 0);
    let mut records = w.records();
    assert_eq!((records.len(), names(&records[0])), (2, vec![]));
    records.pop().unwrap()
}

#[test]
fn a_syn_into_time_wait() {
    let record = reopen(&mut Wire::measuring(), Server);
    let [found] = &record.anomalies[..] else { panic!("{:?}", record.anomalies) };
    assert_eq!((found.kind, found.who), (A::SynIntoTimeWait, Some(Client)));
    let left = Duration::from_micros(50_020_050);
    assert_eq!((found.proof.packets(), found.duration), (&[7][..], Some(left)));
}

#[test]
fn a_port_reused_early() {
    let record = reopen(&mut Wire::measuring(), Client);
    assert_eq!(names(&record), ["port-reused-early"]);
    assert_eq!(
        says(&record, &record.anomalies[0]),
        "the client reused the four-tuple while it held TIME_WAIT itself, 50 s \
         before its end"
    );
}

#[test]
fn four_numbers_taken_again_after_2msl() {
    let mut w = Wire::measuring();
    w.open();
    close(&mut w, 20_000, 1, 1);
    w.isn = [70_000_000, 80_000_000];
    w.at(62_000_000, Client, "SYN", 0, 0, 0);
    assert!(w.records().iter().all(|record| record.anomalies.is_empty()));
}

#[test]
fn a_syn_in_an_open_connection() {
    let mut w = Wire::measuring();
    w.open();
    w.isn[0] = 2_000_000_000;
    w.at(1_000_000, Client, "SYN", 0, 0, 0);
    let (_, found) = only(&mut w, A::SynInConnection);
    assert_eq!((found.who, found.proof.packets()), (Some(Client), &[4][..]));
}

#[test]
fn a_fin_that_is_never_acknowledged() {
    let mut w = Wire::measuring();
    w.open();
    for at in [20_000, 220_000, 620_000] {
        w.at(at, Server, "FIN ACK", 1, 1, 0);
    }
    w.now = Duration::from_millis(2_020);
    let (record, found) = only(&mut w, A::FinNeverAcknowledged);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[4, 5, 6][..]));
    assert_eq!(
        says(&record, &found),
        "the server sent its FIN 3 times and the client never acknowledged it, within 2 s"
    );
    assert_eq!(record.metrics.unwrap().ends[1].retransmissions.fin, 2);
    // One FIN at the very end of a capture proves nothing.
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "FIN ACK", 1, 1, 0);
    w.now = Duration::from_secs(1);
    assert!(w.record().anomalies.is_empty());
}

#[test]
fn a_fin_sent_again() {
    let mut w = Wire::measuring();
    w.open();
    w.at(100_000, Client, "FIN ACK", 1, 1, 0);
    w.at(110_000, Server, "FIN ACK", 1, 2, 0);
    w.at(110_030, Client, "ACK", 2, 2, 0);
    w.at(331_000, Server, "FIN ACK", 1, 2, 0);
    w.at(331_030, Client, "ACK", 2, 2, 0);
    let (record, found) = only(&mut w, A::FinRetransmitted);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[7][..]));
    assert_eq!(
        says(&record, &found),
        "the server sent its FIN twice: it or the ACK of it was lost or late"
    );
}

#[test]
fn data_beyond_a_fin() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "FIN ACK", 1, 1, 0);
    w.at(20_050, Server, "ACK", 1, 2, 0);
    w.at(30_000, Client, "PSH ACK", 2, 1, 50);
    let (_, found) = only(&mut w, A::DataAfterFin);
    assert_eq!((found.who, found.proof.packets()), (Some(Client), &[6][..]));
}

#[test]
fn a_reset_in_answer_to_data_after_close() {
    let mut w = Wire::measuring();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(20_000, Client, "FIN ACK", 74, 1, 0);
    w.at(30_000, Server, "ACK", 1, 75, 0);
    w.at(40_000, Server, "PSH ACK", 1, 75, 1460);
    w.at(40_030, Client, "RST", 75, 0, 0);
    let (_, found) = only(&mut w, A::ResetAfterClose);
    assert_eq!((found.who, found.proof.packets()), (Some(Client), &[7, 8][..]));
}

#[test]
fn a_reset_with_unread_data() {
    let mut w = Wire::measuring();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(12_400, Server, "ACK", 1, 74, 0);
    w.at(13_000, Server, "RST ACK", 1, 74, 0);
    let (record, found) = only(&mut w, A::UnreadDataReset);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[4, 6][..]));
    assert_eq!(record.how, Ended::Reset { by: Server, cause: RstCause::UnreadData });
    // It answers the first half of a question and closes.
    let mut w = Wire::measuring();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Server, "PSH ACK", 1, 74, 512);
    w.at(24_010, Server, "RST ACK", 513, 74, 0);
    let (_, found) = only(&mut w, A::UnreadDataReset);
    assert_eq!(found.proof.packets(), [4, 6]);
}

#[test]
fn an_abort_after_an_answer() {
    let mut w = Wire::measuring();
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Server, "PSH ACK", 1, 74, 512);
    w.at(24_050, Client, "ACK", 74, 513, 0);
    w.at(24_060, Server, "RST ACK", 513, 74, 0);
    let (_, found) = only(&mut w, A::Aborted);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[7][..]));
}

#[test]
fn a_peer_that_answers_no_more() {
    let mut w = Wire::measuring();
    w.open();
    for n in 0..4 {
        w.at(7_200_000_000 + n * 75_000_000, Client, "ACK", 0, 1, 0);
    }
    w.at(7_500_000_000, Client, "RST ACK", 1, 1, 0);
    let (record, found) = only(&mut w, A::PeerDead);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[4, 5, 6, 7][..]));
    assert_eq!(
        says(&record, &found),
        "the server answered none of the client's last 4 keepalive probes, within 5 min"
    );
    assert_eq!(record.metrics.unwrap().ends[0].keepalives, 4);
    // Linux gives up retransmitting without a word.
    let mut w = Wire::measuring();
    w.open();
    for at in [100_000, 300_000, 700_000, 1_500_000, 3_100_000] {
        w.at(at, Server, "PSH ACK", 1, 1, 1000);
    }
    w.now = Duration::from_secs(30);
    let record = w.record();
    assert_eq!(names(&record), ["retransmissions", "peer-dead"]);
    assert_eq!(record.anomalies[1].who, Some(Client));
}

#[test]
fn a_reset_from_elsewhere() {
    let mut w = Wire::measuring();
    w.ttl = [64, 52];
    w.open();
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Server, "PSH ACK", 1, 74, 512);
    w.ttl = [64, 58];
    w.at(24_020, Server, "RST ACK", 513, 74, 0);
    let (record, found) = only(&mut w, A::ForgedReset);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[6][..]));
    assert_eq!(record.how, Ended::Reset { by: Server, cause: RstCause::Middlebox });
    // Routes change by a hop or two.
    let mut w = Wire::measuring();
    w.ttl = [64, 52];
    w.open();
    w.ttl = [64, 50];
    w.at(24_020, Server, "RST ACK", 1, 1, 0);
    only(&mut w, A::Aborted);
}

#[test]
fn a_reset_that_is_ignored() {
    let mut w = Wire::measuring();
    w.open();
    w.at(100_000, Server, "PSH ACK", 1, 1, 1000);
    w.at(100_050, Client, "ACK", 1, 1001, 0);
    w.at(200_000, Server, "RST", 2000, 0, 0);
    w.at(200_030, Client, "ACK", 1, 1001, 0);
    let (_, found) = only(&mut w, A::ResetIgnored);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[6][..]));
}

#[test]
fn time_wait_cut_short() {
    let mut w = Wire::measuring();
    w.open();
    close(&mut w, 20_000, 1, 1);
    w.at(500_400, Server, "RST", 2, 0, 0);
    let (_, found) = only(&mut w, A::TimeWaitAssassinated);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[7][..]));
}

#[test]
fn an_old_duplicate() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "ACK", 2_000_000_000, 1, 100);
    let (_, found) = only(&mut w, A::OldDuplicate);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[4][..]));
    // A number before its SYN.
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "ACK", (-500_000_i32) as u32, 1, 100);
    only(&mut w, A::OldDuplicate);
    // A copy of what arrived, with its old timestamp.
    let mut w = Wire::measuring();
    w.open();
    w.stamped(20_000, Server, (100, 1), (1, 1, 100));
    w.stamped(21_000, Server, (150, 1), (101, 1, 100));
    w.at(21_040, Client, "ACK", 1, 201, 0);
    w.stamped(90_000, Server, (100, 1), (1, 1, 100));
    let (record, found) = only(&mut w, A::OldDuplicate);
    assert_eq!(found.proof.packets(), [7]);
    assert_eq!(record.metrics.unwrap().ends[1].retransmissions.total(), 0);
}

#[test]
fn close_wait_that_lingers() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "FIN ACK", 1, 1, 0);
    w.at(20_050, Server, "ACK", 1, 2, 0);
    w.now = Duration::from_secs(90);
    let (record, found) = only(&mut w, A::CloseWaitLingers);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[4][..]));
    assert_eq!(found.duration, Some(Duration::from_micros(89_980_000)));
    assert_eq!(
        says(&record, &found),
        "the server did not close for 90 s after the client had: CLOSE_WAIT"
    );
    // It is not idle: it sends.
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "FIN ACK", 1, 1, 0);
    for n in 0..9 {
        w.at(50_000_000 * (n + 1), Server, "ACK", 1 + n as u32 * 100, 2, 100);
        w.at(50_000_000 * (n + 1) + 90, Client, "ACK", 2, 101 + n as u32 * 100, 0);
    }
    w.at(451_000_000, Server, "FIN ACK", 901, 2, 0);
    w.at(451_000_050, Client, "ACK", 2, 902, 0);
    assert!(w.record().anomalies.is_empty());
    // It closes late, but it does.
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "FIN ACK", 1, 1, 0);
    w.at(20_050, Server, "ACK", 1, 2, 0);
    w.at(100_020_000, Server, "FIN ACK", 1, 2, 0);
    w.at(100_020_050, Client, "ACK", 2, 2, 0);
    let (_, found) = only(&mut w, A::CloseWaitLingers);
    assert_eq!(found.duration, Some(Duration::from_secs(100)));
}

#[test]
fn a_connection_that_nobody_closes() {
    let mut w = Wire::measuring();
    w.open();
    w.now = Duration::from_secs(3600);
    let (_, found) = only(&mut w, A::NeverClosed);
    assert_eq!(found.who, None);
    let mut w = Wire::measuring();
    w.open();
    w.now = Duration::from_secs(30);
    assert!(w.record().anomalies.is_empty());
}

#[test]
fn data_sent_again() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "ACK", 1, 1, 1000);
    w.at(250_000, Server, "ACK", 1, 1, 1000);
    w.at(262_000, Client, "ACK", 1, 1001, 0);
    let (record, found) = only(&mut w, A::Retransmissions);
    assert_eq!((found.who, found.proof.packets()), (Some(Server), &[5][..]));
    assert_eq!(says(&record, &found), "the server retransmitted 1 data segment: 1 after a timeout");
}

#[test]
fn data_sent_again_for_nothing() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "ACK", 1, 1, 1000);
    w.at(20_050, Client, "ACK", 1, 1001, 0);
    w.at(250_000, Server, "ACK", 1, 1, 1000);
    let (_, found) = only(&mut w, A::SpuriousRetransmissions);
    assert_eq!(found.proof.packets(), [6]);
}

#[test]
fn a_closed_window() {
    let mut w = Wire::measuring();
    w.open();
    w.at(12_300, Server, "ACK", 1, 1, 30_000);
    w.window[0] = 0;
    w.at(13_000, Client, "ACK", 1, 30_001, 0);
    w.window[0] = 64_000;
    w.at(700_000, Client, "ACK", 1, 30_001, 0);
    let (record, found) = only(&mut w, A::ZeroWindow);
    assert_eq!((found.who, found.proof.packets()), (Some(Client), &[5][..]));
    assert_eq!(says(&record, &found), "the client closed its window once, for 687 ms in all");
}

#[test]
fn segments_that_overtake() {
    let mut w = Wire::measuring();
    w.open();
    w.at(24_000, Server, "ACK", 1001, 1, 1000);
    w.at(24_010, Server, "ACK", 1, 1, 1000);
    let (_, found) = only(&mut w, A::OutOfOrder);
    assert_eq!(found.proof.packets(), [5]);
}

#[test]
fn packets_that_were_not_captured() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "ACK", 1, 1, 1000);
    w.at(20_010, Server, "ACK", 2001, 1, 1000);
    w.at(20_050, Client, "ACK", 1, 4001, 0);
    let (record, found) = only(&mut w, A::CaptureGap);
    assert_eq!(found.who, Some(Server));
    assert_eq!(
        says(&record, &found),
        "the client acknowledged 2 kB by the server that were not captured"
    );
    // The capture has two packets the wrong way round.
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Client, "ACK", 1, 1001, 0);
    w.at(20_010, Server, "ACK", 1, 1, 1000);
    close(&mut w, 30_000, 1, 1001);
    assert!(w.record().anomalies.is_empty());
}

#[test]
fn more_than_a_window_was_not_captured() {
    let mut w = Wire::measuring();
    w.open();
    w.at(20_000, Server, "ACK", 1, 1, 1000);
    w.at(20_050, Client, "ACK", 1, 1001, 0);
    for n in 0..40u32 {
        let (at, seq) = (90_000 + u64::from(n) * 1000, 50_000_001 + n * 1000);
        w.at(at, Server, "ACK", seq, 1, 1000);
        w.at(at + 50, Client, "ACK", 1, seq + 1000, 0);
    }
    close(&mut w, 200_000, 1, 50_040_001);
    let (record, found) = only(&mut w, A::CaptureGap);
    assert_eq!((found.who, record.how), (Some(Server), Ended::Orderly));
    assert_eq!(record.bytes, [0, 50_040_000]);
    assert!(record.unseen[1] > 49_000_000, "{:?}", record.unseen);
}

#[test]
fn a_capture_that_begins_in_the_middle() {
    let mut w = Wire::measuring();
    w.at(0, Server, "PSH ACK", 5000, 700, 1000);
    w.at(50, Client, "ACK", 700, 6000, 0);
    w.at(90_000, Server, "FIN ACK", 6000, 700, 0);
    w.at(90_040, Client, "FIN ACK", 700, 6001, 0);
    w.at(90_400, Server, "ACK", 6001, 701, 0);
    let (_, found) = only(&mut w, A::BeginningMissing);
    assert_eq!((found.who, found.proof.packets()), (None, &[1][..]));
}

#[test]
fn one_direction_only() {
    let mut w = Wire::measuring();
    w.at(0, Client, "SYN", 0, 0, 0);
    w.at(12_000, Client, "ACK", 1, 1, 0);
    w.at(12_300, Client, "PSH ACK", 1, 1, 73);
    w.at(24_000, Client, "ACK", 74, 5001, 0);
    w.at(30_000, Client, "FIN ACK", 74, 5001, 0);
    w.now = Duration::from_secs(100);
    let (_, found) = only(&mut w, A::CaptureGap);
    assert_eq!(found.who, Some(Server));
}

#[test]
fn a_packet_seen_twice_is_one() {
    doubled([100, 5000]);
    // The SYN ACK of Linux and all of IPv6 have no identification.
    doubled([100, 0]);
    doubled([0, 0]);
}

fn doubled(ids: [u16; 2]) {
    let mut w = Wire::measuring();
    w.ids = ids;
    let twice = |w: &mut Wire, at, from: Role, names, seq, ack, len| {
        let id = w.ids[from.index()];
        w.at(at, from, names, seq, ack, len);
        w.ids[from.index()] = id;
        w.at(at + 3, from, names, seq, ack, len);
    };
    twice(&mut w, 0, Client, "SYN", 0, 0, 0);
    twice(&mut w, 11_900, Server, "SYN ACK", 0, 1, 0);
    twice(&mut w, 12_000, Client, "ACK", 1, 1, 0);
    twice(&mut w, 12_300, Client, "PSH ACK", 1, 1, 73);
    twice(&mut w, 24_000, Server, "PSH ACK", 1, 74, 512);
    twice(&mut w, 24_050, Client, "ACK", 74, 513, 0);
    twice(&mut w, 30_000, Client, "FIN ACK", 74, 513, 0);
    twice(&mut w, 31_000, Server, "FIN ACK", 513, 75, 0);
    twice(&mut w, 31_040, Client, "ACK", 75, 514, 0);
    let record = w.record();
    assert_eq!(names(&record), [""; 0]);
    assert_eq!(record.metrics.unwrap().ends.map(|end| end.retransmissions.total()), [0, 0]);
}

#[test]
fn a_connection_without_a_word_is_told() {
    let idle = Some(Duration::from_secs(400));
    let mut w = Wire::with(LensOptions { idle, live: true, ..LensOptions::default() });
    w.open();
    // It lives: the deadline moves.
    w.at(300_000_000, Client, "PSH ACK", 1, 1, 73);
    w.lens.tick(Duration::from_secs(699));
    assert_eq!(w.lens.watched(), 1);
    let mut now = Duration::from_secs(700);
    while w.lens.watched() > 0 {
        w.lens.tick(now);
        now = w.lens.next_tick().unwrap_or(now);
    }
    assert!(now <= Duration::from_secs(800), "{now:?}");
    w.drain();
    w.now = now;
    assert_eq!(w.record().how, Ended::Open);
    // Its next segment is a connection seen in mid-stream.
    w.at(900_000_000, Client, "PSH ACK", 74, 1, 73);
    assert_eq!(w.seen.map(|seen| seen.conn), Some(2));
}
