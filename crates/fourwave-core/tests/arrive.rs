//! SEGMENT ARRIVES, a segment at a time: one engine, and a peer that is written by hand.

mod bench;

use std::net::SocketAddr;

use bench::{Bench, IRS, PEER, US, config};
use bytes::Bytes;
use fourwave_core::state::State;
use fourwave_core::time::Duration;
use fourwave_core::{Config, Decision, EndReason, SocketOption};
use fourwave_net::segment;
use fourwave_wire::checksum::Sum;
use fourwave_wire::icmp::{IcmpError, emit_error, parse_quoted_tcp};
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RxChecksum, RxPacket, SeqNum};

#[test]
fn rfc5961_3_2_rst_only_at_rcv_nxt() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    // Outside the window: silence. Elsewhere in it: a challenge.
    bench.arrives(Flags::RST, 0, 0, b"");
    bench.arrives(Flags::RST, 1_000_000, 0, b"");
    bench.silence();
    bench.arrives(Flags::RST, 2, 0, b"");
    bench.ack(1, 1);
    assert_eq!(bench.state(conn), State::Established);
    bench.arrives(Flags::RST, 1, 0, b"");
    bench.silence();
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
    assert_eq!(bench.engine.counters().challenge_ack, 1);
    assert_eq!(bench.engine.counters().estab_resets, 1);
}

#[test]
fn rfc5961_4_2_every_syn_is_challenged() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    for seq in [0, 1, 5, 1_000_000] {
        bench.arrives(Flags::SYN, seq, 0, b"");
        bench.ack(1, 1);
    }
    assert_eq!(bench.state(conn), State::Established);
    assert_eq!(bench.engine.counters().syn_challenge, 4);
}

#[test]
fn rfc5961_5_2_data_with_an_impossible_ack_is_challenged_and_dropped() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.arrives(Flags::ACK, 1, 500, b"injected");
    bench.ack(1, 1);
    // Older than the largest window the peer ever offered (10,000 << 2).
    bench.arrives(Flags::ACK, 1, 1u32.wrapping_sub(40_001), b"injected");
    bench.ack(1, 1);
    assert!(bench.engine.receive(bench.now, conn, 100).is_err());
    // An old but possible one is taken.
    bench.arrives(Flags::ACK, 1, 0, b"data");
    assert_eq!(&bench.engine.receive(bench.now, conn, 100).unwrap()[..], b"data");
}

#[test]
fn rfc5961_7_challenges_have_a_budget() {
    let mut bench = Bench::new(config(&[("tcp_challenge_ack_limit", "3")]));
    bench.open();
    for _ in 0..10 {
        bench.arrives(Flags::SYN, 1, 0, b"");
        let _ = bench.sent();
    }
    assert_eq!(bench.engine.counters().challenge_ack, 3);
    bench.pass(Duration::from_secs(1));
    bench.arrives(Flags::SYN, 1, 0, b"");
    bench.ack(1, 1);
}

#[test]
fn rfc9293_3_10_7_4_a_segment_outside_the_window_is_answered_but_not_in_a_loop() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.arrives(Flags::ACK, 2_000_000, 1, b"");
    bench.ack(1, 1);
    // Two such engines would answer each other for ever: one answer in a while.
    bench.arrives(Flags::ACK, 2_000_000, 1, b"");
    bench.silence();
    bench.pass(Duration::from_millis(600));
    bench.arrives(Flags::ACK, 2_000_000, 1, b"");
    bench.ack(1, 1);
    // Data is answered each time: its sender waits.
    for _ in 0..3 {
        bench.arrives(Flags::ACK, 2_000_000, 1, b"data");
        bench.ack(1, 1);
    }
    assert_eq!(bench.state(conn), State::Established);
}

