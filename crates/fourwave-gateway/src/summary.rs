//! What a run was, in one line.

use std::collections::BTreeMap;
use std::fmt;

use fourwave::{EndReason, EndReport};

/// The sums over all connections of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Connections that ended, the ones cut at the end included.
    pub connections: u64,
    /// Bytes that the program sent.
    pub bytes_sent: u64,
    /// Bytes that the program's kernel acknowledged.
    pub bytes_received: u64,
    /// How many ended in which way, by [`EndReason::name`].
    pub ends: BTreeMap<&'static str, u64>,
    /// Those that were still open when the gateway gave up waiting.
    pub cut: u64,
    /// Calls of the program that were answered by a refusal, in the words of the answer.
    pub refused: BTreeMap<&'static str, u64>,
}

impl Summary {
    pub(crate) fn add(&mut self, report: &EndReport) {
        self.connections += 1;
        self.bytes_sent += report.bytes_received;
        self.bytes_received += report.bytes_acked;
        *self.ends.entry(report.reason.name()).or_default() += 1;
    }

    fn ended(&self, reason: EndReason) -> u64 {
        self.ends.get(reason.name()).copied().unwrap_or(0)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.connections == 1 { "connection" } else { "connections" };
        write!(f, "{} {noun}", self.connections)?;
        if self.connections > 0 {
            write!(f, ", {} sent, {} received", Size(self.bytes_sent), Size(self.bytes_received))?;
        }
        let mut separator = "; ";
        let mut part = |f: &mut fmt::Formatter<'_>, count: u64, what: &str| {
            if count == 0 {
                return Ok(());
            }
            write!(f, "{separator}{count} {what}")?;
            separator = ", ";
            Ok(())
        };
        part(f, self.ended(EndReason::Orderly), "closed by FIN")?;
        for (name, count) in &self.ends {
            if *name != EndReason::Orderly.name() && *name != EndReason::Shutdown.name() {
                part(f, *count, &format!("ended by {name}"))?;
            }
        }
        for (answer, count) in &self.refused {
            part(f, *count, answer)?;
        }
        part(f, self.cut, "cut when the program was gone")
    }
}

/// Bytes in the unit a person would choose.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // What would be rounded to 1024 belongs to the next unit.
        while value >= 1023.95 {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_within_their_unit() {
        let of = |n: u64| Size(n).to_string();
        assert_eq!(of(0), "0 B");
        assert_eq!(of(1023), "1023 B");
        assert_eq!(of(1024), "1.0 KiB");
        assert_eq!(of(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(of(1 << 30), "1.0 GiB");
        assert_eq!(of(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn the_line_says_how_they_ended() {
        let mut summary = Summary::default();
        assert_eq!(summary.to_string(), "0 connections");
        summary.connections = 4;
        summary.bytes_sent = 2048;
        summary.ends.insert(EndReason::Orderly.name(), 2);
        summary.ends.insert(EndReason::ResetByPeer.name(), 1);
        summary.ends.insert(EndReason::Shutdown.name(), 1);
        summary.refused.insert("refused", 3);
        summary.cut = 1;
        assert_eq!(
            summary.to_string(),
            "4 connections, 2.0 KiB sent, 0 B received; 2 closed by FIN, 1 ended by \
             reset-by-peer, 3 refused, 1 cut when the program was gone"
        );
    }
}
