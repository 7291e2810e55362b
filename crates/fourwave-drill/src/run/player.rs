//! The events of a script, one after the other.

use std::time::Duration;

use crate::ast::{Call, Command, Direction, Event, EventKind, Packet, Script, Span};
use crate::run::clock::{Nanos, Plan, duration, nanos, seconds};
use crate::run::code::Machine;
use crate::run::expect::Expectation;
use crate::run::flows::{Flows, Role};
use crate::run::outbound;
use crate::run::wire::Wire;
use crate::run::{
    Dialect, Error, Failure, Options, Outcome, Passing, Played, Report, calls, check, inbound,
};
use crate::symbols;
use crate::syscall::{Output, Returned, SendTo, SysCall};
use crate::target::{Progress, Target};

/// How long a call waits for the one before it to return, and the script's end for the last one
/// once that is due.
const PENDING: Nanos = 1_000_000_000;
/// The latest time of an event.
const LONGEST: Nanos = 30 * 86_400 * 1_000_000_000;
/// How often a pending call is looked at.
const STEP: Nanos = 100_000;

/// A call that has not returned.
struct Pending<'a> {
    event: usize,
    call: &'a Call,
    sys: SysCall,
    /// When it is to return.
    until: Plan,
}

/// Plays one script.
pub(crate) struct Player<'a> {
    script: &'a Script,
    options: &'a Options,
    target: &'a mut dyn Target,
    wire: Wire,
    flows: Flows,
    machine: Machine,
    pending: Option<Pending<'a>>,
    played: Vec<Played>,
    warnings: Vec<Failure>,
    /// The event that an error is about, where that is not the one being played.
    blamed: Option<usize>,
    /// Where an error stands that no event is about.
    beside: Span,
}

impl<'a> Player<'a> {
    pub(crate) fn new(
        script: &'a Script,
        options: &'a Options,
        target: &'a mut dyn Target,
    ) -> Self {
        Self {
            script,
            options,
            target,
            wire: Wire::default(),
            flows: Flows::new(),
            machine: Machine::default(),
            pending: None,
            played: Vec::new(),
            warnings: Vec::new(),
            blamed: None,
            beside: Span::default(),
        }
    }

    pub(crate) fn play(mut self) -> Report {
        let ended = self.all();
        // It runs whatever happened; what it says matters only where nothing else did.
        let cleaned = match &self.script.cleanup {
            Some(command) => self.target.command(&command.text).map_err(Error::from),
            None => Ok(()),
        };
        if let (Ok(()), Some(command)) = (&ended, &self.script.cleanup) {
            self.beside = command.span;
        }
        let outcome = match (ended, cleaned) {
            (Err((event, error)), _) => self.outcome(event, error),
            (Ok(()), Err(Error::Skip(_))) | (Ok(()), Ok(())) => Outcome::Passed,
            (Ok(()), Err(error)) => self.outcome(None, error),
        };
        let Self { wire, played, warnings, .. } = self;
        Report { outcome, packets: wire.passed, events: played, warnings }
    }

    fn outcome(&mut self, event: Option<usize>, error: Error) -> Outcome {
        match error {
            Error::Skip(reason) => Outcome::Skipped(reason),
            other => Outcome::Failed(Box::new(self.failure(event, other))),
        }
    }

    fn failure(&mut self, event: Option<usize>, error: Error) -> Failure {
        let event = self.blamed.take().or(event);
        let place = event.and_then(|at| self.script.events.get(at)).map(|event| event.span);
        let span = place.unwrap_or(self.beside);
        let at = self.target.now();
        match error {
            Error::Differs(difference) => Failure {
                event,
                span,
                at,
                message: difference.message,
                expected: difference.expected,
                actual: difference.actual,
            },
            Error::Wrong(message) | Error::Skip(message) => {
                Failure { event, span, at, message, expected: None, actual: None }
            }
        }
    }

