//! When and how much a connection may send: round trips, the retransmission timer, loss recovery,
//! congestion control, in one place with one door.
//!
//! It knows sequence numbers, time and itself, and nothing of the connection. That one says what
//! went out ([`Sender::on_sent`]), what the peer acknowledged ([`Sender::on_ack`]) and that the
//! time has come ([`Sender::on_timer`]), and asks what may go out now ([`Sender::next`]).
//!
//! | question | file |
//! | --- | --- |
//! | how long is a round trip, and how fast is delivered what is sent? | `rtt.rs` |
//! | when does the retransmission timer fire? | `rto.rs` |
//! | what is in flight, and since when? | `sent.rs` |
//! | how fast is it delivered? | `rate.rs` |
//! | what does an ACK change where the peer knows no selective ones? | `plain.rs` |
//! | what does a selective ACK, or the time after one, change? | `selective.rs` |
//! | what is lost, and sent again? | `recovery/` |
//! | how much may be in flight? | `congestion/` |
//! | what does an ACK tell of marks, and what does that change? | `echo.rs`, `cwr.rs` |
//! | was the congestion window what held the sender back? | `usage.rs` |
//! | how large a segment does the path carry? | `mtu.rs` |

pub mod congestion;
mod cwr;
mod echo;
#[cfg(feature = "model")]
mod fingerprint;
mod mtu;
mod plain;
mod rate;
mod recovery;
mod rto;
mod rtt;
mod selective;
mod sent;
mod usage;

use alloc::boxed::Box;
use core::ops::Range;

use fourwave_wire::SeqNum;

use crate::time::{Duration, Instant};
use congestion::{Algorithm, RtoEvent, SendSample};
use mtu::MtuSearch;
use recovery::{NewReno, Reordering, Sack};
use rto::RtoTimer;
use rtt::{Rtt, RttSampler};
use selective::Recovery;
use usage::CwndUsage;

pub(crate) use echo::{Count, Echo, Told};
pub(crate) use mtu::{MtuKnobs, MtuStep, Supply};
pub use recovery::CaState;
pub(crate) use recovery::Proof;
pub(crate) use rto::{INITIAL_RTO, RtoLimits};
pub(crate) use selective::Found;
pub(crate) use sent::Flight;

/// What bounds the next segment beside the congestion window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendLimits {
    /// The largest payload that the device takes under one header.
    pub(crate) largest: u32,
    /// Segments that are worth a header of their own, however slow the path.
    pub(crate) min_segments: u32,
    /// New data or a FIN may go out, the congestion window apart; told while
    /// [`Sender::wants_new`].
    pub(crate) has_new: bool,
}

/// What may go out next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextData {
    /// Sequence numbers that were sent before, and go first; an empty range has to wait.
    Retransmit(Range<SeqNum>),
    /// So many bytes of new data.
    New(u32),
    /// Nothing before the time of departure.
    Paced,
}

/// Which segment went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The SYN, for the first time or again.
    Syn {
        /// For the first time.
        is_first: bool,
    },
    /// New data or a FIN.
    New {
        /// Its first number.
        start: SeqNum,
        /// Nothing was in flight, a SYN included.
        was_idle: bool,
    },
    /// Data or a FIN again.
    Again {
        /// Its first number.
        start: SeqNum,
    },
}

/// An ACK that moves SND.UNA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    /// What is in flight behind it.
    pub(crate) flight: Flight,
    /// Sequence numbers that it acknowledges, a FIN included.
    pub(crate) acked: u32,
    /// Bytes that it acknowledges.
    pub(crate) data: u32,
    /// How old the timestamp is that it echoes, where [`Sender::wants_echo`] asked.
    pub(crate) echo_age: Option<Duration>,
    /// What it acknowledges selectively.
    pub(crate) sacks: &'a [(SeqNum, SeqNum)],
    /// What it echoes.
    pub(crate) echo: Echo,
}

/// Which timer has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The retransmission timeout, or a probe of the peer's window.
    Retransmission,
    /// What may have been reordered has had its time, or the tail of a flight (RFC 8985).
    Early,
}

/// What the retransmission timer fired for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimerFor {
    /// Nothing is in flight, and a closed or small window holds what waits.
    Window,
    /// Our SYN.
    Syn,
    /// Data or a FIN.
    Data(Flight),
}

