//! How much an ACK tells of marks: that there was one (RFC 3168), or how many (RFC 9768).

use super::selective::Found;

/// Values of the ACE field.
const CYCLE: u32 = 8;

/// What an ACK echoes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Echo {
    /// Nothing.
    #[default]
    Nothing,
    /// A mark (RFC 3168): all that it delivers counts as marked.
    All,
    /// A count of marks (RFC 9768).
    Counted(Count),
}

/// How far AccECN's counters have moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Marked packets, modulo 8.
    pub(crate) least: u8,
    /// No later ACK is known to have come before, whatever it delivers.
    pub(crate) is_newer: bool,
    /// Marked bytes, where an option tells that can be relied on.
    pub(crate) bytes: Option<u32>,
}

/// What was newly marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) packets: u32,
    pub(super) bytes: u32,
}

/// What an ACK told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Told {
    pub(crate) found: Found,
    /// Packets newly marked, where AccECN counts them.
    pub(crate) marked: u32,
}

impl Count {
    /// Newly marked packets by an ACK that delivers so many bytes. Where the field may have gone
    /// round (RFC 9768 §3.2.2.5.2) the option decides; without one as many were marked as can have
    /// been.
    pub(crate) fn packets(&self, delivered: u32, mss: u32) -> u32 {
        let (least, mss) = (u32::from(self.least), mss.max(1));
        if delivered == 0 && !self.is_newer {
            return 0;
        }
        let acked = delivered.div_ceil(mss);
        if acked < CYCLE {
            return least;
        }
        let most = acked - (acked - least) % CYCLE;
        let Some(bytes) = self.bytes else { return most };
        let full = bytes.div_ceil(mss).saturating_sub(least);
        most.min(least + full.next_multiple_of(CYCLE))
    }
}

impl Echo {
    /// What an ACK that delivers so many bytes says was marked.
    pub(super) fn marked(&self, delivered: u32, mss: u32) -> Marked {
        match self {
            Self::Nothing => Marked::default(),
            Self::All => {
                Marked { packets: delivered.div_ceil(mss.max(1)).max(1), bytes: delivered }
            }
            Self::Counted(count) => {
                let packets = count.packets(delivered, mss);
                let bytes = count.bytes.unwrap_or(packets.saturating_mul(mss));
                Marked { packets, bytes: bytes.min(delivered) }
            }
        }
    }

    /// What to tell of it.
    pub(super) fn told(&self, found: Found, marked: Marked) -> Told {
        let counts = matches!(self, Self::Counted(_));
        Told { found, marked: if counts { marked.packets } else { 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    fn count(least: u32, bytes: Option<u32>) -> Count {
        Count { least: least as u8, is_newer: false, bytes }
    }

    #[test]
    fn rfc9768_3_2_2_5_2_up_to_seven_packets_the_field_is_exact() {
        for acked in 1..8 {
            for marked in 0..=acked {
                assert_eq!(count(marked, None).packets(acked * MSS, MSS), marked);
            }
        }
        // More than were delivered: the peer counts what is not counted here.
        assert_eq!(count(5, None).packets(2 * MSS, MSS), 5);
    }

    #[test]
    fn rfc9768_3_2_2_5_2_beyond_the_safest_case_counts() {
        for acked in 8..200_u32 {
            for marked in 0..=acked {
                let told = count(marked % 8, None).packets(acked * MSS, MSS);
                assert!(told >= marked && told <= acked, "{marked} of {acked}: {told}");
                assert_eq!(told % 8, marked % 8);
                assert!(told + 8 > acked, "no larger one would fit");
            }
        }
    }

    #[test]
    fn rfc9768_3_2_3_the_option_tells_how_often_it_went_round() {
        for acked in 1..200_u32 {
            for marked in 0..=acked {
                let count = count(marked % 8, Some(marked * MSS));
                assert_eq!(count.packets(acked * MSS, MSS), marked, "{marked} of {acked}");
            }
        }
        // Of marked ones some were small.
        assert_eq!(count(3, Some(10_200)).packets(40 * MSS, MSS), 11);
        // An option cannot make more of them than were delivered.
        assert_eq!(count(3, Some(1 << 23)).packets(40 * MSS, MSS), 35);
    }

    #[test]
    fn what_delivers_nothing_counts_only_where_it_is_known_to_be_newer() {
        assert_eq!(count(3, None).packets(0, MSS), 0);
        assert_eq!(Count { is_newer: true, ..count(3, None) }.packets(0, MSS), 3);
        assert_eq!(count(7, None).packets(u32::MAX, 0) % 8, 7);
    }
}
