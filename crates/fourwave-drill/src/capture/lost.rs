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
    /// Our side sends it again, and the other says that it has it already (RFC 2883).
    Needless,
}

impl Why {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Unheard => "It never reached our side, which sends again what this acknowledges:",
            Self::Repeated => "It comes again below, before our side has acknowledged it:",
            Self::Copied => "A copy that the network made:",
            Self::Needless => {
                "Sent again for nothing, as the other side says; whether it is, is free:"
            }
        }
    }
}

/// What is left, and before which of that what was left out.
pub(super) type Sorted = (Vec<Seg>, BTreeMap<usize, Vec<(Why, Seg)>>);

/// Sorts out what the captured stack on the side of `ours` never got or sent.
pub(super) fn sort(all: &[Seg], ours: Role, sent: Numbers, got: Numbers) -> Sorted {
    let mut why: Vec<Option<Why>> = vec![None; all.len()];
    needless(all, ours, &mut why);
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

/// Data that our side sends again and the other one reports as a duplicate: probes, and timeouts
/// that an ACK crossed.
fn needless(all: &[Seg], ours: Role, why: &mut [Option<Why>]) {
    for (at, seg) in all.iter().enumerate().filter(|(_, seg)| seg.from != ours) {
        let first = seg.options.sack.as_slice().first();
        let Some((start, end)) = first.map(|(start, end)| (start.value(), end.value())) else {
            continue;
        };
        if beyond(end, seg.ack) {
            continue;
        }
        let is_it = |own: &Seg| {
            own.from == ours
                && own.len > 0
                && !own.has(SYN | FIN | RST)
                && !beyond(start, own.seq)
                && !beyond(own.seq.wrapping_add(own.len), end)
        };
        let again = all[..at].iter().rposition(is_it);
        if let Some(again) = again.filter(|again| all[..*again].iter().any(is_it)) {
            why[again] = Some(Why::Needless);
        }
    }
}

/// A bare ACK behind which our side sends again what it acknowledges.
fn unheard(all: &[Seg], ours: Role, sent: Numbers, why: &mut [Option<Why>]) {
    let (mut end, mut again) = (0, Vec::new());
    for (seg, why) in all.iter().zip(&*why) {
        let own = sent.script(seg.end(), false);
        let counts = seg.from == ours && !seg.is_bare() && !seg.has(RST) && why.is_none();
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
    let mut later: HashMap<(u32, u32, u16), usize> = HashMap::new();
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

#[cfg(test)]
mod tests {
    use fourwave_wire::SeqNum;
    use fourwave_wire::options::TcpOptions;

    use super::*;

    const NUMBERS: Numbers = Numbers { isn: Some(0), start: 0 };

    fn seg(at: u64, from: Role, flags: u16, seq: u32, ack: u32, len: u32) -> Seg {
        let at = Duration::from_micros(at);
        let options = TcpOptions::default();
        Seg { at, from, outgoing: None, flags, seq, ack, window: 9, urgent: 0, len, options }
    }

    /// What is left out of these, for the server's side.
    fn missed(all: &[Seg]) -> Vec<(usize, Why)> {
        let (left, out) = sort(all, Role::Server, NUMBERS, NUMBERS);
        let out: Vec<_> = out
            .into_iter()
            .flat_map(|(at, all)| all.into_iter().map(move |(why, _)| (at, why)))
            .collect();
        assert_eq!(left.len() + out.len(), all.len());
        out
    }

    #[test]
    fn what_comes_again_before_it_is_acknowledged_counts_the_second_time() {
        use Role::{Client, Server};
        let open = |again: &[Seg]| {
            let mut all = vec![seg(0, Client, SYN, 0, 0, 0)];
            all.extend_from_slice(again);
            all.push(seg(1_000_100, Server, SYN | ACK, 0, 1, 0));
            missed(&all)
        };
        assert_eq!(open(&[]), []);
        let again = seg(1_000_000, Client, SYN, 0, 0, 0);
        assert_eq!(open(std::slice::from_ref(&again)), [(0, Why::Repeated)]);
        // An answer to the first one: the second is a retransmission that got there too.
        assert_eq!(open(&[seg(50, Server, SYN | ACK, 0, 1, 0), again]), []);
    }

    #[test]
    fn probes_of_one_byte_are_all_played() {
        use Role::Client;
        let probe = |at| seg(at, Client, ACK, 100, 1, 1);
        assert_eq!(missed(&[probe(0), probe(500_000), probe(1_500_000)]), []);
        let data = |at| seg(at, Client, ACK, 100, 1, 50);
        assert_eq!(missed(&[data(0), data(500_000)]), [(0, Why::Repeated)]);
    }

    #[test]
    fn what_was_sent_again_for_nothing_is_left_out() {
        use Role::{Client, Server};
        let data = |at, seq| seg(at, Server, ACK, seq, 1, 10);
        let dsack = |block: (u32, u32), ack| {
            let mut seg = seg(900, Client, ACK, 1, ack, 0);
            assert!(seg.options.sack.push(SeqNum::new(block.0), SeqNum::new(block.1)));
            seg
        };
        let all = [data(0, 1), data(1, 11), data(800, 11), dsack((11, 21), 21)];
        assert_eq!(missed(&all), [(2, Why::Needless)]);
        // A SACK of what is ahead tells of no duplicate; nor is what was sent once one.
        assert_eq!(missed(&[data(0, 1), data(1, 11), data(800, 11), dsack((11, 21), 1)]), []);
        assert_eq!(missed(&[data(0, 1), data(1, 11), dsack((11, 21), 21)]), []);
    }

    #[test]
    fn an_ack_behind_which_its_fin_comes_again_was_not_heard() {
        use Role::{Client, Server};
        let fin = |at| seg(at, Server, FIN | ACK, 1, 1, 0);
        let ack = |at| seg(at, Client, ACK, 1, 2, 0);
        assert_eq!(missed(&[fin(0), ack(100), fin(200_000), ack(200_100)]), [(1, Why::Unheard)]);
        assert_eq!(missed(&[fin(0), fin(200_000), ack(200_100)]), []);
        // The last ACK of the handshake, and the SYN ACK again.
        let syn_ack = |at| seg(at, Server, SYN | ACK, 0, 1, 0);
        let third = |at| seg(at, Client, ACK, 1, 1, 0);
        let handshake = [syn_ack(0), third(100), syn_ack(1_000_000), third(1_000_100)];
        assert_eq!(missed(&handshake), [(1, Why::Unheard)]);
        // Twice at once: nobody's timer is so short.
        assert_eq!(missed(&[fin(0), fin(300), ack(400)]), [(1, Why::Copied)]);
    }
}
