//! Ladders as they print, one snapshot for each kind of life.

mod common;

use common::*;
use fourwave_lens::ladder;

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