    fn end_of_script(&self) -> Span {
        self.script.events.last().map_or(Span::default(), |event| event.span)
    }

    fn all(&mut self) -> Result<(), (Option<usize>, Error)> {
        self.beside = self.script.init.as_ref().map_or(Span::default(), |init| init.span);
        self.begin().map_err(|error| (None, error))?;
        self.beside = self.end_of_script();
        let mut last: Option<(Nanos, bool)> = None;
        for (at, event) in self.script.events.iter().enumerate() {
            let result = self.one(at, event, &mut last);
            if let Err(error) = result {
                let passes = match &event.kind {
                    _ if matches!(error, Error::Skip(_)) => false,
                    EventKind::Packet(_) => self.options.non_fatal_packet,
                    EventKind::Call(_) => self.options.non_fatal_syscall,
                    _ => false,
                };
                if !passes {
                    return Err((Some(at), error));
                }
                let warning = self.failure(Some(at), error);
                self.warnings.push(warning);
            }
        }
        self.finish().map_err(|error| (None, error))
    }

    fn begin(&mut self) -> Result<(), Error> {
        for command in &self.options.init_scripts {
            self.target.command(command)?;
        }
        if let Some(init) = &self.script.init {
            self.target.command(&init.text)?;
        }
        Ok(self.target.start()?)
    }

