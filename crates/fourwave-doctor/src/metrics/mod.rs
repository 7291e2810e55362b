//! Metrics for Prometheus: `fourwave doctor --listen`.

mod serve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::{Diagnosis, FindingKind, Statistics};
pub use serve::{ServeError, serve};

/// What every name begins with.
const PREFIX: &str = "fourwave_doctor";

/// Rows of each list, the largest: labels stay bounded however many destinations there are.
pub const MOST_ROWS: usize = 20;

/// Counters of the kernel that are served, where it has them.
const KERNEL: [&str; 24] = [
    "TcpActiveOpens",
    "TcpPassiveOpens",
    "TcpAttemptFails",
    "TcpEstabResets",
    "TcpInSegs",
    "TcpOutSegs",
    "TcpRetransSegs",
    "TcpOutRsts",
    "TcpExtTW",
    "TcpExtTWRecycled",
    "TcpExtTWKilled",
    "TcpExtTCPTimeWaitOverflow",
    "TcpExtListenOverflows",
    "TcpExtListenDrops",
    "TcpExtTCPReqQFullDrop",
    "TcpExtTCPReqQFullDoCookies",
    "TcpExtTCPAbortOnData",
    "TcpExtTCPAbortOnClose",
    "TcpExtTCPAbortOnMemory",
    "TcpExtTCPAbortOnTimeout",
    "TcpExtTCPAbortOnLinger",
    "TcpExtTCPChallengeACK",
    "TcpExtPAWSActive",
    "TcpExtPAWSEstab",
];

type Labels = Vec<(&'static str, String)>;

/// A sample as OpenMetrics text, closed by `# EOF`.
///
/// # Errors
/// None of its own: writing into a `String` does not fail.
pub fn text(diagnosis: &Diagnosis) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    let statistics = Statistics::of(&diagnosis.sample);
    let mut into = Gauges(&mut registry);
    sockets(&mut into, &statistics);
    destinations(&mut into, &statistics);
    programs(&mut into, &statistics);
    listeners(&mut into, &statistics);
    judged(&mut into, diagnosis);
    kernel(&mut registry, diagnosis);
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// Takes gauges.
struct Gauges<'a>(&'a mut Registry);

impl Gauges<'_> {
    /// A gauge with labels. Without a row it is not there at all.
    fn rows(&mut self, name: &str, help: &str, rows: impl Iterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in rows {
            // What has the same labels is one row.
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn one(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }
}

fn sockets(into: &mut Gauges<'_>, statistics: &Statistics) {
    into.rows(
        "sockets",
        "TCP sockets by state",
        statistics
            .states
            .iter()
            .map(|(state, count)| (vec![("state", state.name().to_owned())], *count as f64)),
    );
    into.one(
        "orphans",
        "Sockets without a program, of the whole host",
        statistics.orphans.now as f64,
    );
    if statistics.orphans.limit > 0 {
        into.one("orphans_limit", "tcp_max_orphans", statistics.orphans.limit as f64);
    }
}

fn destinations(into: &mut Gauges<'_>, statistics: &Statistics) {
    let all = &statistics.destinations;
    into.one("destinations", "Destinations that ports are used for", all.len() as f64);
    let rows = || {
        all.iter()
            .take(MOST_ROWS)
            .map(|row| (vec![("from", row.from.to_string()), ("to", row.to.to_string())], row))
    };
    into.rows(
        "ports_used",
        "Ephemeral ports in use towards a destination, TIME_WAIT included",
        rows().map(|(labels, row)| (labels, row.used as f64)),
    );
    into.rows(
        "ports_time_wait",
        "Ephemeral ports in TIME_WAIT towards a destination",
        rows().map(|(labels, row)| (labels, row.time_wait as f64)),
    );
    into.one("ports_limit", "Ephemeral ports for each destination", statistics.ports as f64);
    into.rows(
        "ports_exhausted_seconds",
        "Until no port is left for a destination at the rate seen; absent while they do not grow",
        rows().filter_map(|(labels, row)| Some((labels, row.exhausted_in()?.as_secs_f64()))),
    );
}

fn programs(into: &mut Gauges<'_>, statistics: &Statistics) {
    // By name only: pids come and go, and each would stay a series.
    let mut programs: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for row in &statistics.close_wait {
        let name = row.program.as_ref().map_or("", |(name, _)| name.as_str());
        let sum = programs.entry(name).or_default();
        *sum = (sum.0 + row.count, sum.1 + row.unread);
    }
    let mut programs: Vec<(&str, (u64, u64))> = programs.into_iter().collect();
    programs.sort_by_key(|(name, (count, _))| (std::cmp::Reverse(*count), *name));
    programs.truncate(MOST_ROWS);
    let label = |name: &str| vec![("program", name.to_owned())];
    into.rows(
        "close_wait",
        "Sockets in CLOSE_WAIT by program",
        programs.iter().map(|(name, (count, _))| (label(name), *count as f64)),
    );
    into.rows(
        "close_wait_unread_bytes",
        "Bytes that sockets in CLOSE_WAIT have not read, by program",
        programs.iter().map(|(name, (_, unread))| (label(name), *unread as f64)),
    );
}

fn listeners(into: &mut Gauges<'_>, statistics: &Statistics) {
    let all = &statistics.listeners;
    let rows = || {
        all.iter().take(MOST_ROWS).map(|row| {
            let program = row.program.clone().unwrap_or_default();
            (vec![("local", row.local.to_string()), ("program", program)], row)
        })
    };
    into.rows(
        "listener_queue",
        "Connections that wait for accept()",
        rows().map(|(labels, row)| (labels, row.queue.into())),
    );
    into.rows(
        "listener_backlog",
        "How many connections may wait for accept()",
        // 0: not known, and no queue is over it.
        rows().filter(|(_, row)| row.backlog > 0).map(|(labels, row)| (labels, row.backlog.into())),
    );
    into.rows(
        "listener_half_open",
        "Half-open connections of a listener",
        rows().map(|(labels, row)| (labels, row.half_open.into())),
    );
}

fn judged(into: &mut Gauges<'_>, diagnosis: &Diagnosis) {
    let number =
        |kind: FindingKind| diagnosis.findings.iter().filter(|one| one.kind == kind).count();
    into.rows(
        "findings",
        "Findings by kind, 0 when there is none",
        FindingKind::ALL
            .into_iter()
            .map(|kind| (vec![("kind", kind.name().to_owned())], number(kind) as f64)),
    );
    let limitations = diagnosis.sample.after.limitations.len();
    into.one("limitations", "Things that could not be examined", limitations as f64);
    into.one("collection_seconds", "How long reading the host took", diagnosis.took.as_secs_f64());
    into.one(
        "sample_seconds",
        "Time since the sample before",
        diagnosis.sample.interval.as_secs_f64(),
    );
}

fn kernel(registry: &mut Registry, diagnosis: &Diagnosis) {
    let family = Family::<Labels, Counter>::default();
    for name in KERNEL {
        if let Some(value) = diagnosis.sample.after.counters.get(name) {
            family.get_or_create(&vec![("name", name.to_owned())]).inc_by(*value);
        }
    }
    registry.register("kernel", "Counters of the kernel by its names", family);
}
