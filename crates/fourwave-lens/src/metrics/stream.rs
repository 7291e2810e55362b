//! What one end sent, and what the other one said to it: the metrics of one direction.

use std::time::Duration;

use crate::words::{Kind, Proof};

use super::duplicates::DuplicateFilter;
use super::observation::{Observation, Stamp};
use super::{EndMetrics, Retransmissions};

/// Gaps that are remembered; of more, the oldest is forgotten.
const MAX_HOLES: usize = 32;
/// Retransmissions that an ACK may yet prove needless.
const MAX_RETRANSMITTED: usize = 8;
/// Duplicate ACKs that ask for a segment (RFC 5681 §3.2).
const DUP_ACKS: u32 = 3;
/// A retransmission that comes this soon after a word of the other end was asked for by it.
const PROMPT: Duration = Duration::from_millis(20);
/// The same where the round trip is not known: Linux's shortest timeout is longer.
const TIMEOUT: Duration = Duration::from_millis(180);
/// Where no round trip is known.
const ROUND: Duration = Duration::from_millis(3);
/// Small steps of the IP identification in a row after which it is taken for a counter.
const COUNTS: u8 = 3;

/// Why a segment was retransmitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Syn,
    Fin,
    Fast,
    Timeout,
    Spurious,
}

impl Retransmissions {
    pub(super) fn of(&mut self, why: Why) -> &mut u64 {
        match why {
            Why::Syn => &mut self.syn,
            Why::Fin => &mut self.fin,
            Why::Fast => &mut self.fast,
            Why::Timeout => &mut self.timeout,
            Why::Spurious => &mut self.spurious,
        }
    }
}

/// What a segment with sequence numbers is among those seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// New numbers.
    New,
    /// Sent before.
    Retransmitted(Why),
    /// Arrived after later ones.
    Reordered,
    /// A copy of an old packet, delayed on the way.
    OldCopy,
    /// Not to be judged: before the beginning, or no data.
    Unknown,
}

impl Novelty {
    /// Data that was retransmitted, and not in vain as far as known.
    pub(crate) const fn is_data_retransmission(self) -> bool {
        matches!(self, Self::Retransmitted(Why::Fast | Why::Timeout))
    }
}

/// What a retransmission is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// When the other end was seen last.
    pub(crate) other_seen: Option<Duration>,
    /// The round trip, or the part of it that is known.
    pub(crate) round: Option<Duration>,
    /// All of it is known.
    pub(crate) whole: bool,
}

/// Numbers that were passed over, `[start, end)`.
#[derive(Clone, Copy, Debug)]
struct Hole {
    start: u64,
    end: u64,
    at: Duration,
    /// An acknowledgement told of it, no later segment.
    acked: bool,
}

/// Data retransmitted, of which it is open whether that was needed.
#[derive(Clone, Copy, Debug)]
struct RetransmittedRange {
    start: u64,
    end: u64,
    why: Why,
    count: u32,
    packet: u64,
    stamp: Option<Stamp>,
    /// An ACK has covered it: only a DSACK tells more.
    acked: bool,
}

