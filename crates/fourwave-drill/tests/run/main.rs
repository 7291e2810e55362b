//! Scripts against a target that answers as a test tells it: the rules that hold for every target.

mod loose;
mod mock;

use fourwave_drill::run::{Options, Outcome};
use fourwave_drill::syscall::{Output, Received, Returned, SysCall};
use fourwave_drill::target::Facts;
use fourwave_wire::options::Timestamps;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{RawWindow, SeqNum, ip::IpHeader};
use mock::*;

const LISTEN: &str = "
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
";

const HANDSHAKE: &str = "
+0 < S 0:0(0) win 1000 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>
+.1 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
";

fn listening() -> Mock {
    Mock { answer: Some(server()), ..Mock::default() }
}

fn tcp(packet: &[u8]) -> TcpHeader {
    let ip = IpHeader::parse(packet).unwrap();
    TcpHeader::parse(&packet[ip.payload]).unwrap().0
}

#[test]
fn a_passive_open_with_data() {
    let mut mock = listening();
    let script = format!(
        "{LISTEN}{HANDSHAKE}
        +.1 < P. 1:1001(1000) ack 1 win 257
        +0 > . 1:1(0) ack 1001 win 65535
        +0 close(4) = 0"
    );
    let report = play(&script, &mut mock);
    passed(&report);
    // The script's numbers were made live ones.
    let ack = tcp(&mock.injected[1]);
    assert_eq!((ack.seq, ack.ack), (SeqNum::new(1), SeqNum::new(ISN + 1)));
    assert_eq!(report.packets.len(), 5);
    assert_eq!(report.packets[4].event, Some(8));
    assert_eq!(report.events.len(), 10);
    assert_eq!(report.events[5].at, ms(100));
}

#[test]
fn what_differs_is_marked_in_the_scripts_notation() {
    let script = format!(
        "{LISTEN}{HANDSHAKE}
        +0 < P. 1:1001(1000) ack 1 win 257
        +0 > . 1:1(0) ack 1000 win 65535"
    );
    let failure = failed(play(&script, &mut listening()));
    assert_eq!(failure.message, "the packet has other ack");
    assert_eq!(failure.event, Some(8));
    assert_eq!(failure.span.line, 12);
    let actual = failure.actual.unwrap();
    assert_eq!(actual.to_string(), "0.1 > . 1:1(0) ack 1001 win 65535");
    assert_eq!(marked(&actual), ["ack 1001"]);
    assert_eq!(failure.expected.unwrap().to_string(), "0.1 > . 1:1(0) ack 1000 win 65535");
}

#[test]
fn each_field_is_checked() {
    let cases = [
        ("> S 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>", "flags"),
        ("> S. 0:0(0) ack 2 <mss 1460,nop,nop,sackOK>", "ack"),
        ("> S. 0:0(0) ack 1 win 5 <mss 1460,nop,nop,sackOK>", "win"),
        ("> S. 0:0(0) ack 1 <mss 1461,nop,nop,sackOK>", "options"),
        ("> S. 0:0(0) ack 1 <mss 1460,sackOK,nop,nop>", "options"),
        ("> S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,nop,nop,nop>", "options"),
        ("> S. 0:0(0) ack 1", "options"),
        ("> [ect0] S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>", "the IP header"),
    ];
    for (line, wanted) in cases {
        let script = format!("{LISTEN}\n+0 < S 0:0(0) win 1000\n+0 {line}");
        let failure = failed(play(&script, &mut listening()));
        assert_eq!(failure.message, format!("the packet has other {wanted}"), "{line}");
    }
    for line in ["> S. 0:0(0) ack 1 <...>", "> S. 77:77(0) ack 1 win 65535 <...>"] {
        let script = format!("{LISTEN}\n+0 < S 0:0(0) win 1000\n+0 {line}");
        passed(&play(&script, &mut listening()));
    }
}

fn data(at: u32, flags: Flags, len: usize) -> Vec<u8> {
    let header = TcpHeader {
        seq: SeqNum::new(ISN + at),
        ack: SeqNum::new(1),
        flags,
        window: RawWindow(500),
        ..to_port(49_152)
    };
    segment(header, len)
}

