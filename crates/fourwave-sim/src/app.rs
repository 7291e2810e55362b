//! One end of a connection: what its application does and what it must see.
//!
//! It acts on events only, as a caller of the engine would: after "no space" it waits for
//! `Writable`, after "nothing there" for `Readable`. A forgotten event so ends in a standstill,
//! which the world notices.

use std::time::Duration;

use fourwave_core::error::{ReceiveError, SendError};
use fourwave_core::state::{self, Input, State};
use fourwave_core::{ConnId, EndReason, EndReport, Engine, Instant, SocketOption};

use crate::dice::Dice;
use crate::plan::{EndPlan, Finish};
use crate::text::Text;

/// How long an application waits for the bytes at which it is to abort.
const PATIENCE: Duration = Duration::from_secs(60);

/// An application's end of a connection.
#[derive(Debug)]
pub struct App {
    /// What it is to do.
    pub plan: EndPlan,
    /// Its connection, from open or accept on.
    pub id: Option<ConnId>,
    /// Whether it gave its handle back.
    pub gone: bool,
    /// How the connection ended.
    pub report: Option<EndReport>,
    /// Bytes that the engine took.
    pub sent: u64,
    /// Bytes that were read.
    pub received: u64,
    /// Whether the peer's end of stream was read.
    pub eof: bool,
    /// An error that a call told.
    pub error: Option<EndReason>,
    /// When it wants to go on by itself.
    pub wake: Option<Instant>,
    dice: Dice,
    text: Text,
    peer_text: Text,
    can_write: bool,
    can_read: bool,
    write_at: Instant,
    read_at: Instant,
    finish_at: Option<Instant>,
    shut_down: bool,
    /// It closed its sending direction while the connection was alive: shutdown or close.
    pub closing: bool,
    /// Whether the peer has all that was sent.
    drained: bool,
    opened_at: Instant,
    state: State,
}

impl App {
    /// An end that has no connection yet.
    pub fn new(plan: EndPlan, dice: Dice, text: Text, peer_text: Text) -> Self {
        Self {
            plan,
            id: None,
            gone: false,
            report: None,
            sent: 0,
            received: 0,
            eof: false,
            error: None,
            wake: None,
            dice,
            text,
            peer_text,
            can_write: false,
            can_read: true,
            write_at: Instant::ZERO,
            read_at: Instant::ZERO,
            finish_at: None,
            shut_down: false,
            closing: false,
            drained: true,
            opened_at: Instant::ZERO,
            state: State::Closed,
        }
    }

    /// It got its connection, by open (`connected` false) or by accept.
    pub fn opened(&mut self, engine: &mut Engine, now: Instant, id: ConnId, connected: bool) {
        self.id = Some(id);
        self.opened_at = now;
        self.can_write = connected || self.plan.early;
        self.state = if connected { State::SynReceived } else { State::SynSent };
        let mut set = |option| {
            // The handle is new: it names a connection.
            let _ = engine.set_option(now, id, option);
        };
        set(SocketOption::NoDelay(self.plan.nodelay));
        if let Some(time) = self.plan.peer_first {
            set(SocketOption::PeerClosesFirst(time));
        }
        if let Some(time) = self.plan.linger2 {
            set(SocketOption::Linger2(time));
        }
        if let Some(time) = self.plan.user_timeout {
            set(SocketOption::UserTimeout(time));
        }
        if self.plan.keepalive {
            let idle = Duration::from_secs(2);
            set(SocketOption::KeepAliveTimes { idle, interval: idle, probes: 20 });
        }
    }

    /// Whether nothing more is to be expected of it.
    pub fn is_done(&self) -> bool {
        self.gone && self.report.is_some()
    }

    /// `Writable` or `Connected` came.
    pub fn writable(&mut self) {
        self.can_write = true;
    }

    /// `Readable` or `PeerClosed` came.
    pub fn readable(&mut self) {
        self.can_read = true;
    }

    /// `Drained` came. It may speak of what was sent before the last write.
    pub fn drained(&mut self, engine: &Engine) {
        let info = self.id.and_then(|id| engine.info(id).ok());
        self.drained = info.is_some_and(|info| {
            let fin = matches!(info.state, State::FinWait2 | State::TimeWait | State::Closed);
            info.bytes_acked == self.sent && (fin || !self.shut_down)
        });
    }

