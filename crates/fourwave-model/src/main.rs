//! `fourwave-model`: explores a setup, or all of them, and says how many states there were.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use fourwave_model::{Action, Exploration, Replay, Setup, explore};

/// Explores every order in which things can happen to one connection of two engines.
#[derive(Parser)]
struct Args {
    /// Faults of the network in all: a segment lost, copied or held back is one.
    #[arg(long, default_value_t = 0)]
    faults: u8,
    /// Bytes that each program may send, or `CLIENT,SERVER`; 8 at most.
    #[arg(long, default_value = "0", value_parser = bytes)]
    bytes: [u8; 2],
    /// The same for the second connection.
    #[arg(long, default_value = "0", value_parser = bytes)]
    second_bytes: [u8; 2],
    /// The network copies and does nothing worse.
    #[arg(long)]
    copies_only: bool,
    /// Without timestamps (`tcp_timestamps=0`).
    #[arg(long)]
    no_timestamps: bool,
    /// `tcp_timewait_len` in seconds.
    #[arg(long, default_value_t = 60)]
    time_wait: u64,
    /// An RST does not end TIME_WAIT (`tcp_rfc1337=1`).
    #[arg(long)]
    rfc1337: bool,
    /// Connections on the same four numbers, one after the other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    incarnations: u8,
    /// Programs close only when they have read the end of the stream or an error.
    #[arg(long)]
    polite: bool,
    /// Connections outrun the clock of initial sequence numbers.
    #[arg(long)]
    fast: bool,
    /// Judge only what programs read, not how connections end.
    #[arg(long)]
    streams_only: bool,
    /// Stop after this many states; a state takes about 20 bytes of memory.
    #[arg(long, default_value_t = 200_000_000)]
    max_states: u64,
    /// Go one way, such as `client.send server.deliver`, and draw it.
    #[arg(long)]
    replay: Option<String>,
}

fn bytes(text: &str) -> Result<[u8; 2], String> {
    let (client, server) = text.split_once(',').unwrap_or((text, text));
    let number = |text: &str| match text.parse() {
        Ok(n @ 0..=8) => Ok(n),
        _ => Err(format!("`{text}` is not a number from 0 to 8")),
    };
    Ok([number(client)?, number(server)?])
}

impl Args {
    fn setup(&self) -> Setup {
        Setup {
            faults: self.faults,
            bytes: self.bytes,
            second_bytes: self.second_bytes,
            copies_only: self.copies_only,
            timestamps: !self.no_timestamps,
            time_wait: self.time_wait,
            rfc1337: self.rfc1337,
            incarnations: self.incarnations,
            polite: self.polite,
            fast: self.fast,
            streams_only: self.streams_only,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let setup = args.setup();
    if let Some(way) = &args.replay {
        return match way.split_whitespace().map(str::parse).collect::<Result<Vec<Action>, _>>() {
            Ok(way) => {
                println!("{}", Replay::new(&setup, &way).render());
                ExitCode::SUCCESS
            }
            Err(e) => {
                eprintln!("fourwave-model: --replay: {e}");
                ExitCode::from(2)
            }
        };
    }
    let start = Instant::now();
    let outcome = explore(&setup, args.max_states, |stats| {
        eprintln!("{:>6.0} s  {stats}", start.elapsed().as_secs_f64());
    });
    report(&setup, &outcome, start)
}

fn report(setup: &Setup, outcome: &Exploration, start: Instant) -> ExitCode {
    let Exploration { stats, violation, complete } = outcome;
    println!("{setup}: {stats}, {:.1} s", start.elapsed().as_secs_f64());
    if let Some(violation) = violation {
        println!("found: {}\n{}", violation.broken, Replay::shortest(setup, violation).render());
        return ExitCode::FAILURE;
    }
    if !complete {
        println!("not all of it: --max-states was reached");
        return ExitCode::from(3);
    }
    ExitCode::SUCCESS
}
