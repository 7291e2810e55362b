//! A segment as a capture has it, and as a script writes it.

use std::time::Duration;

use fourwave_lens::Role;
use fourwave_wire::SeqNum;
use fourwave_wire::ip::{IpHeader, ecn, protocol};
use fourwave_wire::options::TcpOptions;
use fourwave_wire::tcp::{TCP_HEADER_LEN, TcpHeader};

use crate::ast::{Cookie, FlagSpec, OptionSpec, OptionsSpec, SeqSpec, TcpSpec};

pub(super) const FIN: u16 = 0x01;
pub(super) const SYN: u16 = 0x02;
pub(super) const RST: u16 = 0x04;
pub(super) const PSH: u16 = 0x08;
pub(super) const ACK: u16 = 0x10;
const URG: u16 = 0x20;

/// One segment.
#[derive(Clone, Debug)]
pub(super) struct Seg {
    /// In the capture's time.
    pub(super) at: Duration,
    pub(super) from: Role,
    /// Whether the capturing host sent it, where the capture says so.
    pub(super) outgoing: Option<bool>,
    pub(super) flags: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    /// Raw.
    pub(super) window: u16,
    pub(super) urgent: u16,
    /// Bytes of payload on the wire.
    pub(super) len: u32,
    pub(super) options: TcpOptions,
}

impl Seg {
    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The first of a connection's two SYNs.
    pub(super) fn is_syn(&self) -> bool {
        self.has(SYN) && !self.has(ACK)
    }

    /// Neither payload nor SYN, FIN or RST.
    pub(super) fn is_bare(&self) -> bool {
        self.len == 0 && !self.has(SYN | FIN | RST)
    }

    /// The number behind its last, SYN and FIN counted.
    pub(super) fn end(&self) -> u32 {
        let flags = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.seq.wrapping_add(self.len).wrapping_add(flags)
    }
}

/// Reads a packet of which perhaps only the beginning was kept. `from` is set by the caller.
pub(super) fn read(packet: &[u8], wire_len: usize) -> Option<(IpHeader, u16, u16, Seg)> {
    let ip = IpHeader::parse_truncated(packet).ok()?;
    if ip.protocol != protocol::TCP {
        return None;
    }
    // A super-packet of 64 KiB and more has a length field of 0: the wire knows better.
    let field = if ip.is_ipv6() { packet.get(4..6) } else { packet.get(2..4) };
    let end = if field == Some(&[0, 0]) { wire_len } else { ip.payload.end };
    let kept = packet.get(ip.payload.start..ip.payload.end.max(end).min(packet.len()))?;
    let fixed: &[u8; TCP_HEADER_LEN] = kept.first_chunk()?;
    let header_len = usize::from(fixed[12] >> 4) * 4;
    let tcp = if header_len > kept.len() {
        // The capture cut its options off.
        let mut bare = *fixed;
        bare[12] = 0x50;
        TcpHeader::parse(&bare).ok()?.0
    } else {
        TcpHeader::parse(kept).ok()?.0
    };
    let len = end.checked_sub(ip.payload.start + header_len)?;
    let seg = Seg {
        at: Duration::ZERO,
        from: Role::Client,
        outgoing: None,
        flags: tcp.flags.word(),
        seq: tcp.seq.value(),
        ack: tcp.ack.value(),
        window: u16::from_be_bytes([fixed[14], fixed[15]]),
        urgent: tcp.urgent,
        len: u32::try_from(len).ok()?,
        options: tcp.options,
    };
    Some((ip, tcp.src_port, tcp.dst_port, seg))
}

/// The script's numbers of one side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Its initial sequence number in the capture; none where it sent no SYN.
    pub(super) isn: Option<u32>,
    /// The same in the script.
    pub(super) start: u32,
}

impl Numbers {
    /// A number of this side as it stands in a packet with SYN, or in one without.
    pub(super) fn script(&self, number: u32, syn: bool) -> u32 {
        let relative = number.wrapping_sub(self.isn.unwrap_or(0));
        if syn { relative.wrapping_add(self.start) } else { relative }
    }
}

