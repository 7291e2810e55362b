//! What a caller may set.

use std::time::Duration;

/// Settings of a [`Lens`](crate::Lens).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LensOptions {
    /// 2MSL: how long TIME_WAIT lasts where no engine says otherwise. 60 s, as Linux has it.
    pub time_wait: Duration,
    /// An RST does not end TIME_WAIT (`tcp_rfc1337`). Off, as Linux has it.
    pub rfc1337: bool,
    /// How long a connection that is over is watched before its record is reported, so that a FIN
    /// retransmitted and the engine's report are part of it. 1 s.
    pub settle: Duration,
    /// Connections that are over and wait for `settle` at most; beyond, the oldest is reported at
    /// once. No limit by default.
    pub most_settling: usize,
    /// How long an unanswered SYN may stay without another one before it counts as given up.
    /// 130 s: longer than the longest pause of Linux with `tcp_syn_retries` 6.
    pub syn_timeout: Duration,
    /// Entries kept from the beginning of each connection; at least 1.
    pub first_entries: usize,
    /// Entries kept from the end of each connection; at least 12. What carries a change of state
    /// is kept beyond both, up to 64 entries.
    pub last_entries: usize,
    /// Connections that were reported and are remembered while they may be in TIME_WAIT, 128 bytes
    /// or so each; beyond that the oldest is forgotten.
    pub remembered: usize,
    /// Collect metrics ([`ConnectionRecord::metrics`](crate::ConnectionRecord::metrics)) and detect
    /// anomalies ([`ConnectionRecord::anomalies`](crate::ConnectionRecord::anomalies)). It costs
    /// time for each packet and, for each connection, 2 KiB, in a long one up to 20 KiB.
    pub metrics: bool,
    /// How long an end may stay in CLOSE_WAIT without sending anything, and an open connection
    /// without a word, before that is an anomaly. 60 s. Only with `metrics`.
    pub close_wait: Duration,
    /// A connection of which nothing was seen for this long is reported as it is and forgotten, so
    /// that memory is bounded where ends were not captured. It may take a quarter longer.
    /// `None`: never.
    pub idle: Option<Duration>,
    /// Report [`Event::Opened`](crate::Event::Opened) and [`Event::Entry`](crate::Event::Entry)
    /// too.
    pub live: bool,
}

impl Default for LensOptions {
    fn default() -> Self {
        Self {
            time_wait: Duration::from_secs(60),
            rfc1337: false,
            settle: Duration::from_secs(1),
            most_settling: usize::MAX,
            syn_timeout: Duration::from_secs(130),
            first_entries: 24,
            last_entries: 24,
            remembered: 65_536,
            metrics: false,
            close_wait: Duration::from_secs(60),
            idle: None,
            live: false,
        }
    }
}
