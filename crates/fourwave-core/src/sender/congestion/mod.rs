//! Congestion control: how much may be in flight, and how fast it goes out.
//!
//! An algorithm is a [`Controller`]. It sees samples of what was sent, acknowledged and lost, and
//! never the connection. [`Algorithm`] is what a connection runs: one of ours, or a caller's own in
//! a box.

mod bbr;
mod cubic;
mod hystart;
mod newreno;
mod pacer;

use alloc::boxed::Box;
use core::fmt;

use crate::time::{Duration, Instant};
pub use bbr::Bbr;
pub use cubic::Cubic;
pub use newreno::NewReno;
use pacer::Pacer;

/// Windows beyond this are of no use to anyone and keep sums within 64 bits.
const MAX_CWND: u32 = 1 << 30;

/// New data went out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SendSample {
    /// When.
    pub now: Instant,
    /// Bytes in flight, these included.
    pub in_flight: u32,
    /// Whether no further full segment fits into the window: otherwise the application, or the
    /// peer's window, holds the sender back.
    pub is_cwnd_limited: bool,
    /// Whether nothing was in flight before.
    pub was_idle: bool,
    /// The smoothed round-trip time; zero before the first sample.
    pub srtt: Duration,
}

/// What the network did since a segment went out (draft-ietf-ccwg-bbr-06 §4.1): the newest of those
/// that an ACK tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Bytes delivered since, its own included.
    pub delivered: u32,
    /// How long that took: by what was sent, or by what was acknowledged, whichever is longer.
    pub interval: Duration,
    /// Bytes in flight when it went out, its own included; to one part in 500.
    pub in_flight: u32,
    /// Bytes found lost since.
    pub lost: u32,
    /// Whether the application held the sender back when it went out, so that the rate says nothing
    /// about the path.
    pub is_app_limited: bool,
}

/// Something was found lost.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LossSample {
    /// When.
    pub now: Instant,
    /// Bytes newly found lost.
    pub lost: u32,
    /// Holes that are not neighbours in it.
    pub holes: u16,
    /// Since the last of it went out: `lost` includes it, and nothing is `delivered`.
    pub since: Delivery,
    /// Payload bytes of a full segment.
    pub mss: u32,
}

/// New data was acknowledged.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RateSample {
    /// When.
    pub now: Instant,
    /// Bytes newly acknowledged.
    pub acked: u32,
    /// The round trip that this ACK measured, if it did.
    pub rtt: Option<Duration>,
    /// The smoothed round-trip time; zero before the first sample.
    pub srtt: Duration,
    /// The smallest round-trip time; zero before the first sample.
    pub min_rtt: Duration,
    /// Bytes a second that were delivered, where this ACK ends a sample.
    pub delivery_rate: Option<u64>,
    /// What that sample is made of. With SACK each ACK ends one, without one a round trip does.
    pub delivery: Option<Delivery>,
    /// Bytes still in flight.
    pub in_flight: u32,
    /// Whether the window was what held the sender back while this was sent. If not, the sample
    /// says what the application sent, and not what the path can carry (app-limited).
    pub is_cwnd_limited: bool,
    /// Whether the ACK belongs to fast recovery.
    pub is_in_recovery: bool,
    /// Whether it belongs to the recovery from a timeout.
    pub is_after_timeout: bool,
    /// Whether a window may grow by it: not by recovery's ACKs, and not by what was only
    /// acknowledged selectively (RFC 3042 §2) unless the network is known to reorder widely.
    pub may_grow: bool,
    /// Bytes newly found lost; 0 where recovery does not count them, as NewReno's does not.
    pub lost: u32,
    /// Bytes newly acknowledged whose packets were marked; 0 without ECN.
    pub marked: u32,
    /// Payload bytes of a full segment.
    pub mss: u32,
}

/// What a [`CongestionEvent`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionKind {
    /// A loss was found before the retransmission timer found it.
    Loss,
    /// Packets were marked (ECN), and none is known to be lost.
    Marked,
    /// Everything that was in flight when the loss was found is acknowledged.
    Recovered,
}

