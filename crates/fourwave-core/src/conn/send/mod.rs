//! The sending direction: what is queued, what is on its way, what the peer lets us send.

mod queue;

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use fourwave_wire::{RawWindow, SeqNum, WindowScale};

pub(crate) use queue::SendQueue;

/// Pushed segments of a flight that are remembered.
const MOST_PUSHES: usize = 64;

/// How far our FIN has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fin {
    /// The application may send more.
    Open,
    /// The application has closed; the FIN waits for the peer's, or its time.
    Held,
    /// To go out behind the last byte.
    Queued,
    /// On its way.
    Sent,
    /// The peer has it.
    Acknowledged,
}

/// Numbers of what is queued that mean something.
#[derive(Clone, Debug, Default, Hash)]
pub(in crate::conn) struct Marks {
    /// Behind which bytes a record ends (`MSG_EOR`): no segment reaches over it.
    records: VecDeque<SeqNum>,
    /// Segments that went out with PSH, by their ends, other than the one that ends at `pushed`:
    /// sent again they carry it again. Those of one flight, and a bounded number of them.
    pushes: VecDeque<SeqNum>,
}

/// The sending direction of a connection (the SND variables of RFC 9293 §3.3.1).
#[derive(Debug, Clone)]
pub(crate) struct SendSide {
    /// Bytes from the first unacknowledged one on.
    pub(crate) queue: SendQueue,
    pub(crate) fin: Fin,
    /// It went out with text before it.
    pub(crate) fin_rides: bool,
    /// ISS.
    pub(crate) iss: SeqNum,
    /// SND.UNA.
    pub(crate) una: SeqNum,
    /// SND.NXT: behind everything ever sent.
    pub(crate) nxt: SeqNum,
    /// SND.WND in bytes.
    pub(crate) window: u32,
    /// SND.WL1.
    pub(crate) wl1: SeqNum,
    /// SND.WL2.
    pub(crate) wl2: SeqNum,
    /// The largest window the peer ever offered (RFC 9293 §3.8.6.2.1, RFC 5961 §5.2).
    pub(crate) max_window: u32,
    /// Payload bytes of a full segment, options in use taken off.
    pub(crate) mss: u32,
    /// The peer's shift.
    pub(crate) scale: WindowScale,
    /// No Nagle.
    pub(crate) nodelay: bool,
    /// A segment that is not full waits.
    pub(crate) cork: bool,
    /// More follows what is queued: it is not pushed.
    pub(crate) more: bool,
    /// Behind the last byte that was pushed: the segment that ends there carries PSH.
    pub(crate) pushed: SeqNum,
    /// It waits as under `cork` too, until the next ACK.
    pub(crate) more_waits: bool,
    /// SND.SML: behind the last segment that was sent and not full (Minshall's Nagle).
    pub(crate) small_end: SeqNum,
    /// Where no segment reaches over, and what goes out again with PSH; most connections have none.
    pub(in crate::conn) marks: Option<Box<Marks>>,
    /// The application was told that there is no room.
    pub(crate) starved: bool,
}

impl SendSide {
    pub(crate) fn new(iss: SeqNum, mss: u32) -> Self {
        Self {
            queue: SendQueue::default(),
            fin: Fin::Open,
            fin_rides: false,
            iss,
            una: iss,
            nxt: iss,
            window: 0,
            wl1: SeqNum::new(0),
            wl2: SeqNum::new(0),
            max_window: 0,
            mss,
            scale: WindowScale::default(),
            nodelay: false,
            cork: false,
            more: false,
            pushed: iss + 1,
            more_waits: false,
            small_end: iss,
            marks: None,
            starved: false,
        }
    }

    /// Our SYN is acknowledged.
    pub(crate) fn syn_acknowledged(&self) -> bool {
        self.una != self.iss
    }

    /// The sequence number of the queue's front.
    pub(crate) fn data_start(&self) -> SeqNum {
        if self.syn_acknowledged() { self.una } else { self.iss + 1 }
    }

    /// The sequence number behind the queue's last byte: our FIN's, once there is one.
    pub(crate) fn data_end(&self) -> SeqNum {
        self.data_start() + self.queue.len()
    }

