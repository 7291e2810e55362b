//! The entries of one connection in bounded memory: the first ones, the last ones, and between them
//! how much was left out.

use std::time::Duration;

use crate::entry::{EntryKind, Exchange, LadderEntry, LeftOut, Run, Shown};
use crate::words::{Kind, Place, Role};

/// Runs in a row that are kept apart before the middle ones become an [`Exchange`].
const STREAK: usize = 10;
/// Runs of a streak that stay apart at its end (and half of the rest at its beginning).
const STREAK_TAIL: usize = 4;
/// Entries that no limit leaves out; beyond that many, they are like any other.
const MAX_PINNED: usize = 64;

/// A bounded list of entries.
#[derive(Clone, Debug)]
pub(crate) struct Entries {
    entries: Vec<LadderEntry>,
    first: usize,
    limit: usize,
    /// The last entry is a run that may still grow.
    open: bool,
    /// Plain runs at the end, an exchange before them not counted.
    streak: usize,
}

impl Entries {
    /// Keeps the first `first` and the last `last` entries.
    pub(crate) fn new(first: usize, last: usize) -> Self {
        let (first, last) = (first.max(1), last.max(STREAK + 2));
        Self { entries: Vec::new(), first, limit: first + last, open: false, streak: 0 }
    }

    pub(crate) fn into_vec(self) -> Vec<LadderEntry> {
        self.entries
    }

    /// The run that may still grow, if there is one.
    pub(crate) fn open_run(&self) -> Option<&LadderEntry> {
        if self.open { self.entries.last() } else { None }
    }

    fn open_run_mut(&mut self) -> Option<(Role, &mut Run)> {
        match self.entries.last_mut() {
            Some(LadderEntry { from, what: EntryKind::Run(run), .. }) if self.open => {
                Some((*from, run))
            }
            _ => None,
        }
    }

    /// The open run grows no more; it is returned when there was one.
    pub(crate) fn close_run(&mut self) -> Option<&LadderEntry> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        self.entries.last()
    }

    /// Adds an entry; a run that was open must have been closed before.
    pub(crate) fn push(&mut self, entry: LadderEntry) {
        self.open = false;
        let plain_run = is_plain_run(&entry);
        if plain_run && self.streak > 0 {
            self.streak += 1;
        } else {
            self.streak = usize::from(plain_run);
        }
        self.entries.push(entry);
        if self.streak > STREAK {
            self.fold_streak();
        }
        if self.entries.len() > self.limit {
            self.leave_out();
        }
    }

    /// Adds a run that may grow.
    pub(crate) fn push_run(&mut self, entry: LadderEntry) {
        self.push(entry);
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

    /// The last entry for which `is` holds, while it is kept.
    pub(crate) fn last_where(
        &mut self,
        is: impl Fn(&LadderEntry) -> bool,
    ) -> Option<&mut LadderEntry> {
        self.entries.iter_mut().rev().find(|entry| is(entry))
    }

    /// The oldest run of the streak that is due becomes part of an exchange.
    fn fold_streak(&mut self) {
        let start = self.entries.len() - self.streak;
        // A streak's first runs stay as they are; when an exchange exists, it stands before.
        let exchange_before =
            start > 0 && matches!(self.entries[start - 1].what, EntryKind::Exchange(_));
        let (at, folded) = if exchange_before {
            (start - 1, self.streak - STREAK_TAIL)
        } else {
            (start + STREAK_TAIL, self.streak - 2 * STREAK_TAIL)
        };
        let first_folded = if exchange_before { at + 1 } else { at };
        let mut exchange = match &self.entries[at].what {
            EntryKind::Exchange(exchange) => *exchange,
            _ => Exchange {
                until: Duration::ZERO,
                turns: [0; 2],
                segments: [0; 2],
                bytes: [0; 2],
                retransmitted: 0,
            },
        };
        let LadderEntry { at: began, packet, from, .. } = self.entries[at];
        for entry in self.entries.drain(first_folded..first_folded + folded) {
            if let EntryKind::Run(run) = &entry.what {
                let i = entry.from.index();
                exchange.until = run.until;
                exchange.turns[i] += 1;
                exchange.segments[i] += run.segments;
                exchange.bytes[i] += run.bytes;
                exchange.retransmitted += run.retransmitted;
            }
        }
        let entry =
            LadderEntry { packet, ..LadderEntry::new(began, from, EntryKind::Exchange(exchange)) };
        if exchange_before {
            self.entries[at] = entry;
        } else {
            self.entries.insert(at, entry);
        }
        self.streak = STREAK_TAIL;
    }

    /// The oldest entry behind the first ones that can be spared goes. O(entries kept).
    fn leave_out(&mut self) {
        let pinned = self.entries.iter().filter(|entry| entry.is_pinned()).count();
        let spare_pinned = pinned > MAX_PINNED;
        let victim = (self.first..self.entries.len() - 1).find(|&i| {
            let entry = &self.entries[i];
            !matches!(entry.what, EntryKind::LeftOut(_)) && (spare_pinned || !entry.is_pinned())
        });
        // Everything is pinned and few: let it grow up to MAX_PINNED.
        let Some(victim) = victim else { return };
        let gone = weigh(&self.entries[victim]);
        let LadderEntry { at, packet, from, .. } = self.entries[victim];
        self.entries[victim] =
            LadderEntry { packet, ..LadderEntry::new(at, from, EntryKind::LeftOut(gone)) };
        self.merge_left_out(victim + 1);
        self.merge_left_out(victim);
        self.streak = self.entries.iter().rev().take_while(|entry| is_plain_run(entry)).count();
    }

    /// Where the entry at `index` and the one before it are both about entries left out, they
    /// become one.
    fn merge_left_out(&mut self, index: usize) {
        let Some(EntryKind::LeftOut(gone)) =
            self.entries.get(index).map(|entry| entry.what.clone())
        else {
            return;
        };
        let Some(before) = index.checked_sub(1).and_then(|i| self.entries.get_mut(i)) else {
            return;
        };
        let EntryKind::LeftOut(before) = &mut before.what else { return };
        before.until = gone.until;
        before.entries += gone.entries;
        before.segments += gone.segments;
        for (sum, bytes) in before.bytes.iter_mut().zip(gone.bytes) {
            *sum += bytes;
        }
        self.entries.remove(index);
    }
}

fn is_plain_run(entry: &LadderEntry) -> bool {
    matches!(entry.what, EntryKind::Run(_)) && !entry.is_pinned()
}

/// What goes with an entry.
fn weigh(entry: &LadderEntry) -> LeftOut {
    let mut out = LeftOut { until: entry.until(), entries: 1, segments: 0, bytes: [0; 2] };
    match &entry.what {
        EntryKind::Segment(shown) => {
            out.segments = shown.segments;
            out.bytes[entry.from.index()] = shown.len;
        }
        EntryKind::Run(run) => {
            out.segments = run.segments + run.acks;
            out.bytes[entry.from.index()] = run.bytes;
        }
        EntryKind::Exchange(exchange) => {
            out.segments = exchange.segments.iter().sum();
            out.bytes = exchange.bytes;
        }
        EntryKind::LeftOut(left_out) => out = *left_out,
        EntryKind::Arrival(_) | EntryKind::Icmp(_) | EntryKind::Note(_) | EntryKind::Warning(_) => {
        }
    }
    out
}
