//! Congestion control: how much may be in flight, and how fast it goes out.
//!
//! An algorithm is a [`Controller`]. It sees samples of what was sent, acknowledged and lost, and
//! never the connection. [`Algorithm`] is what a connection runs: one of ours, or a caller's own in
//! a box.

mod cubic;
mod hystart;
mod newreno;

use alloc::boxed::Box;
use core::fmt;

use crate::time::{Duration, Instant};
pub use cubic::Cubic;
pub use newreno::NewReno;

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
    /// Bytes a second that were delivered, where this ACK ends a sample: one a round trip.
    pub delivery_rate: Option<u64>,
    /// Bytes still in flight.
    pub in_flight: u32,
    /// Whether the window was what held the sender back while this was sent. If not, the sample
    /// says what the application sent, and not what the path can carry (app-limited).
    pub is_cwnd_limited: bool,
    /// Whether the ACK belongs to fast recovery.
    pub is_in_recovery: bool,
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
        in_flight: 0,
        is_cwnd_limited: true,
        is_in_recovery: false,
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

    /// Bytes a second at which to pace; `None` for no pacing.
    fn pacing_rate(&self) -> Option<u64> {
        None
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
    // A box in a box: a connection has 8 bytes for it, not 16.
    Custom(Box<Box<dyn Controller>>),
}

/// Calls the algorithm: without a table of functions where it is one of ours.
macro_rules! with {
    ($algorithm:expr, $controller:ident => $call:expr) => {
        match &mut $algorithm.0 {
            Kind::NewReno($controller) => $call,
            Kind::Cubic($controller) => $call,
            Kind::Custom($controller) => $call,
            // There is nothing yet that it would change.
            Kind::FreshCubic(_) => {}
        }
    };
}

/// What it says; a fresh CUBIC says `$fresh`.
macro_rules! of {
    ($algorithm:expr, $controller:ident => $call:expr, $cwnd:pat => $fresh:expr) => {
        match &$algorithm.0 {
            Kind::NewReno($controller) => $call,
            Kind::Cubic($controller) => $call,
            Kind::Custom($controller) => $call,
            Kind::FreshCubic($cwnd) => $fresh,
        }
    };
}

impl Algorithm {
    /// The engine's own by its name in `TCP_CONGESTION`: `reno` or `cubic`. `None` where there is
    /// none, for which Linux says ENOENT.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::of(0), Self::of(1)].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// By the place of its name in `tcp_congestion_control`.
    pub(crate) fn of(place: u64) -> Self {
        match place {
            0 => Self(Kind::NewReno(NewReno::default())),
            _ => Self(Kind::FreshCubic(0)),
        }
    }

    /// A caller's own.
    pub fn custom(controller: impl Controller + 'static) -> Self {
        Self(Kind::Custom(Box::new(Box::new(controller))))
    }

    pub(crate) fn start(&mut self, cwnd: u32) {
        match &mut self.0 {
            Kind::Cubic(_) | Kind::FreshCubic(_) => self.0 = Kind::FreshCubic(cwnd),
            Kind::NewReno(controller) => controller.start(cwnd),
            Kind::Custom(controller) => controller.start(cwnd),
        }
    }

    /// A CUBIC that is fresh no longer.
    fn begin(&mut self) {
        if let Kind::FreshCubic(cwnd) = self.0 {
            let mut cubic = Box::<Cubic>::default();
            cubic.start(cwnd);
            self.0 = Kind::Cubic(cubic);
        }
    }

    pub(crate) fn on_sent(&mut self, sample: &SendSample) {
        with!(self, controller => controller.on_sent(sample));
    }

    pub(crate) fn on_ack(&mut self, sample: &RateSample) {
        if sample.is_cwnd_limited {
            self.begin();
        }
        with!(self, controller => controller.on_ack(sample));
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

    pub(crate) fn ssthresh(&self) -> u32 {
        of!(self, controller => controller.ssthresh(), _ => u32::MAX)
    }

    pub(crate) fn pacing_rate(&self) -> Option<u64> {
        of!(self, controller => controller.pacing_rate(), _ => None)
    }

    /// As in `TCP_CONGESTION`.
    pub fn name(&self) -> &'static str {
        of!(self, controller => controller.name(), _ => "cubic")
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
            Self::Custom(controller) => Self::Custom(Box::new(controller.boxed())),
        }
    }
}
