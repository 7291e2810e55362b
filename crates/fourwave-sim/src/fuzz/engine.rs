//! One engine under arbitrary packets, calls and times.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use fourwave_core::{
    Config, ConnId, ConnectOptions, Decision, Engine, Event, FastOpenKeys, Instant, ListenFastOpen,
    ListenOptions, ListenerId, PendingId, Population, SocketOption, SocketOptions,
};
use fourwave_net::{Carry, convert, segment, transmit};
use fourwave_wire::icmp::{IcmpError, emit_error};
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::options::{FastOpen, TcpOptions, Timestamps};
use fourwave_wire::tcp::{Flags, TcpHeader, verify_checksum};
use fourwave_wire::{Link, RawWindow, RxChecksum, RxPacket, SeqNum, TxPacket, WindowScale};

use super::Input;

/// More steps say no more.
const MOST_STEPS: usize = 4000;
/// More packets than anything can make the engine send at one moment.
const MOST_PACKETS: usize = 20_000;
/// How many connections the run opens at most.
const MOST_CONNS: usize = 64;
/// Ports of the peer.
const PEER_PORTS: usize = 4;
/// `tcp_fastopen`: clients, listeners, both, without cookies, everywhere.
const FAST_OPEN: [u64; 8] = [1, 3, 0x207, 0x603, 5, 2, 0x202, 0];

/// Runs `bytes` as packets, calls and times. Panics when the engine breaks a rule.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut bench = Bench::new(&mut input);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        bench.step(&mut input);
        bench.check();
    }
    bench.end();
}

/// What was last seen of the engine's end of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Behind the last number that it sent.
    nxt: SeqNum,
    /// What it acknowledged last.
    ack: SeqNum,
    /// Its timestamp.
    ts: u32,
}

struct Bench {
    engine: Engine,
    now: Instant,
    ours: IpAddr,
    theirs: IpAddr,
    listener: Option<ListenerId>,
    /// Handles that are held; true once their connection is over.
    held: BTreeMap<ConnId, bool>,
    /// Handles given back whose connection goes on.
    orphans: BTreeSet<ConnId>,
    /// Connections that ended before they were accepted.
    early: BTreeSet<ConnId>,
    pending: Vec<PendingId>,
    /// By our port and the peer's.
    seen: BTreeMap<(u16, u16), Seen>,
    /// A packet that was sent, for ICMP and echoes.
    last: Bytes,
    /// The last Fast Open cookie that was given to the peer.
    cookie: Option<FastOpen>,
}

impl Bench {
    fn new(input: &mut Input<'_>) -> Self {
        let bits = input.byte();
        let more = input.byte();
        let fate = input.byte();
        let start = input.byte();
        let config = Config {
            tcp_timestamps: u64::from(bits & 1 == 0),
            tcp_window_scaling: u64::from(bits & 2 == 0),
            tcp_rmem_default: if bits & 4 == 0 { 131_072 } else { 4096 },
            tcp_rmem_max: if bits & 8 == 0 { 1 << 30 } else { 131_072 },
            tcp_wmem_max: if bits & 16 == 0 { 4 << 20 } else { 4096 },
            tcp_max_tw_buckets: if bits & 32 == 0 { 262_144 } else { 1 },
            tcp_max_orphans: if bits & 64 == 0 { 65_536 } else { 1 },
            tcp_abort_on_overflow: u64::from(more & 1),
            tcp_rfc1337: u64::from(more & 2 != 0),
            tcp_timewait_len: if more & 4 == 0 { 60 } else { 0 },
            tcp_tw_recycle: u64::from(fate & 1),
            tcp_tw_reuse: u64::from(fate >> 1 & 1),
            tw_overflow: u64::from(fate >> 2) % 3,
            tcp_max_syn_backlog: if more & 8 == 0 { 4096 } else { 1 },
            tcp_fastopen: FAST_OPEN[usize::from(start) % FAST_OPEN.len()],
            tcp_fastopen_blackhole_timeout_sec: if start & 8 == 0 { 0 } else { 100 },
            ..Config::default()
        };
        let link = if bits & 128 == 0 { Link::plain(1500) } else { Link::offloading(1500) };
        let v6 = more & 16 != 0;
        let ip = |n: u16| -> IpAddr {
            if v6 { [0xfd00, 0, 0, 0, 0, 0, 0, n].into() } else { [10, 0, 0, n as u8].into() }
        };
        let mut bench = Self {
            engine: Engine::new(config, link, [5; 32]),
            now: Instant::from_micros(u64::from(start) << 24),
            ours: ip(1),
            theirs: ip(2),
            listener: None,
            held: BTreeMap::new(),
            orphans: BTreeSet::new(),
            early: BTreeSet::new(),
            pending: Vec::new(),
            seen: BTreeMap::new(),
            last: Bytes::new(),
            cookie: None,
        };
        bench.listen(more);
        bench
    }

