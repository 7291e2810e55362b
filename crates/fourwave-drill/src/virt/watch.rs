//! Who watches a descriptor by `epoll`, and what they are told.

use super::Virtual;
use super::abi::{self, errno, event};
use super::epoll::{Entry, PRIVATE, WITH_EXCLUSIVE};
use super::file::File;
use super::outcome::{Attempt, done, fail, unsupported};
use crate::syscall::Fd;

impl Virtual {
    pub(super) fn sys_epoll_ctl(
        &mut self,
        epoll: Fd,
        op: i32,
        fd: Fd,
        events: u32,
        data: u64,
    ) -> Attempt {
        if matches!(self.file(fd)?, File::Epoll(_)) && matches!(self.file(epoll)?, File::Epoll(_)) {
            return if fd == epoll {
                fail(errno::EINVAL)
            } else {
                unsupported("an epoll that watches an epoll")
            };
        }
        if matches!(self.file(fd)?, File::Pipe(pipe) if pipe.is_file()) {
            return fail(errno::EPERM);
        }
        let now = self.events(fd).unwrap_or(0);
        let File::Epoll(watch) = self.file(epoll)? else { return fail(errno::EINVAL) };
        let old = watch.get(fd);
        // EPOLLERR and EPOLLHUP need no asking.
        let entry = Entry { events: events | event::ERR | event::HUP, data };
        let exclusive = entry.is_exclusive();
        match (op, old) {
            (abi::EPOLL_CTL_ADD, Some(_)) => return fail(errno::EEXIST),
            (abi::EPOLL_CTL_DEL | abi::EPOLL_CTL_MOD, None) => return fail(errno::ENOENT),
            (abi::EPOLL_CTL_DEL, Some(_)) => {
                watch.remove(fd);
                return done(0);
            }
            // An exclusive watch has few events, and is never changed.
            (abi::EPOLL_CTL_ADD, None) if exclusive && events & !WITH_EXCLUSIVE != 0 => {
                return fail(errno::EINVAL);
            }
            (abi::EPOLL_CTL_MOD, Some(old)) if exclusive || old.is_exclusive() => {
                return fail(errno::EINVAL);
            }
            (abi::EPOLL_CTL_ADD, None) => watch.entries.push((fd, entry)),
            (abi::EPOLL_CTL_MOD, Some(old)) => *old = entry,
            _ => return fail(errno::EINVAL),
        }
        if entry.reports(now) != 0 {
            watch.push(fd);
        }
        done(0)
    }

    /// A descriptor became ready for `key`: whoever watches it for that looks at it next time.
    pub(super) fn wake(&mut self, fd: Fd, key: u32) {
        for file in self.files.values_mut() {
            let File::Epoll(epoll) = file else { continue };
            if epoll.get(fd).is_some_and(|entry| entry.reports(key) != 0) {
                epoll.push(fd);
            }
        }
    }

    pub(super) fn forget_in_epolls(&mut self, fd: Fd) {
        for file in self.files.values_mut() {
            if let File::Epoll(epoll) = file {
                epoll.remove(fd);
            }
        }
    }

    /// Up to `max` events. Who is level-triggered stays in the list, behind the others.
    pub(super) fn collect(&mut self, epoll: Fd, max: usize) -> Vec<(u32, u64)> {
        let mut told = Vec::new();
        let mut again = Vec::new();
        while told.len() < max {
            let Ok(File::Epoll(watch)) = self.file(epoll) else { break };
            let Some(fd) = watch.ready.pop_front() else { break };
            let Some(entry) = watch.get(fd).copied() else { continue };
            let events = entry.reports(self.events(fd).unwrap_or(0));
            if events == 0 {
                continue;
            }
            told.push((events, entry.data));
            let Ok(File::Epoll(watch)) = self.file(epoll) else { break };
            if entry.events & event::ONESHOT != 0 {
                if let Some(entry) = watch.get(fd) {
                    entry.events &= PRIVATE;
                }
            } else if entry.events & event::ET == 0 {
                again.push(fd);
            }
        }
        if let Ok(File::Epoll(watch)) = self.file(epoll) {
            again.into_iter().for_each(|fd| watch.push(fd));
        }
        told
    }
}
