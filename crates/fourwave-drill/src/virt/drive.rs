//! Virtual time: packets in and out, events, deadlines, and the call that is blocked.

use std::time::Duration;

use bytes::Bytes;
use fourwave_core::state::State;
use fourwave_core::{Event, Instant};
use fourwave_net::{Carry, convert};
use fourwave_wire::RxPacket;

use super::abi::event;
use super::freebsd;
use super::job::Job;
use super::outcome::{Outcome, Stop};
use super::socket::{Phase, Shut, errno_of};
use super::{START, Virtual};
use crate::syscall::{Fd, Returned, SysCall};
use crate::target::{Progress, Refusal, Sniffed};

/// Deadlines of the engine after which a script is taken for one that never ends.
const MOST_STEPS: u32 = 1_000_000;
/// The longest script.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

impl Virtual {
    pub(super) fn begin(&mut self, call: &SysCall) -> Result<Progress, Refusal> {
        let mut job = Job::new(call.clone());
        let returned = self.advance(&mut job)?;
        if returned.is_none() {
            self.job = Some(job);
        }
        self.settle()?;
        // What the engine did at once may be what it waits for.
        match returned.or_else(|| self.finished.take().map(|(_, returned)| returned)) {
            Some(returned) => Ok(Progress::Returned(returned)),
            None => Ok(Progress::Blocked),
        }
    }

    /// One try of a call.
    fn advance(&mut self, job: &mut Job) -> Result<Option<Returned>, Refusal> {
        match self.attempt(job) {
            Ok(Outcome::Done(returned)) => Ok(Some(returned)),
            Ok(Outcome::Wait(limit)) => {
                if !job.waited {
                    job.waited = true;
                    job.deadline = limit.map(|limit| self.now + limit);
                }
                Ok(None)
            }
            Err(Stop::Errno(errno)) => Ok(Some(Returned::error(errno))),
            Err(Stop::Refused(refusal)) => Err(refusal),
        }
    }

    /// Takes everything out of the engine and lets the blocked call go on.
    pub(super) fn settle(&mut self) -> Result<(), Refusal> {
        if self.job.as_ref().is_some_and(Job::writes_when_open) {
            // Its data takes the handshake's ACK along.
            self.take_events();
        } else {
            self.drain();
        }
        let Some(mut job) = self.job.take() else { return Ok(()) };
        match self.advance(&mut job)? {
            Some(returned) => self.finished = Some((self.elapsed(), returned)),
            None => self.job = Some(job),
        }
        self.drain();
        Ok(())
    }

    fn drain(&mut self) {
        loop {
            let mut busy = false;
            busy |= self.transmit();
            busy |= self.take_events();
            if !busy {
                break;
            }
        }
        self.watch();
    }

