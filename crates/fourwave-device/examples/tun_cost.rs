//! What a received packet costs by size: the read from the TUN, and beside it the two ways to
//! keep its bytes, a copy of its own or a slice of the slab. Grounds the threshold in
//! `src/tun/slab.rs`. Makes a TUN, so it needs root and a namespace of its own:
//!
//! `unshare -n cargo run --example tun_cost -p fourwave-device`

use std::hint::black_box;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use fourwave_device::Device;
use fourwave_device::tun::{Tun, TunOptions, open};

const ROUNDS: u32 = 50;
/// Fewer than the TUN's queue holds (txqueuelen).
const BURST: u32 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (fd, name) = open(None, TunOptions::default())?;
    for args in ["link set dev NAME mtu 65535 up", "addr add 10.99.0.100/24 dev NAME"] {
        let status = Command::new("ip").args(args.replace("NAME", &name).split(' ')).status()?;
        assert!(status.success(), "ip {args}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tun = Tun::from_fd(fd, 65_535)?;
        println!("{:>7} {:>10} {:>10} {:>10}", "bytes", "read", "copy", "slice");
        for size in [64, 256, 512, 1024, 1500, 2048, 4096, 8192, 16_384, 60_000] {
            let read = read_cost(&tun, size).await?;
            let (copy, slice) = (copy_cost(size), slice_cost(size));
            println!("{size:>7} {read:>10.1?} {copy:>10.1?} {slice:>10.1?}");
        }
        Ok(())
    })
}

async fn read_cost(tun: &Tun, size: usize) -> std::io::Result<Duration> {
    let socket = UdpSocket::bind("10.99.0.100:0")?;
    let payload = vec![7; size - 28];
    let burst = BURST.min((4_000_000 / size) as u32).min(if size > 1500 { 40 } else { BURST });
    let (mut spent, mut packets) = (Duration::ZERO, 0);
    for _ in 0..ROUNDS {
        for _ in 0..burst {
            socket.send_to(&payload, "10.99.0.1:9")?;
        }
        std::future::poll_fn(|cx| tun.poll_readable(cx)).await?;
        let start = Instant::now();
        while let Ok(packet) = tun.try_recv() {
            packets += u32::from(packet.bytes.len() == size);
            black_box(packet);
        }
        spent += start.elapsed();
    }
    Ok(spent / packets.max(1))
}

fn copy_cost(size: usize) -> Duration {
    let source = vec![7u8; size];
    let start = Instant::now();
    for _ in 0..100_000 {
        black_box(Bytes::copy_from_slice(black_box(&source)));
    }
    start.elapsed() / 100_000
}

fn slice_cost(size: usize) -> Duration {
    let mut slab = BytesMut::with_capacity(512 * 1024);
    let start = Instant::now();
    for _ in 0..100_000 {
        if !slab.try_reclaim(size) {
            slab = BytesMut::with_capacity(512 * 1024);
        }
        // As the TUN does it, with one byte written in place of the read.
        slab.resize(1, 0);
        black_box(slab.split().freeze());
    }
    start.elapsed() / 100_000
}
