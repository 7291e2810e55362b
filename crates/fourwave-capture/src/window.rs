//! A stretch of the input in memory: records are read in place.

use std::io::{self, Read};

/// What is read at a time; it stays in a processor's cache.
const BUFFER: usize = 256 << 10;
/// The longest record. Packets are of 256 KiB at most; some blocks of pcapng are longer.
pub(crate) const LONGEST: usize = 16 << 20;

pub(crate) struct Window {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes before `start`.
    passed: u64,
}

impl Window {
    pub(crate) fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, buffer: vec![0; BUFFER], start: 0, end: 0, passed: 0 }
    }

    /// What is there and was not taken.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Where `bytes` begins in the input.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Reads until there are `needed` bytes; says whether there are. False is the input's end, or
    /// a need beyond [`LONGEST`].
    pub(crate) fn want(&mut self, needed: usize) -> io::Result<bool> {
        while self.end - self.start < needed {
            if needed > LONGEST {
                return Ok(false);
            }
            self.make_room(needed);
            let read = match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Ok(false);
            }
            self.end += read;
        }
        Ok(true)
    }

    /// Doubled at most, whatever a record claims: what is claimed may not come.
    fn make_room(&mut self, needed: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let more = (self.buffer.len() * 2).min(needed.max(self.buffer.len() + 1));
            self.buffer.resize(more, 0);
        }
    }

    /// Passes over these many bytes of `bytes`; returns where they began in the buffer, which
    /// stays as it is until the next `want`.
    pub(crate) fn take(&mut self, count: usize) -> usize {
        let began = self.start;
        self.start += count;
        debug_assert!(self.start <= self.end);
        self.passed += count as u64;
        began
    }

    /// Bytes of what was taken last.
    pub(crate) fn taken(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.buffer[range]
    }
}
