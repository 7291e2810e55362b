//! Texts between quotes with their escapes, read and written, and whole numbers.

use std::fmt;

/// Whose escapes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// C's, and no other.
    C,
    /// Few: a line's end falls away, any other character stands for itself.
    Code,
}

/// Bytes of a quoted text with both quotes, which it starts with; a backslash keeps the quote
/// after it from being the end. Code's texts end on their line.
pub(super) fn quoted_len(text: &str, quote: char, escapes: Escapes) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' if escapes == Escapes::Code => return None,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The bytes of a text with its escapes; where and how long an escape is that is not known.
pub(crate) fn unescape(text: &str, escapes: Escapes) -> Result<Vec<u8>, (usize, usize)> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let next = text[at + 1..].chars().next().map_or(0, char::len_utf8);
        let (byte, len) = match (escapes, bytes.get(at + 1)) {
            (_, Some(b'n')) => (b'\n', 2),
            (_, Some(b't')) => (b'\t', 2),
            (Escapes::C, _) => {
                of_c(&bytes[at + 1..]).map_err(|len| (at, len.unwrap_or(1 + next)))?
            }
            (Escapes::Code, Some(&c)) => {
                // The rest of a longer character follows by itself.
                if c != b'\n' {
                    out.push(c);
                }
                at += 2;
                continue;
            }
            (Escapes::Code, None) => return Err((at, 1)),
        };
        out.push(byte);
        at += len;
    }
    Ok(out)
}

/// An escape of C after its backslash: the byte, and the bytes of it all. Where it is none: its
/// bytes if it looks like one.
fn of_c(bytes: &[u8]) -> Result<(u8, usize), Option<usize>> {
    Ok(match bytes.first() {
        Some(b'r') => (b'\r', 2),
        Some(b'a') => (7, 2),
        Some(b'b') => (8, 2),
        Some(b'f') => (12, 2),
        Some(b'v') => (11, 2),
        Some(b'e') => (27, 2),
        Some(&c @ (b'\\' | b'"' | b'\'' | b'?')) => (c, 2),
        Some(b'x') => {
            digits(&bytes[1..], 16, 2).map(|(value, len)| (value, len + 2)).ok_or(Some(2))?
        }
        Some(b'0'..=b'7') => {
            digits(bytes, 8, 3).map(|(value, len)| (value, len + 1)).ok_or(Some(4))?
        }
        _ => return Err(None),
    })
}

/// The byte that up to `most` digits make, and how many they are; none if it is none.
fn digits(bytes: &[u8], radix: u32, most: usize) -> Option<(u8, usize)> {
    let len = bytes.iter().take(most).take_while(|&&b| char::from(b).is_digit(radix)).count();
    let text = std::str::from_utf8(&bytes[..len]).ok()?;
    Some((u8::from_str_radix(text, radix).ok()?, len))
}

/// Writes bytes between quotes, such that [`unescape`] gives them back.
pub(crate) fn write_quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for &byte in bytes {
        match byte {
            b'"' => f.write_str("\\\"")?,
            b'\\' => f.write_str("\\\\")?,
            b'\n' => f.write_str("\\n")?,
            b'\t' => f.write_str("\\t")?,
            b'\r' => f.write_str("\\r")?,
            b' '..=b'~' => write!(f, "{}", char::from(byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_str("\"")
}

/// The digits of a hexadecimal number, after its `0x`.
pub(super) fn hexadecimal(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

/// A whole number without a sign, decimal (`010` is ten) or hexadecimal with `0x`.
pub(crate) fn integer(text: &str) -> Option<i128> {
    match hexadecimal(text) {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
