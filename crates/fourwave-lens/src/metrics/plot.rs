//! A time-sequence plot in bounded memory.

use std::time::Duration;

use crate::words::Role;

use super::{Point, PointKind};

/// Points kept for each connection.
const LIMIT: usize = 1024;
/// Of each kind of point, those with a number that this divides are kept.
type Stride = u32;

const KINDS: [PointKind; 4] =
    [PointKind::Data, PointKind::Retransmitted, PointKind::Ack, PointKind::Window];

/// A [`Point`] in 16 bytes: nanoseconds; number, stream and kind.
#[derive(Clone, Copy, Debug)]
struct Dot(u64, u64);

impl Dot {
    fn series(self) -> usize {
        (self.1 & 7) as usize
    }

    fn is_retransmitted(self) -> bool {
        KINDS[self.series() & 3] == PointKind::Retransmitted
    }

    fn point(self) -> Point {
        Point {
            at: Duration::from_nanos(self.0),
            stream: Role::BOTH[self.series() >> 2],
            kind: KINDS[self.series() & 3],
            seq: self.1 >> 3,
        }
    }
}

/// Collects points. When it is full, every second one of each series goes, and from then on every
/// second one is taken; those about data retransmitted go last.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    dots: Vec<Dot>,
    stride: Stride,
    retransmitted_stride: Stride,
    /// How many there were of each series.
    seen: [u32; 8],
}

impl Plot {
    pub(crate) fn new() -> Self {
        Self { dots: Vec::new(), stride: 1, retransmitted_stride: 1, seen: [0; 8] }
    }

    /// One more. O(1) amortised.
    pub(crate) fn push(&mut self, at: Duration, stream: Role, kind: PointKind, seq: u64) {
        let series = (stream.index() << 2) | kind as usize;
        let seen = self.seen[series];
        self.seen[series] = seen.wrapping_add(1);
        if !seen.is_multiple_of(self.stride_of(kind)) {
            return;
        }
        if self.dots.len() == LIMIT {
            self.thin_out();
            if !seen.is_multiple_of(self.stride_of(kind)) {
                return;
            }
        }
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        self.dots.push(Dot(nanos, (seq << 3) | series as u64));
    }

    fn stride_of(&self, kind: PointKind) -> Stride {
        if kind == PointKind::Retransmitted { self.retransmitted_stride } else { self.stride }
    }

    fn thin_out(&mut self) {
        self.every_second(|dot| !dot.is_retransmitted());
        self.stride = self.stride.saturating_mul(2);
        if self.dots.iter().filter(|dot| dot.is_retransmitted()).count() > LIMIT / 2 {
            self.every_second(Dot::is_retransmitted);
            self.retransmitted_stride = self.retransmitted_stride.saturating_mul(2);
        }
    }

    fn every_second(&mut self, of: impl Fn(Dot) -> bool) {
        let mut odd = [false; 8];
        self.dots.retain(|&dot| {
            if !of(dot) {
                return true;
            }
            let odd = &mut odd[dot.series()];
            *odd = !*odd;
            *odd
        });
    }

    /// All that were kept, in the order of time.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.dots.iter().map(|dot| dot.point()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_come_few_are_kept_evenly() {
        let mut plot = Plot::new();
        for n in 0..100_000u64 {
            let at = Duration::from_micros(n);
            plot.push(at, Role::Client, PointKind::Data, n);
            plot.push(at, Role::Client, PointKind::Ack, n);
            if n % 1000 == 0 {
                plot.push(at, Role::Client, PointKind::Retransmitted, n);
            }
        }
        let points = plot.points();
        assert!(points.len() <= LIMIT && points.len() > LIMIT / 4, "{}", points.len());
        assert!(points.is_sorted_by_key(|point| point.at));
        let of = |kind| points.iter().filter(move |p| p.kind == kind).map(|p| p.seq);
        assert_eq!(of(PointKind::Retransmitted).count(), 100);
        for kind in [PointKind::Data, PointKind::Ack] {
            let seqs: Vec<u64> = of(kind).collect();
            let step = seqs[1] - seqs[0];
            assert!(seqs.windows(2).all(|two| two[1] - two[0] == step), "{kind:?} {seqs:?}");
        }
    }

    #[test]
    fn data_sent_again_without_end_is_bounded_too() {
        let mut plot = Plot::new();
        for n in 0..50_000u64 {
            plot.push(Duration::from_micros(n), Role::Server, PointKind::Retransmitted, n);
        }
        assert!(plot.points().len() <= LIMIT);
        assert_eq!(plot.points()[0].stream, Role::Server);
    }
}
