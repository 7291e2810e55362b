//! A gateway's listener: each SYN gets the answer that its caller decided on.

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use common::{CLIENT, PORT, SERVER, echo, stacks};
use fourwave::{EndReason, IcmpError, RxPacket, TxPacket, end_reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An address that nobody gave to the server.
const ANYWHERE: &str = "203.0.113.7:4433";

#[tokio::test(start_paused = true)]
async fn an_accepted_syn_becomes_a_connection_to_the_address_that_was_called() {
    let (client, server) = stacks();
    let incoming = server.listen_any().unwrap();
    let remote: SocketAddr = ANYWHERE.parse().unwrap();
    let serving = tokio::spawn(async move {
        let incoming = incoming.next().await.unwrap();
        let (local, from) = (incoming.local(), incoming.remote());
        // The answer may wait: the client's SYN is retransmitted and not reported again.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let stream = incoming.accept().await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), from);
        echo(stream).await.unwrap();
        (local, from)
    });
    let mut stream = client.connect(remote).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "hello");
    assert_eq!(serving.await.unwrap(), (remote, stream.local_addr().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn each_decision_is_what_the_client_sees() {
    let (client, server) = stacks();
    let incoming = server.listen_any().unwrap();
    tokio::spawn(async move {
        while let Ok(incoming) = incoming.next().await {
            match incoming.local().port() {
                1 => incoming.reset(),
                2 => incoming.unreachable(IcmpError::HostUnreachable),
                3 => incoming.ignore(),
                4 => drop(incoming),
                port => panic!("nobody calls port {port}"),
            }
        }
    });
    let expected = [
        (1, EndReason::Refused, ErrorKind::ConnectionRefused),
        (2, EndReason::Unreachable(IcmpError::HostUnreachable), ErrorKind::HostUnreachable),
        (3, EndReason::ConnectTimeout, ErrorKind::TimedOut),
        (4, EndReason::Refused, ErrorKind::ConnectionRefused),
    ];
    for (port, reason, kind) in expected {
        let error = client.connect((SERVER, port).into()).await.unwrap_err();
        assert_eq!((end_reason(&error), error.kind()), (Some(reason), kind), "port {port}");
    }
    server.drained().await;
    assert_eq!(server.population().half_open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_accept_resets_the_connection_when_it_opens() {
    let (client, server) = stacks();
    let incoming = server.listen_any().unwrap();
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.connect((SERVER, PORT).into()).await }
    });
    let syn = incoming.next().await.unwrap();
    // Polled once, so SYN ACK is out, and then given up.
    tokio::select! {
        biased;
        _ = syn.accept() => panic!("the handshake cannot be over yet"),
        () = std::future::ready(()) => {}
    }
    let mut stream = connecting.await.unwrap().unwrap();
    let error = stream.read_chunk(1).await.unwrap_err();
    assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
    server.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gave_up_is_reported_to_who_accepts_late() {
    let (client, server) = stacks();
    let incoming = server.listen_any().unwrap();
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.connect((SERVER, PORT).into()).await }
    });
    let syn = incoming.next().await.unwrap();
    connecting.abort();
    assert!(connecting.await.unwrap_err().is_cancelled());
    let error = syn.accept().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert!(error.to_string().contains("gave up"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_listener_of_one_port_comes_before_the_gateways() {
    let (client, server) = stacks();
    let _incoming = server.listen_any().unwrap();
    assert_eq!(server.listen_any().unwrap_err().kind(), ErrorKind::AddrInUse);
    let (near, far) = common::connected(&client, &server).await;
    drop((near, far));
}

#[tokio::test(start_paused = true)]
async fn other_packets_go_to_their_one_taker_and_back() {
    let (client, server) = stacks();
    let udp = udp_packet(CLIENT, SERVER, b"ping");
    let packet = |bytes: &[u8]| {
        let mut packet = TxPacket { header: bytes.to_vec(), ..TxPacket::default() };
        packet.meta.len = bytes.len();
        packet
    };
    assert!(client.send_packet(packet(&udp)).unwrap());
    while server.io_counters().others_dropped == 0 {
        tokio::task::yield_now().await;
    }
    let mut others = server.take_other_packets().unwrap();
    assert!(server.take_other_packets().is_none());
    assert!(client.send_packet(packet(&udp)).unwrap());
    let RxPacket { bytes, .. } = others.recv().await.unwrap();
    assert_eq!(bytes, udp);
    drop(others);
    assert!(server.take_other_packets().is_some(), "the taker may change");
}

fn udp_packet(src: std::net::IpAddr, dst: std::net::IpAddr, payload: &[u8]) -> Vec<u8> {
    use fourwave_wire::checksum::Sum;
    use fourwave_wire::ip::{IpEmit, protocol};
    let len = 8 + payload.len();
    let mut packet = Vec::new();
    IpEmit { src, dst, protocol: protocol::UDP, ttl: 64, ecn: 0 }.emit(len, &mut packet);
    let start = packet.len();
    packet.extend_from_slice(&[0x13, 0x88, 0, 53, 0, len as u8, 0, 0]);
    packet.extend_from_slice(payload);
    let sum = Sum::default().with_pseudo_header(src, dst, protocol::UDP, len);
    let sum = sum.with(&packet[start..]).finish();
    packet[start + 6..start + 8].copy_from_slice(&sum);
    packet
}
