//! `cargo xtask bench path`: one TCP stream over an impaired link in real time, from the engine
//! and from Linux with the same congestion control.
#![forbid(unsafe_code)]

mod cells;
mod figures;
mod link;
mod piece;
mod show;
mod site;
mod transfer;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match show::run(&cells::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("path: {problem}");
            ExitCode::FAILURE
        }
    }
}