/// The path is congested, or no longer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CongestionEvent {
    /// When.
    pub now: Instant,
    /// What happened.
    pub kind: CongestionKind,
    /// Bytes in flight: with [`Loss`](CongestionKind::Loss), before it was found; with
    /// [`Recovered`](CongestionKind::Recovered), what recovery lets be in flight at its end.
    pub in_flight: u32,
    /// Payload bytes of a full segment.
    pub mss: u32,
    /// With [`Marked`](CongestionKind::Marked): it is to leave more of the window than a loss
    /// would (ABE, RFC 8511), by the knob `tcp_abe`.
    pub is_abe: bool,
}

impl CongestionEvent {
    /// One that has nothing to do with ABE.
    pub(crate) const fn new(now: Instant, kind: CongestionKind, in_flight: u32, mss: u32) -> Self {
        Self { now, kind, in_flight, mss, is_abe: false }
    }

    /// What ABE leaves of `bytes`, so many hundredths; `None` where it has no say.
    fn abe_share(&self, bytes: u32, hundredths: u64) -> Option<u32> {
        let is_abe = self.is_abe && self.kind == CongestionKind::Marked;
        is_abe.then(|| ((u64::from(bytes) * hundredths / 100) as u32).max(2 * self.mss))
    }
}

/// The retransmission timer ran out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RtoEvent {
    /// When.
    pub now: Instant,
    /// Bytes in flight.
    pub in_flight: u32,
    /// Payload bytes of a full segment.
    pub mss: u32,
    /// Not for the first time since something was acknowledged.
    pub is_repeated: bool,
}

/// A sample of a full window's ACK.
#[cfg(test)]
fn ack_of(acked: u32) -> RateSample {
    RateSample {
        now: Instant::ZERO,
        acked,
        rtt: None,
        srtt: Duration::ZERO,
        min_rtt: Duration::ZERO,
        delivery_rate: None,
        delivery: None,
        in_flight: 0,
        is_cwnd_limited: true,
        is_in_recovery: false,
        is_after_timeout: false,
        may_grow: true,
        lost: 0,
        marked: 0,
        mss: 1000,
    }
}

/// A congestion control algorithm of one connection.
///
/// Each call is made once for what it is about, in the order of time. An algorithm never blocks and
/// reads no clock. O(1) for each call, or the engine is not.
pub trait Controller: fmt::Debug + Send {
    /// As in `TCP_CONGESTION`.
    fn name(&self) -> &'static str;

    /// The window to begin with, in bytes: the initial window (RFC 6928), or that of the algorithm
    /// before this one.
    fn start(&mut self, cwnd: u32);

    /// New data went out. Retransmissions are not told.
    fn on_sent(&mut self, _sample: &SendSample) {}

    /// New data was acknowledged.
    fn on_ack(&mut self, sample: &RateSample);

    /// Something was found lost, before or behind what recovery makes of it. Not told where
    /// recovery does not count losses, as NewReno's does not.
    fn on_lost(&mut self, _sample: &LossSample) {}

    /// A loss, a mark, or the end of recovery.
    fn on_congestion(&mut self, event: &CongestionEvent);

    /// The retransmission timer ran out: all that is in flight counts as lost.
    fn on_rto(&mut self, event: &RtoEvent);

    /// What the last call of [`on_rto`](Self::on_rto) was about was no congestion: the path was
    /// only late (RFC 5682, RFC 4015). The windows before it, in bytes.
    fn undo(&mut self, cwnd: u32, ssthresh: u32);

    /// Nothing was sent for longer than a retransmission timeout; a connection would begin with
    /// `initial_cwnd` bytes (RFC 5681 §4.1).
    fn on_idle(&mut self, initial_cwnd: u32);

    /// The congestion window in bytes. Less than a full segment counts as one.
    fn cwnd(&self) -> u32;

    /// The slow-start threshold in bytes; `u32::MAX` before the first loss.
    fn ssthresh(&self) -> u32;

    /// Bytes a second at which to pace; `None` for no pacing. All data is paced, probes are not.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// Whether the window rules in fast recovery, too; proportional rate reduction does otherwise
    /// (RFC 9937), down to the slow-start threshold.
    fn rules_recovery(&self) -> bool {
        false
    }

    /// Bytes that the send buffer should have: twice the window is enough to keep the path full
    /// where the window is what holds the sender back.
    fn send_buffer(&self) -> u32 {
        self.cwnd().saturating_mul(2)
    }

    /// A copy of it.
    fn boxed(&self) -> Box<dyn Controller>;
}

