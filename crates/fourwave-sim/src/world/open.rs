//! Connections begin.

use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::ConnId;
use fourwave_core::error::ConnectError;

use super::incarnation::Ends;
use super::{World, side};
use crate::failure::Failure;
use crate::plan::{CLOSED_PORT, LISTENS_ON, Open};
use crate::text::Text;

/// How often a connection is tried for which there is no port.
const MOST_TRIES: u32 = 200;

impl World {
    /// Opens a planned connection, or puts it off.
    pub(super) fn open(&mut self, conn: usize) -> Result<(), Failure> {
        let (_, tries) = self.to_open.remove(&conn).unwrap_or((self.now, 0));
        let [client, server] = [0, 1].map(|side| self.plan.conns[conn].ends[side].host);
        if self.hosts[client].may_open > self.now {
            self.to_open.insert(conn, (self.hosts[client].may_open, tries));
            return Ok(());
        }
        self.hosts[client].may_open = self.now + self.plan.pace;
        let (local, remote) = self.wanted(conn)?;
        let id = match self.hosts[client].engine.connect(self.now, local, remote) {
            Ok(id) => id,
            Err(e) => return self.put_off(conn, tries, &e),
        };
        self.hosts[client].ledger.active += 1;
        let local = match self.hosts[client].engine.info(id) {
            Ok(info) => info.local,
            Err(e) => return self.fail(Some(conn), format!("info after connect: {e}")),
        };
        self.by_address.insert((local, remote), conn);
        self.addresses[conn] = Some((local, remote));
        let texts = [0, 1].map(|side| Text::new(self.plan.seed, conn, side));
        let mtus = [client, server].map(|host| self.hosts[host].plan.link.mtu);
        self.watch.expect([local, remote], texts, mtus);
        self.give(client, id, conn * 2, false)?;
        if self.plan.conns[conn].open == Open::Simultaneous {
            let id = match self.hosts[server].engine.connect(self.now, remote, local) {
                Ok(id) => id,
                Err(e) => return self.fail(Some(conn), format!("connect: {e}")),
            };
            self.hosts[server].ledger.active += 1;
            self.give(server, id, conn * 2 + 1, false)?;
        }
        Ok(())
    }

    /// From where and to where a connection is to be opened.
    fn wanted(&self, conn: usize) -> Result<Ends, Failure> {
        let plan = &self.plan.conns[conn];
        let [from, to] = [0, 1].map(|side| self.hosts[plan.ends[side].host].plan.ips[plan.family]);
        let own = 1000 + conn as u16;
        let ends: (SocketAddr, SocketAddr) = match plan.open {
            Open::Ordinary => ((from, 0).into(), (to, LISTENS_ON).into()),
            Open::Refused => ((from, 0).into(), (to, CLOSED_PORT).into()),
            Open::Simultaneous => ((from, own).into(), (to, own).into()),
            Open::Again { of, .. } => match self.addresses[of] {
                Some(addresses) => addresses,
                None => return self.fail(Some(conn), "opened before the connection it follows"),
            },
        };
        Ok(ends)
    }

    /// The engine refused to open it. That may be right: then it is tried again.
    fn put_off(&mut self, conn: usize, tries: u32, error: &ConnectError) -> Result<(), Failure> {
        let plan = &self.plan.conns[conn];
        let host = &self.hosts[plan.ends[0].host];
        let there = host.engine.population();
        let config = &host.plan.config;
        let range = config.ip_local_port_last - config.ip_local_port_first + 1;
        let after = match *error {
            // Our own end is in TIME_WAIT.
            ConnectError::AddressInUse { .. } if matches!(plan.open, Open::Again { .. }) => 10,
            ConnectError::PortsExhausted { ports, time_wait, .. }
                if u64::from(ports) == range
                    && time_wait as usize <= there.time_wait
                    && (ports - time_wait) as usize <= there.connections =>
            {
                1
            }
            _ => return self.fail(Some(conn), format!("connect: {error}; there are {there:?}")),
        };
        if tries < MOST_TRIES {
            self.to_open.insert(conn, (self.now + Duration::from_secs(after), tries + 1));
        }
        Ok(())
    }

    /// An application gets its connection.
    pub(super) fn give(
        &mut self,
        host: usize,
        id: ConnId,
        app: usize,
        open: bool,
    ) -> Result<(), Failure> {
        let known = self.hosts[host].conns.entry(id).or_default();
        if known.app.replace(app).is_some() {
            return self.fail(Some(app / 2), "two connections have the same name");
        }
        let closed = known.closed;
        if closed > 0 && self.apps[app].report.is_none() {
            let what = format!("{}: its report came before accept and was not kept", side(app));
            return self.fail(Some(app / 2), what);
        }
        self.live.insert(app);
        self.apps[app].opened(&mut self.hosts[host].engine, self.now, id, open);
        self.run_app(app)
    }

    /// A connection that is over lets the next one on its four numbers begin.
    pub(super) fn follow_up(&mut self, conn: usize) -> Result<(), Failure> {
        if !(self.apps[conn * 2].is_done() && self.apps[conn * 2 + 1].is_done()) {
            return Ok(());
        }
        for (n, next) in self.plan.conns.iter().enumerate() {
            if let Open::Again { of, after } = next.open
                && of == conn
                && self.addresses[n].is_none()
            {
                self.to_open.entry(n).or_insert((self.now + after, 0));
            }
        }
        Ok(())
    }
}
