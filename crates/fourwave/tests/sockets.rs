//! What a socket is given before it has a connection holds from the SYN on, and a listener's
//! connections inherit it.

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;

use bytes::Bytes;
use common::{CLIENT, PORT, SERVER, check_pattern, options, send_pattern, stacks};
use fourwave::congestion::{Algorithm, NewReno};
use fourwave::device::memory;
use fourwave::{Link, Stack, StackOptions, TcpSocket, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn server_address() -> SocketAddr {
    SocketAddr::new(SERVER, PORT)
}

/// A connection between the two sockets.
async fn between(client: TcpSocket, server: TcpSocket) -> (TcpStream, TcpStream) {
    let listener = server.listen(server_address(), 8).unwrap();
    let (near, far) = tokio::join!(client.connect(server_address()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

#[tokio::test]
async fn a_receive_buffer_makes_the_window_and_its_scale() {
    let (client, server) = stacks();
    let (near, far) = between(client.socket(), server.socket()).await;
    let usual = near.info().unwrap();
    assert_eq!(usual.rcv_wscale, far.info().unwrap().snd_wscale);
    drop((near, far));
    let small = client.socket().recv_buffer(20_000);
    let large = server.socket().recv_buffer(8 << 20);
    let (mut near, mut far) = between(small, large).await;
    let [of_near, of_far] = [&near, &far].map(|stream| stream.info().unwrap());
    assert_eq!((of_near.rcv_wscale, of_far.snd_wscale), (Some(0), Some(0)));
    assert_eq!(of_far.snd_wnd, 20_000, "what the SYN offered");
    assert!(of_far.rcv_wscale > usual.rcv_wscale, "{:?}", of_far.rcv_wscale);
    // A small buffer stays small, and everything comes through.
    let sends = async {
        send_pattern(&mut far, 300_000).await.unwrap();
        far.shutdown().await.unwrap();
        far.info().unwrap().snd_wnd
    };
    let (read, window) = tokio::join!(check_pattern(&mut near), sends);
    assert_eq!(read.unwrap(), 300_000);
    assert!(window <= 20_000, "{window}");
}

#[tokio::test]
async fn a_largest_segment_stands_on_the_syn() {
    let (client, server) = stacks();
    let (near, far) = between(client.socket().max_segment(700), server.socket()).await;
    assert_eq!(near.info().unwrap().advmss, 700);
    assert_eq!(far.info().unwrap().snd_mss, 700 - 12, "12 bytes of timestamps");
    drop((near, far));
    let (near, _far) = between(client.socket(), server.socket().max_segment(900)).await;
    assert_eq!(near.info().unwrap().snd_mss, 900 - 12);
}

#[tokio::test]
async fn a_listeners_connections_inherit_its_options() {
    let (client, server) = stacks();
    // The last word on an option holds.
    let options = server.socket().nodelay(false).nodelay(true);
    let options = options.congestion_control(Algorithm::custom(NewReno::default()));
    let (mut near, mut far) = between(client.socket(), options).await;
    assert_eq!(far.info().unwrap().congestion, "reno");
    for _ in 0..2 {
        far.write_all(b"half").await.unwrap();
    }
    // Without TCP_NODELAY the second would wait for the ACK of the first.
    assert_eq!(far.info().unwrap().notsent_bytes, 0);
    let mut both = [0; 8];
    near.read_exact(&mut both).await.unwrap();
    assert_eq!(&both, b"halfhalf");
    for _ in 0..2 {
        near.write_all(b"half").await.unwrap();
    }
    assert_eq!(near.info().unwrap().notsent_bytes, 4, "the client has Nagle");
}

#[tokio::test]
async fn ports_come_from_the_range() {
    let (client, server) = stacks();
    let _listener = server.listen(server_address(), 8).unwrap();
    let call = || client.socket().local_ports(40_000..=40_001).connect(server_address());
    let held = [call().await.unwrap(), call().await.unwrap()];
    let mut ports = held.each_ref().map(|stream| stream.local_addr().unwrap().port());
    ports.sort_unstable();
    assert_eq!(ports, [40_000, 40_001]);
    let error = call().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
    let none = std::ops::RangeInclusive::new(2, 1);
    let error = client.socket().local_ports(none).connect(server_address()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
}

#[tokio::test]
async fn data_rides_on_the_second_syn() {
    let fast = |address, seed| {
        let mut options: StackOptions = options(&[address], seed);
        options.config.tcp_fastopen = 3;
        options
    };
    let (a, b) = memory::pair(Link::offloading(1500), Link::offloading(1500), 64);
    let client = Stack::spawn(a, fast(CLIENT, 1)).unwrap();
    let server = Stack::spawn(b, fast(SERVER, 2)).unwrap();
    let listener = server.socket().fast_open(16).listen(server_address(), 8).unwrap();
    let mut rode = Vec::new();
    for _ in 0..2 {
        let question = Bytes::from(vec![7; 3000]);
        let call = client.socket().connect_with(server_address(), question);
        let answer = async {
            let (mut far, _) = listener.accept().await.unwrap();
            let mut got = vec![0; 3000];
            far.read_exact(&mut got).await.unwrap();
            assert!(got.iter().all(|byte| *byte == 7));
            far
        };
        let (near, far) = tokio::join!(call, answer);
        let near = near.unwrap();
        rode.push([&near, &far].map(|stream| stream.info().unwrap().syn_data));
    }
    assert_eq!(rode, [[false; 2], [true; 2]]);
}
