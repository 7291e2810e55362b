//! The faults themselves: packets and time in, packets and deadlines out. No clock, no IO.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use fourwave_wire::{RxChecksum, RxPacket, TxPacket};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::{FaultConfig, Probability};
use fourwave_device::offload;
use fourwave_wire::checksum::complete_checksum;

/// A packet that faults may happen to.
pub trait Faultable: Clone {
    /// Bytes on the wire.
    fn wire_len(&self) -> usize;

    /// Its first bytes, all headers among them.
    fn head(&self) -> &[u8];

    /// Flips bit `bit` (below 8 × `wire_len`) as a wire would: whatever vouched for the
    /// packet's checksum does so no longer, and the receiver can notice. Returns false when
    /// that is impossible; the packet is then untouched.
    fn flip_bit(&mut self, bit: usize) -> bool;
}

impl Faultable for Vec<u8> {
    fn wire_len(&self) -> usize {
        self.len()
    }

    fn head(&self) -> &[u8] {
        self
    }

    fn flip_bit(&mut self, bit: usize) -> bool {
        let Some(byte) = self.get_mut(bit / 8) else { return false };
        *byte ^= 1 << (bit % 8);
        true
    }
}

impl Faultable for RxPacket {
    fn wire_len(&self) -> usize {
        self.bytes.len()
    }

    fn head(&self) -> &[u8] {
        &self.bytes
    }

    fn flip_bit(&mut self, bit: usize) -> bool {
        let mut bytes = self.bytes.to_vec();
        if self.checksum == RxChecksum::Trusted {
            // What stands in the field may be half a checksum: it must be whole to be wrong.
            complete_checksum(&mut bytes);
            self.checksum = RxChecksum::Unverified;
        }
        let flipped = bytes.flip_bit(bit);
        self.bytes = Bytes::from(bytes);
        flipped
    }
}

impl Faultable for TxPacket {
    fn wire_len(&self) -> usize {
        self.header.len() + self.payload_len()
    }

    fn head(&self) -> &[u8] {
        &self.header
    }

    /// Impossible for a super-packet with a partial checksum: cut it first.
    fn flip_bit(&mut self, bit: usize) -> bool {
        match offload::finish(self) {
            Ok(Some(finished)) => *self = finished,
            Ok(None) => {}
            Err(_) => return false,
        }
        let (mut at, mask) = (bit / 8, 1 << (bit % 8));
        if let Some(byte) = self.header.get_mut(at) {
            *byte ^= mask;
            return true;
        }
        at -= self.header.len();
        for chunk in &mut self.payload {
            if at < chunk.len() {
                let mut own = chunk.to_vec();
                own[at] ^= mask;
                *chunk = Bytes::from(own);
                return true;
            }
            at -= chunk.len();
        }
        false
    }
}

/// What an injector did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FaultCounters {
    /// Packets offered.
    pub offered: u64,
    /// Packets lost by `loss`.
    pub lost: u64,
    /// Packets lost because they were larger than `mtu`.
    pub too_large: u64,
    /// Packets lost because the queue of `rate`, or the injector itself, was full.
    pub overflowed: u64,
    /// Extra copies made.
    pub duplicated: u64,
    /// Packets with a bit flipped.
    pub corrupted: u64,
    /// Packets held back for others to overtake.
    pub reordered: u64,
    /// Packets handed out.
    pub delivered: u64,
}

/// Packets that an injector holds at most; a fault against memory, not one to configure.
const MAX_HELD: usize = 65_536;
/// How many later packets overtake a reordered one, at most.
const MAX_OVERTAKERS: u64 = 3;
/// A reordered packet that nothing overtakes waits this long beyond its delay.
const REORDER_PATIENCE: Duration = Duration::from_millis(10);

