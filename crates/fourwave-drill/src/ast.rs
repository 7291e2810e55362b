//! A script as it was written: what the parser makes, the formatter prints and the runner plays.
//!
//! Nothing here is resolved: names stand as names (`--define` and the system's constants come in
//! when the script runs), sequence numbers are the script's own.

use std::time::Duration;

/// Where something stands in the source; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line of the first byte.
    pub line: u32,
    /// Column of the first byte.
    pub column: u32,
}

/// A whole script.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Script {
    /// `--name=value` lines, in order.
    pub options: Vec<OptionLine>,
    /// The shell command before the first event.
    pub init: Option<Command>,
    /// The events, in order; at least one.
    pub events: Vec<Event>,
    /// The shell command after the last event.
    pub cleanup: Option<Command>,
}

/// `--name=value`, or `--name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionLine {
    /// Without the dashes.
    pub name: String,
    /// What follows `=`.
    pub value: Option<String>,
    /// The whole of it.
    pub span: Span,
}

/// A shell command between backquotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Without the quotes.
    pub text: String,
    /// With the quotes.
    pub span: Span,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: Time,
    /// What.
    pub kind: EventKind,
    /// Time and all.
    pub span: Span,
}

/// When an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `0.1`: since the script began.
    At(Duration),
    /// `+.1`: since the event before.
    After(Duration),
    /// `*`: whenever it comes (outbound packets).
    Any,
    /// `1.0~1.2` (outbound packets).
    Between(Duration, Duration),
    /// `+.1~+.2` (outbound packets).
    AfterBetween(Duration, Duration),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A packet from the script to the stack, or one the stack must send.
    Packet(Box<Packet>),
    /// A system call.
    Call(Box<Call>),
    /// `` `command` ``.
    Command(Command),
    /// `%{ code }%`, without the brackets.
    Code(Command),
}

/// A system call with what it must return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `+0...0.2`: it blocks, and returns at this time (absolute or relative as the event's own).
    pub until: Option<Duration>,
    /// The call's name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// What it must return; none for `...`.
    pub result: Option<Expr>,
    /// `EAGAIN` in `= -1 EAGAIN (Resource temporarily unavailable)`.
    pub errno: Option<String>,
    /// The words in parentheses, which mean nothing.
    pub note: Option<String>,
}

/// An argument, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

