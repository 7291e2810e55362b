use std::sync::{Arc, Mutex};

use fourwave_wire::ip::IpEmit;
use fourwave_wire::tcp::{TcpHeader, verify_checksum};
use fourwave_wire::{RawWindow, SeqNum};

use super::*;
use fourwave_wire::checksum::complete_checksum;

const MS: Duration = Duration::from_millis(1);
const PROGRAM: &str = "10.4.0.100";
const PEER: &str = "192.0.2.1";

/// A plan, and what it tells.
fn plan(specs: &[&str]) -> (Plan, Arc<Mutex<Vec<String>>>) {
    let specs = specs.iter().map(|text| text.parse().unwrap()).collect();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    (Plan::new(specs, 7, move |note| hears.lock().unwrap().push(note.text.clone())), told)
}

fn ip(src: &str, dst: &str, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    let mut packet = Vec::new();
    IpEmit { src, dst, protocol, ttl: 64, ecn: 0 }.emit(rest.len(), &mut packet);
    packet.extend_from_slice(rest);
    complete_checksum(&mut packet);
    packet
}

fn tcp(src: (&str, u16), dst: (&str, u16), flags: Flags, seq: u32, ack: u32) -> Vec<u8> {
    let header = TcpHeader {
        src_port: src.1,
        dst_port: dst.1,
        seq: SeqNum::new(seq),
        ack: SeqNum::new(ack),
        flags,
        window: RawWindow(0xabcd),
        ..TcpHeader::default()
    };
    let mut bytes = Vec::new();
    header.emit(&mut bytes);
    bytes.extend_from_slice(b"abc");
    ip(src.0, dst.0, protocol::TCP, &bytes)
}

fn from_program(bytes: Vec<u8>) -> RxPacket {
    RxPacket { bytes: bytes.into(), gso_size: 0, checksum: RxChecksum::Unverified }
}

/// As an engine builds them: headers here, payload there.
fn from_peer(bytes: &[u8]) -> TxPacket {
    let (header, payload) = bytes.split_at(bytes.len() - 3);
    let payload = vec![Bytes::copy_from_slice(payload)];
    let mut packet = TxPacket { header: header.to_vec(), payload, ..TxPacket::default() };
    packet.meta.len = bytes.len();
    packet
}

#[test]
fn a_fin_that_is_held_back_is_overtaken_and_comes_on_time() {
    let (mut plan, told) = plan(&["delay:fin:5ms"]);
    let (a, b) = ((PROGRAM, 40000), (PEER, 80));
    plan.receive(MS, from_program(tcp(a, b, Flags::SYN, 99, 0)));
    assert!(plan.poll_received(MS).is_some());
    let fin = tcp(a, b, Flags::FIN | Flags::ACK, 100, 500);
    plan.receive(2 * MS, from_program(fin.clone()));
    let ack = tcp(a, b, Flags::ACK, 104, 500);
    plan.receive(3 * MS, from_program(ack.clone()));
    assert_eq!(plan.poll_received(3 * MS).unwrap().bytes, ack);
    assert!(plan.poll_received(6 * MS).is_none());
    assert_eq!(plan.next_received(), Some(7 * MS));
    assert_eq!(plan.poll_received(7 * MS).unwrap().bytes, fin);
    assert_eq!(plan.next_received(), None);
    assert_eq!(*told.lock().unwrap(), ["delay:fin:5ms: the program's FIN held back for 5ms"]);
    assert_eq!(plan.report(), ["delay:fin:5ms: struck 1 time in 1 connection"]);
}

