//! Every connection's next deadline, in a hierarchical wheel: O(1) to set, to move and to cancel.

use alloc::vec::Vec;

use crate::time::Instant;

/// Microseconds of a tick, as a shift: 256 µs. A timer fires at most two ticks late, never early.
const TICK_SHIFT: u32 = 8;
const LEVELS: usize = 7;
const SLOTS: usize = 64;
const NONE: u32 = u32::MAX;
/// Ticks that the wheel spans: 35 years.
const SPAN: u64 = 1 << (6 * LEVELS);

#[derive(Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
    /// The tick at which it fires.
    at: u64,
    /// `level * SLOTS + slot`, or `u16::MAX` when it is not set.
    place: u16,
}

const UNSET: u16 = u16::MAX;

/// The wheel. Nodes are named by the connection's index.
#[derive(Clone)]
pub(crate) struct Timers {
    /// Everything at or before this tick has fired.
    elapsed: u64,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    nodes: Vec<Node>,
    set: usize,
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self {
            elapsed: 0,
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            nodes: Vec::new(),
            set: 0,
        }
    }

    /// Makes sure that `index` fires at `deadline` or before. An earlier setting stays: whoever
    /// is woken asks again for what is left, and moving a deadline later costs nothing.
    pub(crate) fn arm(&mut self, index: u32, deadline: Instant) {
        let at = (deadline.as_micros().div_ceil(1 << TICK_SHIFT)).max(self.elapsed + 1);
        let slot = index as usize;
        if slot >= self.nodes.len() {
            let empty = Node { prev: NONE, next: NONE, at: 0, place: UNSET };
            self.nodes.resize(slot + 1, empty);
        }
        let node = self.nodes[slot];
        if node.place != UNSET {
            if node.at <= at {
                return;
            }
            self.unlink(index);
        }
        self.link(index, at);
    }

    pub(crate) fn cancel(&mut self, index: u32) {
        if self.nodes.get(index as usize).is_some_and(|n| n.place != UNSET) {
            self.unlink(index);
        }
    }

    /// A time at which [`expire`](Self::expire) wants to be called: never later than the
    /// earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (level, slot) = self.first()?;
        Some(Instant::from_micros(self.slot_start(level, slot) << TICK_SHIFT))
    }

    /// Takes one connection whose deadline is at or before `now`. O(1) amortised.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<u32> {
        let now = now.as_micros() >> TICK_SHIFT;
        loop {
            let Some((level, slot)) = self.first() else {
                self.elapsed = self.elapsed.max(now);
                return None;
            };
            let start = self.slot_start(level, slot);
            if start > now {
                self.elapsed = self.elapsed.max(now);
                return None;
            }
            if level == 0 {
                let index = self.heads[level][slot];
                self.unlink(index);
                return Some(index);
            }
            self.cascade(level, slot, start);
        }
    }

    /// Time has reached a slot of a higher level: its deadlines move to lower ones, all at once.
    fn cascade(&mut self, level: usize, slot: usize, start: u64) {
        self.elapsed = self.elapsed.max(start);
        loop {
            let index = self.heads[level][slot];
            if index == NONE {
                return;
            }
            self.unlink(index);
            self.link(index, self.nodes[index as usize].at);
        }
    }

    /// How many deadlines are set.
    pub(crate) fn len(&self) -> usize {
        self.set
    }

    /// The earliest occupied slot: a lower level always comes before a higher one.
    fn first(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let current = (self.elapsed >> (6 * level)) as u32 & 63;
        // Slots never lie behind the current one, except within the rotation of this level.
        let ahead = self.occupied[level].rotate_right(current).trailing_zeros();
        Some((level, ((current + ahead) & 63) as usize))
    }

    fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = 6 * level as u32;
        let rotation = self.elapsed >> (shift + 6) << (shift + 6);
        let start = rotation + ((slot as u64) << shift);
        // A slot of this level that lies behind us belongs to the next rotation.
        if start + (1 << shift) <= self.elapsed { start + (1 << (shift + 6)) } else { start }
    }

    fn link(&mut self, index: u32, at: u64) {
        let at = at.max(self.elapsed + 1).min(self.elapsed + SPAN - 1);
        // The highest bit in which the tick differs from now names the level.
        let differ = (at ^ self.elapsed) | 63;
        let level = ((63 - differ.leading_zeros()) as usize / 6).min(LEVELS - 1);
        let slot = (at >> (6 * level)) as usize & 63;
        let next = self.heads[level][slot];
        let place = (level * SLOTS + slot) as u16;
        self.nodes[index as usize] = Node { prev: NONE, next, at, place };
        if next != NONE {
            self.nodes[next as usize].prev = index;
        }
        self.heads[level][slot] = index;
        self.occupied[level] |= 1 << slot;
        self.set += 1;
    }

    fn unlink(&mut self, index: u32) {
        let Node { prev, next, place, .. } = self.nodes[index as usize];
        let (level, slot) = (usize::from(place) / SLOTS, usize::from(place) % SLOTS);
        if prev == NONE {
            self.heads[level][slot] = next;
            if next == NONE {
                self.occupied[level] &= !(1 << slot);
            }
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        self.nodes[index as usize].place = UNSET;
        self.set -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        /// Against a plain map: nothing fires early, nothing is forgotten, nothing fires twice.
        #[test]
        fn fires_what_is_due_and_nothing_else(
            steps in proptest::collection::vec(
                (0u32..40, 0u64..20_000_000_000, 0u64..3_000_000),
                1..200,
            )
        ) {
            let mut timers = Timers::new();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = 0;
            for (index, delay, pass) in steps {
                let deadline = now + delay % (1 << (delay % 35));
                timers.arm(index, Instant::from_micros(deadline));
                let set = model.entry(index).or_insert(deadline);
                *set = deadline.min(*set);
                now += pass;
                if let Some(next) = timers.next() {
                    let earliest = model.values().min().copied().unwrap();
                    prop_assert!(next.as_micros() <= earliest.max(now) + 512);
                }
                while let Some(fired) = timers.expire(Instant::from_micros(now)) {
                    let deadline = model.remove(&fired);
                    prop_assert!(deadline.is_some_and(|d| d <= now), "{fired} at {now}");
                }
                for (index, deadline) in &model {
                    prop_assert!(deadline + 512 > now, "{index} was forgotten");
                }
                prop_assert_eq!(timers.len(), model.len());
            }
        }
    }

    #[test]
    fn a_later_deadline_costs_nothing_and_an_earlier_one_moves() {
        let mut timers = Timers::new();
        timers.arm(3, Instant::from_micros(10_000));
        timers.arm(3, Instant::from_micros(90_000));
        assert_eq!(timers.expire(Instant::from_micros(20_000)), Some(3));
        timers.arm(3, Instant::from_micros(90_000));
        timers.arm(3, Instant::from_micros(30_000));
        assert_eq!(timers.expire(Instant::from_micros(29_000)), None);
        assert_eq!(timers.expire(Instant::from_micros(30_500)), Some(3));
        timers.cancel(3);
        assert_eq!((timers.len(), timers.next()), (0, None));
    }
}
