//! The sender where the peer acknowledges selectively: what an ACK or the time tells goes to
//! congestion control and to the timers of RACK and of the tail loss probe (RFC 8985).

use alloc::boxed::Box;
use core::ops::Range;

use fourwave_wire::SeqNum;

use super::congestion::{CongestionEvent, CongestionKind, Delivery, LossSample, RateSample};
use super::rate::Sampled;
use super::recovery::{
    AckReport, Arrival, Before, NewReno, Path, Proof, Reordering, Sack, SackEvent,
};
use super::sent::Delivered;
use super::{Ack, CaState, Flight, PathInfo, RtoLimits, Sender, Told};
use crate::time::{Duration, Instant};

/// What an ACK, or the time, told of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Found {
    /// Nothing new.
    Nothing,
    /// A loss that recovery begins with.
    Loss,
    /// A probe of the path's MTU was too large, and goes out again in smaller segments.
    MtuProbe,
    /// Nothing was lost: what was done for a loss or a timeout is undone.
    Spurious(Proof),
}

impl Found {
    fn of(event: SackEvent) -> Self {
        match event {
            SackEvent::Loss { .. } => Self::Loss,
            SackEvent::Spurious(_, proof) => Self::Spurious(proof),
            _ => Self::Nothing,
        }
    }
}

/// How a sender recovers from losses.
#[derive(Clone, Debug, Hash)]
pub(super) enum Recovery {
    /// The handshake has not told yet.
    Unknown,
    /// The peer acknowledges in order only: duplicates are counted.
    NewReno(Box<NewReno>),
    /// The peer acknowledges selectively. What is in flight takes memory, and nothing while the
    /// connection is idle (some 200 bytes for once, where the last flight met a loss).
    Sack(Reordering, Option<Box<Sack>>),
}

impl Recovery {
    /// What it is about; a reduction for marks is none of its matters.
    pub(super) fn ca_state(&self) -> CaState {
        match self {
            Self::NewReno(newreno) => newreno.ca_state(),
            Self::Sack(_, Some(sack)) => sack.ca_state(),
            Self::Sack(_, None) | Self::Unknown => CaState::Open,
        }
    }

    /// Sends the numbers of `lost` again, and nothing else: what was lost there was too large.
    pub(super) fn repair(&mut self, lost: Range<SeqNum>, nxt: SeqNum) {
        match self {
            Self::NewReno(newreno) => newreno.repair(lost),
            Self::Sack(_, Some(sack)) => sack.repair(&lost, nxt),
            Self::Sack(_, None) | Self::Unknown => {}
        }
    }

    /// Whether something that was lost is to go out again.
    pub(super) fn has_lost(&self, una: SeqNum) -> bool {
        match self {
            Self::NewReno(newreno) => newreno.retransmit(una).is_some(),
            Self::Sack(_, Some(sack)) => sack.probe_due || sack.has_lost(),
            Self::Sack(_, None) | Self::Unknown => false,
        }
    }

    /// Whether the age of an echoed timestamp would tell something.
    pub(super) fn wants_echo(&self) -> bool {
        match self {
            Self::NewReno(newreno) => newreno.wants_echo(),
            Self::Sack(_, Some(sack)) => sack.wants_echo(),
            Self::Sack(_, None) | Self::Unknown => false,
        }
    }

    pub(super) fn sack(&self) -> Option<&Sack> {
        match self {
            Self::Sack(_, Some(sack)) => Some(sack),
            _ => None,
        }
    }

    /// How the network reorders, as far as known.
    pub(super) fn reordering(&self) -> Reordering {
        match self {
            Self::Sack(_, Some(sack)) => sack.reordering(),
            Self::Sack(reordering, None) => *reordering,
            Self::Unknown | Self::NewReno(_) => Reordering::default(),
        }
    }

    pub(super) fn sack_mut(&mut self) -> Option<&mut Sack> {
        match self {
            Self::Sack(_, Some(sack)) => Some(sack),
            _ => None,
        }
    }
}

/// A sample in bytes; losses are known in segments.
fn delivery(sampled: &Sampled, mss: u32) -> Delivery {
    Delivery {
        delivered: sampled.delivered,
        interval: sampled.interval,
        in_flight: sampled.in_flight,
        lost: sampled.lost.saturating_mul(mss),
        is_app_limited: sampled.is_app_limited,
    }
}

impl Sender {
    /// Whether new data goes out before anything else, where there is any: as a tail loss probe, or
    /// after a timeout, to see what its ACK tells (RFC 5682 §2.1).
    pub(crate) fn wants_new(&self) -> bool {
        match &self.recovery {
            Recovery::NewReno(newreno) => newreno.wants_new(),
            _ => self.is_probe_due(),
        }
    }

    /// Whether what goes out next is a tail loss probe.
    pub(crate) fn is_probe_due(&self) -> bool {
        self.recovery.sack().is_some_and(|sack| sack.probe_due)
    }

