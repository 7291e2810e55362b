//! The last timestamp of each host, for `tcp_tw_recycle` (RFC 1323 appendix B.2, which RFC 7323
//! took back).

use core::net::IpAddr;

use fourwave_wire::SeqNum;

use crate::by_host::ByHost;
use crate::secret::KeyedHash;
use crate::time::{Duration, Instant};

/// Hosts remembered at most.
const MAX_HOSTS: usize = 65_536;
/// How long a timestamp binds its host (Linux's TCP_PAWS_MSL).
const LIFE: Duration = Duration::from_secs(60);

/// Timestamps by host.
#[derive(Clone)]
pub(crate) struct Hosts {
    seen: ByHost<(u32, Instant)>,
}

impl Hosts {
    pub(crate) fn new(hash: KeyedHash) -> Self {
        Self { seen: ByHost::new(hash, MAX_HOSTS) }
    }

    /// A connection of `host` ended whose newest timestamp was `timestamp`. O(1).
    pub(crate) fn remember(&mut self, host: IpAddr, timestamp: u32, now: Instant) {
        let seen = self.seen.get_or_insert(host, (timestamp, now));
        if SeqNum::new(timestamp).after(SeqNum::new(seen.0)) || now.since(seen.1) >= LIFE {
            *seen = (timestamp, now);
        }
    }

    /// Whether a SYN with `timestamp` looks older than what `host` sent before.
    pub(crate) fn is_older(&self, host: IpAddr, timestamp: u32, now: Instant) -> bool {
        self.seen.get(host).is_some_and(|&(seen, at)| {
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
}
