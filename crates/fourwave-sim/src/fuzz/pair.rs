//! Two engines whose link does what the bytes say: any order, any loss, any damage.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwave_core::error::ReceiveError;
use fourwave_core::{
    Config, ConnId, EndReason, EndReport, Engine, Event, Instant, ListenOptions, ListenerId,
    Population, SocketOption,
};
use fourwave_net::{Carry, convert, transmit};
use fourwave_wire::{Link, RxPacket};

use super::Input;
use crate::text::Text;
use crate::watch::{Sighting, Watch};

const MOST_STEPS: usize = 4000;
const MOST_PACKETS: usize = 20_000;
/// Bytes that one end sends at most.
const MOST_BYTES: u64 = 200_000;

/// Runs `bytes` as faults and calls. Panics when the engines break a rule.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut pair = Pair::new(&mut input);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        pair.step(&mut input);
        pair.settle();
    }
    pair.end();
}

/// One end: its engine, and its application's side of the connection.
struct End {
    engine: Engine,
    address: SocketAddr,
    listener: ListenerId,
    id: Option<ConnId>,
    /// The handle was given back.
    gone: bool,
    /// By abort, or with bytes unread or still to come.
    rudely: bool,
    shut_down: bool,
    text: Text,
    sent: u64,
    received: u64,
    eof: bool,
    report: Option<EndReport>,
}

/// A packet on its way.
#[derive(Clone)]
struct Flying {
    to: usize,
    packet: RxPacket,
    /// A bit was flipped. A second one could make the checksum right again.
    damaged: bool,
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    wire: VecDeque<Flying>,
    watch: Watch,
    /// Time was let pass: something may have been given up.
    waited: bool,
}

impl Pair {
    fn new(input: &mut Input<'_>) -> Self {
        let bits = input.byte();
        let v6 = bits & 1 != 0;
        let now = Instant::from_micros(u64::from(input.word()) << 20);
        let mtu = 1280 + (input.word() % 8000);
        let end = |n: u16, bits: u8| {
            let ip: IpAddr =
                if v6 { [0xfd00, 0, 0, 0, 0, 0, 0, n].into() } else { [10, 0, 0, n as u8].into() };
            let config = Config {
                tcp_timestamps: u64::from(bits & 1 == 0),
                tcp_window_scaling: u64::from(bits & 2 == 0),
                tcp_rmem_default: if bits & 4 == 0 { 131_072 } else { 4096 },
                tcp_rmem_max: if bits & 8 == 0 { 6 << 20 } else { 131_072 },
                tcp_wmem_max: if bits & 16 == 0 { 4 << 20 } else { 4096 },
                ..Config::default()
            };
            let link = if bits & 32 == 0 { Link::plain(mtu) } else { Link::offloading(mtu) };
            let mut engine = Engine::new(config, link, [n as u8; 32]);
            let options = ListenOptions::port(n).with_backlog(4);
            let listener = engine.listen(options).unwrap_or_else(|e| panic!("{e}"));
            let text = Text::new(1, 0, usize::from(n));
            let address = (ip, n).into();
            End {
                engine,
                address,
                listener,
                id: None,
                gone: false,
                rudely: false,
                shut_down: false,
                text,
                sent: 0,
                received: 0,
                eof: false,
                report: None,
            }
        };
        let ends = [end(1, bits >> 1), end(2, input.byte())];
        let mut watch = Watch::default();
        let addresses = [ends[0].address, ends[1].address];
        watch.expect(addresses, [ends[0].text, ends[1].text], [mtu, mtu]);
        let mut pair = Self { now, ends, wire: VecDeque::new(), watch, waited: false };
        pair.connect(0);
        if bits & 128 != 0 {
            pair.connect(1);
        }
        pair.settle();
        pair
    }

