//! How text looks where it goes: columns, colours, more than ASCII. One rule for every command.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use clap::{Args, ValueEnum};
use fourwave_lens::ladder::LadderOptions;

use crate::number::whole;

/// Columns of text, as a person may ask for them.
const COLUMNS: std::ops::RangeInclusive<u16> = 40..=500;
/// Columns of prose where nobody says how many there are.
const PROSE: usize = 80;
/// Columns of ladders and reports there; also the widest that prose is on a terminal.
const REPORT: usize = 100;

/// What a person asks of all text.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Text, in every command")]
pub(crate) struct TextArguments {
    /// Colours: auto, always or never; auto heeds the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    color: When,

    /// Columns, 40 to 500; by default COLUMNS, or the terminal's, or 80 (ladders and reports: 100)
    #[arg(long, global = true, value_name = "COLUMNS",
          value_parser = whole::<u16>(u64::from(*COLUMNS.start())..=u64::from(*COLUMNS.end())))]
    width: Option<u16>,

    /// Only ASCII; by default what the locale has
    #[arg(long, global = true)]
    ascii: bool,
}

/// When text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    #[default]
    Auto,
    Always,
    Never,
}

/// How text looks on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns that someone asked for.
    asked: Option<usize>,
    /// Columns that the terminal has.
    terminal: Option<usize>,
    /// ANSI colours.
    pub(crate) color: bool,
    /// Nothing but ASCII.
    pub(crate) ascii: bool,
    /// What stands there can be written over.
    pub(crate) live: bool,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    is_terminal: bool,
    columns: Option<u16>,
}

/// The variables that count.
#[derive(Clone, Debug, Default)]
struct Environment {
    columns: Option<OsString>,
    no_color: Option<OsString>,
    clicolor_force: Option<OsString>,
    term: Option<OsString>,
    /// In the order in which they are asked.
    locale: [Option<OsString>; 3],
}

impl TextArguments {
    /// Standard output.
    pub(crate) fn stdout(&self) -> Screen {
        self.screen(&Environment::of_the_process(), Stream::of(io::stdout()))
    }

    /// Standard error.
    pub(crate) fn stderr(&self) -> Screen {
        self.screen(&Environment::of_the_process(), Stream::of(io::stderr()))
    }

    /// A file.
    pub(crate) fn file(&self) -> Screen {
        self.screen(&Environment::of_the_process(), Stream::default())
    }

    /// What a command line asks that cannot be read, or that asks for help: as far as it goes.
    pub(crate) fn early(line: impl IntoIterator<Item = OsString>) -> Self {
        let mut asked = Self::default();
        let mut words = line.into_iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            match name {
                "--" => break,
                "--ascii" => asked.ascii = true,
                "--width" => {
                    let value = value.or_else(|| words.next()).and_then(|value| value.parse().ok());
                    asked.width = value.filter(|width| COLUMNS.contains(width));
                }
                "--color" => {
                    let value = value.or_else(|| words.next()).unwrap_or_default();
                    asked.color = When::from_str(&value, false).unwrap_or_default();
                }
                _ => {}
            }
        }
        asked
    }

    /// The rule.
    fn screen(&self, environment: &Environment, stream: Stream) -> Screen {
        let Self { color, width, ascii } = *self;
        let live = stream.is_terminal && environment.has_capable_terminal();
        let color = match color {
            When::Always => true,
            When::Never => false,
            When::Auto if is_set(&environment.no_color) => false,
            When::Auto => live || environment.forces_color(),
        };
        let asked = width.map(usize::from).or_else(|| environment.columns());
        let terminal = stream.columns.filter(|columns| *columns > 0);
        let terminal = terminal.map(|columns| usize::from(columns.max(*COLUMNS.start())));
        Screen { asked, terminal, color, ascii: ascii || !environment.has_utf8(), live }
    }
}

/// Set, and not to nothing: <https://no-color.org>.
fn is_set(variable: &Option<OsString>) -> bool {
    variable.as_ref().is_some_and(|value| !value.is_empty())
}