    /// Bytes that were never sent. After our FIN nothing is left.
    pub(crate) fn unsent(&self) -> u32 {
        if self.nxt.before(self.data_start()) {
            return self.queue.len();
        }
        let end = self.data_end();
        if self.nxt.after(end) { 0 } else { end.since(self.nxt) }
    }

    /// Whether a segment that was not full is on its way.
    pub(crate) fn small_is_out(&self) -> bool {
        self.small_end.after(self.una) && self.small_end.at_or_before(self.nxt)
    }

    /// What is queued is pushed (RFC 9293 §3.9.1.2), unless all of it has gone out.
    pub(crate) fn push(&mut self) {
        if self.unsent() == 0 {
            return;
        }
        let before = self.pushed;
        self.pushed = self.data_end();
        if before.after(self.una) && before.at_or_before(self.nxt) {
            self.note_push(before);
        }
    }

    /// The segment that ends at `end` went out with PSH.
    pub(crate) fn note_push(&mut self, end: SeqNum) {
        if end == self.pushed {
            return;
        }
        let pushes = &mut self.marks.get_or_insert_default().pushes;
        // In order, and no more memory than that for a flood of small writes.
        if pushes.back().is_none_or(|last| last.before(end)) && pushes.len() < MOST_PUSHES {
            pushes.push_back(end);
        }
    }

    /// Whether the segment that ends at `end` carries PSH. O(log of those in flight).
    pub(crate) fn is_pushed(&self, end: SeqNum) -> bool {
        let is_there = |pushes: &VecDeque<SeqNum>| {
            let at = pushes.partition_point(|push| push.before(end));
            pushes.get(at) == Some(&end)
        };
        end == self.pushed || self.marks.as_ref().is_some_and(|marks| is_there(&marks.pushes))
    }

    /// A part of a write was queued; `is_end` when nothing follows it soon. As in Linux, the end is
    /// pushed, and on the way there what is more than half of the largest window that the peer
    /// offered: it may have room for no more until it has read that.
    pub(crate) fn push_written(&mut self, is_end: bool) {
        let is_forced = self.data_end().since(self.pushed) > self.max_window / 2;
        if is_forced || (is_end && !self.more) {
            self.push();
        }
    }

    /// What is queued ends a record. An end that is there already, or of nothing, is none.
    pub(crate) fn end_record(&mut self) {
        let end = self.data_end();
        let known = self.marks.as_ref().and_then(|marks| marks.records.back().copied());
        if self.queue.is_empty() || known == Some(end) {
            return;
        }
        self.marks.get_or_insert_default().records.push_back(end);
    }

    /// Forgets the ends of records and of pushed segments that are acknowledged: kept for 2³¹
    /// bytes, they would lie ahead again. Amortised O(1).
    pub(crate) fn forget_records(&mut self) {
        let una = self.una;
        let Some(marks) = self.marks.as_deref_mut() else { return };
        for ends in [&mut marks.records, &mut marks.pushes] {
            while ends.front().is_some_and(|end| end.at_or_before(una)) {
                ends.pop_front();
            }
        }
        self.marks.take_if(|marks| marks.records.is_empty() && marks.pushes.is_empty());
    }

    /// Bytes from `seq` to the end of its record; `u32::MAX` when no end is known. O(log records
    /// that are queued), of which there are none where nobody marks them.
    pub(crate) fn record_room(&self, seq: SeqNum) -> u32 {
        let Some(Marks { records, .. }) = self.marks.as_deref() else { return u32::MAX };
        let next = records.partition_point(|end| end.at_or_before(seq));
        records.get(next).map_or(u32::MAX, |end| end.since(seq))
    }

    /// A segment that is not full is held back, whatever Nagle says.
    pub(crate) fn holds_back(&self) -> bool {
        (self.cork || self.more_waits) && self.fin == Fin::Open
    }

    /// Our FIN is to go out and has not yet.
    pub(crate) fn fin_waits(&self) -> bool {
        self.fin == Fin::Queued
    }

    /// Sequence numbers on their way.
    pub(crate) fn outstanding(&self) -> u32 {
        self.nxt.since(self.una)
    }

    /// Whether everything, SYN and FIN included, is acknowledged.
    pub(crate) fn drained(&self) -> bool {
        self.una == self.nxt && self.queue.is_empty() && !self.fin_waits()
    }

