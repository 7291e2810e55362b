//! `--loose_segments`: what is left free, and what is not.

use fourwave_drill::run::Options;
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

use crate::mock::*;
use crate::{sender, sent};

const DOT: Flags = Flags::ACK;
const PSH: Flags = Flags::from_bits(0x18);
const FIN: Flags = Flags::from_bits(0x11);

/// A segment of the stack: when (ms), sequence number, flags, payload, ACK.
type Part = (u64, u32, Flags, usize, u32);

fn mock(parts: &[Part]) -> Mock {
    parts.iter().fold(sender(&[]), |mock, &(at, seq, flags, len, ack)| {
        let header = TcpHeader {
            seq: SeqNum::new(ISN + seq),
            ack: SeqNum::new(ack),
            flags,
            window: RawWindow(at as u16),
            options: TcpOptions::default(),
            ..to_port(49_152)
        };
        mock.sends(at, segment(header, len))
    })
}

fn script(rest: &str) -> String {
    format!("--loose_segments\n{}", sent(rest))
}

#[track_caller]
fn passes(rest: &str, parts: &[Part]) {
    passed(&play(&script(rest), &mut mock(parts)));
}

#[track_caller]
fn fails(rest: &str, parts: &[Part]) -> String {
    let failure = failed(play(&script(rest), &mut mock(parts)));
    let actual = failure.actual.map(|actual| actual.to_string()).unwrap_or_default();
    format!("{}: {actual}", failure.message)
}

/// 2,500 bytes and a FIN.
const ALL: &str = "+.01~+.02 > FP. 1:2501(2500) ack 1";

#[test]
fn a_stream_may_come_in_any_segments() {
    let whole = [(10, 1, PSH | FIN, 2500, 1)];
    let parts = [(10, 1, PSH, 100, 1), (11, 101, DOT, 1400, 1), (12, 1501, FIN, 1000, 1)];
    let fin_alone = [(10, 1, DOT, 1000, 1), (11, 1001, PSH, 1500, 1), (12, 2501, FIN, 0, 1)];
    for parts in [&whole[..], &parts, &fin_alone] {
        passes(ALL, parts);
        // The events cut it elsewhere, and one is reached after all has left.
        let cut = "+.01~+.02 > . 1:1235(1234) ack 1\n+.1 < . 1:1(0) ack 1235 win 9\n\
                   +0 > P. 1235:2501(1266) ack 1\n+0 > F. 2501:2501(0) ack 1";
        passes(cut, parts);
    }
}

#[test]
fn without_the_option_the_same_fails() {
    let parts = [(10, 1, PSH, 100, 1), (11, 101, DOT, 1400, 1), (12, 1501, FIN, 1000, 1)];
    failed(play(&sent(ALL), &mut mock(&parts)));
}

#[test]
fn every_byte_and_the_fin_count() {
    let short = [(10, 1, DOT, 1000, 1), (11, 1001, DOT, 1499, 1)];
    let line = fails(ALL, &short);
    assert_eq!(line, "not all of it came: only up to 2500, until 2.02");
    let hole = [(10, 1, DOT, 1000, 1), (11, 1002, FIN, 1499, 1)];
    assert!(fails(ALL, &hole).starts_with("the packet has other "), "{}", fails(ALL, &hole));
    let no_fin = [(10, 1, DOT, 2500, 1)];
    assert!(fails(ALL, &no_fin).starts_with("not all of it came"));
    let reset = [(10, 1, DOT, 1000, 1), (11, 1001, Flags::RST | DOT, 0, 1)];
    assert!(fails(ALL, &reset).starts_with("the packet has other flags"));
    let urgent = [(10, 1, DOT | Flags::URG, 2500, 1), (10, 2501, FIN, 0, 1)];
    assert!(fails(ALL, &urgent).contains("other flags"));
    // The script leaves out a byte.
    let skips = "+.01~+.02 > FP. 2:2501(2499) ack 1";
    assert!(fails(skips, &[(10, 1, FIN, 2500, 1)]).contains("sequence numbers"));
}

#[test]
fn it_must_be_there_in_time_to_its_last_byte_but_may_be_early() {
    let late = [(10, 1, DOT, 1000, 1), (30, 1001, FIN, 1500, 1)];
    assert!(fails(ALL, &late).starts_with("the packet came late"));
    passes("+.5 > FP. 1:2501(2500) ack 1", &[(10, 1, FIN, 2500, 1)]);
}

#[test]
fn bare_acks_are_free_but_for_those_that_are_asked_for() {
    let data = "+.01 < P. 1:1001(1000) ack 1 win 9\n+0 < P. 1001:2001(1000) ack 1 win 9\n";
    let acks = [(10, 1, DOT, 0, 1001), (11, 1, DOT, 0, 2001), (12, 1, DOT, 0, 2001)];
    passes(&format!("{data}+0~+.01 > . 1:1(0) ack 2001"), &acks);
    passes(data, &acks);
    let line = fails(&format!("{data}+0~+.01 > . 1:1(0) ack 2001"), &acks[..1]);
    assert_eq!(line, "the packet did not come: 0.01 > . 1:1(0) ack 1001");
    // Beyond what is asked for is wrong at once.
    let line = fails(&format!("{data}+0~+.01 > . 1:1(0) ack 2000"), &acks);
    assert!(line.starts_with("the packet has other ack"), "{line}");
    // Data may carry it; the data is still asked for.
    let carried = [(10, 1, DOT, 0, 1001), (11, 1, PSH, 100, 2001)];
    let asked = format!("{data}+0~+.01 > . 1:1(0) ack 2001\n+0 > P. 1:101(100) ack 2001");
    passes(&asked, &carried);
    // One that left long before answers something else.
    let twice = [(10, 1, DOT, 0, 2001), (110, 1, DOT, 0, 2001)];
    let again = "+.1 < P. 1001:2001(1000) ack 1 win 9\n+0~+.01 > . 1:1(0) ack 2001";
    passes(&format!("{data}{again}"), &twice);
    assert!(fails(&format!("{data}{again}"), &twice[..1]).contains("did not come"));
    // Too late for what is asked.
    let late = [(40, 1, DOT, 0, 2001)];
    assert!(fails(&format!("{data}+0~+.01 > . 1:1(0) ack 2001"), &late).contains("late"));
}

