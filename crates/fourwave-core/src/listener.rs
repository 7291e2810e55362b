//! Who answers SYNs: for one address and port, or for any.

use alloc::collections::{BTreeMap, VecDeque};
use core::net::{IpAddr, SocketAddr};

use crate::error::ListenError;
use crate::event::{ConnId, ListenerId, PendingId};
use crate::fast_open::FastOpenKeys;
use crate::slab::Slab;

/// For whom a listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address to answer for; `None` for any.
    pub address: Option<IpAddr>,
    /// Port to answer for; `None` for any (a gateway's).
    pub port: Option<u16>,
    /// Report each SYN and wait for the caller's [`Decision`](crate::Decision) before it is
    /// answered.
    pub deferred: bool,
    /// Longest queue of connections that wait for accept; limited by `somaxconn`.
    pub backlog: usize,
}

/// A listener's part in Fast Open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ListenFast {
    /// Most connections that may wait for the end of their handshake; 0 takes no part.
    pub(crate) queue: usize,
    /// How many wait.
    pub(crate) waiting: usize,
    /// Keys of its own.
    pub(crate) keys: Option<FastOpenKeys>,
}

/// A listener.
#[cfg_attr(feature = "model", derive(Clone))]
pub(crate) struct Listener {
    pub(crate) id: ListenerId,
    pub(crate) options: Listen,
    /// Fast Open.
    pub(crate) fast_open: ListenFast,
    /// `TCP_MAXSEG` of its connections; 0 for the link's.
    pub(crate) max_seg: u16,
    /// Half-open records that belong to it.
    pub(crate) half_open: usize,
    /// Open connections that wait for accept.
    pub(crate) queue: VecDeque<(ConnId, Option<PendingId>)>,
}

/// All listeners.
#[cfg_attr(feature = "model", derive(Clone))]
pub(crate) struct Listeners {
    table: Slab<Listener>,
    by_address: BTreeMap<(Option<IpAddr>, Option<u16>), u32>,
}

impl Listeners {
    pub(crate) const fn new() -> Self {
        Self { table: Slab::new(), by_address: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, options: Listen) -> Result<ListenerId, ListenError> {
        let key = (options.address, options.port);
        if self.by_address.contains_key(&key) {
            return Err(ListenError::AddressInUse);
        }
        let index = self.table.insert_with(|index, generation| Listener {
            id: ListenerId { index, generation },
            options,
            fast_open: ListenFast::default(),
            max_seg: 0,
            half_open: 0,
            queue: VecDeque::new(),
        });
        self.by_address.insert(key, index);
        Ok(self.table.get(index).map_or(ListenerId { index, generation: 0 }, |l| l.id))
    }

    pub(crate) fn remove(&mut self, id: ListenerId) -> Option<Listener> {
        let index = self.table.check(id.index, id.generation)?;
        let listener = self.table.remove(index)?;
        self.by_address.remove(&(listener.options.address, listener.options.port));
        Some(listener)
    }

    pub(crate) fn get(&self, id: ListenerId) -> Option<&Listener> {
        let index = self.table.check(id.index, id.generation)?;
        self.table.get(index)
    }

    pub(crate) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        let index = self.table.check(id.index, id.generation)?;
        self.table.get_mut(index)
    }

    /// The listener for `local`: the most exact one. O(log listeners).
    pub(crate) fn find(&self, local: SocketAddr) -> Option<&Listener> {
        let (ip, port) = (Some(local.ip()), Some(local.port()));
        [(ip, port), (None, port), (ip, None), (None, None)]
            .iter()
            .find_map(|key| self.by_address.get(key))
            .and_then(|&index| self.table.get(index))
    }

    /// Every listener's queue. O(listeners).
    #[cfg(feature = "model")]
    pub(crate) fn queues(&self) -> impl Iterator<Item = &VecDeque<(ConnId, Option<PendingId>)>> {
        self.table.indices().filter_map(|i| Some(&self.table.get(i)?.queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_one_answers() {
        let mut listeners = Listeners::new();
        let ip = IpAddr::from([10, 0, 0, 1]);
        let options = Listen { address: None, port: None, deferred: true, backlog: 1 };
        let any = listeners.insert(options).unwrap();
        let port = listeners.insert(Listen { port: Some(80), ..options }).unwrap();
        let exact =
            listeners.insert(Listen { address: Some(ip), port: Some(80), ..options }).unwrap();
        assert_eq!(listeners.insert(options), Err(ListenError::AddressInUse));
        let found = |ip: [u8; 4], port| listeners.find((ip, port).into()).unwrap().id;
        assert_eq!(found([10, 0, 0, 1], 80), exact);
        assert_eq!(found([10, 0, 0, 2], 80), port);
        assert_eq!(found([10, 0, 0, 1], 81), any);
        listeners.remove(any).unwrap();
        assert!(listeners.find(([10, 0, 0, 1], 81).into()).is_none());
    }
}
