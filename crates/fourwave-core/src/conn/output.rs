//! The only place that decides which segment of a connection goes out next.

use core::ops::Range;

use alloc::vec::Vec;

use bytes::Bytes;
use fourwave_wire::ip::ecn;
use fourwave_wire::options::{MAX_SACK_BLOCKS, TcpOptions, Timestamps};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{Link, SeqNum};

use super::accecn::OPTION_SPACE;
use super::send::Fin;
use super::{Connection, Ctx};
use crate::sender::{MtuStep, NextData, SendLimits, Sent};
use crate::state::State;
use crate::time::Instant;

/// Bytes of a SACK option with all its blocks, padding included.
const MOST_SACK: u32 = 4 + 8 * MAX_SACK_BLOCKS as u32;

/// What goes out next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NextSegment {
    /// Our SYN, with an ACK once the peer's SYN is known.
    Syn,
    /// An ACK without data that counts as a duplicate.
    DuplicateAck,
    /// Sequence numbers that were sent before.
    Retransmit(Range<SeqNum>),
    /// New data, the FIN behind it when `fin` is set.
    New { len: u32, fin: bool },
    /// New data in one segment that is larger than any before: does the path carry it?
    MtuProbe(u32),
    /// A segment that the peer must answer.
    Probe,
    /// An ACK alone.
    Ack,
}

/// A segment ready to be written: the header, and the payload appended to the caller's chunks.
pub(crate) struct Outgoing {
    pub(crate) header: TcpHeader,
    /// Payload bytes of each segment when there is more than one; 0 otherwise.
    pub(crate) gso_size: u16,
    /// What its IP header says of ECN.
    pub(crate) ecn: u8,
}

impl Outgoing {
    /// One segment, not ECN-capable.
    fn plain(header: TcpHeader) -> Self {
        Self { header, gso_size: 0, ecn: ecn::NOT_ECT }
    }
}

impl Connection {
    /// Whether [`transmit`](Self::transmit) may have something. Cheap, and never wrongly false.
    pub(crate) fn may_transmit(&self) -> bool {
        self.due.syn
            || self.due.probe
            || self.ack_due()
            || ((self.snd.syn_acknowledged() || self.is_passive())
                && (self.snd.unsent() > 0
                    || self.snd.fin_waits()
                    || self.sender.has_lost(self.flight())))
    }

    /// The next segment, if one may go out now.
    pub(crate) fn transmit(
        &mut self,
        link: &Link,
        ctx: &mut Ctx<'_>,
        payload: &mut Vec<Bytes>,
    ) -> Option<Outgoing> {
        let next = self.decide(link, ctx);
        let Some(next) = next else {
            if self.snd.unsent() > 0 {
                self.note_waits(ctx.now);
            }
            return None;
        };
        self.sender.on_any_sent(ctx.now);
        let sends_data = matches!(next, NextSegment::Retransmit(_) | NextSegment::New { .. });
        if sends_data && self.sender.is_probe_due() {
            ctx.counters.loss_probes += 1;
        }
        Some(match next {
            NextSegment::Syn => self.send_syn(link, ctx, payload),
            NextSegment::DuplicateAck | NextSegment::Ack => self.send_ack(ctx),
            NextSegment::Retransmit(range) => self.retransmit(range, ctx, payload),
            NextSegment::New { len, fin } => {
                let out = self.send_new(len, fin, ctx, payload);
                self.note_progress(ctx.now);
                out
            }
            NextSegment::MtuProbe(len) => {
                self.sender.on_mtu_probe(self.snd.nxt, len);
                self.send_new(len, false, ctx, payload)
            }
            NextSegment::Probe => self.send_probe(ctx),
        })
    }

    fn decide(&mut self, link: &Link, ctx: &Ctx<'_>) -> Option<NextSegment> {
        if self.due.syn {
            return Some(NextSegment::Syn);
        }
        if !self.snd.syn_acknowledged() && !self.is_passive() {
            return self.ack_due().then_some(NextSegment::Ack);
        }
        if (self.rcv.acks.duplicate_due() || self.answers_syn()) && self.ack_due() {
            return Some(NextSegment::DuplicateAck);
        }
        if let Some(next) = self.next_data(link, ctx) {
            return Some(next);
        }
        if self.due.probe {
            return Some(NextSegment::Probe);
        }
        self.ack_due().then_some(NextSegment::Ack)
    }

