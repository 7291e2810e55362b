//! What the stack sends, with the moment at which it came out of the TUN.

use std::hint;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use fourwave_linux::calls;
use fourwave_linux::vnet;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// The end of a wait is spent without sleeping: the kernel wakes late by up to this much.
const SPIN: Duration = Duration::from_micros(40);
/// How often the thread looks whether it is wanted still.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// A thread that reads the TUN.
#[derive(Debug)]
pub(super) struct Sniffer {
    packets: Receiver<(Instant, Vec<u8>)>,
    stop: Arc<AtomicBool>,
}

impl Sniffer {
    pub(super) fn start(tun: Arc<OwnedFd>) -> io::Result<Self> {
        let (sender, packets) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::Builder::new().name("sniffer".into()).spawn(move || {
            let _ordinary = calls::real_time();
            while !stopped.load(Ordering::Relaxed) && read_all(&tun, &sender) {}
        })?;
        Ok(Self { packets, stop })
    }

    /// The next packet, waited for until `until`.
    pub(super) fn next(&self, until: Instant) -> Result<Option<(Instant, Vec<u8>)>, String> {
        let gone = || "the TUN can be read no more".to_owned();
        loop {
            match self.packets.try_recv() {
                Ok(packet) => return Ok(Some(packet)),
                Err(TryRecvError::Disconnected) => return Err(gone()),
                Err(TryRecvError::Empty) => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let Some(sleep) = left.checked_sub(SPIN) else {
                hint::spin_loop();
                continue;
            };
            match self.packets.recv_timeout(sleep) {
                Ok(packet) => return Ok(Some(packet)),
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Drops what was read so far.
    pub(super) fn forget(&self) {
        while self.packets.try_recv().is_ok() {}
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Waits for packets and hands them on. False when there will be no more.
fn read_all(tun: &OwnedFd, sender: &Sender<(Instant, Vec<u8>)>) -> bool {
    let mut ready = [PollFd::from_borrowed_fd(tun.as_fd(), PollFlags::IN)];
    match rustix::event::poll(&mut ready, Some(&LOOK)) {
        Ok(0) | Err(Errno::INTR) => return true,
        Ok(_) => {}
        Err(_) => return false,
    }
    let mut buffer = vec![0; vnet::LEN + 65_536];
    loop {
        match rustix::io::read(tun, &mut buffer[..]) {
            Ok(len) => {
                let at = Instant::now();
                let packet = buffer.get(vnet::LEN..len).unwrap_or_default();
                if is_of_interest(packet) && sender.send((at, packet.to_vec())).is_err() {
                    return false;
                }
            }
            Err(Errno::INTR) => {}
            // EIO: the interface is down, which a script may have asked for.
            Err(Errno::AGAIN | Errno::IO) => return true,
            Err(_) => return false,
        }
    }
}

/// TCP, UDP and ICMP; not what the kernel says of its own accord to make IPv6 work (neighbours,
/// routers, multicast listeners).
fn is_of_interest(packet: &[u8]) -> bool {
    const ICMP: u8 = 1;
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const FRAGMENT: u8 = 44;
    const ICMPV6: u8 = 58;
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => packet.get(9).is_some_and(|protocol| [ICMP, TCP, UDP].contains(protocol)),
        Some(6) => match packet.get(6) {
            Some(&ICMPV6) => packet.get(40).is_some_and(|kind| !(130..=143).contains(kind)),
            Some(next) => [TCP, UDP, FRAGMENT].contains(next),
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_talk_is_left_out() {
        let v4 = |protocol: u8| {
            let mut packet = vec![0x45; 20];
            packet[9] = protocol;
            packet
        };
        let v6 = |next: u8, first: u8| {
            let mut packet = vec![0x60; 48];
            packet[6] = next;
            packet[40] = first;
            packet
        };
        for wanted in [v4(1), v4(6), v4(17), v6(6, 0), v6(17, 0), v6(58, 2), v6(58, 1)] {
            assert!(is_of_interest(&wanted), "{wanted:?}");
        }
        // IGMP; hop-by-hop with MLD; router and neighbour solicitations; nothing.
        for other in [v4(2), v6(0, 58), v6(58, 133), v6(58, 135), v6(58, 143), vec![], vec![0x60]] {
            assert!(!is_of_interest(&other), "{other:?}");
        }
    }
}
