//! Was a timeout only a delay? Where the peer acknowledges in order only, new data is sent to find
//! out (F-RTO, RFC 5682 §2.1).

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Frto {
    /// Nothing is asked, or the answer was that something is lost.
    #[default]
    Off,
    /// Step 1: the first segment went out again, and its ACK is waited for.
    First,
    /// Step 2b: that ACK moved SND.UNA, so two new segments go out before anything else does again.
    Second,
}

/// What an ACK that moves SND.UNA told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum FrtoAnswer {
    /// Nothing yet, or that the timeout was right.
    None,
    /// Step 3b: something arrived that went out once only.
    Spurious,
}

impl Frto {
    /// The timer ran out. `is_first`: nothing was known to be lost before, or nothing but the first
    /// segment went out since the timer last ran out, and no ACK came (as in Linux: a delay may
    /// outlast a timeout).
    pub(crate) fn on_timeout(&mut self, is_first: bool) {
        *self = if is_first { Self::First } else { Self::Off };
    }

    /// SND.UNA moved; `covers`: over all that went out again, `is_end`: over all that was in flight
    /// at the timeout.
    pub(crate) fn on_ack(&mut self, covers: bool, is_end: bool) -> FrtoAnswer {
        let was = core::mem::take(self);
        match was {
            Self::First if covers && !is_end => *self = Self::Second,
            Self::Second => return FrtoAnswer::Spurious,
            Self::First | Self::Off => {}
        }
        FrtoAnswer::None
    }

    /// Steps 2a and 3a: a duplicate ACK, or something else went out again.
    pub(crate) fn stop(&mut self) {
        *self = Self::Off;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc5682_2_1_the_second_ack_that_moves_tells() {
        let mut frto = Frto::default();
        frto.on_timeout(true);
        assert_eq!(frto.on_ack(true, false), FrtoAnswer::None);
        assert_eq!(frto, Frto::Second);
        assert_eq!(frto.on_ack(true, false), FrtoAnswer::Spurious);
        assert_eq!(frto, Frto::Off);
    }

    #[test]
    fn rfc5682_2_1_a_part_of_a_segment_all_of_it_or_a_duplicate_tells_nothing() {
        for (covers, is_end) in [(false, false), (true, true)] {
            let mut frto = Frto::First;
            assert_eq!(frto.on_ack(covers, is_end), FrtoAnswer::None);
            assert_eq!(frto, Frto::Off);
        }
        let mut frto = Frto::Second;
        frto.stop();
        assert_eq!(frto.on_ack(true, false), FrtoAnswer::None);
        frto.on_timeout(false);
        assert_eq!(frto, Frto::Off, "during recovery it asks nothing");
    }
}
