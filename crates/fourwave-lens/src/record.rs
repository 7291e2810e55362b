//! The whole life of one connection, reported when it is over.

use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::state::State;
use fourwave_core::{EndReason, EndReport};

use crate::entry::{EntryKind, LadderEntry};
use crate::metrics::Metrics;
use crate::nagle::NagleWaits;
use crate::names::Names;
use crate::units;
use crate::words::{Anomaly, ClosedBy, Ended, Role, RstCause, icmp_words};

/// Who closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedFirst {
    /// Whose FIN or RST came first.
    pub who: Role,
    /// Which of the two it was.
    pub by: ClosedBy,
    /// When, since the epoch of the lens.
    pub at: Duration,
}

/// The time in which one end had closed and the other had not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfClosed {
    /// The end that could still send.
    pub sender: Role,
    /// When the first FIN was seen.
    pub since: Duration,
    /// When the second FIN (or the RST) was seen; `None` when none was.
    pub until: Option<Duration>,
    /// Bytes that came in that time.
    pub bytes: u64,
}

/// An end that keeps the connection's four-tuple occupied after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWait {
    /// Which end.
    pub who: Role,
    /// When it entered TIME_WAIT, or 2MSL started anew.
    pub since: Duration,
    /// When it leaves: as the engine said, or `since` and the 2MSL of the lens.
    pub until: Duration,
}

/// The whole life of one connection. All times are since the epoch of the lens; pairs hold the
/// client's value first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionRecord {
    /// The connection's number in this lens, from 1.
    pub conn: u64,
    /// The client's address and the server's.
    pub addrs: [SocketAddr; 2],
    /// Who opened it; `None` when its beginning was not seen.
    pub opened_by: Option<Role>,
    /// When its first segment was seen.
    pub opened: Duration,
    /// When its last segment was seen, or the engine said that it had ended.
    pub ended: Duration,
    /// The states at the end.
    pub states: [State; 2],
    /// Bytes of the stream that each end sent, retransmissions not counted.
    pub bytes: [u64; 2],
    /// Bytes of each end's stream that the other acknowledged.
    pub bytes_acked: [u64; 2],
    /// Segments sent; the parts of super-packets counted.
    pub segments: [u64; 2],
    /// Segments sent that had been sent before.
    pub retransmitted: [u64; 2],
    /// How often each end sent its FIN again.
    pub fin_retransmissions: [u32; 2],
    /// From SYN to ACK: the round trip from the client over the point of watching to the
    /// server. `None` when it was not seen or a retransmission makes it ambiguous.
    pub handshake: Option<Duration>,
    /// Who closed first.
    pub closed_first: Option<ClosedFirst>,
    /// The time between the two FINs; `None` when they crossed.
    pub half_closed: Option<HalfClosed>,
    /// How it ended, as far as the packets tell.
    pub how: Ended,
    /// Who holds TIME_WAIT.
    pub time_wait: Vec<TimeWait>,
    /// What the engine said about the end.
    pub report: Option<EndReport>,
    /// Which end was the engine's, where it said anything.
    pub engine: Option<Role>,
    /// Bytes that the other end acknowledged and that never passed the point of watching.
    pub unseen: [u64; 2],
    /// Small segments of each end that waited for the other's delayed ACKs.
    pub nagle_waits: [NagleWaits; 2],
    /// Segments that made no sense in the states at their time.
    pub unexpected_segments: u32,
    /// Metrics; only with [`LensOptions::metrics`](crate::LensOptions::metrics).
    pub metrics: Option<Box<Metrics>>,
    /// Its anomalies, in the order in which they were seen; only with
    /// [`LensOptions::metrics`](crate::LensOptions::metrics).
    pub anomalies: Vec<Anomaly>,
    /// The entries of its ladder.
    pub entries: Vec<LadderEntry>,
}

/// How notes about faults begin, and of those the ones about the fault that resets.
const FAULT: &str = "--fault ";
const RESETTING: &str = "rst-after:";

