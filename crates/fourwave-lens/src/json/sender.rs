//! What an engine says of its sender.

use serde::Serialize;

use super::{Out, t};
use crate::event::{Sender, SenderSeen};

#[derive(Serialize)]
pub(super) struct SenderFields {
    state: &'static str,
    congestion: &'static str,
    cwnd: u64,
    ssthresh: Option<u64>,
    in_flight: u64,
    lost: u64,
    peer_window: u64,
    rtt: f64,
    rttvar: f64,
    min_rtt: f64,
    rto: f64,
    pacing_rate: Option<u64>,
    retransmitted: u64,
}

pub(super) fn line(seen: &SenderSeen) -> Out<'static> {
    let SenderSeen { conn, at, end, sender } = seen;
    let Sender { state, congestion, cwnd, ssthresh, in_flight, lost, peer_window, .. } = *sender;
    let sender = SenderFields {
        state,
        congestion,
        cwnd,
        ssthresh,
        in_flight,
        lost,
        peer_window,
        rtt: t(sender.rtt),
        rttvar: t(sender.rttvar),
        min_rtt: t(sender.min_rtt),
        rto: t(sender.rto),
        pacing_rate: sender.pacing_rate,
        retransmitted: sender.retransmitted,
    };
    Out::Sender { conn: *conn, t: t(*at), end: end.name(), sender }
}
