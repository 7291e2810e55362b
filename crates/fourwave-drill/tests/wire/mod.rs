//! Packets by hand around a virtual target.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwave_drill::syscall::{Fd, OptionValue, Output, Returned, SysCall};
use fourwave_drill::target::{Progress, Sniffed, Target};
use fourwave_drill::virt::{Setup, Virtual};
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum};

const LOCAL: ([u8; 4], u16) = ([192, 168, 0, 1], 8080);
const REMOTE: ([u8; 4], u16) = ([192, 0, 2, 1], 40000);

pub fn local() -> SocketAddr {
    LOCAL.into()
}

pub fn remote() -> SocketAddr {
    REMOTE.into()
}

/// A segment of the peer's; numbers are relative, the target's to its own ISN.
pub struct Seg {
    flags: Flags,
    seq: u32,
    ack: u32,
    len: usize,
}

impl Seg {
    fn new(flags: Flags, seq: u32, ack: u32, len: usize) -> Self {
        Self { flags, seq, ack, len }
    }

    pub fn syn(seq: u32) -> Self {
        Self::new(Flags::SYN, seq, 0, 0)
    }

    pub fn syn_ack(seq: u32, ack: u32) -> Self {
        Self::new(Flags::SYN | Flags::ACK, seq, ack, 0)
    }

    pub fn ack(seq: u32, ack: u32) -> Self {
        Self::new(Flags::ACK, seq, ack, 0)
    }

    pub fn data(seq: u32, ack: u32, len: usize) -> Self {
        Self::new(Flags::ACK | Flags::PSH, seq, ack, len)
    }

    pub fn fin(seq: u32, ack: u32) -> Self {
        Self::new(Flags::ACK | Flags::FIN, seq, ack, 0)
    }

    pub fn rst(seq: u32) -> Self {
        Self::new(Flags::RST, seq, 0, 0)
    }

    pub fn rst_ack(ack: u32) -> Self {
        Self::new(Flags::RST | Flags::ACK, 0, ack, 0)
    }
}

/// A packet of the target's.
pub struct Seen {
    pub at: Duration,
    header: TcpHeader,
    len: usize,
    isn: u32,
}

impl Seen {
    pub fn flags(&self) -> String {
        self.header.flags.to_string()
    }

    pub fn seq(&self) -> u32 {
        self.header.seq.value().wrapping_sub(self.isn)
    }

    pub fn ack(&self) -> u32 {
        self.header.ack.value()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn port(&self) -> u16 {
        self.header.src_port
    }
}

/// A target, and what the peer knows of it.
pub struct Bench {
    pub target: Virtual,
    isn: u32,
    local_port: u16,
    remote_port: u16,
}

impl Bench {
    pub fn new() -> Self {
        let mut target = Virtual::new(Setup::default());
        target.start().unwrap();
        target.command("../../common/defaults.sh").unwrap();
        Self { target, isn: 0, local_port: LOCAL.1, remote_port: REMOTE.1 }
    }

    pub fn run(&mut self, call: SysCall) -> Returned {
        match self.target.call(&call).unwrap() {
            Progress::Returned(returned) => returned,
            Progress::Blocked => panic!("{call:?} blocks"),
        }
    }

    pub fn call(&mut self, call: SysCall) -> Result<i64, i32> {
        self.run(call).result
    }

    /// The error of a call; 0 where there is none or it blocks.
    pub fn errno(&mut self, call: SysCall) -> i32 {
        match self.target.call(&call).unwrap() {
            Progress::Returned(returned) => returned.result.err().unwrap_or(0),
            Progress::Blocked => 0,
        }
    }

    pub fn blocked_result(&mut self) -> Option<Result<i64, i32>> {
        self.target.returned().unwrap().map(|(_, returned)| returned.result)
    }

    pub fn socket(&mut self, fd: Fd, nonblocking: bool) {
        let kind = if nonblocking { 1 | 0o4000 } else { 1 };
        let call = SysCall::Socket { domain: 2, kind, protocol: 6, as_fd: Some(fd) };
        assert_eq!(self.call(call), Ok(fd.into()));
    }

    pub fn bind(&mut self, fd: Fd, result: Result<i64, i32>) {
        assert_eq!(self.call(SysCall::Bind { fd, addr: local() }), result);
    }

    pub fn connect(&mut self, fd: Fd) -> Option<Result<i64, i32>> {
        let call = SysCall::Connect { fd, addr: Some(remote()) };
        match self.target.call(&call).unwrap() {
            Progress::Returned(returned) => Some(returned.result),
            Progress::Blocked => None,
        }
    }

    pub fn read(&mut self, fd: Fd, len: usize) -> Result<i64, i32> {
        self.call(SysCall::Read { fd, len, flags: 0x40, call: "recv" })
    }

    pub fn write(&mut self, fd: Fd, len: usize) -> Result<i64, i32> {
        self.call(SysCall::Write { fd, parts: vec![len], flags: 0, to: None, call: "write" })
    }

    pub fn close(&mut self, fd: Fd) -> Result<i64, i32> {
        self.call(SysCall::Close { fd })
    }

    pub fn shutdown(&mut self, fd: Fd, how: i32) -> Result<i64, i32> {
        self.call(SysCall::Shutdown { fd, how })
    }

    pub fn set_int(&mut self, fd: Fd, level: i32, name: i32, value: i64) -> Result<i64, i32> {
        self.call(SysCall::SetOption { fd, level, name, value: OptionValue::Int(value), len: 4 })
    }

