//! Bytes as decisions.

/// Reads decisions from bytes, front to back. Behind the end everything is 0.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    /// The next two bytes, the high one first.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// The next four bytes, the high one first.
    pub fn long(&mut self) -> u32 {
        u32::from(self.word()) << 16 | u32::from(self.word())
    }

    /// A number below `n`, which is at least 1, from one byte.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// As many of the next bytes as there are, at most `n`.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (front, rest) = self.bytes.split_at(n.min(self.bytes.len()));
        self.bytes = rest;
        front
    }

    /// A small distance, mostly; any at all, sometimes. Around 0 as sequence numbers go.
    pub fn distance(&mut self) -> u32 {
        match self.byte() {
            near @ 0..=199 => u32::from(near).wrapping_sub(100),
            200..=247 => i32::from(self.word() as i16) as u32,
            _ => self.long(),
        }
    }
}
