//! What many transfers come to.

use std::collections::BTreeMap;

use crate::transfer::Outcome;

/// The middle one, of two the mean; `None` without any.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match figures.len() {
        0 => None,
        len if len % 2 == 1 => Some(figures[half]),
        _ => Some(f64::midpoint(figures[half - 1], figures[half])),
    }
}

/// The rounds of one row by one pair of ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    /// By the round's number; what failed is missing.
    outcomes: BTreeMap<u32, Outcome>,
}

impl Rounds {
    pub(crate) fn insert(&mut self, round: u32, outcome: Outcome) {
        self.outcomes.insert(round, outcome);
    }

    fn median(&self, figure: impl Fn(&Outcome) -> f64) -> Option<f64> {
        median(self.outcomes.values().map(figure).collect())
    }

    /// Bits per second.
    pub(crate) fn goodput(&self) -> Option<f64> {
        self.median(Outcome::goodput)
    }

    /// Seconds until all had arrived; `None` when that did not happen in every round.
    pub(crate) fn time(&self) -> Option<f64> {
        let complete = self.outcomes.values().all(|outcome| outcome.complete);
        self.median(|outcome| outcome.time.as_secs_f64()).filter(|_| complete)
    }

    /// The share of retransmitted bytes in all that were sent.
    pub(crate) fn retransmitted(&self) -> Option<f64> {
        self.median(Outcome::retransmitted)
    }
}

/// How our goodput stands to Linux's.
pub(crate) fn ratio(ours: &Rounds, linux: &Rounds) -> Option<f64> {
    Some(ours.goodput()? / linux.goodput()?).filter(|ratio| ratio.is_finite())
}

/// The least ratio of one round to Linux's of the same round, which had the same faults.
pub(crate) fn least_ratio(ours: &Rounds, linux: &Rounds) -> Option<f64> {
    let pairs = ours.outcomes.iter().filter_map(|(n, one)| Some((one, linux.outcomes.get(n)?)));
    let ratios = pairs.map(|(ours, linux)| ours.goodput() / linux.goodput());
    ratios.filter(|ratio| ratio.is_finite()).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LinkReport;
    use crate::transfer::Sent;
    use std::time::Duration;

    fn rounds(of: &[(u64, u64, bool)]) -> Rounds {
        let mut rounds = Rounds::default();
        for (n, &(millis, received, complete)) in (0..).zip(of) {
            let outcome = Outcome {
                time: Duration::from_millis(millis),
                received,
                complete,
                sent: Sent { bytes: 2000, again: 100, ..Sent::default() },
                link: LinkReport::default(),
            };
            rounds.insert(n, outcome);
        }
        rounds
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn rounds_that_all_arrived_have_a_time_and_others_a_rate() {
        let all = rounds(&[(10, 1000, true), (30, 1000, true), (20, 1000, true)]);
        assert_eq!(all.time(), Some(0.02));
        assert_eq!(all.goodput(), Some(400_000.0));
        assert_eq!(all.retransmitted(), Some(0.05));
        let some = rounds(&[(10, 1000, true), (1000, 500, false), (20, 1000, true)]);
        assert_eq!(some.time(), None);
        assert_eq!(some.goodput(), Some(400_000.0));
    }

    #[test]
    fn the_ratio_is_that_of_goodputs() {
        let [slow, fast] = [20, 10].map(|millis| rounds(&[(millis, 1000, true)]));
        assert_eq!(ratio(&slow, &fast), Some(0.5));
        assert_eq!(ratio(&fast, &slow), Some(2.0));
        assert_eq!(ratio(&fast, &Rounds::default()), None);
        let [two, others] =
            [[10, 40], [10, 10]].map(|times| rounds(&times.map(|millis| (millis, 1000, true))));
        assert_eq!(least_ratio(&two, &others), Some(0.25));
        // Nothing arrived: no division by nothing.
        assert_eq!(ratio(&fast, &rounds(&[(10, 0, false)])), None);
    }
}
