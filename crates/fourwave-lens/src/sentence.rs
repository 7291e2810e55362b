//! One concrete sentence about an anomaly: who, how often, how long.

use std::time::Duration;

use crate::metrics::EndMetrics;
use crate::names::Names;
use crate::record::ConnectionRecord;
use crate::units::{bytes, count, counted, often, span};
use crate::words::{Anomaly, AnomalyKind, Ended, Role, RstCause};

/// What a sentence is made of.
struct SentenceWriter<'a> {
    anomaly: &'a Anomaly,
    record: &'a ConnectionRecord,
    /// The end that it is about, and the other one.
    who: String,
    other: String,
    times: u64,
}

impl Anomaly {
    /// One sentence without a full stop: who, how often, how long.
    pub fn sentence(&self, record: &ConnectionRecord, names: &Names) -> String {
        let role = self.who.unwrap_or(Role::Client);
        let word = |who: Role| names.word(who, record.addr(who));
        let writer = SentenceWriter {
            anomaly: self,
            record,
            who: word(role),
            other: word(role.other()),
            times: self.proof.times(),
        };
        writer.opening().or_else(|| writer.closing()).unwrap_or_else(|| writer.data())
    }
}

impl SentenceWriter<'_> {
    fn end(&self) -> EndMetrics {
        let role = self.anomaly.who.unwrap_or(Role::Client);
        let metrics = self.record.metrics.as_ref();
        metrics.map(|all| all.ends[role.index()].clone()).unwrap_or_default()
    }

    fn for_time(&self) -> String {
        self.anomaly.duration.map(|time| format!(" for {}", span(time))).unwrap_or_default()
    }

    fn opening(&self) -> Option<String> {
        let Self { who, other, times, .. } = self;
        Some(match self.anomaly.kind {
            AnomalyKind::SynRetransmitted => {
                let what = if self.anomaly.who == Some(Role::Server) { "SYN ACK" } else { "SYN" };
                format!("{who} sent its {what} {}: no answer came in time", often(times + 1))
            }
            AnomalyKind::SynUnanswered => {
                format!("nothing answered {who}'s SYN, sent {}{}", often(*times), self.within())
            }
            AnomalyKind::Refused => format!("{other} answered {who}'s SYN with RST"),
            AnomalyKind::HalfOpen => {
                format!(
                    "{who} never acknowledged the SYN ACK, sent {}{}",
                    often(*times),
                    self.within()
                )
            }
            AnomalyKind::SynIntoTimeWait => format!(
                "{who} reused the four-tuple while {other} held TIME_WAIT{}",
                self.left_of_time_wait()
            ),
            AnomalyKind::PortReusedEarly => format!(
                "{who} reused the four-tuple while it held TIME_WAIT itself{}",
                self.left_of_time_wait()
            ),
            AnomalyKind::SynInConnection => {
                format!("{who} sent a SYN into the open connection {}", often(*times))
            }
            _ => return None,
        })
    }

    fn within(&self) -> String {
        match self.anomaly.duration {
            Some(time) if time > Duration::ZERO => format!(", within {}", span(time)),
            _ => String::new(),
        }
    }

    fn left_of_time_wait(&self) -> String {
        let left = self.anomaly.duration;
        left.map(|left| format!(", {} before its end", span(left))).unwrap_or_default()
    }

    fn closing(&self) -> Option<String> {
        let Self { who, other, times, .. } = self;
        Some(match self.anomaly.kind {
            AnomalyKind::FinNeverAcknowledged => format!(
                "{who} sent its FIN {} and {other} never acknowledged it{}",
                often(*times),
                self.within()
            ),
            AnomalyKind::FinRetransmitted => format!(
                "{who} sent its FIN {}: it or the ACK of it was lost or late",
                often(times + 1)
            ),
            AnomalyKind::DataAfterFin => {
                format!("{who} sent data beyond its own FIN {}", often(*times))
            }
            AnomalyKind::TimeWaitAssassinated => {
                format!("an RST by {who} cut {other}'s TIME_WAIT short")
            }
            AnomalyKind::OldDuplicate => {
                let what = counted(*times, "segment");
                format!("{what} by {who}: older than all that {other} can take, or far outside")
            }
            AnomalyKind::CloseWaitLingers => {
                format!("{who} did not close{} after {other} had: CLOSE_WAIT", self.for_time())
            }
            AnomalyKind::NeverClosed => self.never_closed(),
            AnomalyKind::ResetAfterClose => {
                format!("{who} had closed, {other} sent more data, and the answer was RST")
            }
            AnomalyKind::UnreadDataReset => format!(
                "{who} sent RST and no FIN right after data of {other}: closed with unread data, \
                 most likely"
            ),
            AnomalyKind::Aborted | AnomalyKind::ForgedReset => self.reset(),
            AnomalyKind::PeerDead => {
                format!(
                    "{who} answered none of {other}'s last {}{}",
                    self.attempts(),
                    self.within()
                )
            }
            AnomalyKind::ResetIgnored => {
                format!(
                    "{} by {who} with a number that {other} had to ignore",
                    counted(*times, "RST")
                )
            }
            _ => return None,
        })
    }

    fn attempts(&self) -> String {
        let probes = matches!(self.record.how, Ended::Reset { cause: RstCause::DeadPeer, .. });
        counted(self.times, if probes { "keepalive probe" } else { "retransmission" })
    }

    fn never_closed(&self) -> String {
        match self.anomaly.who {
            Some(_) => format!(
                "{} never closed, {} had; nothing was seen{}",
                self.who,
                self.other,
                self.for_time()
            ),
            None => format!("neither end closed; nothing was seen{}", self.for_time()),
        }
    }

    /// The cause of the RST that ended it, in its own words.
    fn reset(&self) -> String {
        match self.record.how {
            Ended::Reset { by, cause } if Some(by) == self.anomaly.who => {
                cause.sentence(&self.who, &self.other)
            }
            _ => format!("{} sent RST", self.who),
        }
    }

    fn data(&self) -> String {
        let Self { who, other, times, .. } = self;
        let end = self.end();
        match self.anomaly.kind {
            AnomalyKind::Retransmissions => {
                let (fast, timeout) = (end.retransmissions.fast, end.retransmissions.timeout);
                let mut how = Vec::new();
                if fast > 0 {
                    how.push(format!("{} because {other} asked for it", count(fast)));
                }
                if timeout > 0 {
                    how.push(format!("{} after a timeout", count(timeout)));
                }
                let what = counted((fast + timeout).max(1), "data segment");
                format!("{who} retransmitted {what}: {}", how.join(", "))
            }
            AnomalyKind::SpuriousRetransmissions => {
                let what = counted(end.retransmissions.spurious.max(*times), "data segment");
                format!("{who} retransmitted {what} that {other} had already")
            }
            AnomalyKind::ZeroWindow => {
                format!(
                    "{who} closed its window {},{} in all",
                    often(end.zero_windows.max(1)),
                    self.for_time()
                )
            }
            AnomalyKind::NagleDelayedAck => {
                let role = self.anomaly.who.unwrap_or(Role::Client);
                let waits = self.record.nagle_waits[role.index()];
                format!("{who}'s small segments waited {}", waits.sentence(other))
            }
            AnomalyKind::OutOfOrder => {
                format!(
                    "{} of {who} came after later ones",
                    counted(end.out_of_order.max(*times), "segment")
                )
            }
            AnomalyKind::CaptureGap => {
                let role = self.anomaly.who.unwrap_or(Role::Client);
                let unseen = bytes(self.record.unseen[role.index()]);
                format!("{other} acknowledged {unseen} by {who} that were not captured")
            }
            _ => "the connection was open when the capture began".to_owned(),
        }
    }
}
