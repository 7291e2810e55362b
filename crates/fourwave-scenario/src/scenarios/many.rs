//! Many connections: a load, and what each remedy makes of it.

use std::collections::HashMap;
use std::collections::VecDeque;

use fourwave_core::error::ConnectError;
use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, Event, Instant, SocketOption};
use fourwave_lens::units::{count, span};

use super::Scenario;
use crate::failure::Failure;
use crate::script::{Script, ensure, expect};
use crate::world::{CLIENT, SERVER, World};

/// Requests for each second.
const RATE: u64 = 50;
/// For how long.
const SECONDS: u64 = 120;
/// Requests in all.
const REQUESTS: u64 = RATE * SECONDS;
/// The client's ports.
const PORTS: [(&str, &str); 2] =
    [("ip_local_port_last", "40499"), ("ip_local_port_first", "40000")];
const PORT_COUNT: usize = 500;
/// Bytes of a question and of its answer.
const QUESTION: usize = 100;
const ANSWER: usize = 400;
/// How long a client lets the server close first.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) const TOO_MANY_TIME_WAIT: Scenario = Scenario {
    name: "too-many-time-wait",
    title: "one load of short connections, and every remedy against its TIME_WAITs",
    about: "A client asks one server 50 times a second for two minutes, each time over a \
            connection of its own, from a range of 500 ports. It closes first, so each port \
            stays in TIME_WAIT for 60 seconds: no more than 500 connections a minute can be \
            opened in the long run, and the rest is refused before a packet is sent. Each row is \
            the same load with one remedy.",
    script: too_many_time_wait,
};

pub(super) const LONG_CONNECTIONS: Scenario = Scenario {
    name: "long-connections",
    title: "the same load over ten kept connections",
    about: "The same questions as in too-many-time-wait, but over ten connections that stay \
            open, with SO_KEEPALIVE for the pauses. No handshake stands before a question and no \
            close after it: the answer takes one round trip instead of two, a fraction of the \
            segments is sent, and there is nothing that TIME_WAIT would have to protect.",
    script: long_connections,
};

/// How the client of a load behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// It closes when it has its answer.
    CloseFirst,
    /// It waits for the server's FIN.
    LetServerCloseFirst,
    /// It sends RST.
    Linger,
    /// It keeps this many connections.
    Keep(usize),
}

/// One row of the table.
struct Remedy {
    name: &'static str,
    knobs: &'static [(&'static str, &'static str)],
    habit: Habit,
    limit: &'static str,
}

const fn remedy(
    name: &'static str,
    knobs: &'static [(&'static str, &'static str)],
    habit: Habit,
    limit: &'static str,
) -> Remedy {
    Remedy { name, knobs, habit, limit }
}

const REMEDIES: &[Remedy] = &[
    remedy("none", &[], Habit::CloseFirst, "-"),
    remedy(
        "tcp_max_tw_buckets=250",
        &[("tcp_max_tw_buckets", "250")],
        Habit::CloseFirst,
        "oldest go unprotected",
    ),
    remedy(
        "  + tw_overflow=refuse-new",
        &[("tcp_max_tw_buckets", "250"), ("tw_overflow", "refuse-new")],
        Habit::CloseFirst,
        "newest go unprotected",
    ),
    remedy(
        "  + tw_overflow=shorten",
        &[("tcp_max_tw_buckets", "250"), ("tw_overflow", "shorten")],
        Habit::CloseFirst,
        "all protected less long",
    ),
    remedy(
        "tcp_tw_recycle=1",
        &[("tcp_tw_recycle", "1")],
        Habit::CloseFirst,
        "breaks clients of a NAT",
    ),
    remedy("tcp_tw_reuse=1", &[("tcp_tw_reuse", "1")], Habit::CloseFirst, "outgoing; timestamps"),
    remedy(
        "tcp_timewait_len=5",
        &[("tcp_timewait_len", "5")],
        Habit::CloseFirst,
        "protects for 5 s only",
    ),
    remedy("the server closes first", &[], Habit::LetServerCloseFirst, "needs a closing peer"),
    remedy("SO_LINGER 0", &[], Habit::Linger, "unsent data is lost"),
    remedy("ten kept connections", &[], Habit::Keep(10), "needs a protocol for it"),
];