#[test]
fn the_links_faults_strike_the_packets_that_are_meant() {
    let (mut plan, told) = plan(&["loss:100%@:53", "delay:5ms@192.0.2.1", "loss:100%@[fd00::1]"]);
    let dns = |port: u16| [&port.to_be_bytes()[..], &[0, 53, 0, 8, 0, 0]].concat();
    plan.receive(MS, from_program(ip(PROGRAM, "192.0.2.9", protocol::UDP, &dns(4000))));
    assert_eq!(plan.next_received(), None, "lost");
    // To no port, and in the other family.
    plan.receive(MS, from_program(ip(PROGRAM, "192.0.2.9", protocol::ICMP, &dns(4000))));
    assert!(plan.poll_received(MS).is_some());
    plan.receive(MS, from_program(ip("fd00::100", "fd00::1", protocol::ICMPV6, &dns(4000))));
    assert_eq!(plan.next_received(), None, "lost");
    let answer = tcp((PEER, 80), (PROGRAM, 40000), Flags::ACK, 1, 1);
    plan.send(MS, from_peer(&answer));
    assert_eq!((plan.poll_sent(MS).is_none(), plan.next_sent()), (true, Some(6 * MS)));
    assert_eq!(plan.poll_sent(6 * MS).unwrap().to_vec(), answer);
    // What every connection is about is passed on from one fault to the next.
    plan.receive(MS, from_program(tcp((PEER, 53), (PROGRAM, 40000), Flags::SYN, 1, 0)));
    assert_eq!(*told.lock().unwrap(), ["loss:100%@:53: the program's SYN lost"]);
    assert_eq!(
        plan.report(),
        [
            "loss:100%@:53: 2 packets, 2 lost",
            "delay:5ms@192.0.2.1: 1 packet",
            "loss:100%@[fd00::1]: 1 packet, 1 lost",
        ]
    );
}

#[test]
fn faults_that_share_a_packet_add_up() {
    let (mut plan, _) = plan(&["delay:5ms", "dup:100%@:80", "delay:3ms", "drop:fin"]);
    plan.receive(MS, from_program(tcp((PROGRAM, 40000), (PEER, 80), Flags::SYN, 1, 0)));
    let (mut now, mut times) = (MS, Vec::new());
    while let Some(due) = plan.next_received() {
        now = now.max(due);
        if plan.poll_received(now).is_some() {
            times.push(now);
        }
    }
    assert_eq!(times, [9 * MS, 9 * MS]);
    assert_eq!(plan.report()[3], "drop:fin: never struck, in 1 connection");
    let (plan, _) = self::plan(&["drop:fin", "loss:1%"]);
    assert_eq!(
        plan.report(),
        ["drop:fin: no connection was meant", "loss:1%: no packet was meant"]
    );
}

#[test]
fn a_closed_window_keeps_the_checksum_right() {
    for (program, peer) in [(PROGRAM, PEER), ("fd00::100", "fd00::1")] {
        let (mut plan, _) = plan(&["stall:zero-window"]);
        let (a, b) = ((program, 40000), (peer, 80));
        plan.receive(MS, from_program(tcp(a, b, Flags::SYN, 99, 0)));
        for seq in 0..2000 {
            plan.send(MS, from_peer(&tcp(b, a, Flags::ACK, seq * 77, seq)));
            let sent = plan.poll_sent(MS).unwrap().to_vec();
            let ip = IpHeader::parse(&sent).unwrap();
            assert!(verify_checksum(ip.src, ip.dst, &sent[ip.payload.clone()]));
            assert_eq!(TcpHeader::parse(&sent[ip.payload]).unwrap().0.window, RawWindow(0));
        }
    }
}

#[test]
fn a_reset_goes_both_ways_at_once() {
    let (mut plan, _) = plan(&["rst-after:1"]);
    let (a, b) = ((PROGRAM, 40000), (PEER, 80));
    plan.receive(MS, from_program(tcp(a, b, Flags::SYN, 99, 0)));
    plan.send(MS, from_peer(&tcp(b, a, Flags::SYN | Flags::ACK, 499, 103)));
    assert!(plan.poll_received(MS).is_some() && plan.poll_sent(MS).is_some());
    plan.receive(MS, from_program(tcp(a, b, Flags::ACK, 103, 503)));
    let flags = |bytes: &[u8]| TcpHeader::parse(&bytes[20..]).unwrap().0.flags;
    assert_eq!(flags(&plan.poll_received(MS).unwrap().bytes), Flags::ACK);
    assert!(flags(&plan.poll_received(MS).unwrap().bytes).rst());
    let sent = plan.poll_sent(MS).unwrap();
    assert!(flags(&sent.to_vec()).rst());
    assert_eq!(sent.meta.len, sent.to_vec().len());
    assert!(plan.poll_sent(MS).is_none() && plan.next_sent().is_none());
}
