//! Which links are measured, and what is sent over them.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use fourwave_fault::{FaultConfig, Probability};

/// One TCP stream over an impaired link in real time: the engine beside Linux, both with the same
/// congestion control (root)
#[derive(Parser, Debug)]
#[command(name = "cargo xtask bench path")]
pub(crate) struct Arguments {
    /// Congestion controls, under Linux's names, as in cubic,reno; Linux is set to the same
    #[arg(long, value_delimiter = ',', default_value = "cubic")]
    pub(crate) algorithm: Vec<String>,
    /// Only rows whose name contains one of these
    #[arg(long, value_delimiter = ',', value_name = "FILTER")]
    pub(crate) rows: Vec<String>,
    /// Every cell of the grid: loss × round trip × rate, reordering, bursts, queues
    #[arg(long)]
    pub(crate) grid: bool,
    /// Rounds of each row, five times as many for 10 kB; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds after which a transfer is ended; what arrived by then counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Megabytes up to which send and receive buffers of both may grow
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) buffers: u64,
    /// Where the faults are drawn from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Leave out the rows in which the engine is the receiver
    #[arg(long)]
    pub(crate) senders_only: bool,
    /// Write each transfer and each row as a line of JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Say which rows there are and measure nothing
    #[arg(long)]
    pub(crate) list: bool,
}

/// A link and what is sent over it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) name: String,
    /// Bytes.
    pub(crate) mtu: u16,
    /// Of each direction.
    pub(crate) faults: FaultConfig,
    /// Bytes to send; `None`: as many as get through until the limit.
    pub(crate) bytes: Option<u64>,
    /// Part of what is measured without `--grid`.
    pub(crate) usual: bool,
}

const SIZES: [Option<u64>; 3] = [Some(10_000), Some(1_000_000), Some(100_000_000)];
const MTU: u16 = 1500;
/// Rates in bytes per second; `None`: as fast as the link carries.
const RATES: [(&str, Option<u64>); 3] =
    [("10mbit", Some(1_250_000)), ("1gbit", Some(125_000_000)), ("full", None)];
const ROUND_TRIPS: [u64; 3] = [1, 20, 100];
const LOSSES: [f64; 4] = [0.0, 0.1, 1.0, 3.0];
/// The least queue: some packets, whatever the product of bandwidth and delay.
const MIN_QUEUE: u64 = 15_000;

/// What a size is called.
pub(crate) fn size(bytes: Option<u64>) -> String {
    match bytes {
        None => "bulk".to_owned(),
        Some(bytes) if bytes >= 1_000_000 => format!("{} MB", bytes / 1_000_000),
        Some(bytes) => format!("{} kB", bytes / 1000),
    }
}

fn percent(value: f64) -> Probability {
    Probability::new(value / 100.0).unwrap_or_default()
}

/// Faults of each direction of a link with this round trip, in milliseconds, and rate; its queue
/// holds `share` of the product of the two.
fn faults(round_trip: u64, rate: Option<u64>, share: f64) -> FaultConfig {
    let queue = rate.map(|rate| (rate as f64 * round_trip as f64 / 1000.0 * share) as u64);
    FaultConfig {
        delay: Duration::from_micros(round_trip * 500),
        rate,
        queue: queue.map(|bytes| bytes.max(MIN_QUEUE)),
        ..FaultConfig::default()
    }
}

/// The five links on which the sender was first found wanting.
fn first() -> Vec<Cell> {
    let link = |name: &str, mtu, delay, faults: FaultConfig| Cell {
        name: name.to_owned(),
        mtu,
        faults: FaultConfig { delay: Duration::from_millis(delay), ..faults },
        bytes: None,
        usual: true,
    };
    let none = FaultConfig::default;
    vec![
        link("first/reordered", MTU, 10, FaultConfig { reorder: percent(1.0), ..none() }),
        link("first/100mbit", MTU, 10, FaultConfig { rate: Some(12_500_000), ..none() }),
        link("first/10mbit", MTU, 20, FaultConfig { rate: Some(1_250_000), ..none() }),
        link("first/lossy", MTU, 10, FaultConfig { loss: percent(1.0), ..none() }),
        link("first/lossy-large", 65520, 10, FaultConfig { loss: percent(0.1), ..none() }),
    ]
}

/// Every size over one link.
fn sizes(name: &str, faults: FaultConfig, usual: [bool; 3]) -> impl Iterator<Item = Cell> {
    let name = name.to_owned();
    SIZES.into_iter().zip(usual).map(move |(bytes, usual)| {
        let name = format!("{name}/{}", size(bytes).replace(' ', ""));
        Cell { name, mtu: MTU, faults, bytes, usual }
    })
}