/// What became of a load.
struct LoadResult {
    answered: u64,
    refused: u64,
    opened: u64,
    peaks: [usize; 2],
    segments: u64,
    /// Sum of the times from question to answer.
    waited: Duration,
    recycled: u64,
    taken_over: u64,
    errors: u64,
}

impl LoadResult {
    fn per_second(&self) -> String {
        format!("{:.1}", self.answered as f64 / SECONDS as f64)
    }

    /// The most TIME_WAITs at once, and where.
    fn peak(&self) -> String {
        match self.peaks {
            [0, 0] => "0".to_owned(),
            [client, 0] => format!("{} at the client", count(client as u64)),
            [0, server] => format!("{} at the server", count(server as u64)),
            [client, server] => format!("{client} client, {server} server"),
        }
    }

    fn mean_wait(&self) -> Duration {
        self.waited.checked_div(self.answered as u32).unwrap_or_default()
    }
}

fn too_many_time_wait(s: &mut Script) -> Result<(), Failure> {
    let mut results = Vec::new();
    let mut rows = Vec::new();
    for remedy in REMEDIES {
        let settings: Vec<_> = PORTS.iter().chain(remedy.knobs).copied().collect();
        let config = s.config_with(&settings)?;
        let server = s.config();
        let o = Load::new(config, server, remedy.habit).run()?;
        rows.push(vec![
            remedy.name.to_owned(),
            o.per_second(),
            o.peak(),
            if o.refused > 0 { "yes" } else { "no" }.to_owned(),
            count(o.refused),
            remedy.limit.to_owned(),
        ]);
        results.push(o);
    }
    let heads =
        vec!["remedy", "served/s", "TIME_WAIT at most", "ports out", "refused", "its limit"];
    s.table(heads, rows);
    check(&results)?;
    let none = &results[0];
    s.outcome(format!(
        "without a remedy {} of {} connections were refused: all {PORT_COUNT} ports in TIME_WAIT",
        count(none.refused),
        count(REQUESTS)
    ));
    s.outcome(format!(
        "tcp_tw_reuse took {} TIME_WAITs over for new connections (TcpExtTWRecycled); where the \
         server closed first, new SYNs took {} of its own over (TcpExtTWTakenOver)",
        count(results[5].recycled),
        count(results[7].taken_over)
    ));
    for (remedy, o) in REMEDIES.iter().zip(&results) {
        let name = remedy.name.trim();
        s.metric(
            name,
            serde_json::json!({
                "requests": REQUESTS, "answered": o.answered, "refused": o.refused,
                "time_wait_peak_client": o.peaks[CLIENT],
                "time_wait_peak_server": o.peaks[SERVER],
            }),
        );
    }
    Ok(())
}

fn check(results: &[LoadResult]) -> Result<(), Failure> {
    let none = &results[0];
    ensure(none.refused > REQUESTS / 2, "refused without a remedy", "most", none.refused)?;
    expect("TIME_WAITs at the peak without a remedy", PORT_COUNT, none.peaks[CLIENT])?;
    for (remedy, o) in REMEDIES.iter().zip(results) {
        expect(&format!("{}: served or refused", remedy.name), REQUESTS, o.answered + o.refused)?;
        expect(&format!("{}: errors", remedy.name), 0, o.errors)?;
        if remedy.name != "none" {
            expect(&format!("{}: refused", remedy.name), 0, o.refused)?;
        }
    }
    ensure(results[5].recycled > 0, "TIME_WAITs reused", "some", results[5].recycled)?;
    ensure(results[7].taken_over > 0, "TIME_WAITs taken over", "some", results[7].taken_over)
}

