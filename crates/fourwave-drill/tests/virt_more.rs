//! The virtual target by hand: what outlives calls and descriptors.

mod wire;

use std::time::Duration;

use fourwave_drill::syscall::{OptionValue, Output, Received, SendTo, SysCall};
use fourwave_drill::target::{Progress, Refusal, Target};
use fourwave_drill::virt::{Setup, Virtual};
use wire::{Bench, Seg, listen_setup, remote};

const MS: Duration = Duration::from_millis(1);

fn write(len: usize, flags: i32) -> SysCall {
    SysCall::Write { fd: 4, parts: vec![len], flags, to: None, call: "send" }
}

#[test]
fn a_send_buffer_is_rounded_doubled_and_filled() {
    let mut bench = Bench::new();
    bench.established();
    assert_eq!(bench.set_int(4, 1, 7, 100), Ok(0));
    assert_eq!(bench.get_int(4, 1, 7), 4608);
    assert_eq!(bench.set_int(4, 1, 7, 21_000), Ok(0));
    assert_eq!(bench.get_int(4, 1, 7), 42_000);
    let taken = bench.call(write(1_000_000, 0x40)).unwrap();
    assert!((30_000..100_000).contains(&taken), "{taken}");
    assert_eq!(bench.call(write(1_000_000, 0x40)), Err(11));
    assert_eq!(bench.poll(4, 4), 0);
}

#[test]
fn a_blocked_write_goes_on_when_room_is_made() {
    let mut bench = Bench::new();
    bench.established();
    assert_eq!(bench.set_int(4, 1, 7, 5_000), Ok(0));
    assert_eq!(bench.target.call(&write(60_000, 0)).unwrap(), Progress::Blocked);
    let (mut acked, mut asked) = (1, 0);
    while bench.blocked_result().is_none() {
        asked += 1;
        assert!(asked < 100, "the write does not return");
        acked = bench.newest_end(acked);
        bench.send(Seg::ack(1, acked));
    }
    bench.pass(MS);
    assert!(bench.fact(4, "tcpi_bytes_acked") > 10_000);
}

#[test]
fn close_with_linger_waits_for_the_last_ack() {
    let mut bench = Bench::new();
    bench.established();
    let value = OptionValue::Linger { on: 1, seconds: 2 };
    let call = SysCall::SetOption { fd: 4, level: 1, name: 13, value, len: 8 };
    assert_eq!(bench.call(call), Ok(0));
    assert_eq!(bench.target.call(&SysCall::Close { fd: 4 }).unwrap(), Progress::Blocked);
    assert_eq!(bench.expect().flags(), "FIN ACK");
    bench.pass(100 * MS);
    assert_eq!(bench.blocked_result(), None);
    bench.send(Seg::ack(1, 2));
    assert_eq!(bench.blocked_result(), Some(Ok(0)));
    assert_eq!(bench.read(4, 1), Err(9));
}

#[test]
fn linger_of_no_time_resets() {
    let mut bench = Bench::new();
    bench.established();
    let value = OptionValue::Linger { on: 1, seconds: 0 };
    let call = SysCall::SetOption { fd: 4, level: 1, name: 13, value, len: 8 };
    assert_eq!(bench.call(call), Ok(0));
    assert_eq!(bench.close(4), Ok(0));
    assert_eq!(bench.expect().flags(), "RST ACK");
}

#[test]
fn time_wait_keeps_the_address_for_a_minute() {
    let mut bench = Bench::new();
    bench.established();
    assert_eq!(bench.close(4), Ok(0));
    assert_eq!(bench.expect().flags(), "FIN ACK");
    bench.send(Seg::fin(1, 2));
    assert_eq!(bench.expect().flags(), "ACK");
    assert_eq!(bench.close(3), Ok(0));
    bench.socket(5, false);
    bench.bind(5, Err(98));
    // Whoever asks with SO_REUSEADDR may share it: the child had it from its listener.
    assert_eq!(bench.set_int(5, 1, 2, 1), Ok(0));
    bench.bind(5, Ok(0));
    assert_eq!(bench.close(5), Ok(0));
    bench.pass(61 * Duration::from_secs(1));
    bench.socket(5, false);
    bench.bind(5, Ok(0));
}

#[test]
fn zero_copy_is_told_in_the_error_queue() {
    let mut bench = Bench::new();
    listen_setup(&mut bench, 3);
    assert_eq!(bench.set_int(3, 1, 60, 1), Ok(0));
    bench.handshake();
    let take =
        |bench: &mut Bench| bench.run(SysCall::RecvMsg { fd: 4, parts: vec![0], flags: 0x2000 });
    for acked in [101, 201] {
        assert_eq!(bench.call(write(100, 0x400_0000)), Ok(100));
        assert_eq!(take(&mut bench).result, Err(11));
        bench.send(Seg::ack(1, acked));
        if acked == 101 {
            assert_eq!(bench.poll(4, 0), 8);
            let Output::Message { flags, control } = take(&mut bench).output else { panic!() };
            assert_eq!(flags, 0x2000);
            let Received::Error { info: 0, data: 0, origin: 5, .. } = control[0] else { panic!() };
        }
    }
    let Output::Message { control, .. } = take(&mut bench).output else { panic!() };
    let Received::Error { info: 1, data: 1, .. } = control[0] else { panic!("{control:?}") };
}