    pub(super) fn on_selective_ack(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        is_cwnd_limited: bool,
        limits: &RtoLimits,
    ) -> Told {
        let (path, before) = (self.path(ack.flight.mss), self.windows());
        let Some(sack) = self.recovery.sack_mut() else {
            let marked = ack.echo.marked(0, ack.flight.mss);
            return ack.echo.told(Found::Nothing, marked);
        };
        let arrival =
            Arrival { now, flight: ack.flight, blocks: ack.sacks, echo_age: ack.echo_age, before };
        let report = sack.on_ack(&arrival, &path);
        let AckReport { event, delivered, sampled, lost, in_flight, .. } = report;
        let rtt = self.take_rtts(now, ack, &delivered);
        let mss = ack.flight.mss;
        let marked = ack.echo.marked(delivered.bytes, mss);
        let (event, found) = self.told_apart(event, ack.flight);
        if lost > 0 && found != Found::MtuProbe {
            self.tell_lost(now, mss);
        }
        self.end_reduction(now, ack.flight);
        self.on_recovery_event(now, event, mss);
        if marked.packets > 0 && event != SackEvent::Recovered {
            self.on_echo(now, ack.flight, in_flight, limits);
        }
        let is_in_recovery = matches!(event, SackEvent::Recovering | SackEvent::Loss { .. });
        let has_moved = ack.acked > 0 || self.recovery.reordering().is_wide();
        // By the threshold that the loss itself has set.
        let ssthresh = self.congestion.ssthresh();
        if let Some(sack) = self.recovery.sack_mut().filter(|_| is_in_recovery) {
            sack.pace(&report, ssthresh, mss);
        }
        self.pace_reduction(delivered.bytes, ack.flight, report.is_safe);
        if delivered.bytes > 0 {
            let sample = self.sample(now, ack, delivered.bytes, rtt);
            self.congestion.on_ack(&RateSample {
                delivery_rate: sampled.and_then(|sampled| sampled.rate(sample.min_rtt)),
                delivery: sampled.map(|sampled| delivery(&sampled, mss)),
                is_cwnd_limited,
                is_in_recovery,
                may_grow: sample.may_grow && !is_in_recovery && has_moved,
                lost,
                marked: marked.bytes,
                ..sample
            });
        }
        if ack.acked > 0 {
            self.rto.restart(now, ack.flight.nxt != ack.flight.una, &self.rtt, limits);
            if self.recovery.sack().is_some_and(Sack::is_reneged) {
                // As in Linux, what follows closely may be the ACK of it, overtaken.
                let soon = (self.srtt() / 2).max(Duration::from_millis(10));
                self.rto.deadline = self.rto.deadline.min(now + soon);
            }
        }
        self.schedule_probe(now, ack.flight, limits);
        self.rest(ack.flight);
        ack.echo.told(found, marked)
    }

    /// What every ACK tells congestion control: it acknowledges so many bytes, and gives a sample
    /// of the round trip or none.
    pub(super) fn sample(
        &self,
        now: Instant,
        ack: &Ack<'_>,
        acked: u32,
        rtt: Option<Duration>,
    ) -> RateSample {
        RateSample {
            now,
            acked,
            rtt,
            srtt: self.srtt(),
            min_rtt: self.rtt.min(),
            delivery_rate: None,
            delivery: None,
            in_flight: self.in_flight(ack.flight),
            is_cwnd_limited: false,
            is_in_recovery: false,
            is_after_timeout: self.ca_state() == CaState::Loss,
            may_grow: !self.is_reducing(),
            lost: 0,
            marked: 0,
            mss: ack.flight.mss,
        }
    }

    /// Tells the congestion control what was found lost.
    pub(super) fn tell_lost(&mut self, now: Instant, mss: u32) {
        let lost = self.recovery.sack_mut().and_then(Sack::take_lost);
        if let Some((lost, since)) = lost {
            let (since, holes) = (delivery(&since, mss), lost.holes);
            let sample = LossSample { now, lost: lost.numbers, holes, since, mss };
            self.congestion.on_lost(&sample);
        }
    }

    /// Samples of the round-trip time. As in Linux, the timeout follows the oldest of what an ACK
    /// tells of, congestion control and the shortest round trip the newest, which is returned.
    fn take_rtts(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        delivered: &Delivered,
    ) -> Option<Duration> {
        let ages = delivered.timed.map(|sent| (now.since(sent.oldest), now.since(sent.newest)));
        // The echo counts whole milliseconds: the round trip may have taken one more.
        let echoed = ack.echo_age.filter(|_| ack.acked > 0);
        let echoed = echoed.map(|age| (age, age + Duration::from_millis(1)));
        let (oldest, newest) = ages.or(echoed)?;
        self.rtt.sample(oldest, newest);
        self.rto.backoff = 0;
        Some(newest)
    }

    /// Nothing is in flight: only what was learned of the path stays. After a loss the rest stays
    /// for one more flight.
    fn rest(&mut self, flight: Flight) {
        if flight.nxt == flight.una
            && let Recovery::Sack(reordering, sack) = &mut self.recovery
            && let Some(done) = sack.take_if(|sack| sack.may_end())
        {
            *reordering = done.reordering();
        }
    }

