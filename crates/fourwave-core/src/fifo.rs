//! Queues of deadlines: records of one duration expire in the order in which they came, so a
//! linked list through the records is a timer with O(1) for everything.

/// A record's place in its queue.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Links {
    prev: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

impl Default for Links {
    fn default() -> Self {
        Self { prev: NONE, next: NONE }
    }
}

/// Records that can stand in a [`Fifo`], found by index.
pub(crate) trait LinkTable {
    /// The links of the record at `index`. A queue only asks for what stands in it.
    fn links(&mut self, index: u32) -> Option<&mut Links>;
}

/// A queue through records that live elsewhere.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Fifo {
    head: u32,
    tail: u32,
}

impl Fifo {
    pub(crate) const fn new() -> Self {
        Self { head: NONE, tail: NONE }
    }

    pub(crate) fn front(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    pub(crate) fn push_back(&mut self, table: &mut impl LinkTable, index: u32) {
        let Some(links) = table.links(index) else { return };
        *links = Links { prev: self.tail, next: NONE };
        match table.links(self.tail) {
            None => self.head = index,
            Some(tail) => tail.next = index,
        }
        self.tail = index;
    }

    pub(crate) fn push_front(&mut self, table: &mut impl LinkTable, index: u32) {
        let Some(links) = table.links(index) else { return };
        *links = Links { prev: NONE, next: self.head };
        match table.links(self.head) {
            None => self.tail = index,
            Some(head) => head.prev = index,
        }
        self.head = index;
    }

    /// Takes `index`, which must stand in this queue, out of it.
    pub(crate) fn remove(&mut self, table: &mut impl LinkTable, index: u32) {
        let Some(links) = table.links(index) else { return };
        let Links { prev, next } = core::mem::take(links);
        match table.links(prev) {
            None => self.head = next,
            Some(before) => before.next = next,
        }
        match table.links(next) {
            None => self.tail = prev,
            Some(after) => after.prev = prev,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    struct Table(Vec<Links>);
    impl LinkTable for Table {
        fn links(&mut self, index: u32) -> Option<&mut Links> {
            self.0.get_mut(index as usize)
        }
    }

    #[test]
    fn order_survives_removal_anywhere() {
        let mut table = Table((0..5).map(|_| Links::default()).collect());
        let mut fifo = Fifo::new();
        for i in 0..5 {
            fifo.push_back(&mut table, i);
        }
        fifo.remove(&mut table, 2);
        fifo.remove(&mut table, 0);
        fifo.remove(&mut table, 4);
        fifo.push_back(&mut table, 2);
        fifo.push_front(&mut table, 4);
        let mut order = Vec::new();
        while let Some(i) = fifo.front() {
            fifo.remove(&mut table, i);
            order.push(i);
        }
        assert_eq!(order, [4, 1, 3, 2]);
    }
}
