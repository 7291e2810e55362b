//! What the target must do.

use std::time::Duration;

use fourwave_drill::syscall::{Control, OptionValue, Output, Received, Returned, SysCall};
use fourwave_drill::target::{Refusal, Target};
use fourwave_wire::tcp::Flags;

use crate::peer::{FIN_ACK, Peer, RST_ACK, SYN_ACK};

type Scenario = fn(&mut Peer);

macro_rules! scenarios {
    ($($name:ident)*) => {
        pub(crate) const ALL: &[(&str, Scenario)] = &[$((stringify!($name), $name)),*];
    };
}

scenarios! {
    a_passive_open_carries_data_both_ways
    blocking_calls_return_when_the_packet_comes
    a_reset_reaches_every_call_with_its_errno
    poll_and_epoll_say_what_is_ready
    an_active_open_that_is_refused
    options_are_set_and_read_by_number
    messages_carry_timestamps_of_the_scripts_time
    descriptors_are_the_scripts
    time_waits_exactly_and_silence_is_seen
    settings_are_this_namespaces_alone
    commands_run_inside
    tcp_info_has_linuxs_names
    a_lingering_close_blocks
}

fn read(fd: i32, len: usize) -> SysCall {
    SysCall::Read { fd, len, flags: 0, call: "read" }
}

fn write(fd: i32, len: usize) -> SysCall {
    SysCall::Write { fd, parts: vec![len], flags: 0, to: None, call: "write" }
}

fn nonblocking(peer: &mut Peer, fd: i32) {
    peer.ok(SysCall::Fcntl { fd, cmd: libc::F_SETFL, arg: libc::O_RDWR | libc::O_NONBLOCK }, 0);
}

fn a_passive_open_carries_data_both_ways(peer: &mut Peer) {
    peer.establish();
    peer.send(Flags::ACK, 700);
    assert_eq!(peer.expect(Flags::ACK), 0);
    peer.ok(read(4, 1000), 700);
    peer.ok(write(4, 2500), 2500);
    assert_eq!([0; 3].map(|_| peer.expect(Flags::ACK)), [1000, 1000, 500]);
    peer.send(Flags::ACK, 0);
    peer.send(FIN_ACK, 0);
    peer.expect(Flags::ACK);
    peer.ok(read(4, 1000), 0);
    peer.ok(SysCall::Close { fd: 4 }, 0);
    peer.expect(FIN_ACK);
    peer.send(Flags::ACK, 0);
    peer.expect_silence();
}

fn blocking_calls_return_when_the_packet_comes(peer: &mut Peer) {
    peer.listen();
    peer.blocks(SysCall::Accept { fd: 3, flags: 0, as_fd: Some(4) });
    peer.send(Flags::SYN, 0);
    peer.expect(SYN_ACK);
    assert_eq!(peer.linux.returned().unwrap(), None, "half open is not accepted");
    peer.send(Flags::ACK, 0);
    assert_eq!(peer.returned().result, Ok(4));
    peer.blocks(read(4, 10));
    // One call at a time.
    assert!(matches!(peer.linux.call(&read(4, 10)), Err(Refusal::Failed(_))));
    peer.send(Flags::ACK, 3);
    assert_eq!(peer.returned(), Returned::ok(3));
}

fn a_reset_reaches_every_call_with_its_errno(peer: &mut Peer) {
    peer.establish();
    peer.blocks(read(4, 10));
    peer.send(RST_ACK, 0);
    assert_eq!(peer.returned(), Returned::error(libc::ECONNRESET));
    let quiet =
        SysCall::Write { fd: 4, parts: vec![1], flags: libc::MSG_NOSIGNAL, to: None, call: "send" };
    assert_eq!(peer.call(quiet), Returned::error(libc::EPIPE));
    assert_eq!(peer.call(write(4, 1)), Returned::error(libc::EPIPE));
    peer.expect_silence();
}

