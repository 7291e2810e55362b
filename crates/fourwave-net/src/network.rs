//! Hosts, the packets between them, and the time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use fourwave_core::error::SendError;
use fourwave_core::time::Duration;
use fourwave_core::{ConnId, Instant};
use fourwave_wire::ip::IpHeader;
use fourwave_wire::{RxPacket, TxPacket};

use crate::convert::{Carry, convert};
use crate::host::Host;
use crate::link::{Bottleneck, Filter, Way};

/// A packet on its way, by time and then by the order in which it set out.
struct Moving {
    at: Instant,
    order: u64,
    from: usize,
    packet: RxPacket,
    /// Where it arrives; none while the filter is before it.
    to: Option<usize>,
}

impl PartialEq for Moving {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Moving {}

impl PartialOrd for Moving {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moving {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Hosts that reach each other through one filter. Packets go to the host whose address they
/// name, and nowhere when there is none.
pub struct Network<F> {
    /// The time; only ever later.
    pub now: Instant,
    /// The hosts, known by their index.
    pub ends: Vec<Host>,
    /// From a host to the filter. Without any the filter sees a packet as it is sent.
    pub access: Duration,
    /// From the filter to a host.
    pub delay: Duration,
    /// Where packets queue, if anywhere.
    pub bottleneck: Option<Bottleneck>,
    /// How packets are handed over.
    pub carry: Carry,
    /// What every packet passes.
    pub filter: F,
    /// Packets that were sent, lost ones too.
    pub packets: u64,
    moving: BinaryHeap<Reverse<Moving>>,
    order: u64,
    out: TxPacket,
}

impl<F: Filter> Network<F> {
    /// A network with a delay of 10 ms each way, all of it behind the filter.
    pub fn new(now: Instant, ends: Vec<Host>, filter: F) -> Self {
        Self {
            now,
            ends,
            access: Duration::ZERO,
            delay: Duration::from_millis(10),
            bottleneck: None,
            carry: Carry::default(),
            filter,
            packets: 0,
            moving: BinaryHeap::new(),
            order: 0,
            out: TxPacket::default(),
        }
    }

    /// Puts what the engines want to send on the way, and takes their events.
    pub fn flush(&mut self) {
        for from in 0..self.ends.len() {
            let mut out = std::mem::take(&mut self.out);
            while !self.ends[from].held_back
                && self.ends[from].engine.poll_transmit(self.now, &mut out)
            {
                for packet in convert(&out, self.carry) {
                    self.packets += 1;
                    if self.access.is_zero() {
                        self.pass(from, packet);
                    } else {
                        self.set_out(self.access, from, packet, None);
                    }
                }
            }
            self.out = out;
            let filter = &mut self.filter;
            self.ends[from].take_events(|report| filter.ended(from, report));
        }
    }

    /// A packet of `from` comes to the filter at this moment: a copy that was kept, say.
    pub fn inject(&mut self, from: usize, packet: Bytes) {
        let packet = RxPacket { bytes: packet, ..RxPacket::default() };
        self.set_out(Duration::ZERO, from, packet, None);
    }

    fn set_out(&mut self, after: Duration, from: usize, packet: RxPacket, to: Option<usize>) {
        self.order += 1;
        let (at, order) = (self.now + after, self.order);
        self.moving.push(Reverse(Moving { at, order, from, packet, to }));
    }

    /// A packet is at the filter.
    fn pass(&mut self, from: usize, mut packet: RxPacket) {
        match self.filter.decide(self.now, from, &packet.bytes) {
            Way::Pass => {}
            Way::Drop => return,
            Way::Rewrite(bytes) => packet.bytes = bytes,
        }
        let Ok(ip) = IpHeader::parse(&packet.bytes) else { return };
        let Some(to) = self.ends.iter().position(|host| host.ip == ip.dst) else { return };
        let mut delay = self.delay;
        if let Some(bottleneck) = self.bottleneck {
            let busy = &mut self.ends[from].busy;
            let Some(sent) = bottleneck.take(self.now, *busy, packet.bytes.len()) else { return };
            *busy = sent;
            delay += sent.since(self.now);
        }
        self.set_out(delay, from, packet, Some(to));
    }