fn sender(parts: &[(u64, u32, Flags, usize)]) -> Mock {
    let mut mock = listening();
    mock.answer = None;
    let syn_ack = TcpHeader {
        seq: SeqNum::new(ISN),
        ack: SeqNum::new(1),
        flags: Flags::SYN | Flags::ACK,
        ..to_port(49_152)
    };
    mock = mock.sends(0, segment(syn_ack, 0));
    for (at, seq, flags, len) in parts {
        mock = mock.sends(*at, data(*seq, *flags, *len));
    }
    mock
}

fn sent(rest: &str) -> String {
    format!("{LISTEN}\n+0 < S 0:0(0) win 9\n+0 > S. 0:0(0) ack 1\n{rest}")
}

#[test]
fn consecutive_segments_are_joined_up_to_the_scripts_length() {
    let (ack, psh) = (Flags::ACK, Flags::PSH | Flags::ACK);
    let three = [(10, 1, ack, 1000), (10, 1001, ack, 1000), (10, 2001, psh, 500)];
    passed(&play(&sent("+.01 > P. 1:2501(2500) ack 1 win 500"), &mut sender(&three)));
    let two_events = "+.01 > . 1:1001(1000) ack 1\n+0 > P. 1001:2501(1500) ack 1";
    passed(&play(&sent(two_events), &mut sender(&three)));
    let strict = format!("--strict_segments\n{}", sent("+.01 > P. 1:2501(2500) ack 1"));
    let failure = failed(play(&strict, &mut sender(&three)));
    assert_eq!(failure.message, "the packet has other flags, sequence numbers");
    // Longer than the script's is an error, and so is a gap.
    let failure = failed(play(&sent("+.01 > . 1:1501(1500) ack 1"), &mut sender(&three)));
    assert!(failure.message.contains("sequence numbers"), "{}", failure.message);
    let gap = [(10, 1, ack, 1000), (10, 2001, psh, 1000)];
    let failure = failed(play(&sent("+.01 > P. 1:2001(2000) ack 1"), &mut sender(&gap)));
    assert!(failure.message.contains("sequence numbers"), "{}", failure.message);
    let uneven = [(10, 1, ack, 500), (10, 501, psh, 1000)];
    let failure = failed(play(&sent("+.01 > P. 1:1501(1500) ack 1"), &mut sender(&uneven)));
    assert!(failure.message.contains("sequence numbers"), "{}", failure.message);
}

#[test]
fn a_packet_too_early_too_late_or_never() {
    let at = |time| sender(&[(time, 1, Flags::ACK, 100)]);
    let script = sent("+1 > . 1:101(100) ack 1");
    passed(&play(&script, &mut at(1120)));
    passed(&play(&script, &mut at(880)));
    assert_eq!(failed(play(&script, &mut at(1130))).message, "the packet came late");
    assert_eq!(failed(play(&script, &mut at(860))).message, "the packet came early");
    let never = failed(play(&script, &mut at(3001)));
    assert_eq!(never.message, "the packet did not come");
    assert_eq!(never.at, ms(3000));
    passed(&play(&sent("* > . 1:101(100) ack 1"), &mut at(60_000)));
    passed(&play(&sent("+.5~+1.5 > . 1:101(100) ack 1"), &mut at(1500)));
}

#[test]
fn inbound_after_inbound_counts_from_the_schedule() {
    let script = sent("+.1 < . 1:1(0) ack 1 win 9\n+.1 < . 1:1(0) ack 1 win 9\n+.1 close(3) = 0");
    let report = play(&script, &mut sender(&[]));
    passed(&report);
    let at: Vec<_> = report.events.iter().map(|event| event.at).collect();
    assert_eq!(at[5..], [ms(100), ms(200), ms(300)]);
}

#[test]
fn other_connections_are_passed_over_and_strict_sees_what_is_left() {
    let stray = TcpHeader { flags: Flags::RST, ..to_port(9) };
    let mut mock = sender(&[]).sends(5, segment(stray, 0));
    mock = mock.sends(6, data(1, Flags::ACK, 10)).sends(7, data(11, Flags::ACK, 10));
    let script = sent("+.006 > . 1:11(10) ack 1\n+.02 close(3) = 0");
    passed(&play(&script, &mut mock));
    let mut strict = Options::default();
    strict.set("strict", None).unwrap();
    let mut mock = sender(&[(6, 1, Flags::ACK, 10), (7, 11, Flags::ACK, 10)]);
    let failure = failed(play_with(&script, &strict, &mut mock));
    assert!(failure.message.contains("--strict"));
    assert_eq!(failure.actual.unwrap().to_string(), "0.007 > . 11:21(10) ack 1 win 500");
}