/// What an argument may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprKind {
    /// `...`: the runner's choice, or unchecked.
    Ellipsis,
    /// A number, decimal (leading zeros mean nothing) or hexadecimal; a minus sign is part of it.
    Int(i128),
    /// `"text"` with C's escapes resolved, strings side by side joined.
    Str(Vec<u8>),
    /// `"text"...`: the beginning of a text.
    StrPrefix(Vec<u8>),
    /// `SO_REUSEADDR`, `NULL`, a name of `--define`.
    Name(String),
    /// `a | b`, `a & b`, `a + b` …; the operator as written.
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `~a`.
    Not(Box<Expr>),
    /// `htons(8080)`.
    Apply(String, Vec<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{a=1, msg_iov(1)=[…], 5}`.
    Struct(Vec<Field>),
}

/// A part of [`ExprKind::Struct`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// None for a bare value.
    pub name: Option<String>,
    /// `(1)` in `msg_iov(1)=…`.
    pub count: Option<Expr>,
    /// The value.
    pub value: Expr,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `<`: from the script into the stack.
    In,
    /// `>`: the stack must send it.
    Out,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which way.
    pub direction: Direction,
    /// Headers outside its own, as written (`ipv4 1.1.1.1 > 2.2.2.2: gre:`, `encap psp spi 2`).
    /// Read so that a script can be skipped for it.
    pub outer: Option<String>,
    /// What is said of its IP header.
    pub ip: IpSpec,
    /// What it carries.
    pub body: Body,
    /// How it is mangled, as written between the braces (`mut tcp mss`). Read, like `outer`.
    pub fuzz: Option<String>,
}

/// ECN bits of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// `[noecn]`.
    NotEct,
    /// `[ect0]`.
    Ect0,
    /// `[ect1]`.
    Ect1,
    /// `[ce]`.
    Ce,
    /// `[ect01]`: either of the two.
    Ect01,
}

/// What is said of the IP header; none of it is checked where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct IpSpec {
    /// `[ect0]` …
    pub ecn: Option<Ecn>,
    /// `[tos 0x10]` and `[class 0x10]`.
    pub tos: Option<u8>,
    /// `[dscp cs1]`: the upper six bits alone, as a number of 0 to 63 (nplab).
    pub dscp: Option<u8>,
    /// `[ttl 64]` and `[hlim 64]`.
    pub ttl: Option<u8>,
    /// `[flowlabel 0x1]`.
    pub flow_label: Option<u32>,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A TCP segment.
    Tcp(TcpSpec),
    /// `udp (len)`.
    Udp {
        /// `a > b`.
        ports: Option<(u16, u16)>,
        /// Bytes of payload.
        len: u16,
    },
    /// An ICMP error.
    Icmp(IcmpSpec),
    /// A packet of another protocol (`sctp: …`, `udplite(100, 8)`), as written. Read so that a
    /// script can be skipped for it.
    Other(String),
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSpec {
    /// `8080 > 5000` before the flags.
    pub ports: Option<(u16, u16)>,
    /// `/udp(a > b)` after the options: carried in UDP (nplab).
    pub encapsulation: Option<(u16, u16)>,
    /// The flags.
    pub flags: FlagSpec,
    /// The sequence numbers.
    pub seq: SeqSpec,
    /// `ack N`.
    pub ack: Option<u32>,
    /// `win N`, raw.
    pub window: Option<u16>,
    /// `urg N`.
    pub urgent: Option<u16>,
    /// The options.
    pub options: OptionsSpec,
}

/// Flags of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FlagSpec {
    /// FIN SYN RST PSH ACK URG ECE CWR in the header's bits (FIN = 1 … CWR = 0x80), and AE = 0x100.
    pub bits: u16,
    /// `.5`: the value of AccECN's ACE field.
    pub ace: Option<u8>,
}

/// The sequence numbers of a segment, in the script's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqSpec {
    /// `1:1001(1000)`; `!` after it (nplab): absolute on the wire.
    Range {
        /// The first.
        start: u32,
        /// One past the last.
        end: u32,
        /// Bytes of payload.
        len: u32,
        /// `!`.
        absolute: bool,
    },
    /// `...(1000)` (nplab): not checked.
    Unchecked {
        /// Bytes of payload.
        len: u32,
    },
}

/// The options of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionsSpec {
    /// None written: none at all.
    None,
    /// `<...>`: not checked.
    Any,
    /// In this order.
    List(Vec<OptionSpec>),
}

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionSpec {
    /// `nop`.
    Nop,
    /// `eol`.
    Eol,
    /// `mss 1460`.
    Mss(u16),
    /// `wscale 8`.
    WindowScale(u8),
    /// `sackOK`.
    SackPermitted,
    /// `sack 1:2 5:6`.
    Sack(Vec<(u32, u32)>),
    /// `TS val 100 ecr 0`; none for `...`.
    Timestamps {
        /// The sender's clock.
        val: Option<u32>,
        /// What it echoes.
        ecr: Option<u32>,
        /// `ecr 100!` (nplab): the echo as it is on the wire, not mapped.
        absolute: bool,
    },
    /// `FO`, `FO a1b2`, `FO NAME`: RFC 7413's option.
    FastOpen(Cookie),
    /// `FOEXP`, `FOEXP a1b2`: the experimental option 254 with magic 0xf989.
    FastOpenExperimental(Cookie),
    /// `md5` with its digest, or (`md5 valid`) the right one computed with `--tcp_md5_secret`.
    Md5(Option<[u8; 16]>),
    /// `ECN e1b 1 ceb 0 e0b 1`: AccECN's counters as (name, value), in order.
    AccEcn(Vec<(String, u32)>),
    /// An option by its number (nplab's and for malformed ones).
    Raw {
        /// Option kind.
        kind: u8,
        /// The length byte as on the wire, which may be wrong on purpose; none for no such byte.
        length: Option<u8>,
        /// What follows.
        bytes: Vec<u8>,
    },
}

/// A Fast Open cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// No cookie: a request for one.
    Request,
    /// Hexadecimal digits.
    Bytes(Vec<u8>),
    /// A name of `--define`.
    Name(String),
}

/// An ICMP error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpSpec {
    /// `unreachable`, `packet_too_big`, `time_exceeded`, `source_quench` …
    pub kind: String,
    /// `host_unreachable`, `frag_needed` …
    pub code: Option<String>,
    /// `mtu 1400`.
    pub mtu: Option<u32>,
    /// `id 7`: the identifier of an echo.
    pub id: Option<u32>,
    /// `[1:1001(1000)]`: the sequence numbers of the segment it quotes.
    pub echoed: Option<Echoed>,
    /// Where the kind stands.
    pub span: Span,
}

/// What an ICMP error quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echoed {
    /// A TCP segment.
    Tcp(SeqSpec),
    /// `[1:1001(1000)/udp(9811 > 1)]`: a TCP segment carried in UDP between these ports (nplab).
    TcpInUdp(SeqSpec, (u16, u16)),
    /// A UDP datagram with so many bytes.
    Udp(u16),
    /// `[raw (100)]`: so many bytes of no protocol.
    Raw(u16),
    /// A packet of another protocol, as written.
    Other(String),
}
