//! Packets: IP prefix, TCP, UDP and ICMP.

use winnow::combinator::{cut_err, delimited, opt, preceded, separated_pair};
use winnow::prelude::*;
use winnow::stream::Stream;

use super::input::{
    In, Res, at_new_line, begins_event, keyword, missing, missing_all, number, number_u8,
    number_u16, number_u32, peek, peek_second, punct, range, refuse, space_behind, span_from,
    span_here, take, text_between, word,
};
use super::options::options;
use crate::ast::{
    Body, Direction, Echoed, Ecn, FlagSpec, IcmpSpec, IpSpec, OptionsSpec, Packet, SeqSpec, Span,
    TcpSpec,
};
use crate::lex::script::Kind;

/// The flags by their letters, in the order in which the formatter writes them.
pub(super) const FLAGS: [(char, u16); 9] = [
    ('F', 0x01),
    ('S', 0x02),
    ('R', 0x04),
    ('E', 0x40),
    ('W', 0x80),
    ('A', 0x100),
    ('P', 0x08),
    ('U', 0x20),
    ('.', ACK),
];
const ACK: u16 = 0x10;

/// DSCP's names (RFC 2474, 2597, 3246, 5865, 8622), as nplab writes them.
const DSCP: [(&str, u8); 23] = [
    ("cs0", 0),
    ("cs1", 8),
    ("cs2", 16),
    ("cs3", 24),
    ("cs4", 32),
    ("cs5", 40),
    ("cs6", 48),
    ("cs7", 56),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("ef", 46),
    ("voice_admit", 44),
    ("le", 1),
];

pub(super) fn packet(i: &mut In<'_>) -> Res<Packet> {
    let direction = take("`<` or `>`", |kind| match kind {
        Kind::Punct('<') => Some(Direction::In),
        Kind::Punct('>') => Some(Direction::Out),
        _ => None,
    })
    .parse_next(i)?;
    let outer = outer(i)?;
    let start = span_here(i);
    let ip = ip_info(i)?;
    if direction == Direction::In && ip.ecn == Some(Ecn::Ect01) {
        let span = span_from(i, start);
        return refuse(i, span, "one codepoint (`ect01` is for outbound packets only)");
    }
    let body = match peek(i) {
        Some(Kind::Word("icmp" | "icmpv4" | "icmpv6")) => Body::Icmp(icmp(i, None)?),
        Some(Kind::Punct('[')) => {
            let echoed = delimited(punct('['), echoed, punct(']')).parse_next(i)?;
            Body::Icmp(icmp(i, Some(echoed))?)
        }
        Some(Kind::Word("udp")) => udp(i)?,
        Some(Kind::Word("sctp" | "udplite")) => Body::Other(other(i)),
        _ => {
            let ports = ports(i)?;
            match peek(i) {
                Some(Kind::Word("udp")) if ports.is_some() => udp_after(i, ports)?,
                _ => Body::Tcp(tcp(i, direction, ports)?),
            }
        }
    };
    let fuzz = opt(fuzz).parse_next(i)?;
    Ok(Packet { direction, outer, ip, body, fuzz })
}

/// Headers outside the packet's own, up to their last colon: kept as text.
fn outer(i: &mut In<'_>) -> Res<Option<String>> {
    let start = span_here(i);
    loop {
        match peek(i) {
            Some(Kind::Word("ipv4" | "ipv6" | "gre" | "GREv0" | "mpls")) => {
                i.input.next_token();
                // The colons within an IPv6 address have no white space behind them.
                while !(peek(i) == Some(Kind::Punct(':')) && space_behind(i)) {
                    if matches!(peek(i), None | Some(Kind::Punct('+' | '*' | '<'))) {
                        return missing(i, "the outer header's `:`");
                    }
                    i.input.next_token();
                }
                i.input.next_token();
            }
            Some(Kind::Word("encap")) => {
                i.input.next_token();
                word("an encapsulation's name").parse_next(i)?;
                keyword("spi", "`spi`").parse_next(i)?;
                let _: u32 = number_u32("a number").parse_next(i)?;
            }
            _ => break,
        }
    }
    let span = span_from(i, start);
    let text = text_between(i, start.start, span.end.max(start.start));
    let nothing = span_here(i).start == start.start;
    Ok((!nothing).then(|| text.to_owned()))
}

