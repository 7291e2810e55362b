//! The kernel's real sockets in every state, as the doctor and as `ss` see them, each test in a
//! network namespace of its own.
#![cfg(target_os = "linux")]

mod gather_support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use fourwave_core::state::State;
use fourwave_doctor::{Owner, Snapshot, Socket, TimerKind};
use gather_support::{at, begin, firewall, in_namespace, listen, nft, own, pair, run, until};

/// This process as the owner of a descriptor.
fn this(fd: &impl std::os::fd::AsFd) -> Vec<Owner> {
    let program = std::fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned();
    vec![Owner { pid: std::process::id(), program, fd: fd.as_fd().as_raw_fd() }]
}

fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

/// The socket of this stream, once it is in `state`.
fn reaches(stream: (SocketAddr, SocketAddr), state: State) -> (Snapshot, Socket) {
    until(&format!("{state:?} of {stream:?}"), |snapshot| {
        let socket = at(snapshot, stream.0, stream.1).filter(|s| s.state == state)?;
        Some((snapshot.clone(), socket.clone()))
    })
}

#[test]
fn listeners() {
    in_namespace("listeners", || {
        let listener = listen("127.0.0.1", 1);
        let address = listener.local_addr().unwrap();
        // Linux lets one more wait than the backlog says.
        let _waiting = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        let any = listen("::", 4096);
        let full = until("a full queue", |s| {
            Some(s.listeners.iter().find(|l| l.local == address && l.queue == 2)?.clone())
        });
        assert_eq!((full.backlog, full.half_open), (1, 0));
        let snapshot = own();
        assert_eq!(snapshot.owners[&full.inode], this(&listener));
        let any = snapshot.listeners.iter().find(|l| l.local == any.local_addr().unwrap());
        let somaxconn = snapshot.knob("core.somaxconn").expect("a knob");
        assert_eq!(u64::from(any.expect("listens").backlog), somaxconn.min(4096));
        // Not yet accepted: nobody has them.
        let unaccepted = snapshot.sockets.iter().filter(|s| s.local == address);
        assert_eq!(unaccepted.map(|s| s.inode).collect::<Vec<_>>(), [0, 0]);
    });
}

#[test]
fn unread_data_and_its_owner() {
    in_namespace("unread_data_and_its_owner", || {
        for ip in ["127.0.0.1", "::1"] {
            let (mut caller, called) = pair(ip);
            caller.write_all(b"hello").unwrap();
            let (snapshot, socket) = until("five bytes", |s| {
                let local = called.local_addr().unwrap();
                let socket = s.sockets.iter().find(|s| s.local == local && s.unread == 5)?;
                Some((s.clone(), socket.clone()))
            });
            assert_eq!((socket.state, socket.unread_end), (State::Established, false));
            assert_eq!(snapshot.owners[&socket.inode], this(&called));
            let info = socket.info.expect("tcp_info");
            assert_eq!(info.bytes_received, 5);
        }
    });
}

#[test]
fn mapped_addresses_are_ipv4() {
    in_namespace("mapped_addresses_are_ipv4", || {
        let listener = listen("::", 8);
        let port = listener.local_addr().unwrap().port();
        let caller = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _called = fourwave_testkit::accept(&listener);
        let snapshot = own();
        let (local, remote) = ends(&caller);
        assert!(at(&snapshot, local, remote).is_some());
        assert!(at(&snapshot, remote, local).is_some(), "{:#?}", snapshot.sockets);
    });
}

#[test]
fn close_wait_and_fin_wait_2() {
    in_namespace("close_wait_and_fin_wait_2", || {
        let (caller, mut called) = pair("127.0.0.1");
        let (theirs, ours) = (ends(&caller), ends(&called));
        caller.shutdown(Shutdown::Write).unwrap();
        let (snapshot, leaked) = reaches(ours, State::CloseWait);
        assert_eq!(snapshot.owners[&leaked.inode], this(&called));
        assert_eq!((leaked.unread, leaked.unread_end), (0, true));
        assert!(leaked.info.is_some());
        let (_, waiting) = reaches(theirs, State::FinWait2);
        assert!(!waiting.is_orphan());
        assert_eq!(called.read(&mut [0; 8]).unwrap(), 0);
        let (_, read) = reaches(ours, State::CloseWait);
        assert!(!read.unread_end, "the program has read the end");
        drop(caller);
        let (_, orphan) = until("an orphan", |s| {
            let socket = at(s, theirs.0, theirs.1).filter(|s| s.is_orphan())?;
            Some((s.clone(), socket.clone()))
        });
        // Its end is by tcp_fin_timeout, 60 s.
        let timer = orphan.timer.expect("a timer");
        assert!(timer.expires <= Duration::from_secs(60), "{timer:?}");
        assert_eq!(orphan.state, State::FinWait2);
        drop(called);
        let (snapshot, waits) = reaches(theirs, State::TimeWait);
        let timer = waits.timer.expect("a timer");
        assert_eq!(timer.kind, TimerKind::TimeWait);
        assert!(timer.expires > Duration::from_secs(30), "{timer:?}");
        assert!(timer.expires <= Duration::from_secs(60), "{timer:?}");
        assert_eq!((snapshot.time_wait, waits.inode), (1, 0));
    });
}

