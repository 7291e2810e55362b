//! Packets that passed where the capture was made, and that the captured stack never got or sent.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use fourwave_lens::Role;

use super::packet::{ACK, FIN, Numbers, RST, SYN, Seg, beyond};

/// No timer of a stack is shorter.
const COPY: Duration = Duration::from_millis(1);

/// Why a packet is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Our side sends again what this acknowledges.
    Unheard,
    /// It comes again before our side has acknowledged it: the second one counts.
    Repeated,
    /// The same SYN or FIN of our side twice at once: the network's copy.
    Copied,
}

impl Why {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Unheard => "It never reached our side, which sends again what this acknowledges:",
            Self::Repeated => "It comes again below, before our side has acknowledged it:",
            Self::Copied => "A copy that the network made:",
        }
    }
}

/// What is left, and before which of that what was left out.
pub(super) type Sorted = (Vec<Seg>, BTreeMap<usize, Vec<(Why, Seg)>>);

/// Sorts out what the captured stack on the side of `ours` never got or sent.
pub(super) fn sort(all: &[Seg], ours: Role, sent: Numbers, got: Numbers) -> Sorted {
    let mut why: Vec<Option<Why>> = vec![None; all.len()];
    unheard(all, ours, sent, &mut why);
    repeated(all, ours, got, &mut why);
    copied(all, ours, &mut why);
    let (mut left, mut out) = (Vec::new(), BTreeMap::<usize, Vec<_>>::new());
    for (seg, why) in all.iter().zip(why) {
        match why {
            Some(why) => out.entry(left.len()).or_default().push((why, seg.clone())),
            None => left.push(seg.clone()),
        }
    }
    (left, out)
}

/// A bare ACK behind which our side sends again what it acknowledges.
fn unheard(all: &[Seg], ours: Role, sent: Numbers, why: &mut [Option<Why>]) {
    let (mut end, mut again) = (1, Vec::new());
    for seg in all {
        let own = sent.script(seg.end(), false);
        let counts = seg.from == ours && !seg.is_bare() && !seg.has(SYN | RST);
        let is_new = beyond(own, end);
        let is_probe = seg.len == 1 && !seg.has(FIN) && own == end;
        again.push((counts && !is_new && !is_probe).then_some(own));
        end = if counts && is_new { own } else { end };
    }
    // The least of what is sent again later on.
    let mut least: Option<u32> = None;
    for (at, seg) in all.iter().enumerate().rev() {
        let bare = seg.from != ours && seg.is_bare() && seg.has(ACK);
        let ack = sent.script(seg.ack, false);
        if bare && least.is_some_and(|least| !beyond(least, ack)) {
            why[at] = Some(Why::Unheard);
        }
        least = match (least, again[at]) {
            (Some(least), Some(own)) if beyond(own, least) => Some(least),
            (least, own) => own.or(least),
        };
    }
}

/// What the other side sends again before an ACK of it.
fn repeated(all: &[Seg], ours: Role, got: Numbers, why: &mut [Option<Why>]) {
    let mut acked = Vec::new();
    let mut most: Option<u32> = None;
    for seg in all {
        acked.push(most);
        let ack = got.script(seg.ack, false);
        if seg.from == ours && seg.has(ACK) && most.is_none_or(|most| beyond(ack, most)) {
            most = Some(ack);
        }
    }
    let mut later: HashMap<(u32, u32, u8), usize> = HashMap::new();
    for (at, seg) in all.iter().enumerate().rev() {
        // One byte may be a probe of a closed window.
        let counts = seg.len > 1 || seg.has(SYN | FIN);
        if seg.from == ours || !counts || seg.has(RST) {
            continue;
        }
        let key = (seg.seq, seg.len, seg.flags & (SYN | FIN));
        let end = got.script(seg.end(), false);
        let again = later.insert(key, at);
        if again.is_some_and(|again| acked[again].is_none_or(|acked| beyond(end, acked))) {
            why[at] = Some(Why::Repeated);
        }
    }
}

fn copied(all: &[Seg], ours: Role, why: &mut [Option<Why>]) {
    let mut last: Option<&Seg> = None;
    for (at, seg) in all.iter().enumerate().filter(|(_, seg)| seg.from == ours) {
        if !seg.has(SYN | FIN) {
            continue;
        }
        let same = |last: &Seg| {
            let what = |seg: &Seg| (seg.seq, seg.len, seg.flags, seg.ack, seg.options.timestamps);
            what(last) == what(seg) && seg.at.saturating_sub(last.at) < COPY
        };
        if last.is_some_and(same) {
            why[at] = Some(Why::Copied);
        }
        last = Some(seg);
    }
}
