//! Bytes and ends of life, in both directions.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use fourwave::{EndReason, end_reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Bench, ends, options, pattern};
use crate::addresses::GATEWAY_V4;
use crate::publish::Published;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The program's end and the host's of one connection.
pub(super) async fn connected(bench: &Bench) -> (fourwave::TcpStream, TcpStream) {
    let (listener, address) = listen().await;
    let program = bench.call(address).await.unwrap();
    (program, listener.accept().await.unwrap().0)
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn both_directions_carry_every_byte_and_end_by_fin() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        let sent = pattern(5_000_000);
        let host_side = tokio::spawn(async move {
            let (mut read, mut write) = host.split();
            let answer = pattern(3_000_000);
            let mut received = Vec::new();
            let writing = async {
                write.write_all(&answer).await.unwrap();
                write.shutdown().await.unwrap();
            };
            tokio::join!(writing, async { read.read_to_end(&mut received).await.unwrap() });
            received
        });
        let mut received = Vec::new();
        let (mut read, mut write) = program.split();
        let writing = async {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        };
        tokio::join!(writing, async { read.read_to_end(&mut received).await.unwrap() });
        assert!(received == pattern(3_000_000));
        assert!(host_side.await.unwrap() == sent);
        drop(program);
        let summary = bench.gateway.finish(std::future::pending()).await.summary;
        assert_eq!((summary.connections, summary.up, summary.down), (1, 5_000_000, 3_000_000));
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_told_as_one() {
    ends(async {
        let bench = Bench::new(options());
        let (listener, address) = listen().await;
        drop(listener);
        let error = bench.call(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let summary = bench.gateway.finish(std::future::pending()).await.summary;
        assert_eq!(summary.to_string(), "1 connection, 0 B up, 0 B down; 1 refused");
    })
    .await;
}

#[tokio::test]
async fn the_hosts_loopback_is_closed_unless_asked_for() {
    ends(async {
        let bench = Bench::new(super::GatewayOptions { host_loopback: false, ..options() });
        let (listener, address) = listen().await;
        let error = bench.call(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = bench.program.connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
        drop(listener);
    })
    .await;
}

#[tokio::test]
async fn a_half_close_waits_for_the_whole_answer() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        program.write_all(b"question").await.unwrap();
        program.shutdown().await.unwrap();
        let mut question = Vec::new();
        host.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        let answering = tokio::spawn(async move {
            host.write_all(&pattern(2_000_000)).await.unwrap();
        });
        let mut answer = Vec::new();
        program.read_to_end(&mut answer).await.unwrap();
        assert!(answer == pattern(2_000_000));
        answering.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_host_may_close_first_and_go_on_listening() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        host.shutdown().await.unwrap();
        assert_eq!(program.read(&mut [0; 8]).await.unwrap(), 0);
        program.write_all(&pattern(1_000_000)).await.unwrap();
        program.shutdown().await.unwrap();
        let mut received = Vec::new();
        host.read_to_end(&mut received).await.unwrap();
        assert!(received == pattern(1_000_000));
    })
    .await;
}

#[tokio::test]
async fn what_the_host_sent_before_its_reset_arrives_before_it() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        // More than fits into the program's window: the relay holds the rest.
        let sent = pattern(150_000);
        host.write_all(&sent).await.unwrap();
        while bench.gateway.shared.traffic.moved() < sent.len() as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        reset(host);
        let mut received = Vec::new();
        let error = program.read_to_end(&mut received).await.unwrap_err();
        assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
        assert!(received == sent);
    })
    .await;
}

#[tokio::test]
async fn a_program_that_only_writes_learns_of_the_hosts_reset() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, host) = connected(&bench).await;
        program.write_all(b"x").await.unwrap();
        // Unread data: the kernel resets.
        host.readable().await.unwrap();
        drop(host);
        let chunk = pattern(65_536);
        let error = loop {
            if let Err(error) = program.write_all(&chunk).await {
                break error;
            }
        };
        assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
    })
    .await;
}

#[tokio::test]
async fn the_programs_reset_reaches_a_host_that_is_silent() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        program.write_all(b"x").await.unwrap();
        program.shutdown().await.unwrap();
        // The program's direction is closed; only the connection's end can still be told.
        assert_eq!(host.read(&mut [0; 8]).await.unwrap(), 1);
        assert_eq!(host.read(&mut [0; 8]).await.unwrap(), 0);
        program.abort();
        host.ready(tokio::io::Interest::ERROR).await.unwrap();
        // Linux says EPIPE where the reset comes after a FIN.
        let error = host.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    })
    .await;
}

#[tokio::test]
async fn the_programs_reset_reaches_a_host_that_takes_nothing() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, host) = connected(&bench).await;
        let chunk = pattern(65_536);
        // Until every buffer on the way is full.
        let pause = Duration::from_millis(100);
        while let Ok(written) = tokio::time::timeout(pause, program.write_all(&chunk)).await {
            written.unwrap();
        }
        program.abort();
        host.ready(tokio::io::Interest::ERROR).await.unwrap();
        let error = host.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    })
    .await;
}

#[tokio::test]
async fn a_published_port_shows_who_called() {
    ends(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let published = vec![Published { listener, port: 8080 }];
        let bench = Bench::new(super::GatewayOptions { published, ..options() });
        let inside = SocketAddr::from((crate::addresses::PROGRAM_V4, 8080));
        let server = bench.program.listen(inside, 16).unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut program, caller) = server.accept().await.unwrap();
        let port = client.local_addr().unwrap().port();
        assert_eq!(caller, SocketAddr::from((GATEWAY_V4, port)));
        program.write_all(b"hello").await.unwrap();
        drop(program);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"hello");
        // Nobody listens any more: the caller is reset.
        drop(server);
        let mut client = TcpStream::connect(address).await.unwrap();
        let error = client.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    })
    .await;
}

#[tokio::test]
async fn what_a_program_wrote_before_its_end_outlives_it() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        let shared = std::sync::Arc::clone(&bench.gateway.shared);
        let sent = pattern(8_000_000);
        let written = sent.clone();
        let writing = tokio::spawn(async move {
            program.write_all(&written).await.unwrap();
            program.shutdown().await.unwrap();
            program.read(&mut [0; 8]).await
        });
        while shared.traffic.owed() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let finishing = tokio::spawn(bench.gateway.finish(std::future::pending()));
        // Longer than the gateway waits for connections on which nothing is owed.
        tokio::time::sleep(super::super::QUIET * 2).await;
        let mut received = Vec::new();
        host.read_to_end(&mut received).await.unwrap();
        assert!(received == sent);
        drop(host);
        assert_eq!(writing.await.unwrap().unwrap(), 0);
        assert_eq!(finishing.await.unwrap().summary.up, 8_000_000);
    })
    .await;
}

#[tokio::test]
async fn what_is_cut_at_the_end_is_reset_on_both_sides() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        let summary = bench.gateway.finish(std::future::ready(())).await.summary;
        assert_eq!(summary.to_string(), "1 connection, 0 B up, 0 B down; 1 still open at the end");
        let error = program.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
        let error = host.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    })
    .await;
}
