//! What the link carries: packets as they would be on a wire, cut out of the kernel's
//! super-packets without copying their payload, and joined again as a network card does it.

use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use bytes::Bytes;
use fourwave_fault::Faultable;
use fourwave_linux::vnet::VnetHeader;
use fourwave_wire::checksum::{Sum, complete_checksum};
use fourwave_wire::ip::protocol;
use fourwave_wire::tcp::{CHECKSUM_OFFSET, Flags};

/// The longest headers of IPv4 and TCP.
const MAX_HEADERS: usize = 120;
const MIN_HEADER: usize = 20;
/// `VIRTIO_NET_HDR_F_NEEDS_CSUM` and `VIRTIO_NET_HDR_GSO_TCPV4`.
const NEEDS_CSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;
/// Packets that are joined at most, and bytes of the packet that comes out.
const MAX_JOINED: usize = 62;
const MAX_TOTAL: usize = 65_535;
/// Where TCP keeps sequence number and flags.
const SEQ_AT: usize = 4;
const FLAGS_AT: usize = 13;
const PSH: u8 = Flags::PSH.bits();
const FIN: u8 = Flags::FIN.bits();
const CWR: u8 = Flags::CWR.bits();

/// One packet on the link: an IPv4 packet of TCP with its headers apart, or any other as it came.
#[derive(Clone)]
pub(crate) struct Piece {
    headers: [u8; MAX_HEADERS],
    /// 0 for a packet that is not TCP over IPv4.
    headers_len: usize,
    /// Where the TCP header starts.
    tcp: usize,
    /// Whether the checksum is left to whoever receives it.
    partial: bool,
    payload: Bytes,
}

/// Where the headers of an unfragmented IPv4 packet of TCP end: IP's and TCP's.
fn headers(packet: &[u8]) -> Option<(usize, usize)> {
    let ip = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff;
    let is_tcp = packet[0] >> 4 == 4 && *packet.get(9)? == protocol::TCP && fragment == 0;
    if !is_tcp || ip < MIN_HEADER || total != packet.len() {
        return None;
    }
    let tcp = usize::from(packet.get(ip + 12)? >> 4) * 4;
    let end = ip + tcp;
    (tcp >= MIN_HEADER && end <= packet.len()).then_some((ip, end))
}

/// Cuts what was read from a TUN into packets of the link, in order. `vnet` is its header.
pub(crate) fn cut(vnet: &VnetHeader, packet: &Bytes, mut each: impl FnMut(Piece)) {
    let Some((tcp, end)) = headers(packet) else {
        return each(Piece::whole(packet, vnet.flags & NEEDS_CSUM != 0));
    };
    let mut piece = Piece {
        headers: [0; MAX_HEADERS],
        headers_len: end,
        tcp,
        partial: vnet.flags & NEEDS_CSUM != 0,
        payload: Bytes::new(),
    };
    piece.headers[..end].copy_from_slice(&packet[..end]);
    let len = packet.len() - end;
    let size = match usize::from(vnet.rx_gso_size()) {
        0 => len,
        size => size,
    };
    if len <= size {
        // Without payload nothing of the buffer is held.
        piece.payload = if len == 0 { Bytes::new() } else { packet.slice(end..) };
        return each(piece);
    }
    let (first_seq, first_id) = (piece.seq(), piece.id());
    let flags = piece.flags();
    for (number, at) in (0..len).step_by(size).enumerate() {
        let take = size.min(len - at);
        let mut one = piece.clone();
        one.payload = packet.slice(end + at..end + at + take);
        one.set_seq(first_seq.wrapping_add(at as u32));
        one.headers[4..6].copy_from_slice(&first_id.wrapping_add(number as u16).to_be_bytes());
        let mut flags = flags;
        if at + take < len {
            flags &= !(PSH | FIN);
        }
        if number > 0 {
            flags &= !CWR;
        }
        one.headers[tcp + FLAGS_AT] = flags;
        one.finish_headers(take);
        each(one);
    }
}

impl Piece {
    /// A packet that the link does not look into.
    fn whole(packet: &Bytes, unfinished: bool) -> Self {
        let payload = if unfinished {
            let mut own = packet.to_vec();
            complete_checksum(&mut own);
            Bytes::from(own)
        } else {
            packet.clone()
        };
        Self { headers: [0; MAX_HEADERS], headers_len: 0, tcp: 0, partial: false, payload }
    }

