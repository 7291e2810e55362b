//! Segments that are known to be lost: where a simulated network or a fault injector says so.

use std::time::Duration;

use crate::conn::Conn;
use crate::entry::{EntryKind, LadderEntry};
use crate::event::Outbox;
use crate::segment::Segment;
use crate::words::{LOST, Role, Wave};

impl Conn {
    /// A segment by `from` that never arrives: it tells of its sender and moves only that.
    pub(crate) fn lost_segment(&mut self, at: Duration, from: Role, s: &Segment, out: &mut Outbox) {
        self.last_seen = at;
        let stood = self.stand();
        self.deliver_crossing(at, out);
        // The collector learns that it is lost.
        let collector = self.collector.take();
        let before = self.clone();
        self.collector = collector;
        let shown = self.look(from, s);
        let mut entry = LadderEntry::new(at, from, EntryKind::Segment(shown));
        if s.tcp.flags.rst() {
            self.on_rst(at, from, s, &mut entry);
        } else {
            self.on_others(at, from, s, &mut entry);
        }
        self.count(at, from, s, &shown);
        self.measure(out.packet, s, (&shown, &entry), stood, true);
        // What the ACK in it says was said, and not heard.
        entry.wave = match entry.wave {
            Some(Wave::TwoThree) => Some(Wave::Three),
            wave => wave.filter(|wave| wave.closes().is_none()),
        };
        entry.annotation = Some(LOST);
        self.last_from = Some(from);
        self.not_arrived(from, before);
        self.ends[from.index()].loses(s);
        self.finish_entry(entry, out);
        self.note_over(at);
    }

    /// The receiver is as it was before.
    fn not_arrived(&mut self, from: Role, before: Self) {
        let (from, to) = (from.index(), from.other().index());
        self.fin_lost[from] = self.ends[from].fin.is_some() && !before.fin_arrived[from];
        self.fin_arrived[from] = before.fin_arrived[from];
        self.fin_acked[to] = before.fin_acked[to];
        self.time_wait[to] = before.time_wait[to];
        self.handshake = before.handshake;
        self.last_data = before.last_data;
        self.challenge_due[to] = before.challenge_due[to];
        self.how = before.how;
        self.over_at = before.over_at;
        let [client, server] = before.ends;
        self.ends[to] = if to == 0 { client } else { server };
    }
}
