//! The same packet seen twice: a capture of two interfaces, a network that doubles packets.

use std::time::Duration;

use super::observation::Observation;

/// Packets of one end that are remembered.
const KEPT: usize = 16;
/// How soon the second sighting follows where packets carry no identification: sooner than any
/// timeout.
const SOON: Duration = Duration::from_millis(1);

/// The last packets of one end.
#[derive(Clone, Debug)]
pub(crate) struct DuplicateFilter {
    kept: [(u64, Duration); KEPT],
    next: usize,
}

impl DuplicateFilter {
    pub(crate) fn new() -> Self {
        Self { kept: [(0, Duration::ZERO); KEPT], next: 0 }
    }

    /// Whether this very packet was seen a moment ago; remembers it if not.
    ///
    /// IPv4's identification distinguishes packets. Where there is none, data with the same numbers
    /// and the same timestamp is the same packet when it comes within a millisecond and the other
    /// end, last seen at `other_seen`, said nothing meanwhile: nothing can have asked for it.
    pub(crate) fn is_duplicate(
        &mut self,
        s: &Observation<'_>,
        other_seen: Option<Duration>,
    ) -> bool {
        let segment = s.segment;
        let id = segment.id.filter(|id| *id != 0);
        if id.is_none() && segment.seq_len() == 0 {
            return false;
        }
        let mark = match id {
            Some(id) => id,
            None => s.stamp().map_or(0, |stamp| stamp.0 as u16),
        };
        let (seq, len) = (segment.tcp.seq.value(), segment.seq_len());
        // The lowest bit distinguishes it from an empty place.
        let key = (u64::from(mark) << 48) | ((u64::from(seq) << 16) ^ u64::from(len << 1 | 1));
        let same = |(kept, at): &(u64, Duration)| {
            *kept == key
                && (id.is_some()
                    || s.at.saturating_sub(*at) < SOON && other_seen.is_none_or(|seen| seen < *at))
        };
        if self.kept.iter().any(same) {
            return true;
        }
        self.kept[self.next] = (key, s.at);
        self.next = (self.next + 1) % KEPT;
        false
    }
}