    /// Does what it can do now.
    ///
    /// # Errors
    /// What the engine did that it may not do.
    pub fn run(&mut self, engine: &mut Engine, now: Instant) -> Result<(), String> {
        self.wake = None;
        let Some(id) = self.id.filter(|_| !self.gone) else { return Ok(()) };
        if self.aborts(engine, now, id)? {
            return Ok(());
        }
        self.write(engine, now, id)?;
        self.read(engine, now, id)?;
        // The end of what was read may have been what writing waited for.
        self.write(engine, now, id)?;
        if self.aborts(engine, now, id)? {
            return Ok(());
        }
        self.finish(engine, now, id)
    }

    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn aborts(&mut self, engine: &mut Engine, now: Instant, id: ConnId) -> Result<bool, String> {
        let due = match self.plan.finish {
            Finish::AbortAfter(bytes) => {
                // So many may never come.
                let at = self.opened_at + PATIENCE;
                if at > now {
                    self.wake_at(at);
                }
                self.sent + self.received >= bytes || at <= now
            }
            Finish::AbortAt(after) => {
                let at = self.opened_at + after;
                if at > now {
                    self.wake_at(at);
                }
                at <= now
            }
            _ => false,
        };
        if due {
            self.abort(engine, now, id)?;
        }
        Ok(due)
    }

    /// Gives up.
    ///
    /// # Errors
    /// The engine does not know the connection.
    pub fn abort(&mut self, engine: &mut Engine, now: Instant, id: ConnId) -> Result<(), String> {
        self.gone = true;
        engine.abort(now, id).map_err(|e| format!("abort: {e}"))
    }

    fn write(&mut self, engine: &mut Engine, now: Instant, id: ConnId) -> Result<(), String> {
        let waits = self.plan.finish == Finish::ReplyAfterEof && !self.eof;
        while self.can_write && !waits && self.error.is_none() && self.sent < self.plan.bytes {
            if self.write_at > now {
                self.wake_at(self.write_at);
                return Ok(());
            }
            let len = self.dice.between(self.plan.chunk.0, self.plan.chunk.1);
            let len = len.min(self.plan.bytes - self.sent) as usize;
            let mut data = self.text.chunk(self.sent, len);
            match engine.send(now, id, &mut data) {
                Ok(taken) if taken + data.len() != len => {
                    return Err(format!("send took {taken} of {len} and left {}", data.len()));
                }
                Ok(taken) => {
                    self.sent += taken as u64;
                    self.drained &= taken == 0;
                    self.can_write = taken == len;
                    let (p, most) = self.plan.write_pause;
                    if self.dice.chance(p) {
                        self.write_at = now + self.dice.time(most);
                    }
                }
                Err(SendError::Ended(reason)) => return self.failed(reason),
                Err(e) => return Err(format!("send: {e}")),
            }
        }
        Ok(())
    }

    fn read(&mut self, engine: &mut Engine, now: Instant, id: ConnId) -> Result<(), String> {
        while self.can_read && !self.eof && self.error.is_none() {
            if self.read_at > now {
                self.wake_at(self.read_at);
                return Ok(());
            }
            let max = self.dice.between(1, self.plan.read) as usize;
            match engine.receive(now, id, max) {
                Ok(data) if data.is_empty() => self.eof = true,
                Ok(data) => {
                    if data.len() > max {
                        return Err(format!("{} bytes read, {max} asked for", data.len()));
                    }
                    if let Some(at) = self.peer_text.first_difference(self.received, &data) {
                        let offset = self.received + at as u64;
                        return Err(format!("a wrong byte at offset {offset} was delivered"));
                    }
                    self.received += data.len() as u64;
                    let (p, most) = self.plan.read_pause;
                    if self.dice.chance(p) {
                        self.read_at = now + self.dice.time(most);
                    }
                }
                Err(ReceiveError::WouldBlock) => self.can_read = false,
                Err(ReceiveError::Ended(reason)) => return self.failed(reason),
                Err(e) => return Err(format!("receive: {e}")),
            }
        }
        if self.eof && engine.receive(now, id, 1).is_ok_and(|data| !data.is_empty()) {
            return Err("bytes were delivered after the end of the stream".to_owned());
        }
        Ok(())
    }

    fn failed(&mut self, reason: EndReason) -> Result<(), String> {
        self.error = Some(reason);
        if reason == EndReason::Orderly {
            return Err("a call failed because the connection ended in order".to_owned());
        }
        Ok(())
    }

    /// What comes after the bytes.
    fn finish(&mut self, engine: &mut Engine, now: Instant, id: ConnId) -> Result<(), String> {
        let sent = self.sent == self.plan.bytes;
        let patient = self.plan.patient;
        let there = !patient || self.drained || self.report.is_some();
        let (shuts_down, closes) = match self.plan.finish {
            _ if self.error.is_some() => (false, true),
            Finish::ShutdownThenDrain => {
                (sent && !self.shut_down, self.shut_down && self.eof && there)
            }
            // The FIN waits for the window too.
            Finish::ReplyAfterEof | Finish::CloseAtEnd if patient => {
                let read = sent && self.eof;
                (read && !self.shut_down, read && self.report.is_some())
            }
            Finish::ReplyAfterEof | Finish::CloseAtEnd => (false, sent && self.eof),
            Finish::CloseAfterSend | Finish::LingerAfterSend => (false, sent),
            Finish::AbortAfter(_) | Finish::AbortAt(_) => (false, false),
        };
        if !shuts_down && !closes {
            return Ok(());
        }
        let at = *self.finish_at.get_or_insert(now + self.plan.finish_after);
        if at > now {
            self.wake_at(at);
            return Ok(());
        }
        self.finish_at = None;
        if closes {
            return self.close(engine, now, id);
        }
        self.shut_down = true;
        self.drained = false;
        match engine.shutdown(now, id) {
            Ok(()) => self.closing = true,
            Err(SendError::Ended(reason)) => self.failed(reason)?,
            Err(e) => return Err(format!("shutdown: {e}")),
        }
        // What else is to be done may be possible at once.
        self.finish(engine, now, id)
    }

