//! Measures row by row, and tells what came of it: a table, lines of JSON, a summary.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use fourwave_fault::FaultConfig;
use serde_json::{Value, json};

use crate::cells::{Arguments, Cell, chosen, size};
use crate::figures::{Rounds, least_ratio, median, ratio};
use crate::site::{Settings, Stack};
use crate::transfer::{Outcome, Plan, run as transfer};

/// Who sends and who receives; Linux to Linux is what the others are held against.
const PAIRS: [[Stack; 2]; 3] = [
    [Stack::Linux, Stack::Linux],
    [Stack::Fourwave, Stack::Linux],
    [Stack::Linux, Stack::Fourwave],
];

/// A transfer of so many bytes is soon through.
const SMALL: u64 = 10_000;

/// What is kept of a row for the summary.
struct Kept {
    /// The engine's.
    part: &'static str,
    /// Of the row, with the algorithm.
    name: String,
    ratio: f64,
    /// Shares of retransmitted bytes: Linux's and ours.
    shares: Option<(f64, f64)>,
}

#[derive(Default)]
struct Summary {
    /// How late the link was in each transfer: in the mean and at most, in seconds.
    late: Vec<[f64; 2]>,
    rows: Vec<Kept>,
    /// Transfers that failed.
    failures: u32,
}

struct Bench<'a> {
    arguments: &'a Arguments,
    json: Option<File>,
    summary: Summary,
}

/// Measures what the arguments ask for.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let cells = chosen(arguments)?;
    if arguments.list {
        cells.iter().for_each(|cell| println!("{:<32}{}", cell.name, link_name(cell)));
        return Ok(());
    }
    let json = match &arguments.json {
        Some(path) => Some(File::create(path).map_err(|e| format!("{}: {e}", path.display()))?),
        None => None,
    };
    let mut bench = Bench { arguments, json, summary: Summary::default() };
    bench.capacity()?;
    println!(
        "| row | link, each way | bytes | algorithm | engine is | Linux | fourwave | ratio | \
         least | Linux again | fourwave again |"
    );
    println!("| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for cell in &cells {
        for algorithm in &arguments.algorithm {
            bench.row(cell, algorithm)?;
        }
    }
    bench.summary.print();
    match bench.summary.failures {
        0 => Ok(()),
        failures => Err(format!("{failures} transfers failed")),
    }
}

/// Rounds of a cell: more where which of few packets is lost decides, and costs little.
fn rounds(cell: &Cell, arguments: &Arguments) -> u32 {
    match cell.bytes {
        Some(..=SMALL) => arguments.rounds * 5,
        _ => arguments.rounds,
    }
}

fn link_name(cell: &Cell) -> String {
    format!("{}, MTU {}", cell.faults, cell.mtu)
}

impl Bench<'_> {
    fn plan(&self, cell: &Cell, algorithm: &str, stacks: [Stack; 2], round: u32) -> Plan {
        Plan {
            stacks,
            bytes: cell.bytes,
            limit: Duration::from_secs(self.arguments.seconds.into()),
            faults: cell.faults,
            // The same for all pairs.
            seed: self.arguments.seed.wrapping_mul(1_000_003).wrapping_add(round.into()),
            settings: Settings {
                mtu: cell.mtu,
                algorithm: algorithm.to_owned(),
                buffers: self.arguments.buffers << 20,
            },
        }
    }

    /// What the link carries without faults: no row can have more.
    fn capacity(&self) -> Result<(), String> {
        for mtu in [1500, 65520] {
            let (name, faults) = (String::new(), FaultConfig::default());
            let cell = Cell { name, mtu, faults, bytes: None, usual: true };
            let mut plan = self.plan(&cell, "cubic", PAIRS[0], 0);
            plan.limit = Duration::from_secs(2);
            let outcome = transfer(&plan).map_err(|e| e.to_string())?;
            println!(
                "The link carries at most {} from Linux to Linux at MTU {mtu}.",
                rate(outcome.goodput())
            );
        }
        println!();
        Ok(())
    }

    fn row(&mut self, cell: &Cell, algorithm: &str) -> Result<(), String> {
        let pairs = &PAIRS[..if self.arguments.senders_only { 2 } else { 3 }];
        let mut measured: Vec<Rounds> = vec![Rounds::default(); pairs.len()];
        for round in 1..=rounds(cell, self.arguments) {
            for turn in 0..pairs.len() {
                // Each is first in its turn.
                let place = (turn + round as usize) % pairs.len();
                self.progress(&format!("{}, {algorithm}, round {round}", cell.name));
                let plan = self.plan(cell, algorithm, pairs[place], round);
                match transfer(&plan) {
                    Ok(outcome) => {
                        self.line(&transfer_line(cell, &plan, round, &outcome))?;
                        let late = outcome.link.late;
                        self.summary.late.push([late.mean(), late.most].map(|d| d.as_secs_f64()));
                        measured[place].insert(round, outcome);
                    }
                    Err(error) => self.failed(cell, &plan, round, &error),
                }
            }
        }
        self.progress("");
        let (linux, ours) = measured.split_first().ok_or("no pairs")?;
        for (part, ours) in ["sender", "receiver"].into_iter().zip(ours) {
            self.tell(cell, algorithm, part, linux, ours)?;
        }
        Ok(())
    }

    /// A transfer that failed is left out of its row, and the bench fails in the end.
    fn failed(&mut self, cell: &Cell, plan: &Plan, round: u32, error: &std::io::Error) {
        let ([from, to], algorithm) = (plan.stacks.map(Stack::name), &plan.settings.algorithm);
        self.progress("");
        eprintln!("{}, {algorithm}, {from} to {to}, round {round}: {error}", cell.name);
        self.summary.failures += 1;
    }

    fn tell(
        &mut self,
        cell: &Cell,
        algorithm: &str,
        part: &'static str,
        linux: &Rounds,
        ours: &Rounds,
    ) -> Result<(), String> {
        let ratio = ratio(ours, linux);
        let least = least_ratio(ours, linux);
        let [linux_share, share] = [linux, ours].map(Rounds::retransmitted);
        println!(
            "| {} | {} | {} | {algorithm} | {part} | {} | {} | {} | {} | {} | {} |",
            cell.name,
            link_name(cell),
            size(cell.bytes),
            figure(linux),
            figure(ours),
            decimal(ratio),
            decimal(least),
            percent(linux_share),
            percent(share),
        );
        if let Some(ratio) = ratio {
            let name = format!("{}, {algorithm}", cell.name);
            self.summary.rows.push(Kept { part, name, ratio, shares: linux_share.zip(share) });
        }
        self.line(&json!({
            "kind": "row", "row": cell.name, "faults": cell.faults.to_string(), "mtu": cell.mtu,
            "bytes": cell.bytes, "algorithm": algorithm, "engine": part, "ratio": ratio,
            "least_ratio": least,
            "linux_goodput_bps": linux.goodput(), "fourwave_goodput_bps": ours.goodput(),
            "linux_seconds": linux.time(), "fourwave_seconds": ours.time(),
            "linux_retransmitted": linux_share, "fourwave_retransmitted": share,
        }))
    }

    fn line(&mut self, value: &Value) -> Result<(), String> {
        match &mut self.json {
            Some(file) => writeln!(file, "{value}").map_err(|e| format!("--json: {e}")),
            None => Ok(()),
        }
    }

    fn progress(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            eprint!("\r{text}\x1b[K");
        }
    }
}

