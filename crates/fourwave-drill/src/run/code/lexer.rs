//! Code in words.

/// A word, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Int(i128),
    Float(f64),
    Str(String),
    Name(String),
    Op(&'static str),
    /// A line's end or `;`.
    End,
}

/// Longer ones first.
const OPERATORS: [&str; 35] = [
    "//=", "<<=", ">>=", "**", "==", "!=", "<=", ">=", "<<", ">>", "//", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "<", ">", "=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "(", ")",
    ",", ":",
];

/// The words of a snippet. Line ends within parentheses and after `\` are blanks.
pub(super) fn tokens(code: &str) -> Result<Vec<Token>, String> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut open) = (0, 0usize);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            b'\n' | b';' => {
                at += 1;
                if open > 0 && byte == b'\n' {
                    continue;
                }
                Kind::End
            }
            b'\\' if code[at + 1..].trim_start_matches([' ', '\t', '\r']).starts_with('\n') => {
                at += code[at..].find('\n').map_or(1, |to| to + 1);
                continue;
            }
            b'#' => {
                at += code[at..].find('\n').unwrap_or(code.len() - at);
                continue;
            }
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' | b'"' => string(code, &mut at)?,
            _ if byte.is_ascii_digit() || byte == b'.' => number(code, &mut at)?,
            _ if byte.is_ascii_alphabetic() || byte == b'_' => {
                at = end_of_word(code, at);
                Kind::Name(code[start..at].to_owned())
            }
            _ => {
                let rest = &code[at..];
                let found = OPERATORS.iter().find(|op| rest.starts_with(**op));
                let op = *found.ok_or_else(|| {
                    format!("{:?} means nothing in code", rest.chars().next().unwrap_or(' '))
                })?;
                at += op.len();
                match op {
                    "(" => open += 1,
                    ")" => open = open.saturating_sub(1),
                    _ => {}
                }
                Kind::Op(op)
            }
        };
        tokens.push(Token { kind, start, end: at });
    }
    Ok(tokens)
}

fn end_of_word(code: &str, from: usize) -> usize {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    code[from..].find(word).map_or(code.len(), |len| from + len)
}

fn number(code: &str, at: &mut usize) -> Result<Kind, String> {
    let start = *at;
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_');
    *at = code[start..].find(part).map_or(code.len(), |len| start + len);
    let text = code[start..*at].replace('_', "");
    let wrong = |_| format!("{text} is no number");
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i128::from_str_radix(hex, 16).map(Kind::Int).map_err(wrong);
    }
    if text.contains(['.', 'e', 'E']) {
        return text.parse().map(Kind::Float).map_err(|_| format!("{text} is no number"));
    }
    text.parse().map(Kind::Int).map_err(wrong)
}

fn string(code: &str, at: &mut usize) -> Result<Kind, String> {
    let quote = code.as_bytes()[*at] as char;
    let mut text = String::new();
    let mut characters = code[*at + 1..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, '\n')) => {}
                Some((_, other)) => text.push(other),
                None => break,
            },
            '\n' => break,
            _ if character == quote => {
                *at += 1 + offset + 1;
                return Ok(Kind::Str(text));
            }
            _ => text.push(character),
        }
    }
    Err("a text has no end".to_owned())
}
