//! What the engine's senders do while they send, for whoever draws it.

use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::{CaState, ConnId, Instant, TcpInfo};

use crate::reports::Reporter;

/// What changes of itself, a round-trip time, is told no more often.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the sender of one connection is. Times are the stack's, as in [`Notice`](crate::Notice).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderReport {
    /// Our end of the connection.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// When.
    pub at: Instant,
    /// Its windows, round trips and losses.
    pub info: TcpInfo,
}

/// What was last told of a connection.
#[derive(Clone, Copy)]
struct Told {
    conn: ConnId,
    at: Instant,
    state: CaState,
    ssthresh: u64,
    cwnd: u64,
    rtt: Duration,
}

impl Told {
    fn of(conn: ConnId, at: Instant, info: &TcpInfo) -> Self {
        let TcpInfo { ca_state: state, snd_ssthresh: ssthresh, snd_cwnd: cwnd, rtt, .. } = *info;
        Self { conn, at, state, ssthresh, cwnd, rtt }
    }

    /// Whether `now` is worth a report: another state or threshold, a window that is an eighth
    /// wider or narrower, a round trip that is a quarter longer or shorter.
    fn is_news(&self, now: &Self) -> bool {
        let rtts = [self.rtt, now.rtt].map(|rtt| rtt.as_micros());
        self.conn != now.conn
            || (self.state, self.ssthresh) != (now.state, now.ssthresh)
            || self.cwnd.abs_diff(now.cwnd).saturating_mul(8) >= self.cwnd.max(1)
            || (now.at.since(self.at) >= PAUSE
                && rtts[0].abs_diff(rtts[1]).saturating_mul(4) >= rtts[0].max(1))
    }
}

/// Decides what is told.
#[derive(Default)]
pub(crate) struct SenderWatch {
    pub(crate) reporter: Option<Reporter<SenderReport>>,
    /// By the connection's slot.
    told: Vec<Option<Told>>,
}

impl SenderWatch {
    /// A connection's sender may have moved.
    pub(crate) fn moved(&mut self, at: Instant, conn: ConnId, info: TcpInfo) {
        let Some(reporter) = &self.reporter else { return };
        if info.bytes_sent == 0 {
            return;
        }
        if conn.slot() >= self.told.len() {
            self.told.resize(conn.slot() + 1, None);
        }
        let now = Told::of(conn, at, &info);
        let told = &mut self.told[conn.slot()];
        if told.is_none_or(|told| told.is_news(&now)) {
            *told = Some(now);
            let TcpInfo { local, remote, .. } = info;
            reporter.tell(SenderReport { local, remote, at, info });
        }
    }
}
