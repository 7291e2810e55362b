//! A line for each step when all is done, and how to repeat the one that failed.

use std::time::Duration;

/// How a step ended, when it did not fail.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It checked what it is there to check; perhaps with something to say.
    Passed(String),
    /// It could not check all of that, and why.
    Skipped(String),
}

/// One line of the summary.
pub(crate) struct Line {
    pub(crate) step: String,
    pub(crate) took: Duration,
    pub(crate) end: Result<Outcome, String>,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, note) = match &self.end {
            Ok(Outcome::Passed(note)) => ("ok", note),
            Ok(Outcome::Skipped(note)) => ("skipped", note),
            Err(note) => ("FAILED", note),
        };
        let seconds = self.took.as_secs_f64();
        write!(f, "{:<8} {word:<8} {seconds:>7.1} s  {note}", self.step)
    }
}
