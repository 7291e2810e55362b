//! Offloads done in software, for devices that have none.

use std::io;

use bytes::Bytes;
use fourwave_wire::checksum::Chunks;
use fourwave_wire::{GsoKind, TxChecksum, TxPacket, udp};

/// The packet with its checksum finished; `None` when it is finished as it stands. The payload
/// is summed but not copied.
///
/// # Errors
/// A super-packet (each segment has its own checksum: see `segment`), or a checksum field that
/// lies outside the header.
pub fn finish(packet: &TxPacket) -> io::Result<Option<TxPacket>> {
    let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if packet.meta.gso_kind != GsoKind::None {
        return invalid("a super-packet was sent to a device that cannot cut it");
    }
    let TxChecksum::Partial { start, offset } = packet.meta.checksum else { return Ok(None) };
    let mut finished = packet.clone();
    let (start, offset) = (usize::from(start), usize::from(offset));
    let Some(transport) = finished.header.get_mut(start..).filter(|t| t.len() >= offset + 2) else {
        return invalid("the checksum field lies outside the packet's header");
    };
    // The field holds the pseudo-header's sum, which so enters the total.
    let chunks = Chunks::default().with(transport);
    let sum = packet.payload.iter().fold(chunks, |sum, chunk: &Bytes| sum.with(chunk)).sum();
    let field = &mut transport[offset..offset + 2];
    field.copy_from_slice(&sum.finish_for(offset == udp::CHECKSUM_OFFSET));
    finished.meta.checksum = TxChecksum::Complete;
    Ok(Some(finished))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_wire::TxMeta;
    use fourwave_wire::checksum::{Sum, checksum_is_right, complete_checksum};
    use fourwave_wire::ip::{IpEmit, protocol};
    use fourwave_wire::tcp::{CHECKSUM_OFFSET, TcpHeader};
    use std::net::IpAddr;

    #[test]
    fn finishing_a_partial_checksum_equals_computing_it() {
        let addresses: [[IpAddr; 2]; 2] =
            [[[10, 4, 0, 1].into(), [10, 4, 0, 9].into()], [[0xfd04; 8].into(), [1; 8].into()]];
        for [src, dst] in addresses {
            for len in [0, 1, 2, 99, 1400] {
                let (mut whole, tcp) = (Vec::new(), TcpHeader::default());
                let segment = tcp.emitted_len() + len;
                let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 2 };
                ip.emit(segment, &mut whole);
                let start = whole.len();
                tcp.emit(&mut whole);
                let header_len = whole.len();
                whole.resize(header_len + len, 0xa5);
                let pseudo = Sum::default().with_pseudo_header(src, dst, protocol::TCP, segment);
                let field = start + CHECKSUM_OFFSET;
                whole[field..field + 2].copy_from_slice(&pseudo.folded());
                let (header, payload) = whole.split_at(header_len);
                let checksum = TxChecksum::Partial { start: start as u16, offset: 16 };
                let packet = TxPacket {
                    header: header.to_vec(),
                    payload: payload.chunks(7).map(Bytes::copy_from_slice).collect(),
                    meta: TxMeta { len: whole.len(), checksum, ..Default::default() },
                };
                let finished = finish(&packet).unwrap().expect("it was partial");
                assert!(checksum_is_right(&finished.to_vec()), "{src} {len}");
                assert!(finish(&finished).unwrap().is_none());
                complete_checksum(&mut whole);
                assert_eq!(finished.to_vec(), whole);
            }
        }
    }
}