    fn listen(&mut self, bits: u8) {
        let mut options = ListenOptions::any();
        options.port = (bits & 32 == 0).then_some(80);
        options.deferred = bits & 64 != 0;
        options.backlog = if bits & 128 == 0 { 128 } else { 1 };
        options.fast_open = Self::part(bits);
        if let Ok(listener) = self.engine.listen(options) {
            self.listener = Some(listener);
        }
    }

    /// A listener's part in Fast Open.
    fn part(bits: u8) -> ListenFastOpen {
        let part = ListenFastOpen::new(usize::from(bits & 3));
        let backup = Some([4 ^ (bits & 4); 16]);
        let keys = FastOpenKeys { primary: [bits & 4; 16], backup };
        if bits & 8 == 0 { part } else { part.with_keys(keys) }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 32 {
            0 => self.raw(input),
            1..=12 => self.segment(input),
            13 => self.icmp(input),
            14 => self.echo(input),
            15 => self.connect(input),
            16..=17 => self.accept(),
            18 => self.decide(input),
            19..=21 => self.send(input),
            22..=23 => self.receive(input),
            24 => self.shutdown(input),
            25 => self.close(input),
            26 => self.abort(input),
            27 => self.option(input),
            28 => self.relisten(input),
            29 => self.transmit(),
            30 => self.events(),
            _ => self.pass(Duration::from_micros(1 << (input.byte() % 38))),
        }
    }

    fn deliver(&mut self, packet: RxPacket) {
        let _ = self.engine.handle_packet(self.now, &packet);
    }

    /// Bytes as they are.
    fn raw(&mut self, input: &mut Input<'_>) {
        let checksum =
            if input.byte() & 1 == 0 { RxChecksum::Trusted } else { RxChecksum::Unverified };
        let len = usize::from(input.byte());
        let bytes = input.take(len).to_vec().into();
        self.deliver(RxPacket { bytes, gso_size: 0, checksum });
    }