/// All rows.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = first();
    for round_trip in ROUND_TRIPS {
        for (rate_name, rate) in RATES {
            for loss in LOSSES {
                let link = FaultConfig { loss: percent(loss), ..faults(round_trip, rate, 1.0) };
                let name = format!("loss{loss}/{round_trip}ms/{rate_name}");
                let usual = round_trip == 20 && rate_name != "full" && [0.0, 1.0].contains(&loss);
                cells.extend(sizes(&name, link, [usual; 3]));
            }
        }
    }
    for (rate_name, rate) in RATES {
        for round_trip in [20, 100] {
            let link = faults(round_trip, rate, 1.0);
            let usual = round_trip == 20 && rate_name == "1gbit";
            let reorder = FaultConfig { reorder: percent(1.0), ..link };
            let burst = FaultConfig { loss: percent(1.0), burst: NonZeroU32::new(8), ..link };
            let name = |kind: &str| format!("{kind}/{round_trip}ms/{rate_name}");
            cells.extend(sizes(&name("reorder1"), reorder, [false, false, usual]));
            cells.extend(sizes(&name("burst8"), burst, [false, false, usual]));
        }
    }
    for (share_name, share) in [("0.5bdp", 0.5), ("2bdp", 2.0)] {
        for (rate_name, rate) in &RATES[..2] {
            for round_trip in [20, 100] {
                let link = faults(round_trip, *rate, share);
                let usual = round_trip == 20 && *rate_name == "1gbit";
                let name = format!("queue{share_name}/{round_trip}ms/{rate_name}");
                cells.extend(sizes(&name, link, [false, false, usual]));
            }
        }
    }
    cells
}

/// The rows that the arguments ask for.
pub(crate) fn chosen(arguments: &Arguments) -> Result<Vec<Cell>, String> {
    let named = |cell: &Cell| arguments.rows.iter().any(|part| cell.name.contains(part.as_str()));
    let wanted = |cell: &Cell| match arguments.rows.is_empty() {
        true => arguments.grid || cell.usual,
        false => named(cell),
    };
    let cells: Vec<Cell> = all().into_iter().filter(wanted).collect();
    if cells.is_empty() {
        return Err("no row has such a name: --grid --list shows all".to_owned());
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Arguments {
        Arguments::parse_from([&["path"], words].concat())
    }

    #[test]
    fn rows_have_names_of_their_own_and_links_that_can_be_read() {
        let cells = all();
        let mut names: Vec<_> = cells.iter().map(|cell| &cell.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cells.len());
        for cell in cells {
            assert_eq!(cell.faults.to_string().parse(), Ok(cell.faults), "{}", cell.name);
        }
    }

    #[test]
    fn the_grid_has_every_combination() {
        let cells = all();
        assert_eq!(cells.iter().filter(|c| c.name.starts_with("loss")).count(), 4 * 3 * 3 * 3);
        let of =
            |name: &str| cells.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{name}"));
        let cell = of("loss0.1/100ms/10mbit/1MB");
        assert_eq!(cell.faults.to_string(), "loss:0.1%,delay:50ms,rate:10mbit,queue:125kb");
        assert_eq!((cell.bytes, cell.mtu), (Some(1_000_000), 1500));
        assert_eq!(of("queue0.5bdp/20ms/1gbit/100MB").faults.queue, Some(1_250_000));
        assert_eq!(of("queue2bdp/20ms/1gbit/100MB").faults.queue, Some(5_000_000));
        // A queue of less than a packet would lose everything.
        assert_eq!(of("loss0/1ms/10mbit/10kB").faults.queue, Some(MIN_QUEUE));
        assert_eq!(of("first/10mbit").faults.to_string(), "delay:20ms,rate:10mbit");
    }

    #[test]
    fn rows_are_chosen_by_parts_of_their_names() {
        let count = |words: &[&str]| chosen(&arguments(words)).map(|cells| cells.len());
        assert_eq!(count(&["--rows", "first/"]), Ok(5));
        assert_eq!(count(&["--rows", "first/lossy,burst8/20ms/full/1MB"]), Ok(3));
        assert_eq!(count(&["--grid"]), Ok(all().len()));
        let usual = count(&[]).unwrap();
        assert!((6..30).contains(&usual), "{usual}: some minutes' worth");
        assert!(count(&["--rows", "nothing"]).is_err());
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(SIZES.map(size), ["10 kB", "1 MB", "100 MB"]);
        assert_eq!(size(None), "bulk");
    }
}
