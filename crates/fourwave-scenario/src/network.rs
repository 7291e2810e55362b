//! What the network does to chosen segments: it loses them, or keeps a copy that comes out
//! later.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use fourwave_wire::SeqNum;
use fourwave_wire::ip::IpHeader;
use fourwave_wire::tcp::TcpHeader;

/// A segment in the middle of the network.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) header: TcpHeader,
    pub(crate) len: usize,
    /// It acknowledges the receiver's FIN.
    pub(crate) acks_fin: bool,
    /// Its sender's FIN was seen before, or is in it.
    pub(crate) after_fin: bool,
}

impl Segment {
    /// Reads a packet; `None` for what is no TCP.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let ip = IpHeader::parse(packet).ok()?;
        let (header, payload) = TcpHeader::parse(packet.get(ip.payload)?).ok()?;
        Some(Self {
            from: (ip.src, header.src_port).into(),
            to: (ip.dst, header.dst_port).into(),
            header,
            len: payload.len(),
            acks_fin: false,
            after_fin: false,
        })
    }

    /// It comes from a server.
    pub(crate) fn is_from_server(&self) -> bool {
        self.from.port() == crate::world::PORT
    }

    /// It carries a FIN.
    pub(crate) fn is_fin(&self) -> bool {
        self.header.flags.fin()
    }

    /// The fourth wave: nothing but the ACK of the other end's FIN, from an end that has sent its
    /// own.
    pub(crate) fn is_last_ack(&self) -> bool {
        let bare = self.len == 0 && !self.is_fin() && !self.header.flags.rst();
        bare && self.acks_fin && self.after_fin
    }
}

/// What becomes of a segment, with a word for the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    Deliver(Option<&'static str>),
    Lose,
}

impl Passage {
    /// What the ladder says about it.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Deliver(word) => word,
            Self::Lose => None,
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Lose,
    Copy,
}

/// Does `act` to the first `left` segments that match.
struct Rule {
    matches: fn(&Segment) -> bool,
    act: Act,
    left: u32,
    word: &'static str,
}

/// The network's whims, all of them chosen by a scenario.
#[derive(Default)]
pub(crate) struct Network {
    rules: Vec<Rule>,
    copies: Vec<Bytes>,
    /// Behind each direction's FIN.
    fins: HashMap<(SocketAddr, SocketAddr), SeqNum>,
    /// TSval of the SYNs, in order.
    pub(crate) syn_timestamps: Vec<u32>,
}

impl Network {
    /// The first `times` segments that match are lost.
    pub(crate) fn lose(&mut self, times: u32, matches: fn(&Segment) -> bool) {
        self.rules.push(Rule { matches, act: Act::Lose, left: times, word: "" });
    }

    /// The first segment that matches is delivered, and a copy of it stays in the network.
    pub(crate) fn copy(&mut self, matches: fn(&Segment) -> bool, word: &'static str) {
        self.rules.push(Rule { matches, act: Act::Copy, left: 1, word });
    }

    /// The copies that stayed in the network.
    pub(crate) fn take_copies(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.copies)
    }

    /// What becomes of a segment.
    pub(crate) fn decide(&mut self, segment: &Segment, packet: &Bytes) -> Passage {
        let (header, way) = (&segment.header, (segment.from, segment.to));
        if header.flags.syn() {
            // A new incarnation knows nothing of the old one's FIN.
            self.fins.remove(&way);
            if let (Some(timestamps), false) = (header.options.timestamps, header.flags.ack()) {
                self.syn_timestamps.push(timestamps.value);
            }
        }
        if header.flags.fin() {
            self.fins.insert(way, header.seq + header.segment_len(segment.len));
        }
        let other = self.fins.get(&(segment.to, segment.from));
        let segment = Segment {
            acks_fin: header.flags.ack() && other.is_some_and(|&end| header.ack == end),
            after_fin: self.fins.contains_key(&way),
            ..segment.clone()
        };
        let rule = self.rules.iter_mut().find(|rule| rule.left > 0 && (rule.matches)(&segment));
        let Some(rule) = rule else { return Passage::Deliver(None) };
        rule.left -= 1;
        match rule.act {
            Act::Lose => Passage::Lose,
            Act::Copy => {
                self.copies.push(packet.clone());
                Passage::Deliver(Some(rule.word))
            }
        }
    }
}
