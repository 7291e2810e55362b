//! A window that is reduced because the network marked packets (RFC 3168 §6.1.2): once for each
//! window of data, and spread over a round trip by PRR as Linux has it.

use fourwave_wire::SeqNum;

use super::congestion::{CongestionEvent, CongestionKind};
use super::recovery::{CaState, Cwr, Prr};
use super::selective::Recovery;
use super::{Flight, RtoLimits, Sender};
use crate::time::Instant;

impl Recovery {
    fn cwr_place(&mut self) -> Option<&mut Option<Cwr>> {
        match self {
            Self::NewReno(newreno) => Some(&mut newreno.cwr),
            Self::Sack(_, Some(sack)) => Some(&mut sack.cwr),
            // Nothing is in flight, and nothing to be echoed.
            Self::Sack(_, None) | Self::Unknown => None,
        }
    }

    /// The reduction that goes on.
    pub(super) fn cwr(&self) -> Option<&Cwr> {
        match self {
            Self::NewReno(newreno) => newreno.cwr.as_ref(),
            Self::Sack(_, Some(sack)) => sack.cwr.as_ref(),
            Self::Sack(_, None) | Self::Unknown => None,
        }
    }

    pub(super) fn cwr_mut(&mut self) -> Option<&mut Cwr> {
        self.cwr_place()?.as_mut()
    }

    /// Ends it.
    pub(super) fn take_cwr(&mut self) -> Option<Cwr> {
        self.cwr_place()?.take()
    }
}

impl Sender {
    /// Whether the window is being reduced for marks; a loss in it is part of the same window.
    pub(super) fn is_reducing(&self) -> bool {
        self.recovery.cwr().is_some()
    }

    /// What loss recovery, or a reduction for marks, is about.
    pub(super) fn ca_state(&self) -> CaState {
        if self.is_reducing() { CaState::Cwr } else { self.recovery.ca_state() }
    }

    /// Bytes that PRR lets out now, in a reduction for marks or in recovery; `None` while the
    /// window rules.
    pub(super) fn budget(&self) -> Option<u32> {
        if self.congestion.rules_recovery() {
            return None;
        }
        let reduced = self.recovery.cwr().map(|cwr| cwr.prr.budget());
        reduced.or_else(|| self.recovery.sack()?.budget())
    }

    /// SND.UNA is `una`: a reduction for marks may be over.
    pub(super) fn end_reduction(&mut self, now: Instant, flight: Flight) {
        let is_over = self.recovery.cwr().is_some_and(|cwr| flight.una.after(cwr.high));
        if is_over {
            self.recovery.take_cwr();
            let (kind, in_flight) = (CongestionKind::Recovered, self.congestion.ssthresh());
            let mss = flight.mss;
            self.congestion.on_congestion(&CongestionEvent::new(now, kind, in_flight, mss));
        }
    }

    /// An ACK echoes a mark; so much was in flight before it. Reduces the window, unless that was
    /// done for this window of data already, for marks or for losses.
    pub(super) fn on_echo(
        &mut self,
        now: Instant,
        flight: Flight,
        in_flight: u32,
        limits: &RtoLimits,
    ) {
        let reduces = matches!(self.recovery.ca_state(), CaState::Open | CaState::Disorder);
        if reduces && !self.is_reducing() {
            let (kind, mss, is_abe) = (CongestionKind::Marked, flight.mss, limits.abe);
            self.congestion.on_congestion(&CongestionEvent { now, kind, in_flight, mss, is_abe });
            if let Some(place) = self.recovery.cwr_place() {
                *place = Some(Cwr { high: flight.nxt, prr: Prr::new(in_flight, 0) });
            }
            self.owes_cwr = true;
        }
        // What marks told is true, whatever losses turn out to be none.
        let windows = self.windows();
        match &mut self.recovery {
            Recovery::NewReno(newreno) => newreno.keep_windows(windows),
            Recovery::Sack(_, Some(sack)) => sack.keep_windows(windows),
            Recovery::Sack(_, None) | Recovery::Unknown => {}
        }
    }

    /// An ACK that does not move SND.UNA, and names nothing, echoes a mark.
    pub(crate) fn on_bare_echo(&mut self, now: Instant, flight: Flight, limits: &RtoLimits) {
        let in_flight = self.in_flight(flight);
        self.on_echo(now, flight, in_flight, limits);
    }

    /// Our SYN, or SYN ACK, was marked: the window begins with one segment, as after a loss of it.
    pub(crate) fn on_syn_marked(&mut self, mss: u32) {
        self.congestion.start(mss);
    }

    /// An ACK delivered so much while the window is reduced.
    pub(super) fn pace_reduction(&mut self, delivered: u32, flight: Flight, is_safe: bool) {
        if delivered == 0 || !self.is_reducing() {
            return;
        }
        let (in_flight, ssthresh) = (self.in_flight(flight), self.congestion.ssthresh());
        if let Some(cwr) = self.recovery.cwr_mut() {
            cwr.prr.on_ack(delivered, in_flight, ssthresh, flight.mss, is_safe);
        }
    }

    /// So much went out while the window is reduced.
    pub(super) fn spend(&mut self, bytes: u32) {
        if let Some(cwr) = self.recovery.cwr_mut() {
            cwr.prr.on_sent(bytes);
        }
    }

    /// A loss was found, and recovery begins, which ends a reduction for marks: the window is not
    /// reduced a second time for one window of data.
    pub(super) fn on_loss(&mut self, now: Instant, in_flight: u32, mss: u32) {
        let was_reduced = self.recovery.take_cwr().is_some();
        if !was_reduced || self.congestion.rules_recovery() {
            let kind = CongestionKind::Loss;
            self.congestion.on_congestion(&CongestionEvent::new(now, kind, in_flight, mss));
            self.owes_cwr = true;
        }
    }

    /// The retransmission timer ran out. Whether the threshold was set for what is in flight.
    pub(super) fn forget_reduction(&mut self, una: SeqNum) -> bool {
        self.owes_cwr = true;
        self.recovery.take_cwr().is_some_and(|cwr| cwr.high.after(una))
    }

    /// Whether the window was reduced and the peer not told yet, for what goes out now.
    pub(crate) fn take_cwr(&mut self) -> bool {
        core::mem::take(&mut self.owes_cwr)
    }

    /// Whether the peer is to be told.
    #[cfg(feature = "model")]
    pub(crate) fn owes_cwr(&self) -> bool {
        self.owes_cwr
    }
}