    /// The first end's port is the one that its listener has: the peer may call it back.
    fn connect(&mut self, n: usize) {
        let (local, remote) = (self.ends[n].address, self.ends[1 - n].address);
        let end = &mut self.ends[n];
        if end.id.is_none() {
            end.id = end.engine.connect(self.now, local, remote).ok();
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let n = usize::from(what >> 7);
        match what & 31 {
            0..=9 => self.deliver(0),
            10..=13 => {
                let at = input.below(self.wire.len().max(1));
                self.deliver(at);
            }
            14 | 15 => {
                let at = input.below(self.wire.len().max(1));
                self.wire.remove(at);
            }
            16 | 17 => self.repeat(input),
            18 => self.damage(input),
            19..=21 => self.write(n, input.word()),
            22 | 23 => self.read(n, usize::from(input.word()).max(1)),
            24 => self.shut_down(n),
            25 => self.close(n),
            26 if input.byte() == 77 => self.abort(n),
            27 => self.option(n, input),
            28 => self.jump_to_timer(),
            29 => self.pass(Duration::from_micros(1 << (input.byte() % 30))),
            30 => self.now = self.now + Duration::from_micros(u64::from(input.word())),
            _ => self.read(n, 1 << 20),
        }
    }

    fn deliver(&mut self, at: usize) {
        let Some(Flying { to, packet, .. }) = self.wire.remove(at) else { return };
        if let Some(seen) = Sighting::read(&packet.bytes, packet.checksum) {
            self.watch.arrived(&seen);
        }
        let _ = self.ends[to].engine.handle_packet(self.now, &packet);
    }

    fn repeat(&mut self, input: &mut Input<'_>) {
        let at = input.below(self.wire.len().max(1));
        if let Some(copy) = self.wire.get(at).cloned()
            && self.wire.len() < MOST_PACKETS
        {
            self.wire.push_back(copy);
        }
    }

    fn damage(&mut self, input: &mut Input<'_>) {
        let at = input.below(self.wire.len().max(1));
        let bit = input.word();
        if let Some(Flying { packet, damaged, .. }) = self.wire.get_mut(at)
            && !std::mem::replace(damaged, true)
        {
            let mut bytes = packet.bytes.to_vec();
            let len = bytes.len();
            bytes[usize::from(bit / 8) % len] ^= 1 << (bit % 8);
            packet.bytes = bytes.into();
        }
    }

    fn write(&mut self, n: usize, len: u16) {
        let end = &mut self.ends[n];
        let Some(id) = end.id.filter(|_| !end.gone && !end.shut_down) else { return };
        let left = MOST_BYTES - end.sent;
        let mut data = end.text.chunk(end.sent, usize::from(len).min(left as usize));
        if let Ok(taken) = end.engine.send(self.now, id, &mut data) {
            end.sent += taken as u64;
        }
    }

    fn read(&mut self, n: usize, max: usize) {
        let peer = self.ends[1 - n].text;
        let end = &mut self.ends[n];
        let Some(id) = end.id.filter(|_| !end.gone) else { return };
        match end.engine.receive(self.now, id, max) {
            Ok(data) => {
                assert!(data.len() <= max && (data.is_empty() || !end.eof));
                assert_eq!(peer.first_difference(end.received, &data), None);
                end.received += data.len() as u64;
                end.eof |= data.is_empty();
            }
            Err(ReceiveError::WouldBlock | ReceiveError::Ended(_)) => assert!(!end.eof),
            Err(e) => panic!("receive: {e}"),
        }
    }

    fn shut_down(&mut self, n: usize) {
        let end = &mut self.ends[n];
        if let Some(id) = end.id.filter(|_| !end.gone) {
            let _ = end.engine.shutdown(self.now, id);
            end.shut_down = true;
        }
    }

    fn close(&mut self, n: usize) {
        let end = &mut self.ends[n];
        if let Some(id) = end.id.filter(|_| !end.gone) {
            end.gone = true;
            end.rudely = !end.eof;
            end.engine.close(self.now, id).unwrap_or_else(|e| panic!("a held handle: {e}"));
        }
    }

    fn abort(&mut self, n: usize) {
        let end = &mut self.ends[n];
        if let Some(id) = end.id.filter(|_| !end.gone) {
            end.gone = true;
            end.rudely = true;
            end.engine.abort(self.now, id).unwrap_or_else(|e| panic!("a held handle: {e}"));
        }
    }

    fn option(&mut self, n: usize, input: &mut Input<'_>) {
        let end = &mut self.ends[n];
        let Some(id) = end.id.filter(|_| !end.gone) else { return };
        let option = match input.byte() % 4 {
            0 => SocketOption::KeepAlive(true),
            1 => SocketOption::NoDelay(false),
            _ => SocketOption::NoDelay(true),
        };
        end.engine.set_option(self.now, id, option).unwrap_or_else(|e| panic!("held: {e}"));
    }

    fn next_timer(&self) -> Option<Instant> {
        self.ends.iter().filter_map(|end| end.engine.poll_timeout()).min()
    }

    fn jump_to_timer(&mut self) {
        if let Some(next) = self.next_timer() {
            self.pass(next.since(self.now));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.waited = true;
        self.now = self.now + time;
        for end in &mut self.ends {
            end.engine.handle_timeout(self.now);
        }
    }

    /// Packets to the wire, events to the applications.
    fn settle(&mut self) {
        for n in 0..2 {
            let sent = transmit(&mut self.ends[n].engine, self.now);
            for (count, packet) in sent.flat_map(|out| convert(&out, Carry::Whole)).enumerate() {
                assert!(count < MOST_PACKETS, "poll_transmit does not come to an end");
                let seen = Sighting::read(&packet.bytes, packet.checksum)
                    .unwrap_or_else(|| panic!("a packet that nobody reads"));
                let at = self.now.since(Instant::ZERO);
                if let Err(broken) = self.watch.sent(at, &seen, &packet.bytes, packet.gso_size) {
                    panic!("{}: {broken}", seen.src);
                }
                self.wire.push_back(Flying { to: 1 - n, packet, damaged: false });
            }
            self.events(n);
        }
    }

    fn events(&mut self, n: usize) {
        let end = &mut self.ends[n];
        while let Some(event) = end.engine.poll_event() {
            match event {
                Event::Acceptable { .. } => {
                    let Some(accepted) = end.engine.accept(self.now, end.listener) else {
                        continue;
                    };
                    if end.id.is_none() {
                        end.id = Some(accepted.conn);
                        continue;
                    }
                    // An old SYN opened another one.
                    let given = end.engine.abort(self.now, accepted.conn);
                    given.unwrap_or_else(|e| panic!("a new handle: {e}"));
                }
                Event::Closed { conn, report } if end.id == Some(conn) => {
                    assert!(end.report.is_none(), "ended twice");
                    assert!(report.bytes_received >= end.received);
                    assert_eq!(report.bytes_acked + report.bytes_unsent, end.sent);
                    end.report = Some(*report);
                }
                Event::Readable { conn }
                | Event::Writable { conn }
                | Event::PeerClosed { conn }
                | Event::Connected { conn }
                | Event::Drained { conn }
                    if end.id == Some(conn) =>
                {
                    assert!(!end.gone && end.report.is_none(), "an event for a dead handle");
                }
                _ => {}
            }
        }
    }

    /// The link gets well, the applications finish: everything comes to its end.
    fn end(&mut self) {
        for round in 0.. {
            assert!(round < 50_000, "no end: {:?}", self.ends[0].engine.population());
            self.settle();
            for n in 0..2 {
                self.finish(n);
            }
            self.settle();
            if !self.wire.is_empty() {
                self.deliver(0);
            } else if self.next_timer().is_some() {
                let waited = self.waited;
                self.jump_to_timer();
                self.waited = waited;
            } else {
                break;
            }
        }
        self.check();
    }

    /// One end reads what there is, shuts down, and closes when nothing more will come.
    fn finish(&mut self, n: usize) {
        for _ in 0..1000 {
            let before = self.ends[n].received;
            self.read(n, 1 << 20);
            if self.ends[n].received == before {
                break;
            }
        }
        if !self.ends[n].shut_down {
            self.shut_down(n);
        }
        if self.ends[n].eof || self.ends[n].report.is_some() {
            self.close(n);
        }
        let stranded = self.wire.is_empty() && self.next_timer().is_none();
        if stranded && !self.ends[n].gone {
            // Only a peer that broke off, or gave up, leaves one waiting indefinitely.
            assert!(self.ends[1 - n].rudely || self.waited, "a standstill");
            self.abort(n);
        }
    }

    fn check(&self) {
        let polite = self.ends.iter().all(|end| !end.rudely);
        for (end, peer) in [(&self.ends[0], &self.ends[1]), (&self.ends[1], &self.ends[0])] {
            assert_eq!(end.engine.population(), Population::default());
            let Some(report) = &end.report else {
                assert!(end.id.is_none(), "it never ended");
                continue;
            };
            if report.reason == EndReason::Orderly {
                assert_eq!(report.bytes_unsent, 0);
                assert_eq!(report.bytes_acked, end.sent);
            }
            if polite && !self.waited {
                assert_eq!(report.reason, EndReason::Orderly);
                assert_eq!((end.received, end.eof), (peer.sent, true));
            }
        }
    }
}
