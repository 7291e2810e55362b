//! What of a connection tells two states of a model apart.

use core::hash::{Hash, Hasher};

use super::Connection;
use super::send::SendSide;
use crate::fingerprint::timestamp;

impl Hash for Connection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            tuple,
            id,
            listener,
            state: at,
            snd,
            rcv,
            options,
            // The same for each pair of hosts.
            ts_offset: _,
            ts_recent,
            // Read after 24 days only.
            ts_recent_at: _,
            rtt,
            stopwatch,
            recovery,
            // A model sends too little to fill a congestion window.
            congestion: _,
            window_use: _,
            last_sent_at: _,
            deadlines,
            due,
            retries,
            keepalive,
            tuning,
            far_end,
            invalid_answered_at,
            last_received_at,
            fast_open,
            signals,
            signalled,
            queued,
            orphan,
            ended,
            icmp_error,
            // Told in the end, and steers nothing.
            story: _,
        } = self;
        (tuple, id, listener, at, snd, rcv, options, fast_open).hash(state);
        if options.timestamps {
            timestamp(*ts_recent, state);
        }
        (rtt, stopwatch, recovery, deadlines, due, retries, keepalive).hash(state);
        if keepalive.is_some() {
            last_received_at.hash(state);
        }
        if tuning.as_ref().is_some_and(|tuning| !tuning.user_timeout.is_zero()) {
            snd.progress_at.hash(state);
        }
        (tuning, far_end, invalid_answered_at).hash(state);
        (signals, signalled, queued, orphan, ended, icmp_error).hash(state);
    }
}

impl Hash for SendSide {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            queue,
            fin,
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
            more_waits,
            small_end,
            records,
            starved,
            // Read with `TCP_USER_TIMEOUT` only: hashed there.
            progress_at: _,
        } = self;
        (queue, fin, iss, una, nxt, window, wl1, wl2, max_window).hash(state);
        (mss, scale, nodelay, cork, more, more_waits, small_end, records, starved).hash(state);
    }
}
