//! Each construct of the language: read, and written in its normal form.

use std::time::Duration;

use fourwave_drill::ast::{
    Body, Cookie, Direction, Echoed, Ecn, EventKind, ExprKind, FlagSpec, IpSpec, OptionSpec,
    OptionsSpec, Packet, Script, SeqSpec, TcpSpec, Time,
};
use fourwave_drill::lang::{parse, parse_with};

#[track_caller]
fn read(source: &str) -> Script {
    parse(source).unwrap_or_else(|error| panic!("{}", error.in_file("test.pkt")))
}

/// One event in its normal form, which must read back as itself.
#[track_caller]
fn event(source: &str) -> String {
    let text = read(source).to_string();
    assert_eq!(read(&text).to_string(), text, "the normal form is stable");
    text.trim_end().to_owned()
}

/// Events that are in their normal form.
#[track_caller]
fn same(source: &str) {
    assert_eq!(event(source), source);
}

#[track_caller]
fn packet(source: &str) -> Packet {
    match read(source).events.remove(0).kind {
        EventKind::Packet(packet) => *packet,
        other => panic!("{other:?} is no packet"),
    }
}

#[track_caller]
fn tcp(source: &str) -> TcpSpec {
    match packet(source).body {
        Body::Tcp(tcp) => tcp,
        other => panic!("{other:?} is no segment"),
    }
}

#[track_caller]
fn options(list: &str) -> Vec<OptionSpec> {
    match tcp(&format!("0 > . 1:1(0) ack 1 <{list}>")).options {
        OptionsSpec::List(list) => list,
        other => panic!("{other:?} is no list"),
    }
}

#[test]
fn a_script_has_options_commands_and_events() {
    let script = read(
        "// first\n--tolerance_usecs=7000\n--send_omit_free\t// why\n--define=CC=\"a b\" /* x */\n\
         --local_ip=192.0.2.1 --ip_version = ipv6\n\n`one\n  two`\n0 close(3) = 0 // last\n\
         +0 `three`\n`four`\n",
    );
    let options: Vec<_> =
        script.options.iter().map(|o| (o.name.as_str(), o.value.as_deref())).collect();
    assert_eq!(
        options,
        [
            ("tolerance_usecs", Some("7000")),
            ("send_omit_free", None),
            ("define", Some("CC=\"a b\"")),
            ("local_ip", Some("192.0.2.1")),
            ("ip_version", Some("ipv6")),
        ]
    );
    assert_eq!(script.init.expect("a first command").text, "one\n  two");
    assert_eq!(script.events.len(), 2);
    assert_eq!(script.cleanup.expect("a last command").text, "four");
}

#[test]
fn quotes_around_an_options_value_fall_away() {
    let script = read("--name=\"a value\"\n0 close(3) = 0\n");
    assert_eq!(script.options[0].value.as_deref(), Some("a value"));
    assert_eq!(script.to_string(), "--name=\"a value\"\n0 close(3) = 0\n");
}

#[test]
fn places_count_lines_and_characters() {
    let script = read("// ü\n  0 close(3) = 0\n/* ü */ +1 close(4) = 0\n");
    let places: Vec<_> = script.events.iter().map(|e| (e.span.line, e.span.column)).collect();
    assert_eq!(places, [(2, 3), (3, 9)]);
    let EventKind::Call(call) = &script.events[1].kind else { panic!("a call") };
    assert_eq!((call.name_span.line, call.name_span.column), (3, 12));
}

#[test]
fn times() {
    let time = |text: &str| read(&format!("{text} > . 1:1(0)")).events[0].time;
    let ms = Duration::from_millis;
    assert_eq!(time("0"), Time::At(Duration::ZERO));
    assert_eq!(time(".1"), Time::At(ms(100)));
    assert_eq!(time("1.25"), Time::At(ms(1250)));
    assert_eq!(time("+0"), Time::After(Duration::ZERO));
    assert_eq!(time("+0.0"), Time::After(Duration::ZERO));
    assert_eq!(time("+ .000001"), Time::After(Duration::from_micros(1)));
    assert_eq!(time("*"), Time::Any);
    assert_eq!(time("1.0~1.2"), Time::Between(ms(1000), ms(1200)));
    assert_eq!(time("+.1~+.2"), Time::AfterBetween(ms(100), ms(200)));
    assert_eq!(time("0.0000000019"), Time::At(Duration::from_nanos(1)));
}

