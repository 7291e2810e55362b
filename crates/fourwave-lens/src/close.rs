//! How a connection ends, seen from outside: the waves, and RST with a guess at its cause.

use std::time::Duration;

use fourwave_core::state::{Input, State};
use fourwave_core::{EndReason, EndReport};

use crate::conn::Conn;
use crate::entry::{EntryKind, LadderEntry};
use crate::event::Outbox;
use crate::record::{ClosedFirst, ConnectionRecord, HalfClosed, TimeWait};
use crate::segment::Segment;
use crate::words::{ClosedBy, Ended, Role, RstCause, Wave};

/// An RST this soon after data of the other end leaves that data unread, most likely.
const UNREAD: Duration = Duration::from_secs(5);
/// Retransmissions without an answer after which an RST means giving up.
const GAVE_UP: u32 = 3;

impl Conn {
    /// A FIN by `from`: the first one, the second one, or one retransmitted.
    pub(crate) fn on_fin(
        &mut self,
        at: Duration,
        from: Role,
        s: &Segment,
        entry: &mut LadderEntry,
    ) {
        let (i, to) = (from.index(), from.other());
        let fin = s.end() - 1;
        match self.ends[i].fin {
            Some(before) if before == fin => return self.on_fin_again(at, from, entry),
            Some(_) => {
                self.unexpected_segments = self.unexpected_segments.saturating_add(1);
                entry.annotation = Some("a FIN at another place than the first");
                return;
            }
            None => {}
        }
        if self.over().is_some() {
            return;
        }
        self.ends[i].fin = Some(fin);
        self.bytes_at_fin[i] = self.ends[to.index()].bytes();
        match self.closed_first {
            None => {
                self.closed_first = Some(ClosedFirst { who: from, by: ClosedBy::Fin, at });
                entry.wave = Some(Wave::One);
            }
            Some(_) => {
                self.second_fin = Some(at);
                if !self.fin_acked[to.index()] {
                    self.fins_crossed(from, entry);
                }
                entry.wave = Some(Self::second_wave(entry));
            }
        }
        self.feed(from, Input::Close);
        if self.ends[i].is_whole() {
            self.fin_arrives(at, from);
        } else {
            entry.annotation = entry.annotation.or(Some("data before the FIN is missing"));
        }
    }

    /// `from` sends its FIN without having got the other's: that one is still under way.
    fn fins_crossed(&mut self, from: Role, entry: &mut LadderEntry) {
        let (i, to) = (from.index(), from.other());
        entry.annotation = Some("the two FINs cross");
        self.crossed = true;
        if !self.fin_arrived[to.index()] {
            return;
        }
        // It had not arrived when the entry of the first FIN said so.
        if self.ends[i].state == State::CloseWait {
            self.ends[i].state = State::Established;
            if let Some(first) = self.entries.last_where(|entry| entry.wave == Some(Wave::One)) {
                first.moved[i] = None;
            }
            self.crossing[i] = Some(Input::RecvFin);
        }
    }

    /// The FIN of `from` reaches the other end.
    pub(crate) fn fin_arrives(&mut self, at: Duration, from: Role) {
        let to = from.other();
        self.fin_arrived[from.index()] = true;
        self.feed(to, Input::RecvFin);
        if self.ends[to.index()].state == State::TimeWait {
            self.time_wait[to.index()] = Some(at);
        }
    }

    /// A retransmitted FIN proves that its sender has not got the ACK.
    fn on_fin_again(&mut self, at: Duration, from: Role, entry: &mut LadderEntry) {
        let (i, to) = (from.index(), from.other());
        self.ends[i].fin_retransmissions = self.ends[i].fin_retransmissions.saturating_add(1);
        if self.how.is_some_and(|how| how != Ended::Orderly) {
            return;
        }
        if self.fin_acked[i] {
            entry.annotation = Some("its ACK was lost or late");
            match self.ends[i].state {
                State::Closed => {
                    self.ends[i].set(State::LastAck);
                    self.over_at = None;
                    self.how = None;
                }
                State::FinWait2 => self.ends[i].set(State::FinWait1),
                _ => {}
            }
        }
        if self.ends[to.index()].state == State::TimeWait {
            self.feed(to, Input::RecvFin);
            self.time_wait[to.index()] = Some(at);
        }
    }

    /// `from` acknowledges the other end's FIN.
    pub(crate) fn on_ack_of_fin(&mut self, at: Duration, from: Role, entry: &mut LadderEntry) {
        let to = from.other();
        let i = to.index();
        if !self.fin_arrived[i] {
            self.fin_arrives(at, to);
        }
        if matches!(self.ends[i].state, State::FinWait1 | State::Closing | State::LastAck) {
            self.feed(to, Input::RecvAckOfFin);
            if self.ends[i].state == State::TimeWait {
                self.time_wait[i] = Some(at);
            }
            if self.fin_acked[i] {
                entry.annotation = Some("repeated");
            }
        }
        if !self.fin_acked[i] {
            self.fin_acked[i] = true;
            let first = self.closed_first.is_some_and(|first| first.who == to);
            entry.wave = Some(if first { Wave::Two } else { Wave::Four });
        }
    }

