//! What sock_diag answers: `struct inet_diag_msg` with its attributes.
//!
//! The request is netlink-packet-sock-diag's. Its answer is read here: that crate leaves out when
//! TIME_WAIT ends, refuses the shorter `tcp_info` of an older kernel, and allocates five times
//! for each socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use fourwave_core::state::State;
use netlink_packet_core::NlasIterator;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, INET_DIAG_INFO};

use crate::snapshot::{Listener, Socket, TcpInfo, Timer, TimerKind};

/// Bytes of `struct inet_diag_msg`.
const HEADER: usize = 72;

/// One socket as the kernel describes it.
pub(super) enum Entry {
    Listener(Listener),
    Socket(Socket),
}

/// Decodes one message. `None` for what is no TCP socket with a state that we know.
pub(super) fn entry(message: &[u8]) -> Option<Entry> {
    let header = message.get(..HEADER)?;
    let ends = [end(header, 8, 4)?, end(header, 24, 6)?];
    let raw = Raw {
        state: header[1],
        ends,
        timer: timer(header[2], header[3], number(header, 52)),
        queues: [number(header, 56), number(header, 60)],
        uid: number(header, 64),
        inode: number(header, 68).into(),
    };
    let mut info = None;
    for attribute in NlasIterator::new(&message[HEADER..]) {
        let Ok(attribute) = attribute else { break };
        if attribute.kind() == INET_DIAG_INFO {
            info = Some(Box::new(tcp_info(attribute.value())));
        }
    }
    raw.entry(info)
}

/// What sock_diag and `/proc/net/tcp` both tell of a socket.
pub(super) struct Raw {
    /// Linux's number of the state.
    pub(super) state: u8,
    pub(super) ends: [SocketAddr; 2],
    pub(super) timer: Option<Timer>,
    /// To be received and to be acknowledged; of a listener, its queue and its backlog.
    pub(super) queues: [u32; 2],
    pub(super) uid: u32,
    pub(super) inode: u64,
}

impl Raw {
    pub(super) fn entry(self, info: Option<Box<TcpInfo>>) -> Option<Entry> {
        let state = state(self.state)?;
        let Self { state: _, ends: [local, remote], timer, queues, uid, inode } = self;
        if state == State::Listen {
            let [queue, backlog] = queues;
            return Some(Entry::Listener(Listener {
                local,
                queue,
                backlog,
                half_open: 0,
                inode,
                uid,
            }));
        }
        // RCV.NXT is past the FIN, the program's place is not until it has read the end.
        let closed = matches!(state, State::CloseWait | State::LastAck | State::Closing);
        let unread_end = closed && queues[0] > 0;
        Some(Entry::Socket(Socket {
            state,
            local,
            remote,
            unread: queues[0] - u32::from(unread_end),
            unread_end,
            unacked: queues[1],
            inode,
            uid,
            timer,
            info,
        }))
    }
}

/// The state by Linux's number (`include/net/tcp_states.h`). 7 (CLOSE) and 13 (bound, nothing
/// else yet) are no connections.
fn state(number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listen,
        11 => State::Closing,
        _ => return None,
    })
}

/// The timer by Linux's number, milliseconds.
pub(super) fn timer(kind: u8, retransmits: u8, expires: u32) -> Option<Timer> {
    let kind = match kind {
        0 => return None,
        1 => TimerKind::Retransmit,
        2 => TimerKind::Keepalive,
        3 => TimerKind::TimeWait,
        4 => TimerKind::Persist,
        other => TimerKind::Other(other),
    };
    Some(Timer { kind, expires: Duration::from_millis(expires.into()), retransmits })
}

/// The address and the port that are there. IPv4 mapped into IPv6 becomes IPv4.
fn end(header: &[u8], address: usize, port: usize) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([header[port], header[port + 1]]);
    let bytes: [u8; 16] = header[address..address + 16].try_into().ok()?;
    match header[0] {
        AF_INET => {
            let [a, b, c, d, ..] = bytes;
            Some((Ipv4Addr::new(a, b, c, d), port).into())
        }
        AF_INET6 => Some(canonical(bytes.into(), port, number(header, 40))),
        _ => None,
    }
}

