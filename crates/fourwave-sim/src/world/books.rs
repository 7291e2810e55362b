//! The hosts' books, held against their engines at any time and at the end.

use fourwave_core::{EndReport, Population};

use super::World;
use crate::failure::Failure;
use crate::ledger::Handling;

impl World {
    /// An end goes into its host's books; `app` held the connection, if anyone did.
    pub(super) fn enter(&mut self, host: usize, app: Option<usize>, report: &EndReport) {
        let mut handling = Handling::default();
        if let Some(app) = app.map(|app| &self.apps[app]) {
            handling.closing = app.closing;
            handling.peer_first = app.plan.peer_first.is_some();
            let config = &self.hosts[host].plan.config;
            let waits = app.plan.linger2.map_or(config.tcp_fin_timeout, |time| time.as_secs());
            handling.no_fin_wait_2 = waits == 0;
        }
        self.hosts[host].ledger.end(report, handling);
    }

    /// Between two moments, when all events were taken: what is alive is what the books say, and
    /// no more than the limits allow.
    pub(super) fn check_population(&mut self) -> Result<(), Failure> {
        self.live.retain(|&app| !self.apps[app].is_done());
        let mut held = vec![0; self.hosts.len()];
        let mut orphans = vec![0; self.hosts.len()];
        for app in self.live.iter().map(|&app| &self.apps[app]) {
            held[app.plan.host] += usize::from(app.report.is_some());
            orphans[app.plan.host] += usize::from(app.gone);
        }
        for (host, _) in self.early.keys() {
            held[*host] += 1;
        }
        for (n, host) in self.hosts.iter().enumerate() {
            let (there, config) = (host.stack.population(), host.stack.config());
            let counters = host.stack.counters();
            let right = host.ledger.check_population(counters, &there, held[n], orphans[n]);
            let within = there.half_open as u64 <= config.tcp_max_syn_backlog
                && there.time_wait as u64 <= config.tcp_max_tw_buckets
                && there.orphans as u64 <= config.tcp_max_orphans;
            let right = right.and_then(|()| match within {
                true => Ok(()),
                false => Err(format!("more than the limits allow: {there:?}")),
            });
            if let Err(what) = right {
                return self.fail(None, format!("{}: {what}", host.plan.ips[0]));
            }
        }
        Ok(())
    }

    /// When nothing will happen any more: nothing is left, every connection that opened has its
    /// one end, and the counters say so too.
    pub(super) fn check_books(&self) -> Result<(), Failure> {
        for host in &self.hosts {
            let ip = host.plan.ips[0];
            let left = host.stack.population();
            if left != Population::default() || host.stack.poll_timeout().is_some() {
                return self.fail(None, format!("{ip} has something left: {left:?}"));
            }
            let once = host.conns.values().all(|known| known.closed == 1);
            if !once || host.conns.len() as u64 != host.ledger.opened() {
                let what = format!("{ip}: not every connection has one end: {}", host.ledger);
                return self.fail(None, what);
            }
            if let Err(what) = host.ledger.check(host.stack.counters()) {
                return self.fail(None, format!("{ip}: {what}"));
            }
        }
        Ok(())
    }
}
