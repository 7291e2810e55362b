//! Looks on a thread of their own: a slow one delays no key, and another namespace is entered by
//! that thread only.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use super::WatchError;
use crate::{Figures, Finding, GatherError, Limitation, Looker, Scope, Thresholds};

/// What the table shows of one look.
pub(super) struct Report {
    pub(super) figures: Figures,
    pub(super) findings: Vec<Finding>,
    pub(super) limitations: Vec<Limitation>,
    /// How long it took.
    pub(super) took: Duration,
}

/// Looks that go on until this is dropped.
pub(super) struct Looks {
    pub(super) reports: Receiver<Result<Report, GatherError>>,
    /// Dropped, it ends the thread.
    _stop: Sender<()>,
}

impl Looks {
    /// Opens the scope and begins.
    pub(super) fn start(
        scope: Scope,
        thresholds: Thresholds,
        every: Duration,
    ) -> Result<Self, WatchError> {
        // One that nobody has taken yet is enough: looks are not made in store.
        let (reports, receiver) = sync_channel(1);
        let (stop, stopped) = channel();
        let (opened, open) = sync_channel(1);
        std::thread::Builder::new().name("looks".into()).spawn(move || {
            match Looker::open(scope, thresholds) {
                Ok(looker) => {
                    // Both ends live here until the answer is there.
                    let _heard = opened.send(Ok(()));
                    go_on(looker, every, &reports, &stopped);
                }
                Err(error) => {
                    let _heard = opened.send(Err(error));
                }
            }
        })?;
        open.recv().map_err(|_| ended())??;
        Ok(Self { reports: receiver, _stop: stop })
    }
}

/// It never does by itself: it has panicked.
pub(super) fn ended() -> io::Error {
    io::Error::other("the thread that looks has ended")
}

fn go_on(
    mut looker: Looker,
    every: Duration,
    to: &SyncSender<Result<Report, GatherError>>,
    stopped: &Receiver<()>,
) {
    loop {
        let start = Instant::now();
        let report = looker.look().map(|look| Report {
            figures: Figures::of(&look.sample),
            findings: look.findings.clone(),
            limitations: look.sample.after.limitations.clone(),
            took: look.took,
        });
        if to.send(report).is_err() {
            return;
        }
        let rest = every.saturating_sub(start.elapsed());
        if stopped.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
