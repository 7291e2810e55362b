//! What a ladder's rows say, without how they are drawn.

use std::time::Duration;

use fourwave_core::state::State;
use fourwave_wire::icmp::IcmpError;
use fourwave_wire::tcp::Flags;

use crate::trouble::Trouble;

/// One of the two ends of a connection, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The end that opened the connection, or is taken for it (the higher port) where the
    /// beginning was not seen. Drawn on the left.
    Client,
    /// The other one.
    Server,
}

impl Role {
    /// Both, the client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// 0 for the client, 1 for the server.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// `client` or `server`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Where a segment's numbers lie among those already seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where it was expected.
    InOrder,
    /// All of it was seen before: a retransmission.
    Retransmitted,
    /// It fills a gap: it was reordered, or retransmitted after a loss before the point of
    /// capture.
    OutOfOrder,
    /// A gap lies before it.
    Ahead,
    /// Far outside what the receiver can take.
    Outside,
}

impl Place {
    /// A name for machines, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InOrder => "in_order",
            Self::Retransmitted => "retransmitted",
            Self::OutOfOrder => "out_of_order",
            Self::Ahead => "ahead",
            Self::Outside => "outside",
        }
    }
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SYN.
    Syn,
    /// SYN ACK.
    SynAck,
    /// Data, with or without an acknowledgement.
    Data,
    /// Nothing but an acknowledgement.
    Ack,
    /// The same acknowledgement once more while data is under way.
    DupAck,
    /// The same acknowledgement with another window.
    WindowUpdate,
    /// An acknowledgement that closes the window.
    ZeroWindow,
    /// The answer to a segment that a blind attacker could have sent (RFC 5961).
    ChallengeAck,
    /// Asks whether the peer is still there.
    Keepalive,
    /// Answers a keepalive or window probe.
    ProbeAnswer,
    /// Asks whether a closed window has opened.
    WindowProbe,
    /// FIN, with or without data.
    Fin,
    /// RST.
    Rst,
}

impl Kind {
    /// A name for machines, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Data => "data",
            Self::Ack => "ack",
            Self::DupAck => "dup_ack",
            Self::WindowUpdate => "window_update",
            Self::ZeroWindow => "zero_window",
            Self::ChallengeAck => "challenge_ack",
            Self::Keepalive => "keepalive",
            Self::ProbeAnswer => "probe_answer",
            Self::WindowProbe => "window_probe",
            Self::Fin => "fin",
            Self::Rst => "rst",
        }
    }

    /// What a person is told beside the flags; `None` where they say it all.
    pub const fn annotation(self) -> Option<&'static str> {
        match self {
            Self::DupAck => Some("duplicate ACK"),
            Self::WindowUpdate => Some("window update"),
            Self::ZeroWindow => Some("window closed"),
            Self::ChallengeAck => Some("challenge ACK"),
            Self::Keepalive => Some("keepalive probe"),
            Self::ProbeAnswer => Some("answer to the probe"),
            Self::WindowProbe => Some("window probe"),
            Self::Syn | Self::SynAck | Self::Data | Self::Ack | Self::Fin | Self::Rst => None,
        }
    }
}

/// A segment with numbers relative to each direction's first (its SYN is 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it is for.
    pub kind: Kind,
    /// Where it lies among the numbers seen.
    pub place: Place,
    /// Control bits.
    pub flags: Flags,
    /// SEG.SEQ, relative.
    pub seq: u64,
    /// SEG.ACK, relative, where the ACK bit is set.
    pub ack: Option<u64>,
    /// Payload bytes.
    pub len: u64,
    /// Segments on the wire; more than 1 for a super-packet.
    pub segments: u64,
    /// Window in bytes, scaled where the scale is known.
    pub window: u32,
    /// Maximum segment size, on a SYN that says one.
    pub mss: Option<u16>,
}

