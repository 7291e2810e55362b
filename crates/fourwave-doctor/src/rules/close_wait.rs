//! CLOSE_WAIT that its program does not end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use fourwave_core::state::State;

use super::Ranked;
use super::view::{View, Way, listed, peer, ranked};
use crate::words::{bytes, count, of, span};
use crate::{Finding, FindingKind, Owner, Severity, Socket};

/// Whose sockets they are, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Whose {
    /// A process.
    Program(u32, String),
    /// A program that may not be seen, by the place of its connections and its user.
    Hidden(Way, u32),
    /// Not accepted yet: the listener's queue has it.
    Queue(SocketAddr),
}

#[derive(Default)]
struct Leak<'a> {
    /// Those in CLOSE_WAIT for long enough.
    old: Vec<&'a Socket>,
    /// All in CLOSE_WAIT.
    all: u64,
    /// All in the earlier snapshot.
    earlier: u64,
}

pub(super) fn check(view: &View<'_>, found: &mut Vec<Ranked>) {
    let mut leaks: HashMap<Whose, Leak<'_>> = HashMap::new();
    for socket in view.now.sockets.iter().filter(|one| one.state == State::CloseWait) {
        let leak = leaks.entry(whose(view, socket)).or_default();
        leak.all += 1;
        if age(view, socket) >= view.thresholds.close_wait_age {
            leak.old.push(socket);
        }
    }
    for socket in view.sample.before.sockets.iter().filter(|one| one.state == State::CloseWait) {
        if let Some(leak) = leaks.get_mut(&whose(view, socket)) {
            leak.earlier += 1;
        }
    }
    for (whose, mut leak) in leaks {
        let number = leak.old.len() as u64;
        if number >= view.thresholds.close_wait && number > 0 {
            leak.old.sort_by_key(|socket| std::cmp::Reverse(age(view, socket)));
            found.push(Ranked { finding: finding(view, &whose, &leak), size: number });
        }
    }
}

fn owners<'a>(view: &'a View<'_>, socket: &Socket) -> &'a [Owner] {
    let of = |snapshot: &'a crate::Snapshot| snapshot.owners.get(&socket.inode);
    of(view.now).or_else(|| of(&view.sample.before)).map_or(&[], Vec::as_slice)
}

fn whose(view: &View<'_>, socket: &Socket) -> Whose {
    match (owners(view, socket).iter().min(), view.way(socket)) {
        (Some(owner), _) => Whose::Program(owner.pid, owner.program.clone()),
        (None, Way::In(service)) if socket.inode == 0 => Whose::Queue(service),
        (None, way) => Whose::Hidden(way, socket.uid),
    }
}

/// How long ago the FIN came, at least: since then nothing need have come.
fn age(view: &View<'_>, socket: &Socket) -> Duration {
    let heard = socket.info.as_ref().map(|info| info.last_ack_received);
    heard.unwrap_or(view.sample.interval)
}

fn finding(view: &View<'_>, whose: &Whose, leak: &Leak<'_>) -> Finding {
    let number = count(leak.old.len() as u64);
    let closed = "that the other end has closed";
    let (about, headline) = match whose {
        Whose::Program(pid, name) => (
            format!("pid {pid}"),
            format!("{name} (pid {pid}) holds {number} connections {closed} (CLOSE_WAIT)"),
        ),
        Whose::Hidden(Way::In(at), uid) => (
            format!("at {at}"),
            format!("A program of user {uid} holds {number} connections at {at} {closed}"),
        ),
        Whose::Hidden(Way::Out(to), uid) => (
            format!("to {to}"),
            format!("A program of user {uid} holds {number} connections to {to} {closed}"),
        ),
        Whose::Queue(at) => (
            format!("queue of {at}"),
            format!("{number} connections {closed} wait to be accepted at {at}"),
        ),
    };
    Finding {
        kind: FindingKind::CloseWaitLeak,
        severity: Severity::Warning,
        about,
        headline,
        evidence: evidence(view, whose, leak),
        cause: cause(view, whose, leak),
        program: program(whose, leak),
        host: host(view, whose),
        does_not_help: vec![
            "no knob ends CLOSE_WAIT: it has no timer, only the program's close() or its end does"
                .to_owned(),
            "keepalive: the other end's kernel may answer for as long as it is in FIN_WAIT_2; it \
             finds a dead peer, not a forgotten socket"
                .to_owned(),
        ],
    }
}