/// The faults of one direction, by seed: the same seed, packets and times give the same faults.
/// Each kind of fault draws its own random numbers, so that switching one on leaves the
/// others' choices as they were.
///
/// Order of events for a packet: loss, the largest size, duplication, corruption, the rate's queue,
/// delay, reordering. Offering and polling are O(log n) in the packets held.
pub struct Injector<P> {
    config: FaultConfig,
    loss: Dice,
    /// Whether the last packet was lost: in a burst the next one likely is, too.
    losing: bool,
    duplicate: Dice,
    corrupt: Dice,
    delay: Dice,
    reorder: Dice,
    /// When the rate limit's link is free again.
    free_at: Duration,
    /// The latest due time of a packet that is not reordered: none overtakes it.
    last_due: Duration,
    /// How many packets were scheduled; orders those that are due at once.
    scheduled: u64,
    queue: BinaryHeap<Reverse<Due<P>>>,
    /// Reordered packets, few.
    held: Vec<Held<P>>,
    counters: FaultCounters,
}

struct Due<P> {
    at: Duration,
    order: u64,
    packet: P,
}

/// A packet held back until others have passed, or until it is tired of waiting.
struct Held<P> {
    overtakers: u64,
    at: Duration,
    packet: P,
}

impl<P> PartialEq for Due<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<P> Eq for Due<P> {}

impl<P> PartialOrd for Due<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Due<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// One kind of fault's own randomness.
struct Dice(ChaCha8Rng);

impl Dice {
    fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Uniform in 0 (included) to 1 (excluded).
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn chance(&mut self, p: Probability) -> bool {
        // Draws even for 0 and 1, so that a run's later choices do not depend on them.
        self.unit() < p.value()
    }

    /// Uniform in 0 (included) to `n` (excluded, at least 1).
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }
}

impl<P: Faultable> Injector<P> {
    /// An injector that holds nothing yet.
    pub fn new(config: FaultConfig, seed: u64) -> Self {
        let dice = |stream| Dice::new(seed, stream);
        Self {
            config,
            loss: dice(1),
            losing: false,
            duplicate: dice(2),
            corrupt: dice(3),
            delay: dice(4),
            reorder: dice(5),
            free_at: Duration::ZERO,
            last_due: Duration::ZERO,
            scheduled: 0,
            queue: BinaryHeap::new(),
            held: Vec::new(),
            counters: FaultCounters::default(),
        }
    }

    /// Takes a packet at `now`. `now` is the time since any fixed moment and never goes back.
    pub fn offer(&mut self, now: Duration, mut packet: P) {
        self.counters.offered += 1;
        // Every die is cast for every packet: see the type's promise.
        self.losing = self.loss.chance(self.loss_now());
        let lost = self.losing;
        let twice = self.duplicate.chance(self.config.duplicate);
        let corrupted = self.corrupt.chance(self.config.corrupt);
        let bit = self.corrupt.below((packet.wire_len() as u64 * 8).max(1)) as usize;
        let is_too_large = self.config.mtu.is_some_and(|mtu| packet.wire_len() > mtu as usize);
        if lost || is_too_large {
            self.counters.lost += u64::from(lost);
            self.counters.too_large += u64::from(!lost);
            self.cast_the_rest();
            return;
        }
        if twice {
            self.counters.duplicated += 1;
        }
        // A copy is made on the way, before or after the damage: here, before.
        let copy = twice.then(|| packet.clone());
        if corrupted && packet.flip_bit(bit) {
            self.counters.corrupted += 1;
        }
        self.transmit(now, packet);
        if let Some(copy) = copy {
            self.schedule_behind(now, copy);
        }
    }

    /// The next packet that is due at `now`, in order of due times.
    pub fn poll(&mut self, now: Duration) -> Option<P> {
        self.release_tired(now);
        if self.queue.peek()?.0.at > now {
            return None;
        }
        self.counters.delivered += 1;
        self.queue.pop().map(|Reverse(due)| due.packet)
    }

