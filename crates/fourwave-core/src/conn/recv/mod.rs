//! The receiving direction: what arrived, what is read, what the peer may send.

mod ack;
mod autotune;
mod reassembly;

use alloc::collections::VecDeque;
use core::ops::Range;

use bytes::Bytes;
use fourwave_wire::options::SackBlocks;
use fourwave_wire::{RawWindow, SeqNum, WindowScale};

use crate::half_open::SYN_WINDOW;
use crate::memory::PIECE;
use crate::time::{Duration, Instant};
use ack::Acks;
use autotune::Autotune;
pub(crate) use reassembly::Insertion;
use reassembly::Reassembly;

/// Units of the window's scale that a buffer holds at least.
const LEAST_UNITS: u32 = 4;
/// No FIN seen.
const NO_FIN: u64 = u64::MAX;

/// The receiving direction of a connection (the RCV variables of RFC 9293 §3.3.1).
#[derive(Debug, Clone, Hash)]
pub(crate) struct ReceiveSide {
    /// IRS.
    pub(crate) irs: SeqNum,
    /// RCV.NXT.
    pub(crate) nxt: SeqNum,
    /// The right edge that was last advertised: RCV.NXT + RCV.WND. It never moves left.
    edge: SeqNum,
    /// A window at the field's limit is as large as the room (`tcp_rcv_wnd_beyond`).
    pub(crate) beyond: bool,
    /// The largest window that was ever advertised.
    most_advertised: u32,
    /// Our shift.
    pub(crate) scale: WindowScale,
    /// The largest segment that the peer sends.
    pub(crate) mss: u32,
    queue: VecDeque<Bytes>,
    unread: u32,
    reassembly: Reassembly,
    /// Sequence numbers that arrived twice, as first and length, for the next ACK (RFC 2883).
    duplicate: (SeqNum, u32),
    /// Stream offset of RCV.NXT, the FIN not counted.
    offset: u64,
    /// Stream offset of the peer's FIN.
    fin_at: u64,
    /// The peer's FIN was received in order.
    pub(crate) finished: bool,
    buffer: u32,
    autotune: Autotune,
    pub(crate) acks: Acks,
    /// A mark arrived: each ACK says ECE until the peer says CWR (RFC 3168 §6.1.3).
    pub(crate) echoes: bool,
    /// Text that is ECN-capable arrived.
    pub(crate) ecn_seen: bool,
    /// Last.ACK.sent (RFC 7323 §4.3).
    pub(crate) last_ack_sent: SeqNum,
}

impl ReceiveSide {
    pub(crate) fn new(irs: SeqNum, buffer: u32, now: Instant) -> Self {
        Self {
            irs,
            nxt: irs + 1,
            edge: irs + 1,
            beyond: false,
            most_advertised: 0,
            scale: WindowScale::default(),
            mss: 536,
            queue: VecDeque::new(),
            unread: 0,
            reassembly: Reassembly::default(),
            duplicate: (irs, 0),
            offset: 0,
            fin_at: NO_FIN,
            finished: false,
            buffer,
            autotune: Autotune::new(now),
            acks: Acks::new(),
            echoes: false,
            ecn_seen: false,
            last_ack_sent: irs + 1,
        }
    }

    /// The handshake agreed on a scale. A buffer holds some of its units: with less than one, no
    /// window could be told.
    pub(crate) fn scale_by(&mut self, scale: WindowScale) {
        self.scale = scale;
        self.buffer = self.buffer.max(LEAST_UNITS << scale.shift());
    }

    /// The peer's SYN arrived on an active open: its numbers start here.
    pub(crate) fn synchronize(&mut self, irs: SeqNum) {
        self.irs = irs;
        self.nxt = irs + 1;
        self.edge = self.nxt + self.held(RawWindow(u16::MAX), self.buffer).min(self.buffer);
        self.last_ack_sent = self.nxt;
    }

    /// RCV.WND: bytes beyond RCV.NXT that were promised.
    pub(crate) fn window(&self) -> u32 {
        if self.nxt.before(self.edge) { self.edge.since(self.nxt) } else { 0 }
    }

    /// A window was advertised by other means (a half-open record's SYN ACK).
    pub(crate) fn advertised(&mut self, window: u32) {
        self.edge = self.edge.later(self.nxt + window);
    }

    /// The window that a field stands for, of a room of `bytes`.
    fn held(&self, raw: RawWindow, bytes: u32) -> u32 {
        let told = self.scale.to_bytes(raw);
        if self.beyond && raw.0 == u16::MAX { told.max(bytes) } else { told }
    }

    /// Room in the buffer.
    fn room(&self) -> u32 {
        self.buffer.saturating_sub(self.unread).saturating_sub(self.reassembly.bytes() as u32)
    }

