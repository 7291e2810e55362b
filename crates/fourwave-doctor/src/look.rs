//! One look after the other at the same host.

use std::time::{Duration, Instant};

use crate::{Finding, GatherError, Gatherer, Sample, Scope, Snapshot, Thresholds, judge};

/// What one look brought.
#[derive(Clone, Debug)]
pub struct Look {
    /// This look's snapshot and the one before; the same twice in the first look.
    pub sample: Sample,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// How long it took to gather and to judge.
    pub took: Duration,
}

/// Looks again and again.
pub struct Looker {
    gatherer: Gatherer,
    thresholds: Thresholds,
    /// What the next look is compared with, where nothing was made of it yet.
    begun: Option<(Snapshot, Instant)>,
    last: Option<(Look, Instant)>,
}

impl Looker {
    /// Opens the scope; nothing is looked at yet.
    ///
    /// # Errors
    /// What [`Gatherer::open`] says.
    pub fn open(scope: Scope, thresholds: Thresholds) -> Result<Self, GatherError> {
        Ok(Self { gatherer: Gatherer::open(scope)?, thresholds, begun: None, last: None })
    }

    /// Takes what the next look is compared with, and makes nothing of it. Cost: O(sockets).
    ///
    /// # Errors
    /// What [`Gatherer::snapshot`] says.
    pub fn begin(&mut self) -> Result<(), GatherError> {
        let start = Instant::now();
        self.begun = Some((self.gatherer.snapshot()?, start));
        Ok(())
    }

    /// Looks, and judges by what has changed since the look before. The first look knows of no
    /// change: its [`Sample::interval`] is zero. Cost: O(sockets).
    ///
    /// # Errors
    /// What [`Gatherer::snapshot`] says; the look before is kept.
    pub fn look(&mut self) -> Result<&Look, GatherError> {
        let start = Instant::now();
        let after = self.gatherer.snapshot()?;
        let last = self.last.take().map(|(look, at)| (look.sample.after, at));
        let (before, interval) = match self.begun.take().or(last) {
            Some((before, at)) => (before, start.saturating_duration_since(at)),
            None => (after.clone(), Duration::ZERO),
        };
        let sample = Sample { before, after, interval };
        let findings = judge(&sample, &self.thresholds);
        let look = Look { sample, findings, took: start.elapsed() };
        Ok(&self.last.insert((look, start)).0)
    }

    /// The last look, and how old it is.
    pub fn last(&self) -> Option<(&Look, Duration)> {
        self.last.as_ref().map(|(look, at)| (look, at.elapsed()))
    }
}
