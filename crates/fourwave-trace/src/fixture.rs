//! A connection record for tests.

use std::time::Duration;

use fourwave_core::state::State;
use fourwave_lens::{
    Anomaly, AnomalyKind, ClosedBy, ClosedFirst, ConnectionRecord, EndMetrics, Metrics, Proof,
    Retransmissions, Role, Rtt,
};

/// A leak: the server stays in CLOSE_WAIT; 3 MB were sent, 5 segments again, in 2 s.
pub(crate) fn leak() -> ConnectionRecord {
    let mut rtt = Rtt::default();
    rtt.add(Duration::from_millis(150));
    let retransmissions = Retransmissions { timeout: 5, ..Retransmissions::default() };
    let server = EndMetrics { retransmissions, rtt, zero_windows: 2, ..EndMetrics::default() };
    let metrics = Metrics { ends: [EndMetrics::default(), server], ..Metrics::default() };
    let mut record = ConnectionRecord::new(
        7,
        ["10.0.0.1:40000".parse().unwrap(), "[2001:db8::2]:8080".parse().unwrap()],
    );
    record.opened_by = Some(Role::Client);
    record.opened = Duration::from_secs(100);
    record.ended = Duration::from_secs(102);
    record.states = [State::FinWait2, State::CloseWait];
    record.bytes = [1000, 3_000_000];
    record.bytes_acked = [1000, 3_000_000];
    record.segments = [100, 2000];
    record.retransmitted = [0, 5];
    record.closed_first =
        Some(ClosedFirst { who: Role::Client, by: ClosedBy::Fin, at: Duration::from_secs(101) });
    record.metrics = Some(Box::new(metrics));
    record.anomalies = vec![Anomaly {
        kind: AnomalyKind::CloseWaitLingers,
        who: Some(Role::Server),
        at: Duration::from_secs(102),
        proof: Proof::default(),
        duration: None,
    }];
    record
}
