//! From where on something is a finding.

use std::time::Duration;

/// From where on something is a finding. Shares are of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Share of the ephemeral ports in use towards one destination.
    pub ports: f64,
    /// Time to exhaustion below which ports are a critical finding.
    pub ports_time: Duration,
    /// TIME_WAIT in all, as a share of `tcp_max_tw_buckets`.
    pub time_wait: f64,
    /// TIME_WAIT in all, as a number.
    pub time_wait_count: u64,
    /// CLOSE_WAIT of one program.
    pub close_wait: u64,
    /// How long a socket is in CLOSE_WAIT before it counts.
    pub close_wait_age: Duration,
    /// Share of a listener's backlog.
    pub accept_queue: f64,
    /// Half-open connections as a share of `tcp_max_syn_backlog`.
    pub syn_backlog: f64,
    /// Orphans that retransmit without an answer.
    pub orphans_stuck: u64,
    /// Orphans as a share of `tcp_max_orphans`.
    pub orphans: f64,
    /// FIN_WAIT_2 in all.
    pub fin_wait_2: u64,
    /// Share of the segments sent that are sent again.
    pub retransmissions: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            ports: 0.8,
            ports_time: Duration::from_secs(300),
            time_wait: 0.8,
            time_wait_count: 20_000,
            close_wait: 10,
            close_wait_age: Duration::from_secs(60),
            accept_queue: 0.8,
            syn_backlog: 0.8,
            orphans_stuck: 10,
            orphans: 0.8,
            fin_wait_2: 1_000,
            retransmissions: 0.05,
        }
    }
}
