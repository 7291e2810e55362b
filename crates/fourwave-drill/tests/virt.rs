//! The virtual target by hand: calls, packets and time, no scripts.

mod wire;

use std::time::Duration;

use fourwave_drill::syscall::{Fd, Output, Returned, SysCall};
use fourwave_drill::target::{Progress, Refusal, Target};
use wire::{Bench, Seg, listen_setup};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_passive_open_reads_writes_and_closes() {
    let mut bench = Bench::new();
    listen_setup(&mut bench, 3);
    bench.send(Seg::syn(0));
    let syn_ack = bench.expect();
    assert_eq!((syn_ack.flags(), syn_ack.ack()), ("SYN ACK".into(), 1));
    bench.synchronize(&syn_ack);
    assert_eq!(bench.errno(SysCall::Accept { fd: 3, flags: 0, as_fd: Some(4) }), 0);
    bench.send(Seg::ack(1, 1));
    assert_eq!(bench.blocked_result(), Some(Ok(4)));

    bench.send(Seg::data(1, 1, 1000));
    assert_eq!(bench.read(4, 600), Ok(600));
    assert_eq!(bench.read(4, 600), Ok(400));
    assert_eq!(bench.write(4, 100), Ok(100));
    let ack = bench.expect();
    assert_eq!((ack.len(), ack.ack()), (0, 1001));
    let data = bench.expect();
    assert_eq!((data.seq(), data.len(), data.ack()), (1, 100, 1001));
    bench.send(Seg::ack(1001, 101));

    bench.send(Seg::fin(1001, 101));
    assert_eq!(bench.read(4, 1), Ok(0));
    assert_eq!(bench.close(4), Ok(0));
    let fin = bench.expect_fin();
    assert_eq!((fin.seq(), fin.ack()), (101, 1002));
    bench.send(Seg::ack(1002, 102));
    assert_eq!(bench.close(3), Ok(0));
    assert_eq!(bench.close(3), Err(9));
}

#[test]
fn a_blocking_connect_returns_when_the_handshake_does() {
    let mut bench = Bench::new();
    bench.socket(3, false);
    assert_eq!(bench.connect(3), None);
    let syn = bench.expect();
    assert_eq!(syn.flags(), "SYN");
    bench.accept_numbers(&syn);
    bench.pass(200 * MS);
    bench.send(Seg::syn_ack(0, 1));
    assert_eq!(bench.blocked_result(), Some(Ok(0)));
    assert_eq!(bench.fact(3, "tcpi_state"), 1);
    assert_eq!(bench.connect(3), Some(Err(106)));
}

#[test]
fn a_refused_connect_leaves_a_socket_that_may_try_again() {
    let mut bench = Bench::new();
    bench.socket(3, true);
    assert_eq!(bench.connect(3), Some(Err(115)));
    let syn = bench.expect();
    bench.accept_numbers(&syn);
    assert_eq!(bench.connect(3), Some(Err(114)));
    bench.send(Seg::rst_ack(1));
    assert_eq!(bench.poll(3, 0x1 | 0x4 | 0x2000), 0x1 | 0x4 | 0x8 | 0x10 | 0x2000);
    assert_eq!(bench.so_error(3), 111);
    assert_eq!(bench.so_error(3), 0);
    assert_eq!(bench.connect(3), Some(Err(103)));
    assert_eq!(bench.connect(3), Some(Err(115)));
}

#[test]
fn a_reset_is_told_once_then_the_pipe_is_broken() {
    let mut bench = Bench::new();
    bench.established();
    bench.send(Seg::data(1, 1, 10));
    bench.send(Seg::rst(11));
    // What came before the reset can be read.
    assert_eq!(bench.read(4, 100), Ok(10));
    assert_eq!(bench.read(4, 100), Err(104));
    assert_eq!(bench.read(4, 100), Ok(0));
    assert_eq!(bench.write(4, 1), Err(32));
    assert_eq!(bench.shutdown(4, 2), Err(107));
}

#[test]
fn a_reset_in_close_wait_is_a_broken_pipe() {
    let mut bench = Bench::new();
    bench.established();
    bench.send(Seg::fin(1, 1));
    bench.send(Seg::rst(2));
    assert_eq!(bench.so_error(4), 32);
    assert_eq!(bench.read(4, 1), Ok(0));
}

#[test]
fn poll_says_what_each_state_is_ready_for() {
    let (input, out, hup, rdhup) = (0x1, 0x4, 0x10, 0x2000);
    let all = input | out | rdhup;
    let mut bench = Bench::new();
    bench.socket(9, true);
    assert_eq!(bench.poll(9, all), out | hup);
    bench.established();
    assert_eq!(bench.poll(3, all), 0);
    assert_eq!(bench.poll(4, all), out);
    bench.send(Seg::data(1, 1, 1));
    assert_eq!(bench.poll(4, all), input | out);
    bench.send(Seg::fin(2, 1));
    assert_eq!(bench.read(4, 1), Ok(1));
    assert_eq!(bench.poll(4, all), input | out | rdhup);
    assert_eq!(bench.shutdown(4, 1), Ok(0));
    assert_eq!(bench.poll(4, all), input | out | rdhup | hup);
    bench.send(Seg::ack(3, 2));
    assert_eq!(bench.poll(4, all), input | out | rdhup | hup);
    assert_eq!(bench.poll(77, all), 0x20);
}

