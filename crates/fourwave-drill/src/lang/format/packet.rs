//! Packets as the language writes them.

use std::fmt::{self, Display, Formatter};

use crate::ast::{
    Body, Cookie, Direction, Echoed, Ecn, FlagSpec, IcmpSpec, IpSpec, OptionSpec, OptionsSpec,
    Packet, SeqSpec, TcpSpec,
};
use crate::lang::packet::FLAGS;

impl Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "<",
            Self::Out => ">",
        })
    }
}

impl Display for Packet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { direction, outer, ip, body, fuzz } = self;
        write!(f, "{direction} ")?;
        if let Some(outer) = outer {
            write!(f, "{outer} ")?;
        }
        if *ip != IpSpec::default() {
            write!(f, "{ip} ")?;
        }
        write!(f, "{body}")?;
        match fuzz {
            Some(fuzz) => write!(f, " {{{fuzz}}}"),
            None => Ok(()),
        }
    }
}

impl Display for Ecn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEct => "noecn",
            Self::Ect0 => "ect0",
            Self::Ect1 => "ect1",
            Self::Ce => "ce",
            Self::Ect01 => "ect01",
        })
    }
}

/// `[ect0, ttl 64]`; nothing if nothing is said.
impl Display for IpSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { ecn, tos, dscp, ttl, flow_label } = self;
        let items: Vec<String> = [
            tos.map(|tos| format!("tos {tos:#04x}")),
            dscp.map(|dscp| format!("dscp {dscp}")),
            ecn.map(|ecn| ecn.to_string()),
            flow_label.map(|label| format!("flowlabel {label:#x}")),
            ttl.map(|ttl| format!("ttl {ttl}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        match items.is_empty() {
            true => Ok(()),
            false => write!(f, "[{}]", items.join(", ")),
        }
    }
}

impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => write!(f, "{tcp}"),
            Self::Other(text) => f.write_str(text),
            Self::Icmp(icmp) => write!(f, "{icmp}"),
            Self::Udp { ports: None, len } => write!(f, "udp ({len})"),
            Self::Udp { ports: Some((from, to)), len } => write!(f, "udp {from} > {to} ({len})"),
        }
    }
}

/// Without arrow and IP prefix: `P. 1:1001(1000) ack 1 win 257 <nop,nop,…>`.
impl Display for TcpSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { ports, encapsulation, flags, seq, ack, window, urgent, options } = self;
        if let Some((from, to)) = ports {
            write!(f, "{from} > {to} ")?;
        }
        write!(f, "{flags} {seq}")?;
        if let Some(ack) = ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(window) = window {
            write!(f, " win {window}")?;
        }
        if let Some(urgent) = urgent {
            write!(f, " urg {urgent}")?;
        }
        if *options != OptionsSpec::None {
            write!(f, " {options}")?;
        }
        match encapsulation {
            Some((from, to)) => write!(f, " /udp({from} > {to})"),
            None => Ok(()),
        }
    }
}

impl Display for FlagSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { bits, ace } = *self;
        if bits == 0 && ace.is_none() {
            return f.write_str("-");
        }
        for (letter, _) in FLAGS.iter().filter(|&&(_, bit)| bits & bit != 0) {
            write!(f, "{letter}")?;
        }
        match ace {
            Some(ace) => write!(f, "{ace}"),
            None => Ok(()),
        }
    }
}

impl Display for SeqSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unchecked { len } => write!(f, "...({len})"),
            Self::Range { start, end, len, absolute } => {
                write!(f, "{start}:{end}({len}){}", if absolute { "!" } else { "" })
            }
        }
    }
}

impl Display for OptionsSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Any => f.write_str("<...>"),
            Self::List(list) => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(f, "<{}>", list.join(","))
            }
        }
    }
}

/// A number, or `...` for none.
fn or_any(value: Option<u32>) -> String {
    value.map_or_else(|| "...".to_owned(), |value| value.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Display for OptionSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nop => f.write_str("nop"),
            Self::Eol => f.write_str("eol"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(from, to)| write!(f, " {from}:{to}"))
            }
            Self::Timestamps { val, ecr, absolute } => {
                let mark = if *absolute { "!" } else { "" };
                write!(f, "TS val {} ecr {}{mark}", or_any(*val), or_any(*ecr))
            }
            Self::FastOpen(cookie) => write!(f, "FO{cookie}"),
            Self::FastOpenExperimental(cookie) => write!(f, "FOEXP{cookie}"),
            Self::Md5(None) => f.write_str("md5 valid"),
            Self::Md5(Some(digest)) => write!(f, "md5 {}", hex(digest)),
            Self::AccEcn(counters) => {
                f.write_str("ECN")?;
                counters.iter().try_for_each(|(name, value)| write!(f, " {name} {value}"))
            }
            Self::Raw { kind, length, bytes } => {
                write!(f, "kind {kind}")?;
                if let Some(length) = length {
                    write!(f, " len {length}")?;
                }
                let space = if bytes.is_empty() { "" } else { " " };
                write!(f, "{space}{}", hex(bytes))
            }
        }
    }
}

/// With a space before it, so that it follows its option's name; nothing for a request.
impl Display for Cookie {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => Ok(()),
            Self::Bytes(bytes) if bytes.is_empty() => Ok(()),
            Self::Bytes(bytes) => write!(f, " {}", hex(bytes)),
            Self::Name(name) => write!(f, " {name}"),
        }
    }
}

impl Display for IcmpSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kind, code, mtu, id, echoed, span: _ } = self;
        write!(f, "icmp {kind}")?;
        if let Some(code) = code {
            write!(f, " {code}")?;
        }
        if let Some(mtu) = mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(id) = id {
            write!(f, " id {id}")?;
        }
        match echoed {
            Some(Echoed::Tcp(seq)) => write!(f, " [{seq}]"),
            Some(Echoed::TcpInUdp(seq, (from, to))) => write!(f, " [{seq}/udp({from} > {to})]"),
            Some(Echoed::Other(text)) => write!(f, " [{text}]"),
            Some(Echoed::Udp(len)) => write!(f, " [udp ({len})]"),
            Some(Echoed::Raw(len)) => write!(f, " [raw ({len})]"),
            None => Ok(()),
        }
    }
}