    fn finish(&mut self) -> Result<(), Error> {
        let due = self.pending.as_ref().map_or(0, |pending| pending.until.end);
        self.settle(due)?;
        if self.options.strict || self.options.loose_segments {
            let now = nanos(self.target.now());
            let until = now + self.options.tolerance_usecs as Nanos * 1000;
            outbound::unread(&mut self.wire, &mut self.flows, self.target, self.options, until)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        at: usize,
        event: &'a Event,
        last: &mut Option<(Nanos, bool)>,
    ) -> Result<(), Error> {
        let inbound = matches!(&event.kind,
            EventKind::Packet(packet) if packet.direction == Direction::In);
        let now = nanos(self.target.now());
        let previous = last.map_or(0, |(time, _)| time);
        let from = match *last {
            Some((time, true)) if inbound && self.options.dialect != Dialect::Nplab => time,
            Some(_) => now,
            // In real time, time zero is over already.
            None => 0,
        };
        let plan = Plan::new(event.time, from, previous);
        if last.is_none() && plan.start != 0 {
            return Err(Error::Wrong("the first event is at time 0".to_owned()));
        }
        limited(&plan)?;
        *last = Some((plan.start, inbound));
        let outbound = match &event.kind {
            EventKind::Packet(packet) if !inbound => Some(packet),
            _ => None,
        };
        if outbound.is_none() {
            self.wait(&plan)?;
        }
        let result = self
            .collect()
            .and_then(|()| self.happens(at, event, plan, outbound.map(|packet| &**packet)));
        let now = self.target.now();
        self.played.push(Played { event: at, planned: duration(plan.start), at: now });
        result
    }

    /// Lets time go on until the event is due.
    fn wait(&mut self, plan: &Plan) -> Result<(), Error> {
        self.wire.wait(self.target, plan.start)?;
        let now = nanos(self.target.now());
        plan.verify(now, self.options).map_err(|(wanted, actual)| {
            Error::differs("the event could not happen in time", wanted, actual)
        })
    }

    fn happens(
        &mut self,
        at: usize,
        event: &'a Event,
        plan: Plan,
        outbound: Option<&Packet>,
    ) -> Result<(), Error> {
        match &event.kind {
            EventKind::Packet(packet) => match outbound {
                Some(wanted) => Expectation { wanted, plan, event: at, options: self.options }
                    .meet(&mut self.wire, &mut self.flows, self.target),
                None => self.inject(at, packet),
            },
            EventKind::Call(call) => self.call(at, event, call, plan),
            EventKind::Command(Command { text, .. }) => Ok(self.target.command(text)?),
            EventKind::Code(code) => self.code(&code.text),
        }
    }

    fn inject(&mut self, at: usize, packet: &Packet) -> Result<(), Error> {
        let bytes = inbound::build(packet, &mut self.flows, self.options)?;
        let now = self.target.now();
        self.target.inject(&bytes)?;
        self.wire.passed.push(Passing {
            at: now,
            direction: Direction::In,
            packet: bytes,
            event: Some(at),
        });
        Ok(())
    }

    fn code(&mut self, code: &str) -> Result<(), Error> {
        let fd = self.flows.fd_under_test();
        let facts = match fd {
            Some(fd) => self.target.info(fd)?,
            None => None,
        };
        self.machine.run(code, facts)
    }

    fn call(&mut self, at: usize, event: &Event, call: &'a Call, plan: Plan) -> Result<(), Error> {
        self.settle(0)?;
        let sys = calls::resolve(call, self.options)?;
        self.before(&sys);
        let progress = self.target.call(&sys)?;
        let until = call.until.map(|until| plan.until(event.time, until));
        until.as_ref().map_or(Ok(()), limited)?;
        match (progress, until) {
            (Progress::Returned(returned), None) => self.returned(call, &sys, &returned),
            (Progress::Returned(returned), Some(until)) => {
                let now = nanos(self.target.now());
                self.in_time(call, &until, now)?;
                self.returned(call, &sys, &returned)
            }
            (Progress::Blocked, Some(until)) => {
                self.note(&sys, None);
                self.pending = Some(Pending { event: at, call, sys, until });
                Ok(())
            }
            (Progress::Blocked, None) => self.soon(call, &sys),
        }
    }

    /// A call that should have returned at once: the tolerance is all it gets.
    fn soon(&mut self, call: &Call, sys: &SysCall) -> Result<(), Error> {
        let until = nanos(self.target.now()) + self.options.tolerance_usecs as Nanos * 1000;
        self.note(sys, None);
        match self.poll(until)? {
            Some((_, returned)) => self.returned(call, sys, &returned),
            None => {
                let wanted = check::wanted(call);
                Err(Error::differs(format!("{} blocks", call.name), wanted, "nothing yet"))
            }
        }
    }

    /// Waits until the pending call has returned, `until` at the latest.
    fn poll(&mut self, until: Nanos) -> Result<Option<(Duration, Returned)>, Error> {
        loop {
            if let Some(returned) = self.target.returned()? {
                return Ok(Some(returned));
            }
            let now = nanos(self.target.now());
            if now >= until {
                return Ok(None);
            }
            self.wire.wait(self.target, until.min(now + STEP))?;
        }
    }

    /// Waits for the pending call, if there is one, and judges it; at least until `due`.
    fn settle(&mut self, due: Nanos) -> Result<(), Error> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let patience = nanos(self.target.now()).max(due) + PENDING;
        let ended = self.poll(patience)?;
        self.judge(pending, ended, patience)
    }

    /// Judges the pending call if it has returned by now: a socket that it accepted is known then.
    fn collect(&mut self) -> Result<(), Error> {
        if self.pending.is_none() {
            return Ok(());
        }
        let Some(ended) = self.target.returned()? else {
            return Ok(());
        };
        let now = nanos(self.target.now());
        self.pending.take().map_or(Ok(()), |pending| self.judge(pending, Some(ended), now))
    }

    fn judge(
        &mut self,
        pending: Pending<'a>,
        ended: Option<(Duration, Returned)>,
        patience: Nanos,
    ) -> Result<(), Error> {
        let Pending { event, call, sys, until } = pending;
        let judged = match ended {
            Some((time, returned)) => {
                let in_time = self.in_time(call, &until, nanos(time));
                in_time.and_then(|()| self.returned(call, &sys, &returned))
            }
            None => {
                let wanted = format!("{} at {}", check::wanted(call), seconds(until.start));
                let actual = format!("nothing until {}", seconds(patience));
                Err(Error::differs(format!("{} did not return", call.name), wanted, actual))
            }
        };
        if judged.is_err() {
            self.blamed = Some(event);
        }
        judged
    }

