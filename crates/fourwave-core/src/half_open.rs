//! SYN_RECEIVED of a passive open: a record, not a connection, so that a flood of SYNs buys
//! little memory.

use alloc::boxed::Box;

use fourwave_wire::options::{FastOpen, TcpOptions, Timestamps};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

use crate::conn::accecn::{LONGEST, first_field, handshake};
use crate::conn::arrive::Segment;
use crate::conn::ecn::SynEcn;
use crate::demux::FourTuple;
use crate::event::ListenerId;
use crate::fifo::{Fifo, LinkTable, Links};
use crate::negotiated::{Ecn, Negotiated};
use crate::sender::INITIAL_RTO;
use crate::slab::Slab;
use crate::time::{Duration, Instant};
use crate::time_wait::TimeWaitState;

/// Retransmission timeouts double up to `INITIAL_RTO << (LANES - 1)`.
const LANES: usize = 8;
/// The largest window of a SYN ACK: 16 bits, which are never scaled.
pub(crate) const SYN_WINDOW: u32 = 65_535;

/// The window of a SYN ACK: what the buffer holds, in whole segments as Linux has it.
fn syn_window(buffer: u64, mss: u32) -> u16 {
    let mss = u64::from(mss.max(1));
    let whole = if buffer > mss { buffer / mss * mss } else { buffer };
    u16::try_from(whole).unwrap_or(u16::MAX)
}

/// How far the answer to a SYN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// The caller has not decided.
    Undecided,
    /// A SYN ACK is to go out.
    Due,
    /// It went out; the record stands in the queue of deadlines of this many retries.
    Sent,
}

/// A half-open connection.
#[derive(Clone, Debug, Hash)]
pub(crate) struct HalfOpen {
    pub(crate) tuple: FourTuple,
    pub(crate) listener: ListenerId,
    pub(crate) generation: u32,
    pub(crate) iss: SeqNum,
    pub(crate) irs: SeqNum,
    pub(crate) ts_recent: u32,
    pub(crate) opened: Instant,
    deadline: Instant,
    links: Links,
    snd_mss: u16,
    rcv_mss: u16,
    /// What our SYN ACK promises.
    window: u16,
    /// The peer's shift and ours, four bits each; `UNSCALED` without scaling.
    scales: u8,
    flags: u8,
    /// AccECN's (RFC 9768): `CODEPOINT`, `ACCURATE`, `KEPT`, `SILENT`; and above them the
    /// [`Answer`].
    accecn: u8,
    pub(crate) retries: u8,
    /// The TIME_WAIT that its SYN took over, which comes back if that was an old duplicate.
    pub(crate) reused: Option<Box<TimeWaitState>>,
}

/// In `scales`: no shift is as large.
const UNSCALED: u8 = 0xff;

/// The SYN asked for ECN (RFC 3168), and the answer agrees to it.
const ECN: u8 = 1;
/// In `accecn`: the codepoint of the last SYN; AccECN is agreed on; segments keep room for its
/// option; nothing may go out as ECN-capable.
const CODEPOINT: u8 = 3;
const ACCURATE: u8 = 4;
const KEPT: u8 = 8;
const SILENT: u8 = 16;
/// Where the answer stands.
const ANSWER_AT: u32 = 6;
const TIMESTAMPS: u8 = 2;
/// A SYN ACK went out more than once: Karn's rule.
const REPEATED: u8 = 4;
/// A challenge went out since the last SYN ACK.
const CHALLENGED: u8 = 8;
const SACK: u8 = 16;
/// The SYN asked for a Fast Open cookie, or had a wrong one.
const COOKIE: u8 = 32;
/// It did so in the experimental option.
const EXPERIMENTAL: u8 = 64;
/// The caller learned of the SYN and may hold its name.
const DEFERRED: u8 = 128;

