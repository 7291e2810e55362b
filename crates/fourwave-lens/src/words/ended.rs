//! How an end closed and how a connection ended.

use fourwave_wire::icmp::IcmpError;

use super::{Role, RstCause};

/// How an end began to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// With FIN: no more data from there, the other direction stays open.
    Fin,
    /// With RST: both directions end at once.
    Rst,
}

impl ClosedBy {
    /// `FIN` or `RST`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "FIN",
            Self::Rst => "RST",
        }
    }
}

/// How a connection ended, as far as the packets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Both FINs were acknowledged.
    Orderly,
    /// An RST ended it.
    Reset {
        /// Who sent it.
        by: Role,
        /// What for, as far as the packets tell.
        cause: RstCause,
    },
    /// An ICMP error ended it before it was open.
    Unreachable(IcmpError),
    /// Nothing answered the SYN.
    Unanswered {
        /// How often the SYN was retransmitted.
        retransmissions: u32,
    },
    /// Nothing answered the SYN ACK.
    HalfOpen,
    /// A new connection took its four-tuple before its end was seen.
    Replaced,
    /// One end gave it up without a word to the other; the engine said so.
    Silent,
    /// It was not over when the watching stopped.
    Open,
}

impl Ended {
    /// A name for machines, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orderly => "orderly",
            Self::Reset { cause: RstCause::Refused, .. } => "refused",
            Self::Reset { .. } => "reset",
            Self::Unreachable(_) => "unreachable",
            Self::Unanswered { .. } => "unanswered",
            Self::HalfOpen => "half-open",
            Self::Replaced => "replaced",
            Self::Silent => "silent",
            Self::Open => "open",
        }
    }
}

/// An ICMP error in words: `host unreachable`.
pub const fn icmp_words(error: IcmpError) -> &'static str {
    match error {
        IcmpError::NetUnreachable => "network unreachable",
        IcmpError::HostUnreachable => "host unreachable",
        IcmpError::ProtocolUnreachable => "protocol unreachable",
        IcmpError::PortUnreachable => "port unreachable",
        IcmpError::PacketTooBig { .. } => "packet too big",
        IcmpError::AdminProhibited => "administratively prohibited",
        IcmpError::TimeExceeded => "time to live exceeded",
        IcmpError::ParameterProblem => "parameter problem",
        _ => "unreachable",
    }
}
