//! Selective acknowledgements towards the peer (RFC 2018, RFC 2883).

mod bench;

use bench::{Bench, IRS, config};
use fourwave_core::Config;
use fourwave_wire::SeqNum;
use fourwave_wire::tcp::Flags;

const TEXT: [u8; 1000] = [b'x'; 1000];

fn open(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    bench.sack = true;
    bench.open();
    bench
}

/// The ACK number and the SACK blocks of the one segment that was sent, relative.
fn sacked(bench: &mut Bench) -> (u32, Vec<(u32, u32)>) {
    let header = bench.one().header;
    let relative = |seq: SeqNum| seq.since(SeqNum::new(IRS));
    let blocks = header.options.sack.as_slice();
    let blocks = blocks.iter().map(|&(from, to)| (relative(from), relative(to))).collect();
    (relative(header.ack), blocks)
}

#[test]
fn rfc2018_2_permitted_only_where_both_say_so() {
    let permitted = |ours: &str, theirs: bool| {
        let mut bench = Bench::new(config(&[("tcp_sack", ours)]));
        bench.sack = theirs;
        bench.arrives(Flags::SYN, 0, 0, b"");
        bench.one().header.options.sack_permitted
    };
    assert!(permitted("1", true));
    assert!(!permitted("0", true));
    assert!(!permitted("1", false));
}

#[test]
fn rfc2018_4_blocks_name_what_arrived_behind_a_gap_the_last_one_first() {
    let mut bench = open(Config::default());
    bench.arrives(Flags::ACK, 1001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1, vec![(1001, 2001)]));
    bench.arrives(Flags::ACK, 3001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1, vec![(3001, 4001), (1001, 2001)]));
    bench.arrives(Flags::ACK, 2001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1, vec![(1001, 4001)]));
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (4001, vec![]));
}

#[test]
fn without_permission_there_are_no_blocks() {
    let mut bench = Bench::new(Config::default());
    bench.open();
    bench.arrives(Flags::ACK, 1001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1, vec![]));
}

#[test]
fn rfc2883_4_a_duplicate_is_named_once_and_first() {
    let mut bench = open(Config::default());
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1001, vec![]));
    bench.arrives(Flags::ACK, 2001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1001, vec![(2001, 3001)]));
    // Known and acknowledged.
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1001, vec![(1, 1001), (2001, 3001)]));
    // Known and out of order.
    bench.arrives(Flags::ACK, 2001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1001, vec![(2001, 3001), (2001, 3001)]));
    bench.arrives(Flags::ACK, 4001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1001, vec![(4001, 5001), (2001, 3001)]));
}

#[test]
fn rfc2883_4_what_was_kept_and_comes_again_with_the_gap_is_a_duplicate() {
    let mut bench = open(Config::default());
    for at in [1001, 2001, 4001, 7001] {
        bench.arrives(Flags::ACK, at, 1, &TEXT);
        bench.one();
    }
    bench.arrives(Flags::ACK, 1, 1, &[b'x'; 6000]);
    assert_eq!(sacked(&mut bench), (6001, vec![(1001, 3001), (7001, 8001)]));
    bench.arrives(Flags::ACK, 6001, 1, &[b'x'; 2000]);
    assert_eq!(sacked(&mut bench), (8001, vec![(7001, 8001)]));
}

#[test]
fn tcp_dsack_0_names_no_duplicate() {
    let mut bench = open(config(&[("tcp_dsack", "0")]));
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    bench.one();
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1001, vec![]));
}

#[test]
fn a_duplicate_is_named_by_the_next_ack_where_a_full_segment_has_no_room_for_it() {
    let mut bench = Bench::new(Config::default());
    bench.sack = true;
    let conn = bench.open();
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    bench.one();
    // Twice, while a full segment is about to go.
    let mut data = bytes::Bytes::from_static(&[b'y'; 1000]);
    bench.engine.send(bench.now, conn, &mut data).unwrap();
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    let full = bench.one();
    assert_eq!((full.payload.len(), full.header.options.sack.is_empty()), (1000, true));
    bench.arrives(Flags::ACK, 2001, 1001, &TEXT);
    assert_eq!(sacked(&mut bench), (1001, vec![(1, 1001), (2001, 3001)]));
}

#[test]
fn rfc2883_4_a_fin_behind_a_gap_that_comes_twice_is_told() {
    let mut bench = open(Config::default());
    bench.arrives(Flags::ACK, 1001, 1, &TEXT);
    bench.one();
    // The text is known, its FIN is new.
    bench.arrives(Flags::FIN | Flags::ACK, 1001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1, vec![(1001, 2001), (1001, 2002)]));
    bench.arrives(Flags::FIN | Flags::ACK, 1001, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (1, vec![(1001, 2002), (1001, 2002)]));
    bench.arrives(Flags::FIN | Flags::ACK, 2001, 1, b"");
    assert_eq!(sacked(&mut bench), (1, vec![(2001, 2002), (1001, 2002)]));
    bench.arrives(Flags::ACK, 1, 1, &TEXT);
    assert_eq!(sacked(&mut bench), (2002, vec![]));
    bench.arrives(Flags::FIN | Flags::ACK, 2001, 1, b"");
    assert_eq!(sacked(&mut bench), (2002, vec![(2001, 2002)]));
}
