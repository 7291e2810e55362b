//! What is written reads back as what it was, and no text makes the parser do worse than say no.

use std::fmt::Debug;
use std::time::Duration;

use fourwave_drill::ast::*;
use fourwave_drill::lang::{parse, parse_bytes};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// The tree as text without its places.
fn shape(tree: &impl Debug) -> String {
    let text = format!("{tree:?}");
    let mut parts = text.split("Span {");
    let mut shape = parts.next().unwrap_or("").to_owned();
    for part in parts {
        shape.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    shape
}

fn name() -> impl Strategy<Value = String> {
    // No word of the language has a capital and an underscore.
    "[A-Z]_[a-zA-Z0-9_]{0,8}"
}

fn duration() -> impl Strategy<Value = Duration> {
    (0_u64..1_000_000_000, 0_u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n))
}

fn number() -> impl Strategy<Value = i128> {
    let limit = i128::from(u64::MAX);
    prop_oneof![Just(0), Just(-1), -10_i128..10, -limit..=limit]
}

fn expr(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

fn expression() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        Just(ExprKind::Ellipsis),
        number().prop_map(ExprKind::Int),
        vec(any::<u8>(), 0..8).prop_map(ExprKind::Str),
        vec(any::<u8>(), 0..8).prop_map(ExprKind::StrPrefix),
        name().prop_map(ExprKind::Name),
    ];
    leaf.prop_map(expr).prop_recursive(4, 24, 4, |inner| {
        let operators = prop::sample::select(vec!["|", "^", "&", "+", "-", "*", "/"]);
        // `-5` reads as a number, so a sign before one is never an operator of its own.
        let pair = (operators, inner.clone(), inner.clone())
            .prop_map(|(op, a, b)| ExprKind::Binary(op, Box::new(a), Box::new(b)));
        let field = prop_oneof![
            inner.clone().prop_map(|value| Field { name: None, count: None, value }),
            (name(), of(inner.clone()), inner.clone()).prop_map(|(name, count, value)| Field {
                name: Some(name),
                count,
                value
            }),
        ];
        prop_oneof![
            pair,
            inner.clone().prop_map(|a| ExprKind::Not(Box::new(a))),
            (name(), vec(inner.clone(), 0..3)).prop_map(|(n, args)| ExprKind::Apply(n, args)),
            vec(inner, 0..3).prop_map(ExprKind::List),
            vec(field, 0..3).prop_map(ExprKind::Struct),
        ]
        .prop_map(expr)
    })
}

fn call() -> impl Strategy<Value = Call> {
    let result = expression().prop_filter("reads as unchecked", |e| e.kind != ExprKind::Ellipsis);
    (
        name(),
        vec(expression(), 0..4),
        of(result),
        of("E[A-Z]{3,8}"),
        of("[a-zA-Z][a-zA-Z' ]{0,8}[a-z]"),
    )
        .prop_map(|(name, args, result, errno, note)| Call {
            until: None,
            name,
            name_span: Span::default(),
            args,
            result,
            errno,
            note,
        })
}

fn ip(direction: Direction) -> impl Strategy<Value = IpSpec> {
    let ecn = prop::sample::select(match direction {
        Direction::In => vec![Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce],
        Direction::Out => vec![Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce, Ecn::Ect01],
    });
    (of(ecn), of(any::<u8>()), of(0_u8..64), of(any::<u8>()), of(0_u32..0x10_0000))
        .prop_map(|(ecn, tos, dscp, ttl, flow_label)| IpSpec { ecn, tos, dscp, ttl, flow_label })
}

fn cookie() -> impl Strategy<Value = Cookie> {
    prop_oneof![
        Just(Cookie::Request),
        vec(any::<u8>(), 1..18).prop_map(Cookie::Bytes),
        name().prop_map(Cookie::Name),
    ]
}

