//! Lines made of styled pieces, whose width is counted without the styling.

use fourwave_core::state::State;

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it comes.
    Plain,
    /// Fainter.
    Dim,
    /// Bold.
    Bold,
    /// Red.
    Red,
    /// Green.
    Green,
    /// Yellow.
    Yellow,
    /// Blue.
    Blue,
    /// Cyan.
    Cyan,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Red => "\x1b[31m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Blue => "\x1b[34m",
            Self::Cyan => "\x1b[36m",
        }
    }

    /// The colour of a state: green while it lives, yellow while it closes, dim when gone.
    pub const fn of_state(state: State) -> Self {
        match state {
            State::Closed | State::Listen => Self::Dim,
            State::SynSent | State::SynReceived => Self::Cyan,
            State::Established => Self::Green,
            State::TimeWait => Self::Blue,
            State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => Self::Yellow,
        }
    }
}

/// One line in the making.
#[derive(Debug)]
pub struct Line {
    text: String,
    width: usize,
    color: bool,
}

impl Line {
    /// An empty one; without `color`, styles leave no trace.
    pub fn new(color: bool) -> Self {
        Self { text: String::new(), width: 0, color }
    }

    /// Appends `piece`. Every character counts as one column: only such are printed.
    pub fn put(&mut self, style: Style, piece: &str) -> &mut Self {
        self.width += piece.chars().count();
        if self.color && style != Style::Plain && !piece.trim().is_empty() {
            self.text.push_str(style.code());
            self.text.push_str(piece);
            self.text.push_str("\x1b[0m");
        } else {
            self.text.push_str(piece);
        }
        self
    }

    /// Spaces up to `column`; nothing when the line is there already.
    pub fn to(&mut self, column: usize) -> &mut Self {
        while self.width < column {
            self.text.push(' ');
            self.width += 1;
        }
        self
    }

    /// Ends the line, without spaces at its end.
    pub fn finish(self, out: &mut String) {
        out.push_str(self.text.trim_end());
        out.push('\n');
    }
}

/// Cuts `text` at spaces into lines of at most `width` columns; longer words are cut.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut columns = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if columns > 0 && columns + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            columns = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if columns > 0 {
            line.push(' ');
            columns += 1;
        }
        columns += word.len();
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` in nothing but ASCII. What becomes longer makes its line longer.
pub fn to_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'µ' => out.push('u'),
            '→' => out.push_str("->"),
            '←' => out.push_str("<-"),
            '│' => out.push('|'),
            '─' => out.push('-'),
            '█' | '▉' | '▊' | '▋' | '▌' => out.push('#'),
            '▍' | '▎' | '▏' => out.push('.'),
            '…' => out.push_str("..."),
            '·' => out.push('-'),
            '×' => out.push('x'),
            '±' => out.push_str("+-"),
            // A section of a standard.
            '§' => out.push_str("s."),
            c if c.is_ascii() => out.push(c),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_spaces_and_long_words_within() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a abcdefgh", 3), ["a", "abc", "def", "gh"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn what_ascii_lacks_is_written_otherwise() {
        assert_eq!(to_ascii("20ms±5ms → 3 µs, §3.8…é"), "20ms+-5ms -> 3 us, s.3.8...?");
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let mut line = Line::new(true);
        line.put(Style::Red, "RST").to(5).put(Style::Plain, "x");
        let mut out = String::new();
        line.finish(&mut out);
        assert_eq!(out, "\x1b[31mRST\x1b[0m  x\n");
    }
}