/// One of the four waves by which a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wave {
    /// The first FIN.
    One,
    /// The ACK of the first FIN.
    Two,
    /// ACK of the first FIN and second FIN in one segment.
    TwoThree,
    /// The second FIN.
    Three,
    /// The ACK of the second FIN.
    Four,
}

impl Wave {
    /// Their numbers.
    pub const fn numbers(self) -> &'static [u8] {
        match self {
            Self::One => &[1],
            Self::Two => &[2],
            Self::TwoThree => &[2, 3],
            Self::Three => &[3],
            Self::Four => &[4],
        }
    }

    /// `wave 1`, `waves 2 and 3`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::One => "wave 1",
            Self::Two => "wave 2",
            Self::TwoThree => "waves 2 and 3",
            Self::Three => "wave 3",
            Self::Four => "wave 4",
        }
    }

    /// Which direction is closed with it, where one is: that of the end that closed first
    /// (`true`), or of the other one.
    pub const fn closes(self) -> Option<bool> {
        match self {
            Self::Two | Self::TwoThree => Some(true),
            Self::Four => Some(false),
            Self::One | Self::Three => None,
        }
    }

    /// What the sender says by it.
    pub const fn says(self) -> &'static str {
        match self {
            Self::One => "I send no more data",
            Self::Two => "I heard: your direction is closed",
            Self::TwoThree => "I heard: your direction is closed. I send no more data either",
            Self::Three => "I send no more data either",
            Self::Four => "I heard: closed",
        }
    }
}

/// What an RST was for, as far as the packets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RstCause {
    /// The answer to a SYN.
    Refused,
    /// Its sender opened the connection and gave up before it was open.
    ClosedWhileOpening,
    /// Its sender had closed, and the other end sent more data.
    DataAfterClose,
    /// The answer to a segment of a connection that its sender does not have (any more).
    NoSuchConnection,
    /// Its sender had retransmitted this often without an answer.
    GaveUp(u32),
    /// Its sender's keepalive probes stayed without an answer.
    DeadPeer,
    /// Both had closed already.
    AfterTheEnd,
    /// It came right behind the other end's data, or behind the answer to it: most likely its
    /// sender closed with unread data.
    UnreadData,
    /// Its TTL is not that of its sender's other packets: something on the way sent it.
    Middlebox,
    /// Its sender gave an open connection up.
    Aborted,
}

impl RstCause {
    /// A name for machines, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ClosedWhileOpening => "closed-while-opening",
            Self::DataAfterClose => "data-after-close",
            Self::NoSuchConnection => "no-such-connection",
            Self::GaveUp(_) => "gave-up",
            Self::DeadPeer => "dead-peer",
            Self::AfterTheEnd => "after-the-end",
            Self::UnreadData => "unread-data",
            Self::Middlebox => "middlebox",
            Self::Aborted => "aborted",
        }
    }

    /// One sentence without a full stop; `sender` and `receiver` of the RST as people call them.
    pub fn sentence(self, sender: &str, receiver: &str) -> String {
        match self {
            Self::Refused => {
                format!("{sender} refused the connection: it answered the SYN with RST")
            }
            Self::ClosedWhileOpening => {
                format!("{sender} gave up before the connection was open")
            }
            Self::DataAfterClose => {
                format!("{sender} had closed and {receiver} sent more data, so it got RST")
            }
            Self::NoSuchConnection => {
                format!("{sender} answered with RST: it has no such connection (any more)")
            }
            Self::GaveUp(times) => {
                format!("{sender} gave up after {times} retransmissions without an answer")
            }
            Self::DeadPeer => format!("{receiver} answered none of {sender}'s keepalive probes"),
            Self::AfterTheEnd => format!("{sender} sent RST after both ends had closed"),
            Self::UnreadData => format!(
                "{sender} gave the connection up with data of {receiver} unread, most likely, or \
                 by SO_LINGER 0"
            ),
            Self::Middlebox => format!(
                "something on the way sent RST in {sender}'s name: its TTL is not that of \
                 {sender}'s packets"
            ),
            Self::Aborted => format!(
                "{sender} gave the connection up: aborted, closed with unread data or SO_LINGER 0, \
                 or killed"
            ),
        }
    }
}