/// `{mut tcp mss}`: kept as text.
fn fuzz(i: &mut In<'_>) -> Res<String> {
    punct('{').parse_next(i)?;
    let start = span_here(i);
    while !matches!(peek(i), None | Some(Kind::Punct('}' | '+' | '<' | '>'))) {
        i.input.next_token();
    }
    let end = span_from(i, start).end;
    cut_err(punct('}')).parse_next(i)?;
    Ok(text_between(i, start.start, end).to_owned())
}

/// `[ect0]`, `(tos 0x10, ttl 64)`, and several of them.
fn ip_info(i: &mut In<'_>) -> Res<IpSpec> {
    let mut ip = IpSpec::default();
    loop {
        let close = match peek(i) {
            // What an ICMP error quotes.
            Some(Kind::Punct('[')) if quotes(i) => return Ok(ip),
            Some(Kind::Punct('[')) => ']',
            Some(Kind::Punct('(')) => ')',
            _ => {
                let _: Option<()> = opt(punct('[')).parse_next(i)?;
                return Ok(ip);
            }
        };
        i.input.next_token();
        ip_item(i, &mut ip)?;
        while opt(punct(',')).parse_next(i)?.is_some() {
            ip_item(i, &mut ip)?;
        }
        punct(close).parse_next(i)?;
    }
}

/// Whether the bracket here begins what an ICMP error quotes.
fn quotes(i: &In<'_>) -> bool {
    matches!(peek_second(i), Some(Kind::Int(_) | Kind::Ellipsis | Kind::Word("udp" | "raw")))
}

fn ip_item(i: &mut In<'_>, ip: &mut IpSpec) -> Res<()> {
    const ITEMS: [&str; 9] = [
        "`ect0`",
        "`ect1`",
        "`ect01`",
        "`ce`",
        "`noecn`",
        "`tos`",
        "`dscp`",
        "`ttl`",
        "`flowlabel`",
    ];
    let name = match peek(i) {
        Some(Kind::Word(name)) => name,
        _ => return missing_all(i, &ITEMS),
    };
    if let Some(ecn) = ecn(name) {
        i.input.next_token();
        ip.ecn = Some(ecn);
        return Ok(());
    }
    if !matches!(name, "ecn" | "tos" | "class" | "dscp" | "ttl" | "hlim" | "flowlabel") {
        return missing_all(i, &ITEMS);
    }
    i.input.next_token();
    match name {
        "ecn" => {
            const CODEPOINTS: &str = "`ect0`, `ect1`, `ce`, `noecn` or `ect01`";
            let codepoint = take(CODEPOINTS, |kind| match kind {
                Kind::Word(name) => ecn(name),
                _ => None,
            });
            ip.ecn = Some({ codepoint }.parse_next(i)?);
        }
        "tos" | "class" => ip.tos = Some(number_u8("a number").parse_next(i)?),
        "dscp" => ip.dscp = Some(dscp(i)?),
        "flowlabel" => ip.flow_label = Some(number("a flow label", 0xf_ffff).parse_next(i)?),
        _ => ip.ttl = Some(number_u8("a number of hops").parse_next(i)?),
    }
    Ok(())
}

fn ecn(name: &str) -> Option<Ecn> {
    match name {
        "noecn" => Some(Ecn::NotEct),
        "ect0" => Some(Ecn::Ect0),
        "ect1" => Some(Ecn::Ect1),
        "ce" => Some(Ecn::Ce),
        "ect01" => Some(Ecn::Ect01),
        _ => None,
    }
}

fn dscp(i: &mut In<'_>) -> Res<u8> {
    match peek(i) {
        Some(Kind::Word(_)) => take("a DSCP's name", |kind| match kind {
            Kind::Word(name) => {
                let name = name.to_ascii_lowercase();
                DSCP.iter().find(|&&(known, _)| known == name).map(|&(_, value)| value)
            }
            _ => None,
        })
        .parse_next(i),
        _ => number("a DSCP", 63).parse_next(i),
    }
}

/// `8080 > 5000`.
fn ports(i: &mut In<'_>) -> Res<Option<(u16, u16)>> {
    let numbers = matches!(peek(i), Some(Kind::Int(_) | Kind::Hex(_)));
    if numbers && peek_second(i) == Some(Kind::Punct('>')) {
        return pair_of_ports(i).map(Some);
    }
    Ok(None)
}

fn pair_of_ports(i: &mut In<'_>) -> Res<(u16, u16)> {
    separated_pair(number_u16("a port"), punct('>'), number_u16("a port")).parse_next(i)
}

