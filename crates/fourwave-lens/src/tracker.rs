//! One direction's sequence numbers, as an observer between the ends can know them.

use std::net::SocketAddr;

use fourwave_core::state::{Input, State, next};
use fourwave_wire::{SeqNum, WindowScale};

use crate::entry::Move;
use crate::segment::Segment;
use crate::words::Place;

/// Gaps that are remembered for each direction; of more, the oldest are forgotten.
const MAX_HOLES: usize = 64;
/// Numbers beyond the window that are still believed: the onlooker may have missed segments.
const SLACK: u32 = 1 << 17;
/// Segments outside of the window that follow each other before they are believed: the onlooker
/// has missed more than a window.
const FOLLOWING: u8 = 3;

/// What an onlooker knows of one end: its state and what it has sent.
#[derive(Clone, Debug)]
pub(crate) struct SequenceTracker {
    pub(crate) addr: SocketAddr,
    pub(crate) state: State,
    /// A change since the current entry began.
    pub(crate) moved: Option<Move>,
    /// SND.NXT as far as seen, and its relative number. `None` before the first segment.
    sent: Option<(SeqNum, u64)>,
    /// What would follow the last segment outside of the window, and how many led to it.
    astray: Option<(SeqNum, u8)>,
    /// With this segment they were believed.
    pub(crate) caught_up: bool,
    /// Gaps in what was seen, oldest first, `[start, end)`.
    holes: Vec<(SeqNum, SeqNum)>,
    /// What was seen to be lost behind here, and has not come again.
    lost: Vec<(SeqNum, SeqNum)>,
    /// The sequence number of its first SYN.
    pub(crate) isn: Option<SeqNum>,
    /// It has sent a SYN ACK.
    pub(crate) syn_acked: bool,
    /// The sequence number of its FIN.
    pub(crate) fin: Option<SeqNum>,
    /// The number of its first FIN, also of one that came after the end: no byte has it.
    fin_number: Option<SeqNum>,
    /// The highest acknowledgement it sent.
    pub(crate) ack: Option<SeqNum>,
    scale: Option<WindowScale>,
    /// The window it said last, in bytes.
    pub(crate) window: u32,
    /// The largest window it ever said.
    max_window: u32,
    /// The TTLs of its segments, RSTs left out: the smallest and the largest.
    ttl: Option<(u8, u8)>,
    pub(crate) segments: u64,
    pub(crate) retransmitted: u64,
    /// Retransmissions since the other end answered last.
    pub(crate) retransmissions_unanswered: u32,
    /// Keepalive probes since the other end answered last.
    pub(crate) probes_unanswered: u32,
    pub(crate) fin_retransmissions: u32,
    /// Numbers that the other end acknowledged and that were never seen.
    pub(crate) unseen: u64,
}

