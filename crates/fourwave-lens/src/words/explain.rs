//! What each kind of anomaly is called, what it means and what to do about it.

use super::{AnomalyKind, Severity};

/// Title, meaning, remedy, weight.
type Words = (&'static str, &'static str, &'static str, Severity);

impl AnomalyKind {
    /// A heading: `FIN never acknowledged`.
    pub const fn title(self) -> &'static str {
        self.words().0
    }

    /// What it means, in one sentence.
    pub const fn meaning(self) -> &'static str {
        self.words().1
    }

    /// What to do about it, in one sentence.
    pub const fn remedy(self) -> &'static str {
        self.words().2
    }

    /// How much it matters.
    pub const fn severity(self) -> Severity {
        self.words().3
    }

    const fn words(self) -> Words {
        match self {
            Self::SynRetransmitted
            | Self::SynUnanswered
            | Self::Refused
            | Self::HalfOpen
            | Self::SynIntoTimeWait
            | Self::PortReusedEarly
            | Self::SynInConnection => opening(self),
            Self::FinNeverAcknowledged
            | Self::FinRetransmitted
            | Self::DataAfterFin
            | Self::TimeWaitAssassinated
            | Self::OldDuplicate
            | Self::CloseWaitLingers
            | Self::NeverClosed => closing(self),
            Self::ResetAfterClose
            | Self::UnreadDataReset
            | Self::Aborted
            | Self::PeerDead
            | Self::ForgedReset
            | Self::ResetIgnored => resets(self),
            Self::Retransmissions
            | Self::SpuriousRetransmissions
            | Self::ZeroWindow
            | Self::NagleDelayedAck
            | Self::OutOfOrder
            | Self::CaptureGap
            | Self::BeginningMissing => data(self),
        }
    }
}

const fn opening(kind: AnomalyKind) -> Words {
    match kind {
        AnomalyKind::SynRetransmitted => (
            "SYN retransmitted",
            "The SYN or the SYN ACK was lost or not answered in time, which costs the first \
             connection attempt a second or more.",
            "Look for loss on the path and for a listen queue that overflows (`ss -ltn`, the \
             counter ListenOverflows): a full queue drops SYNs in silence.",
            Severity::Warning,
        ),
        AnomalyKind::SynUnanswered => (
            "SYN never answered",
            "Nothing answered the SYN, not even a refusal: a firewall drops it, the host is gone, \
             or its listen queue is full.",
            "Check the address, the route and the firewalls between the two, and the server's \
             listen queue.",
            Severity::Error,
        ),
        AnomalyKind::Refused => (
            "connection refused",
            "The SYN was answered with RST: nothing listens on that port, or a firewall refuses \
             it.",
            "Check that the server runs and listens on this address and port (`ss -ltn`).",
            Severity::Warning,
        ),
        AnomalyKind::HalfOpen => (
            "half-open connection",
            "The SYN ACK was never acknowledged: it did not arrive, or whoever sent the SYN does \
             not exist.",
            "Check the way back from the server to the client; where many come from many \
             addresses it is a SYN flood, so see that tcp_syncookies is on.",
            Severity::Warning,
        ),
        AnomalyKind::SynIntoTimeWait => (
            "SYN into TIME_WAIT",
            "The client reused the four-tuple while the server still held it in TIME_WAIT; a newer \
             timestamp or a higher sequence number lets it in at once, anything else costs a \
             second.",
            "Keep connections open instead of opening one for each request, let the client close \
             first, and keep tcp_timestamps on at both ends.",
            Severity::Note,
        ),
        AnomalyKind::PortReusedEarly => (
            "port reused early",
            "The end that held TIME_WAIT reused the four-tuple before 2MSL was over: \
             tcp_tw_reuse, or too few ephemeral ports; old duplicates are kept out by timestamps \
             only.",
            "Keep connections open and reuse them, or widen ip_local_port_range; keep \
             tcp_timestamps on.",
            Severity::Warning,
        ),
        _ => (
            "SYN in an open connection",
            "A SYN came into a connection that is open: its sender has forgotten the connection \
             (it was restarted, or a NAT gave its port away), or an old SYN arrived late.",
            "If the sender was restarted, the other end's keepalive probes or its challenge ACK \
             clear it; behind a NAT, make its timeout longer than the connection's pauses.",
            Severity::Warning,
        ),
    }
}

