//! What must hold when nothing will ever happen again.

use fourwave_core::{EndReason, Side};

use super::{World, side};
use crate::failure::Failure;
use crate::plan::Open;

impl World {
    /// Nothing will happen any more. A connection that is not over is a fault of the engine,
    /// unless one of its ends broke it off and the RST was lost: then the other end waits for
    /// ever, and its application gives up now. Whether one did.
    pub(super) fn release_the_stranded(&mut self) -> Result<bool, Failure> {
        let mut released = false;
        for n in 0..self.apps.len() {
            let (conn, app) = (n / 2, &self.apps[n]);
            if app.is_done() || app.id.is_none() {
                continue;
            }
            if self.is_polite(conn) {
                let (sent, received) = (app.sent, app.received);
                let state = app.id.and_then(|id| self.hosts[app.plan.host].engine.info(id).ok());
                return self.fail(
                    Some(conn),
                    format!(
                        "{}: a standstill: {sent} of {} bytes taken, {received} read, gone: {}, \
                         {:?}",
                        side(n),
                        app.plan.bytes,
                        app.gone,
                        state
                    ),
                );
            }
            if app.gone {
                let what = format!("{}: its report never came", side(n));
                return self.fail(Some(conn), what);
            }
            let app = &mut self.apps[n];
            if let Some(id) = app.id {
                let engine = &mut self.hosts[app.plan.host].engine;
                if let Err(what) = app.abort(engine, self.now, id) {
                    return self.fail(Some(conn), format!("{}: {what}", side(n)));
                }
                released = true;
            }
        }
        Ok(released)
    }

    /// Everything that must hold at the end.
    pub(super) fn check_the_end(&mut self) -> Result<(), Failure> {
        for n in 0..self.apps.len() {
            if let Err(what) = self.apps[n].check_end() {
                return self.fail(Some(n / 2), format!("{}: {what}", side(n)));
            }
        }
        for conn in 0..self.plan.conns.len() {
            self.check_orderly(conn)?;
            if self.addresses[conn].is_none() {
                // It was to follow one that did not end by itself.
                continue;
            }
            if self.is_polite(conn) {
                self.check_polite(conn)?;
            } else if self.plan.conns[conn].open == Open::Refused {
                self.check_refused(conn)?;
            }
        }
        let waits = self.hosts.iter().any(|host| !host.promoted.is_empty());
        if !self.is_quiet() || !self.early.is_empty() || waits {
            return self.fail(None, "a connection ended that nobody ever accepted");
        }
        self.check_books()
    }

    /// Who was told that all ended in order has said and heard all.
    fn check_orderly(&self, conn: usize) -> Result<(), Failure> {
        for n in [0, 1] {
            let [app, peer] = [n, 1 - n].map(|side| &self.apps[conn * 2 + side]);
            let Some(report) = &app.report else { continue };
            if report.reason != EndReason::Orderly {
                continue;
            }
            let theirs = peer.report.as_ref().map_or(0, |report| report.bytes_received);
            if peer.id.is_none() || theirs != app.sent || report.bytes_received != peer.sent {
                let what = format!("{}: an end in order without all bytes: {report:?}", side(n));
                return self.fail(Some(conn), what);
            }
        }
        Ok(())
    }

    /// Both ends were polite: both ended in order, with every byte.
    fn check_polite(&self, conn: usize) -> Result<(), Failure> {
        let apps = [0, 1].map(|side| &self.apps[conn * 2 + side]);
        let mut firsts = Vec::new();
        let mut time_waits = 0;
        for n in [0, 1] {
            let (app, peer) = (apps[n], apps[1 - n]);
            let Some(report) = &app.report else {
                return self.fail(Some(conn), format!("{}: it was never opened", side(n)));
            };
            if report.reason != EndReason::Orderly {
                let what = format!("{}: it ended otherwise than in order: {report:?}", side(n));
                return self.fail(Some(conn), what);
            }
            if !app.eof || app.received != peer.plan.bytes || app.sent != app.plan.bytes {
                let what = format!(
                    "{}: {} of {} bytes arrived, end of stream read: {}",
                    side(n),
                    app.received,
                    peer.plan.bytes,
                    app.eof
                );
                return self.fail(Some(conn), what);
            }
            firsts.push(report.closed_first);
            time_waits += usize::from(report.time_wait_until.is_some());
        }
        let local = firsts.iter().filter(|first| **first == Some(Side::Local)).count();
        if local == 0 || firsts.contains(&None) {
            return self.fail(Some(conn), format!("nobody closed first: {firsts:?}"));
        }
        if time_waits == 0 {
            return self.fail(Some(conn), "nobody holds TIME_WAIT");
        }
        Ok(())
    }

    fn check_refused(&self, conn: usize) -> Result<(), Failure> {
        let reason = self.apps[conn * 2].report.as_ref().map(|report| report.reason);
        let given_up = self.apps[conn * 2].gone && self.apps[conn * 2].error.is_none();
        let unheard = matches!(reason, Some(EndReason::ConnectTimeout | EndReason::UserTimeout));
        if reason == Some(EndReason::Refused) || given_up || (unheard && !self.plan.strict) {
            return Ok(());
        }
        self.fail(Some(conn), format!("nobody listened, and it ended so: {reason:?}"))
    }
}
