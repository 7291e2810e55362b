//! What two SYNs agree on: segment sizes, window scaling, timestamps, SACK, ECN.

use fourwave_wire::options::TcpOptions;
use fourwave_wire::{Link, WindowScale};

use crate::config::Config;
use crate::conn::accecn::LONGEST;
use crate::options::SynOptions;

/// What a peer may send when its SYN names no MSS (RFC 9293 §3.7.1).
const DEFAULT_MSS_V4: u16 = 536;
/// The same for IPv6 (RFC 9293 §3.7.1).
const DEFAULT_MSS_V6: u16 = 1220;
/// The smallest MSS that we announce, whatever the link says.
const MIN_MSS: u16 = 64;
/// Bytes of the timestamps option in each segment, padding included.
const TIMESTAMPS_LEN: u32 = 12;

/// How marks are fed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ecn {
    /// Not at all.
    None,
    /// RFC 3168.
    Classic,
    /// RFC 9768.
    Accurate,
}

/// The outcome of a handshake, or our offer before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Negotiated {
    /// Payload bytes of the segments that we send.
    pub(crate) snd_mss: u32,
    /// Payload bytes of the segments that we receive.
    pub(crate) rcv_mss: u32,
    /// The peer's shift; 0 without scaling.
    pub(crate) snd_scale: WindowScale,
    /// Our shift; 0 without scaling.
    pub(crate) rcv_scale: WindowScale,
    pub(crate) scaling: bool,
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
    /// ECN; in an offer, what a SYN asks for.
    pub(crate) ecn: Ecn,
    /// Whether new text goes out as ECN-capable: not where a SYN of ours did not ask (RFC 3168
    /// §6.1.1).
    pub(crate) ect: bool,
    /// Bytes of each segment that are kept free for AccECN's option.
    pub(crate) kept: u8,
}

impl Negotiated {
    /// With ECN or without, of which flags tell and no options. As in Linux, segments leave room
    /// for AccECN's option where it goes out whenever there is something to tell.
    pub(crate) fn with_ecn(self, ecn: Ecn, config: &Config) -> Self {
        let keeps = ecn == Ecn::Accurate && config.tcp_ecn_option == 2;
        let kept = if keeps { LONGEST } else { 0 };
        let snd_mss = self.snd_mss.saturating_sub(kept).max(1);
        // A client that has entered AccECN may, whatever else it sent before (RFC 9768 §3.1.4.1).
        let ect = ecn == Ecn::Accurate || (self.ect && ecn == Ecn::Classic);
        Self { ecn, ect, snd_mss, kept: kept as u8, ..self }
    }
}

/// The MSS that we announce: what the link carries without IP and TCP options (RFC 6691).
pub(crate) fn our_mss(link: &Link, ipv6: bool) -> u16 {
    link.mtu.saturating_sub(if ipv6 { 60 } else { 40 }).max(MIN_MSS)
}

/// The largest segment that TCP_MAXSEG allows; 0 stands for no limit of its own.
pub(crate) fn largest(max_seg: u16) -> u16 {
    if max_seg == 0 { u16::MAX } else { max_seg }
}

/// The largest window must fit: that of a buffer which was set does not grow.
fn our_scale(config: &Config, syn: &SynOptions) -> WindowScale {
    let largest = config.tcp_rmem_max.min(u64::from(u32::MAX)) as u32;
    WindowScale::for_window(syn.receive_buffer.unwrap_or(largest))
}

/// The options of a SYN that opens.
pub(crate) fn offer(config: &Config, link: &Link, ipv6: bool, syn: &SynOptions) -> Negotiated {
    let mss = u32::from(our_mss(link, ipv6));
    let scaling = config.tcp_window_scaling == 1;
    Negotiated {
        snd_mss: mss,
        rcv_mss: mss,
        snd_scale: WindowScale::default(),
        rcv_scale: if scaling { our_scale(config, syn) } else { WindowScale::default() },
        scaling,
        timestamps: config.tcp_timestamps == 1,
        sack: config.tcp_sack == 1,
        ecn: match config.tcp_ecn {
            1 | 4 => Ecn::Classic,
            3 => Ecn::Accurate,
            _ => Ecn::None,
        },
        ect: true,
        kept: 0,
    }
}

/// What holds once both SYNs are known, ECN apart: `ours` is what we offered or will offer. Less
/// than `tcp_min_snd_mss` would be a way to make us send tiny segments.
pub(crate) fn agree(
    config: &Config,
    ours: &Negotiated,
    ipv6: bool,
    theirs: &TcpOptions,
) -> Negotiated {
    let default = if ipv6 { DEFAULT_MSS_V6 } else { DEFAULT_MSS_V4 };
    let timestamps = ours.timestamps && theirs.timestamps.is_some();
    let taken = if timestamps { TIMESTAMPS_LEN } else { 0 };
    let least = config.tcp_min_snd_mss as u32;
    let mss = u32::from(theirs.mss.unwrap_or(default)).max(least).min(ours.snd_mss);
    let (scaling, snd_scale, rcv_scale) = match theirs.window_scale {
        Some(scale) if ours.scaling => (true, scale, ours.rcv_scale),
        _ => (false, WindowScale::default(), WindowScale::default()),
    };
    Negotiated {
        snd_mss: mss.saturating_sub(taken).max(1),
        rcv_mss: ours.rcv_mss.saturating_sub(taken).max(1),
        snd_scale,
        rcv_scale,
        scaling,
        timestamps,
        sack: ours.sack && theirs.sack_permitted,
        ecn: Ecn::None,
        ect: ours.ect,
        kept: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: SynOptions = SynOptions { receive_buffer: None, max_seg: 0 };
    use fourwave_wire::options::Timestamps;

    #[test]
    fn rfc9293_3_7_1_the_smaller_mss_and_a_default() {
        let (config, link) = (Config::default(), Link::plain(1500));
        let none = TcpOptions::default();
        assert_eq!(agree(&config, &offer(&config, &link, false, &SYN), false, &none).snd_mss, 536);
        assert_eq!(agree(&config, &offer(&config, &link, true, &SYN), true, &none).snd_mss, 1220);
        let theirs = TcpOptions { mss: Some(9000), ..none };
        assert_eq!(
            agree(&config, &offer(&config, &link, false, &SYN), false, &theirs).snd_mss,
            1460
        );
        let theirs = TcpOptions { mss: Some(1), ..none };
        assert_eq!(agree(&config, &offer(&config, &link, false, &SYN), false, &theirs).snd_mss, 48);
    }

    #[test]
    fn rfc7323_2_2_and_3_2_both_sides_must_offer() {
        let (mut config, link) = (Config::default(), Link::plain(1500));
        let theirs = TcpOptions {
            mss: Some(1460),
            window_scale: Some(WindowScale::new(9)),
            timestamps: Some(Timestamps { value: 1, echo: 0 }),
            ..TcpOptions::default()
        };
        let both = agree(&config, &offer(&config, &link, false, &SYN), false, &theirs);
        assert_eq!((both.snd_scale.shift(), both.rcv_scale.shift()), (9, 7));
        assert_eq!((both.timestamps, both.snd_mss), (true, 1448));
        let plain = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
        let none = agree(&config, &offer(&config, &link, false, &SYN), false, &plain);
        assert_eq!((none.scaling, none.timestamps, none.rcv_scale.shift()), (false, false, 0));
        config.tcp_window_scaling = 0;
        config.tcp_timestamps = 0;
        let none = agree(&config, &offer(&config, &link, false, &SYN), false, &theirs);
        assert_eq!((none.scaling, none.timestamps, none.snd_scale.shift()), (false, false, 0));
    }
}
