//! Who answers SYNs: for one address and port, or for any.

#[cfg(feature = "model")]
mod fingerprint;

use alloc::collections::{BTreeMap, VecDeque};
use core::net::{IpAddr, SocketAddr};

use crate::error::ListenError;
use crate::event::{ConnId, ListenerId, PendingId};
use crate::options::{ListenFastOpen, Shared, SocketOptions};
use crate::slab::Slab;

/// For whom a listener answers, and what its connections begin with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Address to answer for; `None` for any.
    pub address: Option<IpAddr>,
    /// Port to answer for; `None` for any (a gateway's).
    pub port: Option<u16>,
    /// Report each SYN and wait for the caller's [`Decision`](crate::Decision) before it is
    /// answered.
    pub deferred: bool,
    /// Longest queue of connections that wait for accept; limited by `somaxconn`.
    pub backlog: usize,
    /// What its connections begin with.
    pub socket: SocketOptions,
    /// Its part in Fast Open. It needs bit 2 of `tcp_fastopen` too; a deferring listener takes no
    /// part.
    pub fast_open: ListenFastOpen,
}

impl ListenOptions {
    /// Answers for `port` of every address, with a backlog of 128.
    pub fn port(port: u16) -> Self {
        Self { port: Some(port), ..Self::any() }
    }

    /// Answers for every address and port, with a backlog of 128.
    pub fn any() -> Self {
        Self {
            address: None,
            port: None,
            deferred: false,
            backlog: 128,
            socket: SocketOptions::default(),
            fast_open: ListenFastOpen::default(),
        }
    }

    /// Answers for one address only.
    #[must_use]
    pub fn on(self, address: IpAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Sets [`backlog`](Self::backlog).
    #[must_use]
    pub fn with_backlog(self, backlog: usize) -> Self {
        Self { backlog, ..self }
    }

    /// Sets [`deferred`](Self::deferred).
    #[must_use]
    pub fn deferring(self) -> Self {
        Self { deferred: true, ..self }
    }

    /// Sets [`socket`](Self::socket).
    #[must_use]
    pub fn with_socket(self, socket: SocketOptions) -> Self {
        Self { socket, ..self }
    }

    /// Sets [`fast_open`](Self::fast_open).
    #[must_use]
    pub fn with_fast_open(self, fast_open: ListenFastOpen) -> Self {
        Self { fast_open, ..self }
    }
}

/// A listener.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) id: ListenerId,
    /// For which address and port it answers.
    place: Place,
    pub(crate) deferred: bool,
    pub(crate) backlog: usize,
    /// What its connections begin with.
    pub(crate) socket: Shared,
    /// Fast Open.
    pub(crate) fast_open: ListenFastOpen,
    /// Connections that wait for the end of their handshake, opened fast.
    pub(crate) opened_fast: usize,
    /// Half-open records that belong to it.
    pub(crate) half_open: usize,
    /// Open connections that wait for accept.
    pub(crate) queue: VecDeque<(ConnId, Option<PendingId>)>,
}

/// An address and a port; `None` for any.
type Place = (Option<IpAddr>, Option<u16>);

/// All listeners.
#[derive(Clone)]
pub(crate) struct Listeners {
    table: Slab<Listener>,
    by_address: BTreeMap<Place, u32>,
}

impl Listeners {
    pub(crate) const fn new() -> Self {
        Self { table: Slab::new(), by_address: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, options: ListenOptions) -> Result<ListenerId, ListenError> {
        let ListenOptions { address, port, deferred, backlog, socket, fast_open } = options;
        let place = (address, port);
        if self.by_address.contains_key(&place) {
            return Err(ListenError::AddressInUse);
        }
        let index = self.table.insert_with(|index, generation| Listener {
            id: ListenerId { index, generation },
            place,
            deferred,
            backlog,
            socket: socket.shared(),
            fast_open,
            opened_fast: 0,
            half_open: 0,
            queue: VecDeque::new(),
        });
        self.by_address.insert(place, index);
        Ok(self.table.get(index).map_or(ListenerId { index, generation: 0 }, |l| l.id))
    }

    pub(crate) fn remove(&mut self, id: ListenerId) -> Option<Listener> {
        let index = self.table.check(id.index, id.generation)?;
        let listener = self.table.remove(index)?;
        self.by_address.remove(&listener.place);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_one_answers() {
        let mut listeners = Listeners::new();
        let ip = IpAddr::from([10, 0, 0, 1]);
        let any = listeners.insert(ListenOptions::any()).unwrap();
        let port = listeners.insert(ListenOptions::port(80)).unwrap();
        let exact = listeners.insert(ListenOptions::port(80).on(ip)).unwrap();
        assert_eq!(listeners.insert(ListenOptions::any()), Err(ListenError::AddressInUse));
        let found = |ip: [u8; 4], port| listeners.find((ip, port).into()).unwrap().id;
        assert_eq!(found([10, 0, 0, 1], 80), exact);
        assert_eq!(found([10, 0, 0, 2], 80), port);
        assert_eq!(found([10, 0, 0, 1], 81), any);
        listeners.remove(any).unwrap();
        assert!(listeners.find(([10, 0, 0, 1], 81).into()).is_none());
    }
}
