//! One TCP connection of the program and one of the host's, joined: bytes and ends of life.
//!
//! FIN becomes shutdown and shutdown becomes FIN, each direction for itself and without any
//! timer; an RST becomes an RST. What either side had sent before its end is delivered first.

pub(crate) mod dial;
mod host;
mod pump;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use fourwave::{EndReason, ReadHalf, TcpStream};
use tokio::io::Interest;

pub(crate) use host::HostStream;
use pump::ProgramGone;

use crate::traffic::Traffic;

/// How the two ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Both directions were closed and delivered.
    Finished,
    /// The host's connection broke, and all that came before was delivered.
    HostBroken,
    /// The program's connection broke.
    ProgramGone,
}

/// Joins the two until both have ended.
///
/// Dropping the future resets both: neither side may take a cut for an orderly end.
pub(crate) async fn relay(program: TcpStream, mut host: HostStream, traffic: &Traffic) {
    let mut program = AbortOnDrop(Some(program));
    let Some(stream) = program.0.as_mut() else { return };
    match join(stream, host.stream(), traffic).await {
        Verdict::Finished => {
            host.finish();
            // Both FINs are acknowledged or on their way: close in order.
            drop(program.0.take());
        }
        // Dropped as they are, each resets its peer.
        Verdict::HostBroken | Verdict::ProgramGone => {}
    }
}

async fn join(program: &mut TcpStream, host: &tokio::net::TcpStream, traffic: &Traffic) -> Verdict {
    let broken = AtomicBool::new(false);
    let (reader, mut writer) = program.split();
    let mut up = pin!(pump::up(reader, host, &broken, traffic));
    let mut down = pin!(pump::down(host, &mut writer, &broken, traffic));
    let mut read_to_end = None;
    let (mut down_done, mut end_seen) = (false, false);
    loop {
        // In this order: data that came with an end is moved before the end is acted on.
        tokio::select! {
            biased;
            result = &mut up, if read_to_end.is_none() => match result {
                Ok(reader) => read_to_end = Some(reader),
                Err(ProgramGone) => return Verdict::ProgramGone,
            },
            result = &mut down, if !down_done => match result {
                Ok(()) => down_done = true,
                Err(ProgramGone) => return Verdict::ProgramGone,
            },
            // An RST is told even while nothing is read or written: the program's …
            reason = closed(&read_to_end), if !end_seen => match reason {
                EndReason::Orderly => end_seen = true,
                _ => return Verdict::ProgramGone,
            },
            // … and the host's.
            _ = host.ready(Interest::ERROR), if !broken.load(Ordering::Relaxed) => {
                broken.store(true, Ordering::Relaxed);
            }
        }
        if down_done && broken.load(Ordering::Relaxed) {
            return Verdict::HostBroken;
        }
        if down_done && read_to_end.is_some() {
            return Verdict::Finished;
        }
    }
}

/// The end of a connection that was read to its FIN; before that, reading finds it.
async fn closed(read_to_end: &Option<ReadHalf<'_>>) -> EndReason {
    match read_to_end {
        Some(reader) => reader.closed().await,
        None => std::future::pending().await,
    }
}

/// Resets the program's connection when dropped.
struct AbortOnDrop(Option<TcpStream>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.abort();
        }
    }
}
