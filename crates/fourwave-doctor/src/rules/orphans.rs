//! Connections that their program has closed and that do not end: orphans, and FIN_WAIT_2.

use fourwave_core::state::State;

use super::Ranked;
use super::view::{View, listed, peer, ranked, states};
use crate::words::{bytes, count, of, share};
use crate::{Finding, FindingKind, Severity, Socket, TimerKind};

/// One retransmission is a lost packet; two in a row are a peer that does not answer.
const SILENT: u8 = 2;

/// A busy host always has some clients that vanish: this share of all sockets is no finding.
const VANISHING: u64 = 100;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Ranked>) {
    stuck(view, found);
    limit(view, found);
    fin_wait_2(view, found);
}

fn is_stuck(socket: &Socket) -> bool {
    let waits = matches!(socket.state, State::LastAck | State::FinWait1 | State::Closing);
    let silent = socket.timer.is_some_and(|timer| {
        matches!(timer.kind, TimerKind::Retransmit | TimerKind::Persist)
            && timer.retransmits >= SILENT
    });
    waits && socket.is_orphan() && silent
}

fn stuck(view: &View<'_>, found: &mut Vec<Ranked>) {
    let stuck: Vec<&Socket> = view.now.sockets.iter().filter(|one| is_stuck(one)).collect();
    let number = stuck.len() as u64;
    let least = view.thresholds.orphans_stuck.max(view.now.sockets.len() as u64 / VANISHING);
    if number < least || number == 0 {
        return;
    }
    let peers = ranked(stuck.iter().map(|one| peer(view, one)));
    let about = peers.first().filter(|(_, most)| most * 2 > number).map(|(peer, _)| *peer);
    let retries = match view.now.knob("ipv4.tcp_orphan_retries") {
        None => "tcp_orphan_retries".to_owned(),
        Some(0) => "tcp_orphan_retries = 0, which means 8: 102 s and more".to_owned(),
        Some(times) => format!("tcp_orphan_retries = {times}"),
    };
    let unacked: u64 = stuck.iter().map(|one| u64::from(one.unacked)).sum();
    let finding = Finding {
        kind: FindingKind::OrphansStuck,
        severity: Severity::Warning,
        about: about.map(|peer| peer.to_string()).unwrap_or_default(),
        headline: format!(
            "{} closed here and unanswered by {}: the FIN is retransmitted repeatedly",
            of(number, "connection"),
            about.map_or_else(|| of(peers.len() as u64, "peer"), |peer| peer.to_string()),
        ),
        evidence: vec![
            listed(&states(&stuck), 3),
            format!("peers: {}", listed(&peers, 5)),
            format!("{} sent and not acknowledged", bytes(unacked)),
            format!("the kernel gives each up after {retries}"),
        ],
        cause: "the program has closed, and the peer does not acknowledge: it is down, gone from \
                the network (a phone, a stopped container), or something between drops the packets"
            .to_owned(),
        program: vec![
            "nothing in this program: it has closed. Find out what became of the peer".to_owned(),
            "a program that has to know whether its last data arrived: shutdown(SHUT_WR), then \
             read to the end, then close()"
                .to_owned(),
        ],
        host: vec![view.command(
            "nft list ruleset",
            "look for a rule that drops what belongs to no known connection (a firewall's state \
             that is shorter than the connection)",
        )],
        does_not_help: vec![
            "tcp_orphan_retries very low: a loss of a second then cuts answers that are on their \
             way"
            .to_owned(),
            "tcp_fin_timeout: it is for FIN_WAIT_2, not for LAST_ACK or FIN_WAIT_1".to_owned(),
        ],
    };
    found.push(Ranked { finding, size: number });
}