    pub fn get_int(&mut self, fd: Fd, level: i32, name: i32) -> i64 {
        match self.run(SysCall::GetOption { fd, level, name, len: 4 }) {
            Returned { result: Ok(0), output: Output::Int { value, len: 4 } } => value,
            other => panic!("{other:?}"),
        }
    }

    pub fn so_error(&mut self, fd: Fd) -> i64 {
        self.get_int(fd, 1, 4)
    }

    pub fn fact(&mut self, fd: Fd, name: &str) -> i64 {
        self.target.info(fd).unwrap().unwrap()[name]
    }

    pub fn poll(&mut self, fd: Fd, events: i16) -> i16 {
        match self.run(SysCall::Poll { fds: vec![(fd, events)], timeout: 0 }).output {
            Output::Poll(revents) => revents[0],
            other => panic!("{other:?}"),
        }
    }

    pub fn epoll(&mut self, epoll: Fd, fd: Fd, op: i32, events: u32) {
        self.run(SysCall::EpollCreate { flags: 0, as_fd: Some(epoll) });
        let call = SysCall::EpollCtl { epoll, op, fd, events, data: fd as u64 };
        assert_eq!(self.call(call), Ok(0));
    }

    pub fn epoll_mod(&mut self, epoll: Fd, fd: Fd, events: u32) {
        let call = SysCall::EpollCtl { epoll, op: 3, fd, events, data: fd as u64 };
        assert_eq!(self.call(call), Ok(0));
    }

    pub fn epoll_wait(&mut self, epoll: Fd) -> Vec<(u32, u64)> {
        match self.run(SysCall::EpollWait { epoll, max: 8, timeout: 0 }).output {
            Output::Epoll(events) => events,
            other => panic!("{other:?}"),
        }
    }

    /// A packet of the peer's.
    pub fn send(&mut self, segment: Seg) {
        let Seg { flags, seq, ack, len } = segment;
        let header = TcpHeader {
            src_port: self.remote_port,
            dst_port: self.local_port,
            seq: SeqNum::new(seq),
            ack: SeqNum::new(if flags.ack() { ack.wrapping_add(self.isn) } else { 0 }),
            flags,
            window: RawWindow(32_000),
            ..TcpHeader::default()
        };
        let (src, dst): (IpAddr, IpAddr) = (REMOTE.0.into(), LOCAL.0.into());
        let mut packet = Vec::new();
        let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 };
        ip.emit(header.emitted_len() + len, &mut packet);
        let start = packet.len();
        header.emit(&mut packet);
        packet.resize(packet.len() + len, 0);
        let tcp_len = packet.len() - start;
        let sum = fourwave_wire::checksum::Sum::default()
            .with_pseudo_header(src, dst, protocol::TCP, tcp_len)
            .with(&packet[start..])
            .finish();
        packet[start + 16..start + 18].copy_from_slice(&sum);
        self.target.inject(&packet).unwrap();
    }

    /// The next packet, which is there already.
    pub fn expect(&mut self) -> Seen {
        self.expect_within(Duration::ZERO)
    }

    pub fn expect_within(&mut self, time: Duration) -> Seen {
        let until = self.target.now() + time;
        let sniffed = self.target.wait(until).unwrap().expect("a packet");
        self.parse(sniffed)
    }

    fn parse(&self, sniffed: Sniffed) -> Seen {
        let ip = IpHeader::parse(&sniffed.packet).unwrap();
        let (header, payload) = TcpHeader::parse(&sniffed.packet[ip.payload.clone()]).unwrap();
        Seen { at: sniffed.at, header, len: payload.len(), isn: self.isn }
    }

    /// The next packet with a FIN.
    pub fn expect_fin(&mut self) -> Seen {
        loop {
            let seen = self.expect();
            if seen.header.flags.fin() {
                return seen;
            }
        }
    }

    /// Lets time go by; what is sent meanwhile is lost.
    pub fn pass(&mut self, time: Duration) {
        let until = self.target.now() + time;
        while self.target.wait(until).unwrap().is_some() {}
    }

    /// Learns the target's ISN from its SYN ACK.
    pub fn synchronize(&mut self, syn_ack: &Seen) {
        self.isn = syn_ack.header.seq.value();
    }

    /// Learns the target's ISN and port from its SYN.
    pub fn accept_numbers(&mut self, syn: &Seen) {
        self.isn = syn.header.seq.value();
        self.local_port = syn.header.src_port;
        self.remote_port = syn.header.dst_port;
    }

    /// A listener 3 and a connection 4.
    pub fn established(&mut self) {
        listen_setup(self, 3);
        self.handshake();
    }

    /// Behind the last byte that was sent by now; `known` where nothing was.
    pub fn newest_end(&mut self, known: u32) -> u32 {
        let mut end = known;
        let until = self.target.now() + Duration::from_millis(1);
        while let Some(sniffed) = self.target.wait(until).unwrap() {
            let seen = self.parse(sniffed);
            end = end.max(seen.seq() + seen.len() as u32);
        }
        end
    }

    /// A peer connects to the listener 3 and is accepted as 4.
    pub fn handshake(&mut self) {
        self.send(Seg::syn(0));
        let syn_ack = self.expect();
        self.synchronize(&syn_ack);
        self.send(Seg::ack(1, 1));
        assert_eq!(self.call(SysCall::Accept { fd: 3, flags: 0, as_fd: Some(4) }), Ok(4));
    }
}

pub fn listen_setup(bench: &mut Bench, fd: Fd) {
    bench.socket(fd, false);
    assert_eq!(bench.set_int(fd, 1, 2, 1), Ok(0));
    bench.bind(fd, Ok(0));
    assert_eq!(bench.call(SysCall::Listen { fd, backlog: 1 }), Ok(0));
}