/// The congestion control that a connection runs: one of the engine's own, or a caller's.
#[derive(Debug, Clone)]
pub struct Algorithm(Kind);

#[derive(Debug)]
enum Kind {
    NewReno(NewReno),
    /// CUBIC before its window ever held anything back: only the window, in bytes. Most connections
    /// end, and nearly all begin to wait, with no more than that.
    FreshCubic(u32),
    Cubic(Box<Cubic>),
    /// BBR before anything went out: only the window, in bytes.
    FreshBbr(u32),
    Bbr(Box<Paced<Bbr>>),
    // A box in a box: a connection has 8 bytes for it, not 16.
    Custom(Box<Paced<Box<dyn Controller>>>),
}

/// An algorithm that may pace.
#[derive(Debug, Clone)]
struct Paced<C> {
    controller: C,
    pacer: Pacer,
}

/// Calls the algorithm: without a table of functions where it is one of ours.
macro_rules! with {
    ($algorithm:expr, $controller:ident => $call:expr) => {
        match &mut $algorithm.0 {
            Kind::NewReno($controller) => $call,
            Kind::Cubic($controller) => $call,
            Kind::Custom(paced) => {
                let $controller = &mut paced.controller;
                $call
            }
            Kind::Bbr(paced) => {
                let $controller = &mut paced.controller;
                $call
            }
            // There is nothing yet that it would change.
            Kind::FreshCubic(_) | Kind::FreshBbr(_) => {}
        }
    };
}

/// What it says; a fresh one says `$fresh`.
macro_rules! of {
    ($algorithm:expr, $controller:ident => $call:expr, $cwnd:pat => $fresh:expr) => {
        match &$algorithm.0 {
            Kind::NewReno($controller) => $call,
            Kind::Cubic($controller) => $call,
            Kind::Custom(paced) => {
                let $controller = &paced.controller;
                $call
            }
            Kind::Bbr(paced) => {
                let $controller = &paced.controller;
                $call
            }
            Kind::FreshCubic($cwnd) | Kind::FreshBbr($cwnd) => $fresh,
        }
    };
}

impl Algorithm {
    /// The engine's own by its name in `TCP_CONGESTION`: `reno`, `cubic` or `bbr`. `None` where
    /// there is none, for which Linux says ENOENT.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::of(0), Self::of(1), Self::of(2)]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// By the place of its name in `tcp_congestion_control`.
    pub(crate) fn of(place: u64) -> Self {
        match place {
            0 => Self(Kind::NewReno(NewReno::default())),
            1 => Self(Kind::FreshCubic(0)),
            _ => Self(Kind::FreshBbr(0)),
        }
    }

    /// A caller's own.
    pub fn custom(controller: impl Controller + 'static) -> Self {
        let (controller, pacer): (Box<dyn Controller>, _) = (Box::new(controller), Pacer::new());
        Self(Kind::Custom(Box::new(Paced { controller, pacer })))
    }

    pub(crate) fn start(&mut self, cwnd: u32) {
        match &mut self.0 {
            Kind::Cubic(_) | Kind::FreshCubic(_) => self.0 = Kind::FreshCubic(cwnd),
            Kind::Bbr(_) | Kind::FreshBbr(_) => self.0 = Kind::FreshBbr(cwnd),
            Kind::NewReno(controller) => controller.start(cwnd),
            Kind::Custom(paced) => paced.controller.start(cwnd),
        }
    }

    /// One that is fresh no longer.
    fn begin(&mut self) {
        match self.0 {
            Kind::FreshCubic(cwnd) => {
                let mut cubic = Box::<Cubic>::default();
                cubic.start(cwnd);
                self.0 = Kind::Cubic(cubic);
            }
            Kind::FreshBbr(cwnd) => {
                let mut controller = Bbr::default();
                controller.start(cwnd);
                self.0 = Kind::Bbr(Box::new(Paced { controller, pacer: Pacer::new() }));
            }
            _ => {}
        }
    }

    pub(crate) fn on_sent(&mut self, sample: &SendSample) {
        if matches!(self.0, Kind::FreshBbr(_)) {
            self.begin();
        }
        with!(self, controller => controller.on_sent(sample));
    }

    pub(crate) fn on_ack(&mut self, sample: &RateSample) {
        if sample.is_cwnd_limited {
            self.begin();
        }
        with!(self, controller => controller.on_ack(sample));
    }