    /// What was lost, new data or the FIN, as the windows, Nagle and silly-window avoidance allow
    /// (RFC 9293 §3.8.6.2.1, §3.7.4).
    fn next_data(&mut self, link: &Link, ctx: &Ctx<'_>) -> Option<NextSegment> {
        let (unsent, flight) = (self.snd.unsent(), self.flight());
        if unsent == 0 && !self.sender.has_lost(flight) {
            return self.next_fin(ctx);
        }
        let idle = unsent > 0 && self.snd.text_outstanding() == 0;
        if idle && ctx.config.tcp_slow_start_after_idle == 1 {
            let (initial, limits) = (self.initial_cwnd(ctx.config), self.rto_limits(ctx.config));
            self.sender.on_idle(ctx.now, initial, &limits);
        }
        let searches = self.sender.searches_mtu();
        match if searches { self.mtu_step(unsent, ctx) } else { MtuStep::Nothing } {
            MtuStep::Nothing => {}
            MtuStep::Wait => return None,
            MtuStep::Probe(len) => return Some(NextSegment::MtuProbe(len)),
        }
        let limits = SendLimits {
            // 60 bytes of TCP header at most, 40 of IP.
            largest: if self.may_batch() { link.gso_max.saturating_sub(100) } else { 0 },
            min_segments: ctx.config.tcp_min_tso_segs as u32,
            has_new: self.sender.wants_new() && self.has_new(unsent),
        };
        match self.sender.next(ctx.now, flight, &limits) {
            NextData::Paced => {
                self.sender.wait();
                None
            }
            NextData::Retransmit(range) => {
                let len = range.end.since(range.start).min(self.snd.record_room(range.start));
                (len > 0).then(|| NextSegment::Retransmit(range.start..range.start + len))
            }
            NextData::New(_) if unsent == 0 => self.next_fin(ctx),
            NextData::New(room) => {
                let next = self.next_new(unsent, room);
                if next.is_none() && idle {
                    self.arm_probe(ctx);
                }
                next
            }
        }
    }

    /// The FIN takes a sequence number, and so room in the window.
    fn next_fin(&mut self, ctx: &Ctx<'_>) -> Option<NextSegment> {
        if !self.snd.fin_waits() {
            return None;
        }
        if self.snd.window_room() > 0 && self.sender.is_held(ctx.now) {
            self.sender.wait();
            return None;
        }
        if self.snd.window_room() > 0 {
            return Some(NextSegment::New { len: 0, fin: true });
        }
        self.arm_probe(ctx);
        None
    }

    /// Whether new data of `unsent` bytes, or the FIN, may go out, the congestion window apart.
    fn has_new(&self, unsent: u32) -> bool {
        let fin = || unsent == 0 && self.snd.fin_waits() && self.snd.window_room() > 0;
        self.next_new(unsent, self.snd.mss).is_some() || fin()
    }

    /// New data of `unsent` bytes, for `room` of which there is room in the congestion window.
    fn next_new(&self, unsent: u32, room: u32) -> Option<NextSegment> {
        let mss = self.snd.mss;
        let window = self.snd.window_room();
        let record = unsent.min(self.snd.record_room(self.snd.nxt));
        let len = record.min(window).min(room);
        // What ends a record is as good as full.
        let all = len == record;
        let ends_record = record < unsent;
        let len = if len >= mss {
            // The rest of a segment waits, unless it is the end and need not.
            let whole = len / mss * mss;
            if all && (ends_record || self.sends_small()) { len } else { whole }
        } else {
            let small_ok = all && (ends_record || self.sends_small());
            let half_window = len > 0 && len >= self.snd.max_window / 2 && window < mss;
            if small_ok || half_window || self.due.small { len } else { 0 }
        };
        let fin = self.snd.fin_waits() && len == unsent && window > len;
        (len > 0).then_some(NextSegment::New { len, fin })
    }

    /// Whether a last segment that is not full may go: one of them at a time (RFC 9293 §3.7.4, as
    /// Minshall refined it: full ones on their way do not hold it back, so the end of a long
    /// write does not wait for the ACK of its middle).
    fn sends_small(&self) -> bool {
        let nagle = !self.snd.nodelay && self.snd.small_is_out();
        !self.snd.holds_back() && (!nagle || self.snd.fin_waits())
    }

    /// RFC 9293 §3.8.6.1: nothing is in flight, so nothing but a probe would bring an ACK.
    fn arm_probe(&mut self, ctx: &Ctx<'_>) {
        self.sender.arm_probe(ctx.now, &self.rto_limits(ctx.config));
    }

    /// A segment that ends before `end` went out.
    fn note_sent(&mut self, end: SeqNum, sent: Sent, ctx: &Ctx<'_>) {
        let (flight, limits) = (self.flight(), self.rto_limits(ctx.config));
        self.sender.on_sent(ctx.now, end, sent, flight, &limits);
    }

