//! `fourwave-sim`: runs the simulator over many seeds, or one seed again.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use fourwave_fault::Probability;
use fourwave_lens::ladder::LadderOptions;
use fourwave_sim::{Failure, Overrides, Plan, RunSummary, Trace, replay};

/// Engines, bad links, and every rule of TCP held against what happens
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// Seeds to run, the second one not included
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = parse_range)]
    seeds: (u64, u64),
    /// One seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run new seeds until one fails
    #[arg(long, conflicts_with_all = ["seeds", "seed"])]
    hunt: bool,
    /// Draw the connection that failed, or all of them (with --seed)
    #[arg(long, requires = "seed")]
    ladder: bool,
    /// Rows of a ladder to keep from its beginning and from its end
    #[arg(long, value_name = "N", default_value_t = 40)]
    rows: usize,
    /// Print every packet as it leaves or reaches a host (with --seed)
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Print what the seed planned (with --seed)
    #[arg(long, requires = "seed")]
    plan: bool,
    /// Run a fuzz target on the bytes of a file, as `TARGET=FILE`
    #[arg(long, value_name = "TARGET=FILE", conflicts_with_all = ["seeds", "seed", "hunt"])]
    fuzz: Option<String>,
    /// Packets lost, whatever the seeds say
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    loss: Option<Probability>,
    /// Packets overtaken by others, whatever the seeds say
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    reorder: Option<Probability>,
    /// Packets delivered twice, whatever the seeds say
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    dup: Option<Probability>,
    /// Packets with a bit flipped, whatever the seeds say
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    corrupt: Option<Probability>,
    /// Only the first connections of each seed
    #[arg(long, value_name = "N")]
    conns: Option<usize>,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Stop after so many minutes
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Print how connections ended, and what the engines counted
    #[arg(long)]
    counts: bool,
    /// Go on after a failure, and list them all
    #[arg(long)]
    keep_going: bool,
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("{text:?} is no range of seeds: write it as 0..1000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let from = from.parse().map_err(|_| wrong())?;
    let to = to.parse().map_err(|_| wrong())?;
    if from < to { Ok((from, to)) } else { Err(wrong()) }
}

fn parse_percent(text: &str) -> Result<Probability, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let wrong = || format!("{text:?} is no percentage: write it as 5 or 0.1%");
    let value: f64 = number.parse().map_err(|_| wrong())?;
    Probability::new(value / 100.0).ok_or_else(wrong)
}

impl Arguments {
    fn overrides(&self) -> Overrides {
        Overrides {
            loss: self.loss,
            reorder: self.reorder,
            duplicate: self.dup,
            corrupt: self.corrupt,
            conns: self.conns,
        }
    }

    /// The command that shows a seed's failure again.
    fn command(&self, seed: u64) -> String {
        let mut command = format!("cargo run --release -p fourwave-sim -- --seed {seed} --ladder");
        let faults = [
            ("loss", self.loss),
            ("reorder", self.reorder),
            ("dup", self.dup),
            ("corrupt", self.corrupt),
        ];
        for (name, value) in faults {
            if let Some(value) = value {
                command += &format!(" --{name} {value}");
            }
        }
        if let Some(conns) = self.conns {
            command += &format!(" --conns {conns}");
        }
        command
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match (&arguments.fuzz, arguments.seed) {
        (Some(what), _) => match fuzz(what) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("{problem}");
                ExitCode::FAILURE
            }
        },
        (None, Some(seed)) => one(&arguments, seed),
        (None, None) => many(&arguments),
    }
}

/// What a fuzzer found, without the fuzzer. A rule that is broken panics.
fn fuzz(what: &str) -> Result<(), String> {
    let targets = fourwave_sim::fuzz::TARGETS;
    let (name, file) = what
        .split_once('=')
        .ok_or_else(|| format!("{what:?} is no fuzz input: write it as two_engines=FILE"))?;
    let Some((_, target)) = targets.iter().find(|(target, _)| *target == name) else {
        let names = targets.map(|(name, _)| name).join(", ");
        return Err(format!("unknown fuzz target {name:?}: there are {names}"));
    };
    let bytes = std::fs::read(file).map_err(|e| format!("cannot read {file}: {e}"))?;
    target(&bytes);
    println!("{name} on {} bytes: no rule broken", bytes.len());
    Ok(())
}

