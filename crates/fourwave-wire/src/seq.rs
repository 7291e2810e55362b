use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A TCP sequence number (RFC 9293 §3.4): a point on a ring of 2³².
///
/// It has no `Ord`: "greater" means nothing on a ring. [`before`](Self::before) and
/// [`after`](Self::after) compare two numbers that are less than 2³¹ apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNum(u32);

impl SeqNum {
    /// The number as it stands in a header.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The 32 bits of the header.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// `self < other` on the ring.
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// `self > other` on the ring.
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// `self <= other` on the ring.
    pub const fn at_or_before(self, other: Self) -> bool {
        !other.before(self)
    }

    /// `self >= other` on the ring.
    pub const fn at_or_after(self, other: Self) -> bool {
        !self.before(other)
    }

    /// How many numbers lie from `earlier` (included) to `self` (excluded), modulo 2³².
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The later of the two on the ring.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// Whether `self` lies in the `len` numbers that start at `start`.
    pub const fn within(self, start: Self, len: u32) -> bool {
        self.since(start) < len
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;
    fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;
    fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, n: u32) {
        self.0 = self.0.wrapping_add(n);
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9293_3_4_comparison_wraps() {
        let high = SeqNum::new(u32::MAX - 1);
        let low = high + 4;
        assert_eq!(low.value(), 2);
        assert!(high.before(low) && low.after(high));
        assert!(high.at_or_before(high) && high.at_or_after(high));
        assert_eq!(low.since(high), 4);
        assert_eq!(low.later(high), low);
        assert!(SeqNum::new(1).within(high, 4));
        assert!(!SeqNum::new(2).within(high, 4));
        assert!(!high.within(high, 0));
    }
}