    /// The window that the next segment would advertise, in bytes: what is promised stays
    /// promised, and it opens only by steps worth a segment (RFC 9293 §3.8.6.2.2) and in units
    /// of the scale.
    fn next_window(&self, cap: u32) -> u32 {
        let promised = self.window();
        // Out-of-order bytes lie inside the promised window: counting them would shrink it.
        let room = (self.room() + self.reassembly.bytes() as u32).min(cap);
        let told = self.held(self.scale.to_raw(room), room);
        let step = self.mss.min(self.buffer / 2);
        // The room counts, not what the field can tell of it: a window at the field's limit stays
        // there while the buffer has more.
        // At the field's limit no window is a silly one.
        let follows = self.beyond && self.scale.to_raw(room).0 == u16::MAX;
        if follows || room >= promised.saturating_add(step) { told.max(promised) } else { promised }
    }

    /// The window field for a segment that goes out now; remembers what it promises. What is
    /// left of a promise may lie between two of the scale's units. It is rounded up where there
    /// is room; else down, which takes nothing back (RFC 7323 §2.4: bytes up to the edge are
    /// still taken). Always up, a peer of small segments would never see the window close. It opens
    /// no further than to `cap`.
    pub(crate) fn advertise(&mut self, cap: u32) -> RawWindow {
        let window = self.next_window(cap);
        let above = self.scale.to_raw(window.saturating_add((1 << self.scale.shift()) - 1));
        let fits = self.scale.to_bytes(above) <= self.room().min(cap).max(window);
        let raw = if fits { above } else { self.scale.to_raw(window) };
        let bytes = self.held(raw, window);
        self.most_advertised = self.most_advertised.max(bytes);
        self.edge = self.edge.later(self.nxt + bytes);
        self.last_ack_sent = self.nxt;
        self.acks.sent();
        raw
    }

    /// The same right edge, told by an ACK of no more than what came before `seq`.
    pub(crate) fn advertise_from(&mut self, seq: SeqNum) -> RawWindow {
        self.last_ack_sent = seq;
        self.scale.to_raw(self.edge.since(seq))
    }

    /// Whether the window has opened so far since it was last advertised that the peer should
    /// hear of it without waiting for the next ACK.
    pub(crate) fn window_update_due(&self, cap: u32) -> bool {
        // What was never advertised is not missed: growth rides on the ACKs of data.
        let restored = self.next_window(cap).min(self.most_advertised.max(SYN_WINDOW));
        let gain = restored.saturating_sub(self.window());
        gain > 0 && (gain >= self.buffer / 4 || (self.window() < self.mss && gain >= self.mss))
    }

    /// Stream offset of a sequence number at or after RCV.NXT.
    fn offset_of(&self, seq: SeqNum) -> u64 {
        self.offset + u64::from(seq.since(self.nxt))
    }

    /// Takes data that starts at RCV.NXT. Returns the numbers that were there already, kept out of
    /// order.
    pub(crate) fn accept(&mut self, data: Bytes) -> Range<SeqNum> {
        let (start, nxt) = (self.offset, self.nxt);
        let mut known = start..start;
        let len = data.len() as u32;
        self.nxt += len;
        self.offset += u64::from(len);
        self.unread += len;
        self.queue.push_back(data);
        while let Some(data) = self.reassembly.take(self.offset, &mut known) {
            self.nxt += data.len() as u32;
            self.offset += data.len() as u64;
            self.unread += data.len() as u32;
            self.queue.push_back(data);
        }
        nxt + (known.start - start) as u32..nxt + (known.end - start) as u32
    }

    /// Keeps data that starts behind RCV.NXT, where no more than `limit` is kept with it. Also
    /// returns the numbers that were there already.
    pub(crate) fn keep(
        &mut self,
        seq: SeqNum,
        data: Bytes,
        limit: Option<usize>,
    ) -> (Insertion, Range<SeqNum>) {
        let limit = limit.unwrap_or(self.buffer.max(self.window()) as usize * 2);
        let mut known = self.offset..self.offset;
        let inserted = self.reassembly.insert(self.offset_of(seq), data, limit, &mut known);
        let at = |offset: u64| self.nxt + offset.wrapping_sub(self.offset) as u32;
        (inserted, at(known.start)..at(known.end))
    }

    /// `len` numbers from `seq` on arrived twice. What follows on a duplicate that is to be told
    /// already, a FIN behind its text, makes that longer.
    pub(crate) fn arrived_twice(&mut self, seq: SeqNum, len: u32) {
        let (start, told) = self.duplicate;
        self.duplicate = match told > 0 && start + told == seq {
            true => (start, told + len),
            false => (seq, len),
        };
    }

