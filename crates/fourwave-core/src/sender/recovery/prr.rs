//! How much goes out for each ACK of a recovery (Proportional Rate Reduction, RFC 9937): in
//! proportion down to the new window, and from there on as much as is delivered.

use fourwave_wire::SeqNum;

/// The bookkeeping of one recovery, in bytes.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Prr {
    /// In flight when it began (RecoverFS).
    at_start: u32,
    delivered: u32,
    sent: u32,
    /// What may still go out for the last ACK.
    budget: u32,
}

impl Prr {
    /// A recovery begins with so much in flight; the first retransmission is due at once.
    pub(crate) fn new(in_flight: u32, mss: u32) -> Self {
        Self { at_start: in_flight.max(1), delivered: 0, sent: 0, budget: mss }
    }

    /// An ACK delivered so much; `in_flight` is what is on its way now. `is_safe`: it moved SND.UNA
    /// and told of no further loss (SafeACK).
    pub(crate) fn on_ack(
        &mut self,
        delivered: u32,
        in_flight: u32,
        ssthresh: u32,
        mss: u32,
        is_safe: bool,
    ) {
        self.delivered = self.delivered.saturating_add(delivered);
        let budget = if in_flight > ssthresh {
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let share = share.div_ceil(u64::from(self.at_start));
            // What is left of a segment counts as one, as where windows are counted in segments.
            let left = u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.sent);
            left.checked_next_multiple_of(mss.max(1)).unwrap_or(left)
        } else {
            let limit = self.delivered.saturating_sub(self.sent).max(delivered);
            let limit = if is_safe { limit.saturating_add(mss) } else { limit };
            limit.min(ssthresh - in_flight)
        };
        // The fast retransmission goes out whatever the sums say.
        self.budget = if self.sent == 0 { budget.max(mss) } else { budget };
    }

    /// No more than `bytes` go out for the last ACK.
    pub(crate) fn limit(&mut self, bytes: u32) {
        self.budget = self.budget.min(bytes);
    }

    /// Bytes that may go out now.
    pub(crate) fn budget(&self) -> u32 {
        self.budget
    }

    pub(crate) fn on_sent(&mut self, bytes: u32) {
        self.sent = self.sent.saturating_add(bytes);
        self.budget = self.budget.saturating_sub(bytes);
    }
}

/// A reduction for marks that goes on (RFC 3168 §6.1.2).
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Cwr {
    /// SND.NXT when it began. What is acknowledged beyond it tells that the peer has our CWR.
    pub(crate) high: SeqNum,
    pub(crate) prr: Prr,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    /// A recovery with `at_start` in flight of which the first is lost, `ssthresh` the window to
    /// come: what goes out for each ACK of a segment.
    fn recovery(at_start: u32, ssthresh: u32, acks: u32) -> (u32, u32) {
        let mut prr = Prr::new(at_start, MSS);
        let mut in_flight = at_start - MSS;
        let mut sent = 0;
        for _ in 0..acks {
            in_flight -= MSS;
            prr.on_ack(MSS, in_flight, ssthresh, MSS, false);
            while prr.budget() >= MSS {
                prr.on_sent(MSS);
                (in_flight, sent) = (in_flight + MSS, sent + MSS);
            }
        }
        (in_flight, sent)
    }

    #[test]
    fn rfc9937_what_goes_out_is_in_proportion() {
        // Half: for two segments that arrive one goes out.
        let (in_flight, sent) = recovery(20 * MSS, 10 * MSS, 18);
        assert!(sent.abs_diff(9 * MSS) <= MSS, "{sent}");
        assert!(in_flight.abs_diff(10 * MSS) <= MSS, "{in_flight}");
        let (in_flight, sent) = recovery(20 * MSS, 14 * MSS, 18);
        assert!(sent.abs_diff(13 * MSS) <= MSS && in_flight >= 13 * MSS, "{sent} {in_flight}");
    }

    #[test]
    fn rfc9937_below_the_threshold_as_much_goes_out_as_arrives() {
        let mut prr = Prr::new(20 * MSS, MSS);
        prr.on_sent(MSS);
        // Most were lost.
        prr.on_ack(2 * MSS, 2 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.budget(), 2 * MSS);
        // One more where the ACK is a safe one: it moves SND.UNA, and nothing more is lost.
        prr.on_ack(2 * MSS, 2 * MSS, 10 * MSS, MSS, true);
        assert_eq!(prr.budget(), 4 * MSS);
        prr.on_ack(MSS, 10 * MSS, 10 * MSS, MSS, true);
        assert_eq!(prr.budget(), 0);
    }

    #[test]
    fn the_first_retransmission_goes_out_whatever_the_sums_say() {
        let mut prr = Prr::new(4 * MSS, MSS);
        assert_eq!(prr.budget(), MSS);
        prr.on_ack(1, 40 * MSS, 2 * MSS, MSS, false);
        assert_eq!(prr.budget(), MSS);
    }
}