/// `udp (100)`, `udp 8080 > 5000 (100)`, `8080 > 5000 udp (100)`.
fn udp(i: &mut In<'_>) -> Res<Body> {
    udp_after(i, None)
}

fn udp_after(i: &mut In<'_>, before: Option<(u16, u16)>) -> Res<Body> {
    keyword("udp", "`udp`").parse_next(i)?;
    let ports = match before {
        None => ports(i)?,
        some => some,
    };
    let len = in_parentheses(number_u16("bytes of payload")).parse_next(i)?;
    Ok(Body::Udp { ports, len })
}

fn in_parentheses<'s, T>(
    inner: impl Parser<In<'s>, T, winnow::error::ErrMode<winnow::error::EmptyError>>,
) -> impl Parser<In<'s>, T, winnow::error::ErrMode<winnow::error::EmptyError>> {
    delimited(punct('('), inner, punct(')'))
}

fn tcp(i: &mut In<'_>, direction: Direction, ports: Option<(u16, u16)>) -> Res<TcpSpec> {
    let flags = flags(i)?;
    let seq = sequence(i)?;
    let mut tcp = TcpSpec {
        ports,
        encapsulation: None,
        flags,
        seq,
        ack: None,
        window: None,
        urgent: None,
        options: OptionsSpec::None,
    };
    loop {
        if tcp.ack.is_none() && opt(keyword("ack", "`ack`")).parse_next(i)?.is_some() {
            tcp.ack = Some(number_u32("an acknowledgment number").parse_next(i)?);
        } else if tcp.window.is_none() && opt(keyword("win", "`win`")).parse_next(i)?.is_some() {
            tcp.window = Some(number_u16("a window").parse_next(i)?);
        } else if tcp.urgent.is_none() && opt(keyword("urg", "`urg`")).parse_next(i)?.is_some() {
            tcp.urgent = Some(number_u16("an urgent pointer").parse_next(i)?);
        } else {
            break;
        }
    }
    let start = span_here(i);
    tcp.options = options(i)?;
    if direction == Direction::In && tcp.options == OptionsSpec::Any {
        let span = span_from(i, start);
        return refuse(i, span, "options (`<...>` is for outbound packets only)");
    }
    tcp.encapsulation = opt(in_udp).parse_next(i)?;
    Ok(tcp)
}

/// `/udp(9811 > 1)`.
fn in_udp(i: &mut In<'_>) -> Res<(u16, u16)> {
    let ports = preceded(keyword("udp", "`udp`"), in_parentheses(pair_of_ports));
    preceded(punct('/'), cut_err(ports)).parse_next(i)
}

const FLAGS_EXPECTED: &str = "flags (letters of SFRPUEWA, `.` for ACK, `-` for none)";

/// `S`, `FP.`, `.`, `-`, `SEWA`; with the value of AccECN's field `P.5`, `.5` (or `P5.`, `5.`).
fn flags(i: &mut In<'_>) -> Res<FlagSpec> {
    let span = span_here(i);
    let mut flags = FlagSpec::default();
    match peek(i) {
        Some(Kind::Punct('-')) => {
            i.input.next_token();
            return Ok(flags);
        }
        Some(Kind::Word(letters) | Kind::Int(letters)) => {
            if !letters.chars().all(|c| add_flag(&mut flags, c)) {
                return refuse(i, span, FLAGS_EXPECTED);
            }
            i.input.next_token();
        }
        Some(Kind::Float(_) | Kind::Punct('.')) => {}
        _ => return missing(i, FLAGS_EXPECTED),
    }
    match peek(i) {
        Some(Kind::Punct('.')) => {
            i.input.next_token();
            flags.bits |= ACK;
        }
        Some(Kind::Float(text)) => {
            let start = span_here(i);
            i.input.next_token();
            if !text.chars().all(|c| add_flag(&mut flags, c)) {
                let span = span_from(i, start);
                return refuse(i, span, "one digit of 0 to 7 after the dot");
            }
        }
        _ => {
            let _: Option<()> = opt(punct('.')).parse_next(i)?;
        }
    }
    Ok(flags)
}

/// Adds the flag, or takes the digit as the value of AccECN's field; false if it is neither.
fn add_flag(flags: &mut FlagSpec, c: char) -> bool {
    if let Some(&(_, bit)) = FLAGS.iter().find(|&&(letter, _)| letter == c) {
        flags.bits |= bit;
        return true;
    }
    match c.to_digit(8) {
        Some(digit) if flags.ace.is_none() => {
            flags.ace = u8::try_from(digit).ok();
            true
        }
        _ => false,
    }
}

