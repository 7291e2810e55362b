//! Answers that are written in pieces: none of them waits for the ACK of the one before.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Bench, ends, options};
use crate::addresses::PROGRAM_V4;
use crate::publish::Published;

/// Requests: more than the ACKs that are sent at once while a connection is young.
const ROUNDS: usize = 40;

/// In how many of the rounds the second half of the host's answer came although the program's TCP
/// had not sent anything since the first half.
async fn unasked(bench: &Bench, program: &mut fourwave::TcpStream, host: &mut TcpStream) -> usize {
    let mut unasked = 0;
    for _ in 0..ROUNDS {
        program.write_all(b"?").await.unwrap();
        host.read_exact(&mut [0]).await.unwrap();
        host.write_all(b"head").await.unwrap();
        program.read_exact(&mut [0; 4]).await.unwrap();
        let before = bench.program.counters().out_segs;
        host.write_all(b"body").await.unwrap();
        program.read_exact(&mut [0; 4]).await.unwrap();
        unasked += usize::from(bench.program.counters().out_segs == before);
    }
    unasked
}

// RFC 9293 §3.7.4 (Nagle) would hold each second half back until the delayed ACK of the first.
#[tokio::test]
async fn the_second_half_of_an_answer_does_not_wait_for_the_ack_of_the_first() {
    ends(async {
        let bench = Bench::new(options());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut program = bench.call(listener.local_addr().unwrap()).await.unwrap();
        let mut host = listener.accept().await.unwrap().0;
        host.set_nodelay(true).unwrap();
        // A pause of this machine may last longer than the delay of an ACK: not every time.
        assert!(unasked(&bench, &mut program, &mut host).await > ROUNDS / 4);
    })
    .await;
}

#[tokio::test]
async fn nor_does_it_towards_a_program_that_is_called() {
    ends(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let published = vec![Published { listener, port: 8080 }];
        let bench = Bench::new(super::GatewayOptions { published, ..options() });
        let server = bench.program.listen(SocketAddr::from((PROGRAM_V4, 8080)), 16).unwrap();
        let mut host = TcpStream::connect(address).await.unwrap();
        host.set_nodelay(true).unwrap();
        let (mut program, _) = server.accept().await.unwrap();
        assert!(unasked(&bench, &mut program, &mut host).await > ROUNDS / 4);
    })
    .await;
}
