//! Samples on a thread of their own: a slow one delays no key, and another namespace is entered by
//! that thread only.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use super::WatchError;
use crate::{Examiner, Finding, GatherError, Limitation, Scope, Statistics, Thresholds};

/// What the table shows of one sample.
pub(super) struct Report {
    pub(super) statistics: Statistics,
    pub(super) findings: Vec<Finding>,
    pub(super) limitations: Vec<Limitation>,
    /// How long it took.
    pub(super) took: Duration,
}

/// Samples that go on until this is dropped.
pub(super) struct Sampler {
    pub(super) reports: Receiver<Result<Report, GatherError>>,
    /// Dropped, it ends the thread.
    _stop: Sender<()>,
}

impl Sampler {
    /// Opens the scope and begins.
    pub(super) fn start(
        scope: Scope,
        thresholds: Thresholds,
        every: Duration,
    ) -> Result<Self, WatchError> {
        // One that nobody has taken yet is enough: samples are not stockpiled.
        let (reports, receiver) = sync_channel(1);
        let (stop, stopped) = channel();
        let (opened, open) = sync_channel(1);
        std::thread::Builder::new().name("looks".into()).spawn(move || {
            match Examiner::open(scope, thresholds) {
                Ok(examiner) => {
                    // Both ends live here until the answer is there.
                    let _heard = opened.send(Ok(()));
                    go_on(examiner, every, &reports, &stopped);
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
    mut examiner: Examiner,
    every: Duration,
    to: &SyncSender<Result<Report, GatherError>>,
    stopped: &Receiver<()>,
) {
    loop {
        let start = Instant::now();
        let report = examiner.examine().map(|diagnosis| Report {
            statistics: Statistics::of(&diagnosis.sample),
            findings: diagnosis.findings.clone(),
            limitations: diagnosis.sample.after.limitations.clone(),
            took: diagnosis.took,
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
