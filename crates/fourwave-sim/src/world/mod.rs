//! Hosts, links and applications in virtual time: the loop that lets them happen.

mod books;
mod end;
mod events;
mod incarnation;
mod open;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwave_core::{
    ConnId, Decision, EndReport, Engine, Instant, ListenOptions, ListenerId, PendingId,
};
use fourwave_fault::Injector;
use fourwave_lens::{Lens, LensOptions};
use fourwave_wire::RxPacket;

use crate::app::App;
use crate::dice::Dice;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::plan::{ConnPlan, HostPlan, LISTENS_ON, Open, PipePlan, Plan};
use crate::text::Text;
use crate::watch::Watch;
use incarnation::{Ends, Incarnations};

/// Longer than any world of these plans has a reason to last: virtual time.
const LONGEST: Duration = Duration::from_secs(8 * 3600);
/// More steps than any of them takes.
const MOST_STEPS: u64 = 3_000_000;
/// More packets than a host has to send at one moment.
const MOST_AT_ONCE: u64 = 50_000;

/// A host: its engine, and who of the applications holds which of its connections.
struct Host {
    plan: HostPlan,
    engine: Engine,
    listener: ListenerId,
    /// Each connection that was ever seen, its application and how often it was told to be over.
    conns: BTreeMap<ConnId, Known>,
    pending: BTreeMap<PendingId, SocketAddr>,
    /// What is to be done about its listener, and when.
    chores: Vec<(Instant, Chore)>,
    /// What waits for accept, the first one first: its addresses and its connection.
    promoted: VecDeque<(Ends, usize)>,
    /// When it may open a connection again.
    may_open: Instant,
    ledger: Ledger,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    app: Option<usize>,
    closed: u32,
}

#[derive(Clone, Copy, Debug)]
enum Chore {
    Decide(PendingId, Decision),
    Accept,
}

/// One direction of a link.
struct Pipe {
    plan: PipePlan,
    injector: Injector<RxPacket>,
    dice: Dice,
}

/// What a world came to.
#[derive(Clone, Debug, Default)]
pub struct RunSummary {
    /// Connections that were planned.
    pub conns: u64,
    /// Of those, the ones that had to end in order.
    pub polite: u64,
    /// Connections that were never opened: no port, or the one before did not end.
    pub unopened: u64,
    /// How connections ended, each end by itself, by the name of the reason.
    pub ends: BTreeMap<&'static str, u64>,
    /// The engines' counters, added up.
    pub counters: BTreeMap<&'static str, u64>,
    /// Packets that the engines sent.
    pub packets: u64,
    /// Packets lost, duplicated, damaged or reordered.
    pub faults: u64,
    /// Packets that were too big for a link on the way.
    pub too_big: u64,
    /// Bytes that the applications read.
    pub bytes: u64,
    /// Virtual time.
    pub time: Duration,
}

/// Takes what happens, a line for each packet that leaves or reaches a host.
pub type Trace = Box<dyn FnMut(&str)>;

/// A world that runs to its end.
pub struct World {
    plan: Plan,
    now: Instant,
    hosts: Vec<Host>,
    pipes: Vec<Pipe>,
    /// Two for each connection, the client's first.
    apps: Vec<App>,
    /// Applications that were opened and are not done.
    live: BTreeSet<usize>,
    /// Connections to be opened, by their index, and how often it was tried.
    to_open: BTreeMap<usize, (Instant, u32)>,
    /// The latest connection between a client's address and a server's.
    by_address: BTreeMap<Ends, usize>,
    /// Where each connection was opened from and to.
    addresses: Vec<Option<Ends>>,
    incarnations: Incarnations,
    /// The link that leads from a host to an address.
    routes: BTreeMap<(usize, IpAddr), usize>,
    /// Reports of connections that ended before they were accepted.
    early: BTreeMap<(usize, ConnId), EndReport>,
    watch: Watch,
    dice: Dice,
    lens: Option<Lens>,
    trace: Option<Trace>,
    steps: u64,
    outcome: RunSummary,
}

