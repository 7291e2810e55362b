//! What came out of a script, for people and for machines.
//!
//! | question | where |
//! | --- | --- |
//! | how does it read on a terminal? | `text` |
//! | the same for machines (`SCHEMA.md`) | `json` |
//! | the packets up to the failure | `ladder` |
//! | where do two targets differ? | `compare` |
//! | how does a report come from another process? | `exchange` |

mod compare;
mod exchange;
mod json;
mod ladder;
mod text;

use std::time::Duration;

pub use compare::{Difference, difference};
pub use exchange::{ExchangeError, from_json, to_json};
pub use json::{JsonVerdict, difference_line, script_line, summary_line};
pub use ladder::{Cut, ladder};
pub use text::{TextOptions, failure};

use crate::run::{Outcome, Report};

/// PASS, FAIL or SKIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything was as the script says.
    Pass,
    /// Something was not, or the script cannot be read.
    Fail,
    /// The script needs something that is not there.
    Skip,
}

impl Verdict {
    /// As it stands at the beginning of a line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }
}

impl From<&Outcome> for Verdict {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Pass,
            Outcome::Failed(_) => Self::Fail,
            Outcome::Skipped(_) => Self::Skip,
        }
    }
}

/// When the last thing happened, since the script began.
fn length(report: &Report) -> Duration {
    let packets = report.packets.iter().map(|packet| packet.at);
    let events = report.events.iter().map(|event| event.at);
    packets.chain(events).max().unwrap_or_default()
}