impl Stream {
    fn of(stream: impl AsFd + IsTerminal) -> Self {
        let columns = rustix::termios::tcgetwinsize(&stream).ok().map(|size| size.ws_col);
        Self { is_terminal: stream.is_terminal(), columns }
    }
}

impl Environment {
    fn of_the_process() -> Self {
        Self {
            columns: env::var_os("COLUMNS"),
            no_color: env::var_os("NO_COLOR"),
            clicolor_force: env::var_os("CLICOLOR_FORCE"),
            term: env::var_os("TERM"),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"].map(env::var_os),
        }
    }

    /// Whoever exports it wants it, on a terminal or not.
    fn columns(&self) -> Option<usize> {
        let columns: usize = self.columns.as_ref()?.to_str()?.parse().ok()?;
        let [least, most] = [COLUMNS.start(), COLUMNS.end()].map(|n| usize::from(*n));
        (columns > 0).then(|| columns.clamp(least, most))
    }

    /// <https://bixense.com/clicolors>.
    fn forces_color(&self) -> bool {
        is_set(&self.clicolor_force) && self.clicolor_force.as_ref().is_some_and(|set| set != "0")
    }

    fn has_capable_terminal(&self) -> bool {
        self.term.as_ref().is_some_and(|term| term != "dumb")
    }

    fn has_utf8(&self) -> bool {
        let set = self.locale.iter().flatten().find(|value| !value.is_empty());
        let locale = set.map(|value| value.to_string_lossy().to_ascii_lowercase());
        let locale = locale.unwrap_or_default();
        // The C locale says nothing about the terminal, and nearly all of them can.
        matches!(locale.as_str(), "" | "c" | "posix")
            || locale.contains("utf-8")
            || locale.contains("utf8")
    }
}

impl Screen {
    /// Columns of text that is read as such: help, lessons, scenarios.
    pub(crate) fn prose(&self) -> usize {
        self.at_most(PROSE)
    }

    /// Columns of a report.
    pub(crate) fn report(&self) -> usize {
        self.at_most(REPORT)
    }

    /// As asked; else the terminal's as far as they make reading easier.
    fn at_most(&self, unknown: usize) -> usize {
        self.asked.or(self.terminal.map(|columns| columns.min(REPORT))).unwrap_or(unknown)
    }

    /// All the columns that there are.
    pub(crate) fn room(&self) -> usize {
        self.asked.or(self.terminal).unwrap_or(REPORT)
    }

    /// How a ladder looks, which is as wide as there is room.
    pub(crate) fn ladder(&self) -> LadderOptions {
        let width = self.room();
        LadderOptions { width, color: self.color, ascii: self.ascii, ..LadderOptions::default() }
    }

    /// `text` as it can be shown here.
    pub(crate) fn shown(&self, text: String) -> String {
        if self.ascii { fourwave_lens::paint::to_ascii(&text) } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Stream = Stream { is_terminal: true, columns: Some(132) };
    const FILE: Stream = Stream { is_terminal: false, columns: None };

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let of = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        Environment {
            columns: of("COLUMNS"),
            no_color: of("NO_COLOR"),
            clicolor_force: of("CLICOLOR_FORCE"),
            term: of("TERM"),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"].map(of),
        }
    }

    fn screen(line: &str, stream: Stream, variables: &[(&str, &str)]) -> Screen {
        let asked = TextArguments::early(line.split_whitespace().map(OsString::from));
        asked.screen(&environment(variables), stream)
    }

