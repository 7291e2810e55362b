//! Watches for a program that does not close after the host's FIN: then its kernel's end sits in
//! CLOSE_WAIT, which the engine, at the other end, can only infer.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fourwave::{Instant, Stack, UserCall};
use tokio::time::Sleep;

use crate::observe::{Annotations, Leak, Leaker};

/// What is seen of the program on one connection.
pub(super) struct Activity<'a> {
    stack: &'a Stack,
    opened: Instant,
    /// When it sent last, in microseconds of the stack's time; 0 for never.
    sent: AtomicU64,
    /// The host has not taken yet what it sent.
    is_waiting: AtomicBool,
}

impl<'a> Activity<'a> {
    pub(super) fn new(stack: &'a Stack) -> Self {
        let (sent, is_waiting) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { stack, opened: stack.now(), sent, is_waiting }
    }

    /// The program's data came and is now handed on.
    pub(super) fn data(&self) {
        self.sent.store(self.stack.now().as_micros(), Ordering::Relaxed);
        self.is_waiting.store(true, Ordering::Relaxed);
    }

    /// The host has taken it.
    pub(super) fn taken(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Whether the host still has to take something that it sent.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// The last that is known of the program. Reading leaves no trace on the wire.
    fn last_call(&self) -> (UserCall, Instant) {
        match self.sent.load(Ordering::Relaxed) {
            0 => (UserCall::Open, self.opened),
            micros => (UserCall::Send, Instant::from_micros(micros)),
        }
    }
}

/// Waits, once the host's FIN is delivered, for as long as the program may take.
pub(super) struct CloseWaitWatchdog<'a> {
    activity: &'a Activity<'a>,
    limit: Option<Duration>,
    since: Option<Instant>,
    /// Allocated only by connections on which the host closed first.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<'a> CloseWaitWatchdog<'a> {
    pub(super) fn new(activity: &'a Activity<'a>, limit: Option<Duration>) -> Self {
        Self { activity, limit, since: None, sleep: None }
    }

    /// The program's kernel has acknowledged the FIN.
    pub(super) fn begin(&mut self) {
        self.since = Some(self.activity.stack.now());
        self.sleep = self.limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
    }

    /// Until the time is over; indefinitely when there is none.
    pub(super) async fn over(&mut self) {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().await,
            None => std::future::pending().await,
        }
    }

    /// The time is over: reports the program, or waits on when it is still sending.
    pub(super) fn judge(
        &mut self,
        (program, other): (SocketAddr, SocketAddr),
        annotations: &Annotations,
    ) {
        let (Some(limit), Some(since)) = (self.limit, self.since) else { return };
        let now = self.activity.stack.now();
        let (last_call, last_call_at) = self.activity.last_call();
        let quiet_since = if self.activity.is_waiting() { now } else { since.max(last_call_at) };
        let left = limit.saturating_sub(now.since(quiet_since));
        // Timers count milliseconds.
        if left > Duration::from_millis(1) {
            self.sleep = Some(Box::pin(tokio::time::sleep(left)));
            return;
        }
        self.sleep = None;
        let who = Leaker::Program;
        annotations.leak(&Leak { who, program, other, since, last_call, last_call_at, now });
    }
}
