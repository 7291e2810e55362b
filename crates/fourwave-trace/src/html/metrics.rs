//! A connection's metrics as a table: one row for each, the client's and the server's value.

use std::time::Duration;

use fourwave_lens::{ConnectionRecord, Role, Rtt, units};

/// What it is, the client's, the server's.
pub(super) type MetricRow = (&'static str, String, String);

/// The metrics of both ends; those that are zero at both are left out.
pub(super) fn of(record: &ConnectionRecord) -> Vec<MetricRow> {
    let mut rows = MetricTable(Vec::new());
    rows.always("bytes sent", record.bytes.map(units::bytes));
    rows.always("segments sent", record.segments.map(units::count));
    rows.some("acknowledged by the other", acknowledged(record));
    let retransmitted =
        |who: Role| match (record.retransmissions()[who.index()], record.segments[who.index()]) {
            (0, _) | (_, 0) => String::new(),
            (retransmitted, all) => {
                format!(
                    "{} ({:.1} %)",
                    units::count(retransmitted),
                    100.0 * retransmitted as f64 / all as f64
                )
            }
        };
    rows.some("retransmitted", Role::BOTH.map(retransmitted));
    metrics(record, &mut rows);
    rows.counts("FIN retransmitted", record.fin_retransmissions.map(u64::from));
    let unseen = record.unseen.map(|n| if n == 0 { String::new() } else { units::bytes(n) });
    rows.some("bytes never seen here", unseen);
    rows.0
}

/// Shown only where it is not what was sent.
fn acknowledged(record: &ConnectionRecord) -> [String; 2] {
    if record.bytes == record.bytes_acked {
        return [String::new(), String::new()];
    }
    record.bytes_acked.map(units::bytes)
}

fn metrics(record: &ConnectionRecord, rows: &mut MetricTable) {
    let Some(metrics) = record.metrics.as_deref() else { return };
    let [client, server] = &metrics.ends;
    let ends = [client, server];
    let retransmitted = ends.map(|end| end.retransmissions);
    rows.counts("  fast retransmissions", retransmitted.map(|a| a.fast));
    rows.counts("  after a timeout", retransmitted.map(|a| a.timeout));
    rows.counts("  spurious", retransmitted.map(|a| a.spurious));
    rows.counts("  SYN", retransmitted.map(|a| a.syn));
    rows.counts("  FIN", retransmitted.map(|a| a.fin));
    rows.some(
        "round trip, mean",
        ends.map(|end| end.rtt.mean().map_or(String::new(), units::span)),
    );
    rows.some("  from, to", ends.map(|end| range(&end.rtt)));
    rows.counts("  samples", ends.map(|end| end.rtt.samples));
    let throughput = |who: Role| {
        let rate = metrics.ends[who.index()].throughput(record.bytes[who.index()]);
        // Bytes in a second as bits, which is how links are named.
        rate.map_or(String::new(), |rate| bits(rate * 8.0))
    };
    rows.some("throughput", Role::BOTH.map(throughput));
    let in_flight = |n: u64| if n == 0 { String::new() } else { units::bytes(n) };
    rows.some("most under way", ends.map(|end| in_flight(end.max_in_flight)));
    rows.counts("closed its window", ends.map(|end| end.zero_windows));
    rows.some("window closed for", ends.map(|end| some_span(end.zero_window_time)));
    rows.counts("out of order", ends.map(|end| end.out_of_order));
    rows.counts("duplicate ACKs", ends.map(|end| end.dup_acks));
    rows.counts("keepalive probes", ends.map(|end| end.keepalives));
    rows.counts("window probes", ends.map(|end| end.window_probes));
    rows.counts("FIN segments", ends.map(|end| end.fins));
    rows.counts("RST segments", ends.map(|end| end.rsts));
}

fn range(rtt: &Rtt) -> String {
    if rtt.samples < 2 {
        return String::new();
    }
    format!("{}, {}", units::span(rtt.min), units::span(rtt.max))
}

fn some_span(time: Duration) -> String {
    if time.is_zero() { String::new() } else { units::span(time) }
}

/// `94.1 Mbit/s`.
fn bits(rate: f64) -> String {
    // Casting saturates, and a rate is never negative.
    let text = units::bytes(rate as u64);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, "B"));
    format!("{number} {}bit/s", unit.trim_end_matches('B'))
}

struct MetricTable(Vec<MetricRow>);

impl MetricTable {
    fn always(&mut self, name: &'static str, [client, server]: [String; 2]) {
        self.0.push((name, client, server));
    }

    /// Unless both are empty.
    fn some(&mut self, name: &'static str, values: [String; 2]) {
        if values.iter().any(|value| !value.is_empty()) {
            self.always(name, values.map(|v| if v.is_empty() { "–".to_owned() } else { v }));
        }
    }

    /// Unless both are zero.
    fn counts(&mut self, name: &'static str, values: [u64; 2]) {
        let text = |n: u64| if n == 0 { String::new() } else { units::count(n) };
        self.some(name, values.map(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bits() {
        assert_eq!(bits(94_100_000.0), "94.1 Mbit/s");
        assert_eq!(bits(800.0), "800 bit/s");
    }

    #[test]
    fn zero_at_both_ends_is_left_out() {
        let mut rows = MetricTable(Vec::new());
        rows.counts("a", [0, 0]);
        rows.counts("b", [0, 2]);
        assert_eq!(rows.0, [("b", "–".to_owned(), "2".to_owned())]);
    }
}
