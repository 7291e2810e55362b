//! A timer for a device's readers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that moves.
#[derive(Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What it is set to.
    due: Option<Duration>,
}

impl Alarm {
    /// Pending until `due`, indefinitely without one.
    pub(super) fn poll(
        &mut self,
        due: Option<Duration>,
        start: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(at) = due else {
            self.due = None;
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(start + at)));
        if self.due != due {
            self.due = due;
            sleep.as_mut().reset(start + at);
        }
        let polled = sleep.as_mut().poll(cx);
        if polled.is_ready() {
            self.due = None;
        }
        polled
    }

    /// Whether `due` comes before what the timer is set to.
    pub(super) fn is_late_for(&self, due: Option<Duration>) -> bool {
        match (due, self.due) {
            (Some(due), Some(set)) => due < set,
            (due, None) => due.is_some(),
            (None, _) => false,
        }
    }
}
