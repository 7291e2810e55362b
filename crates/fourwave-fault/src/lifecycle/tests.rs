use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader, verify_checksum};
use fourwave_wire::{RawWindow, SeqNum};
use proptest::prelude::*;

use super::*;
use Side::{Peer, Program};

const ACK: Flags = Flags::ACK;

fn fin_ack() -> Flags {
    Flags::FIN | ACK
}

/// One connection on its way past a judge.
struct Wire {
    judge: Lifecycle,
    ends: Key,
}

fn wire(specs: &[&str]) -> Wire {
    let specs: Vec<FaultSpec> = specs.iter().map(|text| text.parse().unwrap()).collect();
    let ends = ["10.4.0.100:40000", "192.0.2.1:80"].map(|end| end.parse().unwrap());
    Wire { judge: Lifecycle::new(&specs), ends }
}

fn packet(src: SocketAddr, dst: SocketAddr, tcp: TcpHeader, payload: usize) -> Vec<u8> {
    let ip = IpEmit { src: src.ip(), dst: dst.ip(), protocol: protocol::TCP, ttl: 64, ecn: 0 };
    let tcp = TcpHeader { src_port: src.port(), dst_port: dst.port(), ..tcp };
    let mut packet = Vec::new();
    ip.emit(tcp.emitted_len() + payload, &mut packet);
    tcp.emit(&mut packet);
    packet.resize(packet.len() + payload, b'x');
    packet
}

impl Wire {
    fn send(&mut self, from: Side, flags: Flags, seq: u32, ack: u32, len: usize) -> FaultDecision {
        let (src, dst) = (self.ends[from.index()], self.ends[from.other().index()]);
        let (seq, ack) = (SeqNum::new(seq), SeqNum::new(ack));
        let tcp = TcpHeader { seq, ack, flags, window: RawWindow(500), ..TcpHeader::default() };
        self.judge.judge(from, &packet(src, dst, tcp, len))
    }

    fn outcome(&mut self, from: Side, flags: Flags, seq: u32, ack: u32) -> SegmentOutcome {
        self.send(from, flags, seq, ack, 0).outcome
    }

    /// The handshake: the program's numbers start at 100, the peer's at 500.
    fn open(&mut self) {
        for (from, flags, seq, ack) in [
            (Program, Flags::SYN, 99, 0),
            (Peer, Flags::SYN | ACK, 499, 100),
            (Program, ACK, 100, 500),
        ] {
            assert_eq!(self.send(from, flags, seq, ack, 0), FaultDecision::default());
        }
    }

    fn tally(&self) -> Tally {
        self.judge.tallies().next().unwrap()
    }
}

#[test]
fn the_last_ack_is_that_of_who_closed_first() {
    // The four waves, each with whether it is the last ACK; then the third and the fourth again.
    for first in Side::BOTH {
        let second = first.other();
        let mut wire = wire(&["drop:last-ack:2"]);
        wire.open();
        let (x, y) = if first == Program { (100, 500) } else { (500, 100) };
        assert_eq!(wire.outcome(first, fin_ack(), x, y), SegmentOutcome::Pass);
        assert_eq!(wire.outcome(second, ACK, y, x + 1), SegmentOutcome::Pass);
        assert_eq!(wire.outcome(second, fin_ack(), y, x + 1), SegmentOutcome::Pass);
        assert_eq!(wire.outcome(first, ACK, x + 1, y + 1), SegmentOutcome::Drop);
        assert_eq!(wire.outcome(second, fin_ack(), y, x + 1), SegmentOutcome::Pass);
        // The second wave once more is no last ACK.
        assert_eq!(wire.outcome(second, ACK, y + 1, x + 1), SegmentOutcome::Pass);
        let decision = wire.send(first, ACK, x + 1, y + 1, 0);
        assert_eq!(decision.outcome, SegmentOutcome::Drop);
        let text = format!("drop:last-ack:2: the {first}'s last ACK dropped (2 of 2)");
        assert_eq!(decision.notes, [Note { ends: wire.ends, text }]);
        assert_eq!(wire.outcome(first, ACK, x + 1, y + 1), SegmentOutcome::Pass);
        assert_eq!(wire.tally(), Tally { connections: 1, hits: 2 });
    }
}

#[test]
fn a_fin_that_acknowledges_the_first_is_no_last_ack() {
    let mut wire = wire(&["drop:last-ack"]);
    wire.open();
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Pass);
    assert_eq!(wire.outcome(Peer, fin_ack(), 500, 101), SegmentOutcome::Pass);
    assert_eq!(wire.outcome(Program, ACK, 101, 501), SegmentOutcome::Drop);
}