fn evidence(view: &View<'_>, whose: &Whose, leak: &Leak<'_>) -> Vec<String> {
    let oldest = leak.old.first().map_or(Duration::ZERO, |socket| age(view, socket));
    let youngest = leak.old.last().map_or(Duration::ZERO, |socket| age(view, socket));
    let old = leak.old.len() as u64;
    let which = if old == leak.all {
        format!("{} in CLOSE_WAIT, all", count(leak.all))
    } else {
        format!("{} in CLOSE_WAIT, {} of them", count(leak.all), count(old))
    };
    let (youngest, oldest) = (span(youngest), span(oldest));
    let mut out =
        vec![format!("{which} for at least {youngest}, the oldest for at least {oldest}")];
    out.push(format!(
        "connections {}",
        listed(&ranked(leak.old.iter().map(|one| view.way(one))), 3)
    ));
    if let Whose::Program(pid, _) = whose {
        out.push(format!("descriptors {}", descriptors(view, *pid, leak)));
        let shared = leak.old.iter().filter(|one| has_others(view, one, *pid)).count() as u64;
        if shared > 0 {
            out.push(format!(
                "{} of them are open in other processes too: the connection ends when the last \
                 one closes it",
                count(shared)
            ));
        }
    }
    let unread: u64 = leak.old.iter().map(|one| u64::from(one.unread)).sum();
    let blind = leak.old.iter().filter(|one| one.unread_end).count() as u64;
    let seen = leak.old.len() as u64 - blind;
    if blind > 0 {
        let waits = match unread {
            0 => "nothing but the end of the stream waits in them".to_owned(),
            _ => format!("{} wait in them", bytes(unread)),
        };
        out.push(format!(
            "{} not read to the end: {waits}; the program does not look at them",
            count(blind)
        ));
    }
    if seen > 0 {
        out.push(format!("{} read to the end and not closed", count(seen)));
    }
    out.push(format!("peers: {}", listed(&ranked(leak.old.iter().map(|one| peer(view, one))), 4)));
    if view.seconds().is_some() && leak.all > leak.earlier {
        let grown = of(leak.all - leak.earlier, "more socket");
        out.push(format!("{grown} in CLOSE_WAIT {}: it grows", view.over()));
    }
    out
}

/// The first few descriptors.
fn descriptors(view: &View<'_>, pid: u32, leak: &Leak<'_>) -> String {
    const MOST: usize = 8;
    let mut fds: Vec<i32> = leak
        .old
        .iter()
        .flat_map(|socket| owners(view, socket).iter().filter(|owner| owner.pid == pid))
        .map(|owner| owner.fd)
        .collect();
    fds.sort_unstable();
    let all = fds.len();
    let fds: Vec<String> = fds.iter().take(MOST).map(i32::to_string).collect();
    let more = if all > MOST { format!(" and {} more", all - MOST) } else { String::new() };
    format!("{}{more}", fds.join(", "))
}

fn has_others(view: &View<'_>, socket: &Socket, pid: u32) -> bool {
    owners(view, socket).iter().any(|owner| owner.pid != pid)
}

fn cause(view: &View<'_>, whose: &Whose, leak: &Leak<'_>) -> String {
    if let Whose::Queue(at) = whose {
        return format!(
            "the program that listens at {at} does not call accept(): its clients have connected, \
             waited and left"
        );
    }
    let incoming = leak.old.iter().filter(|one| matches!(view.way(one), Way::In(_))).count() as u64;
    let side = if incoming * 2 >= leak.old.len() as u64 {
        "its clients have closed"
    } else {
        "the servers it called have closed (an idle connection of a pool, an answer that ended)"
    };
    let blind = leak.old.iter().filter(|one| one.unread_end).count();
    let rest = if blind * 2 > leak.old.len() {
        "and it does not read these sockets any more: it waits for something else, a thread hangs, \
         or it forgot them"
    } else {
        "it has read the end of the data, and does not call close(): a path through the program \
         (an error, a timeout, an early return) forgets the descriptor"
    };
    format!("{side}, {rest}. The other end stays in FIN_WAIT_2, or is gone already")
}

fn program(whose: &Whose, leak: &Leak<'_>) -> Vec<String> {
    if matches!(whose, Whose::Queue(_)) {
        return vec![
            "find out why it does not accept(): a thread that hangs, all workers busy".to_owned(),
        ];
    }
    let mut out = vec![
        "close the socket on every path where read() gave 0 or an error (a guard, `with`, \
         `defer`, try-with-resources, Drop)"
            .to_owned(),
    ];
    if leak.old.iter().any(|one| one.unread_end) {
        out.push(
            "watch idle connections too: a pool has to see the end of a connection it keeps \
             (readable means closed) before it uses it again"
                .to_owned(),
        );
        out.push("give every read a timeout, and close when it passes".to_owned());
    }
    out.push(
        "a forked child keeps its parent's descriptors: open them with SOCK_CLOEXEC".to_owned(),
    );
    out
}

fn host(view: &View<'_>, whose: &Whose) -> Vec<crate::Command> {
    match whose {
        Whose::Program(pid, _) => vec![view.command(
            &format!("ss -tanpo state close-wait | grep pid={pid},"),
            "lists them; only the program's close(), or its restart, ends them",
        )],
        _ => Vec::new(),
    }
}
