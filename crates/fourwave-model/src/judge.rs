//! The rules.

use std::fmt;

use fourwave_core::{EndReason, Instant, Population};

use crate::action::End;
use crate::user::User;
use crate::world::World;

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
    /// The same state comes again without any fault: it can go on like that for ever.
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
                write!(f, "nothing can happen any more, and the {end:?}'s program waits for ever")
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

impl World {
    /// Judges a world in which nothing can happen any more.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn judge_the_end(&self) -> Result<(), Broken> {
        if self.setup.streams_only {
            return Ok(());
        }
        for end in End::BOTH {
            let host = &self.hosts[end.index()];
            if host.users.iter().any(User::is_active) {
                return Err(Broken::Deadlock { end });
            }
            let population = host.stack.population();
            if population != Population::default() {
                return Err(Broken::LeftOver { end, population: Box::new(population) });
            }
        }
        for i in 0..usize::from(self.setup.incarnations) {
            let users = End::BOTH.map(|end| &self.hosts[end.index()].users[i]);
            self.judge_incarnation(i, users)?;
        }
        Ok(())
    }

    fn judge_incarnation(&self, i: usize, users: [&User; 2]) -> Result<(), Broken> {
        if users[0].conn.is_none() {
            return Err(Broken::Deadlock { end: End::Client });
        }
        for end in End::BOTH {
            let (user, peer) = (users[end.index()], users[end.other().index()]);
            if user.conn.is_none() {
                continue;
            }
            let Some(ended) = user.ended else { return Err(Broken::Unreported { end }) };
            if !is_justified(ended.reason, user, peer) {
                return Err(Broken::Reason { end, incarnation: i, reason: ended.reason });
            }
            let orderly = |user: &User| user.ended.is_some_and(|e| e.reason == EndReason::Orderly);
            if orderly(user) && orderly(peer) && ended.received != u64::from(peer.sent) {
                return Err(Broken::Lost { end, received: ended.received, sent: peer.sent });
            }
        }
        Ok(())
    }
}

/// Whether a connection may end so, given what the two programs did. Up to two faults justify
/// nothing: every retransmission comes more often.
fn is_justified(reason: EndReason, user: &User, peer: &User) -> bool {
    let unread = user.is_rude() && peer.sent > user.read;
    match reason {
        EndReason::Orderly => true,
        EndReason::ClosedWhileOpening | EndReason::FinWait2Timeout => user.is_rude(),
        EndReason::ClosedWithUnreadData | EndReason::DataAfterClose => unread,
        EndReason::ResetByPeer => peer.ended.is_some_and(|e| {
            matches!(
                e.reason,
                EndReason::ClosedWithUnreadData
                    | EndReason::DataAfterClose
                    | EndReason::ClosedWhileOpening
                    | EndReason::FinWait2Timeout
            )
        }),
        _ => false,
    }
}
