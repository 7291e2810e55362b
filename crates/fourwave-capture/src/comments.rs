//! Options of a block of a pcapng file, and the comments among a packet's.

use std::fmt;

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};

/// `opt_endofopt` and `opt_comment`.
const END: u16 = 0;
pub(crate) const COMMENT: u16 = 1;

/// A packet's comments, as they stand in a pcapng file.
#[derive(Clone, Copy, Default)]
pub struct Comments<'a> {
    options: &'a [u8],
    big_endian: bool,
}

impl<'a> Comments<'a> {
    /// Those among the options of a packet's block.
    pub(crate) fn new(options: &'a [u8], big_endian: bool) -> Self {
        Self { options, big_endian }
    }

    /// Each of them that is text, in their order. O(bytes).
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            let (code, value) = match self.big_endian {
                true => take_option::<BigEndian>(&mut rest)?,
                false => take_option::<LittleEndian>(&mut rest)?,
            };
            Some((code == COMMENT).then(|| std::str::from_utf8(value).ok()).flatten())
        })
        .flatten()
    }
}

impl fmt::Debug for Comments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Two are the same when they say the same.
impl PartialEq for Comments<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Comments<'_> {}

/// Takes the next option from the front; none at the end, or where it cannot be read.
#[inline]
pub(crate) fn take_option<'a, B: ByteOrder>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let (head, values) = rest.split_first_chunk::<4>()?;
    let (code, len) = (B::read_u16(&head[..2]), usize::from(B::read_u16(&head[2..])));
    let value = values.get(..len).filter(|_| code != END)?;
    *rest = values.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((code, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options of these codes and values, little-endian.
    fn options(all: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in all {
            bytes.extend(code.to_le_bytes());
            bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn texts(options: &[u8]) -> Vec<&str> {
        Comments::new(options, false).iter().collect()
    }

    #[test]
    fn every_comment_that_is_text_is_read() {
        let all = options(&[(1, b"one"), (2, &[0; 4]), (1, b"\xff"), (1, b"two"), (0, b"")]);
        assert_eq!(texts(&all), ["one", "two"]);
        for end in 0..all.len() {
            assert!(texts(&all[..end]).len() <= 2);
        }
        let ended = options(&[(0, b""), (1, b"behind the end")]);
        assert_eq!(texts(&ended), [""; 0]);
    }
}
