//! A target that does what a test tells it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use fourwave_drill::lang;
use fourwave_drill::run::{Failure, Options, Outcome, Report, run};
use fourwave_drill::syscall::{Fd, Output, Returned, SysCall};
use fourwave_drill::target::{Facts, Progress, Refusal, Sniffed, Target};
use fourwave_wire::ip::{IpEmit, IpHeader, protocol};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{CHECKSUM_OFFSET, Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum, checksum::Sum};

/// What the mock does with a packet: when, and what it answers.
pub(crate) type Answer = Box<dyn FnMut(&TcpHeader, usize) -> Vec<(Duration, Vec<u8>)>>;

/// A target without a stack.
#[derive(Default)]
pub(crate) struct Mock {
    pub(crate) now: Duration,
    /// Packets to come, by time.
    pub(crate) coming: VecDeque<Sniffed>,
    /// Answers to packets.
    pub(crate) answer: Option<Answer>,
    /// What calls return, in order; success with 0 when there is no more.
    pub(crate) returns: VecDeque<Returned>,
    /// The next call blocks and returns so much later.
    pub(crate) blocks: Option<(Duration, Returned)>,
    pub(crate) pending: Option<(Duration, Returned)>,
    pub(crate) injected: Vec<Vec<u8>>,
    pub(crate) calls: Vec<SysCall>,
    pub(crate) commands: Vec<String>,
    pub(crate) facts: BTreeMap<Fd, Facts>,
}

impl Mock {
    pub(crate) fn returning(returns: impl IntoIterator<Item = Returned>) -> Self {
        Self { returns: returns.into_iter().collect(), ..Self::default() }
    }

    /// The stack sends a packet at this time (ms).
    pub(crate) fn sends(mut self, at: u64, packet: Vec<u8>) -> Self {
        self.coming.push_back(Sniffed { at: ms(at), packet });
        self
    }
}

impl Target for Mock {
    fn start(&mut self) -> Result<(), Refusal> {
        self.now = Duration::ZERO;
        Ok(())
    }

    fn now(&mut self) -> Duration {
        self.now
    }

    fn wait(&mut self, until: Duration) -> Result<Option<Sniffed>, Refusal> {
        match self.coming.front() {
            Some(next) if next.at <= until.max(self.now) => {
                self.now = self.now.max(next.at);
                Ok(self.coming.pop_front())
            }
            _ => {
                self.now = self.now.max(until);
                Ok(None)
            }
        }
    }

