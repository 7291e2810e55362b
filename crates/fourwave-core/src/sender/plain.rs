//! The sender where the peer acknowledges in order only: duplicates are counted, and one segment at
//! a time tells the round trip and the rate (RFC 6582, RFC 6298).

use fourwave_wire::SeqNum;

use super::congestion::{CongestionEvent, CongestionKind, Delivery, RateSample};
use super::recovery::{Before, RecoveryEvent};
use super::rtt::Timed;
use super::selective::Recovery;
use super::{Ack, Flight, Found, RtoLimits, Sender, Told};
use crate::time::{Duration, Instant};

impl Sender {
    pub(super) fn on_plain_ack(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        is_cwnd_limited: bool,
        limits: &RtoLimits,
    ) -> Told {
        let Flight { una, nxt, mss, .. } = ack.flight;
        // As in Linux, what duplicates told already is counted once.
        let (event, told) = match &mut self.recovery {
            Recovery::NewReno(newreno) => {
                let told = newreno.told_by_duplicates(mss);
                (newreno.on_ack(una, ack.acked, mss, now, ack.echo_age), told)
            }
            _ => (RecoveryEvent::Ordinary, 0),
        };
        let acked = ack.data.saturating_sub(told).max(ack.data.min(mss));
        let marked = ack.echo.marked(acked, mss);
        let timed = self.take_rtt(now, una, ack.echo_age);
        let in_flight = nxt.since(una);
        // Without SACK a sample is simple: one a round trip, and losses are not counted.
        let delivery = timed.filter(|timed| timed.delivered > 0).map(|timed| Delivery {
            delivered: timed.delivered,
            interval: timed.rtt,
            in_flight: timed.delivered,
            lost: 0,
            is_app_limited: !is_cwnd_limited,
        });
        self.end_reduction(now, ack.flight);
        if marked.packets > 0 && event == RecoveryEvent::Ordinary {
            self.on_echo(now, ack.flight, in_flight + ack.acked, limits);
        }
        self.pace_reduction(acked, ack.flight, true);
        if event == RecoveryEvent::Recovered {
            let kind = CongestionKind::Recovered;
            self.congestion.on_congestion(&CongestionEvent::new(now, kind, in_flight, mss));
        }
        let mut found = Found::Nothing;
        if let RecoveryEvent::Spurious(Before { cwnd, ssthresh }, proof) = event {
            self.congestion.undo(cwnd, ssthresh);
            found = Found::Spurious(proof);
        }
        let sample = self.sample(now, ack, acked, timed.map(|timed| timed.rtt));
        self.congestion.on_ack(&RateSample {
            delivery_rate: timed.and_then(Timed::delivery_rate),
            delivery,
            in_flight,
            is_cwnd_limited,
            is_in_recovery: matches!(event, RecoveryEvent::PartialAck | RecoveryEvent::Recovered),
            marked: marked.bytes,
            may_grow: sample.may_grow && event == RecoveryEvent::Ordinary,
            ..sample
        });
        ack.echo.told(found, marked)
    }

    /// An ACK that says only what the one before it said (RFC 5681 §2): it may mean a loss.
    pub(crate) fn on_duplicate_ack(&mut self, now: Instant, flight: Flight) -> Found {
        let (in_flight, before) = (self.in_flight(flight), self.windows());
        let Recovery::NewReno(newreno) = &mut self.recovery else { return Found::Nothing };
        if !newreno.on_duplicate_ack(flight.una, flight.nxt, flight.mss, before) {
            self.pace_reduction(flight.mss, flight, false);
            return Found::Nothing;
        }
        if !self.is_reducing() && self.repairs_mtu_probe(flight) {
            return Found::MtuProbe;
        }
        self.on_loss(now, in_flight, flight.mss);
        Found::Loss
    }

    /// A sample of the round-trip time, where `ack` gives one.
    pub(super) fn take_rtt(
        &mut self,
        now: Instant,
        ack: SeqNum,
        echo_age: Option<Duration>,
    ) -> Option<Timed> {
        // RFC 7323 §4.1: the echo names the copy that arrived. Its milliseconds are too coarse
        // for a fast path, so it serves only where the sampler cannot: after a back-off.
        let echoed = || echo_age.map(|rtt| Timed { rtt, delivered: 0 });
        let timed = self.sampler.stop(ack, now).or_else(echoed)?;
        self.rtt.sample(timed.rtt, timed.rtt);
        self.rto.backoff = 0;
        Some(timed)
    }
}
