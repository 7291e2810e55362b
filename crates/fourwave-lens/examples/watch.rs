//! `cargo run -p fourwave-lens --example watch` watches one connection that it makes and draws its
//! ladder.
//!
//! `-- FILE [PASSES]` watches a classic pcap file instead (Ethernet, raw IP or Linux cooked) and
//! prints one line for each connection: how it ended, segments retransmitted by kind, FINs, RSTs,
//! bytes, anomalies; with PASSES the file is watched that often and only the time for each packet
//! is printed.

use std::env;
use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use fourwave_lens::ladder::{self, LadderOptions};
use fourwave_lens::{ConnectionRecord, Lens, LensOptions, Names, Role};
use fourwave_wire::checksum::complete_checksum;
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

/// Packets of the file: time, bytes kept, bytes on the wire.
type Packets = Vec<(Duration, Vec<u8>, usize)>;

fn read(file: &[u8]) -> Result<Packets, Box<dyn Error>> {
    let word =
        |at: usize| file.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let scale = match word(0) {
        Some(0xa1b2_c3d4) => 1000,
        Some(0xa1b2_3c4d) => 1,
        _ => return Err("no little-endian pcap file".into()),
    };
    let skip = match word(20) {
        Some(1) => 14,
        Some(101) => 0,
        Some(113) => 16,
        Some(276) => 20,
        other => return Err(format!("link type {other:?} is not known").into()),
    };
    let (mut at, mut packets) = (24, Vec::new());
    while let (Some(s), Some(sub), Some(kept), Some(len)) =
        (word(at), word(at + 4), word(at + 8), word(at + 12))
    {
        let time = Duration::new(s.into(), sub * scale);
        let Some(packet) = file.get(at + 16 + skip..at + 16 + kept as usize) else { break };
        packets.push((time, packet.to_vec(), len as usize - skip));
        at += 16 + kept as usize;
    }
    Ok(packets)
}

/// A connection from its SYN to the last ACK of the four-way close, a packet each 10 ms.
fn four_waves() -> Packets {
    let hosts = [(Ipv4Addr::new(192, 0, 2, 1), 40_000), (Ipv4Addr::new(192, 0, 2, 2), 80)];
    let (ack, fin) = (Flags::ACK, Flags::FIN | Flags::ACK);
    // Who sends, its flags, sequence and acknowledgement number, its payload.
    let segments: [(usize, Flags, u32, u32, &[u8]); 9] = [
        (0, Flags::SYN, 0, 0, b""),
        (1, Flags::SYN | ack, 0, 1, b""),
        (0, ack, 1, 1, b""),
        (0, ack | Flags::PSH, 1, 1, b"hello"),
        (1, ack, 1, 6, b""),
        (0, fin, 6, 1, b""),
        (1, ack, 1, 7, b""),
        (1, fin, 1, 7, b""),
        (0, ack, 7, 2, b""),
    ];
    let packet = |(number, (from, flags, seq, ack, payload)): (u64, (usize, _, _, _, &[u8]))| {
        let ((src, src_port), (dst, dst_port)) = (hosts[from], hosts[1 - from]);
        let (seq, ack) = (SeqNum::new(seq), SeqNum::new(ack));
        let window = RawWindow(64_240);
        let header =
            TcpHeader { src_port, dst_port, seq, ack, flags, window, ..TcpHeader::default() };
        let (src, dst) = (src.into(), dst.into());
        let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 };
        let mut packet = Vec::new();
        ip.emit(header.emitted_len() + payload.len(), &mut packet);
        header.emit(&mut packet);
        packet.extend_from_slice(payload);
        complete_checksum(&mut packet);
        let len = packet.len();
        (Duration::from_millis(10 * number), packet, len)
    };
    (0..).zip(segments).map(packet).collect()
}

fn watch(packets: &Packets, options: LensOptions) -> Vec<ConnectionRecord> {
    let mut lens = Lens::new(options);
    let mut records = Vec::new();
    for (at, packet, wire_len) in packets {
        let _ = lens.observe(*at, packet, *wire_len, 0);
        records.extend(std::iter::from_fn(|| lens.poll_record()));
    }
    lens.finish(packets.last().map_or(Duration::ZERO, |last| last.0));
    records.extend(std::iter::from_fn(|| lens.poll_record()));
    records
}

fn line(record: &ConnectionRecord) -> String {
    let mut out = format!("{} {} {}", record.conn, record.addrs[0], record.how.name());
    let Some(metrics) = &record.metrics else { return out };
    for who in Role::BOTH {
        let end = &metrics.ends[who.index()];
        let sent = end.retransmissions;
        out.push_str(&format!(
            " | {} retransmitted={} (syn {} fin {} fast {} timeout {} spurious {}) ooo={} \
             dup={} fins={} rsts={} payload={} rtt={:?} flight={} zero={}",
            who.name(),
            sent.total(),
            sent.syn,
            sent.fin,
            sent.fast,
            sent.timeout,
            sent.spurious,
            end.out_of_order,
            end.dup_acks,
            end.fins,
            end.rsts,
            end.payload,
            end.rtt.mean(),
            end.max_in_flight,
            end.zero_windows,
        ));
    }
    for anomaly in &record.anomalies {
        let sentence = anomaly.sentence(record, &Names::default());
        out.push_str(&format!(
            "\n    {}: {sentence} {:?}",
            anomaly.kind.name(),
            anomaly.proof.packets()
        ));
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let options =
        LensOptions { metrics: true, settle: Duration::from_secs(60), ..LensOptions::default() };
    let Some(file) = args.next() else {
        for record in watch(&four_waves(), options) {
            print!("{}", ladder::render(&record, &LadderOptions::default()));
        }
        return Ok(());
    };
    let packets = read(&std::fs::read(file)?)?;
    let Some(passes) = args.next() else {
        for record in watch(&packets, options) {
            println!("{}", line(&record));
        }
        return Ok(());
    };
    let passes: u32 = passes.parse()?;
    for metrics in [false, true] {
        let start = Instant::now();
        for _ in 0..passes {
            std::hint::black_box(watch(&packets, LensOptions { metrics, ..options }));
        }
        let nanos = start.elapsed().as_nanos() / (u128::from(passes) * packets.len() as u128);
        println!("{} packets, measure {metrics}: {nanos} ns each", packets.len());
    }
    Ok(())
}
