//! From a header and chunks to a packet for the device.

use alloc::vec::Vec;

use fourwave_wire::checksum::{Chunks, Sum};
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::tcp::{CHECKSUM_OFFSET, TcpHeader};
use fourwave_wire::{GsoKind, Link, TxChecksum, TxMeta, TxPacket};

use crate::demux::FourTuple;

/// Time to live of what we send (RFC 9293 §3.9.2.2 leaves it to us; Linux's default).
const TTL: u8 = 64;

/// Completes `out`, whose payload is in place, with its headers and checksum; `ecn` is what the IP
/// header says of ECN.
pub(crate) fn finish(
    tuple: &FourTuple,
    header: &TcpHeader,
    gso_size: u16,
    ecn: u8,
    link: &Link,
    out: &mut TxPacket,
) {
    let payload_len = out.payload_len();
    let (local, remote) = (tuple.local(), tuple.remote());
    let (src, dst) = (local.ip(), remote.ip());
    let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: TTL, ecn };
    let segment_len = header.emitted_len() + payload_len;
    out.header.clear();
    ip.emit(segment_len, &mut out.header);
    let start = out.header.len();
    header.emit(&mut out.header);
    let sum =
        Sum::default().with_pseudo_header(local.ip(), remote.ip(), protocol::TCP, segment_len);
    let field = start + CHECKSUM_OFFSET;
    let checksum = if link.checksum_offload {
        write_sum(&mut out.header, field, sum.folded());
        TxChecksum::Partial { start: start as u16, offset: CHECKSUM_OFFSET as u16 }
    } else {
        let mut chunks = Chunks::new(sum.with(&out.header[start..]));
        for chunk in &out.payload {
            chunks = chunks.with(chunk);
        }
        write_sum(&mut out.header, field, chunks.sum().finish());
        TxChecksum::Complete
    };
    out.meta = TxMeta {
        len: out.header.len() + payload_len,
        gso_size,
        gso_kind: if gso_size > 0 { GsoKind::Tcp } else { GsoKind::None },
        header_len: out.header.len() as u16,
        checksum,
    };
}

fn write_sum(header: &mut [u8], at: usize, sum: [u8; 2]) {
    if let Some(field) = header.get_mut(at..at + 2) {
        field.copy_from_slice(&sum);
    }
}

/// A finished packet as it is.
pub(crate) fn raw(packet: Vec<u8>, out: &mut TxPacket) {
    out.header = packet;
    let len = out.header.len();
    out.meta = TxMeta { len, header_len: len as u16, ..TxMeta::default() };
}