fn poll_and_epoll_say_what_is_ready(peer: &mut Peer) {
    peer.establish();
    peer.ok(SysCall::EpollCreate { flags: 0, as_fd: Some(5) }, 5);
    let events = (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
    peer.ok(SysCall::EpollCtl { epoll: 5, op: libc::EPOLL_CTL_ADD, fd: 4, events, data: 77 }, 0);
    peer.ok(SysCall::EpollWait { epoll: 5, max: 4, timeout: 0 }, 0);
    let both = libc::POLLIN | libc::POLLOUT;
    let poll = |timeout| SysCall::Poll { fds: vec![(4, both), (9, both), (-1, both)], timeout };
    let ready = peer.ok(poll(-1), 2);
    assert_eq!(ready, Output::Poll(vec![libc::POLLOUT, libc::POLLNVAL, 0]));
    peer.ok(SysCall::Poll { fds: vec![(4, libc::POLLIN)], timeout: 0 }, 0);
    peer.blocks(SysCall::Poll { fds: vec![(4, libc::POLLIN)], timeout: 20_000 });
    peer.send(Flags::ACK, 1);
    let returned = peer.returned();
    assert_eq!((returned.result, returned.output), (Ok(1), Output::Poll(vec![libc::POLLIN])));
    peer.expect(Flags::ACK);
    peer.send(FIN_ACK, 0);
    peer.expect(Flags::ACK);
    let found = peer.ok(SysCall::EpollWait { epoll: 5, max: 4, timeout: 20_000 }, 1);
    assert_eq!(found, Output::Epoll(vec![(events, 77)]));
}

fn an_active_open_that_is_refused(peer: &mut Peer) {
    peer.socket(3);
    peer.ok(SysCall::Bind { fd: 3, addr: Peer::local() }, 0);
    nonblocking(peer, 3);
    let connect = SysCall::Connect { fd: 3, addr: Some(Peer::remote()) };
    assert_eq!(peer.call(connect.clone()), Returned::error(libc::EINPROGRESS));
    peer.expect(Flags::SYN);
    peer.send(RST_ACK, 0);
    let name = libc::SO_ERROR;
    let error = SysCall::GetOption { fd: 3, level: libc::SOL_SOCKET, name, len: 4 };
    let output = peer.ok(error, 0);
    assert_eq!(output, Output::Int { value: libc::ECONNREFUSED.into(), len: 4 });
    peer.ok(SysCall::Close { fd: 3 }, 0);
    // The same, waited for.
    peer.socket(3);
    peer.ok(SysCall::Bind { fd: 3, addr: Peer::local() }, 0);
    peer.blocks(connect);
    peer.expect(Flags::SYN);
    peer.send(RST_ACK, 0);
    assert_eq!(peer.returned(), Returned::error(libc::ECONNREFUSED));
    peer.ok(SysCall::Connect { fd: 3, addr: None }, 0);
}

fn options_are_set_and_read_by_number(peer: &mut Peer) {
    peer.socket(3);
    let get = |level, name, len| SysCall::GetOption { fd: 3, level, name, len };
    peer.set(3, libc::SOL_SOCKET, libc::SO_SNDBUF, OptionValue::Int(10_000), 4);
    let output = peer.ok(get(libc::SOL_SOCKET, libc::SO_SNDBUF, 4), 0);
    assert_eq!(output, Output::Int { value: 20_000, len: 4 });
    let linger = OptionValue::Linger { on: 1, seconds: 7 };
    peer.set(3, libc::SOL_SOCKET, libc::SO_LINGER, linger, 8);
    let output = peer.ok(get(libc::SOL_SOCKET, libc::SO_LINGER, 8), 0);
    assert_eq!(output, Output::Linger { on: 1, seconds: 7 });
    let reno = OptionValue::Bytes(b"reno".to_vec());
    peer.set(3, libc::SOL_TCP, libc::TCP_CONGESTION, reno, 4);
    let output = peer.ok(get(libc::SOL_TCP, libc::TCP_CONGESTION, 16), 0);
    assert_eq!(output, Output::Bytes(b"reno".to_vec()));
    let nothing = SysCall::SetOption {
        fd: 3,
        level: libc::SOL_SOCKET,
        name: libc::SO_SNDBUF,
        value: OptionValue::Null,
        len: 4,
    };
    assert_eq!(peer.call(nothing), Returned::error(libc::EFAULT));
    assert_eq!(peer.call(get(libc::SOL_TCP, 250, 4)), Returned::error(libc::ENOPROTOOPT));
    let bad = SysCall::BadPointer { fd: 3, call: "sendto".into(), len: 5, flags: 0 };
    assert_eq!(peer.call(bad), Returned::error(libc::EPIPE));
}

fn messages_carry_timestamps_of_the_scripts_time(peer: &mut Peer) {
    peer.establish();
    let tsonly = 1 << 11;
    let (tx_ack, software) = (1 << 9, 1 << 4);
    let wanted = OptionValue::Int(i64::from(tsonly | software));
    peer.set(4, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, wanted, 4);
    let control = Control { level: libc::SOL_SOCKET, kind: libc::SO_TIMESTAMPING, value: tx_ack };
    let send =
        SysCall::SendMsg { fd: 4, parts: vec![10, 20], to: None, control: vec![control], flags: 0 };
    peer.ok(send, 30);
    assert_eq!(peer.expect(Flags::ACK), 30);
    let before = peer.linux.now();
    peer.send(Flags::ACK, 0);
    let after = peer.linux.now();
    let receive = SysCall::RecvMsg { fd: 4, parts: vec![1000], flags: libc::MSG_ERRQUEUE };
    let Output::Message { flags, control } = peer.ok(receive, 0) else { panic!("a message") };
    assert_eq!(flags & libc::MSG_ERRQUEUE, libc::MSG_ERRQUEUE);
    let [
        Received::Timestamping { level: libc::SOL_SOCKET, seconds, nanos, .. },
        Received::Error { errno, origin: 4, .. },
    ] = control[..]
    else {
        panic!("{control:?}");
    };
    assert_eq!(errno.cast_signed(), libc::ENOMSG);
    let at = Duration::new(seconds.try_into().unwrap(), nanos.try_into().unwrap());
    // Two clocks, of which one may be slewed.
    let slack = Duration::from_millis(50);
    assert!(before <= at + slack && at <= after + slack, "{before:?} {at:?} {after:?}");
}

fn descriptors_are_the_scripts(peer: &mut Peer) {
    assert_eq!(peer.call(SysCall::Close { fd: 3 }), Returned::error(libc::EBADF));
    peer.socket(1000);
    // A name may be given again; what had it before stays open.
    peer.ok(SysCall::Bind { fd: 1000, addr: Peer::local() }, 0);
    peer.ok(SysCall::Listen { fd: 1000, backlog: 1 }, 0);
    peer.socket(1000);
    peer.send(Flags::SYN, 0);
    peer.expect(SYN_ACK);
    let odd = SysCall::Socket { domain: 2, kind: 77, protocol: 0, as_fd: None };
    assert_eq!(peer.call(odd), Returned::error(libc::EINVAL));
    peer.ok(SysCall::Pipe { fds: Some((7, 8)) }, 0);
    peer.ok(write(8, 5), 5);
    peer.ok(SysCall::Ioctl { fd: 7, request: libc::FIONREAD, arg: 0 }, 0);
    peer.ok(read(7, 100), 5);
    peer.ok(SysCall::Close { fd: 8 }, 0);
    peer.ok(read(7, 100), 0);
    let open = SysCall::Open { path: "/dev/zero".into(), flags: 0, as_fd: Some(9) };
    peer.ok(open, 9);
    assert_eq!(peer.linux.info(9).unwrap(), None);
}

fn time_waits_exactly_and_silence_is_seen(peer: &mut Peer) {
    let until = peer.linux.now() + Duration::from_millis(30);
    assert_eq!(peer.linux.wait(until).unwrap(), None);
    assert!(peer.linux.now() >= until);
    // A moment that is over: only what waits already.
    assert_eq!(peer.linux.wait(Duration::ZERO).unwrap(), None);
    // To no listener: a reset.
    peer.send(Flags::SYN, 0);
    peer.expect(RST_ACK);
    assert!(matches!(peer.linux.inject(&[0xff; 40]), Err(Refusal::Failed(_))));
}

fn settings_are_this_namespaces_alone(peer: &mut Peer) {
    peer.linux.command("../common/defaults.sh\nsysctl -q net.ipv4.tcp_syn_retries=3").unwrap();
    assert_eq!(peer.linux.warnings(), [] as [String; 0]);
    let value = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
    assert_eq!(
        value("tcp_wmem").split_whitespace().collect::<Vec<_>>().join(" "),
        "4096 262144 4194304"
    );
    assert_eq!(value("tcp_syn_retries").trim(), "3");
    let two = "./set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0 \\\n\
               /proc/sys/net/ipv4/tcp_sack=0";
    peer.linux.command(two).unwrap();
    peer.socket(3);
    let (level, name) = (libc::SOL_TCP, libc::TCP_CONGESTION);
    let output = peer.ok(SysCall::GetOption { fd: 3, level, name, len: 16 }, 0);
    assert_eq!(output, Output::Bytes(b"cubic".to_vec()), "whatever the system's default is");
    assert_eq!([value("tcp_timestamps").trim(), value("tcp_sack").trim()], ["0", "0"]);
    let missing = peer.linux.command("sysctl -q net.ipv4.tcp_no_such_thing=1");
    assert!(matches!(missing, Err(Refusal::Unsupported(_))), "{missing:?}");
    peer.linux.command("sysctl -e -q net.ipv4.tcp_no_such_thing=1").unwrap();
    let refused = peer.linux.command("sysctl -q net.ipv4.tcp_syn_retries=1000");
    assert!(matches!(refused, Err(Refusal::Unsupported(_))), "{refused:?}");
}

fn commands_run_inside(peer: &mut Peer) {
    // Only loopback and the TUN; both are seen from inside alone.
    peer.linux
        .command("test $(ls /sys/class/net /proc/sys/net/ipv4/conf | grep -c tun0) -ge 1")
        .unwrap();
    peer.linux.command("echo 4 > /proc/sys/net/ipv4/tcp_syn_retries").unwrap();
    assert!(matches!(peer.linux.command("exit 1"), Err(Refusal::Failed(_))));
    peer.listen();
    peer.linux.command("grep ' 0A ' /proc/net/tcp | grep -q ':1F90'").unwrap();
}

fn tcp_info_has_linuxs_names(peer: &mut Peer) {
    peer.establish();
    peer.ok(write(4, 3000), 3000);
    let facts = peer.linux.info(4).unwrap().unwrap();
    let names = ["tcpi_state", "tcpi_unacked", "tcpi_snd_mss", "tcpi_snd_cwnd", "tcpi_ca_state"];
    assert_eq!(names.map(|name| facts[name]), [1, 3, 1000, 10, 0]);
    assert_eq!(facts["tcpi_bytes_sent"], 3000);
    assert!(facts["SK_MEMINFO_WMEM_QUEUED"] >= 3000);
    peer.socket(5);
    assert_eq!(peer.linux.info(5).unwrap().unwrap()["tcpi_state"], 7);
    assert_eq!(peer.linux.info(6).unwrap(), None);
}

fn a_lingering_close_blocks(peer: &mut Peer) {
    peer.establish();
    let linger = OptionValue::Linger { on: 1, seconds: 60 };
    peer.set(4, libc::SOL_SOCKET, libc::SO_LINGER, linger, 8);
    peer.ok(write(4, 10), 10);
    assert_eq!(peer.expect(Flags::ACK), 10);
    peer.blocks(SysCall::Close { fd: 4 });
    peer.expect(FIN_ACK);
    peer.send(Flags::ACK, 0);
    assert_eq!(peer.returned(), Returned::ok(0));
}