/// A change of one end's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
}

/// Data segments of one direction in a row, the other direction's ACKs among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When the last of them was seen.
    pub until: Duration,
    /// Packets that carried data (or probed), super-packets counted once.
    pub packets: u64,
    /// Segments that carried data (or probed).
    pub segments: u64,
    /// Payload bytes, retransmissions included.
    pub bytes: u64,
    /// Segments that were seen before.
    pub retransmitted: u64,
    /// Segments that came after later ones.
    pub out_of_order: u64,
    /// ACKs of the other direction.
    pub acks: u64,
    /// Duplicates among the ACKs.
    pub dup_acks: u64,
    /// How often an ACK closed the window.
    pub zero_windows: u64,
    /// The first of them.
    pub first: Shown,
    /// The highest relative number behind the data.
    pub end_seq: u64,
    /// The last ACK of the other direction, and when it was seen.
    pub last_ack: Option<(Duration, Shown)>,
}

/// Many short runs that answer each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the last of them ended.
    pub until: Duration,
    /// Runs by the client and by the server.
    pub turns: [u64; 2],
    /// Data segments by the client and by the server.
    pub segments: [u64; 2],
    /// Payload bytes by the client and by the server.
    pub bytes: [u64; 2],
    /// Segments among them that were seen before.
    pub retransmitted: u64,
}

/// Rows that were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// When the last of them ended.
    pub until: Duration,
    /// How many rows.
    pub rows: u64,
    /// Segments in them.
    pub segments: u64,
    /// Payload bytes in them by the client and by the server.
    pub bytes: [u64; 2],
}

/// What a row tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// One segment that is no plain data.
    Segment(Shown),
    /// Data.
    Run(Run),
    /// Runs in turn.
    Exchange(Exchange),
    /// A SYN or FIN that crossed another one arrives now; it was sent in an earlier row.
    Arrival(Flags),
    /// An ICMP error about a segment of the row's `from`.
    Icmp(IcmpError),
    /// A word from beside: what the engine or the gateway knows.
    Note(String),
    /// What is wrong with the row's `from`.
    Trouble(Trouble),
    /// Rows that were not kept.
    LeftOut(LeftOut),
}

/// One row of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it began, since the epoch of the lens.
    pub at: Duration,
    /// The running number of the packet that began it, as counted by the lens; 0 for what no
    /// packet told.
    pub packet: u64,
    /// Who sent the segment (for an ICMP error: the segment that it is about).
    pub from: Role,
    /// What was seen.
    pub what: What,
    /// The states that it changed, the client's and the server's.
    pub moved: [Option<Move>; 2],
    /// Which of the four waves it is.
    pub wave: Option<Wave>,
    /// What the RST was for.
    pub cause: Option<RstCause>,
    /// One more thing that a person should know about it.
    pub annotation: Option<&'static str>,
}

impl Row {
    /// A row about `what` and nothing more.
    pub(crate) fn new(at: Duration, from: Role, what: What) -> Self {
        Self {
            at,
            packet: 0,
            from,
            what,
            moved: [None; 2],
            wave: None,
            cause: None,
            annotation: None,
        }
    }

    /// When the last of what it tells was seen.
    pub fn until(&self) -> Duration {
        match &self.what {
            What::Run(run) => run.until,
            What::Exchange(exchange) => exchange.until,
            What::LeftOut(left_out) => left_out.until,
            What::Segment(_)
            | What::Arrival(_)
            | What::Icmp(_)
            | What::Note(_)
            | What::Trouble(_) => self.at,
        }
    }

    /// Rows that a story cannot do without.
    pub(crate) fn is_pinned(&self) -> bool {
        self.wave.is_some()
            || self.cause.is_some()
            || self.moved.iter().any(Option::is_some)
            || matches!(self.what, What::Arrival(_) | What::Note(_) | What::Trouble(_))
    }
}