/// The figures of a sender, for TCP_INFO.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderInfo {
    pub(crate) cwnd: u32,
    /// `u32::MAX` before the first loss.
    pub(crate) ssthresh: u32,
    pub(crate) srtt: Duration,
    pub(crate) rttvar: Duration,
    pub(crate) min_rtt: Duration,
    pub(crate) backoff: u8,
    pub(crate) ca_state: CaState,
    /// Bytes a second; `None` when nothing is paced.
    pub(crate) pacing_rate: Option<u64>,
    pub(crate) congestion: &'static str,
    pub(crate) path: PathInfo,
}

/// What is known of what is in flight, in sequence numbers, and of the order in which it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathInfo {
    pub(crate) sacked: u32,
    pub(crate) lost: u32,
    pub(crate) retrans: u32,
    pub(crate) reordering: u16,
    pub(crate) reord_seen: u16,
}

/// The sender of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    rtt: Rtt,
    sampler: RttSampler,
    rto: RtoTimer,
    recovery: Recovery,
    congestion: Algorithm,
    usage: CwndUsage,
    /// Only where the path is probed for its MTU.
    mtu: Option<Box<MtuSearch>>,
    /// The window was reduced, and no new text went out since (RFC 3168 §6.1.2).
    owes_cwr: bool,
    /// When anything went out, an ACK included.
    last_sent_at: Instant,
}

impl Sender {
    /// A sender whose first sequence number is `iss`.
    pub(crate) fn new(iss: SeqNum, now: Instant, congestion: Algorithm) -> Self {
        Self {
            rtt: Rtt::default(),
            sampler: RttSampler::idle(),
            rto: RtoTimer::new(now),
            recovery: Recovery::Unknown,
            congestion,
            usage: CwndUsage::new(iss),
            mtu: None,
            owes_cwr: false,
            last_sent_at: now,
        }
    }

    /// The handshake told the size of a segment, and so the first congestion window in bytes, and
    /// whether the peer acknowledges selectively.
    pub(crate) fn start(&mut self, initial_cwnd: u32, has_sack: bool) {
        self.congestion.start(initial_cwnd);
        self.recovery = match has_sack {
            true => Recovery::Sack(Reordering::default(), None),
            false => Recovery::NewReno(Box::new(NewReno::new())),
        };
    }

    /// Another congestion control from now on.
    pub(crate) fn set_congestion(&mut self, algorithm: Algorithm) {
        let cwnd = self.congestion.cwnd();
        self.congestion = algorithm;
        self.congestion.start(cwnd);
        let is_sampled = self.congestion.wants_rates();
        if let Some(sack) = self.recovery.sack_mut() {
            sack.ask_rates(is_sampled);
        }
    }

    /// What may go out of `flight`'s data: what was lost first, then what is new.
    pub(crate) fn next(&self, now: Instant, flight: Flight, limits: &SendLimits) -> NextData {
        let mss = flight.mss;
        let burst = self.burst(mss, limits);
        let (lost, fast) = match &self.recovery {
            // RFC 5681 §3.2 step 3: the fast retransmission goes out whatever the window says, and
            // so does the first one after a timeout.
            Recovery::NewReno(newreno)
                if newreno.wants_new() && (limits.has_new || newreno.has_sent_new(flight.nxt)) =>
            {
                (None, false)
            }
            Recovery::NewReno(newreno) => {
                (newreno.retransmit(flight.una), newreno.in_fast_recovery())
            }
            Recovery::Sack(_, Some(sack)) if sack.probe_due => {
                return match sack.tail(&flight).filter(|_| !limits.has_new) {
                    Some(tail) => NextData::Retransmit(tail),
                    None => NextData::New(mss),
                };
            }
            Recovery::Sack(_, Some(sack)) => (sack.retransmit(), sack.first_due),
            Recovery::Sack(_, None) | Recovery::Unknown => (None, false),
        };
        if self.congestion.is_held(now) {
            return NextData::Paced;
        }
        let room = self.room(self.in_flight(flight), mss);
        if let Some(range) = lost {
            let room = if fast { mss } else { room / mss * mss };
            let end = flight.cut(&range, room.min(burst));
            return NextData::Retransmit(range.start..end);
        }
        NextData::New(room.min(burst))
    }