    /// A probe of the path's MTU that is lost tells of no congestion, and is none of the losses
    /// that recovery is about.
    fn told_apart(&mut self, event: SackEvent, flight: Flight) -> (SackEvent, Found) {
        let is_loss = matches!(event, SackEvent::Loss { .. }) && !self.is_reducing();
        match is_loss && self.repairs_mtu_probe(flight) {
            true => (SackEvent::Ordinary, Found::MtuProbe),
            false => (event, Found::of(event)),
        }
    }

    /// Tells the congestion control what recovery found.
    fn on_recovery_event(&mut self, now: Instant, event: SackEvent, mss: u32) {
        let (kind, in_flight) = match event {
            SackEvent::Loss { in_flight } => return self.on_loss(now, in_flight, mss),
            SackEvent::ProbeRepaired if self.is_reducing() => return,
            SackEvent::ProbeRepaired => return self.on_loss(now, self.congestion.cwnd(), mss),
            // RFC 9937 §6: the reduction has spread what goes out, and ends at the threshold.
            SackEvent::Recovered => (CongestionKind::Recovered, self.congestion.ssthresh()),
            SackEvent::Spurious(Before { cwnd, ssthresh }, _) => {
                self.congestion.undo(cwnd, ssthresh);
                return;
            }
            SackEvent::Ordinary | SackEvent::Recovering => return,
        };
        self.congestion.on_congestion(&CongestionEvent::new(now, kind, in_flight, mss));
    }

    /// The congestion window; in a recovery or a reduction for marks, what is in flight and what
    /// PRR lets out beside it (RFC 9937 §6), as Linux tells it.
    pub(super) fn told_cwnd(&self) -> u32 {
        let told = |sack: &Sack| Some(sack.in_flight().saturating_add(self.budget()?));
        self.recovery.sack().and_then(told).unwrap_or(self.congestion.cwnd())
    }

    pub(super) fn path_info(&self) -> PathInfo {
        let (sacked, lost, retrans) = self.recovery.sack().map_or((0, 0, 0), Sack::sums);
        let order = self.recovery.reordering();
        let (reordering, reord_seen) = (order.most(), order.seen());
        PathInfo { sacked, lost, retrans, reordering, reord_seen }
    }

    pub(super) fn path(&self, mss: u32) -> Path {
        Path { srtt: self.srtt(), min_rtt: self.rtt.min(), mss }
    }

    pub(super) fn windows(&self) -> Before {
        Before { cwnd: self.congestion.cwnd(), ssthresh: self.congestion.ssthresh() }
    }

    /// Sets the early timer: the end of the reordering window, else the tail loss probe's time
    /// (RFC 8985 §7.2).
    pub(super) fn schedule_probe(&mut self, now: Instant, flight: Flight, limits: &RtoLimits) {
        let Some(sack) = self.recovery.sack_mut() else { return };
        sack.probe_deadline = Instant::NEVER;
        let waits = sack.reordering_deadline != Instant::NEVER;
        if waits || !limits.probes || !sack.may_probe() || flight.nxt == flight.una {
            return;
        }
        let Some(srtt) = self.rtt.srtt() else { return };
        // The ACK of less than two full segments may be delayed (RFC 5681 §4.2).
        let may_be_delayed = flight.nxt.since(flight.una) < 2 * flight.mss;
        let delay = if may_be_delayed { limits.min } else { Duration::from_millis(2) };
        // Never later than the timeout, whose place it takes then.
        sack.probe_deadline = (now + 2 * srtt + delay).min(self.rto.deadline);
    }

    /// What may have been reordered counts as lost now, or a probe is due.
    pub(crate) fn on_early_timer(
        &mut self,
        now: Instant,
        flight: Flight,
        limits: &RtoLimits,
    ) -> Found {
        let (path, before) = (self.path(flight.mss), self.windows());
        let Some(sack) = self.recovery.sack_mut() else { return Found::Nothing };
        if sack.reordering_deadline > now {
            sack.probe_deadline = Instant::NEVER;
            sack.probe_due = flight.nxt != flight.una;
            // RFC 8985 §7.3: the timeout counts from the probe.
            self.arm(now, limits);
            return Found::Nothing;
        }
        let event = sack.on_reordering_timer(now, flight, &path, before);
        let (event, found) = self.told_apart(event, flight);
        if found != Found::MtuProbe {
            self.tell_lost(now, flight.mss);
        }
        self.on_recovery_event(now, event, flight.mss);
        self.schedule_probe(now, flight, limits);
        found
    }

    /// When the timer of RACK or of the tail loss probe runs out; `NEVER` while neither runs.
    pub(super) fn early(&self) -> Instant {
        let deadline = |sack: &Sack| sack.reordering_deadline.min(sack.probe_deadline);
        self.recovery.sack().map_or(Instant::NEVER, deadline)
    }
}
