use std::net::Ipv4Addr;

use super::*;
use crate::{Listener, Owner, PortRange, Scope, Socket, Timer, TimerKind};

/// A host without sockets: a thousand ephemeral ports.
pub(crate) fn idle() -> Snapshot {
    Snapshot {
        taken: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        ports: PortRange { range: 40_000..=40_999, reserved: 0 },
        orphans: Orphans { now: 0, limit: 65_536 },
        ..Snapshot::empty(Scope::Own)
    }
}

pub(crate) fn socket(state: State, local: u16, remote: &str) -> Socket {
    Socket {
        state,
        local: (Ipv4Addr::new(10, 0, 0, 1), local).into(),
        remote: remote.parse().unwrap(),
        unread: 0,
        unread_end: false,
        unacked: 0,
        inode: 0,
        uid: 0,
        timer: None,
        info: None,
    }
}

pub(crate) fn listener(port: u16, queue: u32, backlog: u32) -> Listener {
    Listener {
        local: (Ipv4Addr::UNSPECIFIED, port).into(),
        queue,
        backlog,
        half_open: 0,
        inode: u64::from(port),
        uid: 0,
    }
}

/// A host with something of everything, and what it was two seconds before.
pub(crate) fn busy() -> Sample {
    let mut before = idle();
    let database = "10.0.0.9:5432";
    before.sockets.extend((0..600).map(|n| socket(State::TimeWait, 40_000 + n, database)));
    before.listeners.push(listener(80, 0, 128));
    let mut after = before.clone();
    after.taken += Duration::from_secs(2);
    after.sockets.extend((600..800).map(|n| socket(State::TimeWait, 40_000 + n, database)));
    after.sockets.extend((0..30).map(|n| socket(State::Established, 40_900 + n, "10.0.0.8:443")));
    for n in 0..12u16 {
        let inode = 900 + u64::from(n);
        let leaked = socket(State::CloseWait, 80, &format!("10.0.1.1:{}", 50_000 + n));
        after.sockets.push(Socket { inode, unread: 100, ..leaked });
        let owner = Owner { pid: 4242, program: "leaky".into(), fd: 7 + i32::from(n) };
        after.owners.insert(inode, vec![owner]);
    }
    after.sockets.push(Socket { inode: 77, ..socket(State::CloseWait, 80, "10.0.1.2:1") });
    after.listeners[0].queue = 100;
    after.listeners.push(listener(22, 0, 128));
    after.owners.insert(80, vec![Owner { pid: 80, program: "nginx".into(), fd: 6 }]);
    after.orphans.now = 3;
    Sample { before, after, interval: Duration::from_secs(2) }
}

#[test]
fn sockets_are_counted_by_state() {
    let statistics = Statistics::of(&busy());
    let some: Vec<(State, u64)> =
        statistics.states.iter().copied().filter(|(_, count)| *count > 0).collect();
    let expected = [
        (State::Listen, 2),
        (State::Established, 30),
        (State::CloseWait, 13),
        (State::TimeWait, 800),
    ];
    assert_eq!(some, expected);
    assert_eq!(statistics.count(State::TimeWait), 800);
    assert_eq!(statistics.states.len(), STATES.len());
}

#[test]
fn ports_are_counted_by_destination_with_the_time_that_is_left() {
    let statistics = Statistics::of(&busy());
    let [database, web] = &statistics.destinations[..] else { panic!("{statistics:?}") };
    assert_eq!((database.to.to_string().as_str(), database.used), ("10.0.0.9:5432", 800));
    assert_eq!((database.time_wait, database.total, database.per_second), (800, 1000, 100.0));
    assert_eq!(database.exhausted_in(), Some(Duration::from_secs(2)));
    assert_eq!((web.used, web.time_wait, web.per_second), (30, 0, 15.0));
}

#[test]
fn a_first_look_knows_no_growth() {
    let sample = Sample { interval: Duration::ZERO, ..busy() };
    let statistics = Statistics::of(&sample);
    assert_eq!(statistics.destinations[0].per_second, 0.0);
    assert_eq!(statistics.destinations[0].exhausted_in(), None);
}

#[test]
fn an_exhausted_destination_has_no_time_left_and_a_shrinking_one_all_of_it() {
    let mut row = Statistics::of(&busy()).destinations.remove(0);
    row.per_second = -1.0;
    assert_eq!(row.exhausted_in(), None);
    row.used = 1000;
    assert_eq!((row.exhausted_in(), row.share()), (Some(Duration::ZERO), 1.0));
}

#[test]
fn what_levels_off_before_the_last_port_has_no_time() {
    // Ten a second stay sixty seconds each: never more than 600 of the 1,000.
    let mut sample = busy();
    for snapshot in [&mut sample.before, &mut sample.after] {
        snapshot.sockets = Vec::new();
    }
    let waiting = |n: u16, left: u64| {
        let timer = Timer {
            kind: TimerKind::TimeWait,
            expires: Duration::from_millis(left),
            retransmits: 0,
        };
        Socket { timer: Some(timer), ..socket(State::TimeWait, 40_000 + n, "10.0.0.9:5432") }
    };
    sample.before.sockets = (0..100).map(|n| waiting(n, 50_000 + 100 * u64::from(n))).collect();
    sample.after.sockets = (0..120).map(|n| waiting(n, 48_050 + 100 * u64::from(n))).collect();
    let row = &Statistics::of(&sample).destinations[0];
    assert_eq!((row.per_second, row.levels_off, row.exhausted_in()), (10.0, true, None));
    // With open ones that grow too there is no end to it.
    let open = (200..210).map(|n| socket(State::Established, 40_000 + n, "10.0.0.9:5432"));
    sample.after.sockets.extend(open);
    let row = &Statistics::of(&sample).destinations[0];
    assert!(!row.levels_off && row.exhausted_in().is_some(), "{row:?}");
}

#[test]
fn a_servers_port_is_no_ephemeral_one_wherever_it_lies() {
    let mut sample = busy();
    sample.after = idle();
    sample.after.listeners.push(listener(40_080, 0, 5));
    sample.after.sockets.push(socket(State::TimeWait, 40_080, "10.0.0.7:40123"));
    sample.after.sockets.push(socket(State::TimeWait, 39_999, "10.0.0.7:80"));
    assert_eq!(Statistics::of(&sample).destinations, []);
}

#[test]
fn close_wait_goes_to_programs_and_queues_to_listeners() {
    let statistics = Statistics::of(&busy());
    let leaky = CloseWait { program: Some(("leaky".into(), 4242)), count: 12, unread: 1200 };
    assert_eq!(statistics.close_wait, [leaky, CloseWait { program: None, count: 1, unread: 0 }]);
    let [web, ssh] = &statistics.listeners[..] else { panic!("{statistics:?}") };
    assert_eq!((web.program.as_deref(), web.queue, web.backlog), (Some("nginx"), 100, 128));
    assert_eq!((ssh.program.as_deref(), ssh.local.port()), (None, 22));
}
