use super::*;
use alloc::vec::Vec;

const MSS: u32 = 1000;
const NOW: Instant = Instant::ZERO;

fn both() -> (AccEcn, AccEcn) {
    (AccEcn::new(ecn::NOT_ECT, true, NOW), AccEcn::new(ecn::NOT_ECT, false, NOW))
}

/// Numbers that look like chance.
fn draw(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as u32
}

fn counters(option: &AccEcnOption) -> Vec<(u8, u32)> {
    option.counters().collect()
}

#[test]
fn rfc9768_tables_2_and_3_the_handshake_feeds_a_codepoint_back() {
    let told = [ecn::NOT_ECT, ecn::ECT_1, ecn::ECT_0, ecn::CE].map(|it| handshake(it).ace());
    assert_eq!(told, [2, 3, 4, 6]);
    for codepoint in 0..4 {
        assert_eq!(fed_back(handshake(codepoint).ace()), Some(codepoint));
    }
    assert!([0, 1, 5, 7].into_iter().all(|ace| fed_back(ace).is_none()));
}

#[test]
fn rfc9768_3_2_1_what_counters_begin_with() {
    let (mut client, _) = both();
    assert_eq!((client.field().ace(), first_field().ace()), (5, 5));
    let option = first_option(OPTION_SPACE).unwrap();
    assert_eq!(counters(&option), [(ecn::ECT_1, 1), (ecn::CE, 0), (ecn::ECT_0, 1)]);
    let lens = [0, 3, 4, 8, 11, 12].map(|room| first_option(room).map(|it| it.counters().count()));
    assert_eq!(lens, [None, None, Some(0), Some(2), Some(2), Some(3)]);
}

#[test]
fn rfc9768_3_2_2_2_a_mark_on_the_handshake_counts_once_at_the_client() {
    let mut client = AccEcn::new(ecn::CE, true, NOW);
    assert_eq!((client.field().ace(), client.handshake().ace()), (6, 6));
    client.syn_ack_again(ecn::CE);
    assert_eq!(client.field().ace(), 6);
    client.syn_ack_again(ecn::NOT_ECT);
    assert_eq!((client.field().ace(), client.handshake().ace()), (6, 2));
    let mut server = AccEcn::new(ecn::CE, false, NOW);
    assert_eq!(server.field().ace(), 5);
}

#[test]
fn rfc9768_table_4_what_the_last_ack_of_the_handshake_says() {
    for (ace, is_marked, is_deaf, faults) in [
        (0, false, true, 2),
        (1, false, false, 0),
        (2, false, false, 0),
        (3, false, false, 2),
        (4, false, false, 2),
        (5, false, false, 0),
        (6, true, false, 2),
        (7, false, false, 0),
    ] {
        let (_, mut server) = both();
        assert_eq!(server.handshake_arrives(ace), is_marked, "{ace}");
        assert_eq!((server.is_deaf(), server.faults.0), (is_deaf, faults), "{ace}");
        assert_eq!(server.delivered.packets, u32::from(is_marked));
    }
}

#[test]
fn rfc9768_3_2_2_marks_are_counted_exactly_over_many_wraps() {
    let mut seed = 1;
    let (mut receiver, mut sender) = both();
    sender.awaits_handshake = false;
    let mut sent = 0_u32;
    for round in 0..20_000 {
        let marked = draw(&mut seed) % 8;
        for _ in 0..marked {
            receiver.arrives(ecn::CE, 1, MSS, true);
        }
        sent = sent.wrapping_add(marked);
        let ace = receiver.field().ace();
        let count = sender.count(ace, None, true, MSS);
        sender.take(count.packets(7 * MSS, MSS), None);
        assert_eq!(sender.delivered.packets, sent, "{round}");
    }
    assert!(sent > 60_000);
}

#[test]
fn rfc9768_3_2_2_5_2_lost_acks_are_made_up_for_by_the_option() {
    let mut seed = 7;
    let (mut receiver, mut sender) = both();
    sender.seen = Seen::Counters;
    let (mut marked, mut delivered) = (0_u32, 0_u32);
    for round in 0..20_000 {
        let packets = 1 + draw(&mut seed) % 60;
        let ce = draw(&mut seed) % (packets + 1);
        for at in 0..packets {
            let codepoint = if at < ce { ecn::CE } else { ecn::ECT_0 };
            receiver.arrives(codepoint, 1, MSS, true);
        }
        (marked, delivered) = (marked.wrapping_add(ce), delivered + packets * MSS);
        let ace = receiver.field().ace();
        let option = receiver.option(2, OPTION_SPACE, NOW, None);
        // Every third ACK gets through.
        if round % 3 > 0 {
            continue;
        }
        let count = sender.count(ace, option.as_ref(), true, MSS);
        sender.take(count.packets(core::mem::take(&mut delivered), MSS), option.as_ref());
        assert_eq!(sender.delivered.packets, marked, "{round}");
        assert_eq!(sender.delivered.bytes(ecn::CE), receiver.received.bytes(ecn::CE));
        assert_eq!(sender.delivered.bytes(ecn::ECT_0), receiver.received.bytes(ecn::ECT_0));
    }
    assert!(receiver.received.bytes(ecn::CE) > 1 << 24, "the fields went round");
}