#[test]
fn results_and_errors_are_exact() {
    let returning = |returned| Mock::returning([Returned::ok(3), returned]);
    let script = |line: &str| format!("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 {line}");
    let eagain = Returned::error(libc::EAGAIN);
    passed(&play(&script("read(3, ..., 10) = -1 EAGAIN (x)"), &mut returning(eagain.clone())));
    passed(&play(&script("read(3, ..., 10) = -1"), &mut returning(eagain.clone())));
    passed(&play(&script("read(3, ..., 10) = ..."), &mut returning(eagain.clone())));
    let failure = failed(play(&script("read(3, ..., 10) = 10"), &mut returning(eagain)));
    assert_eq!(failure.expected.unwrap().to_string(), "= 10");
    assert_eq!(failure.actual.unwrap().to_string(), "= -1 EAGAIN");
    let failure =
        failed(play(&script("read(3, ..., 10) = -1 EAGAIN"), &mut returning(Returned::ok(4))));
    assert_eq!(failure.actual.unwrap().to_string(), "= 4");
}

#[test]
fn what_a_call_writes_is_checked() {
    let cases = [
        (
            "getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
            with(0, Output::Int { value: 111, len: 4 }),
            Some(("[0]", "[111]")),
        ),
        (
            "poll([{fd=3, events=POLLIN, revents=POLLIN}], 1, 0) = 1",
            with(1, Output::Poll(vec![0x11])),
            Some(("{fd=3, revents=POLLIN}", "{fd=3, revents=POLLHUP|POLLIN}")),
        ),
        (
            "epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1",
            with(1, Output::Epoll(vec![(1, 4)])),
            None,
        ),
        ("epoll_wait(5, {events=0, ptr=0}, 1, 0) = 0", with(0, Output::Epoll(vec![])), None),
        (
            "getsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=5}, [8]) = 0",
            with(0, Output::Linger { on: 1, seconds: 4 }),
            Some(("{onoff=1, linger=5}", "{onoff=1, linger=4}")),
        ),
        (
            "getsockopt(3, SOL_TCP, TCP_CONGESTION, \"cubic\", [16]) = 0",
            with(0, Output::Bytes(b"cubic\0\0\0".to_vec())),
            None,
        ),
        (
            "recvmsg(3, {msg_name(...)=..., msg_iov(1)=[{...,0}], msg_flags=MSG_ERRQUEUE, \
             msg_control=[{cmsg_level=CMSG_LEVEL_IP, cmsg_type=CMSG_TYPE_RECVERR, \
             cmsg_data={ee_errno=0, ee_origin=SO_EE_ORIGIN_ZEROCOPY, ee_type=0, \
             ee_code=1, ee_info=0, ee_data=1}}]}, MSG_ERRQUEUE) = 0",
            with(0, queued(2)),
            Some(("ee_data=1", "ee_data=2")),
        ),
        ("fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)", Returned::ok(2), None),
    ];
    for (line, returned, wanted) in cases {
        let script = format!("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 {line}");
        let report = play(&script, &mut Mock::returning([Returned::ok(3), returned]));
        match wanted {
            None => passed(&report),
            Some((expected, actual)) => {
                let failure = failed(report);
                assert_eq!(failure.expected.unwrap().to_string(), expected, "{line}");
                assert_eq!(failure.actual.unwrap().to_string(), actual, "{line}");
            }
        }
    }
}

fn queued(data: u32) -> Output {
    let error = Received::Error {
        level: libc::SOL_IP,
        kind: libc::IP_RECVERR,
        errno: 0,
        origin: 5,
        kind_of: 0,
        code: 1,
        info: 0,
        data,
    };
    Output::Message { flags: libc::MSG_ERRQUEUE, control: vec![error] }
}

