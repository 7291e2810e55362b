//! What the program asks of its TCP holds for the whole way: its keepalive probes, and what it
//! sends after a silence, are answered once the host's far end has answered.
//!
//! So the program's own kernel, with its own `SO_KEEPALIVE` and `TCP_USER_TIMEOUT`, finds out
//! about a far end that is dead, and the program gets the very error that it would get directly.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use fourwave::{FarEnd, FarEndQuery};
use fourwave_linux::calls::get_option;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Far;
use super::watchdog::Activity;
use crate::observe::Annotations;

/// How long a sign of the far end counts: long enough that no dialogue waits, shorter than any
/// timeout that a program sets.
pub(super) const TRUST: Duration = Duration::from_millis(200);
/// Where a round trip to the far end takes longer, data does not wait for it: the program's
/// kernel, which measures the way to us, would retransmit it after its least timeout of 200 ms.
const LONG_WAY: Duration = Duration::from_millis(100);
/// The shortest and the longest pause between two looks at the host's socket.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(1)];
/// A far end that has not answered for so long is worth a note.
const SILENT: Duration = Duration::from_secs(1);
/// The most probes that Linux takes: it is the program's own count that decides.
const MOST_PROBES: u32 = 127;
/// Linux's longest TCP_KEEPIDLE and TCP_KEEPINTVL, in seconds.
const LONGEST_KEEPALIVE: u64 = 32_767;

/// Speaks for the far end of one relay.
pub(super) struct Speaker<'a> {
    pub(super) program: FarEnd<'a>,
    pub(super) host: &'a TcpStream,
    pub(super) activity: &'a Activity<'a>,
    pub(super) far: Far,
    pub(super) annotations: &'a Annotations,
    /// The program's address and the one it called.
    pub(super) ends: Option<(SocketAddr, SocketAddr)>,
}

impl Speaker<'_> {
    /// Answers as long as it is polled.
    pub(super) async fn speak(&self) -> Infallible {
        let mut is_noted = false;
        loop {
            let query = self.program.asked().await;
            // Allocated only now: a connection that nobody asks about holds no timer.
            Box::pin(self.settle(query, &mut is_noted)).await;
        }
    }

    /// Until the far end has answered.
    async fn settle(&self, mut query: FarEndQuery, is_noted: &mut bool) {
        let start = Instant::now();
        loop {
            self.probe(query);
            let asked = Instant::now();
            query = loop {
                // A socket that is over answers nothing any more.
                let Some(state) = HostState::of(self.host) else { std::future::pending().await };
                if self.program.query().is_none() {
                    return;
                }
                if self.is_answered(query, &state, start.elapsed()) {
                    return self.program.confirm();
                }
                if start.elapsed() >= SILENT && !std::mem::replace(is_noted, true) {
                    self.note();
                }
                let pause = (asked.elapsed() / 4).clamp(PAUSES[0], PAUSES[1]);
                tokio::select! {
                    again = self.program.asked() => break again,
                    () = sleep(pause) => {}
                }
            };
        }
    }

    /// Whether the far end lives, as far as the host's socket knows.
    fn is_answered(&self, query: FarEndQuery, state: &HostState, waiting: Duration) -> bool {
        if state.heard_ago <= waiting.max(TRUST) {
            return true;
        }
        match query {
            FarEndQuery::Keepalive { .. } => false,
            FarEndQuery::Data if state.rtt > LONG_WAY => true,
            // The far end has all that its window lets through, so nothing is to be waited for:
            // once the program's bytes have been handed on.
            FarEndQuery::Data => state.in_flight == 0 && self.is_handed_on(),
        }
    }

    fn is_handed_on(&self) -> bool {
        self.activity.is_waiting() || self.program.info().is_ok_and(|info| info.rcv_unread == 0)
    }

    /// Has the host's kernel probe the far end as the program probes it: now, and from now on at
    /// the same pace.
    fn probe(&self, query: FarEndQuery) {
        let FarEndQuery::Keepalive { idle, interval } = query else { return };
        let is_probing = HostState::of(self.host).is_some_and(|state| state.probes > 0);
        if interval.is_none() && is_probing {
            // Its own clock was first.
            return;
        }
        // TCP_KEEPIDLE comes last: it sets the clock, and the far end has been silent for as long
        // as that. All fail only where there is no connection left to be probed.
        let _over = set_socket_keepalive(self.host, true)
            .and_then(|()| set_tcp_keepcnt(self.host, MOST_PROBES))
            .and_then(|()| match interval {
                Some(interval) => set_tcp_keepintvl(self.host, seconds(interval)),
                None => Ok(()),
            })
            .and_then(|()| set_tcp_keepidle(self.host, seconds(idle)));
    }

    fn note(&self) {
        let Some((inside, outside)) = self.ends else { return };
        self.annotations.note(inside, outside, || {
            format!("{} is silent: what it has not answered is not answered here", self.far.who())
        });
    }
}

/// Whole seconds, as the socket options take them. Timers tick a little late.
fn seconds(time: Duration) -> Duration {
    let seconds = (time + Duration::from_millis(100)).as_secs();
    Duration::from_secs(seconds.clamp(1, LONGEST_KEEPALIVE))
}

/// What the host's kernel knows of a connection, of `struct tcp_info`.
#[derive(Clone, Copy, Debug)]
struct HostState {
    /// Keepalive or window probes without an answer.
    probes: u8,
    /// Segments sent and not acknowledged.
    in_flight: u32,
    /// Since something of the far end arrived.
    heard_ago: Duration,
    /// The smoothed round-trip time.
    rtt: Duration,
}

impl HostState {
    const CLOSED: u8 = 7;

    /// `None` once the connection is over.
    fn of(socket: &TcpStream) -> Option<Self> {
        const LEVEL: i32 = 6;
        const TCP_INFO: i32 = 11;
        let mut info = [0; 72];
        let len = get_option(socket.as_fd(), LEVEL, TCP_INFO, &mut info).ok()?;
        (len == info.len() && info[0] != Self::CLOSED).then(|| Self::read(&info))
    }

    /// The first fields of `struct tcp_info`, which no kernel has ever moved.
    fn read(info: &[u8; 72]) -> Self {
        let word = |at: usize| {
            let bytes = [info[at], info[at + 1], info[at + 2], info[at + 3]];
            u32::from_ne_bytes(bytes)
        };
        // tcpi_last_data_recv and tcpi_last_ack_recv, in milliseconds.
        let heard_ago = word(52).min(word(56));
        Self {
            probes: info[3],
            in_flight: word(24),
            heard_ago: Duration::from_millis(heard_ago.into()),
            rtt: Duration::from_micros(word(68).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_the_seconds_that_the_program_set() {
        let of = |millis| seconds(Duration::from_millis(millis)).as_secs();
        assert_eq!([of(1), of(1_003), of(1_990), of(7_200_004)], [1, 1, 2, 7200]);
        assert_eq!(of(u64::from(u32::MAX)), LONGEST_KEEPALIVE);
    }

    #[tokio::test]
    async fn the_kernels_own_figures_are_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let far = listener.accept().await.unwrap().0;
        let state = HostState::of(&near).unwrap();
        assert_eq!((state.probes, state.in_flight), (0, 0));
        assert!(state.heard_ago < Duration::from_secs(60) && !state.rtt.is_zero(), "{state:?}");
        drop((far, listener));
        near.readable().await.unwrap();
        socket2::SockRef::from(&near).shutdown(std::net::Shutdown::Write).unwrap();
        // Both FINs are through, or soon will be.
        while HostState::of(&near).is_some() {
            sleep(PAUSES[0]).await;
        }
    }
}