    pub(crate) fn on_lost(&mut self, sample: &LossSample) {
        with!(self, controller => controller.on_lost(sample));
    }

    pub(crate) fn on_congestion(&mut self, event: &CongestionEvent) {
        self.begin();
        with!(self, controller => controller.on_congestion(event));
    }

    pub(crate) fn on_rto(&mut self, event: &RtoEvent) {
        self.begin();
        with!(self, controller => controller.on_rto(event));
    }

    pub(crate) fn undo(&mut self, cwnd: u32, ssthresh: u32) {
        self.begin();
        with!(self, controller => controller.undo(cwnd, ssthresh));
    }

    pub(crate) fn on_idle(&mut self, initial_cwnd: u32) {
        with!(self, controller => controller.on_idle(initial_cwnd));
    }

    pub(crate) fn cwnd(&self) -> u32 {
        of!(self, controller => controller.cwnd(), cwnd => *cwnd)
    }

    pub(crate) fn send_buffer(&self) -> u32 {
        of!(self, controller => controller.send_buffer(), cwnd => cwnd.saturating_mul(2))
    }

    pub(crate) fn ssthresh(&self) -> u32 {
        of!(self, controller => controller.ssthresh(), _ => u32::MAX)
    }

    pub(crate) fn pacing_rate(&self) -> Option<u64> {
        of!(self, controller => controller.pacing_rate(), _ => None)
    }

    pub(crate) fn rules_recovery(&self) -> bool {
        of!(self, controller => controller.rules_recovery(), _ => false)
    }

    /// Whether it reads samples of the delivery rate.
    pub(crate) fn wants_rates(&self) -> bool {
        matches!(self.0, Kind::Bbr(_) | Kind::FreshBbr(_) | Kind::Custom(_))
    }

    /// Of those that may pace.
    fn pacer(&self) -> Option<&Pacer> {
        match &self.0 {
            Kind::Bbr(paced) => Some(&paced.pacer),
            Kind::Custom(paced) => Some(&paced.pacer),
            _ => None,
        }
    }

    fn pacer_mut(&mut self) -> Option<&mut Pacer> {
        match &mut self.0 {
            Kind::Bbr(paced) => Some(&mut paced.pacer),
            Kind::Custom(paced) => Some(&mut paced.pacer),
            _ => None,
        }
    }

    /// Whether data that goes out now would be too early for the pacing rate.
    pub(crate) fn is_held(&self, now: Instant) -> bool {
        self.pacer().is_some_and(|pacer| pacer.holds(now))
    }

    /// Data waits until it is held no longer.
    pub(crate) fn wait(&mut self) {
        if let Some(pacer) = self.pacer_mut() {
            pacer.wait();
        }
    }

    /// When what waits is held no longer; `NEVER` where nothing waits.
    pub(crate) fn departure(&self) -> Instant {
        self.pacer().map_or(Instant::NEVER, Pacer::deadline)
    }

    /// The time of departure has come, if it has.
    pub(crate) fn on_departure(&mut self, now: Instant) {
        if let Some(pacer) = self.pacer_mut() {
            pacer.on_timer(now);
        }
    }

    /// So many bytes went out, for the first time or again.
    pub(crate) fn pace(&mut self, now: Instant, bytes: u32) {
        if self.pacer().is_none() {
            return;
        }
        if let (Some(rate), Some(pacer)) = (self.pacing_rate(), self.pacer_mut()) {
            pacer.on_sent(now, bytes, rate);
        }
    }

    /// As in `TCP_CONGESTION`.
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::FreshBbr(_) => "bbr",
            _ => of!(self, controller => controller.name(), _ => "cubic"),
        }
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Self(Kind::FreshCubic(0))
    }
}

impl Clone for Kind {
    fn clone(&self) -> Self {
        match self {
            Self::NewReno(controller) => Self::NewReno(*controller),
            Self::FreshCubic(cwnd) => Self::FreshCubic(*cwnd),
            Self::Cubic(controller) => Self::Cubic(controller.clone()),
            Self::FreshBbr(cwnd) => Self::FreshBbr(*cwnd),
            Self::Bbr(paced) => Self::Bbr(paced.clone()),
            Self::Custom(paced) => {
                let (controller, pacer) = (paced.controller.boxed(), paced.pacer);
                Self::Custom(Box::new(Paced { controller, pacer }))
            }
        }
    }
}