#[test]
fn a_blocking_call_returns_when_the_script_says() {
    let blocking = |after| Mock { blocks: Some((ms(after), Returned::ok(3))), ..Mock::default() };
    let script = "0...0.2 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+.1 close(3) = 0";
    passed(&play(script, &mut blocking(200)));
    let failure = failed(play(script, &mut blocking(300)));
    assert_eq!((failure.message.as_str(), failure.event), ("socket returned late", Some(0)));
    assert_eq!(failed(play(script, &mut blocking(50))).message, "socket returned early");
    let failure = failed(play(script, &mut blocking(5000)));
    assert_eq!(failure.message, "socket did not return");
    assert_eq!(failure.at, ms(1100));
    let at_once = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3";
    assert_eq!(failed(play(at_once, &mut blocking(200))).message, "socket blocks");
}

#[test]
fn what_is_not_there_makes_the_script_skipped_by_name() {
    let cases = [
        ("frobnicate(3) = 0", "unknown call frobnicate"),
        ("setsockopt(3, SOL_TCP, TCP_NODELAI, [1], 4) = 0", "TCP_NODELAI (near TCP_NODELAY)"),
        ("send(3, ..., 1, MSG_ODD) = 1", "MSG_ODD"),
        ("`unheard of`", "`unheard of`"),
        ("ioctl(3, SIOCINQ, [0]) = 0", "ioctl on the mock"),
        ("%{ assert tcpi_odd == 1 }%", "tcpi_odd"),
        ("< sctp: INIT[]", "another protocol"),
    ];
    for (line, wanted) in cases {
        let script = format!("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 {line}");
        let mut mock = Mock::default();
        mock.facts.insert(3, Facts::new());
        let reason = skipped(play(&script, &mut mock));
        assert!(reason.contains(wanted), "{line}: {reason}");
    }
    let failure = failed(play("0 `false`", &mut Mock::default()));
    assert!(failure.message.contains("status 1"));
}

#[test]
fn commands_code_and_cleanup_run_in_order() {
    let script = "`init`\n0 `one`\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
        +0 %{ assert tcpi_state == TCP_CLOSE, tcpi_state }%
        +0 %{ assert tcpi_state == TCP_LISTEN }%\n`clean up`";
    let mut mock = Mock::default();
    mock.facts.insert(3, [("tcpi_state".to_owned(), 7)].into_iter().collect());
    let failure = failed(play(script, &mut mock));
    assert_eq!((failure.event, failure.message.as_str()), (Some(3), "assertion failed"));
    assert_eq!(failure.actual.unwrap().to_string(), "tcpi_state = 7, TCP_LISTEN = 10");
    assert_eq!(mock.commands, ["init", "one", "clean up"]);
}

#[test]
fn timestamps_echo_what_the_stack_sent() {
    let mut mock = listening();
    let mut base = 5_000_000;
    mock.answer = Some(Box::new(move |tcp, len| {
        let syn = tcp.flags.syn();
        if !syn && len == 0 {
            return Vec::new();
        }
        base += 100;
        let mut reply = to_port(tcp.src_port);
        reply.flags = if syn { Flags::SYN | Flags::ACK } else { Flags::ACK };
        reply.seq = SeqNum::new(if syn { ISN } else { ISN + 1 });
        reply.ack = tcp.seq + tcp.segment_len(len);
        reply.options.timestamps = Some(Timestamps { value: base, echo: 1 });
        vec![(ms(0), segment(reply, 0))]
    }));
    let script = format!(
        "--tcp_ts_tick_usecs=1000\n{LISTEN}
        +0 < S 0:0(0) win 1000 <nop,nop,TS val 1 ecr 0>
        +0 > S. 0:0(0) ack 1 <nop,nop,TS val 100 ecr 1>
        +.1 < P. 1:11(10) ack 1 win 9 <nop,nop,TS val 2 ecr 100>
        +0 > . 1:1(0) ack 11 <nop,nop,TS val 200 ecr 2>"
    );
    passed(&play(&script, &mut mock));
    let echoed = tcp(&mock.injected[1]).options.timestamps.unwrap();
    assert_eq!(echoed, Timestamps { value: 2, echo: 5_000_100 });
}

