//! The other end of the wire: packets made and read by hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use fourwave_drill::linux::{self, Linux, Options};
use fourwave_drill::syscall::{Fd, OptionValue, Output, Returned, SysCall};
use fourwave_drill::target::{Progress, Target};
use fourwave_wire::checksum::{Chunks, Sum};
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{CHECKSUM_OFFSET, Flags, TcpHeader, verify_checksum};
use fourwave_wire::{RawWindow, SeqNum};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const PORT: u16 = 8080;
const REMOTE_PORT: u16 = 40_000;
/// Far more than a busy machine needs to answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const SYN_ACK: Flags = Flags::from_bits(0x12);
pub(crate) const FIN_ACK: Flags = Flags::from_bits(0x11);
pub(crate) const RST_ACK: Flags = Flags::from_bits(0x14);

/// A target with the state of one connection, seen from the other end.
pub(crate) struct Peer {
    pub(crate) linux: Linux,
    /// The next sequence number that this end sends.
    pub(crate) seq: u32,
    /// The next one that it expects.
    pub(crate) ack: u32,
}

impl Peer {
    pub(crate) fn enter() -> Result<Self, linux::Error> {
        let mut linux = linux::enter(Options::new(LOCAL.into(), 16))?;
        linux.start().unwrap();
        Ok(Self { linux, seq: 1000, ack: 0 })
    }

    pub(crate) fn local() -> SocketAddr {
        SocketAddr::new(LOCAL.into(), PORT)
    }

    pub(crate) fn remote() -> SocketAddr {
        SocketAddr::new(REMOTE.into(), REMOTE_PORT)
    }

    /// Sends a segment; SYN, FIN and payload use up sequence numbers.
    pub(crate) fn send(&mut self, flags: Flags, payload: usize) {
        let header = TcpHeader {
            src_port: REMOTE_PORT,
            dst_port: PORT,
            seq: SeqNum::new(self.seq),
            ack: SeqNum::new(self.ack),
            flags,
            window: RawWindow(60_000),
            urgent: 0,
            options: if flags.syn() {
                TcpOptions { mss: Some(1000), ..TcpOptions::default() }
            } else {
                TcpOptions::default()
            },
        };
        let mut segment = Vec::new();
        header.emit(&mut segment);
        segment.resize(segment.len() + payload, 0);
        let (src, dst) = (IpAddr::V4(REMOTE), IpAddr::V4(LOCAL));
        let sum = Sum::default().with_pseudo_header(src, dst, protocol::TCP, segment.len());
        let sum = Chunks::new(sum).with(&segment).sum().finish();
        segment[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum);
        let mut packet = Vec::new();
        let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 };
        ip.emit(segment.len(), &mut packet);
        packet.extend(segment);
        self.linux.inject(&packet).unwrap();
        self.seq = self.seq.wrapping_add(header.segment_len(payload));
    }

    /// The next segment, which must have these flags (PSH aside); returns its payload's length.
    pub(crate) fn expect(&mut self, flags: Flags) -> usize {
        let until = self.linux.now() + PATIENCE;
        let sniffed = self.linux.wait(until).unwrap().expect("a packet");
        assert!(sniffed.at <= self.linux.now());
        let ip = IpHeader::parse(&sniffed.packet).unwrap();
        let segment = &sniffed.packet[ip.payload.clone()];
        assert!(verify_checksum(ip.src, ip.dst, segment), "the checksum is right");
        let (header, payload) = TcpHeader::parse(segment).unwrap();
        let push = Flags::PSH.bits();
        assert_eq!(header.flags.bits() & !push, flags.bits() & !push, "{header:?}");
        if flags.syn() {
            self.ack = header.seq.value();
        }
        if !flags.rst() {
            assert_eq!(header.seq.value(), self.ack, "{header:?}");
        }
        self.ack = self.ack.wrapping_add(header.segment_len(payload.len()));
        payload.len()
    }

    /// Nothing is sent for a while.
    pub(crate) fn expect_silence(&mut self) {
        let until = self.linux.now() + Duration::from_millis(100);
        assert_eq!(self.linux.wait(until).unwrap(), None);
    }

    /// A call that returns at once.
    pub(crate) fn call(&mut self, call: SysCall) -> Returned {
        match self.linux.call(&call).unwrap() {
            Progress::Returned(returned) => returned,
            Progress::Blocked => panic!("{call:?} blocks"),
        }
    }

    /// A call that returns at once with this value.
    pub(crate) fn ok(&mut self, call: SysCall, value: i64) -> Output {
        let returned = self.call(call.clone());
        assert_eq!(returned.result, Ok(value), "{call:?}");
        returned.output
    }

    /// A call that does not return yet.
    pub(crate) fn blocks(&mut self, call: SysCall) {
        assert_eq!(self.linux.call(&call).unwrap(), Progress::Blocked, "{call:?}");
        assert_eq!(self.linux.returned().unwrap(), None);
    }

    /// What the call that did not return has returned now.
    pub(crate) fn returned(&mut self) -> Returned {
        let until = self.linux.now() + PATIENCE;
        while self.linux.now() < until {
            if let Some((at, returned)) = self.linux.returned().unwrap() {
                assert!(at <= self.linux.now());
                return returned;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the call has not returned");
    }

    pub(crate) fn socket(&mut self, fd: Fd) {
        let (domain, kind) = (libc::AF_INET, libc::SOCK_STREAM);
        self.ok(SysCall::Socket { domain, kind, protocol: 6, as_fd: Some(fd) }, fd.into());
    }

    pub(crate) fn set(&mut self, fd: Fd, level: i32, name: i32, value: OptionValue, len: i64) {
        self.ok(SysCall::SetOption { fd, level, name, value, len }, 0);
    }

    /// A listener on descriptor 3.
    pub(crate) fn listen(&mut self) {
        self.socket(3);
        self.set(3, libc::SOL_SOCKET, libc::SO_REUSEADDR, OptionValue::Int(1), 4);
        self.ok(SysCall::Bind { fd: 3, addr: Self::local() }, 0);
        self.ok(SysCall::Listen { fd: 3, backlog: 1 }, 0);
    }

    /// A connection on descriptor 4, accepted from 3.
    pub(crate) fn establish(&mut self) {
        self.listen();
        self.send(Flags::SYN, 0);
        self.expect(SYN_ACK);
        self.send(Flags::ACK, 0);
        let peer = self.ok(SysCall::Accept { fd: 3, flags: 0, as_fd: Some(4) }, 4);
        assert_eq!(peer, Output::Peer(Self::remote()));
    }
}
