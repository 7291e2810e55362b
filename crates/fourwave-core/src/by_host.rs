//! Something about each host, of a bounded number of hosts: beyond, the one that was heard of
//! first is forgotten.

use alloc::collections::VecDeque;
use core::net::IpAddr;

use hashbrown::HashMap;

use crate::secret::KeyedHash;

/// A map by host that holds `limit` hosts at most. O(1).
#[derive(Clone)]
pub(crate) struct ByHost<T> {
    known: HashMap<IpAddr, T, KeyedHash>,
    /// The same hosts in the order in which they came.
    order: VecDeque<IpAddr>,
    limit: usize,
}

impl<T> ByHost<T> {
    pub(crate) fn new(hash: KeyedHash, limit: usize) -> Self {
        Self { known: HashMap::with_hasher(hash), order: VecDeque::new(), limit }
    }

    pub(crate) fn get(&self, host: IpAddr) -> Option<&T> {
        self.known.get(&host)
    }

    /// What is known of `host`; `new` where nothing was.
    pub(crate) fn get_or_insert(&mut self, host: IpAddr, new: T) -> &mut T {
        if !self.known.contains_key(&host) {
            if self.order.len() >= self.limit
                && let Some(first) = self.order.pop_front()
            {
                self.known.remove(&first);
            }
            self.order.push_back(host);
        }
        self.known.entry(host).or_insert(new)
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn the_host_that_came_first_is_forgotten() {
        let mut map = ByHost::new(Secret::new(&[0; 32]).keyed_hash(), 3);
        let host = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..4 {
            *map.get_or_insert(host(n), 0) += n;
            *map.get_or_insert(host(n), 0) += n;
        }
        assert_eq!(
            (map.get(host(0)), map.get(host(1)), map.get(host(3))),
            (None, Some(&2), Some(&6))
        );
        assert_eq!((map.known.len(), map.order.len()), (3, 3));
        map.clear();
        assert_eq!((map.known.len(), map.order.len()), (0, 0));
    }
}
