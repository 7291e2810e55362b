//! What faults need to know of one connection: its numbers, and how far its end has come.

use std::net::SocketAddr;

use bytes::Bytes;
use fourwave_wire::SeqNum;
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader};

use crate::spec::{Farewell, Side};
use fourwave_wire::checksum::complete_checksum;

/// A TCP segment.
pub(super) struct SeenSegment {
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    pub(super) tcp: TcpHeader,
    /// Payload bytes.
    len: u32,
}

impl SeenSegment {
    /// Reads a packet of which at least the headers are there. `None` for all but whole TCP.
    pub(super) fn read(head: &[u8]) -> Option<Self> {
        let ip = IpHeader::parse_truncated(head).ok()?;
        if ip.protocol != protocol::TCP {
            return None;
        }
        let kept = head.get(ip.payload.start..ip.payload.end.min(head.len()))?;
        let (tcp, payload) = TcpHeader::parse(kept).ok()?;
        let len = ip.payload.len().checked_sub(payload.start)?;
        Some(Self {
            src: SocketAddr::new(ip.src, tcp.src_port),
            dst: SocketAddr::new(ip.dst, tcp.dst_port),
            tcp,
            len: u32::try_from(len).ok()?,
        })
    }

    /// The program's address and its peer's, when `from` sends this.
    pub(super) fn ends(&self, from: Side) -> [SocketAddr; 2] {
        match from {
            Side::Program => [self.src, self.dst],
            Side::Peer => [self.dst, self.src],
        }
    }

    /// The number after its payload, where a FIN stands.
    fn data_end(&self) -> SeqNum {
        self.tcp.seq + u32::from(self.tcp.flags.syn()) + self.len
    }

    /// The number after the segment's last.
    pub(super) fn end(&self) -> SeqNum {
        self.data_end() + u32::from(self.tcp.flags.fin())
    }

    fn acknowledges(&self, seq: Option<SeqNum>) -> bool {
        self.tcp.flags.ack() && seq.is_some_and(|seq| self.tcp.ack.after(seq))
    }
}

/// What one side has sent, whether it arrived or not.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    isn: Option<SeqNum>,
    /// Behind the last byte of payload.
    data_end: Option<SeqNum>,
    /// Payload, what was sent again not counted.
    bytes: u64,
    fin: Option<SeqNum>,
    /// The highest number that it has acknowledged.
    ack: Option<SeqNum>,
    /// It has acknowledged the other side's FIN, and did so before or with its own.
    heard: bool,
    heard_first: bool,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    sent: [Sent; 2],
    /// It was reset by a fault: nothing passes any more.
    pub(super) is_reset: bool,
    /// An RST passed.
    was_reset: bool,
}

impl Flow {
    /// Whether `segment` opens another connection than this one.
    pub(super) fn is_other(&self, from: Side, segment: &SeenSegment) -> bool {
        let flags = segment.tcp.flags;
        flags.syn()
            && !flags.ack()
            && self.sent[from.index()].isn.is_some_and(|i| i != segment.tcp.seq)
    }

    /// Remembers a segment, and says what it is to the connection's end.
    pub(super) fn observe(&mut self, from: Side, segment: &SeenSegment) -> Option<Farewell> {
        let peer_fin = self.sent[from.other().index()].fin;
        let own = &mut self.sent[from.index()];
        let flags = segment.tcp.flags;
        if flags.rst() {
            self.was_reset = true;
            return None;
        }
        if flags.syn() {
            own.isn = Some(segment.tcp.seq);
        }
        let end = segment.data_end();
        match own.data_end {
            Some(before) if end.after(before) => {
                own.bytes += u64::from(end.since(before));
                own.data_end = Some(end);
            }
            Some(_) => {}
            None => own.data_end = Some(end),
        }
        if flags.ack() && own.ack.is_none_or(|before| segment.tcp.ack.after(before)) {
            own.ack = Some(segment.tcp.ack);
        }
        let hears = segment.acknowledges(peer_fin);
        own.heard |= hears;
        own.heard_first |= hears && own.fin.is_none();
        if flags.fin() {
            own.fin.get_or_insert(end);
            return Some(Farewell::Fin);
        }
        let last = hears && own.fin.is_some() && !own.heard_first && !flags.syn();
        last.then_some(Farewell::LastAck)
    }

    /// Whether a segment says or acknowledges what its sender had not yet.
    pub(super) fn is_news(&self, from: Side, segment: &SeenSegment) -> bool {
        let acknowledges = segment.tcp.flags.ack()
            && self.sent[from.index()].ack.is_none_or(|before| segment.tcp.ack.after(before));
        acknowledges || segment.end().after(self.next(from))
    }

    /// Both sides have said their SYN.
    pub(super) fn is_open(&self) -> bool {
        self.sent.iter().all(|sent| sent.isn.is_some())
    }

    /// Nothing but repetitions can come, or only what is swallowed.
    pub(super) fn is_over(&self) -> bool {
        self.is_reset || self.was_reset || self.sent.iter().all(|sent| sent.heard)
    }

    /// Payload sent by one side, or by both.
    pub(super) fn bytes(&self, from: Option<Side>) -> u64 {
        match from {
            Some(side) => self.sent[side.index()].bytes,
            None => self.sent.iter().map(|sent| sent.bytes).sum(),
        }
    }

    /// The number after all that a side has sent.
    pub(super) fn next(&self, side: Side) -> SeqNum {
        let sent = &self.sent[side.index()];
        sent.fin.map(|fin| fin + 1).or(sent.data_end).unwrap_or_default()
    }
}

/// An RST, checksums finished.
pub(super) fn rst(src: SocketAddr, dst: SocketAddr, seq: SeqNum, ack: SeqNum) -> Bytes {
    let tcp = TcpHeader {
        src_port: src.port(),
        dst_port: dst.port(),
        seq,
        ack,
        flags: Flags::RST | Flags::ACK,
        ..TcpHeader::default()
    };
    let ip = IpEmit { src: src.ip(), dst: dst.ip(), protocol: protocol::TCP, ttl: 64, ecn: 0 };
    let mut packet = Vec::with_capacity(ip.len() + tcp.emitted_len());
    ip.emit(tcp.emitted_len(), &mut packet);
    tcp.emit(&mut packet);
    complete_checksum(&mut packet);
    packet.into()
}
