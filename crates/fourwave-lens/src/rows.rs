//! The rows of one connection in bounded memory: the first ones, the last ones, and between them
//! how much was left out.

use std::time::Duration;

use crate::row::{Exchange, Kind, LeftOut, Place, Role, Row, Run, Shown, What};

/// Runs in a row that are kept apart before the middle ones become an [`Exchange`].
const STREAK: usize = 10;
/// Runs of a streak that stay apart at its end (and half of the rest at its beginning).
const STREAK_TAIL: usize = 4;
/// Rows that no limit leaves out; beyond that many, they are like any other.
const MAX_PINNED: usize = 64;

/// A bounded list of rows.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    first: usize,
    limit: usize,
    /// The last row is a run that may still grow.
    open: bool,
    /// Plain runs at the end, an exchange before them not counted.
    streak: usize,
}

impl Rows {
    /// Keeps the first `first` and the last `last` rows.
    pub(crate) fn new(first: usize, last: usize) -> Self {
        let (first, last) = (first.max(1), last.max(STREAK + 2));
        Self { rows: Vec::new(), first, limit: first + last, open: false, streak: 0 }
    }

    pub(crate) fn into_vec(self) -> Vec<Row> {
        self.rows
    }

    /// The run that may still grow, if there is one.
    pub(crate) fn open_run(&self) -> Option<&Row> {
        if self.open { self.rows.last() } else { None }
    }

    fn open_run_mut(&mut self) -> Option<(Role, &mut Run)> {
        match self.rows.last_mut() {
            Some(Row { from, what: What::Run(run), .. }) if self.open => Some((*from, run)),
            _ => None,
        }
    }