fn long_connections(s: &mut Script) -> Result<(), Failure> {
    let config = s.config_with(&PORTS)?;
    let short = Load::new(config.clone(), s.config(), Habit::CloseFirst).run()?;
    let kept = Load::new(config, s.config(), Habit::Keep(10)).run()?;
    let row = |name: &str, o: &LoadResult| {
        vec![
            name.to_owned(),
            o.per_second(),
            count(o.opened),
            count(o.refused),
            count(o.peaks[CLIENT] as u64),
            format!("{:.1}", o.segments as f64 / o.answered.max(1) as f64),
            span(o.mean_wait()),
        ]
    };
    let rows = vec![row("a connection each", &short), row("ten kept connections", &kept)];
    let heads =
        vec!["", "served/s", "opened", "refused", "TIME_WAIT", "segments each", "time to answer"];
    s.table(heads, rows);
    expect("answers over kept connections", REQUESTS, kept.answered)?;
    expect("connections opened", 10, kept.opened)?;
    expect("TIME_WAITs while they are in use", 0, kept.peaks[CLIENT])?;
    let faster = kept.mean_wait() < short.mean_wait();
    ensure(faster, "the time to an answer", "shorter than before", span(kept.mean_wait()))?;
    s.outcome(format!(
        "ten connections served all {} questions, each in {} instead of {}",
        count(REQUESTS),
        span(kept.mean_wait()),
        span(short.mean_wait())
    ));
    s.metric("answered", kept.answered);
    s.metric("opened", kept.opened);
    s.metric("answered_by_short_connections", short.answered);
    Ok(())
}

/// A connection of the client's: when its question was asked, and what came of the answer.
struct Asked {
    since: Instant,
    got: usize,
}

/// The load in play.
struct Load {
    world: World,
    habit: Habit,
    asked: HashMap<ConnId, Asked>,
    /// Bytes of the question that have come in on a connection of the server's.
    heard: HashMap<ConnId, usize>,
    /// Kept connections without a question.
    free: Vec<ConnId>,
    /// Questions that wait for one.
    waiting: VecDeque<Instant>,
    o: LoadResult,
}

impl Load {
    fn new(client: Config, server: Config, habit: Habit) -> Self {
        let o = LoadResult {
            answered: 0,
            refused: 0,
            opened: 0,
            peaks: [0; 2],
            segments: 0,
            waited: Duration::ZERO,
            recycled: 0,
            taken_over: 0,
            errors: 0,
        };
        Self {
            world: World::new(client, server).unwatched(),
            habit,
            asked: HashMap::new(),
            heard: HashMap::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            o,
        }
    }

    fn run(mut self) -> Result<LoadResult, Failure> {
        let gap = Duration::from_micros(1_000_000 / RATE);
        if let Habit::Keep(connections) = self.habit {
            for _ in 0..connections {
                self.open()?;
            }
            self.play_until(self.world.now + Duration::from_secs(1))?;
        }
        let start = self.world.now;
        for request in 1..=REQUESTS {
            self.request()?;
            let next = start + gap * request as u32;
            self.play_until(next)?;
        }
        // What is under way is answered.
        let end = self.world.now + Duration::from_secs(2);
        self.play_until(end)?;
        let counters = [CLIENT, SERVER].map(|host| *self.world.ends[host].engine.counters());
        self.o.segments = counters.iter().map(|c| c.out_segs).sum();
        self.o.recycled = counters[CLIENT].tw_recycled;
        self.o.taken_over = counters[SERVER].tw_taken_over;
        Ok(self.o)
    }

    fn play_until(&mut self, end: Instant) -> Result<(), Failure> {
        while self.world.now < end {
            self.world.step_until(end);
            for host in [CLIENT, SERVER] {
                let held = self.world.population(host).time_wait;
                self.o.peaks[host] = self.o.peaks[host].max(held);
            }
            for event in std::mem::take(&mut self.world.ends[SERVER].events) {
                self.server(&event)?;
            }
            for event in std::mem::take(&mut self.world.ends[CLIENT].events) {
                self.client(&event)?;
            }
        }
        Ok(())
    }

