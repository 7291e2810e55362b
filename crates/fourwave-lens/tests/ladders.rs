//! Ladders as they print, one snapshot for each kind of life.

mod common;

use common::*;
use fourwave_lens::{follow, ladder, ladder::LadderOptions};

#[test]
fn every_kind_of_life_has_its_ladder() {
    for (name, mut wire) in all() {
        let drawn = wire.ladder();
        for line in drawn.lines() {
            let width = line.chars().count();
            assert!(width <= 100, "{name}: {width} columns: {line}");
        }
        insta::assert_snapshot!(name, drawn);
    }
}

#[test]
fn narrow_and_in_ascii() {
    for (name, mut wire) in all() {
        let record = wire.record();
        let options = LadderOptions { width: 10, ascii: true, ..wire.options() };
        let drawn = ladder::render(&record, &options);
        assert!(drawn.is_ascii(), "{name}: {drawn}");
        for line in drawn.lines() {
            assert!(line.len() <= ladder::MIN_WIDTH, "{name}: {} columns: {line}", line.len());
        }
        if name == "half_close" {
            insta::assert_snapshot!("half_close_72_ascii", drawn);
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    for (name, mut wire) in all() {
        let record = wire.record();
        let plain = ladder::render(&record, &wire.options());
        let options = LadderOptions { color: true, ..wire.options() };
        let mut colored = ladder::render(&record, &options);
        assert!(colored.contains("\x1b["), "{name}");
        while let Some(start) = colored.find('\x1b') {
            let end = colored[start..].find('m').expect("every escape ends in m");
            colored.replace_range(start..=start + end, "");
        }
        assert_eq!(colored, plain, "{name}");
    }
}

#[test]
fn followed_line_by_line() {
    for (name, mut wire) in [("four_waves", four_waves()), ("refused", refused())] {
        wire.lens.finish(wire.now);
        wire.drain();
        let options = wire.options();
        let lines: String = wire.events.iter().map(|event| follow::line(event, &options)).collect();
        insta::assert_snapshot!(format!("follow_{name}"), lines);
    }
}