/// IPv4 where IPv6 only carries it; the interface where the address means nothing without.
pub(super) fn canonical(address: Ipv6Addr, port: u16, interface: u32) -> SocketAddr {
    match IpAddr::V6(address).to_canonical() {
        IpAddr::V4(v4) => (v4, port).into(),
        IpAddr::V6(v6) => {
            let scope = if v6.is_unicast_link_local() { interface } else { 0 };
            SocketAddrV6::new(v6, port, 0, scope).into()
        }
    }
}

/// The fields of use here. What an older kernel's shorter struct has not is 0.
fn tcp_info(bytes: &[u8]) -> TcpInfo {
    let millis = |at| Duration::from_millis(number(bytes, at).into());
    let long = |at: usize| {
        bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    TcpInfo {
        last_data_sent: millis(44),
        last_data_received: millis(52),
        last_ack_received: millis(56),
        rtt: Duration::from_micros(number(bytes, 68).into()),
        retransmits: number(bytes, 100),
        bytes_acked: long(120),
        bytes_received: long(128),
    }
}

/// The `u32` of this machine's order that is there; 0 past the end.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_message_is_read_without_panic(bytes in vec(any::<u8>(), 0..400)) {
            let _ = entry(&bytes);
        }

        #[test]
        fn any_attributes_are_read_without_panic(
            state in 0_u8..16,
            family in prop_oneof![Just(AF_INET), Just(AF_INET6)],
            rest in vec(any::<u8>(), 70..400),
        ) {
            let mut bytes = vec![family, state];
            bytes.extend(rest);
            let known = matches!(state, 1..=6 | 8..=12);
            prop_assert_eq!(entry(&bytes).is_some(), known);
        }
    }

    fn message(family: u8, state: u8) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[0] = family;
        bytes[1] = state;
        bytes
    }

    #[test]
    fn time_wait_tells_when_it_ends() {
        let mut bytes = message(AF_INET, 6);
        bytes[2] = 3;
        bytes[52..56].copy_from_slice(&59_000_u32.to_ne_bytes());
        let Some(Entry::Socket(socket)) = entry(&bytes) else { panic!("a socket") };
        let timer = socket.timer.expect("its timer");
        assert_eq!((timer.kind, timer.expires.as_secs()), (TimerKind::TimeWait, 59));
    }

    #[test]
    fn an_unread_fin_is_no_byte() {
        for (queue, unread, unread_end) in [(0_u32, 0, false), (1, 0, true), (6, 5, true)] {
            let mut bytes = message(AF_INET, 8);
            bytes[56..60].copy_from_slice(&queue.to_ne_bytes());
            let Some(Entry::Socket(socket)) = entry(&bytes) else { panic!("a socket") };
            assert_eq!((socket.unread, socket.unread_end), (unread, unread_end));
        }
    }

    #[test]
    fn mapped_is_ipv4() {
        let mut bytes = message(AF_INET6, 1);
        bytes[18..24].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        bytes[4..6].copy_from_slice(&443_u16.to_be_bytes());
        let Some(Entry::Socket(socket)) = entry(&bytes) else { panic!("a socket") };
        assert_eq!(socket.local, "10.0.0.1:443".parse().unwrap());
        assert_eq!(socket.remote, "[::]:0".parse().unwrap());
    }

    #[test]
    fn an_old_kernels_short_tcp_info_is_read_as_far_as_it_goes() {
        let mut info = vec![0; 104];
        info[56..60].copy_from_slice(&7_000_u32.to_ne_bytes());
        info[100..104].copy_from_slice(&3_u32.to_ne_bytes());
        let read = tcp_info(&info);
        assert_eq!(read.last_ack_received, Duration::from_secs(7));
        assert_eq!((read.retransmits, read.bytes_acked), (3, 0));
    }
}
