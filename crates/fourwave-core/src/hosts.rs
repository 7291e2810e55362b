//! The last timestamp of each host, for `tcp_tw_recycle` (RFC 1323 appendix B.2, which RFC 7323
//! took back).

use alloc::collections::VecDeque;
use core::net::IpAddr;

use fourwave_wire::SeqNum;
use hashbrown::HashMap;

use crate::secret::KeyedHash;
use crate::time::{Duration, Instant};

/// Hosts remembered at most; beyond, the one that was heard of first is forgotten.
const MAX_HOSTS: usize = 65_536;
/// How long a timestamp binds its host (Linux's TCP_PAWS_MSL).
const LIFE: Duration = Duration::from_secs(60);

/// Timestamps by host.
#[cfg_attr(feature = "model", derive(Clone))]
pub(crate) struct Hosts {
    seen: HashMap<IpAddr, (u32, Instant), KeyedHash>,
    order: VecDeque<IpAddr>,
}

impl Hosts {
    pub(crate) fn new(hash: KeyedHash) -> Self {
        Self { seen: HashMap::with_hasher(hash), order: VecDeque::new() }
    }

    /// A connection of `host` ended whose newest timestamp was `timestamp`. O(1).
    pub(crate) fn remember(&mut self, host: IpAddr, timestamp: u32, now: Instant) {
        let newer = |&(old, at): &(u32, Instant)| {
            SeqNum::new(timestamp).after(SeqNum::new(old)) || now.since(at) >= LIFE
        };
        match self.seen.get_mut(&host) {
            Some(seen) if newer(seen) => *seen = (timestamp, now),
            Some(_) => {}
            None => {
                if self.seen.len() >= MAX_HOSTS
                    && let Some(first) = self.order.pop_front()
                {
                    self.seen.remove(&first);
                }
                self.seen.insert(host, (timestamp, now));
                self.order.push_back(host);
            }
        }
    }

    /// Whether a SYN with `timestamp` looks older than what `host` sent before.
    pub(crate) fn is_older(&self, host: IpAddr, timestamp: u32, now: Instant) -> bool {
        self.seen.get(&host).is_some_and(|&(seen, at)| {
            SeqNum::new(timestamp).before(SeqNum::new(seen)) && now.since(at) < LIFE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn an_older_timestamp_is_refused_for_a_minute() {
        let mut hosts = Hosts::new(Secret::new(&[1; 32]).keyed_hash());
        let host = IpAddr::from([192, 0, 2, 1]);
        let at = |s| Instant::ZERO + Duration::from_secs(s);
        hosts.remember(host, 1000, at(0));
        hosts.remember(host, 900, at(1));
        assert!(hosts.is_older(host, 999, at(59)));
        assert!(!hosts.is_older(host, 1000, at(59)));
        assert!(!hosts.is_older(host, 999, at(60)));
        assert!(!hosts.is_older(IpAddr::from([192, 0, 2, 2]), 1, at(0)));
    }

    #[test]
    fn the_number_of_hosts_is_bounded() {
        let mut hosts = Hosts::new(Secret::new(&[1; 32]).keyed_hash());
        for i in 0..MAX_HOSTS as u32 + 10 {
            hosts.remember(IpAddr::from(i.to_be_bytes()), 1000, Instant::ZERO);
        }
        assert_eq!((hosts.seen.len(), hosts.order.len()), (MAX_HOSTS, MAX_HOSTS));
    }
}
