//! What SYNs, SYN ACKs and the ACKs of those agree on and feed back.

use fourwave_core::Config;
use fourwave_core::time::Duration;
use fourwave_wire::Link;
use fourwave_wire::ip::ecn;

use super::bench::Bench;
use super::pair::{CLIENT, Pair, SERVER};
use super::*;

#[test]
fn rfc9768_3_1_2_both_ends_find_the_best_that_both_have() {
    for (client, server) in (0..=5).flat_map(|c| (0..=5).map(move |s| (c, s))) {
        let knob = |tcp_ecn| Config { tcp_ecn, ..Config::default() };
        let mut pair = Pair::with(knob(client), knob(server), Link::plain(1500));
        let (ours, theirs) = pair.open();
        let accurate = client == 3 && server >= 3;
        let any = matches!(client, 1 | 3 | 4) && server != 0;
        for (end, conn) in [(CLIENT, ours), (SERVER, theirs)] {
            let info = pair.ends[end].engine.info(conn).unwrap();
            let found = (info.ecn, info.acc_ecn.is_some());
            assert_eq!(found, (any, accurate), "{client} and {server}");
        }
        pair.send(CLIENT, ours, b"text");
        pair.run_for(Duration::from_millis(100));
        let counters = pair.ends[SERVER].engine.counters();
        assert_eq!(counters.in_ect0, u64::from(any), "{client} and {server}");
        let told = pair.ends[CLIENT].engine.info(ours).unwrap().acc_ecn;
        assert_eq!(told.map(|it| it.delivered_e0_bytes), accurate.then_some(4));
    }
}

#[test]
fn rfc9768_table_2_what_a_listener_answers() {
    for (knob, asks, codepoint, answer) in [
        ("2", 7, 0, 1),
        ("0", 7, 0, 0),
        ("3", 7, ecn::NOT_ECT, 2),
        ("4", 7, ecn::ECT_1, 3),
        ("5", 7, ecn::ECT_0, 4),
        ("5", 7, ecn::CE, 6),
        ("5", 3, 0, 1),
        ("5", 3, ecn::ECT_0, 0),
        ("5", 0, 0, 0),
        // §3.1.3: what means nothing yet asks for it too.
        ("5", 1, 0, 2),
        ("5", 2, 0, 2),
        ("5", 4, 0, 2),
        ("5", 5, 0, 2),
        ("5", 6, ecn::CE, 6),
        ("1", 4, 0, 0),
    ] {
        let mut bench = listening(&[("tcp_ecn", knob)]);
        let syn_ack = answered(&mut bench, asks, codepoint);
        let flags = SYN | ACK | ace(answer);
        assert_eq!(syn_ack.header.flags, flags, "tcp_ecn={knob}, {asks} {codepoint}");
        // §3.2.3.2.1: with the option where it is agreed on.
        let agrees = matches!(answer, 2 | 3 | 4 | 6);
        assert_eq!(syn_ack.header.options.acc_ecn.is_some(), agrees, "{asks} {codepoint}");
    }
}

#[test]
fn rfc9768_table_2_what_a_client_asks_and_takes_for_an_answer() {
    for (knob, asks) in [("0", 0), ("1", 3), ("2", 0), ("3", 7), ("4", 3), ("5", 0)] {
        for answer in 0..8_u8 {
            let (mut bench, conn, syn) = connect_with(&[("tcp_ecn", knob)]);
            assert_eq!(syn.header.flags, SYN | ace(asks), "tcp_ecn={knob}");
            assert_eq!(syn.header.options.acc_ecn, None, "§3.2.3.2.1: never on a SYN");
            arrives(&mut bench, SYN | ACK | ace(answer), 0, 1, b"", With::default());
            let accurate = asks == 7 && matches!(answer, 2..=6);
            // RFC 3168's client does not know of AE.
            let classic = match asks {
                7 => answer == 1,
                3 => answer & 3 == 1,
                _ => false,
            };
            let told = info(&bench, conn);
            assert_eq!(told.acc_ecn.is_some(), accurate, "tcp_ecn={knob}, {answer}");
            assert_eq!(told.ecn, accurate || classic);
            let ack = bench.one();
            assert_eq!(ack.header.flags.ace(), if accurate { 2 } else { 0 }, "table 3");
            // §3.2.2.3: 3, 4 and 6 say that our SYN was changed on the way.
            let may_send = classic || (accurate && matches!(answer, 2 | 5));
            write(&mut bench, conn, 100);
            assert_eq!(codepoints(&mut bench), [if may_send { ecn::ECT_0 } else { 0 }]);
            let faults = if accurate && !may_send { 2 } else { 0 };
            assert_eq!(told.acc_ecn.map_or(0, |it| it.accecn_fail_mode), faults);
            // Marked on the way, it begins with one segment.
            assert_eq!(
                told.snd_cwnd / u64::from(told.snd_mss),
                if accurate && answer == 6 { 1 } else { 10 }
            );
        }
    }
}