const fn closing(kind: AnomalyKind) -> Words {
    match kind {
        AnomalyKind::FinNeverAcknowledged => (
            "FIN never acknowledged",
            "An end said that it sends no more data and never heard that this was understood: it \
             stays in FIN_WAIT_1, LAST_ACK or CLOSING and retransmits its FIN until it gives up.",
            "Find out why the other end answers no more (host gone, firewall or NAT that dropped \
             the connection); tcp_orphan_retries bounds how long the FIN is retransmitted.",
            Severity::Error,
        ),
        AnomalyKind::FinRetransmitted => (
            "FIN retransmitted",
            "A FIN or its ACK was lost or late, so the FIN was retransmitted; TIME_WAIT at the \
             other end exists to answer it.",
            "A few are harmless; where there are many, look for loss at the end of connections, \
             such as a firewall that forgets them at the first FIN.",
            Severity::Warning,
        ),
        AnomalyKind::DataAfterFin => (
            "data after FIN",
            "An end sent new data beyond its own FIN: the receiver must not take it, so its stack \
             or a middlebox is broken, or two connections were mixed up.",
            "Look at what rewrites packets on the way (proxy, load balancer, NAT) and at the \
             sender's TCP.",
            Severity::Error,
        ),
        AnomalyKind::TimeWaitAssassinated => (
            "TIME_WAIT assassinated",
            "An RST ended TIME_WAIT before 2MSL was over (RFC 1337), so an old duplicate may now \
             reach a new connection on the same four-tuple.",
            "Set tcp_rfc1337 to 1 at the end that holds TIME_WAIT.",
            Severity::Warning,
        ),
        AnomalyKind::OldDuplicate => (
            "old duplicate",
            "A segment arrived that is outside of all that the receiver can take, or an old copy \
             of what it has: it was delayed on the way, or belongs to an earlier connection on \
             the same four-tuple.",
            "TIME_WAIT and timestamps are what makes it harmless: keep tcp_timestamps on and do \
             not shorten TIME_WAIT.",
            Severity::Warning,
        ),
        AnomalyKind::CloseWaitLingers => (
            "CLOSE_WAIT lingers",
            "The other end has closed and this one's application does not: its socket and its \
             descriptor leak, and no timer of the kernel ever ends CLOSE_WAIT.",
            "Mend the program: when a read returns 0, or an error, close the socket on every \
             path; `fourwave doctor` names the process and the descriptor.",
            Severity::Error,
        ),
        _ => (
            "never closed",
            "Nothing was seen for long and neither end, or only one of them, has closed.",
            "If it should live, SO_KEEPALIVE keeps middleboxes from forgetting it and finds a \
             dead peer; if not, close it after a time without traffic.",
            Severity::Note,
        ),
    }
}

const fn resets(kind: AnomalyKind) -> Words {
    match kind {
        AnomalyKind::ResetAfterClose => (
            "RST after close",
            "An end had closed its socket for good and the other one sent more data: that data is \
             lost, and the answer is RST.",
            "Agree on who closes first, or close with shutdown(SHUT_WR) and read until the other \
             end has closed too.",
            Severity::Error,
        ),
        AnomalyKind::UnreadDataReset => (
            "RST with unread data",
            "An end most likely closed its socket while data lay unread in its buffer, so it sent \
             RST instead of FIN; what it had sent itself may be lost with it.",
            "Read until the end (a read returns 0) before close, or shutdown(SHUT_WR) first and \
             then drain; SO_LINGER 0 looks the same from outside.",
            Severity::Error,
        ),
        AnomalyKind::Aborted => (
            "aborted",
            "An RST ended the connection and no packet shows why: SO_LINGER 0, a killed or \
             restarted program, or a host that does not know the connection any more.",
            "Look at the log of the end that sent it at that time; close with FIN, and use \
             SO_LINGER 0 only where loss of data does not matter.",
            Severity::Warning,
        ),
        AnomalyKind::PeerDead => (
            "peer does not answer",
            "Retransmissions or keepalive probes stayed without an answer, so one end gave the \
             connection up or is about to.",
            "Find out what became of the other end: host down, cable, a NAT or firewall that \
             forgot the connection (send keepalives more often than its timeout).",
            Severity::Error,
        ),
        AnomalyKind::ForgedReset => (
            "forged RST",
            "An RST does not have the TTL of its sender's other packets: a middlebox (firewall, \
             load balancer, censor) sent it in its name.",
            "Look for the device at that distance and at its session timeout or its rule; the two \
             ends did nothing wrong.",
            Severity::Error,
        ),
        _ => (
            "RST ignored",
            "An RST did not have the next expected number, so its receiver must ignore it and ask \
             back with a challenge ACK (RFC 5961): it came late, or somebody guesses.",
            "One late RST is harmless; many, with changing numbers, are an attack or a broken \
             middlebox.",
            Severity::Note,
        ),
    }
}

