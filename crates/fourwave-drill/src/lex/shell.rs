//! The little of a shell's language that scripts need: lines, commands, words, quotes, comments.

/// The lines of a text, those that end with a backslash joined.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.replace("\\\n", " ").lines().map(|line| line.trim().to_owned()).collect()
}

/// The commands of a text: its lines and what `;` and `&&` divide, without comments.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for line in lines(text) {
        let mut from = 0;
        let mut end = 0;
        for (at, part) in Parts::of(&line) {
            let divider = match part {
                Part::Plain(';') => 1,
                Part::Plain('&') if at >= from && line[at..].starts_with("&&") => 2,
                _ => 0,
            };
            if divider > 0 {
                commands.push(line[from..at].trim().to_owned());
                from = at + divider;
            }
            end = at + part.len();
        }
        commands.push(line[from..end.max(from)].trim().to_owned());
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// The words of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// Without the quotes that held them together.
    pub(crate) words: Vec<String>,
    /// They are all that the line says; it needs a real shell otherwise (variables, pipes, several
    /// commands, patterns, redirections, a quote that is still open).
    pub(crate) plain: bool,
}

/// Splits a line into words, up to a comment.
pub(crate) fn words(line: &str) -> Words {
    let mut parts = Parts::of(line);
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut plain = true;
    for (_, part) in &mut parts {
        match part {
            Part::Blank(_) => words.extend(word.take()),
            Part::Quote => drop(word.get_or_insert_default()),
            Part::Plain(c) => {
                plain &= !"$`\\|&;<>()*?[~{".contains(c);
                word.get_or_insert_default().push(c);
            }
            Part::Quoted(quote, c) => {
                plain &= quote != '"' || !"$`\\".contains(c);
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    Words { words, plain: plain && parts.quote.is_none() }
}

/// A character of a line.
#[derive(Clone, Copy)]
enum Part {
    /// Between words.
    Blank(char),
    /// A quote that opens or closes.
    Quote,
    /// In a word.
    Plain(char),
    /// Between quotes of this kind.
    Quoted(char, char),
}

impl Part {
    fn len(self) -> usize {
        match self {
            Self::Quote => 1,
            Self::Blank(c) | Self::Plain(c) | Self::Quoted(_, c) => c.len_utf8(),
        }
    }
}

/// The characters of a line with their places, up to a comment.
struct Parts<'a> {
    rest: std::str::CharIndices<'a>,
    quote: Option<char>,
    in_word: bool,
}

impl<'a> Parts<'a> {
    fn of(line: &'a str) -> Self {
        Self { rest: line.char_indices(), quote: None, in_word: false }
    }
}

impl Iterator for Parts<'_> {
    type Item = (usize, Part);

    fn next(&mut self) -> Option<Self::Item> {
        let (at, c) = self.rest.next()?;
        let part = match (self.quote, c) {
            (Some(open), _) if c == open => {
                self.quote = None;
                Part::Quote
            }
            (Some(open), _) => Part::Quoted(open, c),
            (None, '"' | '\'') => {
                self.quote = Some(c);
                Part::Quote
            }
            (None, '#') if !self.in_word => return None,
            (None, _) if c.is_whitespace() => Part::Blank(c),
            (None, _) => Part::Plain(c),
        };
        self.in_word = !matches!(part, Part::Blank(_) | Part::Plain(';' | '&'));
        Some((at, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> Option<Vec<String>> {
        let split = words(line);
        split.plain.then_some(split.words)
    }

    #[test]
    fn words_are_a_shells() {
        let split = |line| plain(line).unwrap();
        assert_eq!(split("a  'b c'd\te"), ["a", "b cd", "e"]);
        assert_eq!(split("a=\"1 2\" # no more"), ["a=1 2"]);
        assert_eq!(split("a#b ''"), ["a#b", ""]);
        assert!(split("# nothing").is_empty());
    }

    #[test]
    fn what_needs_a_shell_is_left_to_it() {
        for line in ["a $b", "\"$(c)\"", "a | b", "a; b", "a >b", "a 'b", "a && b", "a\\ b"] {
            assert_eq!(plain(line), None, "{line}");
        }
        assert!(plain("'$a | b'").is_some());
    }

    #[test]
    fn long_lines_are_joined() {
        assert_eq!(lines("a \\\nb\n  c"), ["a  b", "c"]);
    }

    #[test]
    fn commands_are_divided_where_no_quote_is_open() {
        assert_eq!(commands("a; b &&c\n # d\n\ne \\\n f # g; h"), ["a", "b", "c", "e   f"]);
        assert_eq!(commands("a '; #' \"&&\";; b & c"), ["a '; #' \"&&\"", "b & c"]);
        assert_eq!(commands("a &&# b; c"), ["a"]);
        assert!(commands("# a; b").is_empty());
    }
}
