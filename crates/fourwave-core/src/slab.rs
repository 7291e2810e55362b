//! Values in slots that are named by index and generation.

use alloc::vec::Vec;

#[derive(Clone, Hash)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A vector of reusable slots. A name (index and generation) is never valid for two values.
///
/// All operations are O(1); insertion is amortised.
#[derive(Clone, Hash)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Stores what `make` builds from its own name.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(u32, u32) -> T) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.value = Some(make(index, slot.generation));
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(value)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// The index, if its name still stands for a value.
    pub(crate) fn check(&self, index: u32, generation: u32) -> Option<u32> {
        let slot = self.slots.get(index as usize)?;
        (slot.generation == generation && slot.value.is_some()).then_some(index)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Slots, in use or not: all indices are below.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The indices in use. O(slots).
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().enumerate().filter_map(|(i, s)| s.value.as_ref().map(|_| i as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_valid_for_two_values() {
        let mut slab = Slab::new();
        let a = slab.insert_with(|i, g| (i, g));
        let (index, generation) = *slab.get(a).unwrap();
        assert_eq!(slab.check(index, generation), Some(a));
        slab.remove(a);
        assert_eq!(slab.check(index, generation), None);
        let b = slab.insert_with(|i, g| (i, g));
        assert_eq!(a, b);
        assert_eq!(slab.check(index, generation), None);
        assert_eq!(slab.len(), 1);
        assert_eq!(slab.indices().count(), 1);
    }
}
