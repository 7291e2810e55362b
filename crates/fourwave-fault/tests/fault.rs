//! Faults on a device, in tokio's paused time.

#[path = "../../fourwave-device/tests/common/mod.rs"]
mod common;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use fourwave_device::memory::pair;
use fourwave_device::{Device, memory};
use fourwave_fault::{FaultConfig, Faultable, Faulty, Injector};
use fourwave_wire::checksum::checksum_is_right;
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{Link, RxChecksum, RxPacket, TxChecksum, TxPacket};
use tokio::time::{Instant, timeout};

const MS: Duration = Duration::from_millis(1);
const NONE: &str = "loss:0%";

fn packet(payload_len: usize, gso_size: u16) -> TxPacket {
    let addresses: (IpAddr, IpAddr) = (OURS[1].parse().unwrap(), KERNEL[1].parse().unwrap());
    let header = TcpHeader { flags: Flags::ACK, src_port: 1, dst_port: 2, ..Default::default() };
    let payload = pattern(payload_len).chunks(99).map(Bytes::copy_from_slice).collect();
    tcp_packet(addresses, &header, payload, gso_size)
}

fn faulty(incoming: &str, outgoing: &str) -> (Faulty<memory::MemoryDevice>, memory::MemoryDevice) {
    let config = |text: &str| text.parse::<FaultConfig>().unwrap();
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 100);
    (Faulty::new(a, config(incoming), config(outgoing), 42), b)
}

#[tokio::test(start_paused = true)]
async fn received_packets_are_delayed() {
    let (a, b) = faulty("delay:30ms", NONE);
    let start = Instant::now();
    b.try_send(&packet(1, 0)).unwrap();
    assert_eq!(a.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(recv(&a).await.bytes.len(), 61);
    assert_eq!(start.elapsed(), 30 * MS);
}

#[tokio::test(start_paused = true)]
async fn sent_packets_are_delayed_and_move_while_the_reader_waits() {
    let (a, b) = faulty(NONE, "delay:30ms");
    let start = Instant::now();
    let reader = async {
        poll_fn(|cx| a.poll_readable(cx)).await.unwrap();
    };
    let sender = async {
        tokio::time::sleep(5 * MS).await;
        // The reader's task already waits, without a deadline: this must wake it.
        a.try_send(&packet(1, 0)).unwrap();
        assert_eq!(recv(&b).await.bytes.len(), 61);
        assert_eq!(start.elapsed(), 35 * MS);
        b.try_send(&packet(2, 0)).unwrap();
    };
    tokio::join!(reader, sender);
    assert_eq!(a.try_recv().unwrap().bytes.len(), 62);
}

#[tokio::test(start_paused = true)]
async fn faults_apply_to_segments_not_super_packets() {
    let (a, b) = faulty("loss:50%", NONE);
    assert_eq!(a.link(), Link::plain(1500));
    b.try_send(&packet(50_000, 1000)).unwrap();
    let mut bytes = 0;
    while let Ok(received) = a.try_recv() {
        assert_eq!((received.gso_size, received.checksum), (0, RxChecksum::Unverified));
        assert!(checksum_is_right(&received.bytes));
        bytes += received.bytes.len() - 60;
    }
    let counters = a.incoming_counters();
    assert_eq!((counters.offered, a.malformed()), (50, 0));
    assert_eq!(bytes as u64, counters.delivered * 1000);
    assert!((10..40).contains(&counters.lost), "{counters:?}");
    let error = a.try_send(&packet(50_000, 1000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn corruption_is_noticed_by_the_receiver() {
    let (a, b) = faulty("corrupt:100%", "corrupt:100%");
    for _ in 0..50 {
        a.try_send(&packet(100, 0)).unwrap();
        b.try_send(&packet(100, 0)).unwrap();
        for received in [recv(&a).await, recv(&b).await] {
            assert_eq!(received.checksum, RxChecksum::Unverified);
            let good = offload_free(&packet(100, 0));
            let flipped: u32 =
                good.iter().zip(&received.bytes).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(flipped, 1);
            // The IPv6 header's class, label and hop limit are under no checksum.
            let at = good.iter().zip(&received.bytes).position(|(a, b)| a != b).unwrap();
            assert!(at < 8 || !checksum_is_right(&received.bytes), "byte {at}");
        }
    }
    assert_eq!(a.incoming_counters().corrupted, 50);
    assert_eq!(a.outgoing_counters().corrupted, 50);
}

fn offload_free(packet: &TxPacket) -> Vec<u8> {
    fourwave_device::offload::finish(packet).unwrap().unwrap().to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_sender_without_room_below_is_not_held_up_and_nothing_is_lost() {
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 2);
    let a = Faulty::new(a, FaultConfig::default(), FaultConfig::default(), 1);
    for len in 0..50 {
        poll_fn(|cx| a.poll_writable(cx)).await.unwrap();
        a.try_send(&packet(len, 0)).unwrap();
    }
    let reader = async {
        for len in 0..50 {
            assert_eq!(recv(&b).await.bytes.len(), 60 + len);
        }
    };
    let driver = poll_fn(|cx| a.poll_readable(cx));
    tokio::select! {
        () = reader => {}
        ready = driver => panic!("nothing came in: {ready:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_below_comes_after_what_was_received() {
    let (a, b) = faulty("delay:30ms", NONE);
    b.try_send(&packet(1, 0)).unwrap();
    drop(b);
    assert_eq!(recv(&a).await.bytes.len(), 61);
    poll_fn(|cx| a.poll_readable(cx)).await.unwrap();
    assert_eq!(a.try_recv().unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(a.try_send(&packet(1, 0)).unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn an_idle_device_stays_pending() {
    let (a, _b) = faulty("delay:30ms", "delay:30ms");
    let waited = timeout(3600 * 1000 * MS, poll_fn(|cx| a.poll_readable(cx))).await;
    assert!(waited.is_err());
}

#[test]
fn flipping_a_bit_voids_what_vouched_for_the_checksum() {
    let sent = packet(500, 0);
    let len = sent.wire_len();
    assert_eq!(len, 560);
    for bit in [0, 8 * 60 - 1, 8 * 60, 8 * len - 1] {
        let mut flipped = sent.clone();
        assert!(flipped.flip_bit(bit));
        assert_eq!(flipped.meta.checksum, TxChecksum::Complete);
        let mut expected = offload_free(&sent);
        expected[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(flipped.to_vec(), expected);
        let mut received = RxPacket {
            bytes: Bytes::from(sent.to_vec()),
            gso_size: 0,
            checksum: RxChecksum::Trusted,
        };
        assert!(received.flip_bit(bit));
        assert_eq!(
            (&received.bytes[..], received.checksum),
            (&expected[..], RxChecksum::Unverified)
        );
    }
    let whole = packet(5000, 1000);
    let mut cut = whole.clone();
    assert!(!cut.flip_bit(7));
    assert_eq!(cut.to_vec(), whole.to_vec());
    let mut injector = Injector::new("corrupt:100%".parse().unwrap(), 1);
    injector.offer(MS, whole);
    assert_eq!(injector.counters().corrupted, 0, "what was not damaged is not counted");
}
