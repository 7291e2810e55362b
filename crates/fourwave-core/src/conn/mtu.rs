//! How large segments are: what routers say (RFC 1191, RFC 8201), and what probes find out
//! (RFC 4821, `sender/mtu.rs`).

use super::{Connection, Ctx};
use crate::config::Config;
use crate::negotiated;
use crate::sender::{MtuKnobs, MtuStep, Supply};
use crate::state::State;
use crate::time::Duration;

/// A router that says less is not believed, as in Linux: every path carries so much (`min_pmtu`).
const SMALLEST_V4: u32 = 552;
/// The same for IPv6, where less is no answer at all (RFC 8200 §5, RFC 8201 §4).
const SMALLEST_V6: u32 = 1280;

impl Connection {
    /// A link on the way carries no more than `mtu` bytes (RFC 1191, RFC 8201): smaller segments
    /// from now on, and what is in flight again. Never larger ones, and none absurdly small.
    /// Whether the message was believed.
    pub(crate) fn path_mtu(&mut self, mtu: u32, config: &Config) -> bool {
        let v6 = self.tuple.is_ipv6();
        if v6 && mtu < SMALLEST_V6 {
            return false;
        }
        let stamps = if self.options.timestamps { 12 } else { 0 };
        let options = stamps + u32::from(self.options.kept);
        let ip_and_tcp = if v6 { 60 } else { 40 };
        let least = config.tcp_min_snd_mss as u32;
        let mss = (mtu.max(SMALLEST_V4) - ip_and_tcp).max(least).saturating_sub(options).max(1);
        let on_syn = self.fast_open.as_ref().is_some_and(|part| part.text > 0);
        if self.state == State::SynSent && on_syn && mss < self.snd.mss {
            // The text on our SYN made it too large: at once without it.
            self.tuning.get_or_insert_default().max_seg = mss as u16;
            self.snd.mss = mss;
            self.due.syn = true;
        }
        if self.snd.syn_acknowledged() {
            self.sender.on_mtu_told(mss, self.flight());
            if mss < self.snd.mss {
                self.set_mss(mss);
                self.sender.on_path_mtu(self.flight());
            }
        }
        true
    }

    /// Segments have another size from now on.
    fn set_mss(&mut self, mss: u32) {
        self.sender.on_new_mss(self.flight());
        self.snd.mss = mss;
    }

    /// The largest segment that both ends, and our application, agreed on.
    fn largest_segment(&self) -> u32 {
        self.options.snd_mss.min(negotiated::largest(self.tuning().max_seg).into())
    }

    /// The path is to be probed from the start: segments begin small.
    pub(super) fn search_mtu_from_start(&mut self, config: &Config) {
        if config.tcp_mtu_probing == 2 {
            let (most, now) = (self.snd.mss, self.sender.last_sent_at());
            self.snd.mss = self.sender.search_mtu(now, most, &config.mtu_knobs());
        }
    }

    /// What the search for the path's MTU wants now.
    pub(super) fn mtu_step(&mut self, unsent: u32, ctx: &Ctx<'_>) -> MtuStep {
        let supply = Supply {
            unsent,
            record: self.snd.record_room(self.snd.nxt),
            window: self.snd.window,
            window_room: self.snd.window_room(),
        };
        let flight = self.flight();
        self.sender.mtu_step(ctx.now, flight, &supply, || ctx.config.mtu_knobs())
    }

    /// SND.UNA has moved: a probe may have arrived, and segments are as large from now on. The
    /// congestion window, which counts bytes, stays: fewer segments fill it (RFC 4821 §7.6.1).
    pub(super) fn mtu_answered(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(size) = self.sender.on_mtu_ack(self.snd.una) {
            ctx.counters.mtup_success += 1;
            self.set_mss(size.min(self.largest_segment()).max(self.snd.mss));
        }
    }

    /// A retransmission timeout after `tcp_retries1` of them in a row: perhaps segments as large as
    /// ours vanish on the way, and no router says so (RFC 2923 §2.1, RFC 4821 §7.7).
    pub(super) fn suspect_black_hole(&mut self, ctx: &Ctx<'_>) {
        let is_late = u64::from(self.sender.timeouts()) >= ctx.config.tcp_retries1;
        if ctx.config.tcp_mtu_probing == 0 || !is_late || !self.snd.syn_acknowledged() {
            return;
        }
        let (knobs, most) = (ctx.config.mtu_knobs(), self.largest_segment());
        let mss = self.sender.on_black_hole(ctx.now, self.snd.mss, most, &knobs);
        if mss < self.snd.mss {
            self.set_mss(mss);
        }
    }
}

impl Config {
    fn mtu_knobs(&self) -> MtuKnobs {
        MtuKnobs {
            base: self.tcp_base_mss as u32,
            floor: self.tcp_mtu_probe_floor.max(self.tcp_min_snd_mss) as u32,
            threshold: self.tcp_probe_threshold as u32,
            interval: Duration::from_secs(self.tcp_probe_interval),
        }
    }
}
