//! What of a connection tells two states of a model apart.

use core::hash::{Hash, Hasher};

use super::send::SendSide;
use super::{Connection, TimestampState};
use crate::negotiated::Ecn;
use crate::time::{Instant, hash_timestamp};

impl Hash for Connection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            tuple,
            id,
            state: at,
            snd,
            rcv,
            options,
            // Its offset is the same for each pair of hosts, its age read after 24 days only.
            ts: TimestampState { offset: _, recent, recent_at: _ },
            sender,
            close_at,
            due,
            keepalive,
            tuning,
            far_end,
            setbacks,
            last_received_at,
            // Told when asked, and steers nothing.
            times: _,
            fast_open,
            handle,
            // Told in the end, and steers nothing.
            summary: _,
        } = self;
        (tuple, id, at, snd, rcv, options, fast_open).hash(state);
        if options.timestamps {
            hash_timestamp(*recent, state);
        }
        (sender, close_at, due, keepalive).hash(state);
        (options.ecn == Ecn::Classic && sender.owes_cwr()).hash(state);
        self.accecn().hash(state);
        if keepalive.is_some() {
            last_received_at.hash(state);
        }
        if tuning.as_ref().is_some_and(|tuning| !tuning.user_timeout.is_zero()) {
            sender.progress_at().hash(state);
        }
        let answered_at = setbacks.as_ref().map_or(Instant::NEVER, |s| s.invalid_answered_at);
        let icmp_error = setbacks.as_ref().and_then(|s| s.icmp_error);
        (tuning, far_end, answered_at, handle, icmp_error).hash(state);
    }
}

impl Hash for SendSide {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            queue,
            fin,
            fin_rides,
            iss,
            una,
            nxt,
            window,
            wl1,
            wl2,
            max_window,
            mss,
            scale,
            nodelay,
            cork,
            more,
            pushed,
            more_waits,
            small_end,
            marks,
            starved,
        } = self;
        (queue, fin, iss, una, nxt, window, wl1, wl2, max_window).hash(state);
        (mss, scale, nodelay, cork, more, pushed, more_waits, small_end).hash(state);
        (marks, starved, fin_rides).hash(state);
    }
}