#[test]
fn after_a_simultaneous_close_both_ends_have_a_last_ack() {
    let mut wire = wire(&["drop:last-ack"]);
    wire.open();
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Pass);
    assert_eq!(wire.outcome(Peer, fin_ack(), 500, 100), SegmentOutcome::Pass);
    assert_eq!(wire.outcome(Peer, ACK, 501, 101), SegmentOutcome::Drop);
    assert_eq!(wire.outcome(Program, ACK, 101, 501), SegmentOutcome::Drop);
    assert_eq!(wire.tally().hits, 2);
}

#[test]
fn the_first_fins_of_the_chosen_side_are_dropped() {
    let mut one = wire(&["drop:fin:2"]);
    one.open();
    for side in Side::BOTH {
        let (seq, ack) = if side == Program { (100, 500) } else { (500, 100) };
        let outcomes = [(); 3].map(|()| one.outcome(side, fin_ack(), seq, ack));
        assert_eq!(outcomes, [SegmentOutcome::Drop, SegmentOutcome::Drop, SegmentOutcome::Pass]);
    }
    let mut all = wire(&["drop:fin:peer:all"]);
    all.open();
    assert_eq!(all.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Pass);
    assert!((0..50).all(|_| all.outcome(Peer, fin_ack(), 500, 101) == SegmentOutcome::Drop));
    // Two rules share out the FINs of one side.
    let mut two = wire(&["drop:fin:program", "delay:fin:program:7ms"]);
    two.open();
    assert_eq!(two.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Drop);
    let late = SegmentOutcome::Delay(Duration::from_millis(7));
    assert_eq!(two.outcome(Program, fin_ack(), 100, 500), late);
}

#[test]
fn only_the_connections_that_are_meant() {
    let mut wire = wire(&["drop:fin@192.0.2.1:81"]);
    wire.open();
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Pass);
    assert_eq!(wire.tally(), Tally::default());
    wire.ends[1].set_port(81);
    // Nor those whose beginning was not seen.
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Pass);
    wire.open();
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Drop);
    assert_eq!(wire.tally(), Tally { connections: 1, hits: 1 });
}

#[test]
fn a_new_connection_on_the_same_numbers_starts_anew_and_a_syn_again_does_not() {
    let mut wire = wire(&["drop:fin"]);
    wire.open();
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Drop);
    assert_eq!(wire.outcome(Program, Flags::SYN, 99, 0), SegmentOutcome::Pass);
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Pass);
    assert_eq!(wire.outcome(Program, Flags::SYN, 7_000, 0), SegmentOutcome::Pass);
    assert_eq!(wire.outcome(Program, fin_ack(), 7_001, 500), SegmentOutcome::Drop);
    assert_eq!(wire.tally(), Tally { connections: 2, hits: 2 });
}

/// An injected packet's header; the packet is right in itself.
fn read(packet: &Bytes) -> TcpHeader {
    let ip = fourwave_wire::ip::IpHeader::parse(packet).unwrap();
    assert!(fourwave_wire::ip::header_checksum_is_right(packet));
    assert!(verify_checksum(ip.src, ip.dst, &packet[ip.payload.clone()]));
    TcpHeader::parse(&packet[ip.payload]).unwrap().0
}

#[test]
fn a_reset_reaches_both_ends_with_the_numbers_that_they_expect() {
    let mut wire = wire(&["rst-after:peer:1000"]);
    wire.open();
    assert_eq!(wire.send(Program, ACK, 100, 500, 5000), FaultDecision::default());
    assert_eq!(wire.send(Peer, ACK, 500, 5100, 600), FaultDecision::default());
    // What is sent again does not count.
    assert_eq!(wire.send(Peer, ACK, 500, 5100, 600), FaultDecision::default());
    let decision = wire.send(Peer, ACK, 1100, 5100, 600);
    assert_eq!(decision.outcome, SegmentOutcome::Pass);
    assert_eq!(
        decision.notes[0].text,
        "rst-after:peer:1kb: after 1200 bytes of payload, RST to both ends"
    );
    let [(Peer, to_program), (Program, to_peer)] = &decision.injected[..] else {
        panic!("{decision:?}")
    };
    let (to_program, to_peer) = (read(to_program), read(to_peer));
    assert!(to_program.flags.rst() && to_peer.flags.rst());
    assert_eq!((to_program.src_port, to_program.dst_port), (80, 40000));
    assert_eq!((to_program.seq.value(), to_peer.seq.value()), (1700, 5100));

    // What was on its way is swallowed. Who was not reached repeats himself, and is told again
    // with exactly what he waits for. No RST is answered.
    let decision = wire.send(Program, ACK, 5100, 1100, 0);
    assert_eq!((decision.outcome, decision.injected.len()), (SegmentOutcome::Drop, 0));
    let decision = wire.send(Program, ACK, 5100, 1100, 0);
    assert_eq!((decision.outcome, decision.notes.len()), (SegmentOutcome::Drop, 0));
    assert_eq!(read(&decision.injected[0].1).seq.value(), 1100);
    let decision = wire.send(Program, Flags::RST, 5100, 0, 0);
    assert_eq!((decision.outcome, decision.injected.len()), (SegmentOutcome::Drop, 0));
    // A new connection lives.
    assert_eq!(wire.outcome(Program, Flags::SYN, 9_000, 0), SegmentOutcome::Pass);
    assert_eq!(wire.tally(), Tally { connections: 2, hits: 1 });
}