fn option() -> impl Strategy<Value = OptionSpec> {
    let counter = ("(e0b|ceb|e1b)", 0_u32..0x100_0000);
    prop_oneof![
        Just(OptionSpec::Nop),
        Just(OptionSpec::Eol),
        Just(OptionSpec::SackPermitted),
        any::<u16>().prop_map(OptionSpec::Mss),
        any::<u8>().prop_map(OptionSpec::WindowScale),
        vec(any::<(u32, u32)>(), 1..5).prop_map(OptionSpec::Sack),
        (of(any::<u32>()), of(any::<u32>()), any::<bool>()).prop_map(|(val, ecr, absolute)| {
            OptionSpec::Timestamps { val, ecr, absolute: absolute && ecr.is_some() }
        }),
        cookie().prop_map(OptionSpec::FastOpen),
        cookie().prop_map(OptionSpec::FastOpenExperimental),
        of(any::<[u8; 16]>()).prop_map(OptionSpec::Md5),
        vec(counter, 0..4).prop_map(OptionSpec::AccEcn),
        (any::<u8>(), of(any::<u8>()), vec(any::<u8>(), 0..40))
            .prop_map(|(kind, length, bytes)| OptionSpec::Raw { kind, length, bytes }),
    ]
}

fn sequence() -> impl Strategy<Value = SeqSpec> {
    prop_oneof![
        (any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(start, len, absolute)| {
            SeqSpec::Range { start, end: start.wrapping_add(len), len, absolute }
        }),
        any::<u32>().prop_map(|len| SeqSpec::Unchecked { len }),
    ]
}

fn segment(direction: Direction) -> impl Strategy<Value = TcpSpec> {
    let list = vec(option(), 0..6).prop_map(OptionsSpec::List);
    let options = match direction {
        Direction::In => prop_oneof![Just(OptionsSpec::None), list].boxed(),
        Direction::Out => {
            prop_oneof![Just(OptionsSpec::None), Just(OptionsSpec::Any), list].boxed()
        }
    };
    let ports = || of(any::<(u16, u16)>());
    let flags = (0_u16..0x200, of(0_u8..8)).prop_map(|(bits, ace)| FlagSpec { bits, ace });
    let numbers = (of(any::<u32>()), of(any::<u16>()), of(any::<u16>()));
    (ports(), ports(), flags, sequence(), numbers, options).prop_map(
        |(ports, encapsulation, flags, seq, (ack, window, urgent), options)| TcpSpec {
            ports,
            encapsulation,
            flags,
            seq,
            ack,
            window,
            urgent,
            options,
        },
    )
}

fn icmp() -> impl Strategy<Value = IcmpSpec> {
    let echoed = prop_oneof![
        sequence().prop_map(Echoed::Tcp),
        (sequence(), any::<(u16, u16)>()).prop_map(|(seq, ports)| Echoed::TcpInUdp(seq, ports)),
        any::<u16>().prop_map(Echoed::Udp),
        any::<u16>().prop_map(Echoed::Raw),
    ];
    (name(), of(name()), of(any::<u32>()), of(any::<u32>()), of(echoed)).prop_map(
        |(kind, code, mtu, id, echoed)| IcmpSpec {
            kind,
            code,
            mtu,
            id,
            echoed,
            span: Span::default(),
        },
    )
}

fn packet() -> impl Strategy<Value = Packet> {
    prop::sample::select(vec![Direction::In, Direction::Out]).prop_flat_map(|direction| {
        let body = prop_oneof![
            4 => segment(direction).prop_map(Body::Tcp),
            1 => icmp().prop_map(Body::Icmp),
            1 => (of(any::<(u16, u16)>()), any::<u16>())
                .prop_map(|(ports, len)| Body::Udp { ports, len }),
        ];
        (ip(direction), body).prop_map(move |(ip, body)| Packet {
            direction,
            outer: None,
            ip,
            body,
            fuzz: None,
        })
    })
}

fn kind() -> impl Strategy<Value = EventKind> {
    let command = |pattern: &'static str| {
        pattern.prop_map(|text: String| Command { text, span: Span::default() })
    };
    prop_oneof![
        2 => packet().prop_map(|packet| EventKind::Packet(Box::new(packet))),
        2 => call().prop_map(|call| EventKind::Call(Box::new(call))),
        1 => command("[a-z \n'\"/*#=+]{0,12}").prop_map(EventKind::Command),
        1 => command("[a-z][a-z \n'\"/*#=+`]{0,12}[a-z]").prop_map(EventKind::Code),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (kind(), 0..5, duration(), duration()).prop_map(|(mut kind, form, a, b)| {
        let (early, late) = (a.min(b), a.max(b));
        let outbound =
            matches!(&kind, EventKind::Packet(packet) if packet.direction == Direction::Out);
        let time = match form {
            0 => Time::At(early),
            2 if outbound => Time::Any,
            3 if outbound => Time::Between(early, late),
            4 if outbound => Time::AfterBetween(early, late),
            _ => Time::After(early),
        };
        if let (EventKind::Call(call), true) = (&mut kind, form > 2) {
            call.until = Some(late);
        }
        Event { time, kind, span: Span::default() }
    })
}

