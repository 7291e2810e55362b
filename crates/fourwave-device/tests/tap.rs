//! What a tap shows, and what it does not.

mod common;

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::*;
use fourwave_device::Device;
use fourwave_device::memory::pair;
use fourwave_device::tap::{Direction, ObserveFn, Observer, PacketView, SeenChecksum, Tapped};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{Link, RxChecksum, RxPacket, TxPacket};

fn packet(payload_len: usize, gso_size: u16) -> TxPacket {
    let addresses: (IpAddr, IpAddr) = (OURS[0].parse().unwrap(), KERNEL[0].parse().unwrap());
    let header = TcpHeader { flags: Flags::ACK, src_port: 1, dst_port: 2, ..Default::default() };
    let payload = pattern(payload_len).chunks(999).map(Bytes::copy_from_slice).collect();
    tcp_packet(addresses, &header, payload, gso_size)
}

#[derive(Debug, PartialEq)]
struct Seen {
    direction: Direction,
    bytes: Vec<u8>,
    gso_size: u16,
    checksum: SeenChecksum,
    unix: Duration,
    elapsed: Duration,
}

/// An observer that keeps what it sees, and what it has seen.
fn recorder() -> (impl Observer, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(vec![]));
    let keep = Arc::clone(&seen);
    let observer = ObserveFn::new(move |direction, view: &PacketView<'_>| {
        let mut bytes = vec![];
        view.copy_to(&mut bytes, usize::MAX);
        assert_eq!(bytes.len(), view.len());
        let PacketView { unix, elapsed, gso_size, checksum, .. } = *view;
        keep.lock().unwrap().push(Seen { direction, bytes, gso_size, checksum, unix, elapsed });
    });
    (observer, seen)
}

#[test]
fn both_directions_are_shown_with_their_meta_and_times() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 4);
    let (observer, seen) = recorder();
    let origin = Instant::now().checked_sub(Duration::from_secs(1000)).unwrap();
    let a = Tapped::with_origin(a, observer, origin);
    assert_eq!(a.link(), Link::offloading(1500));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (sent, answer) = (packet(20_000, 1460), packet(5, 0));
    a.try_send(&sent).unwrap();
    b.try_send(&answer).unwrap();
    assert_eq!(a.try_recv().unwrap().bytes, answer.to_vec());
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].direction, &seen[0].bytes), (Direction::Sent, &sent.to_vec()));
    assert_eq!(seen[0].gso_size, 1460);
    assert_eq!(seen[0].checksum, SeenChecksum::Sent(sent.meta.checksum));
    assert!(!seen[0].checksum.is_finished() && !seen[1].checksum.is_finished());
    assert_eq!((seen[1].direction, &seen[1].bytes), (Direction::Received, &answer.to_vec()));
    assert_eq!(seen[1].checksum, SeenChecksum::Received(RxChecksum::Trusted));
    assert!(seen[0].elapsed >= Duration::from_secs(1000) && seen[0].elapsed <= seen[1].elapsed);
    assert_eq!(seen[1].unix - seen[0].unix, seen[1].elapsed - seen[0].elapsed);
    let error = seen[0].unix.abs_diff(before);
    assert!(error < Duration::from_secs(60), "the epoch's clock is {error:?} off");
}

#[test]
fn what_the_device_refuses_is_not_shown() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 1);
    let (observer, seen) = recorder();
    let a = Tapped::new(a, observer);
    let count = || seen.lock().unwrap().len();
    assert_eq!(a.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    a.try_send(&packet(1, 0)).unwrap();
    for _ in 0..3 {
        assert_eq!(a.try_send(&packet(2, 0)).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    assert_eq!(a.try_send(&packet(2000, 0)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(count(), 1);
    b.try_recv().unwrap();
    a.try_send(&packet(2, 0)).unwrap();
    assert_eq!(count(), 2, "the refused packet is shown once it is taken");
}

#[test]
fn several_observers_see_the_same() {
    let (a, _b) = pair(Link::offloading(1500), Link::offloading(1500), 4);
    let ((first, seen_first), (second, seen_second)) = (recorder(), recorder());
    let boxed: Box<dyn Observer> = Box::new(second);
    let a = Tapped::new(a, Arc::new((Some(first), (boxed, None::<Arc<dyn Observer>>))));
    a.try_send(&packet(1, 0)).unwrap();
    assert_eq!(seen_first.lock().unwrap().len(), 1);
    assert_eq!(*seen_first.lock().unwrap(), *seen_second.lock().unwrap());
}

#[test]
fn a_copy_ends_where_it_is_told() {
    let sent = packet(3000, 1460);
    let view = PacketView::sent(&sent, Duration::ZERO, Duration::ZERO);
    for max in [0, 39, 40, 41, 1039, 1040, 3000, 3040, 9999] {
        let mut out = vec![];
        view.copy_to(&mut out, max);
        assert_eq!(out, sent.to_vec()[..max.min(3040)]);
    }
}

/// A device on which the answer is there before `try_send` returns.
struct Echo(Mutex<Vec<TxPacket>>, std::sync::mpsc::Sender<()>);

impl Device for Echo {
    fn link(&self) -> Link {
        Link::plain(1500)
    }
    fn try_recv(&self) -> io::Result<RxPacket> {
        let packet = self.0.lock().unwrap().pop().ok_or(ErrorKind::WouldBlock)?;
        Ok(RxPacket { bytes: packet.to_vec().into(), ..Default::default() })
    }
    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        self.0.lock().unwrap().push(packet.clone());
        self.1.send(()).unwrap();
        // Gives the receiving thread every chance to be first.
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    }
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn an_answer_is_shown_after_what_it_answers() {
    let (sent, wait) = std::sync::mpsc::channel();
    let (observer, seen) = recorder();
    let device = Arc::new(Tapped::new(Echo(Mutex::default(), sent), observer));
    let receiver = std::thread::spawn({
        let device = Arc::clone(&device);
        move || {
            for () in wait.iter().take(50) {
                device.try_recv().unwrap();
            }
        }
    });
    for len in 0..50 {
        device.try_send(&packet(len, 0)).unwrap();
    }
    receiver.join().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 100);
    for len in 0..50 {
        let at = |direction| {
            seen.iter().position(|s| s.direction == direction && s.bytes.len() == 40 + len)
        };
        assert!(at(Direction::Sent) < at(Direction::Received), "packet {len}");
    }
    assert!(seen.windows(2).all(|pair| pair[0].elapsed <= pair[1].elapsed));
}
