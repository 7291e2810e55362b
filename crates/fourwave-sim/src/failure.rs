//! What a checker found, and how to see it again.

use std::fmt;
use std::time::Duration;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Virtual time since the world began.
    pub at: Duration,
    /// The connection's number in the plan, where it is about one.
    pub conn: Option<usize>,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.6} s", self.at.as_secs_f64())?;
        if let Some(conn) = self.conn {
            write!(f, ", connection {conn}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for Failure {}
