//! What has passed on the wire, and what the script has not asked for yet.

use std::collections::VecDeque;

use crate::ast::Direction;
use crate::run::clock::{Nanos, duration};
use crate::run::{Error, Passing};
use crate::target::{Sniffed, Target};

/// Packets that the stack has sent and the script has not asked for yet.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Everything that passed.
    pub(crate) passed: Vec<Passing>,
    waiting: VecDeque<Waiting>,
}

/// A packet that waits, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Its place in `passed`.
    pub(super) at: usize,
    /// Sequence numbers at its front that an event has had.
    pub(super) taken: u32,
}

impl Wire {
    /// Lets time go on until `until`; what the stack sends meanwhile waits here.
    pub(crate) fn wait(&mut self, target: &mut dyn Target, until: Nanos) -> Result<(), Error> {
        while let Some(sniffed) = target.wait(duration(until))? {
            self.sent(sniffed);
        }
        Ok(())
    }

    fn sent(&mut self, Sniffed { at, packet }: Sniffed) {
        self.waiting.push_back(Waiting { at: self.passed.len(), taken: 0 });
        self.passed.push(Passing { at, direction: Direction::Out, packet, event: None });
    }

    pub(super) fn next(
        &mut self,
        target: &mut dyn Target,
        until: Nanos,
    ) -> Result<Option<Waiting>, Error> {
        if self.waiting.is_empty()
            && let Some(sniffed) = target.wait(duration(until))?
        {
            self.sent(sniffed);
        }
        Ok(self.waiting.pop_front())
    }

    /// Whether a packet left when the stack had all that the script has sent.
    pub(super) fn left_behind_the_last_in(&self, at: usize) -> bool {
        let last = self.passed.iter().rposition(|one| one.direction == Direction::In);
        last.is_none_or(|last| last < at && self.passed[last].at <= self.passed[at].at)
    }

    /// The next event may want these, which came before all that waits.
    pub(super) fn put_back(&mut self, packets: Vec<Waiting>) {
        packets.into_iter().rev().for_each(|packet| self.waiting.push_front(packet));
    }
}
