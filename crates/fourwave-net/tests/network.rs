//! What is sent arrives, as the setting says and when the link says.

use bytes::Bytes;
use fourwave_core::time::Duration;
use fourwave_core::{Config, Instant};
use fourwave_net::{Bottleneck, Carry, Host, Network, Way, convert, segment, transmit};
use fourwave_wire::checksum::checksum_is_right;
use fourwave_wire::tcp::TcpHeader;
use fourwave_wire::{Link, RxChecksum, TxPacket};

type Filter = Box<dyn FnMut(usize, &[u8]) -> Way>;

fn network(link: Link, filter: Filter) -> Network<Filter> {
    let host = |n| Host::new([10, 0, 0, n].into(), Config::default(), link, n);
    let mut net = Network::new(Instant::from_micros(1_000_000), vec![host(1), host(2)], filter);
    net.ends[1].listen(80, 8);
    net
}

/// A super-packet with a partial checksum.
fn super_packet() -> TxPacket {
    let mut net = network(Link::offloading(1500), Box::new(|_, _| Way::Pass));
    let conn = net.connect((0, 0), (1, 80)).unwrap();
    net.run_for(Duration::from_millis(30));
    let (now, engine) = (net.now, &mut net.ends[0].engine);
    engine.send(now, conn, &mut Bytes::from(vec![7; 10_000])).unwrap();
    transmit(engine, now).find(|out| out.meta.gso_size > 0).expect("a super-packet")
}

#[test]
fn a_super_packet_comes_whole_cut_or_as_it_was_sent() {
    let out = super_packet();
    let get = |carry| convert(&out, carry).collect::<Vec<_>>();
    let [whole, cut, trusted] = [Carry::Whole, Carry::Cut, Carry::Trusted].map(get);
    assert_eq!((whole.len(), whole[0].gso_size), (1, out.meta.gso_size));
    assert!(cut.len() > 1 && cut.iter().all(|packet| packet.gso_size == 0));
    for packet in whole.iter().chain(&cut) {
        assert!(packet.checksum == RxChecksum::Unverified && checksum_is_right(&packet.bytes));
    }
    assert_eq!((trusted.len(), trusted[0].checksum), (1, RxChecksum::Trusted));
    assert_eq!(trusted[0].bytes, out.to_vec());
}

#[test]
fn a_segment_by_hand_has_a_right_checksum() {
    for (from, to) in [("10.0.0.1:1", "10.0.0.2:2"), ("[fd00::1]:1", "[fd00::2]:2")] {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        assert!(checksum_is_right(&segment(from, to, TcpHeader::default(), b"odd").bytes));
    }
}

#[test]
fn a_bottleneck_sends_at_its_rate_and_loses_what_it_cannot_hold() {
    let second = Instant::from_micros(1_000_000);
    for (queue, arrive) in [(4500, 3), (2999, 1)] {
        let mut net = network(Link::plain(1500), Box::new(|_, _| Way::Pass));
        net.delay = Duration::ZERO;
        net.bottleneck = Some(Bottleneck { rate: 1_000_000, queue });
        let (from, to) = (net.ends[0].address(9), net.ends[1].address(9));
        // Nobody has the port: an RST answers each.
        for _ in 0..4 {
            net.inject(0, segment(from, to, TcpHeader::default(), &[0; 1460]).bytes);
        }
        let mut times = Vec::new();
        while net.step() {
            times.push(net.now.since(second).as_micros());
        }
        assert_eq!(net.ends[1].engine.counters().in_segs, arrive, "{times:?}");
        assert!(times.contains(&(1500 * u128::from(arrive))), "{times:?}");
    }
}