#[test]
fn an_option_now_and_then_counts_what_was_told_without_it_once() {
    let (mut receiver, mut sender) = both();
    sender.seen = Seen::Counters;
    for round in 1..=400_u32 {
        for _ in 0..11 {
            receiver.arrives(ecn::CE, 1, MSS, true);
        }
        let ace = receiver.field().ace();
        let option = receiver.option(2, OPTION_SPACE, NOW, None).filter(|_| round % 4 == 0);
        let count = sender.count(ace, option.as_ref(), true, MSS);
        sender.take(count.packets(11 * MSS, MSS), option.as_ref());
        assert_eq!(sender.delivered.packets, 11 * round);
    }
}

#[test]
fn rfc9768_3_2_2_5_1_when_an_ack_is_due_at_once() {
    let mut side = AccEcn::new(ecn::NOT_ECT, false, NOW);
    let mut arrives = |codepoint, text, waits, acked| {
        let now = side.arrives(codepoint, 1, text, waits);
        if acked {
            side.field();
        }
        now
    };
    assert!(!arrives(ecn::ECT_0, MSS, false, false));
    assert!(arrives(ecn::CE, MSS, true, true), "the first mark after none");
    assert!(!arrives(ecn::CE, MSS, true, false));
    assert!(arrives(ecn::CE, MSS, true, true), "every second one");
    assert!(!arrives(ecn::ECT_0, MSS, true, true));
    // Marks on packets without text: every third, every second where text waits.
    assert!(!arrives(ecn::CE, 0, false, false));
    assert!(!arrives(ecn::CE, 0, false, false));
    assert!(arrives(ecn::CE, 0, false, true));
    assert!(!arrives(ecn::CE, 0, true, false));
    assert!(arrives(ecn::CE, 0, true, true));
    assert!(!arrives(ecn::NOT_ECT, MSS, true, true));
    // A super-packet of marked ones is acknowledged at once.
    assert!(side.arrives(ecn::CE, 40, 40 * MSS, false));
    assert_eq!(side.received.packets, 5 + 3 + 40);
}

#[test]
fn rfc9768_3_2_3_3_which_fields_an_option_has() {
    let mut side = AccEcn::new(ecn::NOT_ECT, true, NOW);
    let option =
        |side: &mut AccEcn, room| side.option(2, room, NOW, None).map(|option| counters(&option));
    let begin = [(ecn::ECT_0, 1), (ecn::CE, 0), (ecn::ECT_1, 1)];
    assert_eq!(option(&mut side, 40).unwrap(), begin, "nothing has changed: to show that it comes");
    assert_eq!(option(&mut side, 4).unwrap(), []);
    assert_eq!(option(&mut side, 40), None, "twice, and then when there is something to tell");
    side.arrives(ecn::ECT_0, 1, 5, true);
    assert_eq!(option(&mut side, 40).unwrap(), [(ecn::ECT_0, 6)]);
    side.arrives(ecn::CE, 1, 7, true);
    assert_eq!(option(&mut side, 40).unwrap(), [(ecn::ECT_0, 6), (ecn::CE, 7)]);
    side.arrives(ecn::ECT_1, 1, 9, true);
    assert_eq!(option(&mut side, 8), None, "what has changed does not fit");
    let all = [(ecn::ECT_0, 6), (ecn::CE, 7), (ecn::ECT_1, 10)];
    assert_eq!(option(&mut side, 12).unwrap(), all);
    side.arrives(ecn::ECT_0, 1, 1, true);
    assert_eq!(
        option(&mut side, 8).unwrap(),
        [(ecn::ECT_0, 7), (ecn::CE, 7)],
        "a tail is left out"
    );
    // ECT(1) alone: the other order is shorter.
    let mut side = AccEcn::new(ecn::NOT_ECT, false, NOW);
    side.arrives(ecn::ECT_1, 1, 9, true);
    assert_eq!(option(&mut side, 40).unwrap(), [(ecn::ECT_1, 10)]);
}