#[test]
fn a_fast_open_write_carries_text_on_the_syn_once_a_cookie_is_known() {
    let mut bench = Bench::new();
    bench.target.command("../common/defaults.sh").unwrap();
    let send = |fd| SysCall::Write {
        fd,
        parts: vec![100],
        flags: 0x2000_0000,
        to: Some(SendTo::Addr(remote())),
        call: "sendto",
    };
    bench.target.command("sysctl -q net.ipv4.tcp_fastopen=0x4").unwrap();
    bench.socket(3, true);
    assert_eq!(bench.call(send(3)), Err(95));
    // Without a cookie by the setting: the text goes at once.
    bench.target.command("sysctl -q net.ipv4.tcp_fastopen=0x5").unwrap();
    assert_eq!(bench.call(send(3)), Ok(100));
    let syn = bench.expect();
    assert_eq!((syn.flags(), syn.len()), ("SYN".into(), 100));
    assert_eq!(bench.call(send(3)), Err(114));
    bench.accept_numbers(&syn);
    bench.send(Seg::syn_ack(0, 101));
    assert_eq!(bench.fact(3, "tcpi_options") & 32, 32);
    // The first call afterwards learns of the connection, and sends.
    assert_eq!(bench.call(send(3)), Ok(100));
    assert_eq!(bench.call(send(3)), Err(106));
}

#[test]
fn a_deferred_connect_sends_its_syn_with_the_first_write() {
    let mut bench = Bench::new();
    bench.target.command("sysctl -q net.ipv4.tcp_fastopen=0x5").unwrap();
    bench.socket(3, true);
    assert_eq!(bench.set_int(3, 6, 30, 1), Ok(0));
    assert_eq!(bench.connect(3), Some(Ok(0)));
    assert_eq!(bench.connect(3), Some(Err(106)));
    assert_eq!(bench.poll(3, 1 | 4), 4);
    let until = bench.target.now() + MS;
    assert_eq!(bench.target.wait(until).unwrap(), None);
    assert_eq!(bench.write(3, 10), Ok(10));
    assert_eq!(bench.expect().len(), 10);
}

#[test]
fn bytes_go_from_a_socket_through_a_pipe() {
    let mut bench = Bench::new();
    bench.established();
    assert_eq!(bench.call(SysCall::Pipe { fds: Some((5, 6)) }), Ok(0));
    bench.send(Seg::data(1, 1, 300));
    assert_eq!(bench.expect().flags(), "ACK");
    let splice = |input, out, len| SysCall::Splice { input, out, len, flags: 0 };
    assert_eq!(bench.call(splice(4, 6, 200)), Ok(200));
    assert_eq!(bench.call(splice(4, 6, 200)), Ok(100));
    assert_eq!(bench.call(splice(5, 4, 250)), Ok(250));
    assert_eq!(bench.expect().len(), 250);
    let read = SysCall::Read { fd: 5, len: 100, flags: 0, call: "read" };
    assert_eq!(bench.call(read.clone()), Ok(50));
    assert_eq!(bench.close(6), Ok(0));
    assert_eq!(bench.call(read), Ok(0));
}

#[test]
fn a_time_wait_may_be_taken_over_after_a_second() {
    let mut bench = Bench::new();
    bench.target.command("sysctl net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_timestamps=0").unwrap();
    let one_port = |bench: &mut Bench| {
        bench.socket(3, true);
        assert_eq!(bench.set_int(3, 0, 51, 0xdead_dead), Ok(0));
        bench.connect(3)
    };
    assert_eq!(one_port(&mut bench), Some(Err(115)));
    let syn = bench.expect();
    assert_eq!(syn.port(), 0xdead);
    bench.accept_numbers(&syn);
    bench.send(Seg::syn_ack(0, 1));
    assert_eq!(bench.close(3), Ok(0));
    bench.send(Seg::fin(1, 2));
    bench.pass(2 * Duration::from_secs(1));
    // No timestamps: the peer could not tell the two apart.
    assert_eq!(one_port(&mut bench), Some(Err(99)));
}

