//! One line about a whole run.

use std::fmt;

use fourwave_core::{EndReason, EndReport, Side};
use fourwave_wire::icmp::IcmpError;

use crate::names::Names;
use crate::record::ConnectionRecord;
use crate::units::{bytes, counted};
use crate::words::{ClosedBy, Ended, Role, RstCause};

/// How connections ended, in the order in which the line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ClosedByProgram,
    ClosedByOther,
    Closed,
    ResetByProgram,
    ResetByOther,
    RefusedByOther,
    RefusedByProgram,
    Unreachable,
    Unanswered,
    TimedOut,
    GivenUp,
    Open,
}

const ENDS: [(End, &str); 12] = [
    (End::ClosedByProgram, "closed by the program"),
    (End::ClosedByOther, "closed by the other side"),
    (End::Closed, "closed"),
    (End::ResetByProgram, "reset by the program"),
    (End::ResetByOther, "reset by the other side"),
    (End::RefusedByOther, "refused"),
    (End::RefusedByProgram, "refused by the program"),
    (End::Unreachable, "unreachable"),
    (End::Unanswered, "unanswered"),
    (End::TimedOut, "timed out"),
    (End::GivenUp, "given up while opening"),
    (End::Open, "still open at the end"),
];

/// Why a connection that a gateway dialled for its program never opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// The destination refused it.
    Refused,
    /// The network said that the destination cannot be reached.
    Unreachable,
    /// The destination did not answer.
    Unanswered,
    /// The program gave up first.
    GivenUp,
}

/// Sums over the connections of a run. [`Display`](fmt::Display) is the line, without a line
/// feed: `12 connections, 34.1 MB up, 1.2 GB down; 11 closed by the program, 1 refused`.
///
/// "Up" is what the program (or the client, where no end has a name) sent. Feed it
/// [`ConnectionRecord`]s or [`EndReport`]s, not both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Connections, attempts included.
    pub connections: u64,
    /// Bytes that the program sent.
    pub up: u64,
    /// Bytes that the program received.
    pub down: u64,
    /// In the order of `ENDS`.
    ends: [u64; 12],
    /// Whether anything but a record without names was added: then there is a program.
    has_program: bool,
    /// Whether an end of the other side was that of a client (a published port).
    other_is_client: bool,
    /// Whether one was that of a server.
    other_is_server: bool,
}

impl Summary {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a gateway's engine reports: its own end stands for the server, the remote end
    /// is the program.
    pub fn add_report(&mut self, report: &EndReport) {
        self.other_is_server = true;
        self.add_report_anyway(report);
    }

    /// As [`add_report`](Self::add_report) for a connection that the engine opened into the
    /// program (a published port): its own end stands for the client.
    pub fn add_published_report(&mut self, report: &EndReport) {
        self.other_is_client = true;
        self.add_report_anyway(report);
    }

    fn add_report_anyway(&mut self, report: &EndReport) {
        self.has_program = true;
        let end = match report.reason {
            EndReason::Orderly => match report.closed_first {
                Some(Side::Remote) => End::ClosedByProgram,
                Some(Side::Local) => End::ClosedByOther,
                None => End::Closed,
            },
            EndReason::ResetByPeer => End::ResetByProgram,
            EndReason::Refused => End::RefusedByProgram,
            EndReason::Unreachable(_) => End::Unreachable,
            EndReason::ConnectTimeout => End::Unanswered,
            EndReason::HandshakeTimeout | EndReason::ClosedWhileOpening => End::GivenUp,
            EndReason::RetransmissionTimeout
            | EndReason::UserTimeout
            | EndReason::KeepaliveTimeout
            | EndReason::OrphanTimeout
            | EndReason::FinWait2Timeout => End::TimedOut,
            EndReason::Shutdown => End::Open,
            // Aborted, Linger, ClosedWithUnreadData, DataAfterClose, TooManyOrphans: our RST.
            _ => End::ResetByOther,
        };
        self.add(end, report.bytes_received, report.bytes_acked);
    }

    /// Adds a connection that the engine never had: its SYN was answered with the truth about
    /// the destination.
    pub fn add_unopened(&mut self, why: Unopened) {
        self.has_program = true;
        self.other_is_server = true;
        let end = match why {
            Unopened::Refused => End::RefusedByOther,
            Unopened::Unreachable => End::Unreachable,
            Unopened::Unanswered => End::Unanswered,
            Unopened::GivenUp => End::GivenUp,
        };
        self.add(end, 0, 0);
    }

