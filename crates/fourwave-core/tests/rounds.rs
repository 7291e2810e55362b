//! What a sender does round by round on links that lose packets: congestion window, bytes in
//! flight, retransmissions. Held against a snapshot: a change of the sender that should change
//! nothing changes nothing here.

mod pair;

use std::fmt::Write;

use fourwave_core::time::Duration;
use fourwave_core::{Config, Instant};
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, lossy, text};

/// A link of the set, and what is sent over it.
struct Path {
    name: &'static str,
    link: Link,
    /// Packets in a thousand that are lost, each way.
    lost: u64,
    delay: Duration,
    bytes: usize,
    seed: u64,
    timestamps: u64,
}

/// Past this a transfer is stuck.
const ROUNDS: usize = 20_000;

fn paths() -> Vec<Path> {
    let plain = |name, lost, millis, seed| Path {
        name,
        link: Link::plain(1500),
        lost,
        delay: Duration::from_millis(millis),
        bytes: 400_000,
        seed,
        timestamps: 1,
    };
    vec![
        plain("no loss", 0, 10, 1),
        plain("one in a hundred", 10, 10, 2),
        plain("one in fifty, 100 ms of round trip", 20, 50, 3),
        plain("one in twenty", 50, 5, 4),
        Path { timestamps: 0, ..plain("one in twenty, no timestamps", 50, 5, 5) },
        Path { bytes: 30_000, ..plain("one in five", 200, 20, 6) },
        Path { link: Link::offloading(1500), ..plain("super-segments", 30, 10, 7) },
        Path { link: Link::offloading(9000), ..plain("large segments", 30, 10, 8) },
    ]
}

/// A line for each round trip that changes something, until everything is acknowledged.
fn rounds(path: &Path) -> String {
    let config = Config { tcp_timestamps: path.timestamps, ..Config::default() };
    let mut pair = Pair::with(config.clone(), config, path.link);
    pair.delay = path.delay;
    let (client, server) = pair.open();
    let seed = path.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    pair.filter = Box::new(lossy(path.lost, seed));
    let data = text(path.bytes);
    let (mut left, mut got) = (bytes::Bytes::from(data.clone()), Vec::new());
    let (mut lines, mut last) = (format!("{}\n", path.name), String::new());
    for round in 0..ROUNDS {
        let now: Instant = pair.now;
        pair.ends[CLIENT].engine.send(now, client, &mut left).unwrap();
        pair.run_for(path.delay * 2);
        got.extend(pair.read(SERVER, server));
        let info = pair.ends[CLIENT].engine.info(client).unwrap();
        let ssthresh = if info.snd_ssthresh == u64::MAX { 0 } else { info.snd_ssthresh };
        let line = format!(
            "cwnd {} ssthresh {ssthresh} in flight {} retransmitted {} rto {} {:?}",
            info.snd_cwnd,
            info.unacked,
            info.total_retrans,
            info.rto.as_micros(),
            info.ca_state,
        );
        if line != last {
            writeln!(lines, "  {round}: {line}").unwrap();
            last = line;
        }
        if left.is_empty() && info.unacked == 0 && info.notsent_bytes == 0 {
            break;
        }
    }
    assert!(got == data, "{}: {} of {} bytes", path.name, got.len(), data.len());
    lines
}

#[test]
fn the_sender_does_what_it_did() {
    let all: String = paths().iter().map(rounds).collect();
    insta::assert_snapshot!(all);
}