#[test]
fn rfc9293_3_10_7_4_text_is_cut_to_what_is_new_and_put_in_order() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.arrives(Flags::ACK, 4, 1, b"def");
    bench.ack(1, 1);
    bench.arrives(Flags::ACK | Flags::FIN, 7, 1, b"ghi");
    bench.ack(1, 1);
    assert_eq!(bench.state(conn), State::Established);
    bench.arrives(Flags::ACK, 1, 1, b"abcdefgh");
    // Everything up to the FIN, and the FIN.
    bench.ack(1, 11);
    assert_eq!(bench.state(conn), State::CloseWait);
    let mut text = Vec::new();
    loop {
        let data = bench.engine.receive(bench.now, conn, 4).unwrap();
        if data.is_empty() {
            break;
        }
        assert!(data.len() <= 4);
        text.extend_from_slice(&data);
    }
    assert_eq!(text, b"abcdefghi");
    // The FIN again: an ACK, and nothing moves.
    bench.arrives(Flags::ACK | Flags::FIN, 7, 1, b"ghi");
    bench.ack(1, 11);
    assert_eq!(bench.state(conn), State::CloseWait);
}

#[test]
fn rfc7323_5_3_paws_drops_an_old_duplicate_but_not_an_rst() {
    let mut bench = Bench::new(Config::default());
    bench.timestamps = true;
    let conn = bench.open();
    bench.arrives_at(Flags::ACK, 1, 1, b"ab", Some(200));
    bench.ack(1, 3);
    bench.arrives_at(Flags::ACK, 3, 1, b"old", Some(150));
    bench.ack(1, 3);
    assert_eq!(bench.engine.counters().paws_estab, 1);
    assert_eq!(bench.engine.info(conn).unwrap().bytes_received, 2);
    bench.arrives_at(Flags::RST, 3, 1, b"", Some(150));
    assert_eq!(bench.reason(), Some(EndReason::ResetByPeer));
}

#[test]
fn rfc7323_5_5_after_24_days_of_silence_no_timestamp_is_old() {
    let mut bench = Bench::new(Config::default());
    bench.timestamps = true;
    let conn = bench.open();
    bench.arrives_at(Flags::ACK, 1, 1, b"ab", Some(200));
    bench.ack(1, 3);
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    bench.pass(days(23));
    bench.arrives_at(Flags::ACK, 3, 1, b"old", Some(150));
    assert_eq!(bench.engine.info(conn).unwrap().bytes_received, 2);
    bench.sent();
    bench.pass(days(2));
    bench.arrives_at(Flags::ACK, 3, 1, b"new", Some(150));
    assert_eq!(bench.engine.info(conn).unwrap().bytes_received, 5);
    assert_eq!(bench.engine.counters().paws_estab, 1);
}

#[test]
fn rfc7323_4_3_a_segment_with_an_impossible_ack_does_not_move_ts_recent() {
    let mut bench = Bench::new(Config::default());
    bench.timestamps = true;
    bench.open();
    bench.arrives_at(Flags::ACK | Flags::FIN, 1, 9999, b"", Some(200_000));
    let answer = bench.one().header;
    assert_eq!(answer.options.timestamps.map(|ts| ts.echo), Some(100));
    bench.arrives_at(Flags::ACK, 1, 1, b"text", Some(101));
    let ack = bench.one().header;
    assert_eq!(ack.ack, SeqNum::new(IRS) + 5);
    assert_eq!(ack.options.timestamps.map(|ts| ts.echo), Some(101));
}

#[test]
fn rfc9293_3_10_7_1_nobody_listens() {
    let mut bench = Bench::new(Config::default());
    let other: SocketAddr = "10.0.0.3:9".parse().unwrap();
    let seq = SeqNum::new(50);
    let header = |flags| TcpHeader { flags, seq, ack: SeqNum::new(99), ..TcpHeader::default() };
    bench.engine.unlisten(bench.now, bench.listener);
    bench.raw(other, header(Flags::SYN), b"");
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.ack), (Flags::RST | Flags::ACK, seq + 1));
    bench.raw(other, header(Flags::ACK), b"text");
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.seq), (Flags::RST, SeqNum::new(99)));
    bench.raw(other, header(Flags::RST | Flags::ACK), b"");
    bench.silence();
}