    fn seq(&self) -> u32 {
        let at = self.tcp + SEQ_AT;
        let h = &self.headers;
        u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]])
    }

    fn set_seq(&mut self, seq: u32) {
        let at = self.tcp + SEQ_AT;
        self.headers[at..at + 4].copy_from_slice(&seq.to_be_bytes());
    }

    fn id(&self) -> u16 {
        u16::from_be_bytes([self.headers[4], self.headers[5]])
    }

    fn flags(&self) -> u8 {
        self.headers[self.tcp + FLAGS_AT]
    }

    /// Writes lengths and checksums for so much payload: IP's whole, TCP's of the pseudo-header.
    fn finish_headers(&mut self, payload: usize) {
        let total = self.headers_len + payload;
        let h = &mut self.headers;
        h[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        h[10..12].fill(0);
        let sum = Sum::default().with(&h[..self.tcp]).finish();
        h[10..12].copy_from_slice(&sum);
        let [src, dst] = [12, 16].map(|at| Ipv4Addr::new(h[at], h[at + 1], h[at + 2], h[at + 3]));
        let tcp_len = total - self.tcp;
        let pseudo =
            Sum::default().with_pseudo_header(src.into(), dst.into(), protocol::TCP, tcp_len);
        let field = self.tcp + CHECKSUM_OFFSET;
        h[field..field + 2].copy_from_slice(&pseudo.folded());
    }

    /// The packet's bytes, its checksum finished.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = self.headers[..self.headers_len].to_vec();
        bytes.extend_from_slice(&self.payload);
        if self.partial {
            complete_checksum(&mut bytes);
        }
        bytes
    }

    /// Whether `next` has the same headers but for what counts on from packet to packet.
    fn is_like(&self, next: &Self) -> bool {
        let (tcp, end) = (self.tcp, self.headers_len);
        let same =
            |range: std::ops::Range<usize>| self.headers[range.clone()] == next.headers[range];
        (next.tcp, next.headers_len) == (tcp, end)
            && same(0..2)
            && same(6..10)
            && same(12..tcp + SEQ_AT)
            && same(tcp + 8..tcp + FLAGS_AT)
            && same(tcp + FLAGS_AT + 1..tcp + CHECKSUM_OFFSET)
            && same(tcp + CHECKSUM_OFFSET + 2..end)
    }
}

impl Faultable for Piece {
    fn wire_len(&self) -> usize {
        self.headers_len + self.payload.len()
    }

    fn head(&self) -> &[u8] {
        if self.headers_len == 0 { &self.payload } else { &self.headers[..self.headers_len] }
    }

    fn flip_bit(&mut self, bit: usize) -> bool {
        let mut bytes = self.to_vec();
        let flipped = bytes.flip_bit(bit);
        *self = Self::whole(&Bytes::from(bytes), false);
        flipped
    }
}

/// Packets on their way into a TUN: those that follow one another in one flow and leave at the
/// same moment become one super-packet, as a card's receive offload makes them.
#[derive(Default)]
pub(crate) struct Outlet {
    first: Option<Piece>,
    rest: Vec<Bytes>,
    payload: usize,
    next_seq: u32,
    /// Nothing joins any more: the last one was short or pushed.
    closed: bool,
    /// Packets that the kernel did not take.
    pub(crate) refused: u64,
}

impl Outlet {
    /// Takes a packet; what cannot be joined with it goes out first.
    pub(crate) fn put(&mut self, piece: Piece, fd: BorrowedFd<'_>) {
        if self.join(&piece) {
            return;
        }
        self.flush(fd);
        self.payload = piece.payload.len();
        self.next_seq = piece.seq_end();
        self.closed = !piece.may_join() || piece.flags() & PSH != 0;
        self.first = Some(piece);
    }

    fn join(&mut self, piece: &Piece) -> bool {
        let Some(first) = &mut self.first else { return false };
        let (size, len) = (first.payload.len(), piece.payload.len());
        if self.closed
            || !piece.may_join()
            || len > size
            || piece.seq() != self.next_seq
            || self.rest.len() + 1 >= MAX_JOINED
            || first.headers_len + self.payload + len > MAX_TOTAL
            || !first.is_like(piece)
        {
            return false;
        }
        let pushed = piece.flags() & PSH;
        first.headers[first.tcp + FLAGS_AT] |= pushed;
        self.closed = len < size || pushed != 0;
        self.payload += len;
        self.next_seq = self.next_seq.wrapping_add(len as u32);
        self.rest.push(piece.payload.clone());
        true
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, fd: BorrowedFd<'_>) {
        let Some(mut first) = self.first.take() else { return };
        let mut vnet = VnetHeader::default();
        if first.partial {
            vnet.flags = NEEDS_CSUM;
            vnet.csum_start = first.tcp as u16;
            vnet.csum_offset = CHECKSUM_OFFSET as u16;
        }
        if !self.rest.is_empty() {
            vnet.gso_type = GSO_TCPV4;
            vnet.hdr_len = first.headers_len as u16;
            vnet.gso_size = first.payload.len() as u16;
            first.finish_headers(self.payload);
        }
        let vnet = vnet.encode();
        let mut slices = [IoSlice::new(&[]); MAX_JOINED + 2];
        let parts = [&vnet[..], &first.headers[..first.headers_len], &first.payload[..]];
        let all = parts.into_iter().chain(self.rest.iter().map(|bytes| &bytes[..]));
        let count = slices.iter_mut().zip(all).map(|(place, part)| *place = IoSlice::new(part));
        let count = count.count();
        let written = loop {
            match rustix::io::writev(fd, &slices[..count]) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result.map_err(io::Error::from),
            }
        };
        self.refused += u64::from(written.is_err());
        self.rest.clear();
    }
}

impl Piece {
    /// Whether it is an ordinary segment with text, which a card would join with others.
    fn may_join(&self) -> bool {
        self.partial && !self.payload.is_empty() && self.flags() & !PSH == Flags::ACK.bits()
    }

    fn seq_end(&self) -> u32 {
        if self.headers_len == 0 { 0 } else { self.seq().wrapping_add(self.payload.len() as u32) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
