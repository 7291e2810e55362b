//! What a segment is for.

use crate::segment::Segment;
use crate::tracker::SequenceTracker;
use crate::words::Kind;

/// What a segment by `x` to `y` is for, judged before its numbers are remembered.
pub(crate) fn kind_of(
    s: &Segment,
    x: &SequenceTracker,
    y: &SequenceTracker,
    challenge_due: bool,
) -> Kind {
    let flags = s.tcp.flags;
    if flags.rst() {
        return Kind::Rst;
    }
    if flags.syn() {
        return if flags.ack() { Kind::SynAck } else { Kind::Syn };
    }
    if flags.fin() {
        return Kind::Fin;
    }
    let all_acked = x.next().is_some_and(|next| y.ack.is_some_and(|ack| ack.at_or_after(next)));
    let one_back = x.next().is_some_and(|next| s.tcp.seq + 1 == next);
    if s.len <= 1 && one_back && all_acked && x.state.is_synchronized() {
        return if y.window == 0 { Kind::WindowProbe } else { Kind::Keepalive };
    }
    if s.len > 0 {
        let probes = s.len == 1 && y.window == 0 && y.ack.is_some();
        return if probes { Kind::WindowProbe } else { Kind::Data };
    }
    if !s.is_pure_ack() {
        return Kind::Ack;
    }
    if challenge_due {
        return Kind::ChallengeAck;
    }
    let window = x.window_of(s, y);
    if window == 0 && x.window != 0 {
        return Kind::ZeroWindow;
    }
    if x.ack != Some(s.tcp.ack) {
        return Kind::Ack;
    }
    match () {
        () if window != x.window && y.probes_unanswered == 0 => Kind::WindowUpdate,
        () if y.probes_unanswered > 0 => Kind::ProbeAnswer,
        () if y.next().is_some_and(|next| next.after(s.tcp.ack)) => Kind::DupAck,
        () => Kind::Ack,
    }
}