/// A recovery from a loss.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    why: Why,
    /// It lasts until this number is acknowledged.
    until: u64,
    acked: u64,
    sacked: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) metrics: EndMetrics,
    /// The first number seen, and the one behind the highest.
    first: Option<u64>,
    syn_acked: bool,
    pub(crate) high: u64,
    /// The highest acknowledgement of the other end, and what it said by SACK.
    pub(crate) acked: u64,
    sacked: u64,
    dup_acks: u32,
    /// The number behind the FIN.
    pub(crate) fin: Option<u64>,
    holes: Vec<Hole>,
    retransmitted: Vec<RetransmittedRange>,
    /// Packets that were retransmitted for nothing, as it turned out: to be fetched.
    pub(crate) spurious: Vec<u64>,
    /// The number behind a window probe's byte.
    probed: Option<u64>,
    recovery: Option<Recovery>,
    /// Number and time of the segment whose ACK is waited for.
    timed: Option<(u64, Duration)>,
    newest: Option<Stamp>,
    last_id: Option<u16>,
    id_steps: u8,
    pub(crate) duplicates: DuplicateFilter,
    closed_since: Option<Duration>,
    pub(crate) last_seen: Option<Duration>,
    /// What it sent since the other end said its last word: retransmissions or probes.
    pub(crate) unanswered: Proof,
    pub(crate) unanswered_since: Duration,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            metrics: EndMetrics::default(),
            first: None,
            syn_acked: false,
            high: 0,
            acked: 0,
            sacked: 0,
            dup_acks: 0,
            fin: None,
            holes: Vec::new(),
            retransmitted: Vec::new(),
            spurious: Vec::new(),
            probed: None,
            recovery: None,
            timed: None,
            newest: None,
            last_id: None,
            id_steps: 0,
            duplicates: DuplicateFilter::new(),
            closed_since: None,
            last_seen: None,
            unanswered: Proof::default(),
            unanswered_since: Duration::ZERO,
        }
    }

    /// What counts for every packet, whatever it is.
    pub(crate) fn count(&mut self, s: &Observation<'_>) {
        let metrics = &mut self.metrics;
        metrics.payload += s.shown.len;
        metrics.fins += u64::from(s.shown.flags.fin());
        metrics.rsts += u64::from(s.shown.flags.rst());
    }

    /// The segment's marks of time: judge before.
    pub(crate) fn stamp(&mut self, s: &Observation<'_>) {
        if let Some(stamp) = s.stamp()
            && self.newest.is_none_or(|newest| !stamp.is_before(newest))
        {
            self.newest = Some(stamp);
        }
        if let Some(id) = s.segment.id.filter(|id| *id != 0) {
            let step = self.last_id.map(|last| id.wrapping_sub(last));
            match step {
                Some(1..=128) => self.id_steps = self.id_steps.saturating_add(1),
                // An overtaken one says nothing against it.
                Some(0 | 0xff80..) => return,
                _ => self.id_steps = 0,
            }
            self.last_id = Some(id);
        }
        self.last_seen = Some(s.at);
    }

    /// The window that it says.
    pub(crate) fn window(&mut self, s: &Observation<'_>) -> bool {
        let flags = s.shown.flags;
        if flags.rst() || flags.syn() {
            return false;
        }
        match (s.shown.window, self.closed_since) {
            (0, None) if !flags.fin() => {
                self.closed_since = Some(s.at);
                self.metrics.zero_windows += 1;
                return true;
            }
            (1.., Some(_)) => self.window_opens(s.at),
            _ => {}
        }
        false
    }

    /// A closed window opens, or the watching stops.
    pub(crate) fn window_opens(&mut self, at: Duration) {
        if let Some(since) = self.closed_since.take() {
            self.metrics.zero_window_time += at.saturating_sub(since);
        }
    }

    /// Judges a segment by this end and remembers its numbers.
    pub(crate) fn judge(&mut self, s: &Observation<'_>, past: Past) -> Novelty {
        let (start, end) = s.range();
        match s.shown.kind {
            Kind::Keepalive => {
                self.metrics.keepalives += 1;
                self.silence(s);
                return Novelty::Unknown;
            }
            Kind::WindowProbe => self.metrics.window_probes += 1,
            _ => {}
        }
        let Some(first) = self.first else {
            if !s.shown.flags.rst() {
                (self.first, self.high) = (Some(start), end.max(start));
                self.syn_acked = s.shown.kind == Kind::SynAck;
                // What the other end acknowledged before is no gap.
                self.acked = self.acked.max(start);
                self.timed = (end > start).then_some((end, s.at));
            }
            return Novelty::New;
        };
        if s.shown.flags.rst() {
            return Novelty::Unknown;
        }
        if s.shown.kind == Kind::WindowProbe {
            // Its byte counts when it was taken.
            self.probed = Some(end);
            return Novelty::Unknown;
        }
        if end == start {
            self.passed_over(start, s);
            return Novelty::Unknown;
        }
        if start == 0 && !s.shown.flags.syn() {
            // Before the SYN there was nothing.
            return if first == 0 { Novelty::OldCopy } else { Novelty::Unknown };
        }
        if start < first {
            return Novelty::Unknown;
        }
        // One byte back with more data: a byte that was a probe.
        if start >= self.high || (start + 1 == self.high && end > self.high) {
            self.passed_over(start, s);
            self.high = end;
            if !s.lost {
                self.timed.get_or_insert((end, s.at));
            }
            return Novelty::New;
        }
        if s.shown.kind == Kind::SynAck && !std::mem::replace(&mut self.syn_acked, true) {
            // Simultaneous open: the SYN goes again, with the ACK of the other one.
            return Novelty::Unknown;
        }
        let novelty = self.judge_old(s, start, end, past);
        self.high = self.high.max(end);
        if let Novelty::Retransmitted(why) = novelty {
            self.retransmissions(s, start, end, why);
        }
        novelty
    }

    /// A segment behind the highest number.
    fn judge_old(&mut self, s: &Observation<'_>, start: u64, end: u64, past: Past) -> Novelty {
        let hole = self.fill_hole(start, end);
        if hole.is_some_and(|hole| hole.acked) {
            // The capture has the ACK before the data.
            return Novelty::New;
        }
        let older = self.is_older(s);
        if let Some(hole) = hole {
            let soon = || s.at.saturating_sub(hole.at) < past.round.unwrap_or(ROUND) / 3;
            if older.unwrap_or_else(soon) {
                return self.overtaken(s);
            }
        } else if older == Some(true) && end <= self.high {
            if self.retransmitted.iter().any(|r| r.start < end && start < r.end) {
                // What was retransmitted has overtaken it.
                return self.overtaken(s);
            }
            // The same packet would have been known by its identification.
            if !matches!(self.id_step(s), Some(0xffc0..)) {
                return if end <= self.acked { Novelty::OldCopy } else { Novelty::Unknown };
            }
        }
        Novelty::Retransmitted(self.why_retransmitted(s, end, past))
    }

    fn overtaken(&mut self, s: &Observation<'_>) -> Novelty {
        self.metrics.out_of_order += u64::from(s.segment.count);
        Novelty::Reordered
    }

    /// Whether it was sent before the newest one seen: by timestamp, then by IP identification;
    /// `None` where neither tells.
    fn is_older(&self, s: &Observation<'_>) -> Option<bool> {
        if let Some((newest, stamp)) = self.newest.zip(s.stamp())
            && stamp != newest
        {
            return Some(stamp.is_before(newest));
        }
        match self.id_step(s)? {
            1..=1024 => Some(false),
            0xfc00.. => Some(true),
            _ => None,
        }
    }

    /// Its identification, counted from the newest; `None` where that is no counter.
    fn id_step(&self, s: &Observation<'_>) -> Option<u16> {
        let (last, id) = self.last_id.zip(s.segment.id)?;
        (id != 0 && self.id_steps >= COUNTS).then(|| id.wrapping_sub(last))
    }

    fn why_retransmitted(&mut self, s: &Observation<'_>, end: u64, past: Past) -> Why {
        let flags = s.shown.flags;
        if flags.syn() {
            return Why::Syn;
        }
        if flags.fin() && self.fin == Some(end) {
            return Why::Fin;
        }
        if end <= self.acked {
            return Why::Spurious;
        }
        let prompt = past.other_seen.is_some_and(|seen| {
            let soon = past.round.filter(|_| past.whole).map_or(TIMEOUT, |round| round * 3 / 2);
            s.at.saturating_sub(seen) <= PROMPT.max(soon)
        });
        let asked = self.dup_acks >= DUP_ACKS || self.sacked >= end;
        let recovery = self.recovery.filter(|recovery| self.acked < recovery.until);
        let why = match recovery {
            // A tail loss probe was answered by SACK: from here on it is asked for.
            Some(r) if r.why == Why::Timeout && self.acked == r.acked && self.sacked > r.sacked => {
                Why::Fast
            }
            Some(r) if r.why == Why::Timeout => Why::Timeout,
            Some(_) if prompt => Why::Fast,
            _ if asked && prompt => Why::Fast,
            _ => Why::Timeout,
        };
        if recovery.is_none_or(|recovery| recovery.why != why) {
            let (until, acked, sacked) = (self.high, self.acked, self.sacked);
            self.recovery = Some(Recovery { why, until, acked, sacked });
        }
        why
    }

    fn retransmissions(&mut self, s: &Observation<'_>, start: u64, end: u64, why: Why) {
        *self.metrics.retransmissions.of(why) += u64::from(s.segment.count);
        // Karn: its ACK may be for either.
        self.timed = None;
        self.silence(s);
        if matches!(why, Why::Fast | Why::Timeout) {
            if self.retransmitted.len() == MAX_RETRANSMITTED {
                self.retransmitted.remove(0);
            }
            let (count, packet, stamp) = (s.segment.count, s.packet, s.stamp());
            self.retransmitted.push(RetransmittedRange {
                start,
                end,
                why,
                count,
                packet,
                stamp,
                acked: false,
            });
        }
    }

    fn silence(&mut self, s: &Observation<'_>) {
        if self.unanswered.times() == 0 {
            self.unanswered_since = s.at;
        }
        self.unanswered.add(s.packet);
    }

    /// Numbers up to `start` were not seen.
    fn passed_over(&mut self, start: u64, s: &Observation<'_>) {
        if start > self.high {
            self.open_hole(Hole { start: self.high, end: start, at: s.at, acked: false });
            self.high = start;
        }
    }

    fn open_hole(&mut self, hole: Hole) {
        if self.holes.len() == MAX_HOLES {
            self.holes.remove(0);
        }
        self.holes.push(hole);
    }

    /// Takes `[start, end)` out of the gaps; the gap that it touched.
    fn fill_hole(&mut self, start: u64, end: u64) -> Option<Hole> {
        let i = self.holes.iter().position(|h| start < h.end && end > h.start)?;
        let hole = self.holes.remove(i);
        if end < hole.end {
            self.holes.insert(i, Hole { start: end, ..hole });
        }
        if start > hole.start && self.holes.len() < MAX_HOLES {
            self.holes.insert(i, Hole { end: start, ..hole });
        }
        Some(hole)
    }

    /// The other end acknowledges `ack`; true when that covers what was never seen.
    pub(crate) fn acknowledged(&mut self, s: &Observation<'_>, ack: u64) -> bool {
        if self.first.is_none() {
            self.acked = self.acked.max(ack);
            return false;
        }
        if self.probed.take_if(|end| *end <= ack).is_some() && ack == self.high + 1 {
            self.high = ack;
        }
        let gap = ack > self.high;
        if gap {
            self.open_hole(Hole { start: self.high, end: ack, at: s.at, acked: true });
            self.high = ack;
        }
        if ack > self.acked {
            self.acked = ack;
            self.dup_acks = 0;
            if self.recovery.is_some_and(|recovery| ack >= recovery.until) {
                self.recovery = None;
            }
            if let Some((end, at)) = self.timed
                && ack >= end
            {
                self.metrics.rtt.add(s.at.saturating_sub(at));
                self.timed = None;
            }
            self.covered(s, ack);
        } else if s.shown.kind == Kind::DupAck {
            self.dup_acks = self.dup_acks.saturating_add(1);
        }
        self.sacked(s, ack);
        if self.unanswered.times() > 0 {
            self.unanswered = Proof::default();
        }
        gap
    }

    /// Eifel (RFC 3522): the ACK echoes a timestamp older than that of the retransmission, so the
    /// original had arrived.
    fn covered(&mut self, s: &Observation<'_>, ack: u64) {
        if self.retransmitted.is_empty() {
            return;
        }
        let echo = s.segment.tcp.options.timestamps.map(|ts| Stamp(ts.echo));
        let old = |retransmitted: &RetransmittedRange| {
            echo.zip(retransmitted.stamp).is_some_and(|(echo, stamp)| echo.is_before(stamp))
        };
        for i in 0..self.retransmitted.len() {
            let retransmitted = &mut self.retransmitted[i];
            if retransmitted.acked || retransmitted.end > ack {
                continue;
            }
            retransmitted.acked = true;
            if old(retransmitted) {
                self.was_needless(i);
            }
        }
    }

    /// SACK blocks: what has arrived, and by DSACK (RFC 2883) what arrived twice.
    fn sacked(&mut self, s: &Observation<'_>, ack: u64) {
        let blocks = s.segment.tcp.options.sack.as_slice();
        let Some(&first) = blocks.first() else { return };
        let relative = |seq: fourwave_wire::SeqNum| {
            ack.saturating_add_signed(i64::from(seq.since(s.segment.tcp.ack) as i32))
        };
        let first = (relative(first.0), relative(first.1));
        let second = blocks.get(1).map(|b| (relative(b.0), relative(b.1)));
        let within = second.is_some_and(|b| b.0 <= first.0 && first.1 <= b.1);
        if first.1 <= ack || within {
            let twice = |r: &RetransmittedRange| first.0 <= r.start && r.end <= first.1;
            if let Some(i) =
                self.retransmitted.iter().position(|r| r.why != Why::Spurious && twice(r))
            {
                self.was_needless(i);
            }
        }
        for block in blocks {
            let end = relative(block.1);
            if end <= self.high && end > ack {
                self.sacked = self.sacked.max(end);
            }
        }
    }

    fn was_needless(&mut self, i: usize) {
        let retransmitted = &mut self.retransmitted[i];
        if retransmitted.why == Why::Spurious {
            return;
        }
        let kinds = &mut self.metrics.retransmissions;
        *kinds.of(retransmitted.why) -= u64::from(retransmitted.count);
        kinds.spurious += u64::from(retransmitted.count);
        retransmitted.why = Why::Spurious;
        self.spurious.push(retransmitted.packet);
    }

    /// New data was under way.
    pub(crate) fn sent_data(&mut self, at: Duration) {
        let first = self.metrics.data.map_or(at, |(first, _)| first);
        self.metrics.data = Some((first, at));
        let in_flight = self.high.saturating_sub(self.acked.max(1));
        self.metrics.max_in_flight = self.metrics.max_in_flight.max(in_flight);
    }

    /// Bytes that the other end acknowledged and that were never seen.
    pub(crate) fn never_seen(&self) -> u64 {
        let acked = |h: &&Hole| h.end <= self.acked;
        self.holes.iter().filter(acked).map(|h| h.end - h.start).sum()
    }

    /// The mean round trip beyond the point of watching.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.metrics.rtt.mean()
    }
}