impl ConnectionRecord {
    /// A record of which nothing is known but its number and the client's and the server's
    /// address: what follows is set field by field.
    pub fn new(conn: u64, addrs: [SocketAddr; 2]) -> Self {
        Self {
            conn,
            addrs,
            opened_by: None,
            opened: Duration::ZERO,
            ended: Duration::ZERO,
            states: [State::Closed; 2],
            bytes: [0; 2],
            bytes_acked: [0; 2],
            segments: [0; 2],
            retransmitted: [0; 2],
            fin_retransmissions: [0; 2],
            handshake: None,
            closed_first: None,
            half_closed: None,
            how: Ended::Open,
            time_wait: Vec::new(),
            report: None,
            engine: None,
            unseen: [0; 2],
            nagle_waits: [NagleWaits::default(); 2],
            unexpected_segments: 0,
            metrics: None,
            anomalies: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Segments retransmitted by each end: with metrics, those of every kind, also where the first
    /// sending never passed here; else those that were seen before.
    pub fn retransmissions(&self) -> [u64; 2] {
        match self.metrics.as_deref() {
            Some(Metrics { ends: [client, server], .. }) => {
                [client.retransmissions.total(), server.retransmissions.total()]
            }
            None => self.retransmitted,
        }
    }

    /// An end's address.
    pub fn addr(&self, who: Role) -> SocketAddr {
        self.addrs[who.index()]
    }

    /// Why it ended, where the engine said so.
    pub fn reason(&self) -> Option<EndReason> {
        self.report.as_ref().map(|report| report.reason)
    }

    /// Whether an RST ended it.
    pub fn was_reset(&self) -> bool {
        matches!(self.how, Ended::Reset { .. })
    }

    /// How long it lasted.
    pub fn lasted(&self) -> Duration {
        self.ended.saturating_sub(self.opened)
    }

    /// Who closed first and with what, where that is not told by [`why`](Self::why) already.
    pub(crate) fn closed_first_reported(&self) -> Option<ClosedFirst> {
        let refused = matches!(self.how, Ended::Reset { cause: RstCause::Refused, .. });
        self.closed_first.filter(|_| !refused)
    }

    /// The words that were given from beside the packets, the last one first.
    fn notes(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().rev().filter_map(|entry| match &entry.what {
            EntryKind::Note(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Why whoever aborted it did so. What faults did to its packets is no reason.
    fn reason_to_abort(&self) -> Option<&str> {
        self.notes().find(|note| !note.starts_with(FAULT))
    }

    /// An RST that neither end sent.
    fn injected_reset(&self) -> Option<&str> {
        let is_it = |note: &&str| {
            note.strip_prefix(FAULT).is_some_and(|fault| fault.starts_with(RESETTING))
        };
        self.notes().find(is_it)
    }

    /// One sentence without a full stop: the engine's where it said why, else what the packets
    /// tell, with the ends called by their names.
    pub fn why(&self, names: &Names) -> String {
        if let (Some(reason), Some(engine)) = (self.reason(), self.engine) {
            // "The peer" and "the application" are the engine's, seen from its own end.
            if let (EndReason::ResetByPeer, Some(note)) = (reason, self.injected_reset()) {
                return note.to_owned();
            }
            return match (reason, self.reason_to_abort()) {
                (EndReason::Orderly, _) => reason.sentence().to_owned(),
                // Whoever aborted it said why.
                (EndReason::Aborted, Some(note)) => note.to_owned(),
                _ => format!("{} says: {}", names.title(self.addr(engine)), reason.sentence()),
            };
        }
        let name = |who: Role| names.word(who, self.addr(who));
        match self.how {
            Ended::Orderly => EndReason::Orderly.sentence().to_owned(),
            Ended::Reset { by, cause } => cause.sentence(&name(by), &name(by.other())),
            Ended::Unreachable(error) => {
                let server = name(Role::Server);
                format!("the network said about {server}: {}", icmp_words(error))
            }
            Ended::Unanswered { retransmissions: 0 } => "nothing answered the SYN".to_owned(),
            Ended::Unanswered { retransmissions } => format!(
                "nothing answered the SYN and its {}",
                units::counted(retransmissions.into(), "retransmission")
            ),
            Ended::HalfOpen => "nothing answered the SYN ACK".to_owned(),
            Ended::Replaced => {
                "its end was not seen: a new connection took its four-tuple".to_owned()
            }
            Ended::Silent => "one end gave it up without a word to the other".to_owned(),
            Ended::Open => "it was still open when the watching stopped".to_owned(),
        }
    }
}
