//! What is drawn from the seed: keys for hashes and sequence numbers, and nothing else.

use core::hash::{BuildHasher, Hasher};

use fourwave_wire::SeqNum;
use siphasher::sip::{SipHasher13, SipHasher24};

use crate::demux::FourTuple;
use crate::time::Instant;

/// The keys of one engine. Whoever does not know the seed cannot predict what they yield.
#[derive(Clone)]
pub(crate) struct Secret {
    demux: SipHasher13,
    isn: SipHasher24,
    timestamp: SipHasher24,
    port: SipHasher24,
    fast_open: [u8; 16],
}

impl Secret {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&seed[..16]);
        let derive = |label: u8| {
            let half = |n: u8| {
                let mut hasher = SipHasher24::new_with_key(&first);
                hasher.write(&seed[16..]);
                hasher.write(&[label, n]);
                hasher.finish()
            };
            (half(0), half(1))
        };
        let sip24 = |label| {
            let (a, b) = derive(label);
            SipHasher24::new_with_keys(a, b)
        };
        let mut fast_open = [0; 16];
        let (a, b) = derive(4);
        fast_open[..8].copy_from_slice(&a.to_le_bytes());
        fast_open[8..].copy_from_slice(&b.to_le_bytes());
        let (a, b) = derive(0);
        Self {
            demux: SipHasher13::new_with_keys(a, b),
            isn: sip24(1),
            timestamp: sip24(2),
            port: sip24(3),
            fast_open,
        }
    }

    /// The hash under which the demultiplexer files a connection.
    pub(crate) fn demux(&self, tuple: &FourTuple) -> u64 {
        tuple.with_bytes(|bytes| self.demux.hash(bytes))
    }

    /// An initial sequence number (RFC 6528 §3): a clock of 4 µs plus a keyed hash of the
    /// four numbers, so that incarnations of one connection follow each other on the ring.
    pub(crate) fn isn(&self, tuple: &FourTuple, now: Instant) -> SeqNum {
        let clock = (now.as_micros() / 4) as u32;
        SeqNum::new(clock.wrapping_add(tuple.with_bytes(|b| self.isn.hash(b)) as u32))
    }

    /// What is added to the clock of milliseconds in TSval: one offset for each pair of hosts,
    /// so that a new incarnation's timestamps are newer (RFC 7323 §7.1, RFC 6191).
    pub(crate) fn timestamp_offset(&self, tuple: &FourTuple) -> u32 {
        tuple.with_host_bytes(|b| self.timestamp.hash(b)) as u32
    }

    /// Where the search for a free port towards a destination starts, and which counter it moves
    /// on: the two hashes of RFC 6056 §3.3.4 in one.
    pub(crate) fn port_hash(&self, tuple: &FourTuple) -> u64 {
        tuple.with_bytes(|b| self.port.hash(b))
    }

    /// The key of Fast Open's cookies, while nobody sets another.
    pub(crate) fn fast_open_key(&self) -> [u8; 16] {
        self.fast_open
    }

    /// A hasher for tables with keys that attackers choose.
    pub(crate) fn keyed_hash(&self) -> KeyedHash {
        KeyedHash(self.demux)
    }
}

/// Builds hashers that start from a secret.
#[derive(Clone)]
pub(crate) struct KeyedHash(SipHasher13);

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> FourTuple {
        let local = core::net::SocketAddr::from(([10, 0, 0, 1], port));
        FourTuple::new(local, core::net::SocketAddr::from(([10, 0, 0, 2], 80))).unwrap()
    }

    #[test]
    fn rfc6528_isns_differ_by_connection_time_and_seed() {
        let secret = Secret::new(&[1; 32]);
        let at = Instant::from_micros(1_000_000);
        let isn = secret.isn(&tuple(1), at);
        assert_eq!(isn, Secret::new(&[1; 32]).isn(&tuple(1), at));
        assert_ne!(isn, secret.isn(&tuple(2), at));
        assert_ne!(isn, Secret::new(&[2; 32]).isn(&tuple(1), at));
        let later = secret.isn(&tuple(1), Instant::from_micros(1_000_400));
        assert_eq!(later.since(isn), 100);
    }

    #[test]
    fn rfc7323_7_1_one_timestamp_clock_for_a_pair_of_hosts() {
        let secret = Secret::new(&[1; 32]);
        assert_eq!(secret.timestamp_offset(&tuple(1)), secret.timestamp_offset(&tuple(2)));
    }
}
