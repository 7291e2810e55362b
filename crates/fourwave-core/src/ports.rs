//! The port of an outgoing connection: double-hash port selection (RFC 6056 §3.3.4), aware of
//! TIME_WAIT.

/// Counters, each shared by the destinations that a second hash sends to it: so what one
/// destination learns from its ports says little about another's.
const COUNTERS: usize = 256;
/// Ports that are looked at for a free one before a reusable TIME_WAIT is taken instead.
const PATIENCE: u32 = 64;

/// What stands in the way of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Nothing.
    Free,
    /// A TIME_WAIT that the new connection may take over.
    Reusable,
    /// A TIME_WAIT that it may not.
    TimeWait,
    /// A connection.
    Taken,
}

/// The range is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    /// Ports in the range.
    pub(crate) ports: u32,
    /// How many of them are in TIME_WAIT.
    pub(crate) time_wait: u32,
}

/// The state of the choice.
#[derive(Clone)]
pub(crate) struct Ports {
    counters: [u16; COUNTERS],
}

impl Ports {
    pub(crate) const fn new() -> Self {
        Self { counters: [0; COUNTERS] }
    }

    /// A port of `first..=last`: the first free one from a secret place on, or a TIME_WAIT that
    /// may be taken over when free ones are rare. Fails only when no port is usable. `hash`
    /// depends on the destination. O(1) while the range is mostly free, O(range) at worst.
    pub(crate) fn choose(
        &mut self,
        (first, last): (u16, u16),
        hash: u64,
        mut seat: impl FnMut(u16) -> Seat,
    ) -> Result<u16, Exhausted> {
        let ports = u32::from(last) - u32::from(first) + 1;
        let counter = &mut self.counters[(hash >> 32) as usize % COUNTERS];
        let start = (hash as u32 % ports + u32::from(*counter)) % ports;
        let mut reusable = None;
        let mut time_wait = 0;
        let mut chosen = None;
        for i in 0..ports {
            let port = first + ((start + i) % ports) as u16;
            match seat(port) {
                Seat::Free => {
                    chosen = Some((port, i));
                    break;
                }
                Seat::Reusable => {
                    time_wait += 1;
                    reusable.get_or_insert((port, i));
                }
                Seat::TimeWait => time_wait += 1,
                Seat::Taken => {}
            }
            if i >= PATIENCE && reusable.is_some() {
                break;
            }
        }
        let (port, passed) = chosen.or(reusable).ok_or(Exhausted { ports, time_wait })?;
        *counter = counter.wrapping_add(passed as u16).wrapping_add(1);
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_fails_while_one_is_usable() {
        let mut ports = Ports::new();
        for hash in [0, 7, u64::MAX, 0x1234_5678_9abc_def0] {
            let one = |free| move |p| if p == free { Seat::Free } else { Seat::TimeWait };
            assert_eq!(ports.choose((100, 109), hash, one(104)), Ok(104));
            assert_eq!(ports.choose((1, 65_535), hash, one(65_535)), Ok(65_535));
            let reusable = |p| if p == 107 { Seat::Reusable } else { Seat::Taken };
            assert_eq!(ports.choose((100, 109), hash, reusable), Ok(107));
            let full = |p| if p < 103 { Seat::TimeWait } else { Seat::Taken };
            let exhausted = Exhausted { ports: 10, time_wait: 3 };
            assert_eq!(ports.choose((100, 109), hash, full), Err(exhausted));
        }
    }

    #[test]
    fn a_free_port_is_better_than_a_reusable_one_but_not_at_any_price() {
        let mut ports = Ports::new();
        let near = |p| if p == 20 { Seat::Free } else { Seat::Reusable };
        assert_eq!(ports.choose((1, 40), 0, near), Ok(20));
        let mut looked = 0;
        let none = |_| {
            looked += 1;
            Seat::Reusable
        };
        assert!(ports.choose((1, 60_000), 0, none).is_ok());
        assert!(looked <= PATIENCE + 1, "{looked}");
    }

    #[test]
    fn rfc6056_3_3_4_one_destination_walks_through_the_range() {
        let mut ports = Ports::new();
        let all = |_| Seat::Free;
        let walk: alloc::vec::Vec<u16> =
            (0..100).map(|_| ports.choose((1000, 1099), 42, all).unwrap()).collect();
        let mut sorted = walk.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(1000..1100), "each port once before any twice");
        assert_ne!(walk, sorted);
    }
}
