//! A far end that is dead: the program's own TCP finds out, by what the program asked of it.

use std::io::ErrorKind;
use std::time::Duration;

use fourwave::{EndReason, SocketOption, end_reason};
use fourwave_testkit::skip;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::relay::connected;
use super::{Bench, ends, options};

/// Longer than a sign of the far end counts.
const SILENCE: Duration = Duration::from_millis(300);
const SECOND: Duration = Duration::from_secs(1);

/// From now on nothing reaches this socket, and its peer hears nothing of it. False, after a line
/// that says so, where the system lets no user filter.
fn dies(host: &TcpStream) -> bool {
    // BPF: return 0 bytes of each packet.
    let drop_all = socket2::SockFilter::new(6, 0, 0, 0);
    match socket2::SockRef::from(host).attach_filter(&[drop_all]) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            skip(format!("SO_ATTACH_FILTER: {error}"))
        }
        attached => {
            attached.unwrap();
            true
        }
    }
}

fn seconds(idle: u64, interval: u64, probes: u8) -> SocketOption {
    let of = Duration::from_secs;
    SocketOption::KeepAliveTimes { idle: of(idle), interval: of(interval), probes }
}

/// The host's socket of the only relay is probed with the program's own times.
#[tokio::test]
async fn the_programs_keepalive_finds_it() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, host) = connected(&bench).await;
        program.set_option(seconds(1, 1, 2)).unwrap();
        if !dies(&host) {
            return;
        }
        let error = program.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(end_reason(&error), Some(EndReason::KeepaliveTimeout));
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let summary = bench.gateway.finish(std::future::pending()).await.summary;
        assert_eq!(summary.to_string(), "1 connection, 0 B up, 0 B down; 1 reset by the program");
    })
    .await;
}

#[tokio::test]
async fn the_programs_user_timeout_finds_it() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        program.write_all(b"hello").await.unwrap();
        host.read_exact(&mut [0; 5]).await.unwrap();
        if !dies(&host) {
            return;
        }
        tokio::time::sleep(SILENCE).await;
        program.set_option(SocketOption::UserTimeout(SECOND)).unwrap();
        program.write_all(b"question").await.unwrap();
        let error = program.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(end_reason(&error), Some(EndReason::UserTimeout));
    })
    .await;
}

/// The program's TCP ends such a connection without a word. The relay asks, and lets go of it.
#[tokio::test]
async fn a_connection_that_the_program_gave_up_is_let_go() {
    ends(async {
        let mut options = options();
        options.config.set("tcp_half_closed_time", "1").unwrap();
        let bench = Bench::new(options);
        let (mut program, host) = connected(&bench).await;
        if !dies(&host) {
            return;
        }
        tokio::time::sleep(SILENCE).await;
        program.set_option(SocketOption::UserTimeout(SECOND)).unwrap();
        program.write_all(b"question").await.unwrap();
        program.read(&mut [0; 8]).await.unwrap_err();
        while bench.gateway.shared.traffic.relays() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Probes and data are answered as late as the far end answers, and no later.
#[tokio::test]
async fn a_far_end_that_lives_is_never_given_up() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        program.set_option(seconds(1, 1, 1)).unwrap();
        program.set_option(SocketOption::UserTimeout(SECOND)).unwrap();
        // Three probes, each of which would be the last.
        tokio::time::sleep(SECOND * 4).await;
        for _ in 0..3 {
            tokio::time::sleep(SILENCE).await;
            program.write_all(b"question").await.unwrap();
            // The host's application does not read; its kernel answers for it.
            program.drained().await.unwrap();
        }
        program.shutdown().await.unwrap();
        let mut questions = Vec::new();
        host.read_to_end(&mut questions).await.unwrap();
        assert_eq!(questions, b"questionquestionquestion");
    })
    .await;
}

/// More than one buffer holds, after a silence: it is acknowledged as it comes, but for the last.
#[tokio::test]
async fn bulk_goes_on_after_a_silence() {
    ends(async {
        let bench = Bench::new(options());
        let (mut program, mut host) = connected(&bench).await;
        let sent = super::pattern(3_000_000);
        for _ in 0..2 {
            tokio::time::sleep(SILENCE).await;
            let mut received = vec![0; sent.len()];
            let writing = async {
                program.write_all(&sent).await.unwrap();
                program.drained().await.unwrap();
            };
            tokio::join!(writing, async { host.read_exact(&mut received).await.unwrap() });
            assert!(received == sent);
        }
    })
    .await;
}

/// A kernel forgets the half-closed connection of a program that was killed.
#[tokio::test]
async fn a_program_that_is_gone_half_closed_is_let_go() {
    ends(async {
        let mut options = options();
        options.config.set("tcp_half_closed_time", "1").unwrap();
        let bench = Bench::new(options);
        let (program, mut host) = connected(&bench).await;
        program.set_option(SocketOption::Linger2(SECOND)).unwrap();
        drop(program);
        assert_eq!(host.read(&mut [0; 8]).await.unwrap(), 0);
        host.ready(tokio::io::Interest::ERROR).await.unwrap();
        let error = host.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "an RST after the FIN");
        while bench.gateway.shared.traffic.relays() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
