//! The engine as the model checker sees it.

use core::hash::{Hash, Hasher};

use super::{Engine, Records};
use fourwave_wire::SeqNum;

use crate::event::ConnId;
use crate::fingerprint::Printer;
use crate::time::Instant;

impl Engine {
    /// Hashes what steers the engine from here on, relative to `now`: two engines of one
    /// configuration and seed with equal hashes do the same, as long as a handful of bytes is
    /// sent and rates stay below their limits. The packets and events that wait must have been
    /// taken. O(records).
    pub fn fingerprint(&self, now: Instant, hasher: &mut impl Hasher) {
        debug_assert!(self.ready.is_empty() && self.events.is_empty(), "packets or events wait");
        let Self {
            records: Records { conns, half_open, time_wait, secret: _ },
            listeners,
            orphans,
            // A model's buffers are far below every limit.
            memory: _,
            hand: _,
            // The same in all states of a model.
            config: _,
            link: _,
            // Follow from the records; `next_deadline` is held against the wheel.
            demux: _,
            timers: _,
            ready: _,
            replies: _,
            events: _,
            // Steer nothing.
            counters: _,
            watches_senders: _,
            // Far from their limits; ports are named by the model.
            challenges: _,
            ports: _,
            hosts: _,
            // A model does not use Fast Open.
            fast_open_keys: _,
            cookies: _,
        } = self;
        let mut printer = Printer { now, inner: hasher };
        (conns, half_open, time_wait, orphans).hash(&mut printer);
        listeners.queues().for_each(|queue| queue.hash(&mut printer));
    }

    /// Connections that wait in [`accept`](Self::accept).
    pub fn waiting(&self) -> usize {
        self.listeners.queues().map(|queue| queue.len()).sum()
    }

    /// ISS and IRS of a connection, by which a model tells incarnations apart.
    pub fn initial_numbers(&self, conn: ConnId) -> Option<(SeqNum, SeqNum)> {
        let index = self.records.conns.check(conn.index, conn.generation)?;
        self.records.conns.get(index).map(|c| (c.snd.iss, c.rcv.irs))
    }

    /// When something is due at last: [`poll_timeout`](Self::poll_timeout) may be earlier, never
    /// later. O(records).
    pub fn next_deadline(&self) -> Option<Instant> {
        let conns = &self.records.conns;
        let of_conns = conns.indices().filter_map(|i| conns.get(i)?.next_deadline()).min();
        let time_wait = self.records.time_wait.oldest().map(|(_, at)| at);
        let half_open = self.records.half_open.next_deadline();
        [of_conns, time_wait, half_open].into_iter().flatten().min()
    }
}
