//! How a rule can be broken.

use std::fmt;

use fourwave_core::{EndReason, Instant, Population};

use crate::action::End;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A program read what its peer did not send there.
    Data {
        /// Who read it.
        end: End,
        /// What it read.
        byte: u8,
        /// At which place of the stream.
        place: u8,
        /// In which incarnation, from 0.
        incarnation: usize,
    },
    /// A program read the end of a stream that was not over.
    EarlyEnd {
        /// Who read it.
        end: End,
        /// Bytes read.
        read: u8,
        /// Bytes that the peer had sent.
        sent: u8,
    },
    /// A program's handle names nothing before the program gave it back.
    LostHandle {
        /// Whose.
        end: End,
    },
    /// An engine has a deadline for which it does not ask to be woken.
    Asleep {
        /// Which.
        end: End,
        /// The deadline.
        deadline: Instant,
    },
    /// Nothing can happen any more, and a program still waits.
    Deadlock {
        /// Whose program.
        end: End,
    },
    /// All is over and an engine still holds something.
    LeftOver {
        /// Which.
        end: End,
        /// What.
        population: Box<Population>,
    },
    /// Both ends are orderly and bytes are missing.
    Lost {
        /// Who misses them.
        end: End,
        /// Bytes received.
        received: u64,
        /// Bytes that the peer had sent.
        sent: u8,
    },
    /// A connection ended for a reason that nothing justifies.
    Reason {
        /// Whose end.
        end: End,
        /// In which incarnation, from 0.
        incarnation: usize,
        /// The reason.
        reason: EndReason,
    },
    /// A connection was never reported as ended.
    Unreported {
        /// Whose end.
        end: End,
    },
    /// The same state comes again without any fault: it can go on like that indefinitely.
    Livelock,
    /// The engine panicked.
    Panic(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { end, byte, place, incarnation } => write!(
                f,
                "the {end:?}'s program read {:?} at place {place} of connection {incarnation}, \
                 which its peer did not send there",
                char::from(*byte)
            ),
            Self::EarlyEnd { end, read, sent } => write!(
                f,
                "the {end:?}'s program read the end of the stream after {read} bytes; its peer \
                 had sent {sent} and was not done, or they differ"
            ),
            Self::LostHandle { end } => write!(f, "the {end:?}'s handle names nothing"),
            Self::Asleep { end, deadline } => {
                write!(f, "the {end:?}'s engine would sleep through its deadline {deadline:?}")
            }
            Self::Deadlock { end } => {
                write!(
                    f,
                    "nothing can happen any more, and the {end:?}'s program waits indefinitely"
                )
            }
            Self::LeftOver { end, population } => {
                write!(f, "all is over and the {end:?}'s engine still holds {population:?}")
            }
            Self::Lost { end, received, sent } => write!(
                f,
                "both ends were orderly, and the {end:?} received {received} of {sent} bytes"
            ),
            Self::Reason { end, incarnation, reason } => write!(
                f,
                "the {end:?}'s end of connection {incarnation} ended as `{}`, which nothing \
                 justifies",
                reason.name()
            ),
            Self::Unreported { end } => write!(f, "the {end:?}'s engine reported no end"),
            Self::Livelock => f.write_str("the same state comes again without any fault"),
            Self::Panic(text) => write!(f, "the engine panicked: {text}"),
        }
    }
}
