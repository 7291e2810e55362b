//! While a device takes a packet the stack goes on: one sends, in order, and nobody waits for it.

mod common;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use common::{PORT, SERVER, check_pattern, connected, listen, options, send_pattern};
use fourwave::device::{Device, memory};
use fourwave::{Link, RxPacket, Stack, TxPacket};
use tokio::io::AsyncWriteExt;

/// Past this a test is stuck, not slow.
const STUCK: Duration = Duration::from_secs(60);

/// A device that does something of a test's with each packet that it takes.
struct Taking<F> {
    device: memory::MemoryDevice,
    takes: F,
}

impl<F: Fn() + Send + Sync> Device for Taking<F> {
    fn link(&self) -> Link {
        self.device.link()
    }
    fn try_recv(&self) -> io::Result<RxPacket> {
        self.device.try_recv()
    }
    fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
        (self.takes)();
        self.device.try_send(packet)
    }
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_readable(cx)
    }
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.device.poll_writable(cx)
    }
}

/// A client and a server; what the client sends goes by `takes`.
fn stacks(capacity: usize, takes: impl Fn() + Send + Sync + 'static) -> (Stack, Stack) {
    let (a, b) = memory::pair(Link::offloading(1500), Link::offloading(1500), capacity);
    let client = Stack::spawn(Taking { device: a, takes }, options(&[common::CLIENT], 1)).unwrap();
    (client, Stack::spawn(b, options(&[SERVER], 2)).unwrap())
}

/// Asks the stack for its counters whenever it is told to, and says when it has them.
fn asker(stack: &Arc<OnceLock<Stack>>, asks: Receiver<()>, has_them: SyncSender<()>) {
    let stack = Arc::clone(stack);
    std::thread::spawn(move || {
        for () in asks {
            let _counters = stack.get().unwrap().counters();
            has_them.send(()).unwrap();
        }
    });
}

#[tokio::test]
async fn a_stack_can_be_asked_while_its_device_takes_a_packet() {
    let asked = Arc::new(OnceLock::<Stack>::new());
    let (ask, asks) = sync_channel(1);
    let (has_them, answers) = sync_channel(1);
    asker(&asked, asks, has_them);
    let (answers, answered, late) = (Mutex::new(answers), AtomicU32::new(0), AtomicU32::new(0));
    let counts = Arc::new((answered, late));
    let asking = Arc::new(AtomicBool::new(false));
    let (is_asking, seen) = (Arc::clone(&asking), Arc::clone(&counts));
    let (client, server) = stacks(4096, move || {
        if is_asking.load(Ordering::SeqCst) {
            ask.send(()).unwrap();
            let answer = answers.lock().unwrap().recv_timeout(Duration::from_secs(10));
            let count = if answer.is_ok() { &seen.0 } else { &seen.1 };
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (mut near, mut far) = connected(&client, &server).await;
    assert!(asked.set(client.clone()).is_ok());
    asking.store(true, Ordering::SeqCst);
    send_pattern(&mut near, 10_000).await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(check_pattern(&mut far).await.unwrap(), 10_000);
    // What a stack says at its end it says at once.
    asking.store(false, Ordering::SeqCst);
    let [answered, late] = [&counts.0, &counts.1].map(|count| count.load(Ordering::Relaxed));
    assert!(answered > 0 && late == 0, "{answered} answered, {late} not");
}

/// Sockets on four threads, over a device that is often full.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_at_a_time_sends_whoever_writes() {
    let (is_busy, overlaps) = (AtomicBool::new(false), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&overlaps);
    let (client, server) = stacks(8, move || {
        if is_busy.swap(true, Ordering::SeqCst) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        // Long enough for the others to come.
        std::thread::yield_now();
        is_busy.store(false, Ordering::SeqCst);
    });
    const STREAMS: usize = 16;
    const BYTES: u64 = 300_000;
    let listener = listen(&server);
    let readers = tokio::spawn(async move {
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..STREAMS {
            let (mut far, _) = listener.accept().await.unwrap();
            readers.spawn(async move { check_pattern(&mut far).await.unwrap() });
        }
        readers.join_all().await
    });
    for _ in 0..STREAMS {
        let client = client.clone();
        tokio::spawn(async move {
            let mut near = client.connect(SocketAddr::new(SERVER, PORT)).await.unwrap();
            send_pattern(&mut near, BYTES).await.unwrap();
            near.shutdown().await.unwrap();
        });
    }
    let read = tokio::time::timeout(STUCK, readers).await.expect("it stands still").unwrap();
    assert_eq!(read, [BYTES; STREAMS]);
    assert_eq!(overlaps.load(Ordering::Relaxed), 0);
    assert_eq!(client.counters().retrans_segs, 0, "packets changed their order");
}