#[test]
fn rfc9293_3_10_7_4_syn_received() {
    let mut bench = Bench::new(Config::default());
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.iss = bench.one().header.seq;
    // The SYN again brings the SYN ACK again.
    bench.arrives(Flags::SYN, 0, 0, b"");
    assert_eq!(bench.one().header.seq, bench.iss);
    // An ACK of something else is reset; an RST in the window only counts at its left edge.
    bench.arrives(Flags::ACK, 1, 77, b"");
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.seq), (Flags::RST, bench.iss + 77));
    bench.arrives(Flags::RST, 2, 0, b"");
    bench.ack(1, 1);
    assert_eq!(bench.engine.population().half_open, 1);
    assert_eq!(bench.engine.counters().attempt_fails, 0);
    bench.arrives(Flags::RST, 1, 0, b"");
    bench.silence();
    assert_eq!(bench.engine.population().half_open, 0);
    assert_eq!(bench.engine.counters().attempt_fails, 1);
    // Another SYN in the window: back to LISTEN, in silence.
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.one();
    bench.arrives(Flags::SYN, 9, 0, b"");
    bench.silence();
    assert_eq!(bench.engine.population().half_open, 0);
}

#[test]
fn rfc9293_3_10_7_4_a_fin_that_comes_early_or_again_is_answered() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.arrives(Flags::ACK | Flags::FIN, 101, 1, b"");
    bench.ack(1, 1);
    assert_eq!(bench.state(conn), State::Established);
    bench.arrives(Flags::ACK, 1, 1, &[b'x'; 100]);
    bench.ack(1, 102);
    assert_eq!(bench.state(conn), State::CloseWait);
    bench.arrives(Flags::ACK | Flags::FIN, 102, 1, b"");
    bench.ack(1, 102);
}

#[test]
fn rfc5961_3_2_an_rst_at_the_right_edge_is_outside() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let edge = bench.engine.info(conn).unwrap().rcv_wnd + 1;
    bench.arrives(Flags::RST, edge, 1, b"");
    bench.silence();
    bench.arrives(Flags::RST, edge - 1, 1, b"");
    bench.ack(1, 1);
}

#[test]
fn data_after_close_is_reset_at_the_number_that_the_peer_expects() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.engine.close(bench.now, conn).unwrap();
    assert!(bench.one().header.flags.fin());
    // Our FIN was lost: the peer still expects its number.
    bench.arrives(Flags::ACK, 1, 1, b"more");
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.seq), (Flags::RST, bench.iss + 1));
}

#[test]
fn the_handshakes_ack_may_carry_text_and_fin() {
    let mut bench = Bench::new(Config::default());
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::ACK | Flags::FIN, 1, 1, b"all at once");
    bench.ack(1, 13);
    let conn = bench.engine.accept(bench.now, bench.listener).unwrap().conn;
    assert_eq!(bench.state(conn), State::CloseWait);
    assert_eq!(&bench.engine.receive(bench.now, conn, 100).unwrap()[..], b"all at once");
}

#[test]
fn a_syn_ack_is_repeated_and_given_up() {
    let mut bench = Bench::new(config(&[("tcp_synack_retries", "2")]));
    bench.arrives(Flags::SYN, 0, 0, b"");
    assert_eq!(bench.sent().len(), 1);
    for seconds in [1, 2] {
        bench.pass(Duration::from_millis(seconds * 1000 - 10));
        bench.silence();
        bench.pass(Duration::from_millis(10));
        assert!(bench.one().header.flags.syn());
    }
    bench.pass(Duration::from_secs(4));
    bench.silence();
    assert_eq!(bench.engine.population().half_open, 0);
    assert_eq!(bench.engine.poll_timeout(), None);
}

#[test]
fn half_open_records_and_the_accept_queue_are_bounded() {
    let mut bench = Bench::new(config(&[("tcp_max_syn_backlog", "3")]));
    let syn = TcpHeader { flags: Flags::SYN, seq: SeqNum::new(IRS), ..TcpHeader::default() };
    for port in 1..=10 {
        bench.raw(([10, 0, 9, 9], port).into(), syn, b"");
    }
    assert_eq!(bench.engine.population().half_open, 3);
    assert_eq!(bench.engine.counters().listen_drops, 7);
    // The backlog is 2: the third handshake stays half-open, and is not lost.
    let answers = bench.sent();
    for answer in &answers {
        let header = TcpHeader {
            flags: Flags::ACK,
            seq: SeqNum::new(IRS) + 1,
            ack: answer.header.seq + 1,
            ..TcpHeader::default()
        };
        bench.raw(([10, 0, 9, 9], answer.header.dst_port).into(), header, b"");
    }
    let population = bench.engine.population();
    assert_eq!((population.connections, population.half_open), (2, 1));
    assert_eq!(bench.engine.counters().listen_overflows, 1);
}

