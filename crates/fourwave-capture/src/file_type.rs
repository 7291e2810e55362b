//! What a file is that is no capture.

/// In words, from its first bytes and the compressions that they were in.
pub(crate) fn file_type(head: &[u8], layers: &[&str]) -> String {
    let hex = || {
        let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        bytes.join(" ")
    };
    let around = layers.join(" of ");
    match (kind(head), layers) {
        (Some(what), []) => format!("looks like {what}"),
        (Some(what), _) => format!("{around} of what looks like {what}"),
        (None, []) => format!("is nothing known, it begins with {}", hex()),
        (None, _) if head.is_empty() => format!("{around} of nothing"),
        (None, _) => format!("{around} of nothing known, it begins with {}", hex()),
    }
}

/// First bytes that say what a file is, and the way out where there is one.
const MAGIC: [(&[u8], &str); 14] = [
    (b"\x7fELF", "a program (ELF)"),
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"BZh", "bzip2; unpack it first (bzip2 -d)"),
    (b"\xfd7zXZ\0", "xz; unpack it first (xz -d)"),
    (b"\x04\x22\x4d\x18", "lz4; unpack it first (lz4 -d)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"PAR1", "a Parquet file"),
    (b"snoop\0\0\0", "a snoop capture; convert it with `editcap -F pcapng`"),
    (b"GMBU", "a Network Monitor capture; convert it with `editcap -F pcapng`"),
    (b"\x34\xcd\xb2\xa1", "a modified pcap; convert it with `editcap -F pcapng`"),
    (b"\xa1\xb2\xcd\x34", "a modified pcap; convert it with `editcap -F pcapng`"),
];

fn kind(head: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive; unpack it first (tar -x)");
    }
    if !head.is_empty() && head.iter().all(|byte| *byte == 0) {
        return Some("zeros: a file that was never written");
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut in two by the end of what was read.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{1b}');
    if text.is_empty() || !text.chars().all(is_text) {
        return None;
    }
    let begin = text.trim_start().to_ascii_lowercase();
    Some(if begin.starts_with("<!doctype html") || begin.starts_with("<html") {
        "a web page (HTML): an error page instead of the download?"
    } else if begin.starts_with("<?xml") {
        "XML"
    } else if begin.starts_with(['{', '[']) {
        "JSON"
    } else if begin.contains("> ") && begin.contains("flags [") {
        "what tcpdump prints; `tcpdump -w FILE` writes a capture"
    } else {
        "text"
    })
}
