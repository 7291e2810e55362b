//! Aggregates records into the overview, in bounded memory whatever the capture holds.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use fourwave_lens::{ClosedBy, ConnectionRecord, Ended, Names, RstCause, Severity};
use hdrhistogram::Histogram;

use crate::overview::{FileRead, Lifetimes, Overview, Service, Suspect};

/// Services and suspects that are reported.
const TOLD: usize = 20;
/// The longest lifetime that is distinguished, in microseconds: ten years.
const LONGEST: u64 = 10 * 366 * 86_400 * 1_000_000;

/// How bad a connection is: the worst weight, how many anomalies have it, how often they
/// happened; of equal ones the first counts more.
type Rank = (Severity, usize, u64, Reverse<u64>);

#[derive(Debug)]
struct Ranked {
    rank: Rank,
    suspect: Suspect,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

/// Sums over records. At most 65,536 services, and the suspects that will be reported.
#[derive(Debug)]
pub(crate) struct Aggregator {
    pub(crate) overview: Overview,
    services: HashMap<u16, Service>,
    lifetimes: Histogram<u64>,
    shortest: Duration,
    longest: Duration,
    /// The least of the worst on top.
    suspects: BinaryHeap<Reverse<Ranked>>,
}

impl Aggregator {
    pub(crate) fn new() -> Self {
        let lifetimes = match Histogram::new_with_bounds(1, LONGEST, 2) {
            Ok(histogram) => histogram,
            Err(error) => unreachable!("bounds that are constants: {error}"),
        };
        Self {
            overview: Overview::default(),
            services: HashMap::new(),
            lifetimes,
            shortest: Duration::MAX,
            longest: Duration::ZERO,
            suspects: BinaryHeap::new(),
        }
    }

    /// One more file was read to its end, or as far as it could be.
    pub(crate) fn file(&mut self, file: FileRead) {
        for at in file.span.iter().flat_map(|(first, last)| [*first, *last]) {
            widen(&mut self.overview.span, at);
        }
        self.overview.files.push(file);
    }

    /// One more connection.
    pub(crate) fn add(&mut self, record: &ConnectionRecord) {
        let all = &mut self.overview;
        all.connections += 1;
        for (sum, bytes) in all.bytes.iter_mut().zip(record.bytes) {
            *sum += bytes;
        }
        all.segments += record.segments.iter().sum::<u64>();
        all.retransmitted += record.retransmissions().iter().sum::<u64>();
        *all.ends.entry(record.how.name()).or_default() += 1;
        let mut kinds: Vec<_> = record.anomalies.iter().map(|anomaly| anomaly.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            *all.anomalies.entry(kind).or_default() += 1;
        }
        self.service(record);
        self.lifetime(record);
        self.suspect(record);
    }

    fn service(&mut self, record: &ConnectionRecord) {
        let port = record.addrs[1].port();
        let service =
            self.services.entry(port).or_insert_with(|| Service { port, ..Service::default() });
        service.connections += 1;
        service.unopened += u64::from(never_opened(record));
        if let Some(first) = record.closed_first.filter(|first| first.by == ClosedBy::Fin) {
            service.closed_first[first.who.index()] += 1;
        }
        if let Ended::Reset { by, .. } = record.how
            && !never_opened(record)
        {
            service.reset[by.index()] += 1;
        }
        for wait in &record.time_wait {
            service.time_wait[wait.who.index()] += 1;
        }
        for (sum, bytes) in service.bytes.iter_mut().zip(record.bytes) {
            *sum += bytes;
        }
    }

    fn lifetime(&mut self, record: &ConnectionRecord) {
        let ended = matches!(record.how, Ended::Orderly | Ended::Reset { .. });
        if record.opened_by.is_none() || !ended || never_opened(record) {
            return;
        }
        let lasted = record.lasted();
        self.shortest = self.shortest.min(lasted);
        self.longest = self.longest.max(lasted);
        let micros = u64::try_from(lasted.as_micros()).unwrap_or(LONGEST);
        self.lifetimes.saturating_record(micros.max(1));
    }

    fn suspect(&mut self, record: &ConnectionRecord) {
        let worst = record.anomalies.iter().max_by_key(|anomaly| {
            (anomaly.kind.severity(), anomaly.proof.times(), Reverse(anomaly.at))
        });
        let Some(worst) = worst.filter(|worst| worst.kind.severity() > Severity::Note) else {
            return;
        };
        let severity = worst.kind.severity();
        let of_severity = || record.anomalies.iter().filter(|one| one.kind.severity() == severity);
        let times = of_severity().map(|one| one.proof.times()).sum();
        let rank = (severity, of_severity().count(), times, Reverse(record.conn));
        if self.suspects.len() == TOLD {
            match self.suspects.peek() {
                Some(Reverse(least)) if least.rank < rank => self.suspects.pop(),
                _ => return,
            };
        }
        let suspect = Suspect {
            conn: record.conn,
            addrs: record.addrs,
            kind: worst.kind,
            severity,
            text: worst.sentence(record, &Names::default()),
            packets: worst.proof.packets().to_vec(),
        };
        self.suspects.push(Reverse(Ranked { rank, suspect }));
    }