    /// Adds a record. The program is the end that `names` names; where it names none or both, the
    /// client.
    pub fn add_record(&mut self, record: &ConnectionRecord, names: &Names) {
        let program = match record.addrs.map(|addr| names.is_named(addr)) {
            [false, true] => Role::Server,
            _ => Role::Client,
        };
        self.has_program |= record.addrs.iter().any(|&addr| names.is_named(addr));
        match program {
            Role::Client => self.other_is_server = true,
            Role::Server => self.other_is_client = true,
        }
        let by = |who: Role, program_did: End, other_did: End| {
            if who == program { program_did } else { other_did }
        };
        let end = match record.how {
            Ended::Orderly => record.closed_first.map_or(End::Closed, |first| match first.by {
                ClosedBy::Fin => by(first.who, End::ClosedByProgram, End::ClosedByOther),
                ClosedBy::Rst => by(first.who, End::ResetByProgram, End::ResetByOther),
            }),
            Ended::Reset { by: who, cause: RstCause::Refused } => {
                by(who, End::RefusedByProgram, End::RefusedByOther)
            }
            Ended::Reset { cause: RstCause::ClosedWhileOpening, .. } | Ended::HalfOpen => {
                End::GivenUp
            }
            Ended::Reset { by: who, .. } => by(who, End::ResetByProgram, End::ResetByOther),
            Ended::Unreachable(IcmpError::PortUnreachable) => End::RefusedByOther,
            Ended::Unreachable(_) => End::Unreachable,
            Ended::Unanswered { .. } => End::Unanswered,
            Ended::Silent => End::TimedOut,
            Ended::Replaced | Ended::Open => End::Open,
        };
        let (up, down) = (record.bytes[program.index()], record.bytes[program.other().index()]);
        self.add(end, up, down);
    }

    fn add(&mut self, end: End, up: u64, down: u64) {
        self.connections += 1;
        self.up += up;
        self.down += down;
        self.ends[end as usize] += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.connections == 0 {
            return f.write_str("no connections");
        }
        let connections = counted(self.connections, "connection");
        write!(f, "{connections}, {} up, {} down; ", bytes(self.up), bytes(self.down))?;
        let other = match (self.other_is_server, self.other_is_client) {
            (true, false) => "the server",
            (false, true) => "the client",
            _ => "the other side",
        };
        let mut separator = "";
        for (end, words) in ENDS {
            let n = self.ends[end as usize];
            if n > 0 {
                let mut words = words.replace("the other side", other);
                if !self.has_program {
                    words = words.replace("the program", "the client");
                }
                write!(f, "{separator}{} {words}", crate::units::count(n))?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_core::UserCall;

    fn report(reason: EndReason, closed_first: Option<Side>) -> EndReport {
        let mut report = EndReport::new(
            "93.184.216.34:80".parse().unwrap(),
            "10.4.0.100:40000".parse().unwrap(),
            reason,
        );
        report.closed_first = closed_first;
        report.last_call = UserCall::Close;
        report.bytes_acked = 100_000_000;
        report.bytes_received = 2_841_700;
        report
    }

    #[test]
    fn the_line_names_who_ended_what() {
        let mut summary = Summary::new();
        assert_eq!(summary.to_string(), "no connections");
        for _ in 0..11 {
            summary.add_report(&report(EndReason::Orderly, Some(Side::Remote)));
        }
        summary.add_report(&report(EndReason::Aborted, Some(Side::Local)));
        assert_eq!(
            summary.to_string(),
            "12 connections, 34.1 MB up, 1.2 GB down; \
             11 closed by the program, 1 reset by the server"
        );
        summary.add_unopened(Unopened::Refused);
        summary.add_published_report(&report(EndReason::Orderly, Some(Side::Local)));
        assert_eq!(
            summary.to_string(),
            "14 connections, 36.9 MB up, 1.3 GB down; 11 closed by the program, \
             1 closed by the other side, 1 reset by the other side, 1 refused"
        );
    }

    #[test]
    fn every_end_has_its_words_at_its_place() {
        for (i, (end, _)) in ENDS.into_iter().enumerate() {
            assert_eq!(end as usize, i);
        }
    }
}
