//! Fixed loads of the engine, for counting instructions: the same calls each time, no clock.
//!
//! `valgrind --tool=callgrind target/release/examples/loads LOAD`, where a load is one of those
//! that `loads` without an argument prints. The count of two builds is held side by side.

#[path = "../tests/pair/mod.rs"]
mod pair;

use std::process::ExitCode;

use fourwave_core::Config;
use fourwave_core::time::Duration;
use fourwave_net::Carry;
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, Way, text};

type Load = (&'static str, fn());

const LOADS: [Load; 5] = [
    ("bulk", || bulk(Link::plain(1500), 0)),
    ("super-segments", || bulk(Link::offloading(1500), 0)),
    ("losses", || bulk(Link::plain(1500), 20)),
    ("dialogue", dialogue),
    ("lifecycles", lifecycles),
];

/// 8 MB in one direction; of a thousand packets `lost` are lost.
fn bulk(link: Link, lost: u64) {
    const CHUNK: usize = 64 << 10;
    const ROUNDS: usize = 128;
    let mut pair = Pair::with(Config::default(), Config::default(), link);
    if link.checksum_offload {
        // Sums that the engine leaves to its device are not counted.
        pair.carry = Carry::Trusted;
    }
    let (client, server) = pair.open();
    let mut packets = 0_u64;
    pair.filter = Box::new(move |_, _| {
        packets += 1;
        let is_lost = packets.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 < (lost << 32) / 1000;
        if is_lost { Way::Drop } else { Way::Pass }
    });
    let chunk = text(CHUNK);
    let mut got = 0;
    for _ in 0..ROUNDS {
        pair.send(CLIENT, client, &chunk);
        pair.run_for(Duration::from_millis(20));
        got += pair.read(SERVER, server).len();
    }
    while got < ROUNDS * CHUNK {
        pair.run_for(Duration::from_millis(20));
        got += pair.read(SERVER, server).len();
    }
}

/// Twenty thousand requests and answers over one connection.
fn dialogue() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    for _ in 0..20_000 {
        pair.send(CLIENT, client, b"a request of some bytes");
        pair.run_for(pair.delay);
        assert!(!pair.read(SERVER, server).is_empty());
        pair.send(SERVER, server, &[7; 200]);
        pair.run_for(pair.delay);
        assert!(!pair.read(CLIENT, client).is_empty());
    }
}

/// Five thousand connections, one after the other, from SYN to TIME_WAIT.
fn lifecycles() {
    let mut pair = Pair::new();
    for _ in 0..5000 {
        let (client, server) = pair.open();
        pair.close(CLIENT, client);
        pair.run_for(pair.delay * 3);
        pair.close(SERVER, server);
        pair.run_for(pair.delay * 3);
    }
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let load = wanted.as_ref().and_then(|name| LOADS.iter().find(|(load, _)| load == name));
    if let Some((_, load)) = load {
        load();
        return ExitCode::SUCCESS;
    }
    let names: Vec<&str> = LOADS.iter().map(|(name, _)| *name).collect();
    eprintln!("usage: loads LOAD, one of {}", names.join(", "));
    ExitCode::from(2)
}
