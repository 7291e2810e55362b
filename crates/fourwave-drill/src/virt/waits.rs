//! What a connection's text waited for: `tcpi_busy_time`, `tcpi_rwnd_limited` and
//! `tcpi_sndbuf_limited`.

use std::time::Duration;

use fourwave_core::TcpInfo;
use fourwave_core::state::State;

use crate::target::Facts;

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum About {
    /// Nothing is queued.
    #[default]
    Idle,
    /// Text is on its way, or waits for the congestion window.
    Busy,
    /// Text waits for the peer's window.
    PeerWindow,
    /// All is on its way, and the writer waits for room.
    SendBuffer,
}

/// Times since the connection was first looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    about: About,
    since: Duration,
    /// By what it was about, in the order of [`About`].
    sums: [Duration; 4],
}

impl Waits {
    /// What it is about from now on. `no_room`: a writer found none, and there is none yet.
    pub(super) fn look(&mut self, now: Duration, info: &TcpInfo, no_room: bool) {
        self.sums = self.until(now);
        self.since = now;
        let mss = u64::from(info.snd_mss);
        // A SYN is no text.
        let syn = matches!(info.state, State::SynSent | State::SynReceived);
        let flight = u64::from(info.unacked.saturating_sub(syn.into()));
        let next = info.notsent_bytes.min(mss);
        let open = matches!(info.state, State::Established | State::CloseWait);
        self.about = match info.notsent_bytes {
            0 if flight == 0 => About::Idle,
            0 if open && no_room => About::SendBuffer,
            0 => About::Busy,
            _ if flight + mss > info.snd_cwnd => About::Busy,
            _ if flight + next > info.snd_wnd.into() => About::PeerWindow,
            _ => About::Busy,
        };
    }

    fn until(&self, now: Duration) -> [Duration; 4] {
        let mut sums = self.sums;
        sums[self.about as usize] += now.saturating_sub(self.since);
        sums
    }

    /// As TCP_INFO has them, in microseconds.
    pub(super) fn tell(&self, now: Duration, facts: &mut Facts) {
        let [_, busy, window, buffer] = self.until(now).map(|time| time.as_micros() as i64);
        facts.insert("tcpi_busy_time".into(), busy + window + buffer);
        facts.insert("tcpi_rwnd_limited".into(), window);
        facts.insert("tcpi_sndbuf_limited".into(), buffer);
    }
}
