//! Bytes through a connection: all of them, in order, however the caller reads and writes.

mod common;

use std::net::SocketAddr;

use bytes::Bytes;
use common::{
    CLIENT6, PORT, SERVER6, check_pattern, connected, echo, listen, send_pattern, stacks, stacks_on,
};
use fourwave::device::memory;
use fourwave::{EndReason, Link, Stack, State, end_reason};
use fourwave_fault::Faulty;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn an_echo_comes_back_on_every_kind_of_link() {
    let links = [Link::plain(1500), Link::offloading(1500), Link::plain(65_535)];
    for (a, b) in links.iter().flat_map(|a| links.iter().map(move |b| (*a, *b))) {
        let (client, server) = stacks_on(a, b, 4096);
        let (near, far) = connected(&client, &server).await;
        let echoing = tokio::spawn(echo(far));
        let (mut reader, mut writer) = near.into_split();
        let sent = tokio::spawn(async move {
            send_pattern(&mut writer, 300_000).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        assert_eq!(check_pattern(&mut reader).await.unwrap(), 300_000, "{a:?} {b:?}");
        sent.await.unwrap();
        assert_eq!(echoing.await.unwrap().unwrap(), 300_000);
        assert_eq!(client.counters().retrans_segs + server.counters().retrans_segs, 0);
        assert_eq!(client.io_counters().send_errors + server.io_counters().send_errors, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn ipv6_connects_from_its_own_family() {
    let (client, server) = stacks();
    let listener = server.listen(SocketAddr::new(SERVER6, PORT), 1).unwrap();
    let (near, far) = tokio::join!(client.connect((SERVER6, PORT).into()), listener.accept());
    assert_eq!(near.unwrap().local_addr().unwrap().ip(), CLIENT6);
    assert_eq!(far.unwrap().1.ip(), CLIENT6);
}

#[tokio::test(start_paused = true)]
async fn the_client_half_closes_and_reads_a_long_answer() {
    let (client, server) = stacks();
    let (mut near, mut far) = connected(&client, &server).await;
    let answering = tokio::spawn(async move {
        let mut question = Vec::new();
        far.read_to_end(&mut question).await.unwrap();
        assert_eq!(far.info().unwrap().state, State::CloseWait);
        send_pattern(&mut far, 3_000_000).await.unwrap();
        far.shutdown().await.unwrap();
        far.drained().await.unwrap();
        question
    });
    near.write_all(b"x").await.unwrap();
    near.shutdown().await.unwrap();
    let late = near.write_all(b"y").await.unwrap_err();
    assert_eq!(late.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(check_pattern(&mut near).await.unwrap(), 3_000_000);
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0, "the end stays the end");
    assert_eq!(answering.await.unwrap(), b"x");
    assert_eq!(near.closed().await, EndReason::Orderly);
}

#[tokio::test(start_paused = true)]
async fn the_server_half_closes_and_reads_on() {
    let (client, server) = stacks();
    let (mut near, mut far) = connected(&client, &server).await;
    far.shutdown().await.unwrap();
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    let writing = tokio::spawn(async move {
        send_pattern(&mut near, 2_000_000).await.unwrap();
        near.shutdown().await.unwrap();
        near.drained().await.unwrap();
    });
    assert_eq!(check_pattern(&mut far).await.unwrap(), 2_000_000);
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sixty_four_mebibytes_arrive_as_they_were_sent() {
    let (client, server) = stacks();
    let (mut near, mut far) = connected(&client, &server).await;
    let writing = tokio::spawn(async move {
        send_pattern(&mut near, 64 << 20).await.unwrap();
        near.shutdown().await.unwrap();
        near
    });
    assert_eq!(check_pattern(&mut far).await.unwrap(), 64 << 20);
    drop(far);
    let mut near = writing.await.unwrap();
    assert!(near.read_chunk(1).await.unwrap().is_empty());
    drop(near);
    tokio::join!(client.drained(), server.drained());
    assert_eq!(client.counters().retrans_segs, 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_full_all_the_time_loses_nothing() {
    let (client, server) = stacks_on(Link::plain(1500), Link::plain(1500), 1);
    let (near, far) = connected(&client, &server).await;
    let echoing = tokio::spawn(echo(far));
    let (mut reader, mut writer) = near.into_split();
    let sent = tokio::spawn(async move { send_pattern(&mut writer, 1_000_000).await });
    assert_eq!(check_pattern(&mut reader).await.unwrap(), 1_000_000);
    sent.await.unwrap().unwrap();
    echoing.await.unwrap().unwrap();
    assert!(client.io_counters().blocked > 0, "the test's point");
    assert_eq!(client.counters().retrans_segs + server.counters().retrans_segs, 0);
}

#[tokio::test(start_paused = true)]
async fn cancelled_reads_and_writes_lose_and_repeat_nothing() {
    const LEN: u64 = 1_000_000;
    let (client, server) = stacks_on(Link::plain(1500), Link::plain(1500), 16);
    let (mut near, mut far) = connected(&client, &server).await;
    let writing = tokio::spawn(async move {
        let all = Bytes::from_iter((0..LEN).map(common::byte_at));
        let mut sent = 0;
        while sent < all.len() {
            tokio::select! {
                biased;
                written = near.write(&all[sent..]) => sent += written.unwrap(),
                () = std::future::ready(()) => tokio::task::yield_now().await,
            }
        }
        near.shutdown().await.unwrap();
        near
    });
    let mut got = Vec::new();
    let mut cancelled = 0;
    loop {
        tokio::select! {
            biased;
            chunk = far.read_chunk(777) => match chunk.unwrap() {
                chunk if chunk.is_empty() => break,
                chunk => got.extend_from_slice(&chunk),
            },
            () = std::future::ready(()) => {
                cancelled += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    writing.await.unwrap();
    assert!(cancelled > 0, "the test's point");
    assert_eq!(got.len() as u64, LEN);
    assert!(got.iter().enumerate().all(|(at, byte)| *byte == common::byte_at(at as u64)));
}

#[tokio::test(start_paused = true)]
async fn three_hundred_connections_at_once() {
    let (client, server) = stacks();
    let listener = server.listen(SocketAddr::new(common::SERVER, PORT), 512).unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(echo(stream));
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for i in 0..300_u64 {
        let client = client.clone();
        clients.spawn(async move {
            let mut stream = client.connect((common::SERVER, PORT).into()).await.unwrap();
            let message = [i as u8; 5000];
            stream.write_all(&message).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, message);
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    serving.abort();
    let _ = serving.await;
    tokio::join!(client.drained(), server.drained());
    assert_eq!((client.population().connections, server.population().connections), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn halves_join_again_only_with_their_own() {
    let (client, server) = stacks();
    let (near, far) = connected(&client, &server).await;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let error = near_read.reunite(far_write).unwrap_err();
    assert!(error.to_string().contains("different streams"));
    let fourwave::ReuniteError(near_read, far_write) = error;
    let mut near = near_read.reunite(near_write).unwrap();
    let mut far = far_write.reunite(far_read).unwrap();
    near.write_all(b"whole again").await.unwrap();
    let (mut reader, _writer) = far.split();
    assert_eq!(reader.read_chunk(5).await.unwrap(), "whole");
    assert_eq!(reader.read_chunk(99).await.unwrap(), " again");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_owned_write_half_is_a_half_close() {
    let (client, server) = stacks();
    let (near, mut far) = connected(&client, &server).await;
    let (mut reader, mut writer) = near.into_split();
    writer.write_chunk(Bytes::from_static(b"last words")).await.unwrap();
    drop(writer);
    let mut words = Vec::new();
    far.read_to_end(&mut words).await.unwrap();
    assert_eq!(words, b"last words");
    far.write_all(b"answer").await.unwrap();
    assert_eq!(reader.read_chunk(64).await.unwrap(), "answer");
}

#[tokio::test(start_paused = true)]
async fn an_aborted_half_tells_the_other_half() {
    let (client, server) = stacks();
    let (near, _far) = connected(&client, &server).await;
    let (mut reader, writer) = near.into_split();
    let reading = tokio::spawn(async move { reader.read_chunk(1).await });
    tokio::task::yield_now().await;
    writer.abort();
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(end_reason(&error), Some(EndReason::Aborted));
}

#[tokio::test(start_paused = true)]
async fn vectored_writes_gather_in_order() {
    let (client, server) = stacks();
    let (mut near, mut far) = connected(&client, &server).await;
    assert!(tokio::io::AsyncWrite::is_write_vectored(&near));
    let parts = [&b""[..], b"head", b"", b"body"].map(std::io::IoSlice::new);
    assert_eq!(near.write_vectored(&parts).await.unwrap(), 8);
    let mut got = [0; 8];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"headbody");
    assert_eq!(near.write(b"").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_listeners_cannot_share_a_port_and_port_0_finds_another() {
    let (_client, server) = stacks();
    let first = listen(&server);
    let error = server.listen(first.local_addr().unwrap(), 1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let chosen = [0, 0].map(|port| server.listen((common::SERVER, port).into(), 1).unwrap());
    let ports = chosen.each_ref().map(|l| l.local_addr().unwrap().port());
    assert_ne!(ports[0], ports[1]);
    drop(first);
    listen(&server);
}

/// Every timer counts here: the driver must wake for each of the engine's deadlines.
#[tokio::test(start_paused = true)]
async fn a_bad_link_only_takes_longer() {
    for seed in 0..8 {
        let (a, b) = memory::pair(Link::offloading(1500), Link::offloading(1500), 4096);
        let faults = "loss:4%,delay:20ms±5ms,reorder:2%,dup:2%,corrupt:1%".parse().unwrap();
        let a = Faulty::new(a, faults, faults, seed);
        let client = Stack::spawn(a, common::options(&[common::CLIENT], 1)).unwrap();
        let server = Stack::spawn(b, common::options(&[], 2)).unwrap();
        let (near, far) = connected(&client, &server).await;
        let echoing = tokio::spawn(echo(far));
        let (mut reader, mut writer) = near.into_split();
        let sent = tokio::spawn(async move { send_pattern(&mut writer, 300_000).await });
        assert_eq!(check_pattern(&mut reader).await.unwrap(), 300_000, "seed {seed}");
        sent.await.unwrap().unwrap();
        echoing.await.unwrap().unwrap();
        drop(reader);
        tokio::join!(client.drained(), server.drained());
        assert!(client.counters().retrans_segs > 0, "the test's point");
    }
}

/// The same on four threads: the lock, the wakers and the driver's sleep have no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_connections_on_many_threads() {
    let (client, server) = stacks();
    let listener = server.listen(SocketAddr::new(common::SERVER, PORT), 512).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let client = client.clone();
        clients.spawn(async move {
            for _ in 0..4 {
                let stream = client.connect((common::SERVER, PORT).into()).await.unwrap();
                let (mut reader, mut writer) = stream.into_split();
                let sent = tokio::spawn(async move {
                    send_pattern(&mut writer, 200_000).await.unwrap();
                });
                assert_eq!(check_pattern(&mut reader).await.unwrap(), 200_000);
                sent.await.unwrap();
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    tokio::join!(client.drained(), server.drained());
}