#[test]
fn a_deferring_listener_answers_as_it_is_told() {
    // Nothing is answered before the decision, however often the SYN comes.
    let mut bench = Bench::with(Config::default(), true);
    bench.arrives(Flags::SYN, 0, 0, b"");
    let pending = bench.pending();
    bench.pass(Duration::from_secs(3));
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.silence();
    assert!(bench.engine.decide(bench.now, pending, Decision::Accept));
    assert!(!bench.engine.decide(bench.now, pending, Decision::Accept), "one answer only");
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::ACK, 1, 1, b"");
    let accepted = bench.engine.accept(bench.now, bench.listener).unwrap();
    assert_eq!(accepted.pending, Some(pending));
    assert_eq!(accepted.local, US.parse().unwrap());

    let mut bench = Bench::with(Config::default(), true);
    bench.arrives(Flags::SYN, 0, 0, b"");
    let pending = bench.pending();
    assert!(bench.engine.decide(bench.now, pending, Decision::Reset));
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.ack), (Flags::RST | Flags::ACK, SeqNum::new(IRS) + 1));

    let mut bench = Bench::with(Config::default(), true);
    bench.arrives(Flags::SYN, 0, 0, b"");
    let pending = bench.pending();
    let error = IcmpError::HostUnreachable;
    assert!(bench.engine.decide(bench.now, pending, Decision::Unreachable(error)));
    let packet = bench.packets().remove(0);
    let ip = IpHeader::parse(&packet).unwrap();
    let quoted = parse_quoted_tcp(&ip, &packet).unwrap();
    assert_eq!((quoted.error, quoted.seq), (error, SeqNum::new(IRS)));
    assert_eq!(ip.dst, PEER.parse::<SocketAddr>().unwrap().ip());

    let mut bench = Bench::with(Config::default(), true);
    bench.arrives(Flags::SYN, 0, 0, b"");
    let pending = bench.pending();
    assert!(bench.engine.decide(bench.now, pending, Decision::Ignore));
    bench.silence();
    // A later SYN is a new question.
    bench.arrives(Flags::SYN, 0, 0, b"");
    assert_ne!(bench.pending(), pending);
}

/// An ICMP error about a segment that we sent.
fn icmp(bench: &mut Bench, error: IcmpError, seq: SeqNum, local: SocketAddr, remote: SocketAddr) {
    let quoted = segment(local, remote, TcpHeader { seq, ..TcpHeader::default() }, b"").bytes;
    let mut packet = Vec::new();
    emit_error("10.0.0.254".parse().unwrap(), error, &quoted, &mut packet);
    let packet = RxPacket { bytes: packet.into(), ..RxPacket::default() };
    assert!(bench.engine.handle_packet(bench.now, &packet));
}

#[test]
fn rfc5927_hard_errors_end_only_an_open_and_only_when_they_quote_it() {
    let mut bench = Bench::new(Config::default());
    let remote: SocketAddr = "10.0.0.9:443".parse().unwrap();
    let local: SocketAddr = "10.0.0.1:5000".parse().unwrap();
    let conn = bench.engine.connect(bench.now, local, remote).unwrap();
    let iss = bench.one().header.seq;
    icmp(&mut bench, IcmpError::HostUnreachable, iss + 5, local, remote);
    assert_eq!(bench.reason(), None);
    icmp(&mut bench, IcmpError::HostUnreachable, iss, local, remote);
    assert_eq!(bench.reason(), Some(EndReason::Unreachable(IcmpError::HostUnreachable)));
    bench.engine.close(bench.now, conn).unwrap();

    // An open connection outlives the same error (RFC 5927 §5.2).
    let conn = bench.open();
    let mut data = Bytes::from_static(b"in flight");
    bench.engine.send(bench.now, conn, &mut data).unwrap();
    let seq = bench.one().header.seq;
    let (us, peer) = (US.parse().unwrap(), PEER.parse().unwrap());
    icmp(&mut bench, IcmpError::HostUnreachable, seq, us, peer);
    assert_eq!(bench.state(conn), State::Established);
    assert_eq!(bench.engine.counters().icmp_ignored, 2);
}

