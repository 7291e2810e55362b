//! The fuzz targets without a fuzzer: their corpora, and random bytes. `FOURWAVE_FUZZ_CASES` is how
//! many random inputs each target gets instead of its own number.

use std::fs;
use std::path::Path;

use fourwave_sim::dice::Dice;
use fourwave_sim::fuzz::{engine, pair, wire};

/// Runs `target` on its corpus and on `count` random inputs of up to `longest` bytes.
fn try_all(name: &str, target: fn(&[u8]), count: u64, longest: u64) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files = fs::read_dir(&corpus).unwrap_or_else(|e| panic!("{}: {e}", corpus.display()));
    let mut cases = 0;
    for file in files {
        target(&fs::read(file.unwrap().path()).unwrap());
        cases += 1;
    }
    assert!(cases > 0, "{} is empty", corpus.display());
    let asked = std::env::var("FOURWAVE_FUZZ_CASES").ok();
    let count = asked.map_or(count, |asked| asked.parse().expect("a number"));
    for seed in 0..count {
        let mut dice = Dice::new(seed, 7);
        let len = dice.magnitude(longest);
        let bytes: Vec<u8> = (0..len).map(|_| dice.any() as u8).collect();
        let result = std::panic::catch_unwind(|| target(&bytes));
        assert!(result.is_ok(), "{name} fails on seed {seed}: {bytes:02x?}");
    }
}

#[test]
fn packet_into_engine() {
    try_all("packet_into_engine", engine::run, 3000, 4000);
}

#[test]
fn two_engines() {
    try_all("two_engines", pair::run, 3000, 4000);
}

#[test]
fn tcp_header() {
    try_all("tcp_header", wire::tcp_header, 20_000, 100);
}

#[test]
fn ip_icmp() {
    try_all("ip_icmp", wire::ip_icmp, 20_000, 200);
}
