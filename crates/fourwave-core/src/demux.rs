//! From a packet's four numbers to what they belong to, in O(1) however many there are.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hashbrown::HashTable;

/// The four numbers that name a connection, compact: 12 bytes for IPv4, 36 for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FourTuple {
    V4(TupleV4),
    V6(TupleV6),
}

/// IPv4: our address and port, the peer's address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TupleV4 {
    pub(crate) local: [u8; 4],
    pub(crate) remote: [u8; 4],
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

/// IPv6: our address and port, the peer's address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TupleV6 {
    pub(crate) local: [u8; 16],
    pub(crate) remote: [u8; 16],
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl FourTuple {
    /// `None` when the two addresses are of different families.
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Option<Self> {
        let (local_port, remote_port) = (local.port(), remote.port());
        Some(match (local.ip(), remote.ip()) {
            (IpAddr::V4(l), IpAddr::V4(r)) => {
                Self::V4(TupleV4 { local: l.octets(), remote: r.octets(), local_port, remote_port })
            }
            (IpAddr::V6(l), IpAddr::V6(r)) => {
                Self::V6(TupleV6 { local: l.octets(), remote: r.octets(), local_port, remote_port })
            }
            _ => return None,
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::V4(t) => SocketAddr::new(Ipv4Addr::from(t.local).into(), t.local_port),
            Self::V6(t) => SocketAddr::new(Ipv6Addr::from(t.local).into(), t.local_port),
        }
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        match self {
            Self::V4(t) => SocketAddr::new(Ipv4Addr::from(t.remote).into(), t.remote_port),
            Self::V6(t) => SocketAddr::new(Ipv6Addr::from(t.remote).into(), t.remote_port),
        }
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        matches!(self, Self::V6(_))
    }

    /// The same with another port of ours.
    pub(crate) fn with_local_port(mut self, port: u16) -> Self {
        match &mut self {
            Self::V4(t) => t.local_port = port,
            Self::V6(t) => t.local_port = port,
        }
        self
    }

    /// Calls `f` with the bytes that stand for the tuple in a hash.
    pub(crate) fn with_bytes<T>(&self, f: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::V4(t) => f(&join::<12>(&t.local, &t.remote, t.local_port, t.remote_port)),
            Self::V6(t) => f(&join::<36>(&t.local, &t.remote, t.local_port, t.remote_port)),
        }
    }

    /// Calls `f` with the bytes of the two addresses.
    pub(crate) fn with_host_bytes<T>(&self, f: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::V4(t) => f(&join::<12>(&t.local, &t.remote, 0, 0)),
            Self::V6(t) => f(&join::<36>(&t.local, &t.remote, 0, 0)),
        }
    }
}

fn join<const N: usize>(local: &[u8], remote: &[u8], lport: u16, rport: u16) -> [u8; N] {
    let mut bytes = [0; N];
    let (hosts, ports) = bytes.split_at_mut(N - 4);
    let (l, r) = hosts.split_at_mut(local.len());
    l.copy_from_slice(local);
    r.copy_from_slice(remote);
    ports[..2].copy_from_slice(&lport.to_be_bytes());
    ports[2..].copy_from_slice(&rport.to_be_bytes());
    bytes
}

/// What four numbers belong to: a record of one of the three sizes, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    HalfOpen(u32),
    Connection(u32),
    TimeWaitV4(u32),
    TimeWaitV6(u32),
}

/// A target in 4 bytes: two bits of kind, thirty of index.
#[derive(Clone, Copy)]
struct Packed(u32);

impl Packed {
    const fn new(target: Target) -> Self {
        let (kind, index) = match target {
            Target::HalfOpen(i) => (0, i),
            Target::Connection(i) => (1, i),
            Target::TimeWaitV4(i) => (2, i),
            Target::TimeWaitV6(i) => (3, i),
        };
        Self(kind << 30 | (index & (u32::MAX >> 2)))
    }

    const fn target(self) -> Target {
        let index = self.0 & (u32::MAX >> 2);
        match self.0 >> 30 {
            0 => Target::HalfOpen(index),
            1 => Target::Connection(index),
            2 => Target::TimeWaitV4(index),
            _ => Target::TimeWaitV6(index),
        }
    }
}

/// Where the demultiplexer finds the four numbers of what it points to.
pub(crate) trait Directory {
    /// The hash of a tuple; keyed, so that attackers cannot aim for collisions.
    fn hash(&self, tuple: &FourTuple) -> u64;
    /// The tuple of a target that is in the table.
    fn tuple(&self, target: Target) -> Option<FourTuple>;
}

/// The table. It holds 4 bytes (and hashbrown's one) for each entry; the tuples stay in the
/// records.
#[derive(Clone)]
pub(crate) struct Demux {
    /// Parts that grow each on its own: no packet waits until a table of millions has grown.
    parts: [HashTable<Packed>; PARTS],
}

const PARTS: usize = 64;

impl Demux {
    pub(crate) const fn new() -> Self {
        Self { parts: [const { HashTable::new() }; PARTS] }
    }

    /// hashbrown takes a place from the low bits and a tag from the highest seven.
    const fn part(hash: u64) -> usize {
        (hash >> 40) as usize % PARTS
    }

    pub(crate) fn find(&self, directory: &impl Directory, tuple: &FourTuple) -> Option<Target> {
        let same = |p: &Packed| directory.tuple(p.target()).as_ref() == Some(tuple);
        let hash = directory.hash(tuple);
        self.parts[Self::part(hash)].find(hash, same).map(|p| p.target())
    }

    /// Files a target whose record is in the directory already. Amortised O(1).
    pub(crate) fn insert(&mut self, directory: &impl Directory, tuple: &FourTuple, to: Target) {
        let rehash = |p: &Packed| directory.tuple(p.target()).map_or(0, |t| directory.hash(&t));
        let hash = directory.hash(tuple);
        self.parts[Self::part(hash)].insert_unique(hash, Packed::new(to), rehash);
    }

    /// Takes a target out whose record is still in the directory.
    pub(crate) fn remove(&mut self, directory: &impl Directory, tuple: &FourTuple, what: Target) {
        let hash = directory.hash(tuple);
        if let Ok(entry) = self.parts[Self::part(hash)].find_entry(hash, |p| p.target() == what) {
            entry.remove();
        }
    }

    /// Points the entry of `from` to `to`: a connection changed its size.
    pub(crate) fn replace(
        &mut self,
        directory: &impl Directory,
        tuple: &FourTuple,
        from: Target,
        to: Target,
    ) {
        let hash = directory.hash(tuple);
        if let Some(packed) = self.parts[Self::part(hash)].find_mut(hash, |p| p.target() == from) {
            *packed = Packed::new(to);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(HashTable::len).sum()
    }
}
