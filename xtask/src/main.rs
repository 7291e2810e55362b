//! The project's own chores: `cargo xtask setup`, `cargo xtask tidy`, `cargo xtask test`,
//! `cargo xtask bench`, `cargo xtask bench path`, `cargo xtask tw`, `cargo xtask conformance`.
#![forbid(unsafe_code)]

mod bench;
mod conformance;
mod deny;
mod fuzz;
mod report;
mod setup;
mod shell;
mod steps;
mod tidy;
mod tw;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install the programs that the end-to-end tests talk to (Debian, root or sudo), or name them
    Setup,
    /// Check the style that no other tool checks: rooms, banned calls, sizes, unsafe
    Tidy,
    /// Everything CI checks, in order; stops at the first failure
    Test {
        /// Run only these steps (in the usual order)
        #[arg(long, value_name = "STEP", value_enum, value_delimiter = ',')]
        only: Vec<steps::Step>,
    },
    /// Measure `fourwave run` beside a direct path and pasta, in turn (root; iperf3, wrk, nginx)
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        #[command(subcommand)]
        what: Option<bench::What>,
        /// Rounds of each case; the medians count
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// Seconds of each measurement
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
        seconds: u32,
    },
    /// Count TIME_WAITs: 100,000 connections through `fourwave run`, a row for each remedy (root)
    Tw {
        /// Connections of each row
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
        /// Only these rows
        rows: Vec<String>,
    },
    /// Write the scripts of `conformance/matrix` from their tables
    Conformance {
        /// Only say which of them are not as the tables make them
        #[arg(long)]
        check: bool,
        /// Play the whole collection on the running kernel and hold the outcome against
        /// `conformance/DIFFERENCES.md` (root or user namespaces)
        #[arg(long, conflicts_with = "check")]
        linux: bool,
    },
    /// The client of `tw`
    #[command(hide = true)]
    TwClient(tw::ends::ClientArguments),
    /// The server of `tw`
    #[command(hide = true)]
    TwServer {
        /// Where to listen
        address: std::net::SocketAddr,
    },
}

fn main() -> ExitCode {
    let root = shell::workspace_root();
    let done = match Arguments::parse().chore {
        Chore::Setup => {
            let (report::Outcome::Passed(note) | report::Outcome::Skipped(note)) =
                setup::run(&root);
            println!("setup: {note}");
            true
        }
        Chore::Tidy => match tidy::run(&root) {
            Ok(summary) => {
                println!("tidy: {summary}");
                true
            }
            Err(problem) => {
                eprintln!("{problem}");
                false
            }
        },
        Chore::Test { only } => steps::run(&root, &only),
        Chore::Bench { what: Some(what), .. } => told(bench::other(&root, what)),
        Chore::Bench { rounds, seconds, .. } => told(bench::run(&root, rounds as usize, seconds)),
        Chore::Tw { count, rows } => told(tw::run(&root, count, &rows)),
        Chore::Conformance { check: true, .. } => told(conformance::check(&root)),
        Chore::Conformance { linux: true, .. } => told(conformance::linux(&root)),
        Chore::Conformance { .. } => told(conformance::write(&root)),
        Chore::TwClient(arguments) => told(tw::ends::client(&arguments)),
        Chore::TwServer { address } => told(tw::ends::server(address)),
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether it went well; if not, says why.
fn told(done: Result<(), String>) -> bool {
    if let Err(problem) = &done {
        eprintln!("xtask: {problem}");
    }
    done.is_ok()
}
