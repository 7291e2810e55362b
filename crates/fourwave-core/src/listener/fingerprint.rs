//! What of the listeners tells two states of a model apart.

use alloc::collections::VecDeque;

use super::Listeners;
use crate::event::{ConnId, PendingId};

impl Listeners {
    /// Every listener's queue. O(listeners).
    pub(crate) fn queues(&self) -> impl Iterator<Item = &VecDeque<(ConnId, Option<PendingId>)>> {
        self.table.indices().filter_map(|i| Some(&self.table.get(i)?.queue))
    }
}