impl HalfOpen {
    pub(crate) fn new(
        tuple: FourTuple,
        listener: ListenerId,
        options: Negotiated,
        numbers: (SeqNum, SeqNum),
        ts_recent: u32,
        deferred: bool,
        now: Instant,
    ) -> Self {
        let Negotiated { snd_mss, rcv_mss, snd_scale, rcv_scale, .. } = options;
        let Negotiated { scaling, timestamps, sack, ecn, kept, .. } = options;
        let (iss, irs) = numbers;
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let mut record = Self {
            tuple,
            listener,
            generation: 0,
            iss,
            irs,
            ts_recent,
            opened: now,
            deadline: Instant::NEVER,
            links: Links::default(),
            // An MSS comes from 16 bits.
            snd_mss: snd_mss as u16,
            rcv_mss: rcv_mss as u16,
            window: SYN_WINDOW as u16,
            scales: if scaling { (snd_scale.shift() << 4) | rcv_scale.shift() } else { UNSCALED },
            flags: flag(ecn == Ecn::Classic, ECN)
                | flag(timestamps, TIMESTAMPS)
                | flag(sack, SACK)
                | flag(deferred, DEFERRED),
            accecn: flag(ecn == Ecn::Accurate, ACCURATE) | flag(kept > 0, KEPT),
            retries: 0,
            reused: None,
        };
        record.set_answer(if deferred { Answer::Undecided } else { Answer::Due });
        record
    }

    /// How far its answer is.
    pub(crate) fn answer(&self) -> Answer {
        match self.accecn >> ANSWER_AT {
            0 => Answer::Undecided,
            1 => Answer::Due,
            _ => Answer::Sent,
        }
    }

    fn set_answer(&mut self, answer: Answer) {
        let rest = self.accecn & !(u8::MAX << ANSWER_AT);
        self.accecn = rest | (answer as u8) << ANSWER_AT;
    }

    /// Our SYN ACK promises what the buffer holds, and not more.
    pub(crate) fn promise(&mut self, buffer: u64) {
        self.window = syn_window(buffer, self.rcv_mss.into());
    }

    /// Whether the caller learned of the SYN, and may hold its name.
    pub(crate) fn is_deferred(&self) -> bool {
        self.flags & DEFERRED != 0
    }

    fn ecn(&self) -> Ecn {
        match (self.accecn & ACCURATE != 0, self.flags & ECN != 0) {
            (true, _) => Ecn::Accurate,
            (false, true) => Ecn::Classic,
            (false, false) => Ecn::None,
        }
    }

    /// The SYN came in a packet that said `codepoint`.
    pub(crate) fn note_syn(&mut self, codepoint: u8) {
        self.accecn = self.accecn & !CODEPOINT | codepoint & CODEPOINT;
    }

    /// The peer's SYN came again, and asks now for `ecn`. False where no answer would leave both
    /// ends with the same feedback (RFC 9768 §3.1.5).
    pub(crate) fn syn_again(&mut self, ecn: Ecn, segment: &Segment<'_>) -> bool {
        self.note_syn(segment.ecn);
        let asks = segment.header.flags.ace() != 0;
        match (self.ecn(), ecn) {
            (Ecn::Accurate, Ecn::Classic) | (Ecn::Classic, Ecn::Accurate) => return false,
            // It may have missed that AccECN is agreed on, and ended without ECN.
            (Ecn::Accurate, _) if !asks => self.accecn |= SILENT,
            // RFC 3168 §6.1.1: who sent a SYN that does not ask sends nothing that is ECN-capable.
            (Ecn::Classic, Ecn::None) => self.flags &= !ECN,
            _ => {}
        }
        true
    }

    /// A SYN ACK goes out now: the third one agrees to nothing, for it may have been that which was
    /// lost on the way (RFC 9768 §3.2.3.2.2).
    pub(crate) fn choose_ecn(&mut self) {
        if self.agrees_no_more() {
            self.accecn |= SILENT;
        }
    }

    fn agrees_no_more(&self) -> bool {
        self.ecn() == Ecn::Accurate && self.retries > 1
    }