    fn take_events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.engine.poll_event() {
            self.on_event(event);
            any = true;
        }
        any
    }

    /// What the engine sends now, cut into segments.
    pub(super) fn transmit(&mut self) -> bool {
        let mut any = false;
        while self.transmit_one() {
            any = true;
        }
        any
    }

    /// The next packet, cut where it is a batch.
    pub(super) fn transmit_one(&mut self) -> bool {
        if !self.engine.poll_transmit(self.now, &mut self.scratch) {
            return false;
        }
        let at = self.elapsed();
        for packet in convert(&self.scratch, Carry::Cut) {
            self.sent.push_back(Sniffed { at, packet: packet.bytes.into() });
        }
        true
    }

    fn on_event(&mut self, event: Event) {
        let all = u32::MAX;
        match event {
            Event::Acceptable { listener } => {
                if let Some(fd) = self.listener_fd(listener) {
                    self.wake(fd, event::IN | event::RDNORM);
                }
            }
            Event::Connected { conn } => {
                if self.sysctls.freebsd.is_some()
                    && let Some(&fd) = self.owners.get(&conn)
                {
                    // keepinit's limit is over. It fails for a descriptor that is gone.
                    let _ = self.tell_engine(fd);
                }
                self.wake_owner(conn, all);
            }
            Event::Readable { conn } => self.wake_owner(conn, event::IN | event::RDNORM),
            Event::Writable { conn } => {
                self.wake_owner(conn, event::OUT | event::WRNORM | event::WRBAND);
            }
            Event::PeerClosed { conn } => {
                if let Some(socket) = self.owner(conn) {
                    socket.shut |= Shut::RECEIVE;
                    socket.done = true;
                }
                self.wake_owner(conn, all);
            }
            Event::Closed { conn, report } => {
                let soft = self.engine.info(conn).is_ok_and(|info| info.icmp_error.is_some());
                let icmp = self.icmp_errno;
                let owned = self.owner(conn).map(|socket| socket.options.reuse_addr);
                self.gone.left(conn, &report, owned);
                let is_freebsd = self.sysctls.freebsd.is_some();
                if let Some(socket) = self.owner(conn) {
                    let last = socket.last_state;
                    let theirs = freebsd::errno_of(report.reason, last).filter(|_| is_freebsd);
                    let ours = || errno_of(report.reason, last, icmp, soft);
                    socket.error = theirs.unwrap_or_else(ours);
                    socket.shut = Shut::BOTH;
                    self.wake_owner(conn, all);
                }
            }
            // News for applications that want more than Linux tells them.
            _ => {}
        }
    }

    fn wake_owner(&mut self, conn: fourwave_core::ConnId, key: u32) {
        if let Some(&fd) = self.owners.get(&conn) {
            self.wake(fd, key);
        }
    }

    /// After each step: states as they are now, what became writable, what was acknowledged.
    fn watch(&mut self) {
        let fds: Vec<Fd> = self.owners.values().copied().collect();
        for fd in fds {
            self.watch_socket(fd);
        }
        self.gone.forget(self.now);
    }

    fn watch_socket(&mut self, fd: Fd) {
        let Ok(socket) = self.socket(fd) else { return };
        let Phase::Connection(conn) = socket.phase else { return };
        let Ok(info) = self.engine.info(conn) else { return };
        let writable = self.writable(conn);
        let now = self.elapsed();
        let Ok(socket) = self.socket(fd) else { return };
        if info.state != State::Closed {
            socket.last_state = info.state;
        }
        let told = socket.errors.progress(now, socket.written, &info);
        let opened = writable && !socket.was_writable;
        socket.was_writable = writable;
        if told {
            self.wake(fd, event::ERR);
        }
        if opened {
            self.wake(fd, event::OUT | event::WRNORM | event::WRBAND);
        }
    }

    pub(super) fn receive(&mut self, packet: &[u8]) -> Result<(), Refusal> {
        let icmp_errno = match self.sysctls.freebsd {
            Some(_) => freebsd::icmp_errno(packet),
            None => super::info::icmp_errno(packet),
        };
        self.icmp_errno = icmp_errno.unwrap_or(self.icmp_errno);
        let bytes = Bytes::copy_from_slice(packet);
        let packet = RxPacket { bytes, ..RxPacket::default() };
        self.engine.handle_packet(self.now, &packet);
        self.settle()
    }

    /// Goes on to `until`, or to the first packet.
    pub(super) fn pass_time(&mut self, until: Instant) -> Result<Option<Sniffed>, Refusal> {
        loop {
            if let Some(sniffed) = self.sent.pop_front() {
                return Ok(Some(sniffed));
            }
            let timeout = self.engine.poll_timeout();
            let deadline = self.job.as_ref().and_then(|job| job.deadline);
            let next = [timeout, deadline].into_iter().flatten().min();
            let Some(next) = next.filter(|&at| at <= until) else {
                self.now = self.now.max(until);
                self.within_longest()?;
                return Ok(None);
            };
            self.now = self.now.max(next);
            self.within_limits()?;
            if timeout.is_some_and(|at| at <= self.now) {
                self.engine.handle_timeout(self.now);
            }
            if let Some(job) = &mut self.job
                && job.deadline.is_some_and(|at| at <= self.now)
            {
                job.expired = true;
            }
            self.settle()?;
        }
    }

    fn within_limits(&mut self) -> Result<(), Refusal> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Refusal::Failed(format!(
                "the script does not end: {MOST_STEPS} timeouts passed by {:?}",
                self.elapsed()
            )));
        }
        self.within_longest()
    }

    fn within_longest(&self) -> Result<(), Refusal> {
        if self.now.since(START) > LONGEST {
            return Err(Refusal::Failed("the script lasts longer than 30 days".into()));
        }
        Ok(())
    }
}
