//! What moves through the gateway: counts for the summary and for knowing when all is quiet.

use std::sync::atomic::{AtomicU64, Ordering};

use fourwave_lens::summary::Summary;
use fourwave_lens::units::{bytes, count, counted};

/// Sums over all relays.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
    owed: AtomicU64,
    relays: AtomicU64,
    flows: AtomicU64,
    datagrams_up: AtomicU64,
    datagrams_down: AtomicU64,
    queries: AtomicU64,
    pings: AtomicU64,
}

impl Traffic {
    /// Bytes came from the program, and are owed to the host for as long as the answer lives.
    pub(crate) fn up(&self, bytes: usize) -> Counted<'_> {
        let bytes = bytes as u64;
        self.up.fetch_add(bytes, Ordering::Relaxed);
        Counted::new(&self.owed, bytes)
    }

    /// Bytes of the program's that hosts have not taken yet.
    pub(crate) fn owed(&self) -> u64 {
        self.owed.load(Ordering::Relaxed)
    }

    /// Bytes went from the host to the program.
    pub(crate) fn down(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a relay for as long as the answer lives.
    pub(crate) fn relay(&self) -> Counted<'_> {
        Counted::new(&self.relays, 1)
    }

    /// Relays that have not ended.
    pub(crate) fn relays(&self) -> u64 {
        self.relays.load(Ordering::Relaxed)
    }

    /// A new UDP flow: two addresses that were not at it before.
    pub(crate) fn flow(&self) {
        self.flows.fetch_add(1, Ordering::Relaxed);
    }

    /// Payload of datagrams from the program.
    pub(crate) fn datagram_up(&self, bytes: usize) {
        self.datagrams_up.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Payload of datagrams to the program.
    pub(crate) fn datagram_down(&self, bytes: usize) {
        self.datagrams_down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A question to the resolvers, by UDP.
    pub(crate) fn query(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    /// An echo request of the program.
    pub(crate) fn ping(&self) {
        self.pings.fetch_add(1, Ordering::Relaxed);
    }

    /// What was not TCP.
    pub(crate) fn beside(&self) -> Beside {
        let sum = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Beside {
            flows: sum(&self.flows),
            up: sum(&self.datagrams_up),
            down: sum(&self.datagrams_down),
            queries: sum(&self.queries),
            pings: sum(&self.pings),
        }
    }

    /// Bytes moved in both directions.
    pub(crate) fn moved(&self) -> u64 {
        self.up.load(Ordering::Relaxed).wrapping_add(self.down.load(Ordering::Relaxed))
    }
}

/// An amount that is part of a sum until this is dropped.
#[must_use]
pub(crate) struct Counted<'a> {
    sum: &'a AtomicU64,
    amount: u64,
}

impl<'a> Counted<'a> {
    fn new(sum: &'a AtomicU64, amount: u64) -> Self {
        sum.fetch_add(amount, Ordering::Relaxed);
        Self { sum, amount }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

/// What a run carried beside TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Pairs of addresses that exchanged datagrams, those to the resolvers apart.
    pub flows: u64,
    /// Bytes of datagrams from the program.
    pub up: u64,
    /// Bytes of datagrams to the program.
    pub down: u64,
    /// Questions to the resolvers, by UDP.
    pub queries: u64,
    /// Echo requests.
    pub pings: u64,
}

impl Beside {
    fn flows(&self) -> Option<String> {
        let Self { flows, up, down, .. } = *self;
        let flows = (flows > 0).then(|| counted(flows, "UDP flow"))?;
        Some(format!("{flows}, {} up, {} down", bytes(up), bytes(down)))
    }

    /// The line at a run's end: TCP's summary, and what else there was. A program that opens no
    /// connection may have talked all the same.
    pub fn complete(&self, summary: &Summary) -> String {
        if summary.connections > 0 {
            let parts = [Some(summary.to_string()), self.flows()];
            return parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        }
        let some = |n: u64, what: &str| (n > 0).then(|| counted(n, what));
        let queries = match self.queries {
            0 => None,
            1 => Some("1 DNS query".to_owned()),
            n => Some(format!("{} DNS queries", count(n))),
        };
        let rest: Vec<_> =
            [self.flows(), queries, some(self.pings, "ping")].into_iter().flatten().collect();
        if rest.is_empty() {
            return summary.to_string();
        }
        format!("no TCP connections; {}", rest.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_lens::summary::Unopened;

    #[test]
    fn what_is_no_tcp_is_no_silence() {
        let mut summary = Summary::new();
        let mut beside = Beside::default();
        assert_eq!(beside.complete(&summary), "no connections");
        (beside.queries, beside.pings) = (2, 1);
        assert_eq!(beside.complete(&summary), "no TCP connections; 2 DNS queries; 1 ping");
        (beside.flows, beside.up, beside.down) = (3, 1500, 20);
        assert_eq!(
            beside.complete(&summary),
            "no TCP connections; 3 UDP flows, 1.5 kB up, 20 B down; 2 DNS queries; 1 ping"
        );
        summary.add_unopened(Unopened::Refused);
        assert_eq!(
            beside.complete(&summary),
            "1 connection, 0 B up, 0 B down; 1 refused; 3 UDP flows, 1.5 kB up, 20 B down"
        );
    }
}
