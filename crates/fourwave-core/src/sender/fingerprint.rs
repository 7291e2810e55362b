//! What of a sender tells two states of a model apart.

use core::hash::{Hash, Hasher};

use super::Sender;
use super::rto::RtoTimer;
use super::rtt::RttSampler;

impl Hash for Sender {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            rtt,
            sampler,
            rto,
            recovery,
            mtu,
            // The connection hashes it, where the peer is to be told.
            owes_cwr: _,
            // A model sends too little to fill a congestion window.
            congestion: _,
            usage: _,
            last_sent_at: _,
        } = self;
        (rtt, sampler, rto, recovery, mtu).hash(state);
    }
}

impl Hash for RtoTimer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Read with `TCP_USER_TIMEOUT` only: the connection hashes it then.
        let Self { deadline, progress_at: _, timeouts, backoff, lost_syn } = self;
        (deadline, timeouts, backoff, lost_syn).hash(state);
    }
}

impl Hash for RttSampler {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // SND.UNA then tells a rate, which steers nothing.
        let Self { end, una: _, started } = self;
        (end, started).hash(state);
    }
}