    /// What the next ACK names in its SACK option: the duplicate first (RFC 2883 §4), then what
    /// arrived behind a gap.
    pub(crate) fn sack_blocks(&mut self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let (seq, len) = core::mem::replace(&mut self.duplicate, (self.irs, 0));
        if len > 0 {
            blocks.push(seq, seq + len);
        }
        let at = |offset: u64| self.nxt + offset.wrapping_sub(self.offset) as u32;
        // The FIN's number is one of those that arrived, joined to the text before it.
        let mut fin = (self.fin_at != NO_FIN && self.fin_at > self.offset).then_some(self.fin_at);
        for block in self.reassembly.blocks().filter(|block| block.start > self.offset) {
            let joins = fin.take_if(|fin| *fin == block.end).is_some();
            blocks.push(at(block.start), at(block.end + u64::from(joins)));
        }
        if let Some(fin) = fin {
            blocks.push(at(fin), at(fin + 1));
        }
        blocks
    }

    /// Remembers where the peer's FIN stands. Whether it was there already.
    pub(crate) fn fin_seen(&mut self, seq: SeqNum) -> bool {
        let at = self.offset_of(seq);
        if self.fin_at == NO_FIN {
            self.fin_at = at;
            return false;
        }
        self.fin_at == at
    }

    /// Whether everything before the peer's FIN has arrived and the FIN was not taken yet.
    pub(crate) fn fin_reached(&self) -> bool {
        !self.finished && self.fin_at <= self.offset
    }

    /// Takes the FIN: RCV.NXT moves over it.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.nxt += 1;
        self.edge = self.edge.later(self.nxt);
        self.duplicate.1 = 0;
        self.reassembly.clear();
    }

    /// Whether a gap keeps data waiting.
    pub(crate) fn has_gap(&self) -> bool {
        !self.reassembly.is_empty()
    }

    /// `TCP_QUICKACK`: as in Linux, only the ACK of what was read goes out at once.
    pub(crate) fn quicken(&mut self, on: bool) {
        self.acks.quicken(on, self.unread == 0);
    }

    /// Bytes that wait to be read.
    pub(crate) fn unread(&self) -> u32 {
        self.unread
    }

    /// Bytes that wait to be read, and what their pieces cost.
    #[inline]
    pub(crate) fn cost_in_order(&self) -> u64 {
        u64::from(self.unread) + (self.queue.len() * PIECE) as u64
    }

    /// All that is held, and what its pieces cost.
    #[inline]
    pub(crate) fn cost(&self) -> u64 {
        self.cost_in_order() + self.reassembly.cost() as u64
    }

    /// Bytes received in order since the connection opened.
    pub(crate) fn received(&self) -> u64 {
        self.offset
    }

    /// The next bytes, at most `max`; `None` when there are none. Empties without memory left.
    pub(crate) fn read(&mut self, max: usize) -> Option<Bytes> {
        let front = self.queue.front_mut()?;
        let data = if front.len() > max {
            front.split_to(max)
        } else {
            self.queue.pop_front().unwrap_or_default()
        };
        self.unread -= data.len() as u32;
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(data)
    }

    /// The application took `n` bytes: the buffer may grow.
    pub(crate) fn grow(&mut self, now: Instant, n: u32, rtt: Duration, max: u32) {
        self.buffer = self.autotune.on_copied(now, n, rtt, self.buffer, max);
    }

    /// The buffer's size is the application's choice: at least some units of the scale.
    pub(crate) fn resize(&mut self, bytes: u32) {
        self.buffer = bytes.max(LEAST_UNITS << self.scale.shift());
    }

    /// Drops what arrived out of order: nobody will complete it.
    pub(crate) fn give_up(&mut self) {
        self.reassembly.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7323_2_3_a_window_may_be_larger_than_the_field_can_tell() {
        for (beyond, edge) in [(false, 65_535), (true, 65_700)] {
            let mut side = ReceiveSide::new(SeqNum::new(0), 65_700, Instant::ZERO);
            side.beyond = beyond;
            side.synchronize(SeqNum::new(0));
            assert_eq!(side.window(), edge);
            assert_eq!(side.advertise(u32::MAX), RawWindow(65_535));
            side.finish();
            assert_eq!(side.advertise(u32::MAX), RawWindow(if beyond { 65_535 } else { 65_534 }));
            assert_eq!(side.window(), if beyond { edge } else { edge - 1 });
        }
    }

    #[test]
    fn rfc9293_3_8_6_2_2_the_room_counts_not_what_the_field_can_tell_of_it() {
        let window_after_a_little = |buffer| {
            let mut side = ReceiveSide::new(SeqNum::new(0), buffer, Instant::ZERO);
            assert_eq!(side.advertise(u32::MAX), RawWindow(65_535));
            let _known = side.accept(Bytes::from_static(&[0; 100]));
            assert_eq!(side.read(100).map(|data| data.len()), Some(100));
            side.advertise(u32::MAX).0
        };
        assert_eq!(window_after_a_little(65_535), 65_435);
        assert_eq!(window_after_a_little(270_000), 65_535);
    }
}