impl SequenceTracker {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            state: State::Closed,
            moved: None,
            sent: None,
            astray: None,
            caught_up: false,
            holes: Vec::new(),
            lost: Vec::new(),
            isn: None,
            syn_acked: false,
            fin: None,
            fin_number: None,
            ack: None,
            scale: None,
            window: 0,
            max_window: 0,
            ttl: None,
            segments: 0,
            retransmitted: 0,
            retransmissions_unanswered: 0,
            probes_unanswered: 0,
            fin_retransmissions: 0,
            unseen: 0,
        }
    }

    /// Feeds the shared table; false, and nothing changed, where it has no such entry.
    pub(crate) fn feed(&mut self, input: Input) -> bool {
        match next(self.state, input) {
            Ok(to) => {
                self.set(to);
                true
            }
            Err(_) => false,
        }
    }

    /// Puts the state where the evidence says it is.
    pub(crate) fn set(&mut self, to: State) {
        if to != self.state {
            let from = self.moved.map_or(self.state, |moved| moved.from);
            self.moved = Some(Move { from, to });
            self.state = to;
        }
    }

    /// The highest number sent and what follows it; `None` before the first segment.
    pub(crate) fn next(&self) -> Option<SeqNum> {
        self.sent.map(|(next, _)| next)
    }

    /// `seq` relative to the first number of this direction; unwrapped beyond 4 GiB.
    pub(crate) fn relative(&self, seq: SeqNum) -> u64 {
        let Some((next, relative)) = self.sent else { return 0 };
        let offset = i64::from(seq.since(next) as i32);
        relative.saturating_add_signed(offset)
    }

    /// Bytes of the stream seen so far, each counted once.
    pub(crate) fn bytes(&self) -> u64 {
        let Some((next, relative)) = self.sent else { return 0 };
        let fin = self.fin_number.is_some_and(|fin| next.after(fin));
        relative.saturating_sub(1 + u64::from(fin))
    }

    /// Bytes of the stream that `ack` (the other end's highest) covers.
    pub(crate) fn bytes_acked(&self, ack: Option<SeqNum>) -> u64 {
        let (Some(ack), Some((next, _))) = (ack, self.sent) else { return 0 };
        let ack = if ack.after(next) { next } else { ack };
        let fin = self.fin_number.is_some_and(|fin| ack.after(fin));
        self.relative(ack).saturating_sub(1 + u64::from(fin))
    }

    /// Nothing is missing before this direction's highest number.
    pub(crate) fn is_whole(&self) -> bool {
        self.holes.is_empty() && self.lost.is_empty()
    }

    /// The text of `segment` never arrives.
    pub(crate) fn loses(&mut self, segment: &Segment) {
        let start = segment.tcp.seq;
        if segment.len > 0 && !segment.tcp.flags.rst() && self.lost.len() < MAX_HOLES {
            self.lost.push((start, start + segment.len));
        }
    }

    /// `segment` arrives: what was lost of its numbers is there now.
    pub(crate) fn arrives(&mut self, segment: &Segment) {
        let (start, end) = (segment.tcp.seq, segment.end());
        if segment.len > 0 && !self.lost.is_empty() {
            let rest = std::mem::take(&mut self.lost).into_iter().flat_map(|(from, to)| {
                // What is left before it and behind it.
                let before = (from, if to.after(start) { start } else { to });
                let behind = (if from.before(end) { end } else { from }, to);
                [before, behind].into_iter().filter(|(from, to)| from.before(*to))
            });
            self.lost = rest.collect();
        }
    }

    /// Whether `ack` is a number that this end can have sent, given the other end's window.
    pub(crate) fn can_have_sent(&self, ack: SeqNum, peer: &Self) -> bool {
        self.sent.is_none_or(|(next, _)| {
            !ack.after(next + peer.max_window.max(u32::from(u16::MAX)).saturating_add(SLACK))
        })
    }

    /// The other end acknowledged `ack`, beyond all that was seen: it was sent unseen.
    pub(crate) fn catch_up(&mut self, ack: SeqNum) {
        if let Some((next, relative)) = &mut self.sent
            && ack.after(*next)
        {
            let unseen = u64::from(ack.since(*next));
            *relative += unseen;
            self.unseen += unseen;
            *next = ack;
        }
        let unseen = &mut self.unseen;
        self.holes.retain(|&(start, end)| {
            let stays = end.after(ack);
            *unseen += if stays { 0 } else { u64::from(end.since(start)) };
            stays
        });
        self.lost.retain(|&(_, end)| end.after(ack));
    }

    /// The other end acknowledges `ack` before this one was seen: that is byte number 1.
    pub(crate) fn base_from_ack(&mut self, ack: SeqNum) {
        self.sent.get_or_insert((ack, 1));
    }

    /// Where the numbers of `segment` lie; remembers them. `peer` is the receiving end.
    pub(crate) fn place(&mut self, segment: &Segment, peer: &Self) -> Place {
        let (seq, len) = (segment.tcp.seq, segment.seq_len());
        let fin = segment.tcp.flags.fin().then(|| segment.end() - 1);
        let Some((next, relative)) = self.sent else {
            self.fin_number = fin;
            // The first byte behind the SYN is number 1, whether the SYN was seen or not.
            let first = u64::from(!segment.tcp.flags.syn());
            self.sent = Some((seq + len, first + u64::from(len)));
            return Place::InOrder;
        };
        let offset = seq.since(next) as i32;
        let reach = peer.max_window.max(u32::from(u16::MAX)).saturating_add(SLACK);
        if i64::from(offset) > i64::from(reach) || offset < -(1 << 30) {
            if !self.follows(segment, reach) {
                return Place::Outside;
            }
            // The gap may be longer than what is ahead on the ring.
            self.caught_up = true;
            self.sent = Some((seq, relative + u64::from(seq.since(next))));
            self.holes.clear();
            self.open_hole(next, seq);
            let _ = self.place(segment, peer);
            return Place::Ahead;
        }
        self.astray = None;
        // An RST does not take part: its number is often another one's (RFC 9293 §3.10.7.1).
        if segment.tcp.flags.rst() {
            return Place::InOrder;
        }
        self.fin_number = self.fin_number.or(fin);
        let end = seq + len;
        if end.after(next) {
            self.sent = Some((end, relative + u64::from(end.since(next))));
        }
        match offset {
            0 => Place::InOrder,
            1.. => {
                self.open_hole(next, seq);
                if len == 0 {
                    self.sent = Some((seq, relative + u64::from(seq.since(next))));
                }
                Place::Ahead
            }
            _ if end.after(next) || len == 0 => Place::InOrder,
            _ if self.fill_hole(seq, end) => Place::OutOfOrder,
            _ => Place::Retransmitted,
        }
    }

    /// A segment outside of the window; true when it is one of several that follow each other.
    fn follows(&mut self, segment: &Segment, reach: u32) -> bool {
        if segment.tcp.flags.rst() || segment.tcp.flags.syn() {
            return false;
        }
        let before = match self.astray {
            // Pure ACKs all have the same number: they follow too.
            Some((next, n)) if segment.tcp.seq.since(next) <= reach => n,
            _ => 0,
        };
        self.astray = Some((segment.end(), before + 1));
        if before < FOLLOWING {
            return false;
        }
        self.astray = None;
        true
    }

    fn open_hole(&mut self, start: SeqNum, end: SeqNum) {
        if self.holes.len() == MAX_HOLES {
            self.holes.remove(0);
        }
        self.holes.push((start, end));
    }

    /// Takes `[start, end)` out of the gaps; false when it touches none.
    fn fill_hole(&mut self, start: SeqNum, end: SeqNum) -> bool {
        let Some(i) = self.holes.iter().position(|h| start.before(h.1) && end.after(h.0)) else {
            return false;
        };
        let (from, to) = self.holes.remove(i);
        if end.before(to) {
            self.holes.insert(i, (end, to));
        }
        if start.after(from) && self.holes.len() < MAX_HOLES {
            self.holes.insert(i, (from, start));
        }
        true
    }

    /// Remembers a SYN's window scale; it counts when both ends sent one.
    pub(crate) fn scale_from(&mut self, segment: &Segment) {
        self.scale = segment.tcp.options.window_scale;
    }

    /// The segment's window in bytes. The window of a SYN is never scaled (RFC 7323 §2.2).
    pub(crate) fn window_of(&self, segment: &Segment, peer: &Self) -> u32 {
        match (self.scale, peer.scale) {
            (Some(scale), Some(_)) if !segment.tcp.flags.syn() => {
                scale.to_bytes(segment.tcp.window)
            }
            _ => u32::from(segment.tcp.window.0),
        }
    }

    pub(crate) fn saw_ttl(&mut self, ttl: u8) {
        let (low, high) = self.ttl.unwrap_or((ttl, ttl));
        self.ttl = Some((low.min(ttl), high.max(ttl)));
    }

    /// A TTL that is clearly not that of this end's segments. Routes change by a hop or two.
    pub(crate) fn is_foreign_ttl(&self, ttl: u8) -> bool {
        const HOPS: u8 = 2;
        self.ttl.is_some_and(|(low, high)| {
            ttl < low.saturating_sub(HOPS) || ttl > high.saturating_add(HOPS)
        })
    }

    pub(crate) fn set_window(&mut self, window: u32) {
        self.window = window;
        self.max_window = self.max_window.max(window);
    }
}
