//! A SYN in LISTEN (RFC 9293 §3.10.7.2): it becomes a half-open record.

use fourwave_wire::Link;

use super::Segment;
use crate::config::Config;
use crate::conn::ecn::asked;
use crate::demux::FourTuple;
use crate::event::ListenerId;
use crate::half_open::HalfOpen;
use crate::negotiated::{agree, offer};
use crate::options::SynOptions;
use crate::state::{self, Input, State};
use crate::time::Instant;
use fourwave_wire::SeqNum;

/// What a listener answers a SYN with.
pub(crate) struct Reception<'a> {
    pub(crate) listener: ListenerId,
    pub(crate) deferred: bool,
    pub(crate) iss: SeqNum,
    pub(crate) config: &'a Config,
    pub(crate) link: &'a Link,
    pub(crate) syn: SynOptions,
}

/// The record of a SYN; text on it is not kept, the peer sends it again (RFC 9293 §3.10.7.2
/// allows both).
pub(crate) fn receive_syn(
    tuple: FourTuple,
    segment: &Segment<'_>,
    reception: &Reception<'_>,
    now: Instant,
) -> HalfOpen {
    debug_assert_eq!(state::next(State::Listen, Input::RecvSyn), Ok(State::SynReceived));
    let Reception { listener, deferred, iss, config, link, syn } = *reception;
    let ours = offer(config, link, tuple.is_ipv6(), &syn);
    let header = &segment.header;
    let ecn = asked(header, segment.ecn, config.tcp_ecn);
    let options = agree(config, &ours, tuple.is_ipv6(), &header.options).with_ecn(ecn, config);
    let ts_recent = header.options.timestamps.map_or(0, |ts| ts.value);
    let numbers = (iss, header.seq);
    let mut record = HalfOpen::new(tuple, listener, options, numbers, ts_recent, deferred, now);
    record.note_syn(segment.ecn);
    record.promise(syn.receive_buffer.map_or(config.tcp_rmem_default, u64::from));
    record
}
