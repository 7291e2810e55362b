//! Warnings about an open connection, given by whoever watches over it.

use std::time::Duration;

use fourwave_core::UserCall;
use fourwave_wire::icmp::IcmpError;

use crate::units::{counted, span};
use crate::words::icmp_words;

/// Something about one end of an open connection. Times are since the epoch of the lens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A suspected leak: the other end closed long ago and this one's application did not.
    CloseWait {
        /// When the other end's FIN reached it.
        since: Duration,
        /// The last that is known of its application.
        last_call: UserCall,
        /// When that was.
        last_call_at: Duration,
    },
    /// Nothing answers what this end sends.
    Unanswered {
        /// Retransmissions in a row.
        retransmissions: u32,
        /// The last ICMP error about what is in flight.
        icmp_error: Option<IcmpError>,
    },
}

impl Warning {
    /// A name for machines, stable: `close_wait`, `unanswered`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CloseWait { .. } => "close_wait",
            Self::Unanswered { .. } => "unanswered",
        }
    }

    /// A sentence without a full stop, as of `at`. `who` is the end that it is about; `what` is
    /// what it has not closed, and may be empty.
    pub fn sentence(&self, at: Duration, who: &str, other: &str, what: &str) -> String {
        let ago = |then: Duration| span(at.saturating_sub(then));
        match *self {
            Self::CloseWait { since, last_call, last_call_at } => {
                let space = if what.is_empty() { "" } else { " " };
                format!(
                    "suspected CLOSE_WAIT leak: {who} has not closed{space}{what} for {} after \
                     {other}'s FIN; last seen of it: {}, {} ago",
                    ago(since),
                    last_call.name(),
                    ago(last_call_at),
                )
            }
            Self::Unanswered { retransmissions, icmp_error } => {
                let times = counted(retransmissions.into(), "retransmission");
                let why = icmp_error
                    .map(|error| format!("; the network said: {}", icmp_words(error)))
                    .unwrap_or_default();
                format!("{other} answers no more: {times} by {who} in a row{why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_who_how_long_and_what_came_last() {
        let s = Duration::from_secs;
        let leak =
            Warning::CloseWait { since: s(10), last_call: UserCall::Send, last_call_at: s(7) };
        assert_eq!(
            leak.sentence(s(310), "the program", "the server", "a → b"),
            "suspected CLOSE_WAIT leak: the program has not closed a → b for 5 min after the \
             server's FIN; last seen of it: send, 5 min 3 s ago"
        );
        let icmp_error = Some(IcmpError::HostUnreachable);
        let dead = Warning::Unanswered { retransmissions: 3, icmp_error };
        assert_eq!(
            dead.sentence(s(1), "the server", "the program", ""),
            "the program answers no more: 3 retransmissions by the server in a row; the network \
             said: host unreachable"
        );
    }
}
