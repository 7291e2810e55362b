//! The eleven states of a connection and ONE table of their transitions (RFC 9293 §3.3.2).
//!
//! The engine moves only by [`next`]; the lens runs the same table from outside, once for each
//! end. This file imports nothing of the engine.

use core::fmt;

/// A connection's state, as RFC 9293 §3.3.2 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// No connection.
    #[default]
    Closed,
    /// Waiting for a SYN from anyone.
    Listen,
    /// SYN sent, waiting for its match.
    SynSent,
    /// SYN received and sent, waiting for the ACK of ours.
    SynReceived,
    /// Open: data flows both ways.
    Established,
    /// We closed first; our FIN is not acknowledged yet.
    FinWait1,
    /// Our FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer closed first; our application has not closed yet.
    CloseWait,
    /// Both closed at once; our FIN is not acknowledged yet.
    Closing,
    /// The peer closed first, then we did; our FIN is not acknowledged yet.
    LastAck,
    /// Both closed, we first: waiting for old segments to die.
    TimeWait,
}

impl State {
    /// All states in the order of RFC 9293.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The name with underscores, as ladders, JSON and messages spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN_SENT",
            Self::SynReceived => "SYN_RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN_WAIT_1",
            Self::FinWait2 => "FIN_WAIT_2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
        }
    }

    /// The name as `ss` prints it.
    pub const fn ss_name(self) -> &'static str {
        match self {
            Self::Closed => "UNCONN",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECV",
            Self::Established => "ESTAB",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// Both SYNs are acknowledged and the connection is not gone (RFC 9293 "synchronized").
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived)
    }

    /// Our side may still queue data to send.
    pub const fn can_send(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait)
    }

    /// The peer may still send data.
    pub const fn can_receive(self) -> bool {
        matches!(
            self,
            Self::SynSent | Self::SynReceived | Self::Established | Self::FinWait1 | Self::FinWait2
        )
    }

    /// Our FIN has been queued or sent.
    pub const fn fin_queued(self) -> bool {
        matches!(
            self,
            Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What can move a connection from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The user listens.
    PassiveOpen,
    /// The user connects: a SYN goes out.
    ActiveOpen,
    /// The user has no more data to send: a FIN is queued behind it.
    Close,
    /// The user, or a limit, gives the connection up: an RST goes out where one is due.
    Abort,
    /// An acceptable SYN arrived that does not acknowledge ours.
    RecvSyn,
    /// An acceptable SYN arrived that acknowledges ours.
    RecvSynAck,
    /// An acceptable ACK of our SYN arrived.
    RecvAckOfSyn,
    /// The peer's FIN arrived and nothing before it is missing.
    RecvFin,
    /// An acceptable ACK of our FIN arrived.
    RecvAckOfFin,
    /// An acceptable RST arrived.
    RecvRst,
    /// A time ran out: retries, the user timeout, FIN_WAIT_2's life, 2MSL.
    Timeout,
}

impl Input {
    /// All inputs.
    pub const ALL: [Self; 11] = [
        Self::PassiveOpen,
        Self::ActiveOpen,
        Self::Close,
        Self::Abort,
        Self::RecvSyn,
        Self::RecvSynAck,
        Self::RecvAckOfSyn,
        Self::RecvFin,
        Self::RecvAckOfFin,
        Self::RecvRst,
        Self::Timeout,
    ];
}

/// The table has no entry: the caller must not feed this input in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal {
    /// The state.
    pub state: State,
    /// The input that it has no answer to.
    pub input: Input,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} means nothing in {}", self.input, self.state)
    }
}

impl core::error::Error for Illegal {}

/// The table: the state that follows `state` on `input` (RFC 9293 figure 5 and §3.10).
///
/// # Errors
/// [`Illegal`] for a pair without an entry. O(1).
pub const fn next(state: State, input: Input) -> Result<State, Illegal> {
    use Input::{
        Abort, ActiveOpen, Close, PassiveOpen, RecvAckOfFin, RecvAckOfSyn, RecvFin, RecvRst,
        RecvSyn, RecvSynAck, Timeout,
    };
    use State::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
        SynSent, TimeWait,
    };
    Ok(match (state, input) {
        (Closed, PassiveOpen) => Listen,
        (Closed, ActiveOpen) => SynSent,

        (Listen, ActiveOpen) => SynSent,
        (Listen, RecvSyn) => SynReceived,
        (Listen, RecvRst) => Listen,
        (Listen, Close | Abort) => Closed,

        (SynSent, RecvSyn) => SynReceived,
        (SynSent, RecvSynAck) => Established,
        (SynSent, RecvRst | Close | Abort | Timeout) => Closed,

        (SynReceived, RecvAckOfSyn | RecvSynAck) => Established,
        (SynReceived, Close) => FinWait1,
        (SynReceived, RecvRst | Abort | Timeout) => Closed,

        (Established, Close) => FinWait1,
        (Established, RecvFin) => CloseWait,
        (Established, RecvRst | Abort | Timeout) => Closed,

        (FinWait1, RecvAckOfFin) => FinWait2,
        (FinWait1, RecvFin) => Closing,
        (FinWait1, RecvRst | Abort | Timeout) => Closed,

        (FinWait2, RecvFin) => TimeWait,
        (FinWait2, RecvRst | Abort | Timeout) => Closed,

        (CloseWait, Close) => LastAck,
        (CloseWait, RecvRst | Abort | Timeout) => Closed,

        (Closing, RecvAckOfFin) => TimeWait,
        (Closing, RecvRst | Abort | Timeout) => Closed,

        (LastAck, RecvAckOfFin) => Closed,
        (LastAck, RecvRst | Abort | Timeout) => Closed,

        // RFC 9293 §3.10.7.4: a FIN again restarts 2MSL; a new SYN may take the place over.
        (TimeWait, RecvFin) => TimeWait,
        (TimeWait, RecvSyn) => SynReceived,
        (TimeWait, RecvRst | Abort | Timeout) => Closed,

        _ => return Err(Illegal { state, input }),
    })
}

/// The table as a Mermaid state diagram, an arrow for each pair of states with the inputs that
/// lead from one to the other.
pub fn diagram() -> alloc::string::String {
    use core::fmt::Write;
    let mut text = alloc::string::String::from("stateDiagram-v2\n");
    for from in State::ALL {
        for to in State::ALL {
            let leads = |input: &&Input| next(from, **input) == Ok(to);
            let inputs: alloc::vec::Vec<_> =
                Input::ALL.iter().filter(leads).map(|input| alloc::format!("{input:?}")).collect();
            if !inputs.is_empty() {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "    {from} --> {to}: {}", inputs.join(", "));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use core::fmt::Write;

    /// The whole table as text, so that a change in it is a diff that a person reads.
    #[test]
    fn rfc9293_3_3_2_the_table() {
        let mut table = String::new();
        for state in State::ALL {
            for input in Input::ALL {
                if let Ok(to) = next(state, input) {
                    writeln!(table, "{state:<12} {:<12} -> {to}", alloc::format!("{input:?}"))
                        .unwrap();
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn every_state_but_closed_has_a_way_out() {
        for state in State::ALL {
            assert!(Input::ALL.iter().any(|&i| next(state, i).is_ok_and(|to| to != state)));
        }
    }
}
