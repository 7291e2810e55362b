//! Texts between quotes: C's escapes, read and written.

use std::fmt;

/// The bytes of a text with its escapes; where and how long an escape is that C does not know.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, (usize, usize)> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let (byte, len) = match bytes.get(at + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'a') => (7, 2),
            Some(b'b') => (8, 2),
            Some(b'f') => (12, 2),
            Some(b'v') => (11, 2),
            Some(b'e') => (27, 2),
            Some(&c @ (b'\\' | b'"' | b'\'' | b'?')) => (c, 2),
            Some(b'x') => digits(&bytes[at + 2..], 16, 2)
                .map(|(value, len)| (value, len + 2))
                .ok_or((at, 2))?,
            Some(b'0'..=b'7') => digits(&bytes[at + 1..], 8, 3)
                .map(|(value, len)| (value, len + 1))
                .ok_or((at, 4))?,
            _ => {
                let next = text[at + 1..].chars().next().map_or(0, char::len_utf8);
                return Err((at, 1 + next));
            }
        };
        out.push(byte);
        at += len;
    }
    Ok(out)
}

/// The byte that up to `most` digits make, and how many they are; none if it is none.
fn digits(bytes: &[u8], radix: u32, most: usize) -> Option<(u8, usize)> {
    let len = bytes.iter().take(most).take_while(|&&b| char::from(b).is_digit(radix)).count();
    let text = std::str::from_utf8(&bytes[..len]).ok()?;
    Some((u8::from_str_radix(text, radix).ok()?, len))
}

/// Writes bytes between quotes, such that [`unescape`] gives them back.
pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
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