    /// An RST by `from`.
    pub(crate) fn on_rst(
        &mut self,
        at: Duration,
        from: Role,
        s: &Segment,
        entry: &mut LadderEntry,
    ) {
        let to = from.other();
        if !self.rst_counts(from, s) {
            self.unexpected_segments = self.unexpected_segments.saturating_add(1);
            entry.annotation = Some("not the next number: ignored, a challenge ACK is due");
            self.challenge_due[to.index()] = true;
            return;
        }
        if self.over_at.is_some() && self.how.is_some() {
            return self.rst_after_the_end(from, entry);
        }
        let cause = self.rst_cause(at, from, s);
        entry.cause = Some(cause);
        self.closed_first.get_or_insert(ClosedFirst { who: from, by: ClosedBy::Rst, at });
        if self.closed_first.is_some_and(|first| first.by == ClosedBy::Fin) {
            self.second_fin.get_or_insert(at);
        }
        self.how = Some(Ended::Reset { by: from, cause });
        self.end_by_rst(from, Input::Abort);
        self.end_by_rst(to, Input::RecvRst);
        self.crossing = [None; 2];
    }

    fn end_by_rst(&mut self, who: Role, input: Input) {
        let state = self.ends[who.index()].state;
        let stays = state == State::TimeWait && input == Input::RecvRst && self.options.rfc1337;
        if state != State::Closed && !stays {
            self.feed(who, input);
            self.time_wait[who.index()] = None;
        }
    }

    fn rst_after_the_end(&mut self, from: Role, entry: &mut LadderEntry) {
        entry.annotation = Some("after the end");
        let to = from.other();
        if self.ends[to.index()].state != State::TimeWait {
            return;
        }
        entry.cause = Some(RstCause::AfterTheEnd);
        if self.options.rfc1337 {
            entry.annotation = Some("TIME_WAIT stays: tcp_rfc1337 is 1");
        } else {
            entry.annotation = Some("TIME_WAIT is cut short: tcp_rfc1337 is 0");
            self.end_by_rst(to, Input::RecvRst);
        }
    }

    /// RFC 9293 §3.10.7.3 and RFC 5961 §3.2: whether the receiver believes the RST.
    fn rst_counts(&self, from: Role, s: &Segment) -> bool {
        let (x, y) = (&self.ends[from.index()], &self.ends[from.other().index()]);
        if y.state == State::SynSent {
            let ours = y.next().is_some_and(|next| s.tcp.ack.at_or_before(next));
            return s.tcp.flags.ack() && ours && y.isn.is_none_or(|isn| s.tcp.ack.after(isn));
        }
        let Some(next) = x.next() else { return true };
        let expected = y.ack.unwrap_or(s.tcp.seq);
        s.tcp.seq.at_or_after(expected) && s.tcp.seq.at_or_before(next)
    }

    fn rst_cause(&self, at: Duration, from: Role, s: &Segment) -> RstCause {
        let (i, to) = (from.index(), from.other());
        let (x, y) = (&self.ends[i], &self.ends[to.index()]);
        let opening = |state| matches!(state, State::SynSent | State::SynReceived);
        let answers = self.last_from == Some(to) && !s.tcp.flags.ack();
        match (x.state, y.state) {
            _ if x.is_foreign_ttl(s.ttl) => RstCause::Middlebox,
            (State::Closed | State::Listen, State::SynSent) => RstCause::Refused,
            (State::TimeWait | State::Closed, State::TimeWait) => RstCause::AfterTheEnd,
            (x, _) if opening(x) => RstCause::ClosedWhileOpening,
            (_, y) if opening(y) && self.opened_by == Some(from) => RstCause::ClosedWhileOpening,
            _ if x.probes_unanswered > 0 => RstCause::DeadPeer,
            _ if x.retransmissions_unanswered >= GAVE_UP => {
                RstCause::GaveUp(x.retransmissions_unanswered)
            }
            _ if x.fin.is_some() && y.bytes() > self.bytes_at_fin[i] => RstCause::DataAfterClose,
            _ if answers && y.ack == Some(s.tcp.seq) => RstCause::NoSuchConnection,
            _ if self.leaves_unread(at, from, s) => RstCause::UnreadData,
            _ => RstCause::Aborted,
        }
    }

