//! Comments in a capture file: for the packet that ended a connection, and what an engine says of
//! its sender.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::event::Sender;

use crate::names::Names;
use crate::record::ConnectionRecord;
use crate::units::{bytes, seconds, span};

/// One line about how the connection of `record` ended: who closed first, why, who holds
/// TIME_WAIT. Times count from the connection's first segment.
pub fn packet(record: &ConnectionRecord, names: &Names) -> String {
    let [up, down] = record.bytes.map(bytes);
    format!(
        "fourwave: end of connection {}: {}; {up} from the client, {down} from the server",
        record.conn,
        ending(record, names)
    )
}

/// Who closed first, why, who holds TIME_WAIT, in one line.
pub(crate) fn ending(record: &ConnectionRecord, names: &Names) -> String {
    let word = |who| names.word(who, record.addr(who));
    let mut out = String::new();
    if let Some(first) = record.closed_first_reported() {
        out.push_str(&format!("{} closed first, with {}; ", word(first.who), first.by.name()));
    }
    out.push_str(&record.why(names));
    for wait in &record.time_wait {
        let until = seconds(wait.until.saturating_sub(record.opened));
        let lasts = span(wait.until.saturating_sub(wait.since));
        out.push_str(&format!("; {} holds TIME_WAIT until {until} ({lasts})", word(wait.who)));
    }
    out
}

/// What every comment about a sender begins with.
const SENDER: &str = "fourwave: sender ";
/// What it is about itself, as its words may be.
const STATES: [&str; 5] = ["open", "disorder", "cwr", "recovery", "loss"];
const ALGORITHMS: [&str; 3] = ["cubic", "reno", "bbr"];

/// What the engine at `ends.0` says of its sender, in one line. Bytes, and microseconds.
pub fn sender(ends: (SocketAddr, SocketAddr), sender: &Sender) -> String {
    let Sender { state, congestion, cwnd, in_flight, lost, peer_window, retransmitted, .. } =
        sender;
    let (local, remote) = ends;
    let mut out = format!(
        "{SENDER}{local} to {remote}: {state} {congestion} cwnd={cwnd} in_flight={in_flight} \
         lost={lost} peer_window={peer_window} retransmitted={retransmitted}"
    );
    let Sender { rtt, rttvar, min_rtt, rto, .. } = sender;
    let times = [("rtt", rtt), ("rttvar", rttvar), ("min_rtt", min_rtt), ("rto", rto)];
    let times = times.map(|(name, time)| (name, u64::try_from(time.as_micros()).ok()));
    let rates = [("ssthresh", sender.ssthresh), ("pacing_rate", sender.pacing_rate)];
    for (name, value) in times.into_iter().chain(rates) {
        if let Some(value) = value {
            // A String takes all.
            let _ = write!(out, " {name}={value}");
        }
    }
    out
}

/// The ends and the sender of a comment that [`sender`] made; `None` of any other.
pub fn as_sender(text: &str) -> Option<((SocketAddr, SocketAddr), Sender)> {
    let (ends, rest) = text.strip_prefix(SENDER)?.split_once(": ")?;
    let (local, remote) = ends.split_once(" to ")?;
    let mut words = rest.split(' ');
    let mut one_of = |known: &[&'static str]| {
        let word = words.next()?;
        Some(known.iter().copied().find(|known| *known == word))
    };
    let state = one_of(&STATES)??;
    // Somebody's own algorithm has a name that is not known here.
    let congestion = one_of(&ALGORITHMS)?.unwrap_or("other");
    let mut sender = Sender { state, congestion, ..Sender::default() };
    for word in words {
        let (name, value) = word.split_once('=')?;
        let value: u64 = value.parse().ok()?;
        let time = Duration::from_micros(value);
        match name {
            "cwnd" => sender.cwnd = value,
            "ssthresh" => sender.ssthresh = Some(value),
            "in_flight" => sender.in_flight = value,
            "lost" => sender.lost = value,
            "peer_window" => sender.peer_window = value,
            "retransmitted" => sender.retransmitted = value,
            "pacing_rate" => sender.pacing_rate = Some(value),
            "rtt" => sender.rtt = time,
            "rttvar" => sender.rttvar = time,
            "min_rtt" => sender.min_rtt = time,
            "rto" => sender.rto = time,
            // A later version may say more.
            _ => {}
        }
    }
    Some(((local.parse().ok()?, remote.parse().ok()?), sender))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_comes_back_as_it_was_written() {
        let ends = ("10.4.0.1:80".parse().unwrap(), "[fd04::100]:51196".parse().unwrap());
        let full = Sender {
            state: "recovery",
            congestion: "bbr",
            cwnd: u64::MAX,
            ssthresh: Some(14_480),
            in_flight: 2896,
            lost: 1448,
            peer_window: 65_535,
            rtt: Duration::from_micros(10_001),
            rttvar: Duration::from_micros(7),
            min_rtt: Duration::from_micros(9999),
            rto: Duration::from_millis(212),
            pacing_rate: Some(1_000_000),
            retransmitted: 3,
        };
        let bare = Sender { state: "open", congestion: "reno", ..Sender::default() };
        for one in [full, bare] {
            let text = sender(ends, &one);
            assert_eq!(as_sender(&text), Some((ends, one)), "{text}");
        }
        let own = Sender { congestion: "mine", ..full };
        let read = as_sender(&sender(ends, &own)).unwrap().1;
        assert_eq!(read, Sender { congestion: "other", ..full });
    }

    #[test]
    fn any_other_text_is_none() {
        let good = "fourwave: sender 10.4.0.1:80 to 10.4.0.2:9: open cubic cwnd=1";
        assert!(as_sender(good).is_some());
        for end in 0..good.len() - "cwnd=1".len() - " cubic".len() {
            assert_eq!(as_sender(&good[..end]), None, "{}", &good[..end]);
        }
        for (from, to) in [("cwnd=1", "cwnd=-1"), ("cwnd=1", "cwnd"), ("open", "shut"), (":80", "")]
        {
            assert_eq!(as_sender(&good.replace(from, to)), None, "{to}");
        }
    }
}
