#![no_main]

use std::io::Cursor;

use fourwave_capture::Reader;

// Whatever is said to be a capture is read to its end, in bounded memory (libFuzzer ends a run of
// more than 2 GiB), and what is told of it adds up.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::new(Cursor::new(bytes.to_vec())) else { return };
    let mut frames = 0;
    let mut with_ip = 0;
    while let Some(packet) = reader.next() {
        frames += 1;
        assert_eq!(packet.number, frames);
        if let Some(ip) = packet.ip {
            assert!(!ip.is_empty() && ip.len() <= packet.wire_len);
            with_ip += 1;
        }
    }
    let tally = reader.tally();
    let unknown: u64 = tally.unknown_links.iter().map(|(_, count)| count).sum();
    assert_eq!(tally.frames, frames);
    assert_eq!(frames - with_ip, tally.other + tally.twice + unknown);
    if let Some(line) = reader.damaged() {
        assert_eq!(line.lines().count(), 1, "{line}");
    }
});