    fn in_time(&self, call: &Call, until: &Plan, at: Nanos) -> Result<(), Error> {
        until.verify(at, self.options).map_err(|(wanted, actual)| {
            let early = at < until.start;
            let how = if early { "early" } else { "late" };
            Error::differs(format!("{} returned {how}", call.name), wanted, actual)
        })
    }

    /// Checks what a call returned, and follows what it did.
    fn returned(&mut self, call: &Call, sys: &SysCall, returned: &Returned) -> Result<(), Error> {
        self.note(sys, Some(returned));
        check::check(call, sys, returned, self.options)
    }

    /// What must be known of a call before it is made: whom a packet would go to.
    fn before(&mut self, sys: &SysCall) {
        let (fd, addr) = match sys {
            SysCall::Connect { fd, addr: Some(addr) } => (*fd, *addr),
            SysCall::Write { fd, to: Some(SendTo::Addr(addr)), .. }
            | SysCall::SendMsg { fd, to: Some(SendTo::Addr(addr)), .. } => (*fd, *addr),
            _ => return,
        };
        let Some(flow) = self.flows.of_fd(fd) else { return };
        if flow.role == Role::Child || (flow.role == Role::Active && flow.remote_port.is_some()) {
            return;
        }
        flow.role = Role::Active;
        flow.remote_ip = match addr.ip() {
            std::net::IpAddr::V6(ip) => {
                ip.to_ipv4_mapped().map_or(addr.ip(), std::net::IpAddr::from)
            }
            ip => ip,
        };
        flow.remote_port = Some(addr.port());
    }

    /// Follows what a call did to the script's sockets; `returned` is none for one that blocks.
    fn note(&mut self, sys: &SysCall, returned: Option<&Returned>) {
        let result = returned.map(|returned| returned.result);
        let good = matches!(result, Some(Ok(_)));
        match sys {
            SysCall::Socket { kind, as_fd: Some(fd), .. } if good => {
                let is_udp = kind & 0xf == libc::SOCK_DGRAM;
                self.flows.made(*fd, is_udp, self.options);
            }
            SysCall::Bind { fd, addr } if good => {
                if let Some(flow) = self.flows.of_fd(*fd) {
                    flow.local_port = Some(addr.port()).filter(|port| *port != 0);
                }
            }
            SysCall::Listen { fd, .. } if good => {
                if let Some(flow) = self.flows.of_fd(*fd) {
                    flow.role = Role::Listening;
                    flow.local_port.get_or_insert(self.options.bind_port);
                }
            }
            SysCall::Accept { as_fd: Some(fd), .. } if good => {
                let peer = match returned.map(|returned| &returned.output) {
                    Some(Output::Peer(peer)) => Some(*peer),
                    _ => None,
                };
                self.flows.accepted(*fd, peer);
            }
            SysCall::Connect { fd, addr } => self.connected(*fd, addr.is_some(), result),
            _ => {}
        }
    }

    fn connected(&mut self, fd: i32, somewhere: bool, result: Option<Result<i64, i32>>) {
        let Some(flow) = self.flows.of_fd(fd) else { return };
        let begun = match result {
            None | Some(Ok(_)) => true,
            Some(Err(errno)) => Some(errno) == symbols::errno("EINPROGRESS"),
        };
        // A later SYN with another number is no mistake then.
        flow.relearn |= begun && somewhere && flow.local_isn.is_some();
        // The reset that this may cause has the ports that it had.
        if begun && !somewhere {
            flow.role = Role::Fresh;
        }
    }
}

fn limited(plan: &Plan) -> Result<(), Error> {
    if plan.end > LONGEST {
        return Err(Error::Wrong("a script lasts 30 days at most".to_owned()));
    }
    Ok(())
}