#[test]
fn tcp_ecn_option_says_how_often() {
    let at = |millis: u64| Instant::from_micros(millis * 1000);
    let mut side = AccEcn::new(ecn::NOT_ECT, false, NOW);
    let goes_out = |side: &mut AccEcn, knob, millis, beacon| {
        side.option(knob, 40, at(millis), beacon).is_some()
    };
    assert!(!goes_out(&mut side, 0, 0, None));
    // 1: twice after a change.
    side.arrives(ecn::ECT_0, 1, 5, true);
    assert!(goes_out(&mut side, 1, 0, None) && goes_out(&mut side, 1, 0, None));
    side.arrives(ecn::ECT_0, 1, 5, true);
    assert!(!goes_out(&mut side, 1, 0, None), "no other codepoint");
    // 2^22 bytes of one codepoint, or a beacon's time.
    side.arrives(ecn::ECT_0, 60, 1 << 22, true);
    assert!(goes_out(&mut side, 1, 0, None) && !goes_out(&mut side, 1, 0, None));
    let beacon = Some(Duration::from_millis(30));
    assert!(!goes_out(&mut side, 1, 29, beacon) && goes_out(&mut side, 1, 30, beacon));
    side.faults.set(Faults::OPTION_SENT);
    assert!(!goes_out(&mut side, 2, 100, beacon));
}

#[test]
fn rfc9768_3_2_3_2_4_zeroed_counters_are_not_believed() {
    let zeroed = AccEcnOption::new(AccEcnOrder::One, &[0, 0, 0]);
    let sound = AccEcnOption::new(AccEcnOrder::One, &[1, 0, 1]);
    let marked = AccEcnOption::new(AccEcnOrder::Zero, &[1, 5000, 1]);
    let empty = AccEcnOption::new(AccEcnOrder::Zero, &[]);
    for (options, seen, bytes) in [
        (Vec::from([zeroed, sound]), Seen::Zeroed, None),
        (Vec::from([empty, zeroed]), Seen::Zeroed, None),
        (Vec::from([empty]), Seen::Empty, None),
        (Vec::from([empty, sound]), Seen::Counters, Some(5000)),
        (Vec::new(), Seen::None, None),
    ] {
        let (mut client, _) = both();
        options.iter().for_each(|option| client.note_option(Some(option)));
        assert_eq!(client.seen, seen);
        assert_eq!(client.faults.has(Faults::OPTION_RECEIVED), seen == Seen::Zeroed);
        assert_eq!(client.count(5, Some(&marked), true, MSS).bytes, bytes);
    }
}

#[test]
fn rfc9768_3_2_2_4_a_field_that_begins_with_zero_is_none() {
    for (ace, has_gone_round, is_deaf) in
        [(0, false, true), (0, true, false), (5, false, false), (7, false, false)]
    {
        let (mut client, _) = both();
        client.first_field(ace, has_gone_round);
        assert_eq!((client.is_deaf(), client.faults.0), (is_deaf, if is_deaf { 2 } else { 0 }));
        client.first_field(0, false);
        assert_eq!(client.is_deaf(), is_deaf, "later it may be zero");
    }
}

#[test]
fn rfc9768_3_2_3_2_5_marked_bytes_without_a_marked_packet_contradict_each_other() {
    let (mut client, _) = both();
    client.seen = Seen::Counters;
    let option = AccEcnOption::new(AccEcnOrder::Zero, &[1, 1000]);
    let contradicts =
        |client: &AccEcn, ace| client.contradicts(&client.count(ace, Some(&option), true, MSS));
    assert!(contradicts(&client, 5) && !contradicts(&client, 6));
    client.take(1, None);
    assert!(!contradicts(&client, 6), "told before");
    client.take(0, Some(&option));
    assert!(!contradicts(&client, 6), "nothing new");
}

#[test]
fn a_counter_that_moves_back_is_an_older_option() {
    let (mut client, _) = both();
    client.seen = Seen::Counters;
    let option = |ceb| AccEcnOption::new(AccEcnOrder::Zero, &[1, ceb]);
    client.take(3, Some(&option(3000)));
    let count = client.count(0, Some(&option(2000)), true, MSS);
    assert_eq!(count.bytes, None);
    client.take(0, Some(&option(2000)));
    assert_eq!(client.delivered.bytes(ecn::CE), 3000);
}

#[test]
fn what_both_ends_count_takes_little() {
    assert!(size_of::<AccEcn>() <= 80, "{}", size_of::<AccEcn>());
}