#[test]
fn calls_on_the_wrong_thing_fail_as_on_linux() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(5, 1), Err(9));
    bench.socket(3, true);
    assert_eq!(bench.read(3, 1), Err(107));
    assert_eq!(bench.write(3, 1), Err(32));
    assert_eq!(bench.shutdown(3, 1), Err(107));
    assert_eq!(bench.errno(SysCall::Accept { fd: 3, flags: 0, as_fd: None }), 22);
    bench.bind(3, Ok(0));
    bench.bind(3, Err(22));
    bench.socket(4, true);
    bench.bind(4, Err(98));
    assert_eq!(bench.call(SysCall::Listen { fd: 3, backlog: 1 }), Ok(0));
    assert_eq!(bench.errno(SysCall::Accept { fd: 3, flags: 0, as_fd: None }), 11);
    assert_eq!(bench.read(3, 1), Err(107));
    assert_eq!(bench.connect(3), Some(Err(106)));
    bench.run(SysCall::EpollCreate { flags: 0, as_fd: Some(6) });
    assert_eq!(bench.errno(SysCall::Listen { fd: 6, backlog: 1 }), 88);
}

#[test]
fn an_edge_is_told_once_a_level_as_long_as_it_lasts() {
    const ET: u32 = 1 << 31;
    const ONESHOT: u32 = 1 << 30;
    let mut bench = Bench::new();
    bench.established();
    bench.epoll(5, 4, 1, 1 | ET);
    bench.epoll(6, 4, 1, 1);
    bench.epoll(7, 4, 1, 1 | ONESHOT);
    assert_eq!(bench.epoll_wait(5), vec![]);
    bench.send(Seg::data(1, 1, 10));
    for epoll in [5, 6, 7] {
        assert_eq!(bench.epoll_wait(epoll), vec![(1, 4)]);
    }
    assert_eq!(bench.epoll_wait(5), vec![]);
    assert_eq!(bench.epoll_wait(6), vec![(1, 4)]);
    assert_eq!(bench.epoll_wait(7), vec![]);
    bench.send(Seg::data(11, 1, 10));
    assert_eq!(bench.epoll_wait(5), vec![(1, 4)]);
    assert_eq!(bench.epoll_wait(7), vec![]);
    bench.epoll_mod(7, 4, 1 | ONESHOT);
    assert_eq!(bench.epoll_wait(7), vec![(1, 4)]);
    assert_eq!(bench.read(4, 100), Ok(20));
    assert_eq!(bench.epoll_wait(6), vec![]);
}

#[test]
fn two_hours_of_silence_then_keepalive_ends_it() {
    let mut bench = Bench::new();
    bench.established();
    assert_eq!(bench.set_int(4, 1, 9, 1), Ok(0));
    assert_eq!(bench.set_int(4, 6, 4, 7200), Ok(0));
    assert_eq!(bench.set_int(4, 6, 6, 2), Ok(0));
    let start = bench.target.now();
    let probe = bench.expect_within(Duration::from_secs(7300));
    assert_eq!(probe.at - start, Duration::from_secs(7200));
    bench.expect_within(Duration::from_secs(80));
    let reset = bench.expect_within(Duration::from_secs(80));
    assert_eq!(reset.flags(), "RST ACK");
    assert_eq!(bench.read(4, 1), Err(110));
}

#[test]
fn a_receive_timeout_ends_a_blocked_read() {
    let mut bench = Bench::new();
    bench.established();
    let mut half = vec![0; 16];
    half[8..12].copy_from_slice(&500_000u32.to_le_bytes());
    let value = fourwave_drill::syscall::OptionValue::Bytes(half);
    let call = SysCall::SetOption { fd: 4, level: 1, name: 20, value, len: 16 };
    assert_eq!(bench.call(call), Ok(0));
    let start = bench.target.now();
    let read = SysCall::Read { fd: 4, len: 1, flags: 0, call: "read" };
    assert_eq!(bench.target.call(&read).unwrap(), Progress::Blocked);
    bench.pass(2 * Duration::from_secs(1));
    let (at, returned) = bench.target.returned().unwrap().unwrap();
    assert_eq!((at - start, returned.result), (500 * MS, Err(11)));
}

#[test]
fn what_the_engine_lacks_is_refused_by_name() {
    let mut bench = Bench::new();
    bench.established();
    let write = |flags| SysCall::Write { fd: 4, parts: vec![1], flags, to: None, call: "send" };
    let refused = bench.target.call(&write(1)).unwrap_err();
    assert_eq!(refused, Refusal::Unsupported("MSG_OOB of send".into()));
    let refused = bench.target.command("iptables -F").unwrap_err();
    assert_eq!(refused, Refusal::Unsupported("the command `iptables -F`".into()));
    bench.target.command("./defaults.sh\nsysctl -q net.ipv4.tcp_fin_timeout=5").unwrap();
}

#[test]
fn the_end_of_a_stream_and_what_ioctl_counts() {
    let mut bench = Bench::new();
    bench.established();
    let unread = |bench: &mut Bench| {
        let call = SysCall::Ioctl { fd: 4 as Fd, request: 0x541b, arg: 0 };
        match bench.run(call) {
            Returned { result: Ok(0), output: Output::Int { value, .. } } => value,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(unread(&mut bench), 0);
    bench.send(Seg::data(1, 1, 10));
    bench.send(Seg::fin(11, 1));
    assert_eq!(unread(&mut bench), 10);
    assert_eq!(bench.call(SysCall::Read { fd: 4, len: 5, flags: 2, call: "recv" }), Ok(5));
    assert_eq!(bench.read(4, 100), Ok(10));
    assert_eq!(unread(&mut bench), 0);
    assert_eq!(bench.read(4, 100), Ok(0));
}