    /// When the next thing happens; none when nothing ever will.
    fn next_time(&self) -> Option<Instant> {
        let timers = self.ends.iter().filter_map(|host| host.engine.poll_timeout());
        timers.chain(self.moving.peek().map(|Reverse(moving)| moving.at)).min()
    }

    /// Goes to the next thing that happens, when that is by `end`; otherwise to `end`, and is
    /// false.
    pub fn jump(&mut self, end: Instant) -> bool {
        let next = self.next_time().filter(|at| *at <= end);
        self.now = self.now.max(next.unwrap_or(end));
        next.is_some()
    }

    /// Every packet that is due goes on.
    ///
    /// # Panics
    /// An engine takes another's packet for none of its business.
    pub fn deliver(&mut self) {
        while self.moving.peek().is_some_and(|Reverse(moving)| moving.at <= self.now)
            && let Some(Reverse(Moving { from, packet, to, .. })) = self.moving.pop()
        {
            match to {
                Some(to) => assert!(self.ends[to].engine.handle_packet(self.now, &packet)),
                None => self.pass(from, packet),
            }
        }
    }

    /// Every timer that is due runs out.
    pub fn fire(&mut self) {
        for host in &mut self.ends {
            if host.engine.poll_timeout().is_some_and(|at| at <= self.now) {
                host.engine.handle_timeout(self.now);
            }
        }
    }

    /// Goes to the next thing that happens, and lets it. False when nothing ever will.
    pub fn step(&mut self) -> bool {
        self.flush();
        let Some(next) = self.next_time() else { return false };
        self.now = self.now.max(next);
        self.happen();
        true
    }

    /// As [`step`](Self::step), but goes to `end`, and is false, when nothing happens by then.
    pub fn step_until(&mut self, end: Instant) -> bool {
        self.flush();
        let happens = self.jump(end);
        self.happen();
        happens
    }

    /// What is due at this moment, if anything, and what the hosts say to it.
    fn happen(&mut self) {
        self.deliver();
        self.fire();
        self.flush();
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step_until(end) {}
    }

    /// Until nothing will ever happen again. False when that takes more than `most` steps.
    pub fn until_idle(&mut self, most: u64) -> bool {
        (0..most).any(|_| !self.step())
    }

    /// Opens a connection from a port of `from`, or of the engine's choice (0), to one of `to`.
    ///
    /// # Errors
    /// As the engine's.
    pub fn connect(
        &mut self,
        from: (usize, u16),
        to: (usize, u16),
    ) -> Result<ConnId, fourwave_core::error::ConnectError> {
        let (local, remote) = (self.ends[from.0].address(from.1), self.ends[to.0].address(to.1));
        self.ends[from.0].engine.connect(self.now, local, remote)
    }

    /// Queues all of `data`, letting time pass where there is no room. Returns the bytes queued:
    /// fewer than all when there will never be room for more.
    ///
    /// # Errors
    /// As the engine's.
    pub fn send(&mut self, host: usize, conn: ConnId, data: &[u8]) -> Result<usize, SendError> {
        let mut left = Bytes::copy_from_slice(data);
        while !left.is_empty() {
            let taken = self.ends[host].engine.send(self.now, conn, &mut left)?;
            if taken == 0 && !self.step() {
                break;
            }
        }
        self.flush();
        Ok(data.len() - left.len())
    }

    /// As [`read_all`](crate::read_all), and what the engine says to it is sent.
    pub fn read(&mut self, host: usize, conn: ConnId) -> (Vec<u8>, bool) {
        let read = crate::read_all(&mut self.ends[host].engine, self.now, conn);
        self.flush();
        read
    }
}
