//! Detects anomalies: while segments come, and once more when the connection is over.

use std::time::Duration;

use fourwave_core::state::State;

use crate::metrics::observation::Observation;
use crate::metrics::stream::{Novelty, Stream, Why};
use crate::words::{Anomaly, AnomalyKind, Ended, Proof, Role, RstCause};

/// Silence that proves something where nothing was retransmitted.
const PATIENCE: Duration = Duration::from_secs(3);
/// Retransmissions or probes in a row without an answer after which the other end is dead.
const DEAD: u64 = 3;

/// Segments of one sort.
#[derive(Clone, Debug, Default)]
struct Occurrences {
    proof: Proof,
    first: Duration,
    last: Duration,
}

impl Occurrences {
    fn add(&mut self, s: &Observation<'_>) {
        if self.proof.times() == 0 {
            self.first = s.at;
        }
        self.last = s.at;
        self.proof.add(s.packet);
    }

    /// It was sent more than once, or long enough ago, that an answer is missing.
    fn is_overdue(&self, now: Duration) -> bool {
        match self.proof.times() {
            0 => false,
            1 => now.saturating_sub(self.first) >= PATIENCE,
            _ => true,
        }
    }
}

/// What is known when the record is reported.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) now: Duration,
    pub(crate) last_seen: Duration,
    pub(crate) how: Ended,
    pub(crate) opened_by: Option<Role>,
    pub(crate) states: [State; 2],
    pub(crate) fin_acked: [bool; 2],
    pub(crate) segments: [u64; 2],
}

/// Collects anomalies; each kind once for each end.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    close_wait: Duration,
    found: Vec<Anomaly>,
    first: Option<(Duration, u64)>,
    syns: [Occurrences; 2],
    fins: [Occurrences; 2],
    /// Packet of the last data.
    data: [u64; 2],
    /// In CLOSE_WAIT: since the FIN or its own last data, and that packet.
    waiting: [Option<(Duration, u64)>; 2],
}

impl Detector {
    pub(crate) fn new(close_wait: Duration) -> Self {
        Self {
            close_wait,
            found: Vec::new(),
            first: None,
            syns: Default::default(),
            fins: Default::default(),
            data: [0; 2],
            waiting: [None; 2],
        }
    }

    /// One more packet that proves it.
    pub(crate) fn add(
        &mut self,
        kind: AnomalyKind,
        who: Option<Role>,
        at: Duration,
        packet: u64,
    ) -> &mut Anomaly {
        let i = match self.found.iter().position(|a| a.kind == kind && a.who == who) {
            Some(i) => i,
            None => {
                let proof = Proof::default();
                self.found.push(Anomaly { kind, who, at, proof, duration: None });
                self.found.len() - 1
            }
        };
        if packet > 0 {
            self.found[i].proof.add(packet);
        }
        &mut self.found[i]
    }

    fn put(&mut self, kind: AnomalyKind, who: Role, at: Duration, proof: Proof) -> &mut Anomaly {
        let anomaly = self.add(kind, Some(who), at, 0);
        anomaly.proof = proof;
        anomaly
    }

    fn drop_kind(&mut self, kind: AnomalyKind, who: Role) {
        self.found.retain(|a| a.kind != kind || a.who != Some(who));
    }

    /// A segment far outside of what its receiver can take.
    pub(crate) fn outside(&mut self, s: &Observation<'_>) {
        let kind = match () {
            () if s.is_foreign_syn() => AnomalyKind::SynInConnection,
            () if s.shown.flags.rst() && s.was_over => return,
            () if s.shown.flags.rst() => AnomalyKind::ResetIgnored,
            () => AnomalyKind::OldDuplicate,
        };
        self.add(kind, Some(s.from), s.at, s.packet);
    }

    /// What was taken for old is the present, behind a gap in the capture.
    pub(crate) fn caught_up(&mut self, s: &Observation<'_>) {
        self.drop_kind(AnomalyKind::OldDuplicate, s.from);
        self.gap(s.from, s);
    }

    /// A segment, and what it is among those before it. `streams` are as it found them.
    pub(crate) fn segment(&mut self, s: &Observation<'_>, novelty: Novelty, streams: &[Stream; 2]) {
        let i = s.from.index();
        self.first.get_or_insert((s.at, s.packet));
        let flags = s.shown.flags;
        if flags.syn() {
            self.syns[i].add(s);
        }
        if flags.fin() {
            self.fins[i].add(s);
        }
        self.sent(s, novelty);
        let beyond = streams[i].fin.is_some_and(|fin| s.shown.seq + s.shown.len >= fin);
        if beyond && s.shown.len > 0 && !s.is_probe() && !flags.fin() && !flags.rst() {
            self.add(AnomalyKind::DataAfterFin, Some(s.from), s.at, s.packet);
        }
        if flags.rst() {
            self.reset(s, streams);
        }
        self.half_closed(s, novelty);
        if s.shown.len > 0 && novelty == Novelty::New {
            self.data[i] = s.packet;
        }
    }

