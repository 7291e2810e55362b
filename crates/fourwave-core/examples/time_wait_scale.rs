//! What TIME_WAIT costs at scale, on the real engine: memory from the process's own figures, and
//! the time to file, find, refresh and expire a record, for 10 thousand to 10 million of them.
//!
//! `cargo run --release -p fourwave-core --example time_wait_scale [COUNT…] [--csv FILE]
//! [--svg FILE]`
//!
//! Each count is measured in a process of its own, so that none inherits another's memory.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode};

use fourwave_core::time::Duration;
use fourwave_core::{Config, ConnId, Engine, Instant};
use fourwave_wire::ip::IpHeader;
use fourwave_wire::options::Timestamps;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{Link, RawWindow, RxChecksum, RxPacket, SeqNum, TxPacket};
use rustix::time::{ClockId, clock_gettime};

/// Ports of ours for each address of a peer.
const PORTS: u32 = 50_000;
/// Connections that are open at a time while the records are made.
const BATCH: u32 = 1_000;
/// Records that are looked at for a time, at most.
const SAMPLES: u32 = 1_000_000;

/// The `n`th four numbers.
fn ends(n: u32) -> (SocketAddr, SocketAddr) {
    let local = (Ipv4Addr::new(10, 0, 0, 1), 10_000 + (n % PORTS) as u16);
    let remote = (Ipv4Addr::from_bits(0x0a80_0000 + n / PORTS), 80);
    (local.into(), remote.into())
}

/// The peer's first sequence number on them.
fn irs(n: u32) -> SeqNum {
    SeqNum::new(n.wrapping_mul(2_654_435_761))
}

/// A segment of the peer of the `n`th connection.
fn segment(n: u32, flags: Flags, seq: u32, ack: SeqNum, echo: u32) -> RxPacket {
    let (local, remote) = ends(n);
    let mut header = TcpHeader {
        seq: irs(n) + seq,
        ack,
        flags,
        window: RawWindow(65_535),
        ..TcpHeader::default()
    };
    header.options.timestamps = Some(Timestamps { value: 1, echo });
    if flags.syn() {
        header.options.mss = Some(1460);
    }
    // Sums are not what is measured.
    RxPacket { checksum: RxChecksum::Trusted, ..fourwave_net::segment(remote, local, header, b"") }
}

/// One engine, and what it sends.
struct World {
    engine: Engine,
    now: Instant,
    out: TxPacket,
}

impl World {
    fn new() -> Self {
        let mut config = Config::default();
        config.set("tcp_max_tw_buckets", "16777216").expect("a knob");
        let engine = Engine::new(config, Link::plain(1500), [7; 32]);
        Self { engine, now: Instant::from_micros(1_000_000), out: TxPacket::default() }
    }

    /// Everything that waits to be sent; the last header.
    fn flush(&mut self) -> TcpHeader {
        let mut last = TcpHeader::default();
        for out in fourwave_net::transmit(&mut self.engine, self.now) {
            let bytes = out.to_vec();
            let ip = IpHeader::parse(&bytes).expect("a packet of ours");
            last = TcpHeader::parse(&bytes[ip.payload]).expect("a segment of ours").0;
        }
        while self.engine.poll_event().is_some() {}
        last
    }

    /// Opens and closes the `n`th connection up to FIN_WAIT_2; what the peer's FIN is to be.
    fn half_closed(&mut self, n: u32) -> (ConnId, RxPacket) {
        let (local, remote) = ends(n);
        let conn = self.engine.connect(self.now, local, remote).expect("free numbers");
        let syn = self.flush();
        let (iss, echo) = (syn.seq, syn.options.timestamps.map_or(0, |ts| ts.value));
        self.engine.handle_packet(self.now, &segment(n, Flags::SYN | Flags::ACK, 0, iss + 1, echo));
        self.flush();
        self.engine.shutdown(self.now, conn).expect("it is open");
        self.flush();
        self.engine.handle_packet(self.now, &segment(n, Flags::ACK, 1, iss + 2, echo));
        (conn, segment(n, Flags::FIN | Flags::ACK, 1, iss + 2, echo))
    }