#[test]
fn an_echo_that_nobody_sent_is_an_error() {
    let script = sent("+0 < . 1:1(0) ack 1 win 9 <nop,nop,TS val 1 ecr 77>");
    assert!(failed(play(&script, &mut sender(&[]))).message.contains("ecr 77"));
}

#[test]
fn sack_edges_are_shifted_both_ways() {
    let script = sent("+0 < . 1:1(0) ack 1 win 9 <nop,nop,sack 1001:2001>");
    let mut mock = sender(&[]);
    passed(&play(&script, &mut mock));
    let sack = tcp(&mock.injected[1]).options.sack;
    let edges = (SeqNum::new(ISN + 1001), SeqNum::new(ISN + 2001));
    assert_eq!(sack.as_slice(), [edges]);
}

#[test]
fn sequence_numbers_of_syns_are_absolute_and_of_others_relative() {
    let mut mock = listening();
    let script = format!(
        "{LISTEN}
        +0 < S 680:680(0) win 1000
        +0 > S. 120:120(0) ack 681 <...>
        +0 < P. 1:11(10) ack 1 win 9
        +0 > . 1:1(0) ack 11"
    );
    passed(&play(&script, &mut mock));
    assert_eq!(tcp(&mock.injected[1]).seq, SeqNum::new(681));
    assert_eq!(tcp(&mock.injected[1]).ack, SeqNum::new(ISN + 1));
}

#[test]
fn an_active_open_learns_the_port() {
    let script = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
        +0 connect(3, ..., ...) = -1 EINPROGRESS
        +0 > S 0:0(0) <...>
        +0 < S. 500:500(0) ack 1 win 9
        +0 > . 1:1(0) ack 1
        +0 < R. 1:1(0) ack 1 win 0";
    let syn = TcpHeader {
        src_port: 40_000,
        dst_port: 8080,
        seq: SeqNum::new(ISN),
        flags: Flags::SYN,
        ..TcpHeader::default()
    };
    let ack =
        TcpHeader { seq: SeqNum::new(ISN + 1), ack: SeqNum::new(501), flags: Flags::ACK, ..syn };
    let returns = [Returned::ok(3), Returned::error(libc::EINPROGRESS)];
    let mut mock = Mock::returning(returns).sends(0, segment(syn, 0)).sends(1, segment(ack, 0));
    passed(&play(script, &mut mock));
    let reply = tcp(&mock.injected[0]);
    assert_eq!((reply.src_port, reply.dst_port), (8080, 40_000));
    assert_eq!(reply.ack, SeqNum::new(ISN + 1));
    assert_eq!(tcp(&mock.injected[1]).seq, SeqNum::new(501));
    assert!(matches!(mock.calls[1], SysCall::Connect { addr: Some(_), .. }));
}

#[test]
fn an_icmp_error_quotes_the_stacks_own_segment() {
    let script = sent("+0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]");
    let mut mock = sender(&[]);
    passed(&play(&script, &mut mock));
    let packet = &mock.injected[1];
    let ip = IpHeader::parse(packet).unwrap();
    let quoted = fourwave_wire::icmp::parse_quoted_tcp(&ip, packet).unwrap();
    assert_eq!(quoted.error, fourwave_wire::icmp::IcmpError::PacketTooBig { mtu: 1200 });
    assert_eq!(quoted.src, (LOCAL.into(), 8080));
    assert_eq!(quoted.dst, (REMOTE.into(), 49_152));
    assert_eq!(quoted.seq, SeqNum::new(ISN + 1));
}