    /// Whether something that was lost is to go out again.
    pub(crate) fn has_lost(&self, flight: Flight) -> bool {
        self.recovery.has_lost(flight.una)
    }

    /// Whether a FIN alone has to wait for its time of departure.
    pub(crate) fn is_held(&self, now: Instant) -> bool {
        self.congestion.is_held(now)
    }

    /// Something waits for the time of departure, and is to be asked for then.
    pub(crate) fn wait(&mut self) {
        self.congestion.wait();
    }

    /// Nothing waits to be sent: less goes out than might, unless the window or the pace holds it.
    pub(crate) fn on_drained(&mut self, now: Instant) {
        if !self.congestion.wants_rates() || self.congestion.is_held(now) {
            return;
        }
        let cwnd = self.congestion.cwnd();
        if let Some(sack) = self.recovery.sack_mut().filter(|sack| sack.in_flight() < cwnd) {
            sack.on_app_limited();
        }
    }

    fn in_flight(&self, flight: Flight) -> u32 {
        match &self.recovery {
            Recovery::NewReno(newreno) => newreno.in_flight(flight.una, flight.nxt),
            Recovery::Sack(_, Some(sack)) => sack.in_flight(),
            Recovery::Sack(_, None) => 0,
            Recovery::Unknown => flight.nxt.since(flight.una),
        }
    }

    /// Bytes that the congestion window has room for beside those in flight.
    fn room(&self, in_flight: u32, mss: u32) -> u32 {
        if let Some(budget) = self.budget() {
            // An ACK of what was named before delivers nothing, and none is to come.
            let is_stuck = in_flight == 0 && self.is_reducing();
            return if is_stuck { budget.max(mss) } else { budget };
        }
        // A caller's algorithm may say less than a segment, and nothing would ever go out.
        let cwnd = self.congestion.cwnd().max(mss);
        let inflation = match &self.recovery {
            Recovery::NewReno(newreno) => newreno.cwnd_inflation(),
            Recovery::Sack(..) | Recovery::Unknown => 0,
        };
        cwnd.saturating_add(inflation).saturating_sub(in_flight)
    }

    /// Payload bytes of the largest super-segment, a multiple of the segment size. As in Linux, at
    /// most half the congestion window, and what the path carries in a millisecond (at the pacing
    /// rate, where there is one): or the ACKs come back in bursts too.
    fn burst(&self, mss: u32, limits: &SendLimits) -> u32 {
        if limits.largest < 2 * mss {
            return mss;
        }
        let cwnd = self.congestion.cwnd();
        let in_slow_start = cwnd < self.congestion.ssthresh();
        let least = mss.saturating_mul(limits.min_segments);
        let burst = match self.congestion.pacing_rate() {
            None => self.rtt.burst(cwnd, in_slow_start, limits.largest),
            Some(rate) => self.rtt.burst_of(rate, limits.largest),
        };
        let burst = burst.max(least);
        (limits.largest.min(burst).min(cwnd / 2) / mss * mss).max(mss)
    }

    /// A segment went out that ends before `end`; `flight` is what is on its way now.
    pub(crate) fn on_sent(
        &mut self,
        now: Instant,
        end: SeqNum,
        sent: Sent,
        flight: Flight,
        limits: &RtoLimits,
    ) {
        match sent {
            Sent::Syn { is_first: true } => {
                // What its ACK acknowledges are no bytes.
                self.sampler.start(end, end, now);
                self.arm(now, limits);
            }
            Sent::Syn { is_first: false } => {
                self.sampler.void();
                self.arm(now, limits);
            }
            Sent::Again { start } => {
                self.spend(end.since(start));
                self.void_mtu_probe();
                match &mut self.recovery {
                    Recovery::NewReno(newreno) => newreno.retransmitted(start..end, now),
                    Recovery::Sack(_, Some(sack)) => {
                        sack.on_retransmitted(start..end, flight.nxt, now);
                    }
                    Recovery::Sack(_, None) | Recovery::Unknown => {}
                }
                self.sampler.void();
                self.arm(now, limits);
            }
            Sent::New { start, was_idle } => {
                if was_idle {
                    // A probe's timer may be running: the timeout starts with the data.
                    self.rto.on_progress(now);
                    self.rto.stop();
                }
                self.on_sent_new(now, start..end, flight, was_idle, limits);
            }
        }
        if let Sent::New { start, .. } | Sent::Again { start } = sent {
            self.congestion.pace(now, end.since(start));
        }
    }