    /// `count` records. Nanoseconds for each: the peer's FIN arrives, the record takes the
    /// connection's place. And the longest of all that were timed one by one, every second batch.
    fn fill(&mut self, count: u32) -> (f64, u64) {
        let (mut times, mut longest) = (Vec::new(), 0);
        for start in (0..count).step_by(BATCH as usize) {
            let end = count.min(start + BATCH);
            let batch: Vec<_> = (start..end).map(|n| self.half_closed(n)).collect();
            self.now = self.now + Duration::from_millis(1);
            let begin = cpu_nanos();
            if times.len() % 2 == 0 {
                for (_, fin) in &batch {
                    self.engine.handle_packet(self.now, fin);
                }
                times.push((cpu_nanos() - begin) as f64 / batch.len() as f64);
            } else {
                let mut last = begin;
                for (_, fin) in &batch {
                    self.engine.handle_packet(self.now, fin);
                    let now = cpu_nanos();
                    (longest, last) = (longest.max(now - last), now);
                }
                times.push(f64::NAN);
            }
            self.flush();
            for (conn, _) in &batch {
                self.engine.close(self.now, *conn).expect("the handle is held");
            }
            self.flush();
        }
        assert_eq!(self.engine.population().time_wait, count as usize);
        times.retain(|time| time.is_finite());
        (median(times), longest)
    }

    /// Nanoseconds for a segment to a record, in no order. `answered`: each is to be answered.
    fn touch(&mut self, count: u32, flags: Flags, answered: bool) -> f64 {
        let samples = count.min(SAMPLES);
        let (mut times, mut answers) = (Vec::new(), 0);
        for start in (0..samples).step_by(BATCH as usize) {
            let which = |i: u32| (u64::from(i) * 2_654_435_761 % u64::from(count)) as u32;
            let seq = if flags.rst() { 100 } else { 1 };
            let packets: Vec<RxPacket> = (start..samples.min(start + BATCH))
                .map(|i| segment(which(i), flags, seq, SeqNum::new(0), 0))
                .collect();
            self.now = self.now + Duration::from_micros(10);
            let begin = cpu_nanos();
            for packet in &packets {
                self.engine.handle_packet(self.now, packet);
                while self.engine.poll_transmit(self.now, &mut self.out) {
                    answers += 1;
                }
            }
            times.push((cpu_nanos() - begin) as f64 / packets.len() as f64);
        }
        assert_eq!(answers, if answered { samples } else { 0 });
        assert_eq!(self.engine.population().time_wait, count as usize);
        median(times)
    }

    /// Nanoseconds to expire a record.
    fn expire(&mut self, count: u32) -> f64 {
        let mut times = Vec::new();
        while let Some(at) = self.engine.poll_timeout() {
            self.now = self.now.max(at);
            let (before, begin) = (self.engine.population().time_wait, cpu_nanos());
            self.engine.handle_timeout(self.now);
            let time = (cpu_nanos() - begin) as f64;
            let expired = before - self.engine.population().time_wait;
            if expired > 0 {
                times.push(time / expired as f64);
            }
        }
        assert_eq!(self.engine.population().demux_entries, 0);
        assert_eq!(self.engine.counters().tw, u64::from(count));
        median(times)
    }
}

/// The processor's time that this thread took so far: what others do on the machine is not in it.
fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The middle one of the batches.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number");
    // Pages of 4 KiB; getconf is not worth a dependency.
    pages * 4096
}

/// What was measured for one count.
#[derive(Clone, Copy)]
struct Figures {
    count: u32,
    bytes: f64,
    insert: f64,
    longest_us: f64,
    lookup: f64,
    refresh: f64,
    expire: f64,
}

const COLUMNS: &str = "count,bytes_each,insert_ns,insert_longest_us,lookup_ns,refresh_ns,expire_ns";

impl Figures {
    fn measure(count: u32) -> Self {
        let mut world = World::new();
        // A first batch, gone again: what the engine needs whatever the count is.
        world.fill(BATCH);
        world.expire(BATCH);
        drop(world);
        let mut world = World::new();
        let before = resident();
        let (insert, longest) = world.fill(count);
        let bytes = (resident().saturating_sub(before)) as f64 / f64::from(count);
        Self {
            count,
            bytes,
            insert,
            longest_us: longest as f64 / 1000.0,
            lookup: world.touch(count, Flags::RST, false),
            refresh: world.touch(count, Flags::FIN | Flags::ACK, true),
            expire: world.expire(count),
        }
    }

    fn csv(&self) -> String {
        let Self { count, bytes, insert, longest_us, lookup, refresh, expire } = self;
        format!(
            "{count},{bytes:.1},{insert:.0},{longest_us:.0},{lookup:.0},{refresh:.0},{expire:.0}"
        )
    }

