//! What an open connection counts, feeds back and does about it.

use fourwave_core::CaState;
use fourwave_core::time::Duration;
use fourwave_wire::ip::ecn;
use fourwave_wire::options::{AccEcn, AccEcnOrder};

use super::bench::{Bench, Sent};
use super::*;

#[test]
fn rfc9768_3_2_each_acceptable_packet_is_counted_and_fed_back() {
    let (mut bench, conn) = open_with(&[]);
    let mut at = 1;
    let mut text = |bench: &mut Bench, codepoint, len| {
        let with = With { codepoint, ..With::default() };
        arrives(bench, ACK | ace(5), at, 1, &vec![0; len], with);
        at += len as u32;
        bench.pass(Duration::from_millis(50));
        let sent = bench.one().header;
        let option: Vec<_> = sent.options.acc_ecn.iter().flat_map(AccEcn::counters).collect();
        (sent.flags.ace(), option)
    };
    assert_eq!(text(&mut bench, ecn::ECT_0, 10), (5, vec![(ecn::ECT_0, 11)]));
    assert_eq!(text(&mut bench, ecn::CE, 20), (6, vec![(ecn::ECT_0, 11), (ecn::CE, 20)]));
    assert_eq!(text(&mut bench, ecn::CE, 30), (7, vec![(ecn::ECT_0, 11), (ecn::CE, 50)]));
    assert_eq!(text(&mut bench, ecn::CE, 1).0, 0, "it goes round");
    let all = vec![(ecn::ECT_0, 11), (ecn::CE, 51), (ecn::ECT_1, 5)];
    assert_eq!(text(&mut bench, ecn::ECT_1, 4), (0, all));
    // ACKs alone count as packets, and what lies outside the window does not.
    let with = With { codepoint: ecn::CE, ..With::default() };
    arrives(&mut bench, ACK | ace(5), at, 1, b"", with);
    arrives(&mut bench, ACK | ace(5), at + 1_000_000, 1, &[0; 10], with);
    let told = accecn(&bench, conn);
    let bytes = (told.received_e0_bytes, told.received_ce_bytes, told.received_e1_bytes);
    assert_eq!((told.received_ce, bytes), (4, (10, 51, 4)));
    assert!(info(&bench, conn).ecn_seen);
}

#[test]
fn rfc9768_3_2_2_5_1_acks_are_triggered_by_marks() {
    let (mut bench, _conn) = open_with(&[]);
    let mut at = 1;
    let mut text = |bench: &mut Bench, codepoint, len: usize| {
        let with = With { codepoint, ..With::default() };
        arrives(bench, ACK | ace(5), at, 1, &vec![0; len], with);
        at += len as u32;
        bench.sent().len()
    };
    // Past the ACKs that are quick at the beginning.
    for _ in 0..40 {
        text(&mut bench, ecn::ECT_0, 10);
    }
    bench.pass(Duration::from_millis(50));
    bench.sent();
    assert_eq!(text(&mut bench, ecn::ECT_0, 10), 0, "it waits");
    assert_eq!(text(&mut bench, ecn::CE, 10), 1, "the first mark");
    assert_eq!(text(&mut bench, ecn::CE, 10), 0);
    assert_eq!(text(&mut bench, ecn::CE, 10), 1, "every second one");
    assert_eq!(text(&mut bench, ecn::ECT_0, 10), 0);
    assert_eq!(text(&mut bench, ecn::CE, 10), 1, "after one that was not marked");
    // ACKs alone, nothing to be acknowledged: every third.
    let alone: Vec<_> = (0..6).map(|_| text(&mut bench, ecn::CE, 0)).collect();
    assert_eq!(alone, [0, 0, 1, 0, 0, 1]);
}

