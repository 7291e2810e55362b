//! What a scenario found to be otherwise than it must be.

use std::fmt;

/// An expectation that was not met, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was looked at.
    pub what: String,
    /// What it must be.
    pub expected: String,
    /// What it was.
    pub actual: String,
}

impl Failure {
    pub(crate) fn new(what: &str, expected: &str, actual: String) -> Self {
        Self { what: what.to_owned(), expected: expected.to_owned(), actual }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.what, self.expected, self.actual)
    }
}

impl std::error::Error for Failure {}
