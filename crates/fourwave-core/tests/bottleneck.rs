//! One sender and a link that has a rate: its queue overflows, and the link is used all the same.

mod pair;

use fourwave_core::time::Duration;
use fourwave_core::{Config, EndReport};
use fourwave_net::{Bottleneck, Carry};
use fourwave_wire::Link;
use pair::{CLIENT, Pair, SERVER, text};

/// Bytes a second.
const RATE: u64 = 1_000_000;
const BYTES: usize = 4_000_000;

/// Sends all of it over a link with such a queue and 20 ms of round trip: how long it took, and
/// how it ended.
fn transfer(link: Link, queue: u64) -> (Duration, EndReport) {
    let mut pair = Pair::with(Config::default(), Config::default(), link);
    let (client, server) = pair.open();
    pair.bottleneck = Some(Bottleneck { rate: RATE, queue });
    pair.carry = Carry::Cut;
    let (begin, data) = (pair.now, text(BYTES));
    let (mut left, mut got) = (bytes::Bytes::from(data.clone()), Vec::new());
    while got.len() < BYTES {
        let now = pair.now;
        pair.ends[CLIENT].engine.send(now, client, &mut left).unwrap();
        pair.run_for(Duration::from_millis(5));
        got.extend(pair.read(SERVER, server));
        assert!(pair.now.since(begin) < Duration::from_secs(60), "{} bytes", got.len());
    }
    assert!(got == data);
    let took = pair.now.since(begin);
    pair.close(CLIENT, client);
    pair.close(SERVER, server);
    pair.run_until_idle();
    (took, pair.ends[CLIENT].reports[0].1.clone())
}

#[test]
fn a_queue_of_two_round_trips_keeps_the_link_in_use() {
    for link in [Link::plain(1500), Link::offloading(1500)] {
        let (took, report) = transfer(link, 40_000);
        // Four seconds and the headers are the least.
        assert!(took < Duration::from_millis(5300), "{took:?} over {link:?}");
        assert!(report.retransmits > 0, "a queue that no sender overflows is no bottleneck");
    }
}