#[test]
fn rfc9768_3_2_2_2_marks_reduce_the_window_once_a_round_trip() {
    for sack in [true, false] {
        let mut bench = listening(&[]);
        bench.sack = sack;
        answered(&mut bench, 7, 0);
        bench.pass(Duration::from_millis(50));
        acks(&mut bench, 2, 1);
        let conn = accept(&mut bench);
        let mss = info(&bench, conn).snd_mss;
        assert_eq!(mss, MSS as u32, "12 bytes are kept free for the option");
        write(&mut bench, conn, 40 * MSS);
        let first = bench.sent();
        assert!(first.len() == 10 && aces(&first) == [5; 10]);
        bench.pass(Duration::from_millis(50));
        // 3 of the first 4 were marked, and all that follow.
        let mut value = 5 + 3;
        acks(&mut bench, value % 8, 1 + 4 * mss);
        let told = info(&bench, conn);
        assert_eq!((told.delivered_ce, told.ca_state), (3, CaState::Cwr), "SACK: {sack}");
        let left = told.snd_ssthresh;
        assert_eq!(left, u64::from(5 * mss));
        for acked in 5..=10 {
            value += 1;
            acks(&mut bench, value % 8, 1 + acked * mss);
        }
        let told = info(&bench, conn);
        assert_eq!((told.delivered_ce, told.snd_ssthresh), (9, left));
        let new = bench.sent();
        assert!(!new.is_empty() && aces(&new).iter().all(|ace| *ace == 5), "no CWR (§3.1.5)");
        // What was sent since is acknowledged: the next mark counts anew.
        acks(&mut bench, value % 8, 1 + 11 * mss);
        assert_eq!(info(&bench, conn).ca_state, CaState::Open);
        bench.sent();
        acks(&mut bench, (value + 1) % 8, 1 + 12 * mss);
        let told = info(&bench, conn);
        assert!(told.snd_ssthresh < left && told.ca_state == CaState::Cwr);
        assert_eq!((told.delivered_ce, bench.engine.counters().delivered_ce), (10, 10));
        assert_eq!(told.total_retrans, 0);
    }
}

#[test]
fn rfc9768_3_2_2_2_feedback_that_was_overtaken_is_ignored() {
    let (mut bench, conn) = open_with(&[]);
    write(&mut bench, conn, 4 * MSS);
    bench.sent();
    acks(&mut bench, 6, 2001);
    assert_eq!(info(&bench, conn).delivered_ce, 1);
    // Older ones, and one that says nothing new.
    acks(&mut bench, 5, 1001);
    acks(&mut bench, 5, 2001);
    acks(&mut bench, 7, 2001);
    assert_eq!(info(&bench, conn).delivered_ce, 1);
    // What is named selectively is new.
    let with = With { sack: Some((3001, 4001)), ..With::default() };
    arrives(&mut bench, ACK | ace(7), 1, 2001, b"", with);
    assert_eq!(info(&bench, conn).delivered_ce, 2);
    arrives(&mut bench, ACK | ace(0), 1, 2001, b"", with);
    assert_eq!(info(&bench, conn).delivered_ce, 2);
}

#[test]
fn rfc9768_a_1_a_newer_timestamp_makes_an_ack_newer() {
    let mut bench = listening(&[]);
    bench.timestamps = true;
    let stamped = |bench: &mut Bench, flags, seq, ack, stamp| {
        arrives(bench, flags, seq, ack, b"", With { stamp, ..With::default() });
    };
    stamped(&mut bench, SYN | ace(7), 0, 0, 10);
    bench.iss = bench.one().header.seq;
    stamped(&mut bench, ACK | ace(2), 1, 1, 11);
    let conn = accept(&mut bench);
    assert_eq!(info(&bench, conn).snd_mss as usize, MSS);
    write(&mut bench, conn, MSS);
    bench.sent();
    stamped(&mut bench, ACK | ace(6), 1, 1, 11);
    assert_eq!(info(&bench, conn).delivered_ce, 0);
    stamped(&mut bench, ACK | ace(6), 1, 1, 12);
    let told = info(&bench, conn);
    assert_eq!((told.delivered_ce, told.ca_state), (1, CaState::Cwr));
}

#[test]
fn rfc9768_3_2_2_5_2_a_field_that_may_have_gone_round_counts_as_the_safest_case() {
    let told = |option: Option<AccEcn>| {
        let (mut bench, conn) = open_with(&[("tcp_init_cwnd", "20")]);
        write(&mut bench, conn, 20 * MSS);
        bench.sent();
        bench.pass(Duration::from_millis(50));
        // The option has been seen before.
        let begin = option.map(|_| AccEcn::new(AccEcnOrder::Zero, &[1, 0, 1]));
        let with = With { option: begin, ..With::default() };
        arrives(&mut bench, ACK | ace(5), 1, 1001, b"", with);
        let with = With { option, ..With::default() };
        arrives(&mut bench, ACK | ace(7), 1, 1 + 20 * MSS as u32, b"", with);
        (info(&bench, conn).delivered_ce, accecn(&bench, conn))
    };
    assert_eq!(told(None).0, 18);
    let option = |marked: u32| Some(AccEcn::new(AccEcnOrder::Zero, &[1, marked * 1000, 1]));
    for marked in [2, 10, 18] {
        let (delivered_ce, told) = told(option(marked));
        assert_eq!((delivered_ce, told.delivered_ce_bytes), (marked, marked * 1000));
        assert_eq!(told.accecn_opt_seen, 2);
    }
}

