//! Sockets by `/proc/net/tcp` and `tcp6`: where sock_diag is not to be had.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::decode::{Raw, canonical, timer};
use super::sockets::Sockets;

/// Reads both tables of a directory like `/proc/self/net`. Slow with many sockets: the kernel
/// walks and prints them by the page.
///
/// # Errors
/// `tcp` cannot be read. That there is no `tcp6` (IPv6 is switched off) is none.
pub(super) fn sockets(net: &Path) -> io::Result<Sockets> {
    let mut all = Sockets::default();
    read(&fs::read(net.join("tcp"))?, &mut all);
    match fs::read(net.join("tcp6")) {
        Ok(text) => read(&text, &mut all),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

/// Adds what a table lists; a line that is none of a socket is passed over.
fn read(text: &[u8], into: &mut Sockets) {
    for line in String::from_utf8_lossy(text).lines().skip(1) {
        into.add(line_of(line).and_then(|raw| raw.entry(None)));
    }
}

/// `0: 0100007F:0016 0200007F:C350 01 00000000:00000000 02:000A7D0C 00000002 1000 0 12345 …`:
/// ends, state, send and receive queue, timer and its time, retransmits, uid, (timeout), inode.
fn line_of(line: &str) -> Option<Raw> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let ends = [end(fields.next()?)?, end(fields.next()?)?];
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (unacked, unread) = pair(fields.next()?)?;
    let (kind, ticks) = pair(fields.next()?)?;
    let retransmits = u32::from_str_radix(fields.next()?, 16).ok()?;
    let uid = fields.next()?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    let retransmits = u8::try_from(retransmits).unwrap_or(u8::MAX);
    // A tick here is a hundredth of a second on every machine (USER_HZ).
    let timer = timer(u8::try_from(kind).ok()?, retransmits, ticks.saturating_mul(10));
    Some(Raw { state, ends, timer, queues: [unread, unacked], uid, inode })
}

/// Two hexadecimal numbers with a colon between.
fn pair(text: &str) -> Option<(u32, u32)> {
    let (a, b) = text.split_once(':')?;
    Some((u32::from_str_radix(a, 16).ok()?, u32::from_str_radix(b, 16).ok()?))
}

/// An address in words of 32 bits, each in this machine's order, and a port.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match address.len() {
        8 => Some((Ipv4Addr::from(word(0)?), port).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Some(canonical(Ipv6Addr::from(bytes), port, 0))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fourwave_core::state::State;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::{Timer, TimerKind};

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when …\n";

    fn table(lines: &str) -> Sockets {
        let mut all = Sockets::default();
        read(format!("{HEAD}{lines}").as_bytes(), &mut all);
        all
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_a_table() {
        let v6 = |last: &str| format!("0000000000000000FFFF0000{last}");
        let one = "00000000000000000000000001000000";
        let lines = [
            // Their number, ends, state, queues, timer, retransmits, uid, timeout, inode, more.
            "0: 00000000:07E8 00000000:0000 0A 00000000:00000003 00:00000000 00000000 0 0 1234 1 0"
                .to_owned(),
            "1: 0100007F:1F90 0200007F:C350 06 00000000:00000000 03:00000BB8 00000000 0 0 0 3 0"
                .to_owned(),
            format!(
                "2: {}:01BB {}:D431 08 00000000:00000006 00:00000000 00000000 1000 0 77 1 0",
                v6("0100000A"),
                v6("0200000A")
            ),
            format!(
                "3: {one}:01BB {one}:D431 09 00000001:00000000 01:0000012C 00000005 1000 0 0 1 0"
            ),
        ];
        let all = table(&lines.join("\n"));
        let listener = &all.listeners[0];
        assert_eq!((listener.local.to_string().as_str(), listener.queue), ("0.0.0.0:2024", 3));
        let [time_wait, close_wait, last_ack] = &all.sockets[..] else { panic!("three") };
        let expires = Duration::from_secs(30);
        let timer = Timer { kind: TimerKind::TimeWait, expires, retransmits: 0 };
        assert_eq!((time_wait.state, time_wait.timer), (State::TimeWait, Some(timer)));
        assert_eq!(time_wait.local.to_string(), "127.0.0.1:8080");
        assert_eq!(close_wait.local.to_string(), "10.0.0.1:443");
        assert_eq!((close_wait.unread, close_wait.unread_end), (5, true));
        assert_eq!((close_wait.inode, close_wait.uid), (77, 1000));
        assert_eq!(last_ack.remote.to_string(), "[::1]:54321");
        assert_eq!(last_ack.timer.map(|t| t.retransmits), Some(5));
        assert!(last_ack.is_orphan());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..300)) {
            read(&bytes, &mut Sockets::default());
        }

        #[test]
        fn any_line_like_text_is_read_without_panic(
            lines in vec("[ 0-9A-Fa-f:é]{0,160}", 0..4),
        ) {
            table(&lines.join("\n"));
        }
    }
}