    /// A header with what every segment carries: ports, ACK, window, timestamps.
    fn header(&mut self, seq: SeqNum, flags: Flags, ctx: &Ctx<'_>) -> TcpHeader {
        let window = self.rcv.advertise(self.window_cap(ctx));
        let echo = self.ecn_flags();
        let (ack, window) = match self.held_from() {
            Some(held) => (held, self.rcv.advertise_from(held)),
            None => (self.rcv.nxt, window),
        };
        TcpHeader {
            src_port: self.tuple.local().port(),
            dst_port: self.tuple.remote().port(),
            seq,
            ack,
            flags: flags | Flags::ACK | echo,
            window,
            urgent: 0,
            options: TcpOptions {
                timestamps: self
                    .options
                    .timestamps
                    .then(|| Timestamps { value: self.ts_now(ctx.now), echo: self.ts.recent }),
                ..TcpOptions::default()
            },
        }
    }

    /// A header that also names what arrived out of order or twice: of all but SYNs and segments
    /// that have no room for it beside their text.
    fn header_with_sack(&mut self, seq: SeqNum, flags: Flags, ctx: &Ctx<'_>) -> TcpHeader {
        let mut header = self.header(seq, flags, ctx);
        if self.options.sack {
            header.options.sack = self.rcv.sack_blocks();
        }
        if self.has_accecn() {
            self.add_option(&mut header, OPTION_SPACE, ctx);
        }
        header
    }

    fn send_syn(&mut self, link: &Link, ctx: &mut Ctx<'_>, payload: &mut Vec<Bytes>) -> Outgoing {
        self.due.syn = false;
        let iss = self.snd.iss;
        let again = self.snd.nxt != iss;
        if again {
            self.count_retransmission(ctx);
        }
        // Fast Open is tried once: a SYN that was lost may have been lost for it (RFC 7413 §4.2.1).
        let fast = self.fast_open.as_ref().filter(|_| !again);
        let (option, text) = fast.map_or((None, 0), |part| (part.option, part.text));
        self.snd.queue.gather(0, text, payload);
        self.snd.nxt = self.snd.nxt.later(iss + 1 + text);
        self.note_sent(iss + 1, Sent::Syn { is_first: !again }, ctx);
        let answers = self.state != State::SynSent;
        // The window of a SYN is never scaled (RFC 7323 §2.2).
        let scale = core::mem::take(&mut self.rcv.scale);
        let mut header = self.header(iss, Flags::SYN, ctx);
        self.rcv.scale = scale;
        if !answers {
            header.flags = Flags::SYN;
            header.ack = SeqNum::new(0);
            if let Some(ts) = &mut header.options.timestamps {
                ts.echo = 0;
            }
        }
        header.options.mss = Some(self.announced_mss(link) as u16);
        header.options.sack_permitted = self.options.sack;
        header.options.window_scale = self.options.scaling.then_some(scale);
        header.options.fast_open = option;
        header.options.order = ctx.config.option_order();
        header.flags = header.flags.without(Flags::ACE) | self.syn_ecn(again);
        self.add_first_option(&mut header, again, ctx.config);
        Outgoing::plain(header)
    }

    fn send_ack(&mut self, ctx: &Ctx<'_>) -> Outgoing {
        let mut header = self.header_with_sack(self.snd.nxt, Flags::NONE, ctx);
        if self.has_accecn() {
            self.answer_syn_ack(&mut header);
        }
        Outgoing::plain(header)
    }

    fn retransmit(
        &mut self,
        range: Range<SeqNum>,
        ctx: &mut Ctx<'_>,
        payload: &mut Vec<Bytes>,
    ) -> Outgoing {
        let end = self.snd.data_end();
        let fin = self.snd.fin == Fin::Sent && range.end.after(end);
        let data_end = if fin { end } else { range.end };
        let len = data_end.since(range.start);
        self.count_retransmission(ctx);
        let setbacks = self.set_back();
        setbacks.bytes_retrans += u64::from(len);
        setbacks.fin_retransmits += u32::from(fin);
        self.note_sent(range.end, Sent::Again { start: range.start }, ctx);
        self.segment(range.start, len, fin, ctx, payload)
    }

