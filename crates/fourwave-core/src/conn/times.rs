//! When data last passed, and what data that is to be sent waited for: the times of TCP_INFO.

use super::Connection;
use crate::state::State;
use crate::time::{Duration, Instant};

/// What a sender is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum About {
    /// Nothing is queued.
    #[default]
    Idle,
    /// Data is on its way, or waits for the congestion window.
    Busy,
    /// Data waits for the peer's window.
    PeerWindow,
    /// All is on its way, and the writer waits for room.
    SendBuffer,
}

/// The times of a connection beside its last ACK's, in milliseconds of the engine's clock, of which
/// 32 bits are kept: differences are right for 49 days, as Linux's are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    data_sent: u32,
    data_received: u32,
    /// Since when it is about `about`.
    since: u32,
    /// How long it was busy, beside what [`Setbacks`](super::setbacks::Setbacks) count.
    busy: u32,
    about: About,
}

/// Times of a connection as TCP_INFO tells them.
pub(super) struct Told {
    pub(super) last_data_sent: Duration,
    pub(super) last_data_recv: Duration,
    pub(super) busy: Duration,
    pub(super) rwnd_limited: Duration,
    pub(super) sndbuf_limited: Duration,
}

fn millis(now: Instant) -> u32 {
    (now.as_micros() / 1000) as u32
}

impl Times {
    /// Of a connection that opens now.
    pub(super) fn new(now: Instant) -> Self {
        let now = millis(now);
        Self { data_sent: now, data_received: now, since: now, busy: 0, about: About::Idle }
    }

    /// Data was sent; or our SYN is acknowledged, and what was sent before counts from here.
    pub(super) fn data_sent(&mut self, now: Instant) {
        self.data_sent = millis(now);
    }

    /// Data came in order.
    pub(super) fn data_received(&mut self, now: Instant) {
        self.data_received = millis(now);
    }

    /// Nothing is sent any more.
    pub(super) fn stop(&mut self) {
        self.about = About::Idle;
    }
}

impl Connection {
    /// When a segment last came or went.
    pub(crate) fn last_segment_at(&self) -> Instant {
        self.sender.last_sent_at().max(self.last_received_at)
    }

    /// Data got on. What of it waits is noted when the next goes out, or does not: so there is
    /// nothing to do where it was busy.
    #[inline]
    pub(super) fn note_progress(&mut self, now: Instant) {
        if self.times.about == About::Idle {
            self.times.since = millis(now);
            self.times.about = About::Busy;
        }
        if self.times.about != About::Busy || self.snd.starved {
            self.note_waits(now);
        }
    }

    /// Nothing is queued or in flight any more.
    #[inline]
    pub(super) fn note_idle(&mut self, now: Instant) {
        if self.times.about == About::Busy {
            let now = millis(now);
            self.times.busy = self.times.busy.saturating_add(now.wrapping_sub(self.times.since));
            self.times.about = About::Idle;
        } else if self.times.about != About::Idle {
            self.is_about(now, About::Idle);
        }
    }

    /// Takes note of what the sender is about from now on.
    pub(super) fn note_waits(&mut self, now: Instant) {
        let unsent = self.snd.unsent();
        let flight = self.snd.text_outstanding();
        let is_open = matches!(self.state, State::Established | State::CloseWait);
        let about = match unsent {
            0 if flight == 0 => About::Idle,
            0 if is_open && self.snd.starved => About::SendBuffer,
            0 => About::Busy,
            _ if flight.saturating_add(self.snd.mss) > self.sender.cwnd() => About::Busy,
            _ if flight.saturating_add(unsent.min(self.snd.mss)) > self.snd.window => {
                About::PeerWindow
            }
            _ => About::Busy,
        };
        if self.times.about != about {
            self.is_about(now, about);
        }
    }

    fn is_about(&mut self, now: Instant, about: About) {
        let now = millis(now);
        let time = now.wrapping_sub(self.times.since);
        match self.times.about {
            About::Idle => {}
            About::Busy => self.times.busy = self.times.busy.saturating_add(time),
            About::PeerWindow => {
                let limited = &mut self.set_back().rwnd_limited;
                *limited = limited.saturating_add(time);
            }
            About::SendBuffer => {
                let limited = &mut self.set_back().sndbuf_limited;
                *limited = limited.saturating_add(time);
            }
        }
        self.times.since = now;
        self.times.about = about;
    }

    pub(super) fn told_times(&self, now: Instant) -> Told {
        let now = millis(now);
        let Times { data_sent, data_received, since, busy, about } = self.times;
        let setbacks = self.setbacks();
        let ago = |then: u32| Duration::from_millis(now.wrapping_sub(then).into());
        let [mut busy, mut rwnd_limited, mut sndbuf_limited] =
            [busy, setbacks.rwnd_limited, setbacks.sndbuf_limited]
                .map(|millis| Duration::from_millis(millis.into()));
        match about {
            About::Idle => {}
            About::Busy => busy += ago(since),
            About::PeerWindow => rwnd_limited += ago(since),
            About::SendBuffer => sndbuf_limited += ago(since),
        }
        Told {
            last_data_sent: ago(data_sent),
            last_data_recv: ago(data_received),
            busy: busy + rwnd_limited + sndbuf_limited,
            rwnd_limited,
            sndbuf_limited,
        }
    }
}