const fn data(kind: AnomalyKind) -> Words {
    match kind {
        AnomalyKind::Retransmissions => (
            "retransmissions",
            "Data was lost on the way, or taken for lost, and retransmitted.",
            "Below one in a thousand it hardly matters; above it, look for a congested or faulty \
             link, a policer, or duplex and MTU faults.",
            Severity::Warning,
        ),
        AnomalyKind::SpuriousRetransmissions => (
            "spurious retransmissions",
            "Data was retransmitted although it had arrived: its ACK was lost or late, the delay \
             jumped, or segments overtook each other.",
            "Look for bursts of delay and for loss on the way back; timestamps and SACK at both \
             ends let the sender undo its slowdown.",
            Severity::Note,
        ),
        AnomalyKind::ZeroWindow => (
            "window closed",
            "The receiver's buffer was full: its application reads more slowly than the other end \
             sends, so the sender waits.",
            "Make the receiving program read faster or in another thread; a larger SO_RCVBUF \
             helps with bursts only.",
            Severity::Warning,
        ),
        AnomalyKind::NagleDelayedAck => (
            "Nagle meets delayed ACK",
            "One end writes a message in pieces and its Nagle algorithm holds the next small piece \
             until the piece before is acknowledged, while the other end delays that ACK in the \
             hope of an answer to send with it: both wait, 40 to 500 ms each time.",
            "Set TCP_NODELAY at the end that writes, or write each message with one call (writev, \
             MSG_MORE, a buffered writer).",
            Severity::Warning,
        ),
        AnomalyKind::OutOfOrder => (
            "out of order",
            "Segments overtook each other on the way: several paths or queues; the receiver must \
             hold data back, and much of it looks like loss to the sender.",
            "See that each connection stays on one path (hash of the four-tuple in bonding and \
             ECMP); capture before the network card's queues to be sure of it.",
            Severity::Note,
        ),
        AnomalyKind::CaptureGap => (
            "capture incomplete",
            "The receiver acknowledged bytes that are not in the capture, so the capture missed \
             packets, and what is said of this connection may be incomplete.",
            "Capture with a larger buffer (`tcpdump -B`) and a shorter snaplen, or nearer to one \
             of the ends.",
            Severity::Note,
        ),
        _ => (
            "beginning missing",
            "The capture begins in mid-connection: who opened it is a guess, and window scales \
             are not known.",
            "Start the capture before the program to see the handshake.",
            Severity::Note,
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_words_of_its_own_in_whole_sentences() {
        let mut seen = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        for kind in AnomalyKind::ALL {
            let (title, meaning, remedy, _) = kind.words();
            for sentence in [meaning, remedy] {
                assert!(sentence.ends_with('.'), "{kind:?}: {sentence}");
                assert!(!sentence.contains("  ") && !sentence.contains('\n'), "{sentence}");
                assert!(sentence.split_whitespace().count() > 5, "{sentence}");
            }
            for (set, text) in seen.iter_mut().zip([kind.name(), title, meaning, remedy]) {
                assert!(set.insert(text), "{text} twice");
            }
        }
    }
}
