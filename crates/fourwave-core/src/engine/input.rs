//! A packet in: device → demultiplexer → record.

use alloc::boxed::Box;
use core::net::IpAddr;

use fourwave_wire::icmp::{IcmpError, QuotedTcp, parse_quoted_tcp};
use fourwave_wire::ip::{IpHeader, ecn, header_checksum_is_right, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader, verify_checksum};
use fourwave_wire::{RawWindow, RxChecksum, RxPacket, SeqNum, WireError};

use super::{Engine, Queued};
use crate::conn::arrive::listen::{Reception, receive_syn};
use crate::conn::arrive::{self, Segment};
use crate::conn::ecn::asked;
use crate::conn::{ConnOutcome, ConnParams, Connection};
use crate::demux::{FourTuple, Target};
use crate::end::EndReason;
use crate::event::{ConnId, Event, PendingId};
use crate::half_open::Answer;
use crate::state::State;
use crate::time::Instant;
use crate::time_wait::{TimeWaitAction, TimeWaitState};

/// By how much the first number of a connection that takes a TIME_WAIT over lies beyond the old
/// SND.NXT: further than any window without scaling reaches (RFC 9293 §3.10.7.4).
pub(super) const TAKEOVER_GAP: u32 = 65_537;

impl Engine {
    /// Takes one received IP packet, or a super-packet. False when it is neither TCP nor an ICMP
    /// error about TCP: then it is the caller's business. Malformed packets are counted and
    /// dropped. O(1), but for the bytes when the checksum is to be verified.
    pub fn handle_packet(&mut self, now: Instant, packet: &RxPacket) -> bool {
        let ip = match IpHeader::parse(&packet.bytes) {
            Ok(ip) => ip,
            Err(WireError::Fragment) => return false,
            Err(_) => {
                self.counters.in_errs += 1;
                return true;
            }
        };
        let verify = packet.checksum == RxChecksum::Unverified;
        if verify && !header_checksum_is_right(&packet.bytes) {
            self.counters.in_csum_errors += 1;
            return true;
        }
        match ip.protocol {
            protocol::TCP => {}
            protocol::ICMP | protocol::ICMPV6 => {
                return match parse_quoted_tcp(&ip, &packet.bytes) {
                    Ok(quoted) => {
                        self.icmp_arrives(now, &quoted);
                        true
                    }
                    Err(_) => false,
                };
            }
            _ => return false,
        }
        self.counters.in_segs += 1;
        self.count_ecn(ip.ecn);
        match self.read_segment(&ip, packet) {
            Some((tuple, segment)) => self.segment_arrives(now, tuple, &segment),
            None => self.counters.in_errs += 1,
        }
        true
    }

