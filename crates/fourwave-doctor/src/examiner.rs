//! One sample after the other at the same host.

use std::time::{Duration, Instant};

use crate::{Finding, GatherError, Gatherer, Sample, Scope, Snapshot, Thresholds, diagnose};

/// What one sample brought.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// This sample's snapshot and the one before; the same twice in the first sample.
    pub sample: Sample,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// How long it took to gather and to apply the rules.
    pub took: Duration,
}

/// Samples a host repeatedly.
pub struct Examiner {
    gatherer: Gatherer,
    thresholds: Thresholds,
    /// What the next sample is compared with, where nothing was made of it yet.
    begun: Option<(Snapshot, Instant)>,
    last: Option<(Diagnosis, Instant)>,
}

impl Examiner {
    /// Opens the scope; nothing is examined yet.
    ///
    /// # Errors
    /// What [`Gatherer::open`] says.
    pub fn open(scope: Scope, thresholds: Thresholds) -> Result<Self, GatherError> {
        Ok(Self { gatherer: Gatherer::open(scope)?, thresholds, begun: None, last: None })
    }

    /// Takes what the next sample is compared with, and makes nothing of it. Cost: O(sockets).
    ///
    /// # Errors
    /// What [`Gatherer::snapshot`] says.
    pub fn begin(&mut self) -> Result<(), GatherError> {
        let start = Instant::now();
        self.begun = Some((self.gatherer.snapshot()?, start));
        Ok(())
    }

    /// Samples, and applies the rules to what has changed since the sample before. The first sample
    /// knows of no change: its [`Sample::interval`] is zero. Cost: O(sockets).
    ///
    /// # Errors
    /// What [`Gatherer::snapshot`] says; the sample before is kept.
    pub fn examine(&mut self) -> Result<&Diagnosis, GatherError> {
        let start = Instant::now();
        let after = self.gatherer.snapshot()?;
        let last = self.last.take().map(|(diagnosis, at)| (diagnosis.sample.after, at));
        let (before, interval) = match self.begun.take().or(last) {
            Some((before, at)) => (before, start.saturating_duration_since(at)),
            None => (after.clone(), Duration::ZERO),
        };
        let sample = Sample { before, after, interval };
        let findings = diagnose(&sample, &self.thresholds);
        let diagnosis = Diagnosis { sample, findings, took: start.elapsed() };
        Ok(&self.last.insert((diagnosis, start)).0)
    }

    /// The last look, and how old it is.
    pub fn last(&self) -> Option<(&Diagnosis, Duration)> {
        self.last.as_ref().map(|(diagnosis, at)| (diagnosis, at.elapsed()))
    }
}