#[test]
fn last_ack_of_an_orphan() {
    in_namespace("last_ack_of_an_orphan", || {
        firewall();
        let (caller, called) = pair("127.0.0.1");
        let (theirs, ours) = (ends(&caller), ends(&called));
        caller.shutdown(Shutdown::Write).unwrap();
        reaches(ours, State::CloseWait);
        nft(&format!("add rule inet t drops tcp sport {} drop", theirs.0.port()));
        drop(called);
        let (_, stuck) = until("a retransmission", |s| {
            let stuck = at(s, ours.0, ours.1)?;
            let again = stuck.timer.is_some_and(|timer| timer.retransmits > 0);
            again.then(|| (s.clone(), stuck.clone()))
        });
        assert_eq!((stuck.state, stuck.is_orphan(), stuck.unacked), (State::LastAck, true, 1));
        assert_eq!(stuck.timer.expect("checked").kind, TimerKind::Retransmit);
        assert!(stuck.info.expect("tcp_info").retransmits > 0);
        let snapshot = own();
        assert!(snapshot.orphans.now >= 1, "{:?}", snapshot.orphans);
        let host = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_max_orphans");
        let limit = host.map_or(0, |limit| limit.trim().parse().unwrap());
        assert_eq!(snapshot.orphans.limit, limit);
    });
}

#[test]
fn half_open_both_ways() {
    in_namespace("half_open_both_ways", || {
        firewall();
        let listener = listen("0.0.0.0", 8);
        let port = listener.local_addr().unwrap().port();
        // The caller's ACK of the SYN ACK never arrives.
        nft(&format!("add rule inet t drops tcp dport {port} tcp flags & (syn | ack) == ack drop"));
        let _caller = begin(([127, 0, 0, 1], port).into());
        let half = until("SYN_RECV", |s| {
            let half = s.sockets.iter().find(|s| s.state == State::SynReceived)?.clone();
            let listener = s.listeners.iter().find(|l| l.local.port() == port)?;
            assert_eq!(listener.half_open, 1);
            Some(half)
        });
        assert_eq!((half.local.port(), half.inode), (port, 0));
        assert_eq!(half.timer.expect("SYN ACKs are sent again").kind, TimerKind::Retransmit);

        let deaf = listen("127.0.0.1", 8).local_addr().unwrap();
        nft(&format!("add rule inet t drops tcp dport {} drop", deaf.port()));
        let _calling = begin(deaf);
        let calling = own().sockets.into_iter().find(|s| s.remote == deaf).expect("SYN_SENT");
        assert_eq!(calling.state, State::SynSent);
        assert_ne!(calling.inode, 0);
    });
}

/// B is in CLOSING: A's FIN reached it, nothing of its own reaches A.
#[test]
fn closing_and_fin_wait_1() {
    in_namespace("closing_and_fin_wait_1", || {
        firewall();
        let (a, b) = pair("127.0.0.1");
        let (caller, called) = (ends(&a), ends(&b));
        nft(&format!("add rule inet t drops tcp sport {} drop", called.0.port()));
        b.shutdown(Shutdown::Write).unwrap();
        reaches(called, State::FinWait1);
        a.shutdown(Shutdown::Write).unwrap();
        let (_, closing) = reaches(called, State::Closing);
        assert!(!closing.is_orphan());
        drop((a, b));
        until("orphans", |s| {
            let both = [at(s, caller.0, caller.1)?, at(s, called.0, called.1)?];
            both.iter().all(|s| s.is_orphan()).then_some(())
        });
    });
}

/// A line of `ss`: state, queues and ends, the timer's name, inode, and who has it.
type Line = (String, u32, u32, SocketAddr, SocketAddr, String, u64);