    fn on_sent_new(
        &mut self,
        now: Instant,
        range: Range<SeqNum>,
        flight: Flight,
        was_idle: bool,
        limits: &RtoLimits,
    ) {
        let end = range.end;
        let len = end.since(range.start);
        self.spend(len);
        let size = self.segment_size(range.start, len, flight.mss);
        match &mut self.recovery {
            Recovery::Sack(reordering, sack) => {
                let is_sampled = self.congestion.wants_rates();
                let sack = sack.get_or_insert_with(|| Box::new(Sack::new(*reordering, is_sampled)));
                sack.on_new(range, size, now);
            }
            _ => self.sampler.start(end, flight.una, now),
        }
        if !self.rto.is_running() {
            self.arm(now, limits);
        }
        self.schedule_probe(now, flight, limits);
        let in_flight = self.in_flight(flight);
        let is_limited = self.room(in_flight, flight.mss) < flight.mss;
        self.usage.on_sent(flight.una, flight.nxt, in_flight, is_limited);
        let is_cwnd_limited = is_limited;
        let sample = SendSample { now, in_flight, is_cwnd_limited, was_idle, srtt: self.srtt() };
        self.congestion.on_sent(&sample);
    }

    /// Anything went out, an ACK or a probe included.
    pub(crate) fn on_any_sent(&mut self, now: Instant) {
        self.last_sent_at = now;
    }

    /// When anything last went out.
    pub(crate) fn last_sent_at(&self) -> Instant {
        self.last_sent_at
    }

    /// Whether the next ACK's echoed timestamp would be of use.
    pub(crate) fn wants_echo(&self) -> bool {
        self.rto.backoff > 0 || self.recovery.wants_echo()
    }

    /// Our SYN is acknowledged by `ack`; `is_in_flight` tells of anything behind it.
    pub(crate) fn on_syn_acked(
        &mut self,
        now: Instant,
        ack: SeqNum,
        echo_age: Option<Duration>,
        is_in_flight: bool,
        limits: &RtoLimits,
    ) {
        self.rto.on_progress(now);
        let _timed = self.take_rtt(now, ack, echo_age);
        self.rto.backoff = 0;
        self.rto.lost_syn |= self.rtt.srtt().is_none();
        self.rto.restart(now, is_in_flight, &self.rtt, limits);
    }

    /// The handshake of a half-open record is over: it took `rtt`, unless its SYN ACK went out more
    /// than once.
    pub(crate) fn on_handshake(&mut self, rtt: Option<Duration>) {
        match rtt {
            Some(rtt) => self.rtt.sample(rtt, rtt),
            None => self.rto.lost_syn = true,
        }
    }

    /// An ACK that moves SND.UNA, or that tells what arrived beyond a gap.
    pub(crate) fn on_ack(&mut self, now: Instant, ack: &Ack<'_>, limits: &RtoLimits) -> Told {
        if ack.acked > 0 {
            self.rto.on_progress(now);
        }
        let cwnd = self.congestion.cwnd();
        let is_cwnd_limited = self.usage.is_limit(cwnd, cwnd < self.congestion.ssthresh());
        if let Recovery::Sack(..) = self.recovery {
            return self.on_selective_ack(now, ack, is_cwnd_limited, limits);
        }
        let told = self.on_plain_ack(now, ack, is_cwnd_limited, limits);
        self.rto.restart(now, ack.flight.nxt != ack.flight.una, &self.rtt, limits);
        told
    }

    /// Which timer has run out; it is off then.
    pub(crate) fn take_timeout(&mut self, now: Instant) -> Option<Timer> {
        self.congestion.on_departure(now);
        // A probe takes the place of a timeout that is due at the same time (RFC 8985 §7.2).
        if self.early() <= now.min(self.rto.deadline) {
            return Some(Timer::Early);
        }
        self.rto.take_timeout(now).then_some(Timer::Retransmission)
    }