#[test]
fn rfc9768_3_2_2_4_a_field_of_zero_to_begin_with_turns_ecn_off() {
    let (mut bench, conn) = open_with(&[]);
    write(&mut bench, conn, MSS);
    assert_eq!(codepoints(&mut bench), [ecn::ECT_0]);
    acks(&mut bench, 0, 1001);
    assert_eq!((info(&bench, conn).delivered_ce, accecn(&bench, conn).accecn_fail_mode), (0, 2));
    write(&mut bench, conn, MSS);
    assert_eq!(codepoints(&mut bench), [0]);
    // Later it may be zero.
    let (mut bench, conn) = open_with(&[]);
    for value in [6, 7, 0] {
        write(&mut bench, conn, MSS);
        assert_eq!(codepoints(&mut bench), [ecn::ECT_0]);
        let una = info(&bench, conn).bytes_acked as u32;
        acks(&mut bench, value, una + 1001);
    }
    assert_eq!((info(&bench, conn).delivered_ce, accecn(&bench, conn).accecn_fail_mode), (3, 0));
}

#[test]
fn rfc9768_3_2_3_2_5_marked_bytes_without_marked_packets_turn_ect_off() {
    let (mut bench, conn) = open_with(&[]);
    let option = |ceb| Some(AccEcn::new(AccEcnOrder::Zero, &[1, ceb, 1]));
    for (ceb, codepoint) in [(0, ecn::ECT_0), (1000, ecn::ECT_0), (0, 0)] {
        write(&mut bench, conn, MSS);
        assert_eq!(codepoints(&mut bench), [codepoint], "{ceb}");
        let una = info(&bench, conn).bytes_acked as u32;
        let with = With { option: option(ceb), ..With::default() };
        arrives(&mut bench, ACK | ace(5), 1, una + 1001, b"", with);
    }
}

#[test]
fn rfc9768_3_2_3_2_the_option_is_shown_and_then_tells_what_is_new() {
    let (mut bench, conn, _) = connect_with(&[]);
    let begin = AccEcn::new(AccEcnOrder::One, &[1, 0, 1]);
    let with = With { option: Some(begin), ..With::default() };
    arrives(&mut bench, SYN | ACK | ace(2), 0, 1, b"", with);
    // §3.2.3.2.1: on the ACK, and on the first text, of which full segments keep room for it.
    let shown = |sent: &[Sent]| -> Vec<bool> {
        sent.iter().map(|sent| sent.header.options.acc_ecn.is_some()).collect()
    };
    assert_eq!(shown(&bench.sent()), [true]);
    assert_eq!(accecn(&bench, conn).accecn_opt_seen, 2);
    write(&mut bench, conn, 3 * MSS);
    let sent = bench.sent();
    assert_eq!(shown(&sent), [true, false, false]);
    assert!(sent.iter().all(|sent| sent.payload.len() == MSS));
    // A timeout of text that was never acknowledged: it may be why, and is left out (§3.2.3.2.2).
    bench.pass(Duration::from_secs(2));
    assert!(shown(&bench.sent()).iter().all(|has| !has));
    assert_eq!(accecn(&bench, conn).accecn_fail_mode, 4);
    let with = With { codepoint: ecn::CE, ..With::default() };
    arrives(&mut bench, ACK | ace(5), 1, 1, &[0; 10], with);
    assert!(shown(&bench.sent()).iter().all(|has| !has));

    // Off, segments are as long as without it.
    let (mut bench, conn, _) = connect_with(&[("tcp_ecn_option", "0")]);
    arrives(&mut bench, SYN | ACK | ace(2), 0, 1, b"", With::default());
    assert_eq!(shown(&bench.sent()), [false]);
    assert_eq!(info(&bench, conn).snd_mss as usize, MSS + 12);
    // 1: where there is room.
    let (mut bench, conn, _) = connect_with(&[("tcp_ecn_option", "1")]);
    arrives(&mut bench, SYN | ACK | ace(2), 0, 1, b"", With::default());
    assert_eq!(shown(&bench.sent()), [true]);
    write(&mut bench, conn, MSS + 12 + 50);
    assert_eq!(shown(&bench.sent()), [false, true]);
}

#[test]
fn rfc9768_3_2_3_3_two_blocks_of_sack_go_before_the_option() {
    let (mut bench, _conn) = open_with(&[]);
    let with = With { codepoint: ecn::CE, ..With::default() };
    let mut last = None;
    for gap in 1..=5 {
        arrives(&mut bench, ACK | ace(5), gap * 100, 1, &[0; 10], with);
        last = bench.sent().pop();
    }
    let options = last.unwrap().header.options;
    assert!(options.sack.as_slice().len() >= 2, "{options:?}");
    let counters: Vec<_> = options.acc_ecn.iter().flat_map(AccEcn::counters).collect();
    assert!(counters.contains(&(ecn::CE, 50)), "{counters:?}");
}
