//! Plays a script against a [`Target`]: the same rules for every one.
//!
//! | question | where |
//! | --- | --- |
//! | which options are there? | `options.rs` |
//! | when does an event happen, and was that in time? | `player.rs`, `clock.rs` |
//! | which connection does a packet belong to? | `flows.rs` |
//! | what does a packet of the script say? | `spec.rs` |
//! | a packet of the script → live numbers, and bytes | `inbound.rs`, ICMP errors `icmp.rs` |
//! | which packet of the stack is it that an event waits for? | `outbound.rs`, `wire.rs` |
//! | the same where cuts and acknowledgements are left free | `loose.rs` |
//! | is it as the script says, in the script's numbers? | `expect.rs`, `matching.rs` |
//! | how is that shown? | `notation.rs` |
//! | bytes of packets, options and MD5 digests | `raw.rs`, `options_wire.rs`, `digest.rs` |
//! | the values of a call's arguments, and the call | `resolve.rs`, `messages.rs`, `calls.rs` |
//! | did it return what the script says? | `check.rs` |
//! | `%{ … }%` | `code/` |

mod calls;
mod check;
mod clock;
mod code;
mod digest;
mod expect;
mod flows;
mod icmp;
mod inbound;
mod loose;
mod matching;
mod messages;
mod notation;
mod options;
mod options_wire;
mod outbound;
mod player;
mod raw;
mod resolve;
mod spec;
mod wire;

use std::time::Duration;

pub(crate) use expect::{EARLY, NOTHING};
pub(crate) use loose::{SHORT, UP_TO};

pub use options::{Dialect, IpVersion, OptionError, Options, Persona};

use crate::ast::{Direction, Script, Span};
use crate::target::{Refusal, Target};

/// How a run ended, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Every packet of the wire, in the order of time.
    pub packets: Vec<Passing>,
    /// The events that were played, in order.
    pub events: Vec<Played>,
    /// Differences that `--non_fatal` lets pass.
    pub warnings: Vec<Failure>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as the script says.
    Passed,
    /// Something was not.
    Failed(Box<Failure>),
    /// The script needs something that is not there: this names it.
    Skipped(String),
}

/// A packet on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// Since the script began.
    pub at: Duration,
    /// In: from the script.
    pub direction: Direction,
    /// From its IP header on.
    pub packet: Vec<u8>,
    /// The event that sent it or took it, by its place in the script; none for a packet that the
    /// script does not name.
    pub event: Option<usize>,
}

/// An event that was played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// Its place in the script.
    pub event: usize,
    /// When it was to be.
    pub planned: Duration,
    /// When it was.
    pub at: Duration,
}

/// The first thing that was not as the script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The event's place in the script; none for what belongs to no event.
    pub event: Option<usize>,
    /// Where it stands.
    pub span: Span,
    /// When this was found.
    pub at: Duration,
    /// What is wrong, in one line.
    pub message: String,
    /// What the script wants, in its notation.
    pub expected: Option<Shown>,
    /// What came, in the script's notation and numbers.
    pub actual: Option<Shown>,
}

/// A text in the script's notation, in pieces that may be marked.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Shown {
    /// They make the text one after the other; blanks are part of them.
    pub pieces: Vec<Piece>,
}

/// A part of [`Shown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// This is where expected and actual differ.
    pub differs: bool,
}

impl Shown {
    /// One piece that differs.
    pub(crate) fn differing(text: impl Into<String>) -> Self {
        Self { pieces: vec![Piece { text: text.into(), differs: true }] }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pieces.iter().try_for_each(|piece| f.write_str(&piece.text))
    }
}

/// Plays `script` with `options`, which are those of [`Options::for_script`].
///
/// Takes as long as the script does in the target's time; memory grows with the packets that pass.
pub fn run(script: &Script, options: &Options, target: &mut dyn Target) -> Report {
    player::Player::new(script, options, target).play()
}

/// Why an event did not go as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// Something is not there: the script is skipped.
    Skip(String),
    /// The script asks for what makes no sense, or the target broke.
    Wrong(String),
    /// It went otherwise.
    Differs(Box<Difference>),
}

/// What went otherwise than written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) message: String,
    pub(crate) expected: Option<Shown>,
    pub(crate) actual: Option<Shown>,
}

impl Error {
    pub(crate) fn differs(
        message: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self::Differs(Box::new(Difference {
            message: message.into(),
            expected: Some(Shown::differing(expected)),
            actual: Some(Shown::differing(actual)),
        }))
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unsupported(what) => Self::Skip(what),
            Refusal::Failed(what) => Self::Wrong(what),
        }
    }
}
