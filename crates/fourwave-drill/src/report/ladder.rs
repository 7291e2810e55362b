//! The packets of a script as the lens draws them.

use std::net::IpAddr;
use std::time::Duration;

use fourwave_lens::ladder::{LadderOptions, render};
use fourwave_lens::{Lens, LensOptions, Name, Names, Shown};

use crate::ast::{FlagSpec, OptionsSpec, SeqSpec, TcpSpec};
use crate::run::Report;

/// Up to where a ladder goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Everything that passed.
    Nowhere,
    /// What passed until then, since the script began.
    At(Duration),
}

/// Draws each connection of a run, one below the other; empty when no packet passed. `local` is
/// the address of the stack under test, which the titles name.
pub fn ladder(report: &Report, local: IpAddr, cut: Cut, options: &LadderOptions) -> String {
    let until = match cut {
        Cut::Nowhere => Duration::MAX,
        Cut::At(at) => at,
    };
    // A script is short: all of it is shown.
    let kept = LensOptions { first_entries: 1000, last_entries: 1000, ..LensOptions::default() };
    let mut lens = Lens::new(kept);
    let mut last = Duration::ZERO;
    for packet in report.packets.iter().filter(|packet| packet.at <= until) {
        let _which = lens.observe(packet.at, &packet.packet, packet.packet.len(), 0);
        last = packet.at;
    }
    lens.finish(last);
    let options =
        LadderOptions { names: names(local), notation: Some(notation), ..options.clone() };
    let mut out = String::new();
    while let Some(story) = lens.poll_record() {
        out.push_str(&render(&story, &options));
    }
    out
}

/// A segment as a script would write it, its options left out.
fn notation(shown: &Shown) -> String {
    let (start, len) = (shown.seq as u32, shown.len as u32);
    let spec = TcpSpec {
        ports: None,
        encapsulation: None,
        flags: FlagSpec { bits: shown.flags.word(), ace: None },
        seq: SeqSpec::Range { start, end: start.wrapping_add(len), len, absolute: false },
        ack: shown.ack.map(|ack| ack as u32),
        window: None,
        urgent: None,
        options: OptionsSpec::None,
    };
    spec.to_string()
}

fn names(local: IpAddr) -> Names {
    let name = Name { title: "under test {}".to_owned(), word: "the stack under test".to_owned() };
    Names { hosts: vec![(local, name)], other_title: "script {}".to_owned() }
}