    fn read_segment<'a>(
        &mut self,
        ip: &IpHeader,
        packet: &'a RxPacket,
    ) -> Option<(FourTuple, Segment<'a>)> {
        let bytes = packet.bytes.get(ip.payload.clone())?;
        if packet.checksum == RxChecksum::Unverified && !verify_checksum(ip.src, ip.dst, bytes) {
            self.counters.in_csum_errors += 1;
            return None;
        }
        let (header, payload) = TcpHeader::parse(bytes).ok()?;
        // RFC 1122 §4.2.3.10: no connection with a multicast or broadcast address.
        if !is_unicast(ip.src)
            || !is_unicast(ip.dst)
            || header.src_port == 0
            || header.dst_port == 0
        {
            return None;
        }
        let local = (ip.dst, header.dst_port).into();
        let tuple = FourTuple::new(local, (ip.src, header.src_port).into())?;
        let payload = ip.payload.start + payload.start..ip.payload.start + payload.end;
        Some((
            tuple,
            Segment {
                header,
                ecn: ip.ecn,
                gso_size: packet.gso_size,
                packet: &packet.bytes,
                payload,
            },
        ))
    }

    fn count_ecn(&mut self, codepoint: u8) {
        *match codepoint {
            ecn::CE => &mut self.counters.in_ce,
            ecn::ECT_0 => &mut self.counters.in_ect0,
            ecn::ECT_1 => &mut self.counters.in_ect1,
            _ => &mut self.counters.in_no_ect,
        } += 1;
    }

    fn segment_arrives(&mut self, now: Instant, tuple: FourTuple, segment: &Segment<'_>) {
        let flags = segment.header.flags;
        if flags.syn() && flags.fin() && self.config.tcp_drop_synfin == 2 {
            return;
        }
        match self.demux.find(&self.records, &tuple) {
            Some(Target::Connection(index)) => self.connection_arrives(now, index, segment),
            Some(Target::HalfOpen(index)) => self.half_open_arrives(now, index, segment),
            Some(target) => self.time_wait_arrives(now, target, tuple, segment),
            None => self.nobody_arrives(now, tuple, segment, None),
        }
    }

    pub(super) fn connection_arrives(&mut self, now: Instant, index: u32, segment: &Segment<'_>) {
        let Some((conn, mut ctx)) = self.conn_and_ctx(index, now) else { return };
        let (tuple, was) = (conn.tuple, conn.state);
        let before = if cfg!(debug_assertions) { conn.held() } else { 0 };
        let mut outcome = arrive::arrive(conn, segment, &mut ctx);
        let (moved, is_fast) = (ctx.moved, conn.fast_open.is_some());
        debug_assert_eq!(before.wrapping_add_signed(moved), conn.held(), "all is counted");
        self.memory_moved(moved);
        self.reclaim();
        if is_fast {
            self.fast_open_steps(now, index, was, segment);
        }
        if outcome == ConnOutcome::Reject {
            self.reset_segment(tuple, &segment.header, segment.len());
        }
        if let ConnOutcome::Ended { reason, reset } = &mut outcome
            && matches!(reason, EndReason::DataAfterClose | EndReason::FinWait2Timeout)
            && core::mem::take(reset)
        {
            // At the number that the peer expects, whether our FIN has reached it or not.
            self.reset_segment(tuple, &segment.header, segment.len());
        }
        if let ConnOutcome::Ended { reset, .. } = &mut outcome
            && segment.header.flags.syn()
            && core::mem::take(reset)
            && let Some((conn, _)) = self.conn_and_ctx(index, now)
        {
            // `tcp_insecure_syn`: whoever sent this SYN has no use for a window.
            let header = TcpHeader { window: RawWindow(0), ..conn.reset_header(now) };
            self.reply(tuple, header);
        }
        self.settle(now, index, outcome);
    }

    /// LISTEN, or CLOSED when nobody listens (RFC 9293 §3.10.7.1, §3.10.7.2). `after`: where the
    /// incarnation ended that a SYN takes over.
    fn nobody_arrives(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        segment: &Segment<'_>,
        after: Option<TimeWaitState>,
    ) {
        let header = &segment.header;
        if header.flags.rst() {
            return;
        }
        let fits = !header.flags.fin() || self.config.tcp_drop_synfin == 0;
        let opens = header.flags.syn() && !header.flags.ack() && fits;
        let listens = self.listeners.find(tuple.local()).is_some();
        if opens && listens {
            self.listener_arrives(now, tuple, segment, after);
        } else if header.flags.ack() || !listens {
            self.reset_segment(tuple, header, segment.len());
        }
    }

    /// A SYN for a listener.
    fn listener_arrives(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        segment: &Segment<'_>,
        after: Option<TimeWaitState>,
    ) {
        let header = &segment.header;
        let Some(listener) = self.listeners.find(tuple.local()) else { return };
        if self.config.tcp_tw_recycle == 1
            && let Some(ts) = header.options.timestamps
            && self.hosts.is_older(tuple.remote().ip(), ts.value, now)
        {
            self.counters.paws_passive += 1;
            return;
        }
        let full = listener.queue.len() >= listener.backlog;
        if full || listener.half_open as u64 >= self.config.tcp_max_syn_backlog {
            self.counters.listen_overflows += u64::from(full);
            self.counters.listen_drops += 1;
            return;
        }
        let (id, deferred, syn) = (listener.id, listener.deferred, listener.socket.syn);
        let iss = self.records.secret.isn(&tuple, now);
        let iss = after.map_or(iss, |old| iss.later(old.snd_nxt + TAKEOVER_GAP));
        if self.fast_open_arrives(now, id, tuple, iss, segment) {
            return;
        }
        let (config, link) = (&self.config, &self.link);
        let reception = Reception { listener: id, deferred, iss, config, link, syn };
        let mut record = receive_syn(tuple, segment, &reception, now);
        record.reused = after.map(Box::new);
        self.promise_cookie(&mut record, header.options.fast_open);
        let index = self.records.half_open.insert(record);
        self.demux.insert(&self.records, &tuple, Target::HalfOpen(index));
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.half_open += 1;
        }
        if deferred {
            let generation = self.records.half_open.get(index).map_or(0, |r| r.generation);
            self.events.push_back(Queued::Event(Event::Incoming {
                listener: id,
                pending: PendingId { index, generation },
                local: tuple.local(),
                remote: tuple.remote(),
            }));
        } else {
            self.answer_syn(index);
        }
    }

    /// A segment for a passive SYN_RECEIVED (RFC 9293 §3.10.7.4 and RFC 5961).
    fn half_open_arrives(&mut self, now: Instant, index: u32, segment: &Segment<'_>) {
        let Some(record) = self.records.half_open.get_mut(index) else { return };
        let header = &segment.header;
        let repeats = header.flags.syn() && !header.flags.ack() && header.seq == record.irs;
        if repeats && !record.syn_again(asked(header, segment.ecn, self.config.tcp_ecn), segment) {
            // RFC 9768 §3.1.5: two SYNs that ask for different feedback.
            let tuple = record.tuple;
            self.reset_segment(tuple, header, segment.len());
            return self.refuse_half_open(now, index);
        }
        let (rcv_nxt, window) = (record.irs + 1, record.window());
        if header.flags.rst() {
            let within = header.seq.within(rcv_nxt, window);
            if header.seq == rcv_nxt || (within && self.config.tcp_insecure_rst == 1) {
                self.refuse_half_open(now, index);
            } else if within {
                self.challenge_half_open(now, index);
            }
            return;
        }
        if header.flags.syn() {
            let other = header.seq != record.irs && !header.flags.ack();
            if other && header.seq.within(rcv_nxt, window) && record.answer() == Answer::Sent {
                // RFC 9293 §3.10.7.4, fourth: back to LISTEN.
                self.refuse_half_open(now, index);
            // A SYN ACK comes from an end that has our SYN: answered with ours, two half-open ends
            // would answer each other indefinitely.
            } else if header.seq != record.irs || header.flags.ack() {
                self.challenge_half_open(now, index);
            } else if record.answer() == Answer::Sent && self.records.half_open.make_due(index) {
                // The peer's SYN again: our SYN ACK was lost.
                self.answer_syn(index);
            }
            return;
        }
        let last = header.seq + segment.len().saturating_sub(1);
        if !header.seq.within(rcv_nxt, window) && !last.within(rcv_nxt, window) {
            if record.may_answer_ack() {
                self.challenge_half_open(now, index);
            }
            return;
        }
        if !header.flags.ack() {
            return;
        }
        if header.ack != record.iss + 1 || record.answer() == Answer::Undecided {
            let tuple = record.tuple;
            self.reset_segment(tuple, header, segment.len());
            return;
        }
        if let Some(conn) = self.promote(now, index, header) {
            self.connection_arrives(now, conn, segment);
        }
    }

    /// The peer knows nothing of the SYN. One that took a TIME_WAIT over was an old duplicate, and
    /// the TIME_WAIT is back (RFC 9293 §3.6.1).
    fn refuse_half_open(&mut self, now: Instant, index: u32) {
        let Some(record) = self.records.half_open.get_mut(index) else { return };
        let (tuple, reused) = (record.tuple, record.reused.take());
        // RFC 4022: from SYN_RECEIVED to LISTEN or CLOSED, as Linux counts it too.
        self.counters.attempt_fails += 1;
        self.drop_half_open(index);
        if let Some(tw_state) = reused {
            self.restore_time_wait(now, &tuple, *tw_state);
        }
    }

    fn challenge_half_open(&mut self, now: Instant, index: u32) {
        if !self.challenges.allow(now, self.config.tcp_challenge_ack_limit) {
            return;
        }
        let Some(record) = self.records.half_open.get(index) else { return };
        if record.answer() == Answer::Undecided {
            // Nothing was said yet: there is no number to repeat.
            return;
        }
        let tuple = record.tuple;
        let ts_now = self.ts_now(&tuple, now);
        let Some(record) = self.records.half_open.get_mut(index) else { return };
        let header = record.challenge(ts_now);
        self.counters.challenge_ack += 1;
        self.reply(tuple, header);
    }

    /// The handshake's ACK: the record becomes a connection in the accept queue.
    fn promote(&mut self, now: Instant, index: u32, header: &TcpHeader) -> Option<u32> {
        let record = self.records.half_open.get(index)?.clone();
        let listener = self.listeners.get_mut(record.listener)?;
        if listener.queue.len() >= listener.backlog {
            self.counters.listen_overflows += 1;
            if self.config.tcp_abort_on_overflow == 1 {
                self.reset_segment(record.tuple, header, 0);
                self.drop_half_open(index);
            }
            return None;
        }
        listener.half_open -= 1;
        let socket = listener.socket.clone();
        let pending = PendingId { index, generation: record.generation };
        let ts_offset = self.records.secret.timestamp_offset(&record.tuple);
        let config = &self.config;
        let conn = self.records.conns.insert_with(|index, generation| {
            let params = ConnParams {
                tuple: record.tuple,
                id: ConnId { index, generation },
                iss: record.iss,
                irs: record.irs,
                state: State::SynReceived,
                options: record.options(),
                ts_offset,
                ts_recent: record.ts_recent,
                opened: record.opened,
                syn: socket.syn,
            };
            let mut conn = Box::new(Connection::new(params, now, config));
            let answered_at = record.answered_at(config.rto_max());
            conn.handshake_done(header, record.window(), answered_at, record.retries, now);
            conn.accept_ecn(record.syn_ecn(), now);
            conn.handle.listener = Some(record.listener);
            conn
        });
        let id = self.records.conns.get(conn)?.id;
        let (from, to) = (Target::HalfOpen(index), Target::Connection(conn));
        self.demux.replace(&self.records, &record.tuple, from, to);
        self.records.half_open.remove(index);
        if let Some((made, ctx)) = self.conn_and_ctx(conn, now) {
            made.inherit(&socket, &ctx);
        }
        let listener = self.listeners.get_mut(record.listener)?;
        listener.queue.push_back((id, record.is_deferred().then_some(pending)));
        self.counters.passive_opens += 1;
        let event = Event::Acceptable { listener: record.listener };
        self.events.push_back(Queued::Event(event));
        Some(conn)
    }

    fn time_wait_arrives(
        &mut self,
        now: Instant,
        target: Target,
        tuple: FourTuple,
        segment: &Segment<'_>,
    ) {
        let Some((tw_state, _)) = self.records.time_wait.time_wait_state(target) else { return };
        let header = &segment.header;
        let rfc1337 = self.config.tcp_rfc1337 == 1;
        let mut action = tw_state.action_for(header, segment.len(), rfc1337);
        if action == TimeWaitAction::Reuse && self.listeners.find(tuple.local()).is_none() {
            action = TimeWaitAction::Ack;
        }
        let asks_anew = header.flags.syn() && !header.flags.ack();
        if action == TimeWaitAction::Ack && asks_anew && self.config.tcp_tw_syn_drop == 1 {
            action = TimeWaitAction::Silence;
        }
        match action {
            TimeWaitAction::Silence => {}
            TimeWaitAction::Kill => {
                self.counters.tw_killed += 1;
                self.drop_time_wait(target, &tuple);
            }
            TimeWaitAction::Reuse => {
                self.counters.tw_taken_over += 1;
                self.drop_time_wait(target, &tuple);
                self.nobody_arrives(now, tuple, segment, Some(tw_state));
            }
            TimeWaitAction::AckAndRestart => {
                self.records.time_wait.restart(target, now);
                self.reply(tuple, tw_state.ack(&tuple, self.ts_now(&tuple, now)));
            }
            TimeWaitAction::Ack => {
                if self.challenges.allow(now, self.config.tcp_challenge_ack_limit) {
                    self.reply(tuple, tw_state.ack(&tuple, self.ts_now(&tuple, now)));
                }
            }
        }
    }

    /// RFC 9293 §3.10.7.1: the RST that answers a segment to nobody. Never to an RST.
    pub(super) fn reset_segment(&mut self, tuple: FourTuple, header: &TcpHeader, len: u32) {
        if header.flags.rst() {
            return;
        }
        let (seq, ack, flags) = if header.flags.ack() {
            (header.ack, SeqNum::new(0), Flags::RST)
        } else {
            (SeqNum::new(0), header.seq + len, Flags::RST | Flags::ACK)
        };
        let reset = TcpHeader {
            src_port: tuple.local().port(),
            dst_port: tuple.remote().port(),
            seq,
            ack,
            flags,
            window: RawWindow(0),
            ..TcpHeader::default()
        };
        self.reply(tuple, reset);
    }

    /// An ICMP error about a segment of ours (RFC 5927): believed only when it quotes data that
    /// is in flight, and fatal only while the connection opens, by `tcp_icmp_may_rst`.
    fn icmp_arrives(&mut self, now: Instant, quoted: &QuotedTcp) {
        let tuple = FourTuple::new(quoted.src.into(), quoted.dst.into());
        let target = tuple.and_then(|tuple| self.demux.find(&self.records, &tuple));
        let Some(Target::Connection(index)) = target else {
            self.counters.icmp_ignored += 1;
            return;
        };
        let may_rst = self.config.tcp_icmp_may_rst;
        let Some((conn, ctx)) = self.conn_and_ctx(index, now) else { return };
        let in_flight = quoted.seq.within(conn.snd.una, conn.snd.nxt.since(conn.snd.una));
        if !in_flight {
            self.counters.icmp_out_of_window += 1;
            self.counters.icmp_ignored += 1;
            return;
        }
        if let IcmpError::PacketTooBig { mtu } = quoted.error {
            let is_believed = conn.path_mtu(mtu, ctx.config);
            ctx.counters.icmp_ignored += u64::from(!is_believed);
            self.schedule(index);
            return;
        }
        let may_end = may_end(quoted.error, may_rst);
        if conn.state == State::SynReceived && conn.is_passive() && may_end {
            // As in Linux: what opened without a handshake ends without one.
            let outcome = conn.abort_unaccepted(EndReason::Unreachable(quoted.error));
            self.counters.icmp_hard += 1;
            return self.settle(now, index, outcome);
        }
        if conn.state != State::SynSent || !may_end {
            // RFC 5927 §4.1 and §5.2: a soft error; the timeouts decide, `info` tells of it.
            conn.note_icmp(quoted.error);
            self.counters.icmp_ignored += 1;
            return;
        }
        let outcome = conn.abort(EndReason::Unreachable(quoted.error));
        self.counters.icmp_hard += 1;
        self.counters.attempt_fails += 1;
        self.settle(now, index, outcome);
    }
}

/// Whether an ICMP error may end a connection that opens, by `tcp_icmp_may_rst`.
fn may_end(error: IcmpError, knob: u64) -> bool {
    use IcmpError::{AdminProhibited, PortUnreachable, ProtocolUnreachable, TimeExceeded};
    let hard =
        matches!(error, PortUnreachable | ProtocolUnreachable | AdminProhibited | TimeExceeded);
    knob == 1 || (knob == 2 && hard)
}

/// Whether an address can belong to one host.
pub(super) fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified(),
    }
}