/// One seed, shown.
fn one(arguments: &Arguments, seed: u64) -> ExitCode {
    if arguments.plan {
        println!("{:#?}", Plan::new(seed, &arguments.overrides()));
    }
    let rows = if arguments.ladder { arguments.rows.max(1) } else { 1 };
    let options = LadderOptions { width: 120, ..LadderOptions::default() };
    let trace = arguments.trace.then(|| Box::new(|line: &str| println!("{line}")) as Trace);
    let replay = replay::replay(seed, &arguments.overrides(), rows, &options, trace);
    if arguments.ladder {
        for ladder in &replay.ladders {
            println!("{ladder}");
        }
    }
    match replay.result {
        Ok(outcome) => {
            println!("seed {seed}: {}", told(&outcome));
            if arguments.counts {
                print_counts(&outcome);
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("seed {seed} fails {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What all threads share.
struct Shared {
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    sum: Mutex<RunSummary>,
    failures: Mutex<Vec<(u64, Failure)>>,
}

fn many(arguments: &Arguments) -> ExitCode {
    let (from, to) = if arguments.hunt { (fresh(), u64::MAX) } else { arguments.seeds };
    let shared = Shared {
        next: AtomicU64::new(from),
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        sum: Mutex::default(),
        failures: Mutex::default(),
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.max(1))
            .map(|_| scope.spawn(|| work(arguments, &shared, to)))
            .collect();
        while std::io::stderr().is_terminal() && workers.iter().any(|w| !w.is_finished()) {
            std::thread::sleep(Duration::from_millis(200));
            let done = shared.done.load(Ordering::Relaxed);
            eprint!("\r{done} seeds, {:.0} s ", start.elapsed().as_secs_f64());
            let _ = std::io::stderr().flush();
        }
    });
    let done = shared.done.load(Ordering::Relaxed);
    let failures = shared.failures.into_inner().unwrap_or_else(|e| e.into_inner());
    let sum = shared.sum.into_inner().unwrap_or_else(|e| e.into_inner());
    let seconds = start.elapsed().as_secs_f64();
    println!("{done} seeds in {seconds:.1} s, {} failed; {}", failures.len(), told(&sum));
    if arguments.counts {
        print_counts(&sum);
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(arguments: &Arguments, shared: &Shared, to: u64) {
    let overrides = arguments.overrides();
    let until = arguments.minutes.map(|m| Instant::now() + Duration::from_secs(60 * m));
    while until.is_none_or(|until| Instant::now() < until) && !shared.stop.load(Ordering::Relaxed) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= to {
            return;
        }
        let result = fourwave_sim::run(seed, &overrides);
        shared.done.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(outcome) => {
                add(&mut shared.sum.lock().unwrap_or_else(|e| e.into_inner()), &outcome);
            }
            Err(failure) => {
                println!("seed {seed} fails {failure}\n  again: {}", arguments.command(seed));
                let mut failures = shared.failures.lock().unwrap_or_else(|e| e.into_inner());
                failures.push((seed, failure));
                if !arguments.keep_going {
                    shared.stop.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Seeds that were never run.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

fn add(sum: &mut RunSummary, one: &RunSummary) {
    let RunSummary {
        conns,
        polite,
        unopened,
        ends,
        counters,
        packets,
        faults,
        too_big,
        bytes,
        time,
    } = one;
    sum.conns += *conns;
    sum.polite += *polite;
    sum.unopened += *unopened;
    for (sums, parts) in [(&mut sum.ends, ends), (&mut sum.counters, counters)] {
        parts.iter().for_each(|(name, n)| *sums.entry(name).or_default() += n);
    }
    sum.packets += *packets;
    sum.faults += *faults;
    sum.too_big += *too_big;
    sum.bytes += *bytes;
    sum.time += *time;
}

/// Every end and every counter, a line each.
fn print_counts(o: &RunSummary) {
    for (name, n) in o.ends.iter().chain(&o.counters).filter(|(_, n)| **n > 0) {
        println!("{name:<28}{n:>12}");
    }
}

fn told(o: &RunSummary) -> String {
    let count = |name| o.counters.get(name).copied().unwrap_or_default();
    format!(
        "{} connections ({} polite, {} never opened), {} TIME_WAITs recycled, {} taken over, \
         {:.1} MB in {} packets, {} faults, {} too big, {} retransmissions, \
         {:.1} hours of virtual time",
        o.conns,
        o.polite,
        o.unopened,
        count("TcpExtTWRecycled"),
        count("TcpExtTWTakenOver"),
        o.bytes as f64 / 1e6,
        o.packets,
        o.faults,
        o.too_big,
        count("TcpRetransSegs"),
        o.time.as_secs_f64() / 3600.0
    )
}