    /// Whether its SYN ACK is to bring AccECN's option: the first one only (RFC 9768 §3.2.3.2.2).
    pub(crate) fn is_option_due(&self) -> bool {
        self.ecn() == Ecn::Accurate && self.flags & REPEATED == 0 && self.retries == 0
    }

    /// What a connection made of it takes over.
    pub(crate) fn syn_ecn(&self) -> SynEcn {
        SynEcn { codepoint: self.accecn & CODEPOINT, may_send: self.accecn & SILENT == 0 }
    }

    /// Its first SYN ACK is to bring a cookie, in an option of the kind of `asked`.
    pub(crate) fn promise_cookie(&mut self, asked: &FastOpen) {
        self.flags |= COOKIE | if asked.experimental { EXPERIMENTAL } else { 0 };
    }

    /// The kind of option in which a cookie is due.
    pub(crate) fn cookie_due(&self) -> Option<FastOpen> {
        let due = self.flags & COOKIE != 0 && self.flags & REPEATED == 0 && self.retries == 0;
        if due { FastOpen::new(&[], self.flags & EXPERIMENTAL != 0) } else { None }
    }

    pub(crate) fn options(&self) -> Negotiated {
        let scaling = self.scales != UNSCALED;
        let scales = if scaling { self.scales } else { 0 };
        let [snd, rcv] = [scales >> 4, scales & 15].map(fourwave_wire::WindowScale::new);
        Negotiated {
            snd_mss: self.snd_mss.into(),
            rcv_mss: self.rcv_mss.into(),
            snd_scale: snd,
            rcv_scale: rcv,
            scaling,
            timestamps: self.flags & TIMESTAMPS != 0,
            sack: self.flags & SACK != 0,
            ecn: self.ecn(),
            ect: self.ecn() != Ecn::None && self.accecn & SILENT == 0,
            kept: if self.accecn & KEPT != 0 { LONGEST as u8 } else { 0 },
        }
    }

    /// When the only SYN ACK went out, whose timeout is no longer than `longest`; `None` when there
    /// were several, or none.
    pub(crate) fn answered_at(&self, longest: Duration) -> Option<Instant> {
        let once = self.answer() == Answer::Sent && self.retries == 0;
        let once = once && self.flags & REPEATED == 0;
        once.then(|| Instant::ZERO + self.deadline.since(Instant::ZERO + INITIAL_RTO.min(longest)))
    }

    fn header(&self, seq: SeqNum, flags: Flags, window: RawWindow, ts_now: u32) -> TcpHeader {
        let timestamps = (self.flags & TIMESTAMPS != 0)
            .then_some(Timestamps { value: ts_now, echo: self.ts_recent });
        TcpHeader {
            src_port: self.tuple.local().port(),
            dst_port: self.tuple.remote().port(),
            seq,
            ack: self.irs + 1,
            flags,
            window,
            urgent: 0,
            options: TcpOptions { timestamps, ..TcpOptions::default() },
        }
    }

    /// The SYN ACK.
    pub(crate) fn syn_ack(&self, our_mss: u16, ts_now: u32) -> TcpHeader {
        let window = RawWindow(self.window);
        let ecn = match self.ecn() {
            Ecn::Accurate if !self.agrees_no_more() => handshake(self.accecn),
            Ecn::Classic => Flags::ECE,
            Ecn::Accurate | Ecn::None => Flags::NONE,
        };
        let mut header = self.header(self.iss, Flags::SYN | Flags::ACK | ecn, window, ts_now);
        header.options.mss = Some(our_mss);
        header.options.sack_permitted = self.flags & SACK != 0;
        header.options.window_scale = self.options().scaling.then(|| self.options().rcv_scale);
        header
    }

    /// RCV.WND in bytes.
    pub(crate) fn window(&self) -> u32 {
        self.window.into()
    }

