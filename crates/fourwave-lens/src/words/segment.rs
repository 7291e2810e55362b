//! What a segment is for, where its numbers lie, which of the four waves it is, and why an RST was
//! sent.

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

    /// What a person reads beside the flags; `None` where they say it all.
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
