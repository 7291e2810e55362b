//! `fourwave`: TCP as a program that people can run, watch and take apart.
#![forbid(unsafe_code)]

mod arguments;
mod demo;
mod knobs;
mod publish;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use fourwave_gateway::namespace::{STAGE_ARGUMENT, stage};
use fourwave_gateway::run::run;

use arguments::{Arguments, Command, RunArguments};

/// First argument of the demo's client, which `run --demo` starts in the namespace.
const DEMO_CLIENT: &str = "__demo-client";

/// What a person typed is wrong.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    // The child stage must not allocate threads or read options: it comes before everything.
    let mut raw = std::env::args_os().skip(1);
    match raw.next().as_ref().and_then(|first| first.to_str()) {
        Some(STAGE_ARGUMENT) => return ExitCode::from(stage(raw)),
        Some(DEMO_CLIENT) => return ExitCode::from(demo::client(raw)),
        _ => {}
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(usage::report(&error)),
    };
    ExitCode::from(match arguments.command {
        Command::Run(run) => run_program(*run),
        Command::Knobs => knobs::list(),
    })
}

fn run_program(arguments: RunArguments) -> u8 {
    let options = match arguments.into_options() {
        Ok(options) => options,
        Err(line) => {
            eprintln!("fourwave: {line}");
            return USAGE_ERROR;
        }
    };
    for warning in options.config.warnings() {
        eprintln!("fourwave: {warning}");
    }
    match run(options, &mut |line| eprintln!("fourwave: {line}")) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("fourwave: {error}");
            error.exit_code()
        }
    }
}

/// The command that `run --demo` runs in the namespace.
#[allow(dead_code)]
fn demo_command() -> Vec<OsString> {
    vec!["/proc/self/exe".into(), DEMO_CLIENT.into()]
}
