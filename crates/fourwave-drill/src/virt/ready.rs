//! What is ready, and `poll`.

use std::time::Duration;

use fourwave_core::state::State;

use super::Virtual;
use super::abi::{errno, event};
use super::file::File;
use super::job::Job;
use super::outcome::{Attempt, Outcome, done_with, fail};
use super::socket::{Opening, Phase, Shut, Socket};
use crate::syscall::{Fd, Output};

/// Timeouts of poll and epoll_wait: negative is for ever.
pub(super) fn limit(timeout: i32) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

impl Virtual {
    /// The events of a descriptor; none where nothing is open by this name.
    pub(super) fn events(&self, fd: Fd) -> Option<u32> {
        Some(match self.files.get(&fd)? {
            File::Socket(socket) => self.socket_events(socket),
            File::Epoll(epoll) => {
                let any = epoll.entries().any(|(fd, entry)| {
                    self.events(fd).is_some_and(|events| entry.reports(events) != 0)
                });
                if any { event::IN | event::RDNORM } else { 0 }
            }
            File::Pipe(pipe) => self.pipe_events(pipe),
        })
    }

    fn socket_events(&self, socket: &Socket) -> u32 {
        let state = self.state_of(socket.phase);
        if let Phase::Listening(listener) = socket.phase {
            let waiting = self.engine.acceptable(listener) > 0;
            return if waiting { event::IN | event::RDNORM } else { 0 };
        }
        let mut events = 0;
        if socket.shut == Shut::BOTH || state == State::Closed {
            events |= event::HUP;
        }
        if socket.shut.has(Shut::RECEIVE) {
            events |= event::IN | event::RDNORM | event::RDHUP;
        }
        if matches!(socket.phase, Phase::Deferred(_)) {
            events |= event::OUT | event::WRNORM;
        }
        // A connection that was accepted before its handshake was through (Fast Open) is open.
        let opening = socket.opening != Opening::Connected
            && matches!(state, State::SynSent | State::SynReceived);
        if !opening {
            let unread = self.engine_info(socket.phase).map_or(0, |info| info.rcv_unread);
            if unread >= socket.options.receive_low.max(1) as u64 {
                events |= event::IN | event::RDNORM;
            }
            let room = match socket.phase {
                Phase::Connection(conn) => self.writable(conn),
                _ => true,
            };
            if room || socket.shut.has(Shut::SEND) {
                events |= event::OUT | event::WRNORM;
            }
        }
        if socket.error != 0 || !socket.errors.is_empty() {
            events |= event::ERR;
        }
        events
    }

    pub(super) fn sys_poll(&mut self, job: &Job, fds: &[(Fd, i16)], timeout: i32) -> Attempt {
        let answers: Vec<i16> = fds.iter().map(|&(fd, wanted)| self.revents(fd, wanted)).collect();
        let ready = answers.iter().filter(|&&events| events != 0).count();
        if ready > 0 || timeout == 0 || job.expired {
            return done_with(ready as i64, Output::Poll(answers));
        }
        Ok(Outcome::Wait(limit(timeout)))
    }

    fn revents(&self, fd: Fd, wanted: i16) -> i16 {
        if fd < 0 {
            return 0;
        }
        let always = event::ERR | event::HUP;
        match self.events(fd) {
            Some(events) => (events & (u32::from(wanted as u16) | always)) as i16,
            None => event::NVAL as i16,
        }
    }

    pub(super) fn sys_epoll_wait(
        &mut self,
        job: &Job,
        epoll: Fd,
        max: usize,
        timeout: i32,
    ) -> Attempt {
        if max == 0 {
            return fail(errno::EINVAL);
        }
        match self.file(epoll)? {
            File::Epoll(_) => {}
            _ => return fail(errno::EINVAL),
        }
        let told = self.collect(epoll, max);
        if !told.is_empty() || timeout == 0 || job.expired {
            return done_with(told.len() as i64, Output::Epoll(told));
        }
        Ok(Outcome::Wait(limit(timeout)))
    }
}