#[test]
fn nstat_tells_what_was_counted_since_it_was_last_asked() {
    let mut bench = Bench::new();
    let ask = |bench: &mut Bench, what: &str| bench.target.command(&format!("nstat {what}"));
    bench.established();
    let named = "| grep TcpPassiveOpens | grep -q \" 1 \"";
    ask(&mut bench, &format!("-s {named}")).unwrap();
    ask(&mut bench, &format!("{named} > /dev/null")).unwrap();
    let failed = ask(&mut bench, named).unwrap_err();
    assert!(matches!(failed, Refusal::Failed(_)), "{failed:?}");
    let unknown = ask(&mut bench, "| grep TcpExtNoSuchThing").unwrap_err();
    assert!(matches!(unknown, Refusal::Unsupported(_)), "{unknown:?}");
}

#[test]
fn sockstat_counts_orphans_and_tcpdrop_ends_time_waits() {
    let mut bench = Bench::new();
    let count = |bench: &mut Bench, state: &str, number: u8| {
        let command = format!("sockstat -4 -P tcp -s | grep -c {state} | grep {number}");
        bench.target.command(&command)
    };
    bench.established();
    count(&mut bench, "ESTABLISHED", 1).unwrap();
    assert_eq!(bench.close(4), Ok(0));
    count(&mut bench, "FIN_WAIT_1", 1).unwrap();
    bench.send(Seg::fin(1, 2));
    count(&mut bench, "TIME_WAIT", 1).unwrap();
    assert!(count(&mut bench, "FIN_WAIT_1", 1).is_err());
    bench.target.command("tcpdrop -s TIME_WAIT").unwrap();
    count(&mut bench, "TIME_WAIT", 0).unwrap();
}

#[test]
fn tcp_info_says_when_segments_last_passed_and_what_text_waited_for() {
    let mut bench = Bench::new();
    bench.established();
    bench.pass(500 * MS);
    assert_eq!(bench.fact(4, "tcpi_last_data_recv"), 500);
    bench.send(Seg::data(1, 1, 10));
    bench.pass(100 * MS);
    assert_eq!(bench.fact(4, "tcpi_last_data_recv"), 100);
    assert_eq!(bench.fact(4, "tcpi_last_data_sent"), 600);
    assert_eq!(bench.write(4, 10), Ok(10));
    bench.pass(30 * MS);
    assert_eq!(bench.fact(4, "tcpi_last_data_sent"), 30);
    assert_eq!(bench.fact(4, "tcpi_busy_time"), 30_000);
    bench.send(Seg::ack(11, 11));
    bench.pass(100 * MS);
    assert_eq!(bench.fact(4, "tcpi_last_ack_recv"), 100);
    assert_eq!(bench.fact(4, "tcpi_busy_time"), 30_000);
    assert_eq!(bench.fact(4, "tcpi_rwnd_limited"), 0);
}

#[test]
fn a_write_that_an_rst_cuts_short_leaves_the_error_to_the_next() {
    let mut bench = Bench::new();
    bench.established();
    assert_eq!(bench.set_int(4, 1, 7, 5_000), Ok(0));
    assert_eq!(bench.target.call(&write(1_000_000, 0)).unwrap(), Progress::Blocked);
    bench.send(Seg::rst(1));
    let taken = bench.blocked_result().unwrap().unwrap();
    assert!(taken > 0);
    assert_eq!(bench.call(write(10, 0)), Err(104));
    assert_eq!(bench.call(write(10, 0)), Err(32));
}

#[test]
fn freebsd_s_defaults_are_buffers_and_the_order_of_options() {
    let setup = Setup { freebsd: true, ..Setup::default() };
    let mut bench = Bench::new();
    bench.target = Virtual::new(setup);
    bench.socket(3, true);
    assert_eq!(bench.get_int(3, 1, 8), 65_536);
    assert_eq!(bench.connect(3), Some(Err(115)));
    let until = bench.target.now() + MS;
    let syn = bench.target.wait(until).unwrap().unwrap().packet;
    // MSS, NOP, window scale 6, SACK permitted, timestamps.
    assert_eq!(syn[40..52], [2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 8, 10]);
}

#[test]
fn a_sysctl_s_file_may_be_written_and_timeouts_be_read() {
    let mut bench = Bench::new();
    bench.target.command("echo 0 > /proc/sys/net/ipv4/tcp_timestamps").unwrap();
    bench.target.command("echo 1 > /proc/sys/net/ipv4/tcp_no_such_thing").unwrap_err();
    bench.socket(3, true);
    assert_eq!(bench.connect(3), Some(Err(115)));
    assert_eq!(bench.expect().flags(), "SYN");
    let mut value = 3_u64.to_le_bytes().to_vec();
    value.extend(500_000_u64.to_le_bytes());
    let option = OptionValue::Bytes(value.clone());
    let set = SysCall::SetOption { fd: 3, level: 1, name: 20, value: option, len: 16 };
    assert_eq!(bench.call(set), Ok(0));
    let got = bench.run(SysCall::GetOption { fd: 3, level: 1, name: 20, len: 16 });
    assert_eq!(got.output, Output::Bytes(value));
}
