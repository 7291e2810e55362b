//! Everything random comes from the seed, through these dice.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Random choices by seed. Dice of different streams are independent of each other.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The dice of one seed and stream.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in 0 (included) to `n` (excluded, at least 1).
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.any()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        ((self.any() >> 11) as f64) < p * (1u64 << 53) as f64
    }

    /// One of `items`, which must not be empty.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize].clone()
    }

    /// From 1 to `max`, each order of magnitude as likely as any other.
    pub fn magnitude(&mut self, max: u64) -> u64 {
        let bits = 64 - max.leading_zeros();
        let limit = 1u64 << self.below(u64::from(bits) + 1).min(63);
        self.between(1, limit.min(max))
    }

    /// From nothing to `max`, small ones as likely as large ones.
    pub fn time(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.magnitude(max.as_micros() as u64 + 1) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept_and_reached() {
        let mut dice = Dice::new(1, 0);
        let mut seen = [false; 3];
        for _ in 0..1000 {
            seen[dice.between(5, 7) as usize - 5] = true;
            assert!((1..=300).contains(&dice.magnitude(300)));
            assert!(dice.time(Duration::from_secs(1)) <= Duration::from_secs(1));
        }
        assert_eq!(seen, [true; 3]);
        assert!(dice.chance(1.0) && !dice.chance(0.0));
    }
}
