//! The link in memory: bounds, wakers, offloads done for ends that have none.

mod common;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use common::*;
use fourwave_device::memory::{MemoryDevice, pair};
use fourwave_device::{Device, memory};
use fourwave_wire::checksum::checksum_is_right;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{GsoKind, Link, RxChecksum, TxChecksum, TxPacket};

fn packet(payload_len: usize, gso_size: u16) -> TxPacket {
    let addresses: (IpAddr, IpAddr) = (OURS[0].parse().unwrap(), KERNEL[0].parse().unwrap());
    let header = TcpHeader { flags: Flags::ACK, src_port: 1, dst_port: 2, ..Default::default() };
    let payload = pattern(payload_len).chunks(999).map(Bytes::copy_from_slice).collect();
    tcp_packet(addresses, &header, payload, gso_size)
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_full_link_refuses_and_wakes_when_there_is_room() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 2);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert!(b.poll_readable(&mut cx).is_pending());
    assert!(a.poll_writable(&mut cx).is_ready());
    a.try_send(&packet(1, 0)).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "the reader");
    a.try_send(&packet(2, 0)).unwrap();
    assert_eq!(a.try_send(&packet(3, 0)).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(a.poll_writable(&mut cx).is_pending());
    assert!(b.poll_readable(&mut cx).is_ready());
    assert_eq!(b.try_recv().unwrap().bytes.len(), 41);
    assert_eq!(count.0.load(Ordering::Relaxed), 2, "the writer");
    a.try_send(&packet(3, 0)).unwrap();
    let lens = [b.try_recv().unwrap().bytes.len(), b.try_recv().unwrap().bytes.len()];
    assert_eq!(lens, [42, 43], "what was refused was not sent");
    assert_eq!(b.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn directions_are_independent() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 1);
    a.try_send(&packet(1, 0)).unwrap();
    b.try_send(&packet(2, 0)).unwrap();
    assert_eq!(a.try_recv().unwrap().bytes.len(), 42);
    assert_eq!(b.try_recv().unwrap().bytes.len(), 41);
}

#[test]
fn a_dropped_end_is_noticed_after_the_last_packet() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 4);
    a.try_send(&packet(1, 0)).unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    b.try_recv().unwrap();
    assert!(b.poll_readable(&mut cx).is_pending());
    a.try_send(&packet(1, 0)).unwrap();
    assert!(b.poll_readable(&mut cx).is_ready());
    drop(a);
    assert!(b.poll_readable(&mut cx).is_ready());
    assert_eq!(b.try_recv().unwrap().bytes.len(), 41);
    assert_eq!(b.try_recv().unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(b.try_send(&packet(1, 0)).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(b.poll_writable(&mut cx).is_ready());
}

#[test]
fn a_waiting_end_is_woken_by_a_drop() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 1);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    b.try_send(&packet(1, 0)).unwrap();
    assert!(b.poll_readable(&mut cx).is_pending() && b.poll_writable(&mut cx).is_pending());
    drop(a);
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
}

#[test]
fn offloads_pass_between_ends_that_have_them() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 4);
    a.try_send(&packet(50_000, 1460)).unwrap();
    let received = b.try_recv().unwrap();
    assert_eq!((received.gso_size, received.checksum), (1460, RxChecksum::Trusted));
    assert_eq!(received.bytes[40..], pattern(50_000));
}

#[test]
fn offloads_are_done_for_an_end_that_has_none() {
    let (a, b) = pair(Link::offloading(1500), Link::plain(1500), 4);
    a.try_send(&packet(50_000, 1460)).unwrap();
    a.try_send(&packet(77, 0)).unwrap_err();
    let mut joined = vec![];
    while let Ok(received) = b.try_recv() {
        assert_eq!((received.gso_size, received.checksum), (0, RxChecksum::Unverified));
        assert!(received.bytes.len() <= 1500 && checksum_is_right(&received.bytes));
        joined.extend_from_slice(&received.bytes[40..]);
    }
    assert_eq!(joined, pattern(50_000));
    a.try_send(&packet(77, 0)).unwrap();
    let received = b.try_recv().unwrap();
    assert!(received.checksum == RxChecksum::Unverified && checksum_is_right(&received.bytes));
}

#[test]
fn a_sender_is_held_to_its_own_link() {
    let (plain, offloading) = pair(Link::plain(1500), Link::offloading(1500), 4);
    let refused = |device: &MemoryDevice, packet: &TxPacket| {
        let error = device.try_send(packet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    assert!(refused(&plain, &packet(10, 0)).contains("checksum offload"));
    let mut complete = packet(1461, 0);
    complete.meta.checksum = TxChecksum::Complete;
    assert!(refused(&plain, &complete).contains("MTU of 1500"));
    complete.meta.gso_kind = GsoKind::Tcp;
    complete.meta.gso_size = 100;
    assert!(refused(&plain, &complete).contains("exceeds the link's 0"));
    assert!(refused(&offloading, &complete).contains("partial checksum"));
    assert!(refused(&offloading, &packet(50_000, 1461)).contains("MTU of 1500"));
    assert!(refused(&offloading, &packet(65_500, 1460)).contains("65535"));
    let mut wrong = packet(10, 0);
    wrong.meta.len = 7;
    assert!(refused(&offloading, &wrong).contains("7"));
    assert_eq!(plain.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock, "nothing passed");
}

#[tokio::test]
async fn two_tasks_move_everything_in_order() {
    let (a, b) = memory::pair(Link::offloading(1500), Link::plain(1500), 3);
    let sender = tokio::spawn(async move {
        for len in 0..1000 {
            send(&a, &packet(len, 0)).await;
        }
    });
    for len in 0..1000 {
        assert_eq!(recv(&b).await.bytes.len(), 40 + len);
    }
    sender.await.unwrap();
    pin!(poll_fn(|cx| b.poll_readable(cx))).await.unwrap();
    assert_eq!(b.try_recv().unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn devices_work_behind_pointers() {
    let (a, b) = pair(Link::offloading(1500), Link::plain(1400), 1);
    let (a, b): (Arc<dyn Device>, Box<dyn Device>) = (Arc::new(a), Box::new(b));
    assert_eq!((a.link().mtu, b.link().mtu), (1500, 1400));
    (&a as &dyn Device).try_send(&packet(1, 0)).unwrap();
    (&b as &dyn Device).try_recv().unwrap();
}
