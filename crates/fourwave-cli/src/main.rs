//! `fourwave`: TCP as a program that people can run, watch and take apart.
#![forbid(unsafe_code)]
// They panic where nobody reads any more, or the disk is full.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod demo;
mod doctor;
mod drill;
mod fault;
mod knobs;
mod layout;
mod number;
mod output;
mod pcap;
mod publish;
mod scenario;
mod stop;
mod terminal;
mod trace;
mod usage;

use std::process::ExitCode;

use fourwave_gateway::demo_in_memory;
use fourwave_gateway::namespace::{STAGE_ARGUMENT, stage};
use fourwave_gateway::run::{RunOptions, run};

use arguments::{Arguments, Command, RunArguments};
use output::{print, say};
use terminal::TextArguments;

/// First argument of the demo's client, which `run --demo` starts in the namespace.
const DEMO_CLIENT: &str = "__demo-client";

/// What a person typed is wrong.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    // The child stage must not allocate threads or read options: it comes before everything.
    let mut raw = std::env::args_os().skip(1);
    match raw.next().as_ref().and_then(|first| first.to_str()) {
        Some(STAGE_ARGUMENT) => return ExitCode::from(stage(raw)),
        Some(drill::WORKER) => return ExitCode::from(drill::work(raw)),
        Some(DEMO_CLIENT) => return ExitCode::from(demo::client(raw)),
        _ => {}
    }
    let Arguments { command, text } = match usage::parse(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(status) => return ExitCode::from(status),
    };
    output::in_ascii(text.stderr().ascii);
    ExitCode::from(match command {
        Command::Run(run) => run_program(*run, &text),
        Command::Knobs => knobs::list(&text.stdout()),
        Command::Drill(drill) => drill.perform(&text),
        Command::Scenario(scenario) => scenario.perform(&text),
        Command::Trace(trace) => trace.perform(&text),
        Command::Doctor(doctor) => doctor.perform(&text),
        Command::Version => {
            print(usage::VERSION);
            0
        }
    })
}

fn run_program(arguments: RunArguments, text: &TextArguments) -> u8 {
    let options = match arguments.into_options(text) {
        Ok(options) => options,
        Err(line) => {
            say(&line);
            return USAGE_ERROR;
        }
    };
    for warning in options.config.warnings() {
        say(warning);
    }
    match run(&options, &mut say) {
        Ok(ended) => ended.leave(),
        Err(error) => {
            say(&error.to_string());
            if options.demo && error.is_forbidden() {
                return demo_without_namespace(&options);
            }
            error.exit_code()
        }
    }
}

fn demo_without_namespace(options: &RunOptions) -> u8 {
    say("so the demo plays between two engines in memory:");
    match demo_in_memory(options, &mut say) {
        Ok(()) => 0,
        Err(error) => {
            say(&error.to_string());
            error.exit_code()
        }
    }
}