#[test]
fn blocking_calls() {
    let until = |text: &str| match &read(text).events[0].kind {
        EventKind::Call(call) => call.until,
        other => panic!("{other:?} is no call"),
    };
    assert_eq!(until("+0...0.2 accept(3, ..., ...) = 4"), Some(Duration::from_millis(200)));
    assert_eq!(until("+0...+.2 accept(3, ..., ...) = 4"), Some(Duration::from_millis(200)));
    assert_eq!(until("0.1...0.3 read(3, ..., 5) = 5"), Some(Duration::from_millis(300)));
    assert_eq!(until("0.1 read(3, ..., 5) = 5"), None);
    same("+0.1...0.3 read(3, ..., 5) = 5");
}

#[test]
fn calls() {
    same("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
    same("0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)");
    same("0 setsockopt(3, SOL_TCP, TCP_FASTOPEN_KEY, \"\", 0) = -1 (Invalid Argument)");
    same("0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [4 * PAGE], 4) = 0");
    same("0 write(3, ..., 10) = ...");
    same("0 getpid() = ...");
    same("0 ioctl(3, SIOCINQ, [SIZE - 1]) = ~0");
    same("0 f(a=1, -5, (1 + 2) * 3, 1 - (2 - 3), A|B & ~C) = A|B");
    same(
        "0 bind(3, {sa_family=AF_INET, sin_port=htons(8080), \
          sin_addr=inet_addr(\"1.2.3.4\")}, ...) = 0",
    );
    same("0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0");
    same("0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, 0) = 1");
    same("0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1");
    same(
        "0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 0}], msg_flags=MSG_ERRQUEUE, \
          msg_control=[{cmsg_level=SOL_IP, cmsg_type=IP_RECVERR, \
          cmsg_data={ee_errno=0, ee_info=0}}, {}]}, MSG_ERRQUEUE) = 0",
    );
    assert_eq!(
        event("0 fcntl ( 3,F_GETFL )=0x02(flags O_RDWR)"),
        "0 fcntl(3, F_GETFL) = 2 (flags O_RDWR)"
    );
    assert_eq!(event("0 close(3) = -1 EBADF(Bad)"), "0 close(3) = -1 EBADF (Bad)");
    assert_eq!(event("0 f(3,\n  {a=1,\n   b=2}\n ) = 0"), "0 f(3, {a=1, b=2}) = 0");
}

#[test]
fn a_result_ends_where_the_next_event_begins() {
    let script = read("0 close(3) = 0\n+0 close(4) = 0\n* > . 1:1(0)\n.5 close(5) = A\n`end`\n");
    assert_eq!(script.events.len(), 4);
    assert_eq!(script.events[1].time, Time::After(Duration::ZERO));
    assert_eq!(script.events[2].time, Time::Any);
    let note = read("0 fcntl(3, F_GETFL) = O_RDWR (flags)\n");
    let EventKind::Call(call) = &note.events[0].kind else { panic!("a call") };
    assert_eq!(call.note.as_deref(), Some("flags"));
}

#[test]
fn numbers_and_texts() {
    let arg = |text: &str| match &read(&format!("0 f({text}) = 0")).events[0].kind {
        EventKind::Call(call) => call.args[0].kind.clone(),
        other => panic!("{other:?} is no call"),
    };
    assert_eq!(arg("010"), ExprKind::Int(10), "there are no octal numbers");
    assert_eq!(arg("0xFFffFFffFFffFFff"), ExprKind::Int(u64::MAX.into()));
    assert_eq!(arg("-18446744073709551615"), ExprKind::Int(-i128::from(u64::MAX)));
    assert_eq!(arg("1e5"), ExprKind::Name("1e5".into()), "a word, as a cookie may be");
    assert_eq!(arg(r#""a\xa1b\0\12\n\\\"" "c""#), ExprKind::Str(b"a\xa1b\0\n\n\\\"c".to_vec()));
    assert_eq!(arg("\"abc\"..."), ExprKind::StrPrefix(b"abc".to_vec()));
    assert_eq!(arg("\"// no comment\""), ExprKind::Str(b"// no comment".to_vec()));
    same("0 f(\"\\x00\\xff~\") = 0");
}

#[test]
fn code_keeps_its_lines() {
    let script = read("+0.1 %{ assert a == 1, 'x' }%\n+0 %{\n# so\nprint(b)\n}%\n");
    let code: Vec<_> = script
        .events
        .iter()
        .map(|event| match &event.kind {
            EventKind::Code(code) => code.text.as_str(),
            other => panic!("{other:?} is no code"),
        })
        .collect();
    assert_eq!(code, ["assert a == 1, 'x'", "\n# so\nprint(b)\n"]);
}

#[test]
fn segments() {
    same("0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>");
    same("0 > S. 0:0(0) ack 1 <...>");
    same("0 > - 1:1(0)");
    same("0 > R 1:1(0)");
    same("0 < U. 1:1(0) ack 1 win 100 urg 1");
    same("0 > 8080 > 5000 FP. 1:1001(1000) ack 1");
    same("0 > P. 4294967295:4(5) ack 1");
    assert_eq!(event("0 > F.  1 : 1 ( 0 ) ack 1"), "0 > F. 1:1(0) ack 1");
    assert_eq!(event("0 < . 1:1(0) win 5 ack 1"), "0 < . 1:1(0) ack 1 win 5");
}

#[test]
fn flags_in_any_order() {
    let flags = |text: &str| tcp(&format!("0 > {text} 1:1(0)")).flags;
    let bits = |bits| FlagSpec { bits, ace: None };
    assert_eq!(flags("-"), bits(0));
    assert_eq!(flags("."), bits(0x10));
    assert_eq!(flags("SEWA"), bits(0x1c2));
    assert_eq!(flags("AWES"), bits(0x1c2));
    assert_eq!(flags("FP."), bits(0x19));
    assert_eq!(flags("PF ."), bits(0x19));
    assert_eq!(flags("SFRUP"), bits(0x2f));
    assert_eq!(flags(".5"), FlagSpec { bits: 0x10, ace: Some(5) });
    assert_eq!(flags("P.5"), FlagSpec { bits: 0x18, ace: Some(5) });
    assert_eq!(flags("P5."), FlagSpec { bits: 0x18, ace: Some(5) });
    assert_eq!(flags("5."), FlagSpec { bits: 0x10, ace: Some(5) });
    same("0 > EAP.5 1:1(0)");
    same("0 > SEWA 0:0(0)");
}

#[test]
fn tcp_options() {
    let list = "mss 1460,nop,eol,sackOK,wscale 8,TS val 100 ecr 0,sack 1:2 3:4,FO,FO a1b2,\
                FO COOKIE,FOEXP,FOEXP 00ff,md5 valid,md5 000102030405060708090a0b0c0d0e0f,\
                ECN e1b 1 ceb 0 e0b 1,TS val ... ecr 100!,kind 30 len 4 abcd,kind 8";
    same(&format!("0 > . 1:1(0) ack 1 <{list}>"));
    assert_eq!(
        options("FO 1234abcd")[0],
        OptionSpec::FastOpen(Cookie::Bytes(vec![0x12, 0x34, 0xab, 0xcd]))
    );
    assert_eq!(options("FO"), [OptionSpec::FastOpen(Cookie::Request)]);
    assert_eq!(options("FO ABC")[0], OptionSpec::FastOpen(Cookie::Name("ABC".into())));
    assert_eq!(options("exp-FO")[0], OptionSpec::FastOpenExperimental(Cookie::Request));
    assert_eq!(options("mss 1, nop ,\n nop").len(), 3);
    assert_eq!(options(""), []);
}

#[test]
fn accurate_ecn_as_nplab_writes_it() {
    let counters = vec![("e0b".to_owned(), 1), ("ceb".to_owned(), 2)];
    assert_eq!(options("AccECN0 ee0b 1 eceb 2"), [OptionSpec::AccEcn(counters)]);
    assert_eq!(
        options("AccECN1")[0],
        OptionSpec::Raw { kind: 174, length: Some(2), bytes: vec![] }
    );
    assert_eq!(
        options("exp-AccECN1 ee1b 1")[0],
        OptionSpec::Raw { kind: 254, length: Some(7), bytes: vec![0xac, 0xc1, 0, 0, 1] }
    );
}

#[test]
fn ip_prefixes() {
    let ip = |text: &str| packet(&format!("0 > {text} . 1:1(0)")).ip;
    let ecn = |ecn| IpSpec { ecn: Some(ecn), ..IpSpec::default() };
    assert_eq!(ip(""), IpSpec::default());
    assert_eq!(ip("[noecn]"), ecn(Ecn::NotEct));
    assert_eq!(ip("(ect0)"), ecn(Ecn::Ect0));
    assert_eq!(ip("[ecn ect1]"), ecn(Ecn::Ect1));
    assert_eq!(ip("[ce]"), ecn(Ecn::Ce));
    assert_eq!(ip("[ect01]"), ecn(Ecn::Ect01));
    let tos = IpSpec { tos: Some(0x10), ttl: Some(64), ..IpSpec::default() };
    assert_eq!(ip("[tos 0x10] [ttl 64]"), tos);
    assert_eq!(ip("[class 0x10, hlim 64]"), tos);
    assert_eq!(ip("[dscp AF11]").dscp, Some(10));
    same("0 > [tos 0x00, flowlabel 0x1f, ttl 1] . 1:1(0)");
}

#[test]
fn nplabs_sequence_numbers_and_encapsulation() {
    let absolute = SeqSpec::Range { start: 1, end: 11, len: 10, absolute: true };
    assert_eq!(tcp("0 > . 1:11(10)! ack 1").seq, absolute);
    assert_eq!(tcp("0 > . ...(10) ack 1").seq, SeqSpec::Unchecked { len: 10 });
    let encapsulated = tcp("0 > S 0:0(0) win 65535 <mss 1452>/udp(9811 > 1)");
    assert_eq!(encapsulated.encapsulation, Some((9811, 1)));
    same("0 > . ...(10) ack 1 /udp(9811 > 1)");
}

#[test]
fn icmp_and_udp() {
    same("0 < icmp unreachable host_unreachable [1:1001(1000)]");
    same("0 < icmp unreachable frag_needed mtu 1400 [udp (8)]");
    same("0 < icmp packet_too_big mtu 1400 id 7 [raw (9)]");
    same("0 < icmp echo_request\n1 close(3) = 0");
    same("0 > udp (100)");
    same("0 < udp 53 > 5000 (100)");
    let quoted = packet("0 < [1:11(10)/udp(9811 > 1)] icmp unreachable frag_needed mtu 1300");
    let seq = SeqSpec::Range { start: 1, end: 11, len: 10, absolute: false };
    let Body::Icmp(icmp) = quoted.body else { panic!("an ICMP error") };
    assert_eq!(icmp.echoed, Some(Echoed::TcpInUdp(seq, (9811, 1))));
}

#[test]
fn what_cannot_run_is_read_all_the_same() {
    same("0 > encap psp spi 1 S. 0:0(0) ack 1");
    same("0 < ipv6 1::2 > 2::1 : gre: . 1:1(0)");
    same("0 < . 1:1(0) {mut tcp mss; trun ip ihl}");
    same("0 > sctp: INIT[flgs=0, tag=1, ...]\n+1 close(3) = 0");
}

const CONDITIONAL: &str = "0 close(1) = 0\n#ifdef A\n+0 close(2) = 0\n\
                           #ifndef B\n+0 close(3) = 0\n\
                           #else\n+0 close(4) = 0\n#endif\n\
                           #else // not A\n+0 close(5) = 0\n#endif\n\
                           +0 close(6) = 0\n";

#[test]
fn conditions() {
    let closed = |source: &str, names: &[&str]| -> Vec<String> {
        let script = parse_with(source, &|name| names.contains(&name)).expect("a script");
        script
            .events
            .iter()
            .map(|event| match &event.kind {
                EventKind::Call(call) => call.args[0].to_string(),
                other => panic!("{other:?} is no call"),
            })
            .collect()
    };
    assert_eq!(closed(CONDITIONAL, &[]), ["1", "5", "6"]);
    assert_eq!(closed(CONDITIONAL, &["A"]), ["1", "2", "3", "6"]);
    assert_eq!(closed(CONDITIONAL, &["A", "B"]), ["1", "2", "4", "6"]);
    let defined = format!("--define=A=1\n{CONDITIONAL}");
    assert_eq!(closed(&defined, &[]), ["1", "2", "3", "6"]);
}

#[test]
fn a_segment_alone() {
    let segment = TcpSpec {
        ports: None,
        encapsulation: None,
        flags: FlagSpec { bits: 0x12, ace: None },
        seq: SeqSpec::Range { start: 0, end: 0, len: 0, absolute: false },
        ack: Some(1),
        window: Some(65535),
        urgent: None,
        options: OptionsSpec::List(vec![OptionSpec::Mss(1460), OptionSpec::SackPermitted]),
    };
    assert_eq!(segment.to_string(), "S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK>");
    assert_eq!(Direction::In.to_string(), "<");
}
