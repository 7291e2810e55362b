//! Segments that are retransmitted.

use super::Ranked;
use super::view::{View, listed, peer};
use crate::words::{count, percent};
use crate::{Finding, FindingKind, Severity};

/// Below so many segments a share says nothing.
const LEAST_SEGMENTS: u64 = 1_000;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Ranked>) {
    // Linux's OutSegs are without those that carry only what was sent before.
    let again = view.sample.grown("TcpRetransSegs");
    let sent = view.sample.grown("TcpOutSegs") + again;
    let share = again as f64 / sent.max(1) as f64;
    if view.seconds().is_none() || sent < LEAST_SEGMENTS || share < view.thresholds.retransmissions
    {
        return;
    }
    let grown = |name: &str| view.sample.grown(&format!("TcpExt{name}"));
    let opening = grown("TCPSynRetrans");
    let timeouts = grown("TCPTimeouts");
    let mut evidence = vec![
        format!(
            "{} of {} segments were retransmitted {}: {}",
            count(again),
            count(sent),
            view.over(),
            percent(share)
        ),
        format!(
            "{} of them SYNs, {} after duplicate ACKs or SACK; {} timeouts, {} retransmitted in \
             vain (DSACK)",
            count(opening),
            count(grown("TCPFastRetrans")),
            count(timeouts),
            count(grown("TCPDSACKRecv")),
        ),
    ];
    let waiting = waiting(view);
    if !waiting.is_empty() {
        evidence.push(format!("waiting for an answer now: {}", listed(&waiting, 5)));
    }
    let cause = if opening * 2 > again {
        "most are SYNs: a destination does not answer, or drops connections when its queue is full"
    } else if grown("TCPDSACKRecv") * 2 > again {
        "most had arrived already (DSACK): packets are reordered or delayed on the way, not lost"
    } else if timeouts * 2 > again {
        "most come after a timeout: peers vanish, or whole flights are lost (a link that is down, \
         a policer, a path MTU that is smaller than it says)"
    } else {
        "packets are lost on the way: a full link or queue, a policer, a bad cable or radio"
    };
    let finding = Finding {
        kind: FindingKind::Retransmissions,
        severity: Severity::Warning,
        about: String::new(),
        headline: format!("{} of the segments sent are retransmissions", percent(share)),
        evidence,
        cause: cause.to_owned(),
        program: vec![
            "rarely the program: see which peers and which links they have in common".to_owned(),
        ],
        host: vec![
            view.command("ip -s link", "errors and drops of each interface"),
            view.command("tc -s qdisc", "drops and backlog of each queue"),
        ],
        does_not_help: vec![
            "larger buffers: they make a full queue longer, not the link faster".to_owned(),
            "tcp_retries2 lower: connections end sooner, not better".to_owned(),
        ],
    };
    found.push(Ranked { finding, size: again });
}

/// The peers that have not answered for a timeout or more.
fn waiting(view: &View<'_>) -> Vec<(super::view::Peer, u64)> {
    super::view::ranked(
        view.now
            .sockets
            .iter()
            .filter(|one| {
                one.timer.is_some_and(|timer| {
                    timer.kind == crate::TimerKind::Retransmit && timer.retransmits > 0
                })
            })
            .map(|one| peer(view, one)),
    )
}