    fn inject(&mut self, packet: &[u8]) -> Result<(), Refusal> {
        self.injected.push(packet.to_vec());
        let ip = IpHeader::parse(packet).unwrap();
        if ip.protocol == protocol::TCP
            && let Some(answer) = &mut self.answer
        {
            let (tcp, payload) = TcpHeader::parse(&packet[ip.payload]).unwrap();
            for (delay, packet) in answer(&tcp, payload.len()) {
                self.coming.push_back(Sniffed { at: self.now + delay, packet });
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &SysCall) -> Result<Progress, Refusal> {
        self.calls.push(call.clone());
        if let Some((after, returned)) = self.blocks.take() {
            self.pending = Some((self.now + after, returned));
            return Ok(Progress::Blocked);
        }
        if let SysCall::Ioctl { .. } = call
            && self.returns.is_empty()
        {
            return Err(Refusal::Unsupported("ioctl on the mock".to_owned()));
        }
        Ok(Progress::Returned(self.returns.pop_front().unwrap_or(Returned::ok(0))))
    }

    fn returned(&mut self) -> Result<Option<(Duration, Returned)>, Refusal> {
        match &self.pending {
            Some((at, _)) if *at <= self.now => Ok(self.pending.take()),
            _ => Ok(None),
        }
    }

    fn info(&mut self, fd: Fd) -> Result<Option<Facts>, Refusal> {
        Ok(self.facts.get(&fd).cloned())
    }

    fn command(&mut self, command: &str) -> Result<(), Refusal> {
        self.commands.push(command.trim().to_owned());
        match command.trim() {
            "unheard of" => Err(Refusal::Unsupported("the command `unheard of`".to_owned())),
            "false" => Err(Refusal::Failed("`false` ended with status 1".to_owned())),
            _ => Ok(()),
        }
    }
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const LOCAL: [u8; 4] = [192, 168, 0, 1];
pub(crate) const REMOTE: [u8; 4] = [192, 0, 2, 1];

/// Where the script's end is, as seen by the mock's stack.
pub(crate) fn to_port(port: u16) -> TcpHeader {
    TcpHeader { src_port: 8080, dst_port: port, ..TcpHeader::default() }
}

/// A segment of the stack.
pub(crate) fn segment(header: TcpHeader, payload: usize) -> Vec<u8> {
    emit(LOCAL.into(), REMOTE.into(), header, &vec![0; payload])
}

pub(crate) fn emit(src: IpAddr, dst: IpAddr, header: TcpHeader, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let ip = IpEmit { src, dst, protocol: protocol::TCP, ttl: 64, ecn: 0 };
    ip.emit(header.emitted_len() + payload.len(), &mut packet);
    let start = packet.len();
    header.emit(&mut packet);
    packet.extend_from_slice(payload);
    let len = packet.len() - start;
    let sum = Sum::default().with_pseudo_header(src, dst, protocol::TCP, len);
    let sum = sum.with(&packet[start..]).finish();
    packet[start + CHECKSUM_OFFSET..start + CHECKSUM_OFFSET + 2].copy_from_slice(&sum);
    packet
}

/// The stack's initial sequence number.
pub(crate) const ISN: u32 = 0x7fff_fff0;

/// Answers a SYN with SYN ACK and data with an ACK, from [`ISN`] on.
pub(crate) fn server() -> Answer {
    let mut options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
    options.sack_permitted = true;
    let mut next = None;
    Box::new(move |tcp, payload| {
        let mut reply = to_port(tcp.src_port);
        reply.window = RawWindow(65_535);
        reply.flags = Flags::ACK;
        reply.seq = SeqNum::new(ISN + 1);
        let end = tcp.seq + tcp.segment_len(payload);
        reply.ack = end;
        if tcp.flags.syn() {
            next = Some(end);
            reply.flags = Flags::SYN | Flags::ACK;
            reply.seq = SeqNum::new(ISN);
            reply.options = options;
        } else if payload == 0 && !tcp.flags.fin() || next != Some(tcp.seq) {
            return Vec::new();
        } else {
            next = Some(end);
        }
        vec![(Duration::ZERO, segment(reply, 0))]
    })
}

/// Plays a script text.
pub(crate) fn play(source: &str, target: &mut Mock) -> Report {
    play_with(source, &Options::default(), target)
}

pub(crate) fn play_with(source: &str, options: &Options, target: &mut Mock) -> Report {
    let script = lang::parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    let options = options.for_script(&script).unwrap();
    run(&script, &options, target)
}

pub(crate) fn passed(report: &Report) {
    assert_eq!(report.outcome, Outcome::Passed, "{:#?}", report.outcome);
}

pub(crate) fn failed(report: Report) -> Failure {
    match report.outcome {
        Outcome::Failed(failure) => *failure,
        other => panic!("it should have failed: {other:?}"),
    }
}

pub(crate) fn skipped(report: Report) -> String {
    match report.outcome {
        Outcome::Skipped(reason) => reason,
        other => panic!("it should have been skipped: {other:?}"),
    }
}

/// What is marked in an actual packet.
pub(crate) fn marked(shown: &fourwave_drill::run::Shown) -> Vec<&str> {
    shown.pieces.iter().filter(|piece| piece.differs).map(|piece| piece.text.as_str()).collect()
}

pub(crate) fn with(value: i64, output: Output) -> Returned {
    Returned { result: Ok(value), output }
}
