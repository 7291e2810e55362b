//! The little of a shell's language that settings need: lines, words, quotes, comments.

/// The lines of a command, those that end with a backslash joined.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.replace("\\\n", " ").lines().map(|line| line.trim().to_owned()).collect()
}

/// The words of a line; none where it needs a real shell (variables, pipes, several commands,
/// patterns, redirections).
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some('"') | None, '$' | '`' | '\\') => return None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '~' | '{') => {
                return None;
            }
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_shells() {
        let split = |line| words(line).unwrap();
        assert_eq!(split("a  'b c'd\te"), ["a", "b cd", "e"]);
        assert_eq!(split("a=\"1 2\" # no more"), ["a=1 2"]);
        assert_eq!(split("a#b ''"), ["a#b", ""]);
        assert!(split("# nothing").is_empty());
    }

    #[test]
    fn what_needs_a_shell_is_left_to_it() {
        for line in ["a $b", "\"$(c)\"", "a | b", "a; b", "a >b", "a 'b", "a && b", "a\\ b"] {
            assert_eq!(words(line), None, "{line}");
        }
        assert!(words("'$a | b'").is_some());
    }

    #[test]
    fn long_lines_are_joined() {
        assert_eq!(lines("a \\\nb\n  c"), ["a  b", "c"]);
    }
}
