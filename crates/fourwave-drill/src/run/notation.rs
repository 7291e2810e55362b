//! Packets in the script's notation, with the parts that differ marked.

use crate::ast::{
    Body, Cookie, Direction, Ecn, FlagSpec, OptionSpec, OptionsSpec, Packet, SeqSpec, TcpSpec,
};
use crate::run::{Piece, Shown};

/// What can differ between two packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Time,
    Ip,
    Kind,
    Flags,
    Seq,
    Ack,
    Window,
    Urgent,
    Options,
    Option(usize),
    Ports,
    Length,
}

impl Part {
    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Ip => "the IP header",
            Self::Kind => "protocol",
            Self::Flags => "flags",
            Self::Seq => "sequence numbers",
            Self::Ack => "ack",
            Self::Window => "win",
            Self::Urgent => "urg",
            Self::Options | Self::Option(_) => "options",
            Self::Ports => "ports",
            Self::Length => "length",
        }
    }
}

struct Writer<'a> {
    shown: Shown,
    differing: &'a [Part],
}

impl Writer<'_> {
    fn put(&mut self, part: Option<Part>, text: String) {
        let differs = part.is_some_and(|part| self.differing.contains(&part));
        self.shown.pieces.push(Piece { text, differs });
    }

    fn blank(&mut self) {
        self.put(None, " ".to_owned());
    }
}

/// A packet at a time, `differing` marked.
pub(crate) fn show(time: &str, packet: &Packet, differing: &[Part]) -> Shown {
    let mut out = Writer { shown: Shown::default(), differing };
    out.put(Some(Part::Time), time.to_owned());
    let direction = if packet.direction == Direction::In { " < " } else { " > " };
    out.put(None, direction.to_owned());
    ip(&mut out, packet);
    match &packet.body {
        Body::Tcp(spec) => tcp(&mut out, spec),
        Body::Udp { ports, len } => {
            self::ports(&mut out, *ports);
            out.put(Some(Part::Kind), "udp".to_owned());
            out.put(Some(Part::Length), format!(" ({len})"));
        }
        Body::Icmp(spec) => {
            let code = spec.code.as_ref().map_or(String::new(), |code| format!(" {code}"));
            out.put(Some(Part::Kind), format!("icmp {}{code}", spec.kind));
        }
        Body::Other(what) => out.put(Some(Part::Kind), what.clone()),
    }
    out.shown
}

fn ip(out: &mut Writer<'_>, packet: &Packet) {
    let spec = &packet.ip;
    let ecn = spec.ecn.map(|ecn| match ecn {
        Ecn::NotEct => "noecn",
        Ecn::Ect0 => "ect0",
        Ecn::Ect1 => "ect1",
        Ecn::Ce => "ce",
        Ecn::Ect01 => "ect01",
    });
    let mut words: Vec<String> = ecn.map(str::to_owned).into_iter().collect();
    words.extend(spec.tos.map(|tos| format!("tos {tos:#04x}")));
    words.extend(spec.dscp.map(|dscp| format!("dscp {dscp:#04x}")));
    words.extend(spec.ttl.map(|ttl| format!("ttl {ttl}")));
    words.extend(spec.flow_label.map(|label| format!("flowlabel {label:#x}")));
    if !words.is_empty() {
        out.put(Some(Part::Ip), format!("[{}]", words.join(", ")));
        out.blank();
    }
}

fn ports(out: &mut Writer<'_>, ports: Option<(u16, u16)>) {
    if let Some((from, to)) = ports {
        out.put(Some(Part::Ports), format!("{from} > {to}"));
        out.blank();
    }
}

fn tcp(out: &mut Writer<'_>, tcp: &TcpSpec) {
    ports(out, tcp.ports);
    out.put(Some(Part::Flags), flags(tcp.flags));
    out.blank();
    let seq = match tcp.seq {
        SeqSpec::Range { start, end, len, absolute } => {
            format!("{start}:{end}({len}){}", if absolute { "!" } else { "" })
        }
        SeqSpec::Unchecked { len } => format!("...({len})"),
    };
    out.put(Some(Part::Seq), seq);
    let numbers = [
        (Part::Ack, "ack", tcp.ack),
        (Part::Window, "win", tcp.window.map(u32::from)),
        (Part::Urgent, "urg", tcp.urgent.map(u32::from)),
    ];
    for (part, name, number) in numbers {
        if let Some(number) = number {
            out.blank();
            out.put(Some(part), format!("{name} {number}"));
        }
    }
    options(out, &tcp.options);
    if let Some((from, to)) = tcp.encapsulation {
        out.put(Some(Part::Ports), format!("/udp({from} > {to})"));
    }
}