#[test]
fn data_acknowledges_what_was_there_when_it_left() {
    let rest = "+.02 < P. 1:11(10) ack 1 win 9\n+0~+.02 > P. 1:101(100) ack 11";
    passes(rest, &[(10, 1, PSH, 100, 1)]);
    passes(rest, &[(30, 1, PSH, 100, 11)]);
    assert!(fails(rest, &[(30, 1, PSH, 100, 10)]).contains("other ack"));
    assert!(fails(rest, &[(10, 1, PSH, 100, 12)]).contains("other ack"));
}

#[test]
fn what_is_sent_again_is_free_until_it_is_acknowledged() {
    let again = [(10, 1, PSH, 100, 1), (20, 1, PSH, 100, 1), (50, 101, FIN, 0, 1)];
    let rest = "+.01 > P. 1:101(100) ack 1\n+.04 > F. 101:101(0) ack 1";
    passes(rest, &again);
    let acked = "+.01 > P. 1:101(100) ack 1\n+.005 < . 1:1(0) ack 101 win 9\n\
                 +.035 > F. 101:101(0) ack 1";
    assert!(fails(acked, &again).contains("other"), "{}", fails(acked, &again));
    // It can be asked for, even behind new data that left before it.
    let new_first =
        [(10, 1, DOT, 100, 1), (12, 101, DOT, 100, 1), (20, 1, DOT, 100, 1), (21, 201, FIN, 0, 1)];
    let rest = "+.01 > . 1:101(100) ack 1\n+.01 > . 1:101(100) ack 1\n+0 > . 101:201(100) ack 1\n\
                +0 > F. 201:201(0) ack 1";
    passes(rest, &new_first);
    let never = fails("+.01 > . 1:101(100) ack 1\n+.01 > . 1:101(100) ack 1", &new_first[..2]);
    assert!(never.starts_with("the packet did not come"), "{never}");
}

#[test]
fn a_syn_ack_sent_again_is_free_until_it_is_acknowledged() {
    let again = |at| {
        let header = TcpHeader {
            seq: SeqNum::new(ISN),
            ack: SeqNum::new(1),
            flags: Flags::SYN | DOT,
            ..to_port(49_152)
        };
        sender(&[]).sends(at, segment(header, 0)).sends(30, {
            let fin = TcpHeader { seq: SeqNum::new(ISN + 1), flags: FIN, ..header };
            segment(fin, 0)
        })
    };
    let rest = script("+.02 < . 1:1(0) ack 1 win 9\n+.01 > F. 1:1(0) ack 1");
    passed(&play(&rest, &mut again(10)));
    assert!(failed(play(&rest, &mut again(25))).message.contains("other flags"));
}

#[test]
fn an_end_that_no_event_asks_for_fails() {
    let rest = "+.01 > P. 1:101(100) ack 1\n+.1 < . 1:1(0) ack 101 win 9";
    let fin = [(10, 1, PSH, 100, 1), (20, 101, FIN, 0, 1)];
    let line = fails(rest, &fin);
    assert_eq!(
        line,
        "the script ends without asking for this packet: 0.02 > F. 101:101(0) ack 1 win 20"
    );
    let reset = [(10, 1, PSH, 100, 1), (20, 101, Flags::RST, 0, 0)];
    assert!(fails(rest, &reset).starts_with("the script ends without"));
    // Data is what --strict is for.
    let more = [(10, 1, PSH, 100, 1), (20, 101, PSH, 100, 1)];
    passes(rest, &more);
    let mut strict = Options::default();
    strict.set("strict", None).unwrap();
    failed(play_with(&script(rest), &strict, &mut mock(&more)));
    passed(&play_with(&script(rest), &strict, &mut mock(&more[..1])));
}

#[test]
fn data_on_its_way_at_a_reset_is_free() {
    let parts = [(10, 1, PSH, 100, 1), (12, 101, PSH, 900, 1), (20, 1001, Flags::RST | DOT, 0, 1)];
    passes("+.01 > P. 1:101(100) ack 1\n+.01 > R. 101:101(0) ack 1", &parts);
    assert!(fails("+.01 > P. 1:101(100) ack 1\n+.01 > R. 99:99(0) ack 1", &parts).contains("seq"));
    let fin = [(10, 1, PSH, 100, 1), (12, 101, FIN, 0, 1), (20, 102, Flags::RST | DOT, 0, 1)];
    let line = fails("+.01 > P. 1:101(100) ack 1\n+.01 > R. 102:102(0) ack 1", &fin);
    assert!(line.contains("other flags"), "{line}");
}

#[test]
fn strict_and_loose_contradict_each_other() {
    let both = format!("--strict_segments\n{}", script(ALL));
    let parsed = fourwave_drill::lang::parse(&both).unwrap();
    let error = Options::default().for_script(&parsed).unwrap_err().to_string();
    assert_eq!(error, "--strict_segments and --loose_segments contradict each other");
}
