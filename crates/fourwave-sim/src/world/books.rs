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
            let (there, config) = (host.engine.population(), host.engine.config());
            let counters = host.engine.counters();
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
            let left = host.engine.population();
            if left != Population::default() || host.engine.poll_timeout().is_some() {
                return self.fail(None, format!("{ip} has something left: {left:?}"));
            }
            let once = host.conns.values().all(|known| known.closed == 1);
            if !once || host.conns.len() as u64 != host.ledger.opened() {
                let what = format!("{ip}: not every connection has one end: {}", host.ledger);
                return self.fail(None, what);
            }
            if let Err(what) = host.ledger.check(host.engine.counters()) {
                return self.fail(None, format!("{ip}: {what}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Overrides, Plan};
    use crate::world::World;

    /// A world after which `doctor` is let at its first host's books.
    fn doctored(doctor: impl FnOnce(&mut World)) -> String {
        let crowd = (0..).map(|seed| Plan::new(seed, &Overrides::default()));
        let plan = crowd.into_iter().find(Plan::is_crowd);
        let mut world = World::new(plan.unwrap_or_else(|| unreachable!("the seeds are endless")));
        assert_eq!(world.run(), Ok(()));
        doctor(&mut world);
        world.check_books().unwrap_err().what
    }

    #[test]
    fn an_end_that_was_told_twice_or_never_is_found() {
        for count in [0, 2] {
            let what = doctored(|world| {
                if let Some(known) = world.hosts[0].conns.values_mut().next() {
                    known.closed = count;
                }
            });
            assert!(what.contains("not every connection has one end"), "{what}");
        }
    }

    #[test]
    fn a_connection_that_the_engine_did_not_count_is_found() {
        let what = doctored(|world| {
            world.hosts[0].ledger.active -= 1;
            world.hosts[0].ledger.passive += 1;
        });
        assert!(what.contains("TcpActiveOpens is"), "{what}");
    }

    #[test]
    fn what_is_left_is_found() {
        let what = doctored(|world| {
            let host = &mut world.hosts[0];
            let addresses = ((host.plan.ips[0], 1).into(), (host.plan.ips[0], 2).into());
            host.engine.connect(world.now, addresses.0, addresses.1).unwrap();
        });
        assert!(what.contains("has something left"), "{what}");
    }

    /// At any time, not only at the end.
    #[test]
    fn a_connection_that_is_in_no_book_is_found_at_once() {
        let mut world = World::new(Plan::new(0, &Overrides::default()));
        world.hosts[0].ledger.active = 1;
        let failure = world.run().unwrap_err();
        assert!(failure.at.is_zero() && failure.what.contains("connections: "), "{failure}");
    }
}