    fn close(&mut self, engine: &mut Engine, now: Instant, id: ConnId) -> Result<(), String> {
        if self.plan.finish == Finish::LingerAfterSend {
            engine
                .set_option(now, id, SocketOption::LingerZero(true))
                .map_err(|e| format!("set_option: {e}"))?;
        }
        self.gone = true;
        let ended = engine.info(id).is_ok_and(|info| info.state == State::Closed);
        self.closing |= !ended;
        engine.close(now, id).map_err(|e| format!("close: {e}"))?;
        if engine.close(now, id).is_ok() || engine.info(id).is_ok() {
            return Err("the handle names a connection after close".to_owned());
        }
        Ok(())
    }

    /// Holds the connection's state against the table: whatever happened since the last look
    /// must be a way through it.
    ///
    /// # Errors
    /// There is no such way.
    pub fn look(&mut self, engine: &Engine) -> Result<(), String> {
        let Some(id) = self.id.filter(|_| !self.gone) else { return Ok(()) };
        let info = engine.info(id).map_err(|e| format!("info: {e}"))?;
        let (from, to) = (self.state, info.state);
        if from != to && !reaches(from, to) {
            return Err(format!("the state went from {from} to {to}"));
        }
        self.state = to;
        if info.bytes_received < self.received || info.bytes_acked > self.sent {
            return Err(format!("info counts wrongly: {info:?}"));
        }
        // What a SYN ACK promises, the scale's unit, and the buffer's own limit.
        let config = engine.config();
        let most = config.tcp_rmem_max.max(config.tcp_rmem_default) + 65_535 + (1 << 14);
        if info.rcv_unread > most {
            return Err(format!("{} bytes are held unread, {most} at most", info.rcv_unread));
        }
        Ok(())
    }

    /// Its connection is over.
    ///
    /// # Errors
    /// The report counts wrongly.
    pub fn ended(&mut self, report: EndReport) -> Result<(), String> {
        // What was unread may have been read since.
        let read_then = report.bytes_received.checked_sub(report.bytes_unread);
        if read_then.is_none_or(|read| read > self.received) {
            return Err(format!("{} bytes were read of {report:?}", self.received));
        }
        self.report = Some(report);
        if !self.gone {
            self.can_read = true;
            self.can_write = true;
        }
        Ok(())
    }

    /// What must hold when all is over.
    ///
    /// # Errors
    /// What does not.
    pub fn check_end(&self) -> Result<(), String> {
        if self.id.is_none() {
            return Ok(());
        }
        let Some(report) = &self.report else {
            return Err("the connection never ended".to_owned());
        };
        if self.error.is_some_and(|error| error != report.reason) {
            return Err(format!("a call said {:?}, the report {:?}", self.error, report.reason));
        }
        if report.bytes_received < self.received
            || (self.eof && report.bytes_received != self.received)
        {
            return Err(format!("{} bytes were read of {report:?}", self.received));
        }
        if report.bytes_acked + report.bytes_unsent != self.sent {
            return Err(format!("{} bytes were sent of {report:?}", self.sent));
        }
        if report.reason == EndReason::Orderly && report.bytes_unsent > 0 {
            return Err(format!("an orderly end, and bytes were not delivered: {report:?}"));
        }
        Ok(())
    }
}

/// Whether the table leads from one state to another in any number of steps.
fn reaches(from: State, to: State) -> bool {
    let mut seen = vec![from];
    let mut at = 0;
    while let Some(&state) = seen.get(at) {
        at += 1;
        if matches!(state, State::Closed | State::TimeWait) {
            // Nothing follows for this handle.
            continue;
        }
        for input in Input::ALL {
            match state::next(state, input) {
                Ok(next) if !seen.contains(&next) => seen.push(next),
                _ => {}
            }
        }
    }
    seen.contains(&to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_way_back() {
        assert!(reaches(State::SynSent, State::TimeWait));
        assert!(reaches(State::Established, State::Closed));
        assert!(!reaches(State::CloseWait, State::FinWait1));
        assert!(!reaches(State::FinWait2, State::Closing));
        assert!(!reaches(State::Established, State::SynReceived));
    }
}