#[test]
fn rfc9768_table_3_the_ack_of_a_syn_ack_feeds_back_what_that_came_as() {
    for (codepoint, value) in [(0, 2), (ecn::ECT_1, 3), (ecn::ECT_0, 4), (ecn::CE, 6)] {
        let (mut bench, conn, _) = connect_with(&[]);
        // Data waits: the ACK goes out alone all the same, before it.
        write(&mut bench, conn, 100);
        let with = With { codepoint, ..With::default() };
        arrives(&mut bench, SYN | ACK | ace(2), 0, 1, b"", with);
        let sent = bench.sent();
        assert_eq!(sent.iter().map(|sent| sent.payload.len()).collect::<Vec<_>>(), [0, 100]);
        let r_cep = if codepoint == ecn::CE { 6 } else { 5 };
        assert_eq!(aces(&sent), [value, r_cep]);
        assert_eq!(accecn(&bench, conn).received_ce, u32::from(codepoint == ecn::CE));
        // The SYN ACK again: its codepoint is fed back anew, and a mark counts once (§3.2.2.2).
        arrives(&mut bench, SYN | ACK | ace(2), 0, 1, b"", With { codepoint: ecn::CE, ..with });
        assert_eq!(aces(&bench.sent()), [6]);
        assert_eq!(accecn(&bench, conn).received_ce, 1);
        arrives(&mut bench, ACK | ace(5), 1, 1, &[0; 10], With::default());
        bench.pass(Duration::from_millis(50));
        assert_eq!(aces(&bench.sent()), [6], "a counter again");
    }
}

#[test]
fn rfc9768_table_4_what_the_last_ack_of_a_handshake_says() {
    for (value, may_send, marked) in [
        (0, false, 0),
        (1, true, 0),
        (2, true, 0),
        (3, false, 0),
        (4, false, 0),
        (5, true, 0),
        (6, false, 1),
        (7, true, 0),
    ] {
        let mut bench = listening(&[]);
        answered(&mut bench, 7, 0);
        acks(&mut bench, value, 1);
        let conn = accept(&mut bench);
        write(&mut bench, conn, 1000);
        assert_eq!(codepoints(&mut bench), [if may_send { ecn::ECT_0 } else { 0 }], "{value}");
        assert_eq!(info(&bench, conn).delivered_ce, marked);
        // What is fed back counts all the same, but after zero (note 1).
        acks(&mut bench, 6 + marked as u8, 1001);
        let heeds = value != 0;
        assert_eq!(info(&bench, conn).delivered_ce, marked + u32::from(heeds), "{value}");
        // And marks are fed back in any case.
        let with = With { codepoint: ecn::CE, ..With::default() };
        arrives(&mut bench, ACK | ace(6), 1, 1001, &[0; 10], with);
        assert_eq!(aces(&bench.sent()), [6]);
    }
}

#[test]
fn rfc9768_3_2_2_1_with_text_the_last_ack_of_a_handshake_is_a_counter() {
    let mut bench = listening(&[]);
    answered(&mut bench, 7, 0);
    arrives(&mut bench, ACK | ace(6), 1, 1, &[0; 10], With::default());
    let conn = accept(&mut bench);
    assert_eq!((info(&bench, conn).delivered_ce, accecn(&bench, conn).accecn_fail_mode), (0, 0));
    write(&mut bench, conn, 100);
    bench.sent();
    arrives(&mut bench, ACK | ace(6), 11, 101, b"", With::default());
    assert_eq!(info(&bench, conn).delivered_ce, 1);
}

