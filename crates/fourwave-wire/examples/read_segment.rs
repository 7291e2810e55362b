//! Writes a SYN and reads it back: `cargo run -p fourwave-wire --example read_segment [HEX]`
//! reads the IP packet that is given in hexadecimal instead.

use std::error::Error;
use std::net::Ipv4Addr;

use fourwave_wire::checksum::{checksum_is_right, complete_checksum};
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

/// A SYN as a host on Ethernet sends it.
fn syn() -> Vec<u8> {
    let header = TcpHeader {
        src_port: 40_000,
        dst_port: 80,
        seq: SeqNum::new(1_000),
        flags: Flags::SYN,
        window: RawWindow(64_240),
        options: TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() },
        ..TcpHeader::default()
    };
    let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
    let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 };
    let mut packet = Vec::new();
    ip.emit(header.emitted_len(), &mut packet);
    header.emit(&mut packet);
    complete_checksum(&mut packet);
    packet
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return Err("HEX is pairs of hexadecimal digits".into());
    }
    let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
    Ok((0..hex.len()).step_by(2).map(pair).collect::<Result<_, _>>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let packet = std::env::args().nth(1).map_or_else(|| Ok(syn()), |hex| bytes(&hex))?;
    let ip = IpHeader::parse(&packet)?;
    let segment = &packet[ip.payload.clone()];
    let (tcp, payload) = TcpHeader::parse(segment)?;
    println!("{}:{} > {}:{}", ip.src, tcp.src_port, ip.dst, tcp.dst_port);
    println!(
        "{} seq={} ack={} window={}",
        tcp.flags,
        tcp.seq.value(),
        tcp.ack.value(),
        tcp.window.0
    );
    println!("{:?}", tcp.options);
    println!("{} bytes of payload", segment[payload].len());
    println!("checksum {}", if checksum_is_right(&packet) { "right" } else { "wrong" });
    Ok(())
}
