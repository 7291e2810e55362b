//! An epoll instance: who is watched for what, and the list of those that may be ready.

use std::collections::VecDeque;

use super::abi::event;
use crate::syscall::Fd;

/// Bits that are no events.
pub(super) const PRIVATE: u32 = event::ET | event::ONESHOT | event::WAKEUP | event::EXCLUSIVE;
/// What may stand beside EPOLLEXCLUSIVE.
pub(super) const WITH_EXCLUSIVE: u32 =
    event::IN | event::OUT | event::ERR | event::HUP | event::WAKEUP | event::ET | event::EXCLUSIVE;

/// What one descriptor is watched for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) events: u32,
    pub(super) data: u64,
}

impl Entry {
    pub(super) fn is_exclusive(&self) -> bool {
        self.events & event::EXCLUSIVE != 0
    }

    /// Which of `events` it is told; EPOLLERR and EPOLLHUP always, unless ONESHOT silenced it.
    pub(super) fn reports(&self, events: u32) -> u32 {
        if self.events & !PRIVATE == 0 {
            return 0;
        }
        events & self.events & !PRIVATE
    }
}

/// An epoll instance.
#[derive(Debug, Default)]
pub(super) struct Epoll {
    pub(super) entries: Vec<(Fd, Entry)>,
    /// Those that woke since they were last looked at, in order.
    pub(super) ready: VecDeque<Fd>,
}

impl Epoll {
    pub(super) fn entries(&self) -> impl Iterator<Item = (Fd, &Entry)> {
        self.entries.iter().map(|(fd, entry)| (*fd, entry))
    }

    pub(super) fn get(&mut self, fd: Fd) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|(other, _)| *other == fd).map(|(_, entry)| entry)
    }

    pub(super) fn push(&mut self, fd: Fd) {
        if !self.ready.contains(&fd) {
            self.ready.push_back(fd);
        }
    }

    pub(super) fn remove(&mut self, fd: Fd) {
        self.entries.retain(|(other, _)| *other != fd);
        self.ready.retain(|other| *other != fd);
    }
}