    /// When the next packet is due; `None` when nothing is held.
    pub fn next_due(&self) -> Option<Duration> {
        let queued = self.queue.peek().map(|Reverse(due)| due.at);
        self.held.iter().map(|held| held.at).chain(queued).min()
    }

    /// How many packets are held.
    pub fn len(&self) -> usize {
        self.queue.len() + self.held.len()
    }

    /// Whether no packet is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counters(&self) -> FaultCounters {
        self.counters
    }

    /// How likely the next packet is lost, after what became of the last one: two states, of which
    /// the bad one loses everything, lasts as long as a burst and takes up the share of losses.
    fn loss_now(&self) -> Probability {
        let (loss, Some(burst)) = (self.config.loss.value(), self.config.burst) else {
            return self.config.loss;
        };
        let leaves = 1.0 / f64::from(burst.get());
        let next = if self.losing { 1.0 - leaves } else { leaves * loss / (1.0 - loss) };
        Probability::new(next).unwrap_or(self.config.loss)
    }

    /// Draws what [`transmit`](Self::transmit) would.
    fn cast_the_rest(&mut self) {
        self.delay.unit();
        self.reorder.unit();
        self.reorder.below(MAX_OVERTAKERS);
    }

    fn transmit(&mut self, now: Duration, packet: P) {
        let jitter = self.config.jitter.mul_f64(2.0 * self.delay.unit());
        let reordered = self.reorder.chance(self.config.reorder);
        let overtakers = 1 + self.reorder.below(MAX_OVERTAKERS);
        let Some(sent) = self.through_the_rate(now, packet.wire_len()) else { return };
        let at = sent + self.config.delay.saturating_sub(self.config.jitter) + jitter;
        if self.is_full() {
            return;
        }
        if reordered {
            self.counters.reordered += 1;
            self.held.push(Held { overtakers, at: at + REORDER_PATIENCE, packet });
            return;
        }
        self.last_due = self.last_due.max(at);
        self.push(self.last_due, packet);
        self.let_overtake();
    }

    /// A duplicate leaves right after what was scheduled last.
    fn schedule_behind(&mut self, now: Duration, packet: P) {
        let Some(sent) = self.through_the_rate(now, packet.wire_len()) else { return };
        let at = sent + self.config.delay.saturating_sub(self.config.jitter);
        if !self.is_full() {
            self.last_due = self.last_due.max(at);
            self.push(self.last_due, packet);
        }
    }

    /// When the packet has left a link of the configured rate; `None` if its queue is full.
    fn through_the_rate(&mut self, now: Duration, len: usize) -> Option<Duration> {
        let Some(rate) = self.config.rate else { return Some(now) };
        let backlog = self.free_at.saturating_sub(now).as_nanos() * u128::from(rate);
        let waiting = backlog / 1_000_000_000;
        let len = len as u128;
        // An idle link takes a packet of any size.
        if waiting > 0 && waiting + len > u128::from(self.config.queue_limit()) {
            self.counters.overflowed += 1;
            return None;
        }
        let nanos = (len * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now).saturating_add(time);
        Some(self.free_at)
    }

    fn is_full(&mut self) -> bool {
        let full = self.len() >= MAX_HELD;
        self.counters.overflowed += u64::from(full);
        full
    }

    fn push(&mut self, at: Duration, packet: P) {
        self.scheduled += 1;
        self.queue.push(Reverse(Due { at, order: self.scheduled, packet }));
    }

    /// One packet has passed those that are held back.
    fn let_overtake(&mut self) {
        for held in &mut self.held {
            held.overtakers -= 1;
        }
        let at = self.last_due;
        while let Some(i) = self.held.iter().position(|held| held.overtakers == 0) {
            let held = self.held.remove(i);
            self.push(at, held.packet);
        }
    }

    fn release_tired(&mut self, now: Duration) {
        while let Some(i) = self.held.iter().position(|held| held.at <= now) {
            let held = self.held.remove(i);
            self.push(held.at, held.packet);
        }
    }
}

#[cfg(test)]
mod tests;