impl World {
    /// The world of a plan.
    pub fn new(plan: Plan) -> Self {
        let hosts: Vec<Host> = plan.hosts.iter().map(|host| Host::new(host.clone())).collect();
        let seed = plan.seed;
        let pipe = |(n, pipe): (usize, &PipePlan)| Pipe {
            plan: pipe.clone(),
            injector: Injector::new(pipe.faults, seed.wrapping_mul(31).wrapping_add(n as u64)),
            dice: Dice::new(seed, 100 + n as u64),
        };
        let apps = (0..plan.conns.len() * 2).map(|n| {
            let (conn, side) = (n / 2, n % 2);
            let text = |side| Text::new(seed, conn, side);
            let end = plan.conns[conn].ends[side].clone();
            App::new(end, Dice::new(seed, 1000 + n as u64), text(side), text(1 - side))
        });
        let routes = plan.pipes.iter().enumerate();
        let routes =
            routes.flat_map(|(n, p)| plan.hosts[p.to].ips.iter().map(move |&ip| ((p.from, ip), n)));
        let first = |c: &ConnPlan| !matches!(c.open, Open::Again { .. });
        let to_open = plan.conns.iter().enumerate().filter(|(_, c)| first(c));
        Self {
            now: plan.start,
            hosts,
            pipes: plan.pipes.iter().enumerate().map(pipe).collect(),
            apps: apps.collect(),
            live: BTreeSet::new(),
            to_open: to_open.map(|(n, c)| (n, (plan.start + c.start, 0))).collect(),
            by_address: BTreeMap::new(),
            addresses: vec![None; plan.conns.len()],
            incarnations: Incarnations::default(),
            routes: routes.collect(),
            early: BTreeMap::new(),
            watch: Watch::default(),
            dice: Dice::new(seed, 1),
            lens: None,
            trace: None,
            steps: 0,
            outcome: RunSummary::default(),
            plan,
        }
    }

    /// From now on a lens watches the packets, and keeps so many rows of each connection's
    /// beginning and end.
    pub fn observe(&mut self, rows: usize) {
        let options = LensOptions {
            first_entries: rows,
            last_entries: rows.max(12),
            metrics: true,
            ..LensOptions::default()
        };
        self.lens = Some(Lens::new(options));
    }

    /// From now on every packet of one connection is told, or of all.
    pub fn trace(&mut self, trace: Trace) {
        self.trace = Some(trace);
    }

    /// The lens, with all that it saw.
    pub fn lens(&mut self) -> Option<Lens> {
        let at = self.age();
        let mut lens = self.lens.take()?;
        lens.finish(at);
        Some(lens)
    }

    /// The addresses of a connection, once it was opened: the client's and the server's.
    pub fn addresses(&self, conn: usize) -> Option<(SocketAddr, SocketAddr)> {
        self.addresses.get(conn).copied().flatten()
    }

    /// What it came to.
    pub fn outcome(&self) -> RunSummary {
        let mut outcome = self.outcome.clone();
        outcome.conns = self.plan.conns.len() as u64;
        outcome.polite = (0..self.plan.conns.len()).filter(|&n| self.is_polite(n)).count() as u64;
        outcome.unopened = self.addresses.iter().filter(|ends| ends.is_none()).count() as u64;
        outcome.time = self.age();
        outcome.bytes = self.apps.iter().map(|app| app.received).sum();
        for host in &self.hosts {
            let all = [
                (&mut outcome.counters, host.engine.counters().iter().collect::<Vec<_>>()),
                (&mut outcome.ends, host.ledger.ends().collect()),
            ];
            for (sums, parts) in all {
                parts.into_iter().for_each(|(name, n)| *sums.entry(name).or_default() += n);
            }
        }
        for pipe in &self.pipes {
            let c = pipe.injector.counters();
            outcome.faults += c.lost + c.too_large + c.overflowed;
            outcome.faults += c.duplicated + c.corrupted + c.reordered;
        }
        outcome
    }

    /// Whether a connection must end in order and complete.
    fn is_polite(&self, conn: usize) -> bool {
        self.plan.strict && self.plan.conns[conn].is_polite()
    }

    fn age(&self) -> Duration {
        self.now.since(self.plan.start)
    }