    #[test]
    fn width_is_asked_for_or_columns_or_the_terminals_or_known() {
        let widths = |line: &str, stream: Stream, variables: &[(&str, &str)]| {
            let screen = screen(line, stream, variables);
            (screen.prose(), screen.report(), screen.ladder().width)
        };
        assert_eq!(widths("", FILE, &[]), (80, 100, 100));
        assert_eq!(widths("", TERMINAL, &[]), (100, 100, 132));
        assert_eq!(widths("", Stream { columns: Some(90), ..TERMINAL }, &[]), (90, 90, 90));
        assert_eq!(widths("", Stream { columns: Some(9), ..TERMINAL }, &[]), (40, 40, 40));
        assert_eq!(widths("", Stream { columns: Some(0), ..TERMINAL }, &[]), (80, 100, 100));
        for stream in [FILE, TERMINAL] {
            let columns = [("COLUMNS", "120")];
            assert_eq!(widths("", stream, &columns), (120, 120, 120));
            assert_eq!(widths("--width 60", stream, &columns), (60, 60, 60));
            assert_eq!(widths("--width=60", stream, &[]), (60, 60, 60));
            assert_eq!(widths("", stream, &[("COLUMNS", "3")]).0, 40);
            assert_eq!(widths("", stream, &[("COLUMNS", "9000")]).0, 500);
        }
        for nothing in ["", "0", "-1", "wide"] {
            assert_eq!(widths("", FILE, &[("COLUMNS", nothing)]), (80, 100, 100));
        }
        // What the parser refuses is not heard of here.
        assert_eq!(widths("--width 39", FILE, &[]).0, 80);
    }

    #[test]
    fn colours_are_for_terminals_that_have_them_and_for_who_asks() {
        let color =
            |line: &str, stream, variables: &[(&str, &str)]| screen(line, stream, variables).color;
        let xterm = ("TERM", "xterm");
        assert!(color("", TERMINAL, &[xterm]));
        assert!(!color("", FILE, &[xterm]));
        assert!(!color("", TERMINAL, &[("TERM", "dumb")]));
        assert!(!color("", TERMINAL, &[]), "no TERM at all");
        assert!(!color("", TERMINAL, &[xterm, ("NO_COLOR", "1")]));
        assert!(color("", TERMINAL, &[xterm, ("NO_COLOR", "")]), "set to nothing is not set");
        assert!(color("", FILE, &[("CLICOLOR_FORCE", "1")]));
        assert!(color("", TERMINAL, &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")]));
        for unforced in ["", "0"] {
            assert!(!color("", FILE, &[("CLICOLOR_FORCE", unforced)]));
        }
        assert!(!color("", FILE, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        // What is typed goes over what is set.
        let against = [("TERM", "dumb"), ("NO_COLOR", "1")];
        assert!(color("--color always", FILE, &against));
        assert!(color("--color=always", FILE, &against));
        assert!(!color("--color never", TERMINAL, &[xterm, ("CLICOLOR_FORCE", "1")]));
        assert!(color("--color auto", TERMINAL, &[xterm]));
    }

    #[test]
    fn more_than_ascii_is_for_locales_that_have_it() {
        let ascii = |line: &str, variables: &[(&str, &str)]| screen(line, FILE, variables).ascii;
        for utf8 in ["", "C", "POSIX", "C.UTF-8", "en_US.utf8", "de_DE.UTF-8@euro"] {
            assert!(!ascii("", &[("LC_ALL", utf8)]), "{utf8}");
        }
        assert!(!ascii("", &[]));
        for other in ["de_DE.ISO-8859-1", "ja_JP.eucJP", "en_US"] {
            for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
                assert!(ascii("", &[(name, other)]), "{name}={other}");
            }
        }
        assert!(!ascii("", &[("LC_ALL", "C.UTF-8"), ("LANG", "en_US")]), "the first that is set");
        assert!(ascii("", &[("LC_ALL", ""), ("LC_CTYPE", "en_US"), ("LANG", "C.UTF-8")]));
        assert!(ascii("--ascii", &[("LC_ALL", "C.UTF-8")]));
    }

    #[test]
    fn what_can_be_written_over_is_a_terminal_that_is_not_dumb() {
        let live = |stream, term| screen("", stream, &[("TERM", term)]).live;
        assert!(live(TERMINAL, "xterm"));
        assert!(!live(TERMINAL, "dumb") && !live(FILE, "xterm"));
    }

    #[test]
    fn what_stands_behind_two_dashes_is_not_ours() {
        assert!(!screen("run -- ls --ascii --color always", FILE, &[]).color);
    }
}