    fn parse(line: &str) -> Option<Self> {
        let mut cells = line.trim().split(',');
        let count = cells.next()?.parse().ok()?;
        let mut cell = || cells.next()?.parse::<f64>().ok();
        Some(Self {
            count,
            bytes: cell()?,
            insert: cell()?,
            longest_us: cell()?,
            lookup: cell()?,
            refresh: cell()?,
            expire: cell()?,
        })
    }
}

/// The count in a process of its own.
fn measure_apart(count: u32) -> Result<Figures, String> {
    let program = std::env::current_exe().map_err(|e| format!("my own program: {e}"))?;
    let output = Command::new(program)
        .args(["--one", &count.to_string()])
        .output()
        .map_err(|e| format!("cannot start myself: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = || format!("{count}: {}", String::from_utf8_lossy(&output.stderr));
    Figures::parse(&text).ok_or_else(words)
}

fn table(all: &[Figures]) -> String {
    let mut text = String::from(
        "| records | bytes each | insert | longest insert | look up | refresh | expire |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for f in all {
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.0} ns | {:.0} µs | {:.0} ns | {:.0} ns | {:.0} ns |",
            f.count, f.bytes, f.insert, f.longest_us, f.lookup, f.refresh, f.expire
        );
    }
    text
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 360.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 620.0;

type Series = (&'static str, &'static str, fn(&Figures) -> f64);
const SERIES: [Series; 4] = [
    ("insert", "#1f6feb", |f| f.insert),
    ("look up", "#2da44e", |f| f.lookup),
    ("refresh", "#bf8700", |f| f.refresh),
    ("expire", "#cf222e", |f| f.expire),
];

/// Cost against count: time on a linear scale, counts on a logarithmic one.
fn chart(all: &[Figures]) -> String {
    let most = all.iter().flat_map(|f| SERIES.map(|s| s.2(f))).fold(1.0, f64::max);
    let step = [50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];
    let step = step.into_iter().find(|s| most / s <= 8.0).unwrap_or(most);
    let top = (most / step).ceil() * step;
    let log = |f: &Figures| f64::from(f.count).log10();
    let low = all.iter().map(log).fold(f64::MAX, f64::min);
    let high = all.iter().map(log).fold(0.0, f64::max);
    let x = |f: &Figures| LEFT + (log(f) - low) / (high - low).max(0.1) * (RIGHT - LEFT);
    let y = |ns: f64| BOTTOM - ns / top * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">\
         TIME_WAIT: nanoseconds for each record, by how many there are</text>\n"
    );
    let mut line = 0.0;
    while line <= top {
        let at = y(line);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{line:.0}</text>",
            LEFT - 8.0,
            at + 4.0
        );
        line += step;
    }
    for f in all {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{:.1} B each</text>",
            x(f),
            BOTTOM + 20.0,
            f.count,
            x(f),
            BOTTOM + 40.0,
            f.bytes
        );
    }
    let mut label = TOP + 10.0;
    for (name, colour, value) in SERIES {
        let points: Vec<String> =
            all.iter().map(|f| format!("{:.1},{:.1}", x(f), y(value(f)))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{label}\" fill=\"{colour}\">{name}</text>",
            points.join(" "),
            RIGHT + 30.0
        );
        label += 22.0;
    }
    svg.push_str("</svg>\n");
    svg
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut counts, mut csv, mut svg) = (Vec::new(), None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--csv" => csv = Some(value()?),
            "--svg" => svg = Some(value()?),
            "--one" => {
                let count = value()?.parse().map_err(|_| "--one takes a count".to_owned())?;
                println!("{}", Figures::measure(count).csv());
                return Ok(());
            }
            count => counts.push(count.parse().map_err(|_| format!("{count}: not a count"))?),
        }
    }
    if counts.is_empty() {
        counts = vec![10_000, 100_000, 1_000_000, 10_000_000];
    }
    let all = counts.into_iter().map(measure_apart).collect::<Result<Vec<_>, _>>()?;
    print!("{}", table(&all));
    let write = |path: Option<String>, text: String| match path {
        Some(path) => std::fs::write(&path, text).map_err(|e| format!("{path}: {e}")),
        None => Ok(()),
    };
    let lines: Vec<String> = all.iter().map(Figures::csv).collect();
    write(csv, format!("{COLUMNS}\n{}\n", lines.join("\n")))?;
    write(svg, chart(&all))
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("time_wait_scale: {message}");
            ExitCode::FAILURE
        }
    }
}
