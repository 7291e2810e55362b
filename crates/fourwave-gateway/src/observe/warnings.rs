//! Warnings about open connections: said on stderr as they come, counted for the end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fourwave::{Instant, Notice, NoticeKind, UserCall};
use fourwave_lens::Warning;
use fourwave_lens::units::counted;

use crate::notice::say;

/// Leaks that get a line each while the program runs; the rest is told as a number.
const SAID: u64 = 10;

/// Whose application does not close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaker {
    /// The program's; its kernel's end is in CLOSE_WAIT.
    Program,
    /// That of the far end of the host's socket; ours is in CLOSE_WAIT in its place.
    Far,
}

/// A connection that one side has closed long ago and the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leak {
    pub(crate) who: Leaker,
    /// The program's end.
    pub(crate) program: SocketAddr,
    /// The engine's end.
    pub(crate) other: SocketAddr,
    /// When the FIN came, in the stack's time, as all others.
    pub(crate) since: Instant,
    pub(crate) last_call: UserCall,
    pub(crate) last_call_at: Instant,
    pub(crate) now: Instant,
}

impl Leak {
    /// The engine's suspicion about its own end.
    pub(super) fn of_the_far_end(notice: &Notice) -> Option<Self> {
        let NoticeKind::CloseWaitSuspected { since, last_call, last_call_at } = notice.what else {
            return None;
        };
        let (program, other) = (notice.remote, notice.local);
        let now = notice.at;
        Some(Self { who: Leaker::Far, program, other, since, last_call, last_call_at, now })
    }

    /// The lens's word for it; `shift` is the start of the stack's clock.
    pub(super) fn warning(&self, shift: Duration) -> Warning {
        let on_our_clock = |at: Instant| Duration::from_micros(at.as_micros()) + shift;
        Warning::CloseWait {
            since: on_our_clock(self.since),
            last_call: self.last_call,
            last_call_at: on_our_clock(self.last_call_at),
        }
    }

    /// The end that does not close, and the other.
    pub(super) const fn ends(&self) -> (SocketAddr, SocketAddr) {
        match self.who {
            Leaker::Program => (self.program, self.other),
            Leaker::Far => (self.other, self.program),
        }
    }

    /// A line for the user. `published`: the program was called.
    fn line(&self, published: bool) -> String {
        let far = if published { "the client" } else { "the server" };
        let (who, other) = match self.who {
            Leaker::Program => ("the program", far),
            Leaker::Far => (far, "the program"),
        };
        let (from, to) =
            if published { (self.other, self.program) } else { (self.program, self.other) };
        let now = Duration::from_micros(self.now.as_micros());
        self.warning(Duration::ZERO).sentence(now, who, other, &format!("{from} → {to}"))
    }
}

/// Says and counts leaks.
#[derive(Debug)]
pub(super) struct Leaks {
    quiet: bool,
    /// Ports on which the program is called.
    published: Vec<u16>,
    limit: Duration,
    programs: AtomicU64,
    others: AtomicU64,
}

impl Leaks {
    pub(super) fn new(quiet: bool, published: Vec<u16>, limit: Duration) -> Self {
        let [programs, others] = [0; 2].map(AtomicU64::new);
        Self { quiet, published, limit, programs, others }
    }

    /// How long an end may be in CLOSE_WAIT; `None` indefinitely.
    pub(super) fn limit(&self) -> Option<Duration> {
        Some(self.limit).filter(|limit| !limit.is_zero())
    }

    pub(super) fn is_published(&self, port: u16) -> bool {
        self.published.contains(&port)
    }

    pub(super) fn add(&self, leak: &Leak) {
        // Whoever is still sending to the program has not forgotten it.
        let is_sending = leak.who == Leaker::Far
            && leak.last_call == UserCall::Send
            && leak.now.since(leak.last_call_at) < self.limit;
        if is_sending {
            return;
        }
        let count = match leak.who {
            Leaker::Program => &self.programs,
            Leaker::Far => &self.others,
        };
        let before = count.fetch_add(1, Ordering::Relaxed);
        if self.quiet || before >= SAID {
            return;
        }
        let line = leak.line(self.is_published(leak.program.port()));
        let more = if before + 1 == SAID { "; of more, the number follows at the end" } else { "" };
        let limit = self.limit.as_secs();
        say(&format!("{line} (tcp_close_wait_limit={limit}){more}"));
    }

    /// The line at the end, when not each leak had its own.
    pub(super) fn total(&self) -> Option<String> {
        let [programs, others] = [&self.programs, &self.others].map(|n| n.load(Ordering::Relaxed));
        (programs.max(others) > SAID).then(|| {
            format!(
                "{}: {programs} not closed by the program, {others} by the other side",
                counted(programs + others, "suspected CLOSE_WAIT leak")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_both_ends_and_who_called() {
        let at = |s: u64| Instant::from_micros(s * 1_000_000);
        let leak = Leak {
            who: Leaker::Program,
            program: "10.4.0.100:40000".parse().unwrap(),
            other: "192.0.2.1:80".parse().unwrap(),
            since: at(10),
            last_call: UserCall::Open,
            last_call_at: at(4),
            now: at(40),
        };
        assert_eq!(
            leak.line(false),
            "suspected CLOSE_WAIT leak: the program has not closed 10.4.0.100:40000 → \
             192.0.2.1:80 for 30 s after the server's FIN; last seen of it: open, 36 s ago"
        );
        let far = Leak { who: Leaker::Far, ..leak };
        assert!(far.line(true).contains("the client has not closed 192.0.2.1:80 → 10.4.0.100"));
        assert_eq!(far.ends(), (leak.other, leak.program));
    }

    #[test]
    fn beyond_ten_there_is_a_total() {
        let leaks = Leaks::new(true, Vec::new(), Duration::from_secs(5));
        let leak = Leak {
            who: Leaker::Program,
            program: "10.4.0.100:40000".parse().unwrap(),
            other: "192.0.2.1:80".parse().unwrap(),
            since: Instant::ZERO,
            last_call: UserCall::Open,
            last_call_at: Instant::ZERO,
            now: Instant::ZERO,
        };
        (0..SAID).for_each(|_| leaks.add(&leak));
        assert_eq!(leaks.total(), None);
        leaks.add(&leak);
        let expected =
            "11 suspected CLOSE_WAIT leaks: 11 not closed by the program, 0 by the other side";
        assert_eq!(leaks.total().as_deref(), Some(expected));
    }
}