    /// The open run grows no more; it is returned when there was one.
    pub(crate) fn close_run(&mut self) -> Option<&Row> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        self.rows.last()
    }

    /// Adds a row; a run that was open must have been closed before.
    pub(crate) fn push(&mut self, row: Row) {
        self.open = false;
        let plain_run = is_plain_run(&row);
        if plain_run && self.streak > 0 {
            self.streak += 1;
        } else {
            self.streak = usize::from(plain_run);
        }
        self.rows.push(row);
        if self.streak > STREAK {
            self.fold_streak();
        }
        if self.rows.len() > self.limit {
            self.leave_out();
        }
    }

    /// Adds a run that may grow.
    pub(crate) fn push_run(&mut self, row: Row) {
        self.push(row);
        self.open = true;
    }

    /// A segment of the open run's direction joins it; false when none is open there.
    pub(crate) fn grow(&mut self, at: Duration, from: Role, shown: &Shown) -> bool {
        let Some((direction, run)) = self.open_run_mut() else { return false };
        if direction != from || run.first.kind != shown.kind {
            return false;
        }
        run.until = at;
        run.packets += 1;
        run.segments += shown.segments;
        run.bytes += shown.len;
        run.end_seq = run.end_seq.max(shown.seq + shown.len);
        match shown.place {
            Place::Retransmitted => run.retransmitted += shown.segments,
            Place::OutOfOrder => run.out_of_order += shown.segments,
            Place::InOrder | Place::Ahead | Place::Outside => {}
        }
        true
    }

    /// An ACK of the other direction joins the open run; false when none is open there.
    pub(crate) fn grow_by_ack(&mut self, at: Duration, from: Role, shown: &Shown) -> bool {
        let Some((direction, run)) = self.open_run_mut() else { return false };
        let probing = matches!(run.first.kind, Kind::Keepalive | Kind::WindowProbe);
        if direction == from || (probing && shown.kind != Kind::ProbeAnswer) {
            return false;
        }
        run.until = at;
        run.acks += 1;
        run.dup_acks += u64::from(shown.kind == Kind::DupAck);
        run.zero_windows += u64::from(shown.kind == Kind::ZeroWindow);
        run.last_ack = Some((at, *shown));
        true
    }

    /// The last row for which `is` holds, while it is kept.
    pub(crate) fn last_where(&mut self, is: impl Fn(&Row) -> bool) -> Option<&mut Row> {
        self.rows.iter_mut().rev().find(|row| is(row))
    }

    /// The oldest run of the streak that is due becomes part of an exchange.
    fn fold_streak(&mut self) {
        let start = self.rows.len() - self.streak;
        // A streak's first runs stay as they are; when an exchange exists, it stands before.
        let exchange_before = start > 0 && matches!(self.rows[start - 1].what, What::Exchange(_));
        let (at, folded) = if exchange_before {
            (start - 1, self.streak - STREAK_TAIL)
        } else {
            (start + STREAK_TAIL, self.streak - 2 * STREAK_TAIL)
        };
        let first_folded = if exchange_before { at + 1 } else { at };
        let mut exchange = match &self.rows[at].what {
            What::Exchange(exchange) => *exchange,
            _ => Exchange {
                until: Duration::ZERO,
                turns: [0; 2],
                segments: [0; 2],
                bytes: [0; 2],
                retransmitted: 0,
            },
        };
        let Row { at: began, packet, from, .. } = self.rows[at];
        for row in self.rows.drain(first_folded..first_folded + folded) {
            if let What::Run(run) = &row.what {
                let i = row.from.index();
                exchange.until = run.until;
                exchange.turns[i] += 1;
                exchange.segments[i] += run.segments;
                exchange.bytes[i] += run.bytes;
                exchange.retransmitted += run.retransmitted;
            }
        }
        let row = Row { packet, ..Row::new(began, from, What::Exchange(exchange)) };
        if exchange_before {
            self.rows[at] = row;
        } else {
            self.rows.insert(at, row);
        }
        self.streak = STREAK_TAIL;
    }

    /// The oldest row behind the first ones that can be spared goes. O(rows kept).
    fn leave_out(&mut self) {
        let pinned = self.rows.iter().filter(|row| row.is_pinned()).count();
        let spare_pinned = pinned > MAX_PINNED;
        let victim = (self.first..self.rows.len() - 1).find(|&i| {
            let row = &self.rows[i];
            !matches!(row.what, What::LeftOut(_)) && (spare_pinned || !row.is_pinned())
        });
        // Everything is pinned and few: let it grow up to MAX_PINNED.
        let Some(victim) = victim else { return };
        let gone = weigh(&self.rows[victim]);
        let Row { at, packet, from, .. } = self.rows[victim];
        self.rows[victim] = Row { packet, ..Row::new(at, from, What::LeftOut(gone)) };
        self.merge_left_out(victim + 1);
        self.merge_left_out(victim);
        self.streak = self.rows.iter().rev().take_while(|row| is_plain_run(row)).count();
    }

    /// Where the row at `index` and the one before it are both about rows left out, they become
    /// one.
    fn merge_left_out(&mut self, index: usize) {
        let Some(What::LeftOut(gone)) = self.rows.get(index).map(|row| row.what.clone()) else {
            return;
        };
        let Some(before) = index.checked_sub(1).and_then(|i| self.rows.get_mut(i)) else { return };
        let What::LeftOut(before) = &mut before.what else { return };
        before.until = gone.until;
        before.rows += gone.rows;
        before.segments += gone.segments;
        for (sum, bytes) in before.bytes.iter_mut().zip(gone.bytes) {
            *sum += bytes;
        }
        self.rows.remove(index);
    }
}

fn is_plain_run(row: &Row) -> bool {
    matches!(row.what, What::Run(_)) && !row.is_pinned()
}

/// What goes with a row.
fn weigh(row: &Row) -> LeftOut {
    let mut out = LeftOut { until: row.until(), rows: 1, segments: 0, bytes: [0; 2] };
    match &row.what {
        What::Segment(shown) => {
            out.segments = shown.segments;
            out.bytes[row.from.index()] = shown.len;
        }
        What::Run(run) => {
            out.segments = run.segments + run.acks;
            out.bytes[row.from.index()] = run.bytes;
        }
        What::Exchange(exchange) => {
            out.segments = exchange.segments.iter().sum();
            out.bytes = exchange.bytes;
        }
        What::LeftOut(left_out) => out = *left_out,
        What::Arrival(_) | What::Icmp(_) | What::Note(_) | What::Trouble(_) => {}
    }
    out
}