/// An address as `ss` prints it.
fn address(text: &str) -> SocketAddr {
    let text = text.replace("*:*", "[::]:0").replace("0.0.0.0:*", "0.0.0.0:0");
    let text = text.replace("[::]:*", "[::]:0").replace("*:", "[::]:");
    let address: SocketAddr = text.parse().unwrap_or_else(|_| panic!("{text}"));
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What `ss` lists; the second: `pid=1,fd=2` by inode.
fn by_ss() -> (Vec<Line>, BTreeMap<u64, String>) {
    let (mut lines, mut owners) = (Vec::new(), BTreeMap::new());
    for line in run("ss", &["-tanHeop"]).lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let value = |key: &str| fields.iter().find_map(|field| field.strip_prefix(key));
        let inode = value("ino:").map_or(0, |inode| inode.parse().unwrap());
        let timer = value("timer:(").map_or("", |timer| timer.split(',').next().unwrap());
        if let Some((_, who)) = value("users:((").and_then(|users| users.split_once(',')) {
            owners.insert(inode, who.trim_end_matches(')').to_owned());
        }
        let queue = |at: usize| fields[at].parse().unwrap();
        let (local, peer) = (address(fields[3]), address(fields[4]));
        lines.push((fields[0].into(), queue(1), queue(2), local, peer, timer.into(), inode));
    }
    lines.sort();
    (lines, owners)
}

fn by_doctor(snapshot: &Snapshot) -> Vec<Line> {
    let sockets = snapshot.sockets.iter().map(|s| {
        let timer = match s.timer.map(|timer| timer.kind) {
            None => "",
            Some(TimerKind::Retransmit) => "on",
            Some(TimerKind::Keepalive) => "keepalive",
            Some(TimerKind::TimeWait) => "timewait",
            Some(TimerKind::Persist) => "persist",
            Some(TimerKind::Other(_)) => "unknown",
        };
        let received = s.unread + u32::from(s.unread_end);
        (s.state.ss_name().into(), received, s.unacked, s.local, s.remote, timer.into(), s.inode)
    });
    let listeners = snapshot.listeners.iter().map(|l| {
        let any = if l.local.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let (any, state) = (any.parse().unwrap(), State::Listen.ss_name().into());
        (state, l.queue, l.backlog, l.local, any, String::new(), l.inode)
    });
    let mut lines: Vec<Line> = sockets.chain(listeners).collect();
    lines.sort();
    lines
}

/// The whole list is the one of `ss`, with sockets in nine states, of both families.
#[test]
fn the_list_of_ss() {
    in_namespace("the_list_of_ss", || {
        firewall();
        let deaf = listen("127.0.0.1", 8).local_addr().unwrap();
        let half = listen("127.0.0.1", 8);
        let half_at = half.local_addr().unwrap();
        let mut kept = Vec::new();
        for ip in ["127.0.0.1", "::1"] {
            let mut unread = pair(ip);
            unread.0.write_all(b"unread").unwrap();
            let closes = pair(ip);
            closes.0.shutdown(Shutdown::Write).unwrap();
            let (first, second) = pair(ip);
            let ends = ends(&first);
            drop(first);
            drop(second);
            reaches(ends, State::TimeWait);
            kept.extend([unread, closes]);
        }
        let (caller, called) = pair("127.0.0.1");
        let (theirs, ours) = (ends(&caller), ends(&called));
        caller.shutdown(Shutdown::Write).unwrap();
        reaches(ours, State::CloseWait);
        nft(&format!("add rule inet t drops tcp sport {} drop", theirs.0.port()));
        let ack = "tcp flags & (syn | ack) == ack";
        nft(&format!("add rule inet t drops tcp dport {} {ack} drop", half_at.port()));
        nft(&format!("add rule inet t drops tcp dport {} drop", deaf.port()));
        drop(called);
        let _open = (listen("::", 100), begin(half_at), begin(deaf), caller);
        reaches(ours, State::LastAck);
        until("SYN_RECV", |s| s.sockets.iter().find(|s| s.state == State::SynReceived).map(drop));

        // Timers may fire between the two: until both say the same.
        let (mut ss, mut doctor) = (by_ss(), own());
        for _ in 0..50 {
            if by_doctor(&doctor) == ss.0 {
                break;
            }
            (ss, doctor) = (by_ss(), own());
        }
        assert_eq!(by_doctor(&doctor), ss.0);
        let mut states: Vec<_> = ss.0.iter().map(|line| line.0.as_str()).collect();
        states.dedup();
        let expected = [
            "CLOSE-WAIT",
            "ESTAB",
            "FIN-WAIT-2",
            "LAST-ACK",
            "LISTEN",
            "SYN-RECV",
            "SYN-SENT",
            "TIME-WAIT",
        ];
        assert_eq!(states, expected);
        let owned: BTreeMap<u64, String> = doctor
            .owners
            .iter()
            .map(|(&inode, who)| (inode, format!("pid={},fd={}", who[0].pid, who[0].fd)))
            .collect();
        assert_eq!(owned.len(), 2 + 2 + 2, "two unread, two CLOSE_WAIT, two listeners");
        for (inode, who) in owned {
            assert_eq!(Some(&who), ss.1.get(&inode));
        }
        drop(half);
    });
}