    /// Linux sends RST at once when it closes with unread data: with ACK, at SND.NXT, without a
    /// FIN. So does SO_LINGER 0; but then seldom right behind the other end's data, or behind an
    /// answer to it of which nothing was acknowledged yet.
    fn leaves_unread(&self, at: Duration, from: Role, s: &Segment) -> bool {
        let (x, y) = (&self.ends[from.index()], &self.ends[from.other().index()]);
        s.tcp.flags.ack()
            && x.fin.is_none()
            && x.next() == Some(s.tcp.seq)
            && self.last_data[from.other().index()].is_some_and(|(then, next)| {
                at.saturating_sub(then) <= UNREAD && y.ack.is_none_or(|ack| !ack.after(next))
            })
    }

    /// The engine's word on the end. Its own state follows where no packet showed it.
    pub(crate) fn end_reported(&mut self, at: Duration, report: &EndReport, out: &mut Outbox) {
        let local = self.role_of(report.local);
        let silent = matches!(
            report.reason,
            EndReason::ConnectTimeout
                | EndReason::HandshakeTimeout
                | EndReason::RetransmissionTimeout
                | EndReason::UserTimeout
                | EndReason::KeepaliveTimeout
                | EndReason::OrphanTimeout
                | EndReason::FinWait2Timeout
                | EndReason::Unreachable(_)
        );
        let tracker = &mut self.ends[local.index()];
        // Any other end shows in a segment, which moves the state when it is seen.
        if silent && tracker.feed(Input::Timeout) {
            let entry =
                LadderEntry::new(at, local, EntryKind::Note(report.reason.sentence().to_owned()));
            self.finish_entry(entry, out);
        }
        self.last_seen = self.last_seen.max(at);
        self.reported_at.get_or_insert(at);
        self.report = Some(report.clone());
    }

    /// Its whole life, as far as it is known now.
    pub(crate) fn into_record(mut self, now: Duration, out: &mut Outbox) -> ConnectionRecord {
        self.close_run(out);
        let half_closed = self.half_closed();
        let how = self.how();
        let (metrics, anomalies) = self.measured(now);
        let engine = self.report.as_ref().map(|report| self.role_of(report.local));
        let [client, server] = &self.ends;
        ConnectionRecord {
            conn: self.id,
            addrs: [client.addr, server.addr],
            opened_by: self.opened_by,
            opened: self.opened,
            ended: self.last_seen,
            states: [client.state, server.state],
            bytes: [client.bytes(), server.bytes()],
            bytes_acked: [client.bytes_acked(server.ack), server.bytes_acked(client.ack)],
            segments: [client.segments, server.segments],
            retransmitted: [client.retransmitted, server.retransmitted],
            fin_retransmissions: [client.fin_retransmissions, server.fin_retransmissions],
            handshake: self.handshake,
            closed_first: self.closed_first,
            half_closed,
            how,
            time_wait: self.time_waits(engine),
            report: self.report,
            engine,
            unseen: [client.unseen, server.unseen],
            nagle_waits: self.nagle.waits(),
            unexpected_segments: self.unexpected_segments,
            metrics,
            anomalies,
            entries: self.entries.into_vec(),
        }
    }

    fn half_closed(&self) -> Option<HalfClosed> {
        let first = self.closed_first.filter(|first| first.by == ClosedBy::Fin)?;
        if self.crossed {
            return None;
        }
        let sender = first.who.other();
        let sent = self.ends[sender.index()].bytes();
        Some(HalfClosed {
            sender,
            since: first.at,
            until: self.second_fin,
            bytes: sent.saturating_sub(self.bytes_at_fin[first.who.index()]),
        })
    }

    pub(crate) fn how(&self) -> Ended {
        if let Some(how) = self.how {
            return how;
        }
        match (self.ends[0].state, self.ends[1].state) {
            (State::SynSent, _) | (_, State::SynSent) => {
                Ended::Unanswered { retransmissions: self.syn_retransmissions }
            }
            (State::Closed, State::Closed) if self.opened_by.is_some() && !self.was_answered() => {
                Ended::Unanswered { retransmissions: self.syn_retransmissions }
            }
            (State::SynReceived, _) | (_, State::SynReceived) => Ended::HalfOpen,
            _ if self.report.is_some() => Ended::Silent,
            _ => Ended::Open,
        }
    }

    /// The engine knows about its own end; about the other, 2MSL is added.
    fn time_waits(&self, engine: Option<Role>) -> Vec<TimeWait> {
        let mut all = Vec::new();
        for who in Role::BOTH {
            let Some(since) = self.time_wait[who.index()] else { continue };
            let mut until = since.saturating_add(self.options.time_wait);
            if let Some(report) = self.report.as_ref().filter(|_| engine == Some(who)) {
                let Some(said) = report.time_wait_until else { continue };
                // A FIN that came again since the report has restarted the engine's 2MSL.
                let lasts = said.since(report.ended);
                until = Duration::from_micros(said.as_micros()).max(since.saturating_add(lasts));
            }
            all.push(TimeWait { who, since, until });
        }
        all
    }
}