    /// The retransmission timer ran out, and the connection does not give up.
    pub(crate) fn on_timer(&mut self, now: Instant, what: TimerFor, limits: &RtoLimits) {
        self.rto.on_timeout();
        match what {
            TimerFor::Window => self.arm(now, limits),
            TimerFor::Syn => {}
            TimerFor::Data(flight) => {
                let before = self.windows();
                let is_reduced = self.forget_reduction(flight.una);
                self.congestion.on_rto(&RtoEvent {
                    now,
                    in_flight: self.in_flight(flight),
                    mss: flight.mss,
                    is_repeated: self.rto.timeouts > 1 || is_reduced,
                });
                let path = self.path(flight.mss);
                match &mut self.recovery {
                    Recovery::NewReno(newreno) => {
                        newreno.on_timeout(flight.una, flight.nxt, before);
                    }
                    Recovery::Sack(_, Some(sack)) => sack.on_timeout(now, flight, &path, before),
                    Recovery::Sack(_, None) | Recovery::Unknown => {}
                }
                self.tell_lost(now, flight.mss);
            }
        }
    }

    /// When a timer fires; `NEVER` while none runs.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.rto.deadline.min(self.early()).min(self.congestion.departure())
    }

    /// RFC 9293 §3.8.6.1: nothing is in flight, so nothing but a probe would bring an ACK.
    pub(crate) fn arm_probe(&mut self, now: Instant, limits: &RtoLimits) {
        if !self.rto.is_running() {
            self.rto.progress_at = now;
            self.arm(now, limits);
        }
    }

    /// The peer answered, and nothing that it answered was in flight: it lives, however small its
    /// window is (RFC 9293 §3.8.6, §3.8.6.1).
    pub(crate) fn on_probe_answered(&mut self) {
        self.rto.timeouts = 0;
    }

    /// The window that was probed is open.
    pub(crate) fn on_window_opened(&mut self) {
        self.rto.backoff = 0;
        self.rto.stop();
    }

    /// The retransmission timer is off.
    pub(crate) fn stop_timer(&mut self) {
        self.rto.stop();
        if let Some(sack) = self.recovery.sack_mut() {
            sack.stop_timers();
        }
    }

    /// RFC 5681 §4.1: after a pause of a timeout the window says nothing about the path.
    pub(crate) fn on_idle(&mut self, now: Instant, initial_cwnd: u32, limits: &RtoLimits) {
        if now.since(self.last_sent_at) > self.rto(limits) {
            self.congestion.on_idle(initial_cwnd);
            let cwnd = self.congestion.cwnd();
            if let Some(cwr) = self.recovery.cwr_mut() {
                cwr.prr.limit(cwnd);
            }
        }
    }

    fn arm(&mut self, now: Instant, limits: &RtoLimits) {
        self.rto.start(now, &self.rtt, limits);
    }

    /// The timeout, back-off included.
    pub(crate) fn rto(&self, limits: &RtoLimits) -> Duration {
        self.rto.timeout(&self.rtt, limits)
    }

    /// Timeouts in a row, or probes that nothing answered.
    pub(crate) fn timeouts(&self) -> u8 {
        self.rto.timeouts
    }

    /// Times the timeout was doubled since the last progress.
    pub(crate) fn backoff(&self) -> u8 {
        self.rto.backoff
    }

    /// When SND.UNA last moved, or data went out with none before it.
    pub(crate) fn progress_at(&self) -> Instant {
        self.rto.progress_at
    }

    /// The smoothed round-trip time; zero before the first sample.
    pub(crate) fn srtt(&self) -> Duration {
        self.rtt.srtt().unwrap_or_default()
    }

    /// The congestion window in bytes.
    pub(crate) fn cwnd(&self) -> u32 {
        self.congestion.cwnd()
    }

    /// Bytes that the send buffer should have.
    pub(crate) fn send_buffer(&self) -> u32 {
        self.congestion.send_buffer()
    }

    pub(crate) fn info(&self) -> SenderInfo {
        SenderInfo {
            cwnd: self.told_cwnd(),
            ssthresh: self.congestion.ssthresh(),
            srtt: self.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min(),
            backoff: self.rto.backoff,
            ca_state: self.ca_state(),
            pacing_rate: self.congestion.pacing_rate(),
            congestion: self.congestion.name(),
            path: self.path_info(),
        }
    }
}