    fn fail<T>(&self, conn: Option<usize>, what: impl Into<String>) -> Result<T, Failure> {
        Err(Failure { at: self.age(), conn, what: what.into() })
    }

    /// Lets everything happen and checks it.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn run(&mut self) -> Result<(), Failure> {
        loop {
            self.settle()?;
            let Some(next) = self.next_time() else {
                if self.release_the_stranded()? {
                    continue;
                }
                break;
            };
            self.now = self.now.max(next);
            self.steps += 1;
            if self.age() > LONGEST || self.steps > MOST_STEPS {
                let apps: Vec<_> = self.apps.iter().filter(|app| !app.is_done()).collect();
                let what = format!("still busy after {} steps: {apps:?}", self.steps);
                return self.fail(self.unfinished(), what);
            }
            self.advance()?;
        }
        self.check_the_end()
    }

    /// A connection that is not over.
    fn unfinished(&self) -> Option<usize> {
        self.apps.iter().position(|app| !app.is_done()).map(|n| n / 2)
    }

    /// The next time at which something happens.
    fn next_time(&self) -> Option<Instant> {
        // The links count nanoseconds: up to the engines' next microsecond.
        let whole = |at: Duration| {
            self.plan.start + Duration::from_micros(at.as_nanos().div_ceil(1000) as u64)
        };
        let pipes = self.pipes.iter().filter_map(|p| p.injector.next_due()).map(whole);
        let timers =
            self.hosts.iter().filter_map(|h| h.engine.poll_timeout().map(|at| at + h.plan.late));
        let chores = self.hosts.iter().flat_map(|h| h.chores.iter().map(|(at, _)| *at));
        let apps = self.live.iter().filter_map(|&n| self.apps[n].wake);
        let opens = self.to_open.values().map(|(at, _)| *at);
        pipes.chain(timers).chain(chores).chain(apps).chain(opens).min()
    }

    /// Everything that is due.
    fn advance(&mut self) -> Result<(), Failure> {
        self.deliver()?;
        for n in 0..self.hosts.len() {
            let host = &mut self.hosts[n];
            let late = host.plan.late;
            if host.engine.poll_timeout().is_some_and(|at| at + late <= self.now) {
                host.engine.handle_timeout(self.now);
                if let Some(left) = host.engine.poll_timeout().filter(|at| *at <= self.now) {
                    return self.fail(None, format!("a deadline at {left:?} is not served"));
                }
            }
            self.do_chores(n)?;
        }
        let due: Vec<usize> =
            self.to_open.iter().filter(|(_, at)| at.0 <= self.now).map(|(n, _)| *n).collect();
        for conn in due {
            self.open(conn)?;
        }
        let wakes = |n: &usize| self.apps[*n].wake.is_some_and(|at| at <= self.now);
        let due: Vec<usize> = self.live.iter().copied().filter(wakes).collect();
        due.into_iter().try_for_each(|n| self.run_app(n))
    }

    fn run_app(&mut self, n: usize) -> Result<(), Failure> {
        let app = &mut self.apps[n];
        let engine = &mut self.hosts[app.plan.host].engine;
        match app.run(engine, self.now).and_then(|()| app.look(engine)) {
            Ok(()) => self.follow_up(n / 2),
            Err(what) => self.fail(Some(n / 2), format!("{}: {what}", side(n))),
        }
    }
}

impl Host {
    fn new(plan: HostPlan) -> Self {
        let mut engine = Engine::new(plan.config.clone(), plan.link, plan.seed);
        let mut options = ListenOptions::port(LISTENS_ON).with_backlog(plan.listener.backlog);
        options.deferred = plan.listener.decides_after.is_some();
        // The only listener of a new engine: its address is free.
        let listener = engine.listen(options).unwrap_or_else(|e| panic!("listen: {e}"));
        Self {
            plan,
            engine,
            listener,
            conns: BTreeMap::new(),
            pending: BTreeMap::new(),
            chores: Vec::new(),
            promoted: VecDeque::new(),
            may_open: Instant::ZERO,
            ledger: Ledger::default(),
        }
    }
}

/// What an application is called, by its index.
fn side(app: usize) -> &'static str {
    if app.is_multiple_of(2) { "client" } else { "server" }
}