    /// A segment of the peer, more or less at the right place.
    fn segment(&mut self, input: &mut Input<'_>) {
        let remote = 4000 + input.below(PEER_PORTS) as u16;
        let ours = self.ports(remote);
        let local = ours.get(input.below(ours.len().max(1))).copied().unwrap_or(80);
        let seen = self.seen.get(&(local, remote)).copied().unwrap_or_default();
        let flags = match input.byte() {
            0..=120 => Flags::ACK,
            121..=150 => Flags::SYN,
            151..=170 => Flags::SYN | Flags::ACK,
            171..=200 => Flags::FIN | Flags::ACK,
            201..=210 => Flags::RST,
            bits => Flags::from_bits(bits),
        };
        let start = if flags.syn() { SeqNum::new(9_000) } else { seen.ack };
        let shape = input.byte();
        let mut options = TcpOptions::default();
        if shape & 1 == 0 {
            options.timestamps =
                Some(Timestamps { value: 500u32.wrapping_add(input.distance()), echo: seen.ts });
        }
        if flags.syn() && shape & 2 == 0 {
            options.mss = Some(input.word());
            options.window_scale = Some(WindowScale::new(input.byte()));
        }
        self.newer_options(input, flags, shape, seen.nxt, &mut options);
        let near = |input: &mut Input<'_>, exact: u8| {
            if shape & exact == 0 { 0 } else { input.distance() }
        };
        let header = TcpHeader {
            seq: start + near(input, 4),
            ack: seen.nxt + near(input, 8),
            flags,
            window: RawWindow(if shape & 16 == 0 { 20_000 } else { input.word() }),
            urgent: 0,
            options,
            ..TcpHeader::default()
        };
        let len = if shape & 32 == 0 { 0 } else { usize::from(input.word()) % 5000 };
        let gso_size = if len > 1000 { 1000 } else { 0 };
        let (from, to) = ((self.theirs, remote).into(), (self.ours, local).into());
        let packet = RxPacket { gso_size, ..segment(from, to, header, &vec![7; len]) };
        self.deliver(packet);
    }

    /// SACK and Fast Open.
    fn newer_options(
        &self,
        input: &mut Input<'_>,
        flags: Flags,
        shape: u8,
        nxt: SeqNum,
        options: &mut TcpOptions,
    ) {
        if flags.syn() {
            options.sack_permitted = shape & 128 == 0;
            if shape & 64 != 0 {
                let made_up = [input.byte(); 16];
                let len = usize::from(made_up[0] >> 1 & 31);
                options.fast_open = match made_up[0] & 1 {
                    0 => self.cookie,
                    _ => FastOpen::new(&made_up[..len.min(16)], len > 16),
                };
            }
        } else if shape & 128 != 0 {
            for _ in 0..input.byte() % 5 {
                let start = nxt + input.distance();
                options.sack.push(start, start + input.distance());
            }
        }
    }

    /// Our ports that the peer's port has met.
    fn ports(&self, remote: u16) -> Vec<u16> {
        let met = self.seen.keys().filter(|(_, r)| *r == remote).map(|(local, _)| *local);
        std::iter::once(80).chain(met).collect()
    }

    /// An ICMP error about the last packet.
    fn icmp(&mut self, input: &mut Input<'_>) {
        let error = match input.byte() % 4 {
            0 => IcmpError::HostUnreachable,
            1 => IcmpError::PortUnreachable,
            2 => IcmpError::TimeExceeded,
            _ => IcmpError::PacketTooBig { mtu: u32::from(input.word()) },
        };
        let mut packet = Vec::new();
        emit_error(self.theirs, error, &self.last, &mut packet);
        self.deliver(RxPacket { bytes: packet.into(), ..RxPacket::default() });
    }

    /// The last packet, changed in one byte, as if it came from the peer.
    fn echo(&mut self, input: &mut Input<'_>) {
        let mut bytes = self.last.to_vec();
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(input.word()) % bytes.len();
        bytes[at] ^= input.byte();
        let checksum = RxChecksum::Trusted;
        self.deliver(RxPacket { bytes: bytes.into(), gso_size: 0, checksum });
    }

    fn connect(&mut self, input: &mut Input<'_>) {
        if self.held.len() + self.orphans.len() >= MOST_CONNS {
            return;
        }
        let bits = input.byte();
        let local = (self.ours, if bits & 1 == 0 { 0 } else { 1000 }).into();
        let remote = SocketAddr::new(self.theirs, 4000 + input.below(PEER_PORTS) as u16);
        let opened = if bits & 2 == 0 {
            self.engine.connect(self.now, local, remote)
        } else {
            let max_seg = if bits & 4 == 0 { 0 } else { input.word() };
            let mut how = ConnectOptions::default();
            (how.fast_open, how.no_cookie) = (true, bits & 8 == 0);
            how.socket.set(SocketOption::MaxSeg(max_seg));
            if bits & 16 != 0 {
                Self::socket_option(input).into_iter().for_each(|option| how.socket.set(option));
            }
            let len = usize::from(input.word());
            let mut data = Bytes::from(vec![3; len]);
            let opened = self.engine.connect_with(self.now, local, remote, how, &mut data);
            opened.map(|(id, taken)| {
                assert_eq!(taken + data.len(), len);
                id
            })
        };
        if let Ok(id) = opened {
            assert_eq!(self.held.insert(id, false), None, "a name that was used before");
        }
    }

    fn accept(&mut self) {
        let Some(listener) = self.listener else { return };
        self.events();
        if let Some(accepted) = self.engine.accept(self.now, listener) {
            let over = self.early.remove(&accepted.conn);
            assert_eq!(self.held.insert(accepted.conn, over), None, "accepted twice");
        }
    }

    fn decide(&mut self, input: &mut Input<'_>) {
        let Some(pending) = self.pending.pop() else { return };
        let decision = match input.byte() % 5 {
            4 => Decision::Unreachable(IcmpError::HostUnreachable),
            0 | 1 => Decision::Accept,
            2 => Decision::Ignore,
            _ => Decision::Reset,
        };
        self.engine.decide(self.now, pending, decision);
    }

    fn any(&self, input: &mut Input<'_>) -> Option<ConnId> {
        let n = input.below(self.held.len().max(1));
        self.held.keys().nth(n).copied()
    }

    fn send(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input) else { return };
        let len = usize::from(input.word());
        let mut data = Bytes::from(vec![3; len]);
        if let Ok(taken) = self.engine.send(self.now, id, &mut data) {
            assert_eq!(taken + data.len(), len);
        }
    }

    fn receive(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input) else { return };
        let max = usize::from(input.word());
        if let Ok(data) = self.engine.receive(self.now, id, max) {
            assert!(data.len() <= max.max(1));
        }
    }

    fn shutdown(&mut self, input: &mut Input<'_>) {
        if let Some(id) = self.any(input) {
            let _ = self.engine.shutdown(self.now, id);
        }
    }

    fn close(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input) else { return };
        self.engine.close(self.now, id).unwrap_or_else(|e| panic!("a held handle: {e}"));
        self.given_back(id);
    }

    fn abort(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input) else { return };
        self.engine.abort(self.now, id).unwrap_or_else(|e| panic!("a held handle: {e}"));
        self.given_back(id);
    }

    fn given_back(&mut self, id: ConnId) {
        if self.held.remove(&id) == Some(false) {
            self.orphans.insert(id);
        }
        assert!(self.engine.info(id).is_err() && self.engine.close(self.now, id).is_err());
    }

    fn option(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.any(input) else { return };
        match Self::socket_option(input) {
            Some(option) => self.engine.set_option(self.now, id, option),
            None => self.engine.confirm_far_end(self.now, id),
        }
        .unwrap_or_else(|e| panic!("held: {e}"));
    }

    /// An option, or `None` for the confirmation of a far end.
    fn socket_option(input: &mut Input<'_>) -> Option<SocketOption> {
        let on = input.byte() & 1 == 0;
        let n = input.word();
        let time = Duration::from_millis(u64::from(n));
        Some(match input.byte() % 21 {
            0 => SocketOption::NoDelay(on),
            1 => SocketOption::KeepAlive(on),
            2 => SocketOption::LingerZero(on),
            3 => SocketOption::UserTimeout(time),
            4 => SocketOption::Linger2(time),
            5 => SocketOption::PeerClosesFirst(time),
            6 => SocketOption::Cork(on),
            7 => SocketOption::More(on),
            8 => SocketOption::QuickAck(on),
            9 => SocketOption::EndOfRecord,
            10 => SocketOption::NoMoreReads,
            11 => SocketOption::NotSentLowat(n.into()),
            12 => SocketOption::SendBuffer(n.into()),
            13 => SocketOption::ReceiveBuffer(n.into()),
            14 => SocketOption::SynCount(n as u8),
            15 => SocketOption::MaxSeg(n),
            16 => SocketOption::MaxSeg(n % 100),
            17 => SocketOption::FarEnd(time),
            18 => return None,
            _ => SocketOption::KeepAliveTimes { idle: time, interval: time, probes: 3 },
        })
    }

    fn relisten(&mut self, input: &mut Input<'_>) {
        match self.listener.take() {
            Some(listener) if input.byte() & 3 == 3 => {
                self.listener = Some(listener);
                let (none, part) = (SocketOptions::default(), Self::part(input.byte()));
                assert!(self.engine.set_listen_options(listener, none, part));
            }
            Some(listener) => {
                // What waits for accept is reset, and its handle with it.
                self.engine.unlisten(self.now, listener);
                self.events();
                self.early.clear();
            }
            None => self.listen(input.byte()),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.engine.handle_timeout(self.now);
        if let Some(next) = self.engine.poll_timeout() {
            assert!(next > self.now, "due at {next:?}, served at {:?}", self.now);
        }
    }

    fn transmit(&mut self) {
        let sent: Vec<TxPacket> = transmit(&mut self.engine, self.now).take(MOST_PACKETS).collect();
        assert!(sent.len() < MOST_PACKETS, "poll_transmit does not come to an end");
        for out in sent {
            let each = usize::from(out.meta.header_len) + usize::from(out.meta.gso_size);
            assert!(out.meta.len <= if out.meta.gso_size == 0 { 1500 } else { 65_535 });
            assert!(out.meta.gso_size == 0 || each <= 1500);
            for RxPacket { bytes, .. } in convert(&out, Carry::Whole) {
                let ip = IpHeader::parse(&bytes).unwrap_or_else(|e| panic!("{e:?}"));
                if ip.protocol == protocol::TCP {
                    self.note(&ip, &bytes);
                }
                self.last = bytes;
            }
        }
    }

    fn note(&mut self, ip: &IpHeader, bytes: &[u8]) {
        let segment = &bytes[ip.payload.clone()];
        assert!(verify_checksum(ip.src, ip.dst, segment));
        let (header, payload) = TcpHeader::parse(segment).unwrap_or_else(|e| panic!("{e:?}"));
        let seen = self.seen.entry((header.src_port, header.dst_port)).or_default();
        let end = header.seq + header.segment_len(payload.len());
        if header.flags.syn() || end.after(seen.nxt) {
            seen.nxt = end;
        }
        if header.flags.ack() {
            seen.ack = header.ack;
        }
        for (n, (start, end)) in header.options.sack.as_slice().iter().enumerate() {
            // The first one may tell of a duplicate (RFC 2883).
            assert!(start.before(*end) && (n == 0 || start.after(header.ack)), "{header:?}");
        }
        if header.flags.syn() && header.flags.ack() {
            self.cookie = header.options.fast_open.or(self.cookie);
        }
        seen.ts = header.options.timestamps.map_or(seen.ts, |ts| ts.value);
    }

    fn events(&mut self) {
        for n in 0.. {
            assert!(n < MOST_PACKETS, "poll_event does not come to an end");
            let Some(event) = self.engine.poll_event() else { return };
            match event {
                Event::Incoming { pending, .. } => self.pending.push(pending),
                Event::PendingGone { pending } => self.pending.retain(|p| *p != pending),
                Event::Closed { conn, report } => {
                    assert!(report.bytes_unread <= report.bytes_received);
                    match self.held.get_mut(&conn) {
                        Some(over) => assert!(!std::mem::replace(over, true), "ended twice"),
                        None if self.orphans.remove(&conn) => {}
                        None => assert!(self.early.insert(conn), "ended twice"),
                    }
                }
                Event::Connected { conn }
                | Event::Readable { conn }
                | Event::Writable { conn }
                | Event::PeerClosed { conn }
                | Event::FarEndAsked { conn }
                | Event::Drained { conn } => {
                    assert_eq!(self.held.get(&conn), Some(&false), "an event for a dead handle");
                }
                _ => {}
            }
        }
    }

    /// What holds after every step.
    fn check(&mut self) {
        let Population {
            half_open, connections, time_wait, orphans, timers, demux_entries, ..
        } = self.engine.population();
        assert!(demux_entries <= half_open + connections + time_wait);
        assert!(timers <= connections && orphans <= connections);
        // The peer has few ports, and we have few besides those that it calls.
        assert!(half_open <= PEER_PORTS * 70_000);
        let config = self.engine.config();
        assert!(time_wait as u64 <= config.tcp_max_tw_buckets);
        assert!(orphans as u64 <= config.tcp_max_orphans);
        let most = config.tcp_rmem_max.max(config.tcp_rmem_default) + 65_535 + (4 << 14);
        // SO_SNDBUF may be more than the default.
        let most_unsent = config.tcp_wmem_max.max(65_535) + 2;
        for id in self.held.keys() {
            let info = self.engine.info(*id).unwrap_or_else(|e| panic!("a held handle: {e}"));
            assert!(info.rcv_unread <= most, "{info:?}");
            assert!(info.notsent_bytes + u64::from(info.unacked) <= most_unsent);
        }
    }

    /// Everything is let go, the peer says no more, and time passes: nothing is left.
    fn end(&mut self) {
        self.events();
        while let Some(id) = self.held.keys().next().copied() {
            self.engine.close(self.now, id).unwrap_or_else(|e| panic!("a held handle: {e}"));
            self.given_back(id);
        }
        if let Some(listener) = self.listener.take() {
            self.engine.unlisten(self.now, listener);
        }
        for n in 0.. {
            assert!(n < 20_000, "no end: {:?}", self.engine.population());
            self.transmit();
            self.events();
            let Some(next) = self.engine.poll_timeout() else { break };
            self.pass(next.since(self.now));
        }
        assert_eq!(self.engine.population(), Population::default());
        assert!(self.orphans.is_empty(), "no report came for {:?}", self.orphans);
    }
}