fn options(out: &mut Writer<'_>, options: &OptionsSpec) {
    match options {
        OptionsSpec::None => {}
        OptionsSpec::Any => out.put(Some(Part::Options), " <...>".to_owned()),
        OptionsSpec::List(list) => {
            out.put(Some(Part::Options), " <".to_owned());
            for (at, one) in list.iter().enumerate() {
                if at > 0 {
                    out.put(None, ",".to_owned());
                }
                out.put(Some(Part::Option(at)), option(one));
            }
            out.put(Some(Part::Options), ">".to_owned());
        }
    }
}

fn flags(spec: FlagSpec) -> String {
    const LETTERS: [(u16, char); 9] = [
        (0x001, 'F'),
        (0x002, 'S'),
        (0x004, 'R'),
        (0x040, 'E'),
        (0x080, 'W'),
        (0x100, 'A'),
        (0x008, 'P'),
        (0x020, 'U'),
        (0x010, '.'),
    ];
    let set = LETTERS.iter().filter(|(bit, _)| spec.bits & bit != 0);
    let mut text: String = set.map(|(_, letter)| *letter).collect();
    if let Some(ace) = spec.ace {
        text.push_str(&ace.to_string());
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cookie(name: &str, cookie: &Cookie) -> String {
    match cookie {
        Cookie::Request => name.to_owned(),
        Cookie::Bytes(bytes) => format!("{name} {}", hex(bytes)),
        Cookie::Name(defined) => format!("{name} {defined}"),
    }
}

fn option(option: &OptionSpec) -> String {
    let number = |n: &Option<u32>| n.map_or("...".to_owned(), |n| n.to_string());
    match option {
        OptionSpec::Nop => "nop".to_owned(),
        OptionSpec::Eol => "eol".to_owned(),
        OptionSpec::Mss(mss) => format!("mss {mss}"),
        OptionSpec::WindowScale(shift) => format!("wscale {shift}"),
        OptionSpec::SackPermitted => "sackOK".to_owned(),
        OptionSpec::Sack(blocks) => {
            let blocks: Vec<String> = blocks.iter().map(|(a, b)| format!("{a}:{b}")).collect();
            format!("sack {}", blocks.join(" "))
        }
        OptionSpec::Timestamps { val, ecr, .. } => {
            format!("TS val {} ecr {}", number(val), number(ecr))
        }
        OptionSpec::FastOpen(value) => cookie("FO", value),
        OptionSpec::FastOpenExperimental(value) => cookie("FOEXP", value),
        OptionSpec::Md5(None) => "md5".to_owned(),
        OptionSpec::Md5(Some(digest)) => format!("md5 {}", hex(digest)),
        OptionSpec::AccEcn(counters) => {
            let counters: Vec<String> =
                counters.iter().map(|(name, value)| format!("{name} {value}")).collect();
            format!("ECN {}", counters.join(" "))
        }
        OptionSpec::Raw { kind, length, bytes } => {
            let length = length.map_or(String::new(), |length| format!(" {length:#x}"));
            let bytes: String = bytes.iter().map(|byte| format!(" {byte:#x}")).collect();
            format!("gen {kind:#x}{length}{bytes}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::IpSpec;

    #[test]
    fn a_packet_as_a_script_writes_it_with_a_part_marked() {
        let tcp = TcpSpec {
            ports: None,
            encapsulation: None,
            flags: FlagSpec { bits: 0x18, ace: None },
            seq: SeqSpec::Range { start: 1, end: 1001, len: 1000, absolute: false },
            ack: Some(1),
            window: Some(257),
            urgent: None,
            options: OptionsSpec::List(vec![
                OptionSpec::Nop,
                OptionSpec::Timestamps { val: Some(100), ecr: None, absolute: false },
            ]),
        };
        let ip = IpSpec { ecn: Some(Ecn::Ect0), ..IpSpec::default() };
        let packet =
            Packet { direction: Direction::Out, outer: None, fuzz: None, ip, body: Body::Tcp(tcp) };
        let shown = show("0.1", &packet, &[Part::Ack, Part::Option(1)]);
        let text = "0.1 > [ect0] P. 1:1001(1000) ack 1 win 257 <nop,TS val 100 ecr ...>";
        assert_eq!(shown.to_string(), text);
        let marked: Vec<&str> =
            shown.pieces.iter().filter(|p| p.differs).map(|p| p.text.as_str()).collect();
        assert_eq!(marked, ["ack 1", "TS val 100 ecr ..."]);
    }
}
