//! Packets between engines and links.

use std::net::IpAddr;

use bytes::Bytes;
use fourwave_net::{Carry, convert};
use fourwave_wire::checksum::Sum;
use fourwave_wire::icmp::{IcmpError, emit_error};
use fourwave_wire::ip::{IpHeader, ecn};
use fourwave_wire::{GsoKind, Link, RxChecksum, RxPacket, TxChecksum, TxPacket};

use super::{MOST_AT_ONCE, World};
use crate::failure::Failure;
use crate::watch::Sighting;

/// Share of the ECN-capable packets that the network marks.
const MARKED: f64 = 0.05;

/// An ECN-capable packet with the network's mark (RFC 3168 §5).
fn marked(packet: &Bytes) -> Option<Bytes> {
    let ip = IpHeader::parse(packet).ok().filter(|ip| ip.ecn == ecn::ECT_0)?;
    let mut bytes = packet.to_vec();
    if ip.src.is_ipv6() {
        bytes[1] |= ecn::CE << 4;
    } else {
        bytes[1] |= ecn::CE;
        bytes[10..12].fill(0);
        let sum = Sum::default().with(&bytes[..ip.payload.start]).finish();
        bytes[10..12].copy_from_slice(&sum);
    }
    Some(bytes.into())
}

impl World {
    /// What the engines have to send, to tell and to be asked at this moment, until there is no
    /// more of it.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        let mut rounds = 0;
        loop {
            let mut busy = false;
            for host in 0..self.hosts.len() {
                // Callers do it in either order.
                if self.dice.chance(0.5) {
                    busy |= self.transmit(host)?;
                    busy |= self.tell(host)?;
                } else {
                    busy |= self.tell(host)?;
                    busy |= self.transmit(host)?;
                }
            }
            for &n in &self.live {
                let app = &mut self.apps[n];
                let looked = app.look(&self.hosts[app.plan.host].engine);
                if let Err(what) = looked {
                    return self.fail(Some(n / 2), format!("{}: {what}", super::side(n)));
                }
            }
            if !busy {
                return self.check_population();
            }
            rounds += 1;
            if rounds > MOST_AT_ONCE {
                return self.fail(self.unfinished(), "no end of events at one moment");
            }
        }
    }

    /// Puts on the links what a host has to send. Whether there was anything.
    fn transmit(&mut self, host: usize) -> Result<bool, Failure> {
        let mut out = TxPacket::default();
        let mut sent = 0;
        while self.hosts[host].engine.poll_transmit(self.now, &mut out) {
            sent += 1;
            self.outcome.packets += 1;
            if sent > MOST_AT_ONCE {
                return self.fail(self.unfinished(), "poll_transmit does not come to an end");
            }
            self.put_on_the_link(host, &out)?;
        }
        Ok(sent > 0)
    }

    fn put_on_the_link(&mut self, host: usize, out: &TxPacket) -> Result<(), Failure> {
        let link = self.hosts[host].plan.link;
        let whole = out.meta.gso_kind == GsoKind::None;
        let limit = if whole { u32::from(link.mtu) } else { link.gso_max };
        if out.meta.len as u32 > limit || whole != (out.meta.gso_size == 0) {
            return self.fail(None, format!("the link cannot carry {:?}", out.meta));
        }
        if out.meta.checksum != TxChecksum::Complete && !link.checksum_offload {
            return self.fail(None, "a partial checksum for a device that finishes none");
        }
        for packet in convert(out, Carry::Whole) {
            let (conn, to) = self.look_at(host, &packet.bytes, packet.gso_size)?;
            let Some(&n) = self.routes.get(&(host, to)) else {
                return self.fail(conn, format!("a packet for {to}, where no link leads"));
            };
            match self.carry(n, &packet, link) {
                Carry::Whole => self.offer(n, packet),
                carry => convert(out, carry).for_each(|packet| self.offer(n, packet)),
            }
        }
        Ok(())
    }

    /// How a link, by its number, hands over a packet of a host with `link`.
    fn carry(&mut self, pipe: usize, packet: &RxPacket, link: Link) -> Carry {
        let super::Pipe { plan, dice, .. } = &mut self.pipes[pipe];
        let cut = dice.chance(plan.cut) || plan.mtu.is_some();
        if packet.gso_size > 0 && cut {
            return Carry::Cut;
        }
        // A link within one machine may vouch for what never crossed a wire.
        let trusted = link.checksum_offload && dice.chance(0.3);
        if trusted { Carry::Trusted } else { Carry::Whole }
    }

    /// Holds a packet that leaves its host against the rules. Its connection, if it has one, and
    /// where it is to go.
    fn look_at(
        &mut self,
        host: usize,
        bytes: &[u8],
        gso_size: u16,
    ) -> Result<(Option<usize>, IpAddr), Failure> {
        let at = self.age();
        if let Some(lens) = &mut self.lens {
            let _ = lens.observe(at, bytes, bytes.len(), gso_size);
        }
        let Some(seen) = Sighting::read(bytes, RxChecksum::Unverified) else {
            return self.fail(None, "a packet left that no host would take for TCP");
        };
        let conn = self.conn_of(seen.src, seen.dst);
        self.incarnations.sent(&seen, self.by_address.get(&(seen.src, seen.dst)).copied());
        self.hosts[host].ledger.sends(seen.header.flags);
        self.tell_trace("sends", &seen);
        match self.watch.sent(self.age(), &seen, bytes, gso_size) {
            Ok(()) => Ok((conn, seen.dst.ip())),
            Err(what) => self.fail(conn, format!("{} sends {}: {what}", seen.src, told(&seen))),
        }
    }

    fn tell_trace(&mut self, what: &str, seen: &Sighting) {
        let (at, conn) = (self.age().as_secs_f64(), self.conn_of(seen.src, seen.dst));
        let Some(trace) = &mut self.trace else { return };
        let conn = conn.map_or("?".to_owned(), |conn| conn.to_string());
        trace(&format!("{at:.6} {conn} {} {what}: {}", seen.src, told(seen)));
    }

    fn offer(&mut self, pipe: usize, mut packet: RxPacket) {
        let at = self.age();
        if let Some(marked) = marked(&packet.bytes)
            && self.pipes[pipe].dice.chance(MARKED)
        {
            packet.bytes = marked;
        }
        if self.pipes[pipe].plan.dead_after.is_some_and(|dead| at >= dead) {
            self.outcome.faults += 1;
            return;
        }
        if let Some(mtu) = self.pipes[pipe].plan.mtu.map(u32::from)
            && packet.bytes.len() as u32 > mtu
        {
            return self.too_big(pipe, mtu, &packet.bytes);
        }
        let seen = self.lens.is_some().then(|| Sighting::read(&packet.bytes, packet.checksum));
        let injector = &mut self.pipes[pipe].injector;
        let before = injector.counters();
        injector.offer(at, packet);
        let after = injector.counters();
        let (Some(lens), Some(Some(seen))) = (&mut self.lens, seen) else { return };
        for (fate, count) in [
            ("lost", after.lost - before.lost),
            ("too large", after.too_large - before.too_large),
            ("lost in a full queue", after.overflowed - before.overflowed),
            ("damaged", after.corrupted - before.corrupted),
            ("delivered twice", after.duplicated - before.duplicated),
            ("overtaken", after.reordered - before.reordered),
        ] {
            if count > 0 {
                let text = format!("{fate} on the link: {}", told(&seen));
                let _ = lens.note(at, (seen.src, seen.dst), &text);
            }
        }
    }

    /// A router on the way cannot pass a packet on, and says so (RFC 1191, RFC 4443 §3.2).
    fn too_big(&mut self, pipe: usize, mtu: u32, packet: &[u8]) {
        let (from, to) = (self.pipes[pipe].plan.from, self.pipes[pipe].plan.to);
        let back = |pipe: &super::Pipe| (pipe.plan.from, pipe.plan.to) == (to, from);
        let Some(back) = self.pipes.iter().position(back) else { return };
        let router = match packet.first().map(|byte| byte >> 4) {
            Some(6) => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 0xfe]),
            _ => IpAddr::from([10, 0, 0, 254]),
        };
        let mut bytes = Vec::new();
        emit_error(router, IcmpError::PacketTooBig { mtu }, packet, &mut bytes);
        self.outcome.too_big += 1;
        let checksum = RxChecksum::Unverified;
        let error = RxPacket { bytes: bytes.into(), gso_size: 0, checksum };
        let at = self.age();
        self.pipes[back].injector.offer(at, error);
    }

    /// Hands over what has reached the other ends.
    pub(super) fn deliver(&mut self) -> Result<(), Failure> {
        let at = self.age();
        let mut taken = vec![0; self.hosts.len()];
        for n in 0..self.pipes.len() {
            while let Some(packet) = self.pipes[n].injector.poll(at) {
                let to = self.pipes[n].plan.to;
                self.hand_over(to, &packet)?;
                taken[to] += 1;
                if taken[to] >= self.hosts[to].plan.batch {
                    taken[to] = 0;
                    self.settle()?;
                }
            }
        }
        Ok(())
    }

    /// One packet reaches a host. A handshake that it completes is that of the SYN which the host
    /// answered last.
    fn hand_over(&mut self, to: usize, packet: &RxPacket) -> Result<(), Failure> {
        let seen = Sighting::read(&packet.bytes, packet.checksum);
        if let Some(seen) = &seen {
            self.watch.arrived(seen);
            self.tell_trace("reaches the other end", seen);
        }
        let host = &mut self.hosts[to];
        host.ledger.takes(seen.as_ref().map(|seen| (seen.header.flags, seen.dst.port())));
        let before = host.engine.counters().passive_opens;
        let _ = host.engine.handle_packet(self.now, packet);
        let more = host.engine.counters().passive_opens - before;
        if more == 0 {
            return Ok(());
        }
        host.ledger.passive += 1;
        let ends = seen.map(|seen| (seen.src, seen.dst));
        let conn = ends.and_then(|ends| Some((ends, self.incarnations.promoted(ends)?)));
        match conn {
            Some(conn) if more == 1 => {
                self.hosts[to].promoted.push_back(conn);
                Ok(())
            }
            _ => self.fail(None, format!("{more} connections by a segment of {ends:?}")),
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_quiet(&self) -> bool {
        self.pipes.iter().all(|pipe| pipe.injector.next_due().is_none())
    }

    pub(super) fn conn_of(
        &self,
        a: std::net::SocketAddr,
        b: std::net::SocketAddr,
    ) -> Option<usize> {
        self.by_address.get(&(a, b)).or_else(|| self.by_address.get(&(b, a))).copied()
    }
}

/// A segment in a few words.
fn told(s: &Sighting) -> String {
    format!(
        "{} seq {} ack {} window {} len {}",
        s.header.flags,
        s.header.seq.value(),
        s.header.ack.value(),
        s.header.window.0,
        s.payload.len()
    )
}