    fn send_new(
        &mut self,
        len: u32,
        fin: bool,
        ctx: &mut Ctx<'_>,
        payload: &mut Vec<Bytes>,
    ) -> Outgoing {
        let seq = self.snd.nxt;
        let probes = core::mem::take(&mut self.due.small) && self.sender.timeouts() > 0;
        let was_idle = self.snd.outstanding() == 0;
        let mut out = self.segment(seq, len, fin, ctx, payload);
        if probes {
            out.header.flags |= Flags::PSH;
        }
        if len > 0 && out.header.flags.psh() {
            self.snd.note_push(seq + len);
        }
        self.snd.nxt += len + u32::from(fin);
        let on_syn = self.fast_open.as_ref().map_or(0, |part| part.text);
        let again = self.snd.nxt.at_or_before(self.snd.iss + 1 + on_syn);
        if !len.is_multiple_of(self.sender.segment_size(seq, len, self.snd.mss)) && !again {
            self.snd.small_end = self.snd.nxt;
        }
        if len > 0 && !again {
            // RFC 3168 §6.1.2, §6.1.5: new text, and nothing else.
            out.ecn = self.text_ecn();
            out.header.flags |= self.take_cwr();
        }
        if fin {
            (self.snd.fin, self.snd.fin_rides) = (Fin::Sent, len > 0);
        }
        self.note_sent(self.snd.nxt, Sent::New { start: seq, was_idle }, ctx);
        out
    }

    /// Data from `seq` on, cut by the device where it is more than one segment.
    fn segment(
        &mut self,
        seq: SeqNum,
        len: u32,
        fin: bool,
        ctx: &Ctx<'_>,
        payload: &mut Vec<Bytes>,
    ) -> Outgoing {
        let offset = seq.since(self.snd.data_start());
        self.snd.queue.gather(offset, len, payload);
        if len > 0 {
            self.times.data_sent(ctx.now);
        }
        let mut flags = if fin { Flags::FIN } else { Flags::NONE };
        let size = self.sender.segment_size(seq, len, self.snd.mss);
        let gso_size = if len > size { size as u16 } else { 0 };
        let is_pushed = self.snd.is_pushed(seq + len);
        let ends_record = self.snd.record_room(seq) == len;
        // As in Linux, on each batch too: the receiver's offload hands it on without waiting.
        if len > 0 && (is_pushed || ends_record || gso_size > 0) {
            flags |= Flags::PSH;
        }
        let mut header = self.header(seq, flags, ctx);
        if len + MOST_SACK <= self.snd.mss && self.options.sack {
            header.options.sack = self.rcv.sack_blocks();
        }
        if self.has_accecn() && seq == self.snd.nxt {
            let spare = self.snd.mss.saturating_sub(len) + u32::from(self.options.kept);
            let most = header.options.emitted_len() + spare as usize;
            self.add_option(&mut header, most, ctx);
        }
        Outgoing { header, gso_size, ecn: ecn::NOT_ECT }
    }

    /// A sequence number that the peer has: it must answer with an ACK (RFC 9293 §3.8.4), which
    /// tells its window as well as it tells that it is alive. Linux probes both ways with it.
    fn send_probe(&mut self, ctx: &mut Ctx<'_>) -> Outgoing {
        self.due.probe = false;
        if self.snd.unsent() > 0 || self.snd.fin_waits() {
            ctx.counters.window_probes += 1;
        } else {
            ctx.counters.keepalive += 1;
        }
        Outgoing::plain(self.header_with_sack(self.snd.una - 1, Flags::NONE, ctx))
    }

    fn count_retransmission(&mut self, ctx: &mut Ctx<'_>) {
        self.set_back().retransmits += 1;
        ctx.counters.retrans_segs += 1;
    }

    /// The header of an RST that ends this connection (RFC 9293 §3.10.5).
    pub(crate) fn reset_header(&self, now: Instant) -> TcpHeader {
        // RFC 7323 §3.2: an RST should carry them too.
        let timestamps = self.options.timestamps;
        let timestamps =
            timestamps.then(|| Timestamps { value: self.ts_now(now), echo: self.ts.recent });
        TcpHeader {
            src_port: self.tuple.local().port(),
            dst_port: self.tuple.remote().port(),
            seq: self.snd.nxt,
            ack: self.rcv.nxt,
            flags: Flags::RST | Flags::ACK,
            window: self.rcv.scale.to_raw(self.rcv.window()),
            options: TcpOptions { timestamps, ..TcpOptions::default() },
            ..TcpHeader::default()
        }
    }

    /// The header of the ACK that leads into TIME_WAIT, and of those that answer from it.
    pub(crate) fn last_ack_header(&mut self, ctx: &Ctx<'_>) -> TcpHeader {
        self.far_end = None;
        self.header_with_sack(self.snd.nxt, Flags::NONE, ctx)
    }
}
