//! One stream, and two beside each other, on links of every kind, in virtual time: how long it
//! takes, what goes out again, and the congestion window drawn. Held against a snapshot, so that a
//! change of the sender shows on which links it is one.

mod pair;

use std::fmt::Write;

use fourwave_core::Config;
use fourwave_core::time::Duration;
use fourwave_net::{Bottleneck, Carry};
use fourwave_wire::Link;
use pair::{CLIENT, Flows, Pair, SERVER, jain, lossy, text};

const ALGORITHMS: [&str; 2] = ["reno", "cubic"];
const BYTES: usize = 1_000_000;
/// Columns of a drawn window.
const COLUMNS: usize = 32;
/// Past this a transfer is stuck.
const LONGEST: Duration = Duration::from_secs(300);

/// A link, the same both ways.
#[derive(Clone, Copy)]
struct Path {
    /// Packets in a thousand that are lost.
    lost: u64,
    rtt: Duration,
    /// Bits a second.
    rate: u64,
}

impl Path {
    /// Bytes that fill it: the queue before it holds as many, and ten packets at least.
    fn product(&self) -> u64 {
        let bytes = self.rate / 8 * self.rtt.as_micros() as u64 / 1_000_000;
        bytes.max(15_000)
    }
}

fn link(path: Path, algorithm: &str) -> Pair {
    let mut config = Config::default();
    config.set("tcp_congestion_control", algorithm).unwrap();
    for knob in ["tcp_rmem_max", "tcp_wmem_max"] {
        config.set(knob, "33554432").unwrap();
    }
    let mut pair = Pair::with(config.clone(), config, Link::plain(1500));
    pair.delay = path.rtt / 2;
    pair.carry = Carry::Cut;
    pair
}

/// Blocks as high as the values, the highest of them full.
fn drawn(values: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let columns = values.len().min(COLUMNS);
    (0..columns)
        .map(|column| {
            let value = values[column * values.len() / columns];
            BLOCKS[((value * 8).div_ceil(most).max(1) - 1) as usize]
        })
        .collect()
}

/// Sends all of it: the time that it took, the share that went out again, the windows on the way.
fn transfer(path: Path, algorithm: &str) -> (Duration, f64, Vec<u64>) {
    let mut pair = link(path, algorithm);
    let (client, server) = pair.open();
    pair.bottleneck = Some(Bottleneck { rate: path.rate / 8, queue: path.product() });
    pair.filter = Box::new(lossy(path.lost, 0x9e37_79b9_7f4a_7c15 ^ path.rate ^ path.lost));
    let (begin, data) = (pair.now, text(BYTES));
    let mut left = bytes::Bytes::from(data.clone());
    let (mut got, mut windows) = (Vec::new(), Vec::new());
    let step = (path.rtt / 4).max(Duration::from_micros(500));
    while got.len() < BYTES {
        let now = pair.now;
        pair.ends[CLIENT].engine.send(now, client, &mut left).unwrap();
        pair.run_for(step);
        got.extend(pair.read(SERVER, server));
        windows.push(pair.ends[CLIENT].engine.info(client).unwrap().snd_cwnd);
        assert!(pair.now.since(begin) < LONGEST, "{} of {BYTES} bytes", got.len());
    }
    assert!(got == data, "what arrived is not what was sent");
    let info = pair.ends[CLIENT].engine.info(client).unwrap();
    let again = info.bytes_retrans as f64 / info.bytes_sent as f64;
    (pair.now.since(begin), again, windows)
}

#[test]
fn a_megabyte_over_links_of_every_kind() {
    let mut all = String::from(
        "lost   round trip        rate  control      time       goodput  again  window\n",
    );
    for lost in [0, 1, 10, 30] {
        for millis in [1, 20, 100] {
            for rate in [10_000_000, 1_000_000_000] {
                for algorithm in ALGORITHMS {
                    let path = Path { lost, rtt: Duration::from_millis(millis), rate };
                    let (time, again, windows) = transfer(path, algorithm);
                    let most = windows.iter().max().unwrap() / 1448;
                    writeln!(
                        all,
                        "{:>3} ‰ {millis:>7} ms {:>10} Mb/s {algorithm:>6} {:>8.3} s {:>8.2} Mb/s \
                         {:>5.2}%  {} up to {most}",
                        lost,
                        rate / 1_000_000,
                        time.as_secs_f64(),
                        BYTES as f64 * 8.0 / time.as_secs_f64() / 1e6,
                        again * 100.0,
                        drawn(&windows),
                    )
                    .unwrap();
                }
            }
        }
    }
    insta::with_settings!({omit_expression => true}, {
        insta::assert_snapshot!("a_megabyte", all);
    });
}

/// What two connections that share a bottleneck get of it in the second half of `time`, the second
/// one opened a tenth later than the first.
fn shares(path: Path, algorithm: &str, time: Duration) -> Vec<u64> {
    let mut pair = link(path, algorithm);
    pair.bottleneck = Some(Bottleneck { rate: path.rate / 8, queue: path.product() });
    let (begin, mut early) = (pair.now, vec![0; 2]);
    let run = Flows::run(&mut pair, (2, time / 10), time, path.rtt / 4, |pair, got| {
        if pair.now.since(begin) <= time / 2 {
            early[..got.len()].copy_from_slice(got);
        }
    });
    run.got.iter().zip(early).map(|(all, early)| all - early).collect()
}

#[test]
fn two_streams_share_a_bottleneck() {
    for algorithm in ALGORITHMS {
        for millis in [20, 100] {
            let path = Path { lost: 0, rtt: Duration::from_millis(millis), rate: 20_000_000 };
            let got = shares(path, algorithm, Duration::from_secs(120));
            let index = jain(&got);
            assert!(index >= 0.9, "{algorithm}, {millis} ms: {index:.3} of {got:?} bytes");
            let used = got.iter().sum::<u64>() as f64 * 8.0 / 60.0 / path.rate as f64;
            assert!(used > 0.9, "{algorithm}, {millis} ms: {used:.3} of the link in use");
        }
    }
}