#[test]
fn rfc9293_3_9_2_2_soft_errors_are_kept_for_the_application_and_end_nothing() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.engine.send(bench.now, conn, &mut Bytes::from_static(b"in flight")).unwrap();
    let seq = bench.one().header.seq;
    assert_eq!(bench.engine.info(conn).unwrap().icmp_error, None);
    let (us, peer) = (US.parse().unwrap(), PEER.parse().unwrap());
    for error in [
        IcmpError::NetUnreachable,
        IcmpError::HostUnreachable,
        IcmpError::ProtocolUnreachable,
        IcmpError::PortUnreachable,
        IcmpError::TimeExceeded,
        IcmpError::ParameterProblem,
    ] {
        icmp(&mut bench, error, seq, us, peer);
        assert_eq!(bench.state(conn), State::Established, "{error:?}");
        assert_eq!(bench.engine.info(conn).unwrap().icmp_error, Some(error));
    }
}

#[test]
fn rfc9293_3_9_2_2_source_quench_is_discarded() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.engine.send(bench.now, conn, &mut Bytes::from_static(b"in flight")).unwrap();
    let seq = bench.one().header.seq;
    let before = bench.engine.info(conn).unwrap();
    let (local, remote): (_, SocketAddr) = (US.parse().unwrap(), PEER.parse().unwrap());
    let offending = segment(local, remote, TcpHeader { seq, ..TcpHeader::default() }, b"").bytes;
    let mut bytes = Vec::new();
    emit_error(remote.ip(), IcmpError::HostUnreachable, &offending, &mut bytes);
    // Type 3, code 1 becomes type 4, code 0.
    bytes[20..24].copy_from_slice(&[4, 0, 0, 0]);
    let sum = Sum::default().with(&bytes[20..]).finish();
    bytes[22..24].copy_from_slice(&sum);
    let checksum = RxChecksum::Trusted;
    let packet = RxPacket { bytes: bytes.into(), gso_size: 0, checksum };
    bench.engine.handle_packet(bench.now, &packet);
    bench.silence();
    assert_eq!(bench.engine.info(conn).unwrap(), before);
}

#[test]
fn rfc1191_packet_too_big_makes_segments_smaller_and_sends_them_again() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    let mut data = Bytes::from(vec![1; 1000]);
    bench.engine.send(bench.now, conn, &mut data).unwrap();
    let sent = bench.one();
    assert_eq!(sent.payload.len(), 1000);
    let (us, peer) = (US.parse().unwrap(), PEER.parse().unwrap());
    let error = IcmpError::PacketTooBig { mtu: 600 };
    icmp(&mut bench, error, sent.header.seq, us, peer);
    assert_eq!(bench.engine.info(conn).unwrap().snd_mss, 560);
    assert!(bench.sent().iter().all(|s| s.payload.len() <= 560));
}

#[test]
fn rfc9293_3_10_7_3_syn_sent() {
    let mut bench = Bench::new(Config::default());
    let (us, peer): (SocketAddr, SocketAddr) = (US.parse().unwrap(), PEER.parse().unwrap());
    let conn = bench.engine.connect(bench.now, us, peer).unwrap();
    bench.iss = bench.one().header.seq;
    // An ACK of something else: RST, and the open goes on.
    bench.arrives(Flags::ACK, 0, 9, b"");
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.seq), (Flags::RST, bench.iss + 9));
    // An RST without an acceptable ACK is anyone's.
    bench.arrives(Flags::RST, 0, 9, b"");
    bench.arrives(Flags::RST | Flags::ACK, 0, 9, b"");
    bench.silence();
    assert_eq!(bench.state(conn), State::SynSent);
    bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
    bench.ack(1, 1);
    assert_eq!(bench.state(conn), State::Established);
    // The window of a SYN ACK is not scaled.
    assert_eq!(bench.engine.info(conn).unwrap().snd_wnd, 10_000);
    bench.arrives(Flags::ACK, 1, 1, b"");
    assert_eq!(bench.engine.info(conn).unwrap().snd_wnd, 40_000);
}