    /// Whether an ACK outside the window may be answered by one: once for each SYN ACK, which
    /// says the same. More, and two ends that hold each other's old SYNs would never stop.
    pub(crate) fn may_answer_ack(&self) -> bool {
        self.flags & CHALLENGED == 0
    }

    /// An ACK that answers what does not fit (RFC 5961).
    pub(crate) fn challenge(&mut self, ts_now: u32) -> TcpHeader {
        self.flags |= CHALLENGED;
        let window = self.options().rcv_scale.to_raw(self.window());
        let ace = if self.ecn() == Ecn::Accurate { first_field() } else { Flags::NONE };
        self.header(self.iss + 1, Flags::ACK | ace, window, ts_now)
    }
}

/// All half-open records, with the deadlines of their SYN ACKs.
#[derive(Clone, Hash)]
pub(crate) struct HalfOpens {
    records: Slab<HalfOpen>,
    /// By retries: all in one queue wait equally long, so the front is the earliest.
    lanes: [Fifo; LANES],
}

impl LinkTable for Slab<HalfOpen> {
    fn links(&mut self, index: u32) -> Option<&mut Links> {
        Some(&mut self.get_mut(index)?.links)
    }
}

impl HalfOpens {
    pub(crate) const fn new() -> Self {
        Self { records: Slab::new(), lanes: [Fifo::new(); LANES] }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn insert(&mut self, record: HalfOpen) -> u32 {
        self.records.insert_with(|_, generation| HalfOpen { generation, ..record })
    }

    pub(crate) fn get(&self, index: u32) -> Option<&HalfOpen> {
        self.records.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut HalfOpen> {
        self.records.get_mut(index)
    }

    pub(crate) fn check(&self, index: u32, generation: u32) -> Option<u32> {
        self.records.check(index, generation)
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.records.indices()
    }

    fn lane(retries: u8) -> usize {
        usize::from(retries).min(LANES - 1)
    }

    /// The SYN ACK went out: its timeout starts.
    pub(crate) fn answered(&mut self, index: u32, now: Instant, longest: Duration) {
        let Some(record) = self.records.get_mut(index) else { return };
        if record.answer() != Answer::Due {
            return;
        }
        let lane = Self::lane(record.retries);
        record.set_answer(Answer::Sent);
        record.flags &= !CHALLENGED;
        record.deadline = now + (INITIAL_RTO * (1 << lane)).min(longest);
        self.lanes[lane].push_back(&mut self.records, index);
    }

    /// The SYN ACK is to go out (again). False when it is on its way already.
    pub(crate) fn make_due(&mut self, index: u32) -> bool {
        let Some(record) = self.records.get_mut(index) else { return false };
        match record.answer() {
            Answer::Due => return false,
            Answer::Sent => {
                let lane = Self::lane(record.retries);
                record.set_answer(Answer::Due);
                record.flags |= REPEATED;
                self.lanes[lane].remove(&mut self.records, index);
            }
            Answer::Undecided => record.set_answer(Answer::Due),
        }
        true
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<HalfOpen> {
        if self.records.get(index)?.answer() == Answer::Sent {
            let lane = Self::lane(self.records.get(index)?.retries);
            self.lanes[lane].remove(&mut self.records, index);
        }
        self.records.remove(index)
    }

    /// The earliest deadline. O(1).
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|l| self.records.get(l.front()?)).map(|r| r.deadline).min()
    }

    /// One record whose deadline has passed. The caller must answer it again or remove it.
    pub(crate) fn expired(&self, now: Instant) -> Option<u32> {
        self.lanes
            .iter()
            .filter_map(Fifo::front)
            .find(|&index| self.records.get(index).is_some_and(|record| record.deadline <= now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_open_record_takes_at_most_128_bytes() {
        // Its slot's generation and its entry in the demultiplexer included.
        let all = size_of::<HalfOpen>() + 8 + 12;
        assert!(all <= 128, "{all} bytes");
    }
}