#[test]
fn a_reset_after_nothing_waits_for_the_handshake() {
    let mut wire = wire(&["rst-after:0"]);
    assert_eq!(wire.send(Program, Flags::SYN, 99, 0, 0), FaultDecision::default());
    assert_eq!(wire.send(Peer, Flags::SYN | ACK, 499, 100, 0), FaultDecision::default());
    let decision = wire.send(Program, ACK, 100, 500, 0);
    let [(Program, to_peer), (Peer, to_program)] = &decision.injected[..] else {
        panic!("{decision:?}")
    };
    assert_eq!((read(to_peer).seq.value(), read(to_program).seq.value()), (100, 500));
}

#[test]
fn the_window_closes_after_the_programs_bytes_and_stays_closed() {
    let mut wire = wire(&["stall:zero-window:10"]);
    wire.open();
    assert!(!wire.send(Peer, ACK, 500, 100, 50).zero_window);
    assert!(!wire.send(Program, ACK, 100, 550, 10).zero_window);
    let decision = wire.send(Peer, ACK, 550, 110, 0);
    assert_eq!((decision.zero_window, decision.notes.len()), (true, 1));
    let decision = wire.send(Peer, ACK, 550, 110, 0);
    assert_eq!((decision.zero_window, decision.notes.len()), (true, 0));

    let mut wire = self::wire(&["stall:zero-window"]);
    assert_eq!(wire.send(Program, Flags::SYN, 99, 0, 0), FaultDecision::default());
    assert!(wire.send(Peer, Flags::SYN | ACK, 499, 100, 0).zero_window);
    assert!(!wire.send(Peer, Flags::RST, 500, 0, 0).zero_window);
}

#[test]
fn memory_is_bounded_and_the_living_are_remembered() {
    let mut wire = wire(&["drop:fin"]);
    let living = wire.ends;
    wire.open();
    for i in 0..3 * MAX_FLOWS as u32 {
        wire.ends[0] = SocketAddr::new(std::net::Ipv4Addr::from(0x0a00_0000 + i).into(), 1000);
        assert_eq!(wire.outcome(Program, Flags::SYN, 99, 0), SegmentOutcome::Pass);
        assert_eq!(wire.outcome(Peer, Flags::RST | ACK, 0, 100), SegmentOutcome::Pass);
    }
    let Lifecycle { flows, oldest, over, .. } = &wire.judge;
    assert!(flows.len() <= MAX_FLOWS, "{}", flows.len());
    assert!(oldest.len() <= 2 * MAX_FLOWS && over.len() <= 2 * MAX_FLOWS);
    wire.ends = living;
    assert_eq!(wire.outcome(Program, fin_ack(), 100, 500), SegmentOutcome::Drop);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        segments in proptest::collection::vec(
            (any::<bool>(), any::<u8>(), any::<u32>(), any::<u32>(), 0..2000usize), 0..60),
    ) {
        let specs = ["drop:fin:3", "drop:last-ack", "delay:fin:1ms", "stall:zero-window:9",
                     "rst-after:20kb"];
        let mut wire = wire(&specs);
        let _ = wire.judge.judge(Program, &bytes);
        let _ = wire.send(Program, Flags::SYN, 1, 0, 0);
        for (program, flags, seq, ack, len) in segments {
            let from = if program { Program } else { Peer };
            let decision = wire.send(from, Flags::from_bits(flags), seq, ack, len);
            for (_, packet) in &decision.injected {
                prop_assert!(read(packet).flags.rst());
            }
        }
    }
}
