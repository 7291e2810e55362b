//! Two engines, their programs and the network: one state of the search.

use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use bytes::Bytes;
use fourwave_core::error::ReceiveError;
use fourwave_core::time::Duration;
use fourwave_core::{ConnId, Engine, Event, Instant, ListenOptions, ListenerId};
use fourwave_net::{Carry, convert, transmit};
use fourwave_wire::Link;

use crate::action::{Action, End};
use crate::broken::Broken;
use crate::link::{InFlight, Lane};
use crate::print::Print;
use crate::setup::Setup;
use crate::user::{Ended, User, letter};

/// Wake-ups without anything due that one timer may need.
const IDLE_WAKES: usize = 100;
/// By how much a timer may be late: two ticks of the wheel.
const LATENESS: Duration = Duration::from_micros(512);

/// One of the two hosts with its programs, one for each incarnation.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) users: [User; 2],
    /// What ended before its program had the handle.
    ended: Vec<(ConnId, Ended)>,
}

/// One state of the search.
#[derive(Clone)]
pub struct World {
    pub(crate) setup: Rc<Setup>,
    pub(crate) now: Instant,
    /// Shared until one changes: a step changes one.
    pub(crate) hosts: [Rc<Host>; 2],
    /// Towards each end.
    pub(crate) lanes: [Lane; 2],
    /// Faults left on the way to each end. Two budgets and not one, so that what happens at one
    /// end does not depend on the other's faults.
    pub(crate) faults: [u8; 2],
    listener: ListenerId,
    /// Packets sent and reports made, for a ladder.
    pub(crate) tape: Option<Vec<Taped>>,
}

/// Something for a ladder.
#[derive(Clone)]
pub(crate) enum Taped {
    Packet(Instant, Bytes),
    Note(Instant, String),
    End(Box<fourwave_core::EndReport>),
}

pub(crate) fn address(end: End) -> SocketAddr {
    match end {
        End::Client => (Ipv4Addr::new(10, 0, 0, 1), 40_000).into(),
        End::Server => (Ipv4Addr::new(10, 0, 0, 2), 80).into(),
    }
}