/// Whether a number comes after another one.
pub(super) fn beyond(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

/// How far a stream has come in order, in the script's numbers.
#[derive(Debug)]
pub(super) struct Received {
    /// The next byte.
    pub(super) next: u32,
    /// What has come and is not in order yet: from, to.
    pieces: Vec<(u32, u32)>,
}

impl Default for Received {
    fn default() -> Self {
        Self { next: 1, pieces: Vec::new() }
    }
}

impl Received {
    /// Takes a piece; returns how much more is in order now.
    pub(super) fn take(&mut self, from: u32, to: u32) -> u32 {
        let before = self.next;
        self.pieces.push((from, to));
        while let Some(&(_, to)) = self
            .pieces
            .iter()
            .find(|(from, to)| !beyond(*from, self.next) && beyond(*to, self.next))
        {
            self.next = to;
        }
        self.pieces.retain(|(_, to)| beyond(*to, self.next));
        self.next.wrapping_sub(before)
    }

    /// Whether something is missing before what has come.
    pub(super) fn has_hole(&self) -> bool {
        !self.pieces.is_empty()
    }
}

/// What of a segment goes into the script: `seq` numbers of its sender, `ack` of the other side.
pub(super) fn spec(seg: &Seg, sender: &Numbers, other: &Numbers, window: bool) -> TcpSpec {
    let syn = seg.has(SYN);
    let start = sender.script(seg.seq, syn);
    TcpSpec {
        ports: None,
        encapsulation: None,
        flags: FlagSpec { bits: seg.flags, ace: None },
        seq: SeqSpec::Range {
            start,
            end: start.wrapping_add(seg.len),
            len: seg.len,
            absolute: false,
        },
        ack: seg.has(ACK).then(|| other.script(seg.ack, syn)),
        window: window.then_some(seg.window),
        urgent: seg.has(URG).then_some(seg.urgent),
        options: layout(&seg.options, other),
    }
}

/// Options as the engine and Linux lay them out: in which order the captured stack wrote them
/// says nothing about the connection. SACK blocks are the other side's numbers.
fn layout(options: &TcpOptions, other: &Numbers) -> OptionsSpec {
    use OptionSpec::{Nop, SackPermitted};
    let mut list = Vec::new();
    list.extend(options.mss.map(OptionSpec::Mss));
    match (options.sack_permitted, options.timestamps.is_some()) {
        (true, true) => list.push(SackPermitted),
        (true, false) => list.extend([Nop, Nop, SackPermitted]),
        (false, true) => list.extend([Nop, Nop]),
        (false, false) => {}
    }
    if let Some(ts) = options.timestamps {
        let (val, ecr) = (Some(ts.value), Some(ts.echo));
        list.push(OptionSpec::Timestamps { val, ecr, absolute: false });
    }
    if let Some(scale) = options.window_scale {
        list.extend([Nop, OptionSpec::WindowScale(scale.shift())]);
    }
    if let Some(cookie) = options.fast_open {
        let bytes = match cookie.cookie() {
            [] => Cookie::Request,
            bytes => Cookie::Bytes(bytes.to_vec()),
        };
        list.push(match cookie.experimental {
            true => OptionSpec::FastOpenExperimental(bytes),
            false => OptionSpec::FastOpen(bytes),
        });
    }
    if let Some(option) = options.acc_ecn {
        let name = |codepoint| match codepoint {
            ecn::ECT_0 => "e0b",
            ecn::CE => "ceb",
            _ => "e1b",
        };
        let counters = option.counters().map(|(codepoint, n)| (name(codepoint).to_owned(), n));
        let counters: Vec<_> = counters.collect();
        let padding = option.emitted_len() - 2 - 3 * counters.len();
        list.push(OptionSpec::AccEcn(counters));
        list.extend(vec![Nop; padding]);
    }
    let blocks = options.sack.as_slice();
    if !blocks.is_empty() {
        let edge = |number: SeqNum| other.script(number.value(), false);
        let blocks = blocks.iter().map(|(from, to)| (edge(*from), edge(*to))).collect();
        list.extend([Nop, Nop, OptionSpec::Sack(blocks)]);
    }
    if list.is_empty() { OptionsSpec::None } else { OptionsSpec::List(list) }
}