#[test]
fn options_come_from_the_script_and_the_command_line_wins() {
    let script = fourwave_drill::lang::parse(
        "--remote_ip=192.0.2.9\n--tolerance_usecs=9000\n--ip_version=ipv4\n0 close(3) = 0",
    )
    .unwrap();
    let mut line = Options::default();
    line.set("tolerance_usecs", Some("5000")).unwrap();
    line.set("D", Some("TFO_COOKIE=00")).unwrap();
    let options = line.for_script(&script).unwrap();
    assert_eq!(options.remote().to_string(), "192.0.2.9");
    assert_eq!(options.tolerance_usecs, 5000);
    assert_eq!(options.define("TFO_COOKIE").as_deref(), Some("00"));
    let error = line.set("tolerance_usec", Some("1")).unwrap_err();
    assert_eq!(error.message, "unknown option --tolerance_usec; did you mean --tolerance_usecs?");
    assert!(line.set("mtu", Some("9")).unwrap_err().message.contains("68"));
    assert!(line.set("local_ip", Some("nowhere")).is_err());
    assert!(line.set("netmask_ip", Some("255.0.255.0")).is_err());
    let odd = fourwave_drill::lang::parse("--mtuu=5\n0 close(3) = 0").unwrap();
    let error = line.for_script(&odd).unwrap_err();
    assert_eq!(error.span.unwrap().line, 1);
}

#[test]
fn the_cookies_of_the_two_keys_are_linuxs() {
    let v4 = Options::default();
    assert_eq!(v4.define("TFO_COOKIE").as_deref(), Some("3021b9d889017eeb"));
    assert_eq!(v4.define("TFO_COOKIE_ZERO").as_deref(), Some("b7c12350a90dc8f5"));
    let mut v6 = Options::default();
    v6.set("ip_version", Some("ipv6")).unwrap();
    assert_eq!(v6.define("TFO_COOKIE").as_deref(), Some("c1d1e9742a47a9bc"));
    assert_eq!(v6.define("TFO_COOKIE_ZERO").as_deref(), Some("82af1a8f9a205c34"));
}

#[test]
fn nplab_counts_from_now_takes_absolute_numbers_and_does_not_join() {
    let script = format!(
        "--dialect=nplab\n{}",
        sent("+.1 < . 1000:1000(0)! ack 1 win 9\n+.1 < . ...(10) ack 1 win 9")
    );
    let mut mock = sender(&[]);
    passed(&play(&script, &mut mock));
    assert_eq!(tcp(&mock.injected[1]).seq, SeqNum::new(1000));
    let two = [(10, 1, Flags::ACK, 100), (10, 101, Flags::ACK, 100)];
    let joined = format!("--dialect=nplab\n{}", sent("+.01 > . 1:201(200) ack 1"));
    assert!(matches!(play(&joined, &mut sender(&two)).outcome, Outcome::Failed(_)));
    let unchecked = format!("--dialect=nplab\n{}", sent("+.01 > . ...(100) ack 1"));
    passed(&play(&unchecked, &mut sender(&two)));
}

#[test]
fn a_digest_is_computed_with_the_secret() {
    let option = |secret: &str| {
        let script =
            format!("--tcp_md5_secret={secret}\n{LISTEN}+0 < S 0:0(0) win 9 <md5 valid,nop,nop>");
        let mut mock = Mock::default();
        passed(&play(&script, &mut mock));
        let packet = mock.injected.remove(0);
        assert_eq!(packet[40..42], [19, 18]);
        packet[42..58].to_vec()
    };
    // RFC 2385: pseudo-header, header without checksum, secret. The digest of these bytes was
    // computed apart from this code (Python's hashlib).
    assert_eq!(option("secret"), DIGEST);
    assert_ne!(option("other"), DIGEST);
}

const DIGEST: [u8; 16] = [
    0x34, 0x15, 0xa0, 0xc1, 0xd4, 0x9a, 0xc7, 0x37, 0x7b, 0xa0, 0xc6, 0x80, 0x9d, 0x8a, 0xf6, 0xe6,
];

#[test]
fn tcp_in_udp_goes_to_the_ports_of_its_suffix() {
    let script = format!("{LISTEN}+0 < S 0:0(0) win 9 <mss 1452>/udp(1 > 9811)");
    let mut mock = Mock::default();
    passed(&play(&script, &mut mock));
    let packet = &mock.injected[0];
    let ip = IpHeader::parse(packet).unwrap();
    assert_eq!(ip.protocol, 17);
    assert_eq!(packet[20..24], [0, 1, 0x26, 0x53]);
    let (tcp, _) = TcpHeader::parse(&packet[28..]).unwrap();
    assert_eq!((tcp.dst_port, tcp.options.mss), (8080, Some(1452)));
}