fn script() -> impl Strategy<Value = Script> {
    let option = ("[a-z][a-z_]{0,8}", of("[a-z0-9.:=/ ]{0,12}"))
        .prop_map(|(name, value)| OptionLine { name, value, span: Span::default() });
    let command = || {
        of("[a-z \n\"]{0,12}")
            .prop_map(|text| text.map(|text| Command { text, span: Span::default() }))
    };
    (vec(option, 0..3), command(), vec(event(), 1..6), command())
        .prop_map(|(options, init, events, cleanup)| Script { options, init, events, cleanup })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_reads_back(script in script()) {
        let text = script.to_string();
        let again = parse(&text).map_err(|error| {
            TestCaseError::fail(format!("{}\n{text}", error.in_file("written")))
        })?;
        prop_assert_eq!(shape(&again), shape(&script), "{}", text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        refused_in_words(&bytes);
    }

    #[test]
    fn any_words_are_read_or_refused(
        words in vec(prop::sample::select(WORDS.to_vec()), 0..60),
        spaces in any::<u64>(),
    ) {
        let mut text = String::new();
        for (at, word) in words.iter().enumerate() {
            text.push_str(word);
            text.push_str([" ", "", "\n", " "][(spaces >> (at % 32 * 2) & 3) as usize]);
        }
        refused_in_words(text.as_bytes());
    }

    #[test]
    fn broken_scripts_are_read_or_refused(
        script in script(), at in any::<prop::sample::Index>(), len in 0_usize..4,
        put in prop::sample::select(WORDS.to_vec()),
    ) {
        let mut bytes = script.to_string().into_bytes();
        let start = at.index(bytes.len());
        let end = (start + len).min(bytes.len());
        bytes.splice(start..end, put.bytes());
        refused_in_words(&bytes);
    }
}

/// Reads; an error names a place within the text, and its message is whole. What reads at all
/// reads back.
fn refused_in_words(bytes: &[u8]) {
    match parse_bytes(bytes, &|name| name == "A") {
        Ok(script) => {
            let text = script.to_string();
            let again = parse(&text).unwrap_or_else(|e| panic!("{}\n{text}", e.in_file("again")));
            assert_eq!(shape(&again), shape(&script), "{text}");
        }
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            assert!(error.span.start <= error.span.end && error.span.end <= text.len());
            assert!(error.span.line >= 1 && error.span.column >= 1, "{error:?}");
            assert!(!error.expected.is_empty() && !error.found.is_empty());
            assert_eq!(error.in_file("a.pkt").to_string().lines().count(), 3, "{error:?}");
        }
    }
}

const WORDS: [&str; 62] = [
    "0",
    "+",
    "0.1",
    "*",
    "~",
    "...",
    "<",
    ">",
    "S",
    ".",
    "-",
    "1:1(0)",
    "1:11(10)",
    "ack",
    "win",
    "urg",
    "1",
    "mss",
    "nop",
    "sackOK",
    "wscale",
    "TS val 1 ecr 2",
    "sack",
    "FO",
    "md5",
    "ECN",
    "e1b",
    "kind",
    "len",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    "=",
    "|",
    "&",
    "\"a\\x1\"",
    "`b`",
    "%{ c }%",
    "close",
    "-1",
    "EBADF",
    "(note)",
    "icmp",
    "udp",
    "/udp(1 > 2)",
    "ect0",
    "tos",
    "0x1f",
    "--name=value",
    "//",
    "/*",
    "*/",
    "#ifdef A\n",
    "#else\n",
    "#endif\n",
    "sctp",
    "gre:",
    "encap psp spi 1",
];