fn transfer_line(cell: &Cell, plan: &Plan, round: u32, outcome: &Outcome) -> Value {
    let [from, to] = plan.stacks.map(Stack::name);
    let [there, back] = outcome.link.faults;
    json!({
        "kind": "transfer", "row": cell.name, "faults": cell.faults.to_string(), "mtu": cell.mtu,
        "bytes": cell.bytes, "algorithm": plan.settings.algorithm, "sender": from,
        "receiver": to, "round": round, "seed": plan.seed, "complete": outcome.complete,
        "seconds": outcome.time.as_secs_f64(), "received": outcome.received,
        "sent": outcome.sent.bytes, "retransmitted": outcome.sent.again,
        "cwnd": outcome.sent.cwnd, "ssthresh": outcome.sent.ssthresh,
        "rtt_us": outcome.sent.rtt.as_micros() as u64,
        "packets": there.offered, "lost": there.lost, "overflowed": there.overflowed,
        "reordered": there.reordered, "packets_back": back.offered, "lost_back": back.lost,
        "refused": outcome.link.refused,
        "late_us": outcome.link.late.mean().as_micros() as u64,
        "late_most_us": outcome.link.late.most.as_micros() as u64,
    })
}

/// A time where all arrived, else a rate.
fn figure(rounds: &Rounds) -> String {
    match (rounds.time(), rounds.goodput()) {
        (Some(seconds), _) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        (Some(seconds), _) => format!("{seconds:.2} s"),
        (None, Some(goodput)) => rate(goodput),
        (None, None) => "-".to_owned(),
    }
}

fn rate(goodput: f64) -> String {
    match goodput {
        gigabits if gigabits >= 1e9 => format!("{:.2} Gb/s", gigabits / 1e9),
        megabits => format!("{:.2} Mb/s", megabits / 1e6),
    }
}

fn decimal(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

impl Summary {
    fn print(&self) {
        println!();
        let late = |which: usize| median(self.late.iter().map(|late| late[which] * 1e6).collect());
        if let (Some(mean), Some(most)) = (late(0), late(1)) {
            println!(
                "Packets left the link {mean:.0} µs late in the mean and {most:.0} µs at most, in \
                 the median of transfers."
            );
        }
        for part in ["sender", "receiver"] {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.part == part).collect();
            let least = rows.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio));
            let (Some(least), Some(middle)) =
                (least, median(rows.iter().map(|row| row.ratio).collect()))
            else {
                continue;
            };
            println!(
                "Engine as {part}: ratio to Linux {middle:.2} in the median of {} rows, least \
                 {:.2} in {}.",
                rows.len(),
                least.ratio,
                least.name
            );
            if part == "sender" {
                let shares: Vec<_> = rows.iter().filter_map(|row| row.shares).collect();
                let [linux, ours] = [
                    median(shares.iter().map(|s| s.0).collect()),
                    median(shares.iter().map(|s| s.1).collect()),
                ];
                println!(
                    "Retransmitted in the median: Linux {}, fourwave {}.",
                    percent(linux),
                    percent(ours)
                );
            }
        }
    }
}
