//! The command line: help in the columns there are, errors in one line.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches};

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
            say(&one_line(&error.render().to_string()));
            USAGE_ERROR
        }
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
            (&["fourwave", "rum"], "rum"),
            (&["fourwave", "run", "--demo", "true"], "--demo"),
        ] {
            let error = Arguments::try_parse_from(arguments).unwrap_err();
            let line = one_line(&error.render().to_string());
            assert!(line.contains(names) && !line.contains('\n'), "{line}");
            assert!(
                !line.contains("tip:") && !line.contains("Usage") && !line.starts_with("error"),
                "{line}"
            );
        }
    }
}