/// `1:1001(1000)`, `1:1001(1000)!`, `...(1000)`.
fn sequence(i: &mut In<'_>) -> Res<SeqSpec> {
    let start = span_here(i);
    if let Some(Kind::Ellipsis) = peek(i) {
        i.input.next_token();
        let len = in_parentheses(number_u32("bytes of payload")).parse_next(i)?;
        return Ok(SeqSpec::Unchecked { len });
    }
    let (first, end) = range(i)?;
    let len = in_parentheses(number_u32("bytes of payload")).parse_next(i)?;
    let span = span_from(i, start);
    if end != first.wrapping_add(len) {
        let right = first.wrapping_add(len);
        return refuse(i, span, format!("`{first}:{right}({len})` (the end is start + length)"));
    }
    let absolute = opt(punct('!')).parse_next(i)?.is_some();
    Ok(SeqSpec::Range { start: first, end, len, absolute })
}

/// A packet of a protocol that is only known by name, to the beginning of the next event.
fn other(i: &mut In<'_>) -> String {
    let start = span_here(i);
    i.input.next_token();
    while peek(i).is_some() && !(at_new_line(i) && begins_event(i)) {
        i.input.next_token();
    }
    let end = span_from(i, start).end;
    text_between(i, start.start, end).to_owned()
}

/// `icmp unreachable host_unreachable mtu 1400 id 1 [1:1001(1000)]`; nplab writes what is quoted
/// before `icmp`, too.
fn icmp(i: &mut In<'_>, before: Option<Echoed>) -> Res<IcmpSpec> {
    take("`icmp`", |kind| matches!(kind, Kind::Word("icmp" | "icmpv4" | "icmpv6")).then_some(()))
        .parse_next(i)?;
    let span = span_here(i);
    let kind = symbol(i, "an ICMP type (unreachable, packet_too_big, time_exceeded …)")?;
    let code = match peek(i) {
        Some(Kind::Word("mtu" | "id")) => None,
        Some(Kind::Int(_)) if begins_event(i) => None,
        Some(Kind::Word(_) | Kind::Int(_)) => Some(symbol(i, "an ICMP code")?),
        _ => None,
    };
    let mtu = opt(preceded(keyword("mtu", "`mtu`"), cut_err(number_u32("an MTU"))));
    let mtu = { mtu }.parse_next(i)?;
    let id = opt(preceded(keyword("id", "`id`"), cut_err(number_u32("an identifier"))));
    let id = { id }.parse_next(i)?;
    let quoted = peek(i) == Some(Kind::Punct('[')) && before.is_none();
    let echoed = match quoted {
        true => Some(delimited(punct('['), echoed, punct(']')).parse_next(i)?),
        false => before,
    };
    Ok(IcmpSpec { kind, code, mtu, id, echoed, span })
}

/// A word or a number, as text.
fn symbol(i: &mut In<'_>, what: &'static str) -> Res<String> {
    let span: Span = span_here(i);
    match peek(i) {
        Some(Kind::Int(_)) => {
            i.input.next_token();
            Ok(text_between(i, span.start, span.end).to_owned())
        }
        _ => Ok(word(what).parse_next(i)?.to_owned()),
    }
}

fn echoed(i: &mut In<'_>) -> Res<Echoed> {
    let payload = || in_parentheses(number_u16("bytes of payload"));
    match peek(i) {
        Some(Kind::Word("udp")) => {
            i.input.next_token();
            Ok(Echoed::Udp(payload().parse_next(i)?))
        }
        Some(Kind::Word("raw")) => {
            i.input.next_token();
            Ok(Echoed::Raw(payload().parse_next(i)?))
        }
        Some(Kind::Word("udplite" | "sctp")) => {
            let start = span_here(i);
            while peek(i).is_some_and(|kind| kind != Kind::Punct(']')) && !begins_event(i) {
                i.input.next_token();
            }
            let end = span_from(i, start).end;
            Ok(Echoed::Other(text_between(i, start.start, end).to_owned()))
        }
        _ => {
            let seq = sequence(i)?;
            Ok(match opt(in_udp).parse_next(i)? {
                Some(ports) => Echoed::TcpInUdp(seq, ports),
                None => Echoed::Tcp(seq),
            })
        }
    }
}