    /// Somebody wants an answer.
    fn request(&mut self) -> Result<(), Failure> {
        if !matches!(self.habit, Habit::Keep(_)) {
            return self.open();
        }
        self.waiting.push_back(self.world.now);
        self.ask_over_free()
    }

    fn ask_over_free(&mut self) -> Result<(), Failure> {
        while let (Some(&conn), Some(&since)) = (self.free.last(), self.waiting.front()) {
            self.free.pop();
            self.waiting.pop_front();
            self.asked.insert(conn, Asked { since, got: 0 });
            self.world.send(CLIENT, conn, &[b'?'; QUESTION])?;
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), Failure> {
        match self.world.connect(CLIENT, 0) {
            Ok(conn) => {
                self.o.opened += 1;
                self.asked.insert(conn, Asked { since: self.world.now, got: 0 });
                Ok(())
            }
            Err(ConnectError::PortsExhausted { .. }) => {
                self.o.refused += 1;
                Ok(())
            }
            Err(error) => Err(Failure::new("connect", "done", error.to_string())),
        }
    }

    fn server(&mut self, event: &Event) -> Result<(), Failure> {
        match *event {
            Event::Acceptable { .. } => {
                while let Some(conn) = self.world.accept(SERVER) {
                    self.heard.insert(conn, 0);
                    self.hear(conn)?;
                }
                Ok(())
            }
            Event::Readable { conn } | Event::PeerClosed { conn } => self.hear(conn),
            _ => Ok(()),
        }
    }

    /// The server reads, answers what is a question, and closes when it should.
    fn hear(&mut self, conn: ConnId) -> Result<(), Failure> {
        let Some(heard) = self.heard.get_mut(&conn) else { return Ok(()) };
        let (data, end) = self.world.read(SERVER, conn);
        *heard += data.len();
        if *heard >= QUESTION {
            *heard -= QUESTION;
            self.world.send(SERVER, conn, &[b'.'; ANSWER])?;
            if self.habit == Habit::LetServerCloseFirst {
                return self.leave(SERVER, conn);
            }
        }
        let failed = self.world.ends[SERVER]
            .engine
            .info(conn)
            .is_ok_and(|info| info.state == fourwave_core::state::State::Closed);
        if end || failed { self.leave(SERVER, conn) } else { Ok(()) }
    }

    fn client(&mut self, event: &Event) -> Result<(), Failure> {
        match *event {
            Event::Connected { conn } => self.connected(conn),
            Event::Readable { conn } => self.read_answer(conn),
            _ => Ok(()),
        }
    }

    fn connected(&mut self, conn: ConnId) -> Result<(), Failure> {
        match self.habit {
            Habit::Keep(_) => {
                self.asked.remove(&conn);
                self.world.set(CLIENT, conn, SocketOption::KeepAlive(true))?;
                self.free.push(conn);
                return self.ask_over_free();
            }
            Habit::LetServerCloseFirst => {
                self.world.set(CLIENT, conn, SocketOption::PeerClosesFirst(PATIENCE))?;
            }
            Habit::Linger => self.world.set(CLIENT, conn, SocketOption::LingerZero(true))?,
            Habit::CloseFirst => {}
        }
        self.world.send(CLIENT, conn, &[b'?'; QUESTION])
    }

    fn read_answer(&mut self, conn: ConnId) -> Result<(), Failure> {
        let Some(asked) = self.asked.get_mut(&conn) else { return Ok(()) };
        let (data, end) = self.world.read(CLIENT, conn);
        asked.got += data.len();
        if asked.got < ANSWER {
            self.o.errors += u64::from(end);
            return Ok(());
        }
        self.o.answered += 1;
        self.o.waited += self.world.now.since(asked.since);
        self.asked.remove(&conn);
        if let Habit::Keep(_) = self.habit {
            self.free.push(conn);
            return self.ask_over_free();
        }
        self.leave(CLIENT, conn)
    }

    fn leave(&mut self, host: usize, conn: ConnId) -> Result<(), Failure> {
        if host == SERVER {
            self.heard.remove(&conn);
        }
        self.world.close(host, conn)
    }
}