#[test]
fn rfc9768_3_1_4_1_a_syn_asks_twice_and_then_no_more() {
    let (mut bench, conn, _) = connect_with(&[]);
    let again = |bench: &mut Bench, seconds: u64| {
        bench.pass(Duration::from_millis(seconds * 1000 + 100));
        bench.one().header.flags.ace()
    };
    assert_eq!([again(&mut bench, 1), again(&mut bench, 2), again(&mut bench, 4)], [7, 0, 0]);
    // The first one got there: a client that enters AccECN may send ECT all the same.
    arrives(&mut bench, SYN | ACK | ace(2), 0, 1, b"", With::default());
    assert_eq!(aces(&bench.sent()), [2]);
    write(&mut bench, conn, 100);
    assert_eq!(codepoints(&mut bench), [ecn::ECT_0]);
    // Not so with RFC 3168's (§6.1.1 there).
    let (mut bench, conn, _) = connect_with(&[]);
    again(&mut bench, 1);
    again(&mut bench, 2);
    arrives(&mut bench, SYN | ACK | ace(1), 0, 1, b"", With::default());
    assert!(bench.one().header.flags.ace() == 0 && info(&bench, conn).ecn);
    write(&mut bench, conn, 100);
    assert_eq!(codepoints(&mut bench), [0]);
}

#[test]
fn rfc9768_3_2_3_2_2_a_syn_ack_drops_the_option_and_then_the_flags() {
    let mut bench = listening(&[]);
    assert!(answered(&mut bench, 7, 0).header.options.acc_ecn.is_some());
    let again = |bench: &mut Bench, seconds: u64| {
        bench.pass(Duration::from_millis(seconds * 1000 + 100));
        let sent = bench.one();
        (sent.header.flags.ace(), sent.header.options.acc_ecn.is_some())
    };
    assert_eq!(again(&mut bench, 1), (2, false));
    assert_eq!(again(&mut bench, 2), (0, false));
    acks(&mut bench, 5, 1);
    // It is in AccECN, and sends nothing ECN-capable (§3.1.5).
    let conn = accept(&mut bench);
    write(&mut bench, conn, 100);
    assert_eq!(codepoints(&mut bench), [0]);
    assert_eq!(accecn(&bench, conn).accecn_fail_mode, 1);
    let with = With { codepoint: ecn::CE, ..With::default() };
    arrives(&mut bench, ACK | ace(5), 1, 1, &[0; 10], with);
    assert_eq!(aces(&bench.sent()), [6]);
}

#[test]
fn rfc9768_3_1_5_a_syn_that_comes_again() {
    // The codepoint of the last one is fed back, without the option.
    let mut bench = listening(&[]);
    answered(&mut bench, 7, 0);
    let again = answered(&mut bench, 7, ecn::CE).header;
    assert_eq!((again.flags.ace(), again.options.acc_ecn), (6, None));
    // One that does not ask: agreed with once more, and nothing goes out as ECN-capable.
    assert_eq!(answered(&mut bench, 0, ecn::ECT_0).header.flags.ace(), 4);
    acks(&mut bench, 2, 1);
    let conn = accept(&mut bench);
    write(&mut bench, conn, 100);
    assert_eq!((codepoints(&mut bench), accecn(&bench, conn).accecn_fail_mode), (vec![0], 1));
    // Without ECN it stays.
    let mut bench = listening(&[]);
    assert_eq!(answered(&mut bench, 0, 0).header.flags.ace(), 0);
    assert_eq!(answered(&mut bench, 7, 0).header.flags.ace(), 0);
}

#[test]
fn rfc9768_3_1_5_two_syns_that_ask_for_different_feedback_are_reset() {
    for (first, second) in [(7, 3), (3, 7)] {
        let mut bench = listening(&[]);
        answered(&mut bench, first, 0);
        arrives(&mut bench, SYN | ace(second), 0, 0, b"", With::default());
        let reset = bench.one().header;
        assert!(reset.flags.rst(), "{first} {second}: {:?}", reset.flags);
        acks(&mut bench, 2, 1);
        assert!(bench.engine.accept(bench.now, bench.listener).is_none());
    }
}

#[test]
fn rfc9768_3_1_2_a_simultaneous_open_enters_as_a_listener_would() {
    for (knob, theirs, answer) in [("3", 7, 2), ("3", 3, 1), ("3", 0, 0), ("4", 7, 1)] {
        let (mut bench, conn, _) = connect_with(&[("tcp_ecn", knob)]);
        arrives(&mut bench, SYN | ace(theirs), 0, 0, b"", With::default());
        let syn_ack = bench.one().header;
        assert_eq!(syn_ack.flags, SYN | ACK | ace(answer), "{knob} {theirs}");
        arrives(&mut bench, SYN | ACK | ace(answer), 0, 1, b"", With::default());
        let told = info(&bench, conn);
        assert_eq!((told.acc_ecn.is_some(), told.ecn), (answer == 2, answer != 0));
        assert_eq!(bench.sent().len(), 1);
    }
}