#[test]
fn explicit_ports_are_connections_of_their_own() {
    let script = format!(
        "{LISTEN}
        +0 < 5000 > 8080 S 0:0(0) win 9
        +0 > 8080 > 5000 S. 0:0(0) ack 1 <...>
        +0 < 5001 > 8080 S 7:7(0) win 9
        +0 > 8080 > 5001 S. 0:0(0) ack 8 <...>
        +0 < 5000 > 8080 . 1:11(10) ack 1 win 9
        +0 > 8080 > 5000 . 1:1(0) ack 11"
    );
    let mut mock = listening();
    let report = play(&script, &mut mock);
    // The mock's server has one number for all, so the last answer does not come.
    assert_eq!(failed(report).event, Some(8));
    let ports: Vec<u16> = mock.injected.iter().map(|packet| tcp(packet).src_port).collect();
    assert_eq!(ports, [5000, 5001, 5000]);
}

#[test]
fn a_script_has_an_end() {
    let failure = failed(play("0 close(3) = 0\n+9999999 close(3) = 0", &mut Mock::default()));
    assert!(failure.message.contains("30 days"), "{}", failure.message);
    let failure = failed(play("1 close(3) = 0", &mut Mock::default()));
    assert!(failure.message.contains("time 0"), "{}", failure.message);
    let failure =
        failed(play("0 close(3) = 0\n1 close(3) = 0\n.5 close(3) = 0", &mut Mock::default()));
    assert_eq!(failure.message, "the event could not happen in time");
}

#[test]
fn header_bits_are_set_as_written() {
    let mut mock = sender(&[]);
    let script = sent(
        "+0 < [ect0] EAP. 1:11(10) ack 1 win 9 <ECN e1b 1 ceb 2 e0b 3,nop>
        +0 < [tos 0x10, ttl 7] .5 1:1(0) ack 1 win 9 urg 3",
    );
    passed(&play(&script, &mut mock));
    let (first, second) = (&mock.injected[1], &mock.injected[2]);
    assert_eq!(first[1], 2);
    // AE is the lowest bit of the byte of the header's length; ECE, PSH, ACK.
    assert_eq!((first[32] & 1, first[33]), (1, 0x58));
    assert_eq!(first[40..51], [174, 11, 0, 0, 1, 0, 0, 2, 0, 0, 3]);
    assert_eq!((second[1], second[8]), (0x10, 7));
    // ACE 5: AE and ECE.
    assert_eq!((second[32] & 1, second[33]), (1, 0x50));
    assert_eq!(second[38..40], [0, 3]);
}

#[test]
fn datagrams() {
    let script = "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3
        +0 bind(3, ..., ...) = 0
        +0 < udp (100)
        +0 < icmp unreachable port_unreachable [udp (10)]";
    let mut mock = Mock::returning([Returned::ok(3)]);
    passed(&play(script, &mut mock));
    let packet = &mock.injected[0];
    let ip = IpHeader::parse(packet).unwrap();
    assert_eq!((ip.protocol, packet.len()), (17, 128));
    assert_eq!(packet[22..24], 8080u16.to_be_bytes());
    // The error is about a datagram to where the first one came from.
    assert_eq!(mock.injected[1][48..52], [packet[22], packet[23], packet[20], packet[21]]);
}

#[test]
fn lengths_that_fit_no_packet_are_refused() {
    for line in ["< . 1:70001(70000) ack 1 win 9", "< icmp unreachable [1:3000000001(3000000000)]"]
    {
        let failure = failed(play(&sent(&format!("+0 {line}")), &mut sender(&[])));
        assert!(failure.message.contains("do not fit"), "{}", failure.message);
    }
    // What loopback carries fits to the last byte.
    let whole = "+0 < . 1:65496(65495) ack 1 win 9";
    passed(&play(&sent(whole), &mut sender(&[])));
    let more = failed(play(&sent("+0 < . 1:65497(65496) ack 1 win 9"), &mut sender(&[])));
    assert!(more.message.contains("do not fit"), "{}", more.message);
    let deep = format!("0 close(1{}) = 0", "|1".repeat(100_000));
    if let Ok(script) = fourwave_drill::lang::parse(&deep) {
        let options = Options::default().for_script(&script).unwrap();
        fourwave_drill::run::run(&script, &options, &mut Mock::default());
    }
}