    fn sent(&mut self, s: &Observation<'_>, novelty: Novelty) {
        let kind = match novelty {
            Novelty::Retransmitted(Why::Syn) => AnomalyKind::SynRetransmitted,
            Novelty::Retransmitted(Why::Fin) => AnomalyKind::FinRetransmitted,
            Novelty::Retransmitted(Why::Spurious) => AnomalyKind::SpuriousRetransmissions,
            _ if novelty.is_data_retransmission() => AnomalyKind::Retransmissions,
            Novelty::Reordered => AnomalyKind::OutOfOrder,
            Novelty::OldCopy => AnomalyKind::OldDuplicate,
            _ => return,
        };
        self.add(kind, Some(s.from), s.at, s.packet);
    }

    fn reset(&mut self, s: &Observation<'_>, streams: &[Stream; 2]) {
        let (from, to) = (s.from, s.from.other());
        let Some(cause) = s.cause else {
            if !s.was_over && !s.lost {
                self.add(AnomalyKind::ResetIgnored, Some(from), s.at, s.packet);
            }
            return;
        };
        let data = self.data[to.index()];
        match cause {
            RstCause::Refused => {
                let mut proof = self.syns[to.index()].proof.clone();
                proof.add(s.packet);
                self.put(AnomalyKind::Refused, to, s.at, proof);
            }
            RstCause::GaveUp(_) | RstCause::DeadPeer => self.dead(s.at, from, streams),
            RstCause::AfterTheEnd => {
                if s.leaves(to, State::TimeWait) {
                    self.add(AnomalyKind::TimeWaitAssassinated, Some(from), s.at, s.packet);
                }
            }
            RstCause::DataAfterClose => self.after_data(AnomalyKind::ResetAfterClose, s, data),
            RstCause::UnreadData => self.after_data(AnomalyKind::UnreadDataReset, s, data),
            RstCause::Middlebox => {
                self.add(AnomalyKind::ForgedReset, Some(from), s.at, s.packet);
            }
            RstCause::ClosedWhileOpening | RstCause::NoSuchConnection | RstCause::Aborted => {
                self.add(AnomalyKind::Aborted, Some(from), s.at, s.packet);
            }
        }
    }

    fn after_data(&mut self, kind: AnomalyKind, s: &Observation<'_>, data: u64) {
        self.add(kind, Some(s.from), s.at, data);
        self.add(kind, Some(s.from), s.at, s.packet);
    }

    /// Nothing answers what `from` sends.
    fn dead(&mut self, now: Duration, from: Role, streams: &[Stream; 2]) {
        let stream = &streams[from.index()];
        let (proof, since) = (stream.unanswered.clone(), stream.unanswered_since);
        self.put(AnomalyKind::PeerDead, from.other(), since, proof).duration =
            Some(now.saturating_sub(since));
    }

    fn half_closed(&mut self, s: &Observation<'_>, novelty: Novelty) {
        for who in Role::BOTH {
            let i = who.index();
            if s.leaves(who, State::CloseWait) {
                self.waited(who, s.at);
                self.waiting[i] = None;
            }
            if s.enters(who, State::CloseWait) {
                self.waiting[i] = Some((s.at, s.packet));
            }
        }
        let i = s.from.index();
        if s.shown.len > 0 && novelty == Novelty::New && self.waiting[i].is_some() {
            self.waited(s.from, s.at);
            self.waiting[i] = Some((s.at, s.packet));
        }
    }

    fn waited(&mut self, who: Role, now: Duration) {
        let Some((since, packet)) = self.waiting[who.index()] else { return };
        let lasted = now.saturating_sub(since);
        if lasted >= self.close_wait {
            let anomaly = self.add(AnomalyKind::CloseWaitLingers, Some(who), since, packet);
            anomaly.duration = Some(anomaly.duration.unwrap_or_default().max(lasted));
        }
    }

    /// A small segment of `who` waited for the other end's delayed ACK.
    pub(crate) fn waited_for_ack(&mut self, at: Duration, who: Role, packet: u64, time: Duration) {
        let anomaly = self.add(AnomalyKind::NagleDelayedAck, Some(who), at, packet);
        anomaly.duration = Some(anomaly.duration.unwrap_or_default().saturating_add(time));
    }

    pub(crate) fn window_closed(&mut self, s: &Observation<'_>) {
        self.add(AnomalyKind::ZeroWindow, Some(s.from), s.at, s.packet);
    }

    /// `s` shows that something by `who` was never seen.
    pub(crate) fn gap(&mut self, who: Role, s: &Observation<'_>) {
        self.add(AnomalyKind::CaptureGap, Some(who), s.at, s.packet);
    }