    /// Takes the peer's window from a segment whose ACK is acceptable (RFC 9293 §3.10.7.4).
    /// Whether it changed.
    pub(crate) fn update_window(&mut self, seq: SeqNum, ack: SeqNum, raw: RawWindow) -> bool {
        // The window counts from SEG.ACK: when that moves SND.UNA, the window before it, counted
        // from there, would reach further than the peer ever promised. Linux does so too.
        let newer = ack.after(self.una)
            || self.wl1.before(seq)
            || (self.wl1 == seq && self.wl2.at_or_before(ack));
        if !newer {
            return false;
        }
        let window = self.scale.to_bytes(raw);
        let changed = window != self.window;
        self.wl1 = seq;
        self.wl2 = ack;
        self.window = window;
        self.max_window = self.max_window.max(window);
        changed
    }

    /// Sequence numbers of text and FIN on their way; a SYN is not counted.
    pub(crate) fn text_outstanding(&self) -> u32 {
        let start = self.data_start();
        if self.nxt.after(start) { self.nxt.since(start) } else { 0 }
    }

    /// Bytes beyond SND.NXT that the peer's window has room for.
    pub(crate) fn window_room(&self) -> u32 {
        let edge = self.data_start() + self.window;
        if self.nxt.before(edge) { edge.since(self.nxt) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn ends_of_records_are_few_and_forgotten_once_acknowledged() {
        let iss = SeqNum::new(u32::MAX - 3);
        let mut snd = SendSide::new(iss, 1000);
        snd.end_record();
        assert!(snd.marks.is_none(), "the end of nothing");
        snd.una = iss + 1;
        snd.nxt = snd.una;
        for _ in 0..3 {
            snd.queue.push(Bytes::from_static(b"record"));
            for _ in 0..100 {
                snd.end_record();
            }
        }
        let ends = snd.marks.as_ref().map(|marks| marks.records.len());
        assert_eq!(ends, Some(3));
        let room = |snd: &SendSide, at: u32| snd.record_room(iss + 1 + at);
        assert_eq!([0, 5, 6, 17, 18].map(|at| room(&snd, at)), [6, 1, 6, 1, u32::MAX]);
        snd.una += 12;
        snd.forget_records();
        assert_eq!(room(&snd, 12), 6);
        snd.una += 6;
        snd.forget_records();
        assert!(snd.marks.is_none());
    }

    #[test]
    fn pushed_segments_are_few_and_forgotten_once_acknowledged() {
        let iss = SeqNum::new(u32::MAX - 3);
        let mut snd = SendSide::new(iss, 1000);
        snd.una = iss + 1;
        snd.nxt = snd.una;
        for _ in 0..100 {
            snd.queue.push(Bytes::from_static(b"word"));
            snd.push();
            snd.nxt = snd.data_end();
        }
        let is_pushed = |snd: &SendSide, at: u32| snd.is_pushed(iss + 1 + at);
        assert_eq!(
            [4, 5, 8, 256, 260, 400].map(|at| is_pushed(&snd, at)),
            [true, false, true, true, false, true]
        );
        snd.una += 255;
        snd.forget_records();
        assert_eq!([8, 256].map(|at| is_pushed(&snd, at)), [false, true]);
        snd.una += 1;
        snd.forget_records();
        assert!(snd.marks.is_none());
    }

    #[test]
    fn a_write_is_pushed_at_its_end_and_beyond_half_the_window() {
        let iss = SeqNum::new(u32::MAX - 3);
        let mut snd = SendSide::new(iss, 1000);
        snd.una = iss + 1;
        snd.nxt = snd.una;
        snd.max_window = 10_000;
        let mut pushed_after = |len: usize, is_end: bool, more: bool| {
            snd.more = more;
            snd.queue.push(Bytes::from(alloc::vec![0; len]));
            snd.push_written(is_end);
            snd.pushed.since(iss + 1)
        };
        assert_eq!(pushed_after(5000, false, false), 0);
        assert_eq!(pushed_after(1, false, false), 5001);
        assert_eq!(pushed_after(5000, false, false), 5001);
        assert_eq!(pushed_after(10, true, false), 10_011);
        assert_eq!(pushed_after(5000, true, true), 10_011);
        assert_eq!(pushed_after(1, true, true), 15_012);
    }
}
