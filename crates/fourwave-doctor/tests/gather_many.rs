//! Very many sockets: that all are reported, and what that costs. A few thousand; 200,000 with
//! FOURWAVE_LONG=1, which prints the times.
#![cfg(target_os = "linux")]

mod gather_support;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fourwave_core::state::State;
use fourwave_doctor::{Gatherer, Scope, Snapshot};
use fourwave_testkit::{Limited, accept};
use gather_support::{Running, in_namespace, listen, set, tell, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Set where a copy of the test only holds so many groups of connections open.
const HOLD: &str = "FOURWAVE_GATHER_HOLD";
/// Connections of a group.
const GROUP: usize = 20;
/// Groups that one process holds: 24 descriptors each, below the usual hard limit of 20,000.
const EACH: usize = 800;

fn count(snapshot: &Snapshot) -> HashMap<State, usize> {
    let mut counts = HashMap::new();
    for socket in &snapshot.sockets {
        *counts.entry(socket.state).or_default() += 1;
    }
    counts
}

/// Makes groups of connections: of 20, 8 stay open with unread data at one end, 4 are leaked in
/// CLOSE_WAIT, 8 are over and in TIME_WAIT.
fn groups(count: usize, address: u8) -> Vec<TcpStream> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("as allowed");
    // A port has room for 60,000 connections from one address to one other.
    let listener = listen(&format!("127.0.{address}.1"), 64);
    let target = listener.local_addr().unwrap();
    let mut kept = Vec::new();
    for kind in (0..count).flat_map(|_| 0..GROUP) {
        let mut caller = TcpStream::connect(target).unwrap();
        let called = accept(&listener);
        match kind {
            0..8 => caller.write_all(b"unread").unwrap(),
            8..12 => caller.shutdown(Shutdown::Write).unwrap(),
            _ => {
                // At the caller: at the listener's end a new connection could take its place.
                drop(caller);
                continue;
            }
        }
        kept.extend([caller, called]);
    }
    kept
}

/// Holds groups until nobody writes to standard input any more.
fn hold(count: &str, address: u8) {
    let kept = groups(count.parse().expect("a number"), address);
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
    drop(kept);
}

/// What this process has used so far.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.cast_unsigned(), u32::try_from(used.tv_nsec).unwrap())
}

/// Starts a copy of this test that holds groups, and waits until it has them.
fn holder(count: usize, address: u8) -> Running {
    let child = Command::new(std::env::current_exe().expect("a test binary"))
        .args(["--exact", "very_many_sockets", "--nocapture"])
        .env(HOLD, format!("{count} {address}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.expect("starts");
    let out = BufReader::new(Limited(child.stdout.take().expect("piped")));
    let running = Running(child);
    let ready = out.lines().any(|line| line.expect("text").ends_with("ready"));
    assert!(ready, "a holder ended early");
    running
}

#[test]
fn very_many_sockets() {
    in_namespace("very_many_sockets", || {
        if let Ok(hold_what) = std::env::var(HOLD) {
            let (count, address) = hold_what.split_once(' ').expect("two");
            return hold(count, address.parse().expect("a number"));
        }
        set("net/ipv4/ip_local_port_range", "1024 65535");
        // Or those in TIME_WAIT are taken for new connections after a second.
        set("net/ipv4/tcp_tw_reuse", "0");
        let (processes, each) =
            if std::env::var_os("FOURWAVE_LONG").is_some() { (8, EACH) } else { (2, 60) };
        let holders: Vec<_> = (1..=processes).map(|address| holder(each, address)).collect();
        let groups = each * holders.len();
        // The last FINs are on their way.
        until("no FIN unanswered", |s| (!count(s).contains_key(&State::FinWait1)).then_some(()));

        let idle = cpu();
        let begun = Instant::now();
        let mut gatherer = Gatherer::open(Scope::Own).expect("opens");
        let before = gatherer.snapshot().expect("looks");
        let first = begun.elapsed();
        let begun = Instant::now();
        let after = gatherer.snapshot().expect("looks");
        let second = begun.elapsed();
        let used = cpu() - idle;

        let expected = [
            (State::Established, 16 * groups),
            (State::FinWait2, 4 * groups),
            (State::CloseWait, 4 * groups),
            (State::TimeWait, 8 * groups),
        ];
        assert_eq!(count(&before), expected.into());
        assert_eq!(count(&after), expected.into());
        assert_eq!(after.owners.len(), 12 * groups, "unread and CLOSE_WAIT");
        assert!(after.limitations.is_empty(), "{:?}", after.limitations);
        let sockets = after.sockets.len();
        let times = format!("looked in {first:.2?}, again in {second:.2?}");
        tell(&format!("measured: {sockets} sockets: {times}, {used:.2?} of CPU in all"));
        drop(holders);
    });
}