fn limit(view: &View<'_>, found: &mut Vec<Ranked>) {
    let orphans = view.now.orphans;
    if orphans.limit == 0 || (orphans.now as f64) < orphans.limit as f64 * view.thresholds.orphans {
        return;
    }
    let full = orphans.now >= orphans.limit;
    let killed = view.sample.grown("TcpExtTCPAbortOnMemory");
    let orphaned: Vec<&Socket> = view.now.sockets.iter().filter(|one| one.is_orphan()).collect();
    let finding = Finding {
        kind: FindingKind::OrphansLimit,
        severity: if full || killed > 0 { Severity::Critical } else { Severity::Warning },
        about: String::new(),
        headline: format!(
            "{} orphans: {} of tcp_max_orphans",
            count(orphans.now),
            share(orphans.now, orphans.limit)
        ),
        evidence: vec![
            format!(
                "{} connections without a program, tcp_max_orphans is {}",
                count(orphans.now),
                count(orphans.limit)
            ),
            format!("of those seen here: {}", listed(&states(&orphaned), 4)),
            format!("TCPAbortOnMemory grew by {}", count(killed)),
        ],
        cause: "programs close while much is unsent or peers do not answer. Beyond the limit the \
                kernel ends an orphan with RST at once (those of a silent peer from half of it \
                on), and what it had to send is lost"
            .to_owned(),
        program: vec![
            "wait for the end of the answer before close(), with a timeout of its own".to_owned(),
            "send no more to a peer that reads too slowly: bound what is queued".to_owned(),
        ],
        host: vec![view.sysctl(
            "ipv4.tcp_max_orphans",
            &orphans.limit.saturating_mul(2).to_string(),
            "room for more, each up to 64 KiB of memory that cannot be swapped",
        )],
        does_not_help: vec![
            "tcp_max_orphans lower: it cuts connections that would have ended well".into(),
        ],
    };
    found.push(Ranked { finding, size: orphans.now });
}

fn fin_wait_2(view: &View<'_>, found: &mut Vec<Ranked>) {
    let all: Vec<&Socket> =
        view.now.sockets.iter().filter(|one| one.state == State::FinWait2).collect();
    let number = all.len() as u64;
    if number < view.thresholds.fin_wait_2 || number == 0 {
        return;
    }
    let held: Vec<&&Socket> = all.iter().filter(|one| one.inode != 0).collect();
    let mostly_held = held.len() as u64 * 2 >= number;
    let peers = ranked(all.iter().map(|one| peer(view, one)));
    let about = peers.first().filter(|(_, most)| most * 2 > number).map(|(peer, _)| *peer);
    let timeout = view.now.knob("ipv4.tcp_fin_timeout").unwrap_or(60);
    let cause = if mostly_held {
        "programs here have shut down their sending side (shutdown(SHUT_WR)) and still hold the \
         socket; their peers have not closed. No timer ends this: tcp_fin_timeout is for sockets \
         without a program. The peers are in CLOSE_WAIT"
            .to_owned()
    } else {
        format!(
            "programs here have closed and their peers have acknowledged it, but do not close: \
             they are in CLOSE_WAIT. The kernel forgets these after tcp_fin_timeout, {timeout} s"
        )
    };
    let finding = Finding {
        kind: FindingKind::FinWait2Pile,
        severity: if mostly_held { Severity::Warning } else { Severity::Advice },
        about: about.map(|peer| peer.to_string()).unwrap_or_default(),
        headline: format!(
            "{} FIN_WAIT_2: {} not close",
            count(number),
            about.map_or_else(
                || format!("{} do", of(peers.len() as u64, "peer")),
                |peer| format!("{peer} does")
            )
        ),
        evidence: vec![
            format!(
                "{} held by a program, {} without one (they end after {timeout} s)",
                count(held.len() as u64),
                count(number - held.len() as u64)
            ),
            format!("peers: {}", listed(&peers, 5)),
        ],
        cause,
        program: vec![
            "look at the peer: it does not close what it has read to the end (its CLOSE_WAIT, \
             `fourwave doctor` there)"
                .to_owned(),
            "here: after shutdown(SHUT_WR), read to the end with a timeout, then close()"
                .to_owned(),
        ],
        host: Vec::new(),
        does_not_help: vec![
            "tcp_fin_timeout, for those that a program holds: it does not touch them".to_owned(),
        ],
    };
    found.push(Ranked { finding, size: number });
}