#[test]
fn rfc6191_a_newer_syn_takes_time_wait_over_beyond_the_old_numbers() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.engine.close(bench.now, conn).unwrap();
    assert!(bench.one().header.flags.fin());
    bench.arrives(Flags::ACK | Flags::FIN, 1, 2, b"");
    bench.ack(2, 2);
    assert_eq!(bench.engine.population().time_wait, 1);
    // Older: the last ACK again.
    bench.arrives(Flags::SYN, 0, 0, b"");
    bench.ack(2, 2);
    // Beyond what was received: a new incarnation.
    bench.arrives(Flags::SYN, 100, 0, b"");
    let syn_ack = bench.one().header;
    assert!(syn_ack.flags.syn());
    assert!(syn_ack.seq.after(bench.iss + 2 + 65_535), "no old segment can fit");
    assert_eq!(bench.engine.population().time_wait, 0);
    assert_eq!(bench.engine.counters().tw_taken_over, 1);
}

#[test]
fn a_wrong_checksum_is_counted_and_dropped() {
    let mut bench = Bench::new(Config::default());
    bench.arrives(Flags::SYN, 0, 0, b"");
    let mut bytes = bench.packets().remove(0);
    // Our own SYN ACK, turned into a packet to us with a flipped bit.
    bytes[25] ^= 1;
    let packet = RxPacket { bytes: bytes.into(), ..RxPacket::default() };
    assert!(bench.engine.handle_packet(bench.now, &packet));
    bench.silence();
    assert_eq!(bench.engine.counters().in_csum_errors, 1);
    let udp = {
        let mut bytes = Vec::new();
        let (src, dst) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        IpEmit { src, dst, protocol: protocol::UDP, ttl: 64, ecn: 0 }.emit(8, &mut bytes);
        bytes.extend_from_slice(&[0; 8]);
        bytes
    };
    let packet = RxPacket { bytes: udp.into(), ..RxPacket::default() };
    assert!(!bench.engine.handle_packet(bench.now, &packet), "UDP is the caller's business");
}

#[test]
fn rfc9293_3_5_figure_7_the_peers_syn_ack_completes_a_simultaneous_open() {
    let mut bench = Bench::new(Config::default());
    let (us, peer) = (US.parse().unwrap(), PEER.parse().unwrap());
    let conn = bench.engine.connect(bench.now, us, peer).unwrap();
    bench.iss = bench.one().header.seq;
    bench.arrives(Flags::SYN, 0, 0, b"");
    assert_eq!(bench.one().header.flags, Flags::SYN | Flags::ACK);
    assert_eq!(bench.state(conn), State::SynReceived);
    bench.arrives(Flags::SYN | Flags::ACK, 0, 1, b"");
    assert_eq!(bench.state(conn), State::Established);
    bench.ack(1, 1);
    assert_eq!(bench.engine.counters().challenge_ack, 0);
}

#[test]
fn a_syn_ack_promises_no_more_than_the_buffer_holds() {
    let mut bench = Bench::new(config(&[("tcp_rmem_default", "4096")]));
    bench.arrives(Flags::SYN, 0, 0, b"");
    // Two segments of 1460.
    assert_eq!(bench.one().header.window.0, 2920);
}

#[test]
fn text_after_shutdown_of_both_directions_is_reset() {
    let mut bench = Bench::new(Config::default());
    let conn = bench.open();
    bench.engine.set_option(bench.now, conn, SocketOption::NoMoreReads).unwrap();
    bench.arrives(Flags::ACK, 1, 1, b"still taken");
    bench.ack(1, 12);
    bench.engine.shutdown(bench.now, conn).unwrap();
    bench.one();
    bench.arrives(Flags::ACK, 12, 2, b"more");
    let reset = bench.one().header;
    assert_eq!((reset.flags, reset.seq), (Flags::RST, bench.iss + 2));
    assert_eq!(bench.reason(), Some(EndReason::DataAfterClose));
}
