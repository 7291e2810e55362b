//! What is sent becomes what is received.

use std::net::SocketAddr;

use fourwave_wire::checksum::complete_checksum;
use fourwave_wire::ip::{IpEmit, protocol};
use fourwave_wire::segment::segments;
use fourwave_wire::tcp::TcpHeader;
use fourwave_wire::{RxChecksum, RxPacket, TxChecksum, TxPacket};

/// How a link hands over what an engine sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// Super-packets whole. Partial checksums are finished, and the receiver verifies them all.
    #[default]
    Whole,
    /// Super-packets cut into segments, otherwise as [`Whole`](Self::Whole).
    Cut,
    /// Whole and as sent, partial checksums too: the link vouches for them, as one within a
    /// machine does.
    Trusted,
}

/// What the other end receives for `out`, in order. Copies every byte.
///
/// # Panics
/// `out` is no packet that an engine makes: its length is another one than it says, it is not TCP
/// where it has to be cut, or nothing where its checksum has to be finished.
pub fn convert(out: &TxPacket, carry: Carry) -> impl Iterator<Item = RxPacket> + use<> {
    let mut bytes = out.to_vec();
    assert_eq!(bytes.len(), out.meta.len, "a packet's length is wrong: {:?}", out.meta);
    let gso_size = out.meta.gso_size;
    let mut cut = Vec::new();
    let mut whole = None;
    if carry == Carry::Cut && gso_size > 0 {
        match segments(&bytes, gso_size) {
            Ok(pieces) => cut.extend(pieces),
            Err(error) => panic!("a packet that cannot be cut: {error}"),
        }
    } else {
        let checksum = match (carry, out.meta.checksum) {
            (Carry::Trusted, _) => RxChecksum::Trusted,
            (_, TxChecksum::Complete) => RxChecksum::Unverified,
            (_, TxChecksum::Partial { .. }) => {
                assert!(complete_checksum(&mut bytes), "a partial checksum of no protocol");
                RxChecksum::Unverified
            }
        };
        whole = Some(RxPacket { bytes: bytes.into(), gso_size, checksum });
    }
    let piece = |bytes: Vec<u8>| RxPacket { bytes: bytes.into(), ..RxPacket::default() };
    whole.into_iter().chain(cut.into_iter().map(piece))
}

/// A segment that no engine made: `header` with the ports of the two addresses, `payload`, and a
/// checksum that is right.
pub fn segment(
    from: SocketAddr,
    to: SocketAddr,
    mut header: TcpHeader,
    payload: &[u8],
) -> RxPacket {
    (header.src_port, header.dst_port) = (from.port(), to.port());
    let ip = IpEmit { src: from.ip(), dst: to.ip(), protocol: protocol::TCP, ttl: 64, ecn: 0 };
    let mut bytes = Vec::with_capacity(100 + payload.len());
    ip.emit(header.emitted_len() + payload.len(), &mut bytes);
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    complete_checksum(&mut bytes);
    RxPacket { bytes: bytes.into(), ..RxPacket::default() }
}
