//! Accurate ECN (RFC 9768), both roles.

#[path = "../bench/mod.rs"]
mod bench;
mod feedback;
mod handshake;
#[path = "../pair/mod.rs"]
mod pair;
mod path;

use bench::{Bench, IRS, PEER, Sent, US, config};
use fourwave_core::time::Duration;
use fourwave_core::{AccEcnInfo, ConnId, TcpInfo};
use fourwave_net::segment;
use fourwave_wire::ip::IpHeader;
use fourwave_wire::options::{AccEcn, TcpOptions, Timestamps};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, RxChecksum, SeqNum, WindowScale};
use pair::text;

pub(crate) const MSS: usize = 1000;
pub(crate) const ACK: Flags = Flags::ACK;
pub(crate) const SYN: Flags = Flags::SYN;

pub(crate) fn ace(value: u8) -> Flags {
    Flags::from_ace(value)
}

/// What the peer's segments carry beside their flags.
#[derive(Clone, Copy, Default)]
pub(crate) struct With {
    pub(crate) codepoint: u8,
    pub(crate) option: Option<AccEcn>,
    pub(crate) stamp: u32,
    pub(crate) sack: Option<(u32, u32)>,
}

/// A segment of the peer.
pub(crate) fn arrives(
    bench: &mut Bench,
    flags: Flags,
    seq: u32,
    ack: u32,
    payload: &[u8],
    with: With,
) {
    let mut options = TcpOptions::default();
    if flags.syn() {
        options.mss = Some(if bench.timestamps { MSS + 12 } else { MSS } as u16 + 12);
        options.window_scale = Some(WindowScale::new(7));
        options.sack_permitted = bench.sack;
    }
    if bench.timestamps {
        options.timestamps = Some(Timestamps { value: with.stamp, echo: 0 });
    }
    options.acc_ecn = with.option;
    if let Some((from, to)) = with.sack {
        options.sack.push(bench.iss + from, bench.iss + to);
    }
    let header = TcpHeader {
        seq: SeqNum::new(IRS) + seq,
        ack: bench.iss + ack,
        flags,
        window: RawWindow(bench.window),
        options,
        ..TcpHeader::default()
    };
    let mut packet = segment(PEER.parse().unwrap(), US.parse().unwrap(), header, payload);
    let mut bytes = packet.bytes.to_vec();
    bytes[1] |= with.codepoint;
    (packet.bytes, packet.checksum) = (bytes.into(), RxChecksum::Trusted);
    assert!(bench.engine.handle_packet(bench.now, &packet));
}

/// An ACK alone.
pub(crate) fn acks(bench: &mut Bench, value: u8, ack: u32) {
    arrives(bench, ACK | ace(value), 1, ack, b"", With::default());
}

pub(crate) fn aces(sent: &[Sent]) -> Vec<u8> {
    sent.iter().map(|sent| sent.header.flags.ace()).collect()
}

pub(crate) fn listening(settings: &[(&str, &str)]) -> Bench {
    let mut all = vec![("tcp_ecn", "5"), ("tcp_congestion_control", "reno")];
    all.extend([("tcp_early_retrans", "0")]);
    all.extend(settings);
    let mut bench = Bench::new(config(&all));
    (bench.sack, bench.window) = (true, 60_000);
    bench
}

/// The SYN ACK that answers a SYN.
pub(crate) fn answered(bench: &mut Bench, value: u8, codepoint: u8) -> Sent {
    arrives(bench, SYN | ace(value), 0, 0, b"", With { codepoint, ..With::default() });
    let syn_ack = bench.one();
    bench.iss = syn_ack.header.seq;
    syn_ack
}

pub(crate) fn accept(bench: &mut Bench) -> ConnId {
    bench.engine.accept(bench.now, bench.listener).expect("accepted").conn
}

/// An open connection of a listener, its handshake's last ACK as it should be.
pub(crate) fn open_with(settings: &[(&str, &str)]) -> (Bench, ConnId) {
    let mut bench = listening(settings);
    answered(&mut bench, 7, 0);
    bench.pass(Duration::from_millis(50));
    acks(&mut bench, 2, 1);
    let conn = accept(&mut bench);
    (bench, conn)
}

pub(crate) fn write(bench: &mut Bench, conn: ConnId, bytes: usize) {
    let mut data = text(bytes).into();
    assert_eq!(bench.engine.send(bench.now, conn, &mut data).unwrap(), bytes);
}

pub(crate) fn info(bench: &Bench, conn: ConnId) -> TcpInfo {
    bench.engine.info(conn).unwrap()
}

pub(crate) fn accecn(bench: &Bench, conn: ConnId) -> AccEcnInfo {
    info(bench, conn).acc_ecn.unwrap()
}

/// The codepoints of what is sent.
pub(crate) fn codepoints(bench: &mut Bench) -> Vec<u8> {
    bench.packets().iter().map(|packet| IpHeader::parse(packet).unwrap().ecn).collect()
}

/// A connection of the engine's; what its SYN said.
pub(crate) fn connect_with(settings: &[(&str, &str)]) -> (Bench, ConnId, Sent) {
    let mut all = vec![("tcp_ecn", "3"), ("tcp_congestion_control", "reno")];
    all.extend([("tcp_early_retrans", "0")]);
    all.extend(settings);
    let mut bench = Bench::new(config(&all));
    (bench.sack, bench.window) = (true, 60_000);
    let (local, remote) = (US.parse().unwrap(), PEER.parse().unwrap());
    let conn = bench.engine.connect(bench.now, local, remote).unwrap();
    let syn = bench.one();
    bench.iss = syn.header.seq;
    (bench, conn, syn)
}