    /// The overview so far.
    pub(crate) fn finish(mut self) -> Overview {
        let mut services: Vec<Service> = self.services.into_values().collect();
        services.sort_unstable_by_key(|one| (Reverse(one.connections), one.port));
        services.truncate(TOLD);
        self.overview.services = services;
        if !self.lifetimes.is_empty() {
            let (least, most) = (self.shortest, self.longest);
            let at = |quantile: f64| {
                let micros = self.lifetimes.value_at_quantile(quantile);
                Duration::from_micros(micros).clamp(least, most)
            };
            self.overview.lifetimes = Lifetimes {
                connections: self.lifetimes.len(),
                quantiles: [least, at(0.5), at(0.9), at(0.99), most],
            };
        }
        let mut suspects: Vec<Ranked> = self.suspects.into_iter().map(|Reverse(one)| one).collect();
        suspects.sort_unstable_by_key(|one| Reverse(one.rank));
        self.overview.suspects = suspects.into_iter().map(|one| one.suspect).collect();
        self.overview
    }
}

/// Makes a span reach to `at`, whichever way.
pub(crate) fn widen(span: &mut Option<(Duration, Duration)>, at: Duration) {
    let (first, last) = span.unwrap_or((at, at));
    *span = Some((first.min(at), last.max(at)));
}

/// It never was a connection: refused, unanswered, unreachable or given up half-open.
pub(crate) fn never_opened(record: &ConnectionRecord) -> bool {
    match record.how {
        Ended::Reset { cause, .. } => {
            matches!(cause, RstCause::Refused | RstCause::ClosedWhileOpening)
        }
        Ended::Unreachable(_) | Ended::Unanswered { .. } | Ended::HalfOpen => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::leak;
    use fourwave_lens::AnomalyKind;

    #[test]
    fn the_worst_are_kept_however_many_there_are() {
        let mut aggregator = Aggregator::new();
        for conn in 1..=1000 {
            let mut record = leak();
            record.conn = conn;
            record.addrs[1].set_port(conn as u16);
            let times = if conn.is_multiple_of(100) { 2 } else { 1 };
            (0..times).for_each(|_| record.anomalies[0].proof.add(conn));
            aggregator.add(&record);
        }
        let overview = aggregator.finish();
        let suspects: Vec<u64> = overview.suspects.iter().map(|one| one.conn).collect();
        let often = (1..=10).map(|hundreds| hundreds * 100);
        assert_eq!(suspects, often.chain(1..=10).collect::<Vec<u64>>());
        assert_eq!((overview.services.len(), overview.connections), (TOLD, 1000));
        assert_eq!(overview.anomalies[&AnomalyKind::CloseWaitLingers], 1000);
    }

    #[test]
    fn services_count_who_did_what() {
        let mut aggregator = Aggregator::new();
        let mut record = leak();
        aggregator.add(&record);
        record.how = Ended::Reset { by: fourwave_lens::Role::Server, cause: RstCause::Aborted };
        aggregator.add(&record);
        record.how = Ended::Reset { by: fourwave_lens::Role::Server, cause: RstCause::Refused };
        record.closed_first = None;
        aggregator.add(&record);
        let overview = aggregator.finish();
        let [service] = &overview.services[..] else { panic!("{:?}", overview.services) };
        assert_eq!((service.port, service.connections, service.unopened), (8080, 3, 1));
        assert_eq!((service.closed_first, service.reset), ([2, 0], [0, 1]));
        let ends = [("open", 1), ("refused", 1), ("reset", 1)];
        assert_eq!(overview.ends.into_iter().collect::<Vec<_>>(), ends);
    }

    #[test]
    fn lifetimes_are_of_whole_connections_and_exact_at_their_ends() {
        let mut aggregator = Aggregator::new();
        for millis in 1..=1000 {
            let mut record = leak();
            record.how = Ended::Orderly;
            record.ended = record.opened + Duration::from_millis(millis);
            aggregator.add(&record);
        }
        // Still open; and begun before the capture.
        aggregator.add(&leak());
        let mut late = leak();
        (late.how, late.opened_by) = (Ended::Orderly, None);
        aggregator.add(&late);
        let Lifetimes { connections, quantiles } = aggregator.finish().lifetimes;
        assert_eq!(
            (connections, quantiles[0].as_millis(), quantiles[4].as_millis()),
            (1000, 1, 1000)
        );
        for (quantile, millis) in [(1, 500), (2, 900), (3, 990)] {
            let off = quantiles[quantile].as_millis().abs_diff(millis);
            assert!(off * 100 <= millis, "{quantiles:?}");
        }
    }
}
