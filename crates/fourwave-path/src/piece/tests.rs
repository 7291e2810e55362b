use super::*;
use fourwave_wire::checksum::checksum_is_right;
use fourwave_wire::segment::segments;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

/// A packet of TCP over IPv4 as the kernel hands it to a TUN, its checksum left open.
pub(crate) fn packet(seq: u32, payload: usize, flags: u8) -> Bytes {
    let mut bytes = vec![0; 52 + payload];
    bytes[0] = 0x45;
    bytes[4..6].copy_from_slice(&77_u16.to_be_bytes());
    bytes[8] = 64;
    bytes[9] = protocol::TCP;
    bytes[12..20].copy_from_slice(&[10, 96, 0, 1, 10, 96, 0, 2]);
    bytes[24..28].copy_from_slice(&seq.to_be_bytes());
    bytes[32] = 8 << 4;
    bytes[33] = flags;
    // Timestamps, padded.
    bytes[40..44].copy_from_slice(&[1, 1, 8, 10]);
    bytes[52..].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8);
    let total = (bytes.len() as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&total);
    complete_checksum(&mut bytes);
    let sum = Sum::default().with(&bytes[..20]).finish();
    bytes[10..12].copy_from_slice(&sum);
    Bytes::from(bytes)
}

pub(crate) const OPEN: VnetHeader = VnetHeader {
    flags: NEEDS_CSUM,
    gso_type: 0,
    hdr_len: 0,
    gso_size: 0,
    csum_start: 20,
    csum_offset: 16,
};

fn cut_all(vnet: &VnetHeader, packet: &Bytes) -> Vec<Piece> {
    let mut pieces = Vec::new();
    cut(vnet, packet, |piece| pieces.push(piece));
    pieces
}

const ACK: u8 = 0x10;
const ECE_PSH_FIN: u8 = 0x49;

/// What comes out of an outlet: header and packet of each write.
fn joined(pieces: impl IntoIterator<Item = Piece>) -> Vec<(VnetHeader, Vec<u8>)> {
    let (to, from) = UnixDatagram::pair().unwrap();
    from.set_nonblocking(true).unwrap();
    let mut outlet = Outlet::default();
    let mut out = Vec::new();
    let mut read = || {
        let mut buffer = vec![0; 70_000];
        while let Ok(len) = from.recv(&mut buffer) {
            let header = VnetHeader::decode(buffer.first_chunk().unwrap());
            out.push((header, buffer[10..len].to_vec()));
        }
    };
    for piece in pieces {
        outlet.put(piece, to.as_fd());
        read();
    }
    outlet.flush(to.as_fd());
    read();
    assert_eq!(outlet.refused, 0);
    out
}

#[test]
fn a_super_packet_is_cut_as_the_kernel_cuts_it() {
    let whole = packet(u32::MAX - 2000, 5000, ACK | ECE_PSH_FIN | CWR);
    let vnet = VnetHeader { gso_type: GSO_TCPV4, gso_size: 1448, hdr_len: 52, ..OPEN };
    let pieces: Vec<_> = cut_all(&vnet, &whole).iter().map(Piece::to_vec).collect();
    let expected: Vec<_> = segments(&whole, 1448).unwrap().collect();
    assert_eq!(pieces, expected);
    assert!(pieces.iter().all(|piece| checksum_is_right(piece)));
}

#[test]
fn what_was_cut_is_joined_to_the_same_super_packet() {
    let whole = packet(1, 30_000, ACK | PSH);
    let vnet = VnetHeader { gso_type: GSO_TCPV4, gso_size: 1448, hdr_len: 52, ..OPEN };
    let out = joined(cut_all(&vnet, &whole));
    assert_eq!(out.len(), 1);
    let (header, mut bytes) = out[0].clone();
    assert_eq!((header.gso_type, header.gso_size, header.hdr_len), (GSO_TCPV4, 1448, 52));
    assert_eq!((header.flags, header.csum_start, header.csum_offset), (NEEDS_CSUM, 20, 16));
    complete_checksum(&mut bytes);
    assert_eq!(bytes, whole);
}

#[test]
fn only_what_follows_in_one_flow_is_joined() {
    let piece = |seq, len, flags| cut_all(&OPEN, &packet(seq, len, flags)).remove(0);
    let lens = |pieces: Vec<Piece>| -> Vec<usize> {
        joined(pieces).iter().map(|(_, bytes)| bytes.len() - 52).collect()
    };
    assert_eq!(lens(vec![piece(0, 100, ACK), piece(100, 100, ACK)]), [200]);
    assert_eq!(lens(vec![piece(0, 100, ACK), piece(200, 100, ACK)]), [100, 100], "a gap");
    assert_eq!(lens(vec![piece(100, 100, ACK), piece(0, 100, ACK)]), [100, 100], "reordered");
    assert_eq!(lens(vec![piece(0, 100, ACK), piece(100, 101, ACK)]), [100, 101], "larger");
    let short = vec![piece(0, 100, ACK), piece(100, 50, ACK), piece(150, 50, ACK)];
    assert_eq!(lens(short), [150, 50], "a short one is the last");
    assert_eq!(lens(vec![piece(0, 100, ACK | PSH), piece(100, 100, ACK)]), [100, 100]);
    assert_eq!(lens(vec![piece(0, 100, ACK), piece(100, 100, ACK | FIN)]), [100, 100]);
    assert_eq!(lens(vec![piece(0, 0, ACK), piece(0, 0, ACK)]), [0, 0], "bare ACKs stay alone");
    let mut other = piece(100, 100, ACK);
    other.headers[51] = 1;
    assert_eq!(lens(vec![piece(0, 100, ACK), other]), [100, 100], "another timestamp");
    let many = (0..100).map(|n| piece(n * 1448, 1448, ACK)).collect();
    let out = lens(many);
    assert_eq!(out.iter().sum::<usize>(), 144_800);
    assert!(out.iter().all(|len| len + 52 <= MAX_TOTAL), "{out:?}");
}

#[test]
fn what_is_not_tcp_passes_as_it_is() {
    let mut udp = packet(1, 100, ACK).to_vec();
    udp[9] = protocol::UDP;
    let mut fragment = packet(1, 100, ACK).to_vec();
    fragment[6] = 0x20;
    let six = vec![0x60; 60];
    for bytes in [udp, fragment, six, vec![0x45], vec![]] {
        let out = joined(cut_all(&VnetHeader::default(), &Bytes::from(bytes.clone())));
        assert_eq!(out, [(VnetHeader::default(), bytes)]);
    }
}

#[test]
fn a_flipped_bit_makes_the_checksum_wrong() {
    let mut piece = cut_all(&OPEN, &packet(1, 100, ACK)).remove(0);
    assert!(checksum_is_right(&piece.to_vec()));
    assert!(piece.flip_bit(8 * 100 + 3));
    assert!(!checksum_is_right(&piece.to_vec()));
    assert_eq!(piece.wire_len(), 152);
}
