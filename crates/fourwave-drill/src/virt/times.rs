//! When segments last passed: `tcpi_last_data_recv` and its relatives.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fourwave_core::Instant;
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::tcp::Flags;

/// The last segments of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    /// With text, from the peer; before any, when the connection opened.
    pub(super) text_came: Instant,
    /// With text, ours; the same.
    pub(super) text_went: Instant,
    /// With an ACK, from the peer.
    pub(super) ack_came: Instant,
    /// Only a SYN has come.
    opening: bool,
}

/// Of every connection, by our address and the peer's.
#[derive(Debug, Default)]
pub(super) struct Times(BTreeMap<(SocketAddr, SocketAddr), Last>);

/// What of a segment counts here.
struct Passing {
    src: SocketAddr,
    dst: SocketAddr,
    flags: Flags,
    text: bool,
}

fn read(packet: &[u8]) -> Option<Passing> {
    const LEAST_HEADER: usize = 20;
    let ip = IpHeader::parse(packet).ok()?;
    let tcp = packet.get(ip.payload.clone())?;
    if ip.protocol != protocol::TCP || tcp.len() < LEAST_HEADER {
        return None;
    }
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    Some(Passing {
        src: SocketAddr::new(ip.src, port(0)),
        dst: SocketAddr::new(ip.dst, port(2)),
        flags: Flags::from_bits(tcp[13]),
        text: tcp.len() > usize::from(tcp[12] >> 4) * 4,
    })
}

impl Times {
    pub(super) fn came(&mut self, packet: &[u8], now: Instant) {
        let Some(Passing { src, dst, flags, text }) = read(packet) else { return };
        let fresh = Last { text_came: now, text_went: now, ack_came: now, opening: true };
        let last = self.0.entry((dst, src)).or_insert(fresh);
        if flags.syn() || last.opening {
            *last = Last { opening: !flags.ack(), ..fresh };
        }
        if text {
            last.text_came = now;
        }
        if flags.ack() {
            last.ack_came = now;
        }
    }

    pub(super) fn went(&mut self, packet: &[u8], now: Instant) {
        let Some(Passing { src, dst, text: true, .. }) = read(packet) else { return };
        if let Some(last) = self.0.get_mut(&(src, dst)) {
            last.text_went = now;
        }
    }

    pub(super) fn of(&self, local: SocketAddr, remote: SocketAddr) -> Option<Last> {
        self.0.get(&(local, remote)).copied()
    }
}
