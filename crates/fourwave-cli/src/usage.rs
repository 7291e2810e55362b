//! The command line: help in the columns there are, errors in one line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};
use fourwave_lens::suggest::did_you_mean;

use crate::USAGE_ERROR;
use crate::arguments::Arguments;
use crate::layout::laid_out;
use crate::output::{Text, print, say};
use crate::terminal::{Screen, TextArguments};

/// Of every command: they have none of their own.
pub(crate) const VERSION: &str = concat!("fourwave ", env!("CARGO_PKG_VERSION"), "\n");

/// Reads the command line. What is no command (help, the version, a mistake) is printed; the error
/// is the exit status.
pub(crate) fn parse(line: Vec<OsString>) -> Result<Arguments, u8> {
    let early = TextArguments::early(line.iter().skip(1).cloned());
    let screen = early.stdout();
    let width = screen.prose();
    // clap wraps too, but knows no columns within the notes.
    let notes = |command: Command| match command.get_after_help().map(ToString::to_string) {
        Some(text) => command.after_help(laid_out(&text, width)),
        None => command,
    };
    let command = Arguments::command().term_width(width).mut_subcommands(notes);
    let matches = command.try_get_matches_from(line);
    matches
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .map_err(|error| report(&error, &screen))
}

/// Prints help as it is, and an error as one line; returns the exit status.
fn report(error: &clap::Error, screen: &Screen) -> u8 {
    match error.kind() {
        ErrorKind::DisplayVersion => {
            print(VERSION);
            0
        }
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let (out, status) = match error.use_stderr() {
                true => (Text::Stderr, USAGE_ERROR),
                false => (Text::Stdout, 0),
            };
            let text = error.render();
            let text = if screen.color { text.ansi().to_string() } else { text.to_string() };
            out.print(&screen.shown(text));
            status
        }
        _ => {
            say(&line(error));
            USAGE_ERROR
        }
    }
}

/// An error in one line.
fn line(error: &clap::Error) -> String {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) => {
            let arguments = Arguments::command();
            let commands = arguments.get_subcommands().map(Command::get_name);
            let hint = did_you_mean(name, commands)
                .unwrap_or_else(|| "`fourwave --help` lists them".to_owned());
            format!("there is no command {name}: {hint}")
        }
        _ => one_line(&error.render().to_string()),
    }
}

/// clap's text without its heading, the usage and the pointer to help, which it gives lines of
/// their own.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.take_while(|line| !line.starts_with("Usage:"));
    let words = lines
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect::<Vec<_>>();
    words.join(" ").trim_start_matches("error: ").replace(" tip: ", "; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn every_mistake_is_one_line_that_names_it() {
        for (arguments, names) in [
            (&["fourwave", "run", "--mtu", "99", "true"][..], "99"),
            (&["fourwave", "run", "--publsh", "1:2", "true"], "--publsh"),
            (&["fourwave", "run", "-p", "80", "true"], "ADDRESS:HOST-PORT:PORT"),
            (&["fourwave", "rum"], "no command rum: did you mean run?"),
            (&["fourwave", "help", "tarce"], "did you mean trace?"),
            (&["fourwave", "zzz"], "no command zzz: `fourwave --help` lists them"),
            (&["fourwave", "run", "--mtu", "x", "true"], "a whole number from 1280 to 65520"),
            (&["fourwave", "trace", "a", "--conn", "x"], "a whole number of at least 1"),
            (&["fourwave", "trace", "a", "--conn", "-1"], "-1"),
            (&["fourwave", "drill", "--from", "a", "--conn", "0"], "a whole number of at least 1"),
            (&["fourwave", "drill", "-j", "x", "a"], "a whole number from 1 to 1024"),
            (&["fourwave", "knobs", "--width", "9"], "a whole number from 40 to 500"),
            (&["fourwave", "run", "--demo", "true"], "--demo"),
        ] {
            let error = Arguments::try_parse_from(arguments).unwrap_err();
            let line = line(&error);
            assert!(line.contains(names) && !line.contains('\n'), "{line}");
            assert!(
                !line.contains("tip:") && !line.contains("Usage") && !line.starts_with("error"),
                "{line}"
            );
        }
    }

    #[test]
    fn a_command_of_the_help_stays_in_one_line() {
        for command in Arguments::command().get_subcommands() {
            let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in notes.lines().filter(|line| line.starts_with("  fourwave ")) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
    }
}
