//! A connection record for tests.

use std::time::Duration;

use fourwave_core::state::State;
use fourwave_lens::{
    Anomaly, AnomalyKind, ClosedBy, ClosedFirst, ConnectionRecord, EndMetrics, Ended, Metrics,
    Proof, Retransmissions, Role, Rtt,
};

/// A leak: the server stays in CLOSE_WAIT; 3 MB were sent, 5 segments again, in 2 s.
pub(crate) fn leak() -> ConnectionRecord {
    let mut rtt = Rtt::default();
    rtt.add(Duration::from_millis(150));
    let retransmissions = Retransmissions { timeout: 5, ..Retransmissions::default() };
    let server = EndMetrics { retransmissions, rtt, zero_windows: 2, ..EndMetrics::default() };
    let metrics = Metrics { ends: [EndMetrics::default(), server], ..Metrics::default() };
    ConnectionRecord {
        conn: 7,
        addrs: ["10.0.0.1:40000".parse().unwrap(), "[2001:db8::2]:8080".parse().unwrap()],
        opened_by: Some(Role::Client),
        opened: Duration::from_secs(100),
        ended: Duration::from_secs(102),
        states: [State::FinWait2, State::CloseWait],
        bytes: [1000, 3_000_000],
        bytes_acked: [1000, 3_000_000],
        segments: [100, 2000],
        retransmitted: [0, 5],
        fin_retransmissions: [0; 2],
        handshake: None,
        closed_first: Some(ClosedFirst {
            who: Role::Client,
            by: ClosedBy::Fin,
            at: Duration::from_secs(101),
        }),
        half_closed: None,
        how: Ended::Open,
        time_wait: Vec::new(),
        report: None,
        engine: None,
        unseen: [0; 2],
        nagle_waits: Default::default(),
        unexpected_segments: 0,
        metrics: Some(Box::new(metrics)),
        anomalies: vec![Anomaly {
            kind: AnomalyKind::CloseWaitLingers,
            who: Some(Role::Server),
            at: Duration::from_secs(102),
            proof: Proof::default(),
            duration: None,
        }],
        entries: Vec::new(),
    }
}