impl World {
    /// The beginnings: one for each way to share the faults out between the two directions.
    pub fn roots(setup: &Setup) -> impl Iterator<Item = Self> + '_ {
        (0..=setup.faults).map(|n| Self::new(setup, [n, setup.faults - n]))
    }

    /// The beginning: the server listens and the client's SYN is on its way. `faults` may happen
    /// on the way to each end.
    ///
    /// # Panics
    /// Never: a new engine takes a listener and a connection.
    pub fn new(setup: &Setup, faults: [u8; 2]) -> Self {
        let host = |seed| Host {
            engine: Engine::new(setup.config(), Link::plain(1500), [seed; 32]),
            users: [User::default(); 2],
            ended: Vec::new(),
        };
        let mut hosts = [host(1), host(2)];
        let options = ListenOptions::port(80).with_backlog(8);
        let listener = hosts[1].engine.listen(options).expect("nobody else listens");
        let mut world = Self {
            setup: Rc::new(setup.clone()),
            now: Instant::from_micros(1_000_000),
            hosts: hosts.map(Rc::new),
            lanes: Default::default(),
            faults,
            listener,
            tape: None,
        };
        assert!(world.connect(), "a new engine connects");
        world.flush(End::Client);
        world
    }

    /// What can happen next, or enough of it: while a segment is on its way to an end, what
    /// happens at the other end changes nothing about what can happen here, so only one end's
    /// actions are told and the other's come later (a persistent set). Free ones come first.
    pub fn actions(&self) -> Vec<Action> {
        let mut all = Vec::new();
        if let Some(end) = End::BOTH.into_iter().find(|end| !self.lane(*end).queue.is_empty()) {
            all.push(Action::Deliver(end));
            self.actions_of(end, &mut all);
            if self.faults[end.index()] > 0 {
                all.push(Action::Copy(end));
                if !self.setup.copies_only {
                    all.extend([Action::Drop(end), Action::Hold(end)]);
                }
            }
        } else {
            End::BOTH.iter().for_each(|end| self.actions_of(*end, &mut all));
            all.extend(End::BOTH.into_iter().filter(|e| self.is_next(*e)).map(Action::Fire));
        }
        all
    }

    /// What programs do at one end, and late segments for it. Only what is clearly impossible is
    /// left out: trying costs a copy of the world.
    fn actions_of(&self, end: End, all: &mut Vec<Action>) {
        let host = &self.hosts[end.index()];
        match end {
            End::Server if host.engine.waiting() > 0 => all.push(Action::Accept),
            End::Client if self.setup.incarnations > 1 => all.push(Action::Connect),
            _ => {}
        }
        for (i, user) in (0..).zip(&host.users).filter(|(_, user)| user.is_active()) {
            if self.may_read(end, user) {
                all.push(Action::Read(end, i));
            }
            if !user.shut && user.ended.is_none() {
                if user.sent < self.setup.limit(end, i.into()) {
                    all.push(Action::Send(end, i));
                }
                all.push(Action::Shutdown(end, i));
            }
            if self.may_close(user) {
                all.push(Action::Close(end, i));
            }
        }
        all.extend((0..self.lane(end).late.len()).map(|n| Action::Late(end, n as u8)));
    }

    fn lane(&self, to: End) -> &Lane {
        &self.lanes[to.index()]
    }

    fn may_close(&self, user: &User) -> bool {
        !self.setup.polite || user.eof || user.error.is_some()
    }

    /// Whether a read would tell something new.
    fn may_read(&self, end: End, user: &User) -> bool {
        if user.eof || user.error.is_some() {
            return false;
        }
        let info = user.conn.map(|conn| self.hosts[end.index()].engine.info(conn));
        let Some(Ok(info)) = info else { return true };
        info.rcv_unread > 0 || !info.state.can_receive()
    }

    /// Whether a timer of this end is the next to run out.
    fn is_next(&self, end: End) -> bool {
        let deadline = |end: End| self.hosts[end.index()].engine.next_deadline();
        let Some(own) = deadline(end) else { return false };
        deadline(end.other()).is_none_or(|other| own <= other)
    }

    /// The world after `action`; `None` when it is not possible now.
    ///
    /// # Errors
    /// The action breaks a rule.
    pub fn step(&self, action: Action) -> Result<Option<Self>, Broken> {
        let mut next = self.clone();
        if !next.act(action)? {
            return Ok(None);
        }
        if !action.is_fault() {
            next.flush(action.end());
            next.check_timers(action.end())?;
        }
        Ok(Some(next))
    }

    fn act(&mut self, action: Action) -> Result<bool, Broken> {
        match action {
            Action::Deliver(to) => {
                let Some(segment) = self.lanes[to.index()].queue.pop_front() else {
                    return Ok(false);
                };
                self.arrive(to, &segment);
            }
            Action::Late(to, n) => {
                let late = &mut self.lanes[to.index()].late;
                if usize::from(n) >= late.len() {
                    return Ok(false);
                }
                let segment = late.remove(n.into());
                self.note(|| format!("late, to the {to:?}: {}", segment.describe()));
                self.arrive(to, &segment);
            }
            Action::Drop(to) | Action::Copy(to) | Action::Hold(to) => {
                return Ok(self.fault(action, to));
            }
            Action::Fire(end) => return self.fire(end),
            Action::Connect => return Ok(self.connect()),
            Action::Accept => return Ok(self.accept()),
            Action::Send(end, i) => return Ok(self.send(end, i.into())),
            Action::Read(end, i) => return self.read(end, i.into()),
            Action::Shutdown(end, i) => return Ok(self.shutdown(end, i.into())),
            Action::Close(end, i) => return Ok(self.close(end, i.into())),
        }
        Ok(true)
    }

    fn arrive(&mut self, to: End, segment: &InFlight) {
        let now = self.now;
        self.host(to).engine.handle_packet(now, &segment.packet);
    }

    fn fault(&mut self, action: Action, to: End) -> bool {
        let left = &mut self.faults[to.index()];
        let lane = &mut self.lanes[to.index()];
        let Some(front) = lane.queue.front().cloned().filter(|_| *left > 0) else { return false };
        *left -= 1;
        let word = match action {
            Action::Copy(_) => "copied",
            Action::Hold(_) => "held back",
            _ => "lost",
        };
        if !matches!(action, Action::Copy(_)) {
            lane.queue.pop_front();
        }
        if !matches!(action, Action::Drop(_)) {
            lane.late.push(front.clone());
        }
        self.note(|| format!("{word}, to the {to:?}: {}", front.describe()));
        true
    }

    /// Time goes on when nothing is on its way, to the next deadline of all.
    fn fire(&mut self, end: End) -> Result<bool, Broken> {
        if self.lanes.iter().any(|lane| !lane.queue.is_empty()) {
            return Ok(false);
        }
        if !self.is_next(end) {
            return Ok(false);
        }
        let Some(deadline) = self.hosts[end.index()].engine.next_deadline() else {
            return Ok(false);
        };
        for _ in 0..IDLE_WAKES {
            let mut now = self.now;
            let engine = &mut self.host(end).engine;
            let Some(wake) = engine.poll_timeout() else { break };
            now = now.max(wake);
            engine.handle_timeout(now);
            self.now = now;
            self.flush(end);
            if self.hosts[end.index()].engine.next_deadline() != Some(deadline) {
                self.lanes.iter_mut().for_each(|lane| lane.age(self.now));
                return Ok(true);
            }
        }
        Err(Broken::Asleep { end, deadline })
    }

    /// The next wake-up comes in time for the next deadline.
    fn check_timers(&self, end: End) -> Result<(), Broken> {
        let engine = &self.hosts[end.index()].engine;
        let Some(deadline) = engine.next_deadline() else { return Ok(()) };
        match engine.poll_timeout() {
            Some(wake) if wake <= self.now.max(deadline) + LATENESS => Ok(()),
            _ => Err(Broken::Asleep { end, deadline }),
        }
    }

    fn host(&mut self, end: End) -> &mut Host {
        Rc::make_mut(&mut self.hosts[end.index()])
    }

    /// What an engine wants to send goes on the network, and its events to the programs.
    fn flush(&mut self, end: End) {
        let Self { setup, now, hosts, lanes, tape, .. } = self;
        let host = Rc::make_mut(&mut hosts[end.index()]);
        let sent = transmit(&mut host.engine, *now);
        for packet in sent.flat_map(|out| convert(&out, Carry::Whole)) {
            if let Some(tape) = tape {
                tape.push(Taped::Packet(*now, packet.bytes.clone()));
            }
            lanes[end.other().index()].queue.push_back(InFlight::new(packet, *now));
        }
        while let Some(event) = host.engine.poll_event() {
            let Event::Closed { conn, report } = event else { continue };
            *now = *now + setup.life();
            host.close_reported(conn, &report);
            if let Some(tape) = tape {
                tape.push(Taped::End(report));
            }
        }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(tape) = &mut self.tape {
            tape.push(Taped::Note(self.now, text()));
        }
    }

    /// The next incarnation, once the program is done with the one before.
    fn connect(&mut self) -> bool {
        let incarnations = usize::from(self.setup.incarnations);
        let now = self.now;
        let host = self.host(End::Client);
        let Some(place) = host.users.iter().position(|user| user.conn.is_none()) else {
            return false;
        };
        if place >= incarnations || place == 1 && !host.users[0].closed {
            return false;
        }
        let (local, remote) = (address(End::Client), address(End::Server));
        let Ok(conn) = host.engine.connect(now, local, remote) else { return false };
        let number = host.engine.initial_numbers(conn).map(|(iss, _)| iss).unwrap_or_default();
        host.users[place] = User { conn: Some(conn), number, ..User::default() };
        true
    }

    fn accept(&mut self) -> bool {
        let [client, host] = &mut self.hosts;
        let host = Rc::make_mut(host);
        let Some(accepted) = host.engine.accept(self.now, self.listener) else { return false };
        let number = host.engine.initial_numbers(accepted.conn).map(|(_, irs)| irs);
        let number = number.unwrap_or_default();
        let fits = |i: &usize| client.users[*i].number == number && host.users[*i].conn.is_none();
        let first_free = || host.users.iter().position(|user| user.conn.is_none());
        let Some(place) = [0, 1].into_iter().find(fits).or_else(first_free) else { return false };
        let ended = host.ended.iter().find(|(conn, _)| *conn == accepted.conn).map(|(_, e)| *e);
        host.ended.retain(|(conn, _)| *conn != accepted.conn);
        host.users[place] = User { conn: Some(accepted.conn), number, ended, ..User::default() };
        true
    }

    fn send(&mut self, end: End, i: usize) -> bool {
        let limit = self.setup.limit(end, i);
        let (now, host) = (self.now, self.host(end));
        let user = &mut host.users[i];
        let Some(conn) = user.conn.filter(|_| !user.closed && !user.shut && user.sent < limit)
        else {
            return false;
        };
        let mut data = Bytes::copy_from_slice(&[letter(end, i, user.sent)]);
        let taken = host.engine.send(now, conn, &mut data) == Ok(1);
        user.sent += u8::from(taken);
        taken
    }

    /// Reads until nothing is there. Possible when that tells the program anything new.
    fn read(&mut self, end: End, i: usize) -> Result<bool, Broken> {
        let peer = self.hosts[end.other().index()].users[i];
        let (now, host) = (self.now, self.host(end));
        let user = &mut host.users[i];
        let Some(conn) = user.conn.filter(|_| !user.closed && !user.eof && user.error.is_none())
        else {
            return Ok(false);
        };
        let mut news = false;
        loop {
            match host.engine.receive(now, conn, usize::MAX) {
                Ok(data) if data.is_empty() => {
                    user.eof = true;
                    if !(peer.shut || peer.closed) || user.read != peer.sent {
                        return Err(Broken::EarlyEnd { end, read: user.read, sent: peer.sent });
                    }
                    return Ok(true);
                }
                Ok(data) => {
                    for &byte in &data {
                        let right = letter(end.other(), i, user.read);
                        if byte != right || user.read >= peer.sent {
                            return Err(Broken::Data {
                                end,
                                byte,
                                place: user.read,
                                incarnation: i,
                            });
                        }
                        user.read += 1;
                    }
                    news = true;
                }
                Err(ReceiveError::WouldBlock) => return Ok(news),
                Err(ReceiveError::Ended(reason)) => {
                    user.error = Some(reason);
                    return Ok(true);
                }
                Err(_) => return Err(Broken::LostHandle { end }),
            }
        }
    }

    fn shutdown(&mut self, end: End, i: usize) -> bool {
        let (now, host) = (self.now, self.host(end));
        let user = &mut host.users[i];
        let Some(conn) = user.conn.filter(|_| !user.closed && !user.shut) else { return false };
        user.shut = true;
        host.engine.shutdown(now, conn).is_ok()
    }

    fn close(&mut self, end: End, i: usize) -> bool {
        let ready = self.may_close(&self.hosts[end.index()].users[i]);
        let (now, host) = (self.now, self.host(end));
        let user = &mut host.users[i];
        let Some(conn) = user.conn.filter(|_| !user.closed && ready) else { return false };
        user.closed = true;
        host.engine.close(now, conn).is_ok()
    }

    /// 64 bits that stand for this world.
    pub fn fingerprint(&self) -> u64 {
        let mut print = Print::default();
        let Self { setup, now, hosts, lanes, faults, listener: _, tape: _ } = self;
        for Host { engine, users, ended } in hosts.iter().map(Rc::as_ref) {
            engine.fingerprint(*now, &mut print);
            (users, ended).hash(&mut print);
        }
        lanes.iter().for_each(|lane| lane.print(*now, &mut print));
        faults.hash(&mut print);
        if setup.incarnations > 1 {
            // The next ISN depends on it.
            now.as_micros().hash(&mut print);
        }
        print.finish()
    }
}

impl Host {
    fn close_reported(&mut self, conn: ConnId, report: &fourwave_core::EndReport) {
        let ended = Ended {
            reason: report.reason,
            received: report.bytes_received,
            acked: report.bytes_acked,
        };
        match self.users.iter_mut().find(|user| user.conn == Some(conn)) {
            Some(user) => user.ended = Some(ended),
            None => self.ended.push((conn, ended)),
        }
    }
}