    /// What `who` retransmitted in `packet` had arrived, as it turns out at `at`.
    pub(crate) fn spurious(&mut self, at: Duration, who: Role, packet: u64) {
        let is_it = |a: &&mut Anomaly| a.kind == AnomalyKind::Retransmissions && a.who == Some(who);
        if let Some(anomaly) = self.found.iter_mut().find(is_it) {
            anomaly.proof.take_back(packet);
        }
        self.add(AnomalyKind::SpuriousRetransmissions, Some(who), at, packet);
    }

    /// Everything, in the order in which it was seen.
    pub(crate) fn finish(mut self, last: &Last, streams: &[Stream; 2]) -> Vec<Anomaly> {
        let one_way = last.segments.contains(&0) && !matches!(last.how, Ended::Unanswered { .. });
        self.never_opened(last);
        if one_way {
            self.one_way(last);
        } else {
            for who in Role::BOTH {
                self.never_ended(last, who, streams);
            }
            self.open_at_the_end(last);
        }
        if let Some((at, packet)) = self.first
            && (last.opened_by.is_none() || self.syns[0].proof.times() == 0)
        {
            self.add(AnomalyKind::BeginningMissing, None, at, packet);
        }
        for who in Role::BOTH {
            let stream = &streams[who.index()];
            if !one_way && stream.never_seen() == 0 {
                self.drop_kind(AnomalyKind::CaptureGap, who);
            }
            let closed = stream.metrics.zero_window_time;
            let is_it = |a: &&mut Anomaly| a.kind == AnomalyKind::ZeroWindow && a.who == Some(who);
            if let Some(anomaly) = self.found.iter_mut().find(is_it) {
                anomaly.duration = Some(closed);
            }
        }
        self.found.retain(|a| a.proof.times() > 0);
        self.found.sort_by_key(|a| a.at);
        self.found
    }

    /// One direction was captured: of the other one only its acknowledgements tell.
    fn one_way(&mut self, last: &Last) {
        if let Some((at, packet)) = self.first {
            let unseen = if last.segments[0] == 0 { Role::Client } else { Role::Server };
            self.drop_kind(AnomalyKind::CaptureGap, unseen);
            self.add(AnomalyKind::CaptureGap, Some(unseen), at, packet);
        }
    }

    fn never_opened(&mut self, last: &Last) {
        let (kind, i) = match last.how {
            Ended::Unanswered { .. } => (AnomalyKind::SynUnanswered, 0),
            Ended::HalfOpen => (AnomalyKind::HalfOpen, 1),
            _ => return,
        };
        let seen = self.syns[i].clone();
        if seen.is_overdue(last.now) {
            self.drop_kind(AnomalyKind::SynRetransmitted, Role::BOTH[i]);
            let lasted = seen.last.saturating_sub(seen.first);
            self.put(kind, Role::Client, seen.first, seen.proof).duration = Some(lasted);
        }
    }

    fn never_ended(&mut self, last: &Last, who: Role, streams: &[Stream; 2]) {
        let i = who.index();
        let opened = !matches!(last.how, Ended::Unanswered { .. } | Ended::HalfOpen);
        if matches!(last.how, Ended::Reset { .. } | Ended::Orderly) || !opened {
            return;
        }
        if !last.fin_acked[i] && self.fins[i].is_overdue(last.now) {
            let seen = self.fins[i].clone();
            self.drop_kind(AnomalyKind::FinRetransmitted, who);
            let lasted = last.now.saturating_sub(seen.first);
            self.put(AnomalyKind::FinNeverAcknowledged, who, seen.first, seen.proof).duration =
                Some(lasted);
            return;
        }
        let stream = &streams[i];
        let (times, since) = (stream.unanswered.times(), stream.unanswered_since);
        let silent = last.how == Ended::Silent && times > 0;
        let long = times >= DEAD && last.now.saturating_sub(since) >= PATIENCE;
        if silent || long {
            self.dead(last.now, who, streams);
        }
    }

    fn open_at_the_end(&mut self, last: &Last) {
        for who in Role::BOTH {
            self.waited(who, last.now);
        }
        let idle = last.now.saturating_sub(last.last_seen);
        let said = |a: &Anomaly| {
            matches!(
                a.kind,
                AnomalyKind::CloseWaitLingers
                    | AnomalyKind::FinNeverAcknowledged
                    | AnomalyKind::PeerDead
            )
        };
        if last.how != Ended::Open || idle < self.close_wait || self.found.iter().any(said) {
            return;
        }
        let open = Role::BOTH.into_iter().find(|w| last.states[w.index()] == State::CloseWait);
        let Some((at, packet)) = self.first else { return };
        self.add(AnomalyKind::NeverClosed, open, at, packet).duration = Some(idle);
    }
}
