//! How connections end, and that every error says why.

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{CLIENT, PORT, SERVER, connected, options, stacks};
use fourwave::device::memory;
use fourwave::{EndReason, Link, NoticeKind, Side, SocketOption, Stack, UserCall, end_reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn nobody_listens_so_the_connection_is_refused() {
    let (client, _server) = stacks();
    let error = client.connect((SERVER, PORT).into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(end_reason(&error), Some(EndReason::Refused));
    assert_eq!(error.to_string(), EndReason::Refused.sentence());
    client.drained().await;
    assert_eq!(client.population().connections, 0, "the attempt leaves nothing");
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_so_the_connection_times_out() {
    let (device, _nobody) = memory::pair(Link::plain(1500), Link::plain(1500), 4096);
    let client = Stack::spawn(device, options(&[CLIENT], 1)).unwrap();
    let error = client.connect((SERVER, PORT).into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(end_reason(&error), Some(EndReason::ConnectTimeout));
    assert!(client.now().as_micros() > 60_000_000, "tcp_syn_retries were spent");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connect_gives_the_attempt_up() {
    let (device, _nobody) = memory::pair(Link::plain(1500), Link::plain(1500), 4096);
    let client = Stack::spawn(device, options(&[CLIENT], 1)).unwrap();
    let mut ends = client.take_ends().unwrap();
    let connecting = client.connect((SERVER, PORT).into());
    assert!(tokio::time::timeout(Duration::from_secs(2), connecting).await.is_err());
    client.drained().await;
    assert_eq!(ends.recv().await.unwrap().reason, EndReason::ClosedWhileOpening);
}

#[tokio::test(start_paused = true)]
async fn after_a_reset_what_came_before_is_read_and_then_the_error() {
    let (client, server) = stacks();
    let (mut near, mut far) = connected(&client, &server).await;
    let mut ends = client.take_ends().unwrap();
    near.write_all(b"before").await.unwrap();
    near.drained().await.unwrap();
    near.abort();
    assert_eq!(far.closed().await, EndReason::ResetByPeer);
    assert_eq!(far.read_chunk(3).await.unwrap(), "bef");
    assert_eq!(far.read_chunk(99).await.unwrap(), "ore");
    for _ in 0..2 {
        let error = far.read_chunk(99).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
    }
    let error = far.write_all(b"late").await.unwrap_err();
    assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
    let report = ends.recv().await.unwrap();
    assert_eq!(report.reason, EndReason::Aborted);
    assert_eq!(report.closed_first, Some(Side::Local));
    assert_eq!(report.last_call, UserCall::Abort);
    assert_eq!(report.bytes_acked, 6);
}

#[tokio::test(start_paused = true)]
async fn dropping_with_unread_data_resets() {
    let (client, server) = stacks();
    let (mut near, far) = connected(&client, &server).await;
    let mut ends = server.take_ends().unwrap();
    near.write_all(b"never read").await.unwrap();
    near.drained().await.unwrap();
    drop(far);
    let error = near.read_chunk(1).await.unwrap_err();
    assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
    let report = ends.recv().await.unwrap();
    assert_eq!(report.reason, EndReason::ClosedWithUnreadData);
    assert_eq!(report.bytes_unread, 10);
}

#[tokio::test(start_paused = true)]
async fn dropping_after_everything_was_read_closes_in_order() {
    let (client, server) = stacks();
    let (mut near, mut far) = connected(&client, &server).await;
    let mut ends = client.take_ends().unwrap();
    near.write_chunk(Bytes::from(vec![7; 200_000])).await.unwrap();
    drop(near);
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 200_000, "what was queued still arrives");
    drop(far);
    let report = ends.recv().await.unwrap();
    assert_eq!(report.reason, EndReason::Orderly);
    assert_eq!(report.closed_first, Some(Side::Local));
    assert!(report.time_wait_until.is_some_and(|until| until > report.ended));
    tokio::join!(client.drained(), server.drained());
    assert_eq!(client.population().time_wait, 1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(client.population().time_wait, 0);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_not_closed_after_the_peers_fin_is_noticed_once() {
    let (a, b) = memory::pair(Link::plain(1500), Link::plain(1500), 4096);
    let client = Stack::spawn(a, options(&[CLIENT], 1)).unwrap();
    let mut forgetful = options(&[SERVER], 2);
    forgetful.config.tcp_close_wait_limit = 30;
    let server = Stack::spawn(b, forgetful).unwrap();
    let mut notices = server.take_notices().unwrap();
    assert!(server.take_notices().is_none(), "one taker at a time");
    let (mut near, mut far) = connected(&client, &server).await;
    far.write_all(b"bye").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    near.shutdown().await.unwrap();
    let notice = notices.recv().await.unwrap();
    assert_eq!(notice.local, far.local_addr().unwrap());
    assert_eq!(notice.remote, far.peer_addr().unwrap());
    let NoticeKind::CloseWaitSuspected { since, last_call, last_call_at } = notice.what else {
        panic!("{notice:?}");
    };
    assert_eq!(last_call, UserCall::Send);
    assert_eq!(since.since(last_call_at).as_secs(), 2);
    assert_eq!(notice.at.since(since).as_secs(), 30);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(notices.try_recv().is_none(), "once");
    drop(notices);
    assert!(server.take_notices().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_more_is_noticed_before_the_connection_is_given_up() {
    let (a, b) = memory::pair(Link::plain(1500), Link::plain(1500), 4096);
    let client = Stack::spawn(a, options(&[CLIENT], 1)).unwrap();
    let (b, cut) = cable::cuttable(b);
    let server = Stack::spawn(b, options(&[SERVER], 2)).unwrap();
    let (mut near, _far) = connected(&client, &server).await;
    let mut notices = client.take_notices().unwrap();
    cut.store(true, Ordering::Relaxed);
    near.write_all(b"anybody?").await.unwrap();
    let notice = notices.recv().await.unwrap();
    assert_eq!((notice.local, notice.remote), (near.local_addr().unwrap(), (SERVER, PORT).into()));
    // tcp_retries1 is 3.
    assert_eq!(notice.what, NoticeKind::Unanswered { backoff: 3, icmp_error: None });
    assert_eq!(near.closed().await, EndReason::RetransmissionTimeout);
    assert!(client.now() > notice.at + Duration::from_secs(60));
    assert!(notices.try_recv().is_none(), "once");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_is_noticed_by_keepalive() {
    let (a, b) = memory::pair(Link::plain(1500), Link::plain(1500), 4096);
    let client = Stack::spawn(a, options(&[CLIENT], 1)).unwrap();
    let (b, cut) = cable::cuttable(b);
    let server = Stack::spawn(b, options(&[SERVER], 2)).unwrap();
    let (mut near, far) = connected(&client, &server).await;
    near.set_option(SocketOption::KeepAlive(true)).unwrap();
    cut.store(true, Ordering::Relaxed);
    let error = near.read_chunk(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(end_reason(&error), Some(EndReason::KeepaliveTimeout));
    drop(far);
}

/// A device whose cable can be pulled.
mod cable {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};

    use fourwave::{Device, Link, RxPacket, TxPacket};

    pub(crate) struct Cuttable<D>(D, Arc<AtomicBool>);

    pub(crate) fn cuttable<D: Device>(device: D) -> (Cuttable<D>, Arc<AtomicBool>) {
        let cut = Arc::new(AtomicBool::new(false));
        (Cuttable(device, Arc::clone(&cut)), cut)
    }

    impl<D: Device> Device for Cuttable<D> {
        fn link(&self) -> Link {
            self.0.link()
        }
        fn try_recv(&self) -> io::Result<RxPacket> {
            loop {
                let packet = self.0.try_recv()?;
                if !self.1.load(Ordering::Relaxed) {
                    return Ok(packet);
                }
            }
        }
        fn try_send(&self, packet: &TxPacket) -> io::Result<()> {
            if self.1.load(Ordering::Relaxed) { Ok(()) } else { self.0.try_send(packet) }
        }
        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_readable(cx)
        }
        fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_writable(cx)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_resets_and_tells_everyone() {
    let (client, server) = stacks();
    let listener = server.listen((SERVER, PORT).into(), 8).unwrap();
    let (near, far) = tokio::join!(client.connect((SERVER, PORT).into()), listener.accept());
    let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
    far.write_all(b"received").await.unwrap();
    far.drained().await.unwrap();
    // A connection that its application has closed already and its peer has not.
    let orphan = client.connect((SERVER, PORT).into()).await.unwrap();
    let (_held, orphans_peer) = listener.accept().await.unwrap();
    assert_eq!(orphans_peer, orphan.local_addr().unwrap());
    drop(orphan);
    let mut ends = client.take_ends().unwrap();
    let at_home = client.listen(SocketAddr::new(CLIENT, PORT), 1).unwrap();

    client.shutdown().await;
    assert_eq!(end_reason(&far.read_chunk(1).await.unwrap_err()), Some(EndReason::ResetByPeer));
    assert_eq!(near.read_chunk(99).await.unwrap(), "received");
    for error in [near.read_chunk(1).await.unwrap_err(), near.write_all(b"x").await.unwrap_err()] {
        assert_eq!(end_reason(&error), Some(EndReason::Shutdown));
    }
    assert!(at_home.accept().await.is_err());
    assert!(client.connect((SERVER, PORT).into()).await.is_err());
    assert!(client.listen((CLIENT, 81).into(), 1).is_err());
    for _ in 0..2 {
        assert_eq!(ends.recv().await.unwrap().reason, EndReason::Shutdown);
    }
    assert!(ends.recv().await.is_none(), "no more reports can come");
    assert_eq!(server.population().connections, 2, "their handles are still held");
    client.shutdown().await;
    client.drained().await;
}

#[tokio::test(start_paused = true)]
async fn the_devices_failure_reaches_the_sockets_by_name() {
    let (a, b) = memory::pair(Link::plain(1500), Link::plain(1500), 4096);
    let client = Stack::spawn(a, options(&[CLIENT], 1)).unwrap();
    let (b, cut) = cable::cuttable(b);
    let server = Stack::spawn(b, options(&[SERVER], 2)).unwrap();
    let (mut near, far) = connected(&client, &server).await;
    let waiting = tokio::spawn(async move { near.read_chunk(1).await });
    tokio::task::yield_now().await;
    cut.store(true, Ordering::Relaxed);
    server.shutdown().await;
    drop(far);
    let expected = "the stack's device failed: the other end of the link in memory is gone";
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::BrokenPipe, expected));
    let error = client.listen((CLIENT, PORT).into(), 1).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_takes_the_device_along_after_orderly_ends() {
    let (client, server) = stacks();
    let (mut near, mut far) = connected(&client, &server).await;
    near.write_all(&[1; 100_000]).await.unwrap();
    drop((near, client));
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 100_000);
    drop(far);
    // The client's device is gone: that ends the server's link.
    while server.listen((SERVER, 0).into(), 1).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn sockets_outlive_their_runtime_with_an_error() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let first = runtime();
    let (mut near, _far) = first.block_on(async {
        let (client, server) = stacks();
        connected(&client, &server).await
    });
    drop(first);
    let error = runtime().block_on(near.read_chunk(1)).unwrap_err();
    assert_eq!(end_reason(&error), Some(EndReason::Shutdown));
}

#[test]
fn without_a_runtime_the_message_says_so() {
    let (device, _peer) = memory::pair(Link::plain(1500), Link::plain(1500), 1);
    let error = Stack::spawn(device, options(&[], 1)).unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_missing_is_named() {
    let (device, _peer) = memory::pair(Link::plain(1500), Link::plain(1500), 1);
    let stack = Stack::spawn(device, options(&[CLIENT], 1)).unwrap();
    let error = stack.connect("[::1]:80".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains("no IPv6 address"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn close_lingers_until_all_is_acknowledged() {
    let (client, server) = stacks();
    let (mut ours, mut theirs) = connected(&client, &server).await;
    ours.write_all(b"the last words").await.unwrap();
    ours.close_within(Duration::from_secs(5)).await.unwrap();
    let mut words = String::new();
    theirs.read_to_string(&mut words).await.unwrap();
    assert_eq!(words, "the last words");
}

#[tokio::test(start_paused = true)]
async fn close_without_a_limit_waits_and_one_of_zero_loses_nothing() {
    let (client, server) = stacks();
    for limit in [None, Some(Duration::ZERO)] {
        let (mut ours, mut theirs) = connected(&client, &server).await;
        ours.write_all(b"the last words").await.unwrap();
        match limit {
            None => ours.close().await.unwrap(),
            Some(limit) => {
                let error = ours.close_within(limit).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
            }
        }
        let mut words = String::new();
        theirs.read_to_string(&mut words).await.unwrap();
        assert_eq!(words, "the last words");
    }
}

#[tokio::test(start_paused = true)]
async fn every_task_that_waits_for_the_end_is_told() {
    let (client, server) = stacks();
    let (ours, theirs) = connected(&client, &server).await;
    let (reader, writer) = ours.into_split();
    let reader = tokio::spawn(async move { reader.closed().await });
    let writer = tokio::spawn(async move { writer.closed().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    theirs.abort();
    let told = async { (reader.await.unwrap(), writer.await.unwrap()) };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await.expect("both are woken");
    assert_eq!(told, (EndReason::ResetByPeer, EndReason::ResetByPeer));
}

#[tokio::test(start_paused = true)]
async fn close_lingers_no_longer_than_it_may() {
    let (client, server) = stacks();
    let (mut ours, _stalled) = connected(&client, &server).await;
    // More than the peer's window takes while nobody reads there.
    let filler = tokio::time::timeout(Duration::from_secs(60), ours.write_all(&[0; 8 << 20])).await;
    assert!(filler.is_err(), "it fitted");
    let error = ours.close_within(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}
