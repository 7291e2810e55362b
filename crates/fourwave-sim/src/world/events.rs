//! What the engines tell, and what follows from it.

use std::net::SocketAddr;

use fourwave_core::{ConnId, Decision, EndReport, Event, PendingId};

use super::{Chore, Host, MOST_AT_ONCE, World, side};
use crate::failure::Failure;

impl World {
    /// Takes a host's events. Whether there were any.
    pub(super) fn tell(&mut self, host: usize) -> Result<bool, Failure> {
        let mut count = 0;
        while let Some(event) = self.hosts[host].engine.poll_event() {
            count += 1;
            if count > MOST_AT_ONCE {
                return self.fail(None, "poll_event does not come to an end");
            }
            self.event(host, event)?;
        }
        Ok(count > 0)
    }

    fn event(&mut self, host: usize, event: Event) -> Result<(), Failure> {
        match event {
            Event::Incoming { pending, local, remote, .. } => {
                self.incoming(host, pending, (remote, local))
            }
            Event::PendingGone { pending } => match self.hosts[host].pending.remove(&pending) {
                Some(_) => Ok(()),
                None => self.fail(None, format!("{pending:?} is gone, and was never there")),
            },
            Event::Acceptable { .. } => {
                let at = self.now + self.hosts[host].plan.listener.accepts_after;
                self.hosts[host].chores.push((at, Chore::Accept));
                self.do_chores(host)
            }
            Event::Connected { conn } => {
                let app = self.holder(host, conn, "Connected")?;
                self.apps[app].writable();
                self.run_app(app)
            }
            Event::Readable { conn } => {
                let app = self.holder(host, conn, "Readable")?;
                self.apps[app].readable();
                self.run_app(app)
            }
            Event::Writable { conn } => {
                let app = self.holder(host, conn, "Writable")?;
                self.apps[app].writable();
                self.run_app(app)
            }
            Event::PeerClosed { conn } => {
                let app = self.holder(host, conn, "PeerClosed")?;
                self.apps[app].readable();
                self.run_app(app)
            }
            Event::Drained { conn } => {
                let app = self.holder(host, conn, "Drained")?;
                self.apps[app].drained(&self.hosts[host].engine);
                self.run_app(app)
            }
            Event::Closed { conn, report } => self.closed(host, conn, *report),
            // Advice, which asks for nothing.
            _ => Ok(()),
        }
    }

    /// The application that an event is for: it holds the handle, and the connection is not
    /// over.
    fn holder(&self, host: usize, id: ConnId, event: &str) -> Result<usize, Failure> {
        let known = self.hosts[host].conns.get(&id).copied().unwrap_or_default();
        let Some(app) = known.app else {
            return self.fail(None, format!("{event} for {id:?}, which nobody holds"));
        };
        if known.closed > 0 {
            let what = format!("{}: {event} after Closed", side(app));
            return self.fail(Some(app / 2), what);
        }
        if self.apps[app].gone {
            let what = format!("{}: {event} for a handle that was given back", side(app));
            return self.fail(Some(app / 2), what);
        }
        Ok(app)
    }

    fn incoming(
        &mut self,
        host: usize,
        pending: PendingId,
        ends: (SocketAddr, SocketAddr),
    ) -> Result<(), Failure> {
        let Some(conn) = self.conn_of(ends.0, ends.1) else {
            return self.fail(None, format!("a SYN from {} that was never sent", ends.0));
        };
        let now = self.now;
        let host = &mut self.hosts[host];
        if host.pending.insert(pending, ends.0).is_some() {
            return self.fail(Some(conn), format!("{pending:?} is told twice"));
        }
        let plan = &mut host.plan.listener;
        let decision = if std::mem::take(&mut plan.ignores_first) {
            Decision::Ignore
        } else {
            Decision::Accept
        };
        let at = now + plan.decides_after.unwrap_or_default();
        host.chores.push((at, Chore::Decide(pending, decision)));
        Ok(())
    }

    /// Does what is due at a host's listener.
    pub(super) fn do_chores(&mut self, host: usize) -> Result<(), Failure> {
        while let Some(n) = self.hosts[host].chores.iter().position(|(at, _)| *at <= self.now) {
            let (_, chore) = self.hosts[host].chores.remove(n);
            match chore {
                Chore::Accept => self.accept(host)?,
                Chore::Decide(pending, decision) => {
                    let host = &mut self.hosts[host];
                    let decided = host.engine.decide(self.now, pending, decision);
                    if decided != host.pending.contains_key(&pending) {
                        return self.fail(None, format!("{pending:?} could not be answered"));
                    }
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, host: usize) -> Result<(), Failure> {
        let now = self.now;
        let Host { engine, listener, .. } = &mut self.hosts[host];
        let Some(accepted) = engine.accept(now, *listener) else { return Ok(()) };
        if let Some(pending) = accepted.pending {
            self.hosts[host].pending.remove(&pending);
        }
        let (local, remote) = (accepted.local, accepted.remote);
        let Some((ends, conn)) = self.hosts[host].promoted.pop_front() else {
            return self.fail(None, format!("accepted a connection from {remote} that never was"));
        };
        if ends != (remote, local) {
            let what = format!("{remote} is accepted, and the handshake of {ends:?} was through");
            return self.fail(Some(conn), what);
        }
        let app = conn * 2 + 1;
        if self.apps[app].id.is_some() {
            return self.fail(Some(conn), "accepted twice");
        }
        if let Some(known) = self.hosts[host].conns.get(&accepted.conn)
            && known.closed > 0
        {
            // It ended while it waited: its report came before.
            self.apps[app].report = self.early.remove(&(host, accepted.conn));
        }
        self.give(host, accepted.conn, app, true)
    }

    fn closed(&mut self, host: usize, id: ConnId, report: EndReport) -> Result<(), Failure> {
        let known = self.hosts[host].conns.entry(id).or_default();
        known.closed += 1;
        let (count, app) = (known.closed, known.app);
        let at = self.age();
        if let Some(lens) = &mut self.lens {
            let mut report = report.clone();
            report.ended = fourwave_core::Instant::from_micros(at.as_micros() as u64);
            let _ = lens.end(&report);
        }
        let conn = app.map(|app| app / 2);
        if count > 1 {
            return self.fail(conn, format!("{id:?} ended twice"));
        }
        self.enter(host, app, &report);
        let Some(app) = app else {
            self.early.insert((host, id), report);
            return Ok(());
        };
        if let Err(what) = self.apps[app].ended(report) {
            return self.fail(conn, format!("{}: {what}", side(app)));
        }
        self.run_app(app)?;
        self.follow_up(app / 2)
    }
}
