//! Headers, options, checksums and cutting under arbitrary bytes.

use fourwave_wire::checksum::{Chunks, Sum};
use fourwave_wire::icmp::{IcmpError, emit_error, parse_quoted_tcp};
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::segment::{segments, segments_of_received};
use fourwave_wire::tcp::{TcpHeader, verify_checksum};
use fourwave_wire::{RxChecksum, RxPacket};

/// What is parsed and written is parsed again to the same.
pub fn tcp_header(bytes: &[u8]) {
    if let Ok((header, payload)) = TcpHeader::parse(bytes) {
        assert!(payload.start >= 20 && payload.end == bytes.len());
        let mut written = Vec::new();
        let len = header.emit(&mut written);
        assert_eq!((len, len % 4), (written.len(), 0));
        assert_eq!(len, header.emitted_len());
        assert!(len <= 60, "a TCP header of {len} bytes");
        let (again, rest) = TcpHeader::parse(&written).unwrap_or_else(|e| panic!("{e:?}"));
        assert!(rest.is_empty());
        // Without padding more SACK blocks fit than with it.
        let (before, after) = (header.options.sack.as_slice(), again.options.sack.as_slice());
        assert!(before.starts_with(after));
        let mut cut = header;
        cut.options.sack = again.options.sack;
        assert_eq!(again, cut);
        assert!(header.segment_len(payload.len()) as usize - payload.len() <= 2);
    }
    checksums(bytes);
}

/// A sum does not depend on how its text is cut, and a flipped bit changes it.
fn checksums(bytes: &[u8]) {
    let whole = Sum::default().with(bytes).finish();
    let cut = bytes.first().map_or(0, |first| usize::from(*first) % bytes.len());
    let (a, b) = bytes.split_at(cut);
    let (b, c) = b.split_at(b.len() / 2);
    let parts = Chunks::default().with(a).with(b).with(c).sum();
    assert_eq!(parts.finish(), whole);
    if let Some(at) = bytes.len().checked_sub(1) {
        let mut flipped = bytes.to_vec();
        flipped[cut.min(at)] ^= 1 << (at % 8);
        assert_ne!(Sum::default().with(&flipped).finish(), whole);
    }
    let [a, b] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(std::net::IpAddr::from);
    if bytes.len() >= 20 {
        let mut segment = bytes.to_vec();
        segment[16..18].fill(0);
        let sum = Sum::default().with_pseudo_header(a, b, protocol::TCP, segment.len());
        let sum = sum.with(&segment).finish();
        segment[16..18].copy_from_slice(&sum);
        assert!(verify_checksum(a, b, &segment));
    }
}

/// IP and ICMP headers, and packets to be cut.
pub fn ip_icmp(bytes: &[u8]) {
    if let Ok(ip) = IpHeader::parse(bytes) {
        assert!(ip.payload.start <= ip.payload.end && ip.payload.end <= bytes.len());
        assert_eq!(ip.is_ipv6(), bytes[0] >> 4 == 6);
        if let Ok(quoted) = parse_quoted_tcp(&ip, bytes) {
            assert_eq!(quoted.src.0.is_ipv6(), quoted.dst.0.is_ipv6());
        }
        quote(&ip, bytes);
    }
    cut(bytes);
}

/// An error about a packet quotes what names its connection.
fn quote(ip: &IpHeader, bytes: &[u8]) {
    for error in [IcmpError::PortUnreachable, IcmpError::PacketTooBig { mtu: 1400 }] {
        let mut packet = Vec::new();
        emit_error(ip.dst, error, bytes, &mut packet);
        let outer = IpHeader::parse(&packet).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!((outer.src, outer.dst), (ip.dst, ip.src));
        if ip.protocol == protocol::TCP && ip.payload.len() >= 8 && ip.payload.start < 500 {
            let read = parse_quoted_tcp(&outer, &packet).unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!((read.error, read.src.0, read.dst.0), (error, ip.src, ip.dst));
        }
    }
}

/// The pieces of a packet are packets, and hold all of its payload.
fn cut(bytes: &[u8]) {
    let size = bytes.last().map_or(1, |last| u16::from(*last) * 5 + 1);
    if let Ok(pieces) = segments(bytes, size) {
        let mut payload = 0;
        for piece in pieces {
            let ip = IpHeader::parse(&piece).unwrap_or_else(|e| panic!("{e:?}"));
            if ip.protocol == protocol::TCP {
                let segment = &piece[ip.payload.clone()];
                assert!(verify_checksum(ip.src, ip.dst, segment));
                let (_, text) = TcpHeader::parse(segment).unwrap_or_else(|e| panic!("{e:?}"));
                assert!(text.len() <= usize::from(size));
                payload += text.len();
            }
        }
        let ip = IpHeader::parse(bytes).unwrap_or_else(|e| panic!("{e:?}"));
        if ip.protocol == protocol::TCP {
            let (_, text) =
                TcpHeader::parse(&bytes[ip.payload]).unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!(payload, text.len());
        }
    }
    let packet =
        RxPacket { bytes: bytes.to_vec().into(), gso_size: size, checksum: RxChecksum::Unverified };
    let _ = segments_of_received(packet);
}
