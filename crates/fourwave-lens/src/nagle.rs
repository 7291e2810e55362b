//! Nagle meets delayed ACK: a small segment that waited at its sender for the ACK of the one
//! before (RFC 9293 §3.7.4), while the receiver kept that ACK back (RFC 9293 §3.8.6.3).
//!
//! Seen from outside: a segment that is not full; nothing from its receiver but, late, its bare
//! ACK; and the moment the ACK has reached the sender, the next segment, not full either. A
//! sender that ever had two small segments under way does not use Nagle's algorithm.

use std::time::Duration;

use crate::entry::Shown;
use crate::segment::Segment;
use crate::units::{often, span};
use crate::words::{Kind, Place, Role};

/// An ACK that took this much longer than the path does was kept back. Linux keeps ACKs for 40 ms
/// at least, others for 100 to 500 ms (RFC 9293 §3.8.6.3 allows up to 500 ms).
const KEPT_BACK: Duration = Duration::from_millis(20);
/// How soon behind the ACK, the way to the sender and back apart, what it set free follows.
const AT_ONCE: Duration = Duration::from_millis(1);
/// TCP's timestamps in every segment, padded (RFC 7323 appendix A).
const TIMESTAMPS: u64 = 12;
/// What may always be sent in one segment where nothing else is known (RFC 9293 §3.7.1).
const DEFAULT_MSS: u64 = 536;

/// Segments of one end that waited for delayed ACKs of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NagleWaits {
    /// How many.
    pub times: u64,
    /// How long they waited at most, all together.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

impl NagleWaits {
    /// `for the client's delayed ACKs 12 times, 492 ms in all (41 ms at most)`.
    pub(crate) fn sentence(&self, other: &str) -> String {
        let Self { times, total, longest } = *self;
        if times == 1 {
            // Something that came by chance just behind an ACK looks the same.
            return format!("for {other}'s delayed ACK once, most likely: {}", span(longest));
        }
        let (total, longest) = (span(total), span(longest));
        format!("for {other}'s delayed ACKs {}, {total} in all ({longest} at most)", often(times))
    }
}

/// What is remembered of one end as a sender.
#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    /// The largest segment that the other end takes, as it said in its SYN.
    limit: Option<u64>,
    /// The largest segment seen.
    largest: u64,
    /// The last small segment while it is not acknowledged: the number behind it, and when it
    /// was seen.
    small: Option<(u64, Duration)>,
    /// When a bare ACK of a small segment was seen, and how long that had taken.
    freed: Option<(Duration, Duration)>,
    /// The segment whose ACK is being timed.
    timed: Option<(u64, Duration)>,
    /// The shortest time from a segment to its ACK: the path beyond the point of watching.
    path: Option<Duration>,
    /// It had two small segments under way.
    sends_at_once: bool,
    waits: NagleWaits,
}

/// The two ends of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nagle([Sender; 2]);

impl Nagle {
    /// One segment by `from`, seen at `at`; how long it waited for a delayed ACK, if it did. O(1).
    pub(crate) fn segment(
        &mut self,
        at: Duration,
        from: Role,
        s: &Segment,
        shown: &Shown,
    ) -> Option<Duration> {
        if shown.place == Place::Outside || shown.flags.rst() {
            return None;
        }
        if let Some(mss) = shown.mss {
            self.0[from.other().index()].limit = Some(u64::from(mss));
        }
        if let Some(ack) = shown.ack {
            let bare = matches!(shown.kind, Kind::Ack | Kind::WindowUpdate);
            self.0[from.other().index()].acknowledged(at, ack, bare);
        }
        if s.seq_len() == 0 {
            return None;
        }
        let way_back = self.0[from.other().index()].path.unwrap_or_default();
        self.0[from.index()].sent(at, s, shown, way_back)
    }

    /// The client's waits and the server's.
    pub(crate) fn waits(&self) -> [NagleWaits; 2] {
        [self.0[0].waits, self.0[1].waits]
    }
}

impl Sender {
    fn acknowledged(&mut self, at: Duration, ack: u64, bare: bool) {
        if let Some((end, sent)) = self.timed
            && ack >= end
        {
            let took = at.saturating_sub(sent);
            self.path = Some(self.path.map_or(took, |path| path.min(took)));
            self.timed = None;
        }
        match self.small {
            Some((end, sent)) if ack >= end => {
                self.small = None;
                self.freed = bare.then(|| (at, at.saturating_sub(sent)));
            }
            // The receiver has said something of its own: that set it free, if anything did.
            _ if !bare => self.freed = None,
            _ => {}
        }
    }

    /// A segment that takes numbers; `way_back` is from the point of watching to this end and
    /// back.
    fn sent(
        &mut self,
        at: Duration,
        s: &Segment,
        shown: &Shown,
        way_back: Duration,
    ) -> Option<Duration> {
        let end = shown.seq + u64::from(s.seq_len());
        let freed = self.freed.take();
        if shown.place != Place::InOrder {
            // What was retransmitted is timed by nobody (Karn), and set free by a timer.
            (self.timed, self.small) = (None, None);
            return None;
        }
        self.timed.get_or_insert((end, at));
        self.largest = self.largest.max(u64::from(s.len) / u64::from(s.count));
        let small = shown.kind == Kind::Data && !self.is_full(s);
        if !small {
            return None;
        }
        self.sends_at_once |= self.small.is_some();
        self.small = Some((end, at));
        let (acked, took) = freed?;
        let waited = took.saturating_sub(self.path?);
        let followed = at.saturating_sub(acked) <= way_back + AT_ONCE;
        if self.sends_at_once || waited < KEPT_BACK || !followed {
            return None;
        }
        self.waits.times += 1;
        self.waits.total = self.waits.total.saturating_add(took);
        self.waits.longest = self.waits.longest.max(took);
        Some(took)
    }

    /// Whether the last segment in it is as large as can be.
    fn is_full(&self, s: &Segment) -> bool {
        let options = if s.tcp.options.timestamps.is_some() { TIMESTAMPS } else { 0 };
        let mss = match self.limit {
            Some(limit) => limit.saturating_sub(options).max(1),
            None => self.largest.max(DEFAULT_MSS - options),
        };
        u64::from(s.len).is_multiple_of(mss)
    }
}
