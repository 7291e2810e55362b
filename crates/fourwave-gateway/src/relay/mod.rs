//! One TCP connection of the program and one of the host's, joined: bytes and ends of life.
//!
//! FIN becomes shutdown and shutdown becomes FIN, each direction for itself and without any
//! timer; an RST becomes an RST. What either side had sent before its end is delivered first.
//! That the far end has got something, or lives, is said to the program when it is so (`far_end`).

pub(crate) mod dial;
mod far_end;
mod pump;
mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::OnceLock;

use fourwave::{EndReason, ReadHalf, SocketOption, TcpStream};
use fourwave_linux::reason;
use tokio::io::Interest;

use crate::host::HostStream;
use crate::shared::Shared;
use far_end::{Speaker, TRUST};
use pump::ProgramGone;
use watchdog::{Activity, CloseWaitWatchdog};

/// How the two ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RelayEnd {
    /// Both directions were closed and delivered.
    Finished,
    /// The host's connection broke, and all that came before was delivered.
    HostBroken,
    /// The program's connection broke.
    ProgramGone,
    /// The gateway ends, and what the program had to say was said: its FIN included.
    Left,
}

/// Who is at the far end of a host socket, for the words in a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Far {
    /// The program called it.
    Destination,
    /// It called the program.
    Caller,
}

impl Far {
    const fn who(self) -> &'static str {
        match self {
            Self::Destination => "the destination",
            Self::Caller => "the caller",
        }
    }

    fn broke(self, error: &io::Error) -> String {
        let who = self.who();
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                format!("{who} reset the connection")
            }
            io::ErrorKind::TimedOut => format!("{who} answered no more: its connection timed out"),
            _ => format!("the connection to {who} broke: {}", reason(error)),
        }
    }
}

/// Joins the two until both have ended.
///
/// Dropping the future resets both: neither side may take a cut for an orderly end. But a host
/// that has got all and the FIN is left to its kernel, as by a program that has closed.
pub(crate) async fn relay(program: TcpStream, host: HostStream, far: Far, shared: &Shared) {
    let _counted = shared.traffic.relay();
    let ends = program.peer_addr().and_then(|inside| Ok((inside, program.local_addr()?)));
    let mut program = AbortOnDrop(Some(program));
    let Some(stream) = program.0.as_mut() else { return };
    // Whoever wrote the bytes has decided already what is worth a segment: held back here, the
    // second half of an answer would wait for the program's delayed ACK of the first.
    // It fails only when the stack has stopped, which the relay then notices.
    let _ = stream.set_nodelay(true);
    let broken = OnceLock::new();
    match join(stream, &host, &broken, (far, ends.as_ref().ok().copied()), shared).await {
        RelayEnd::Finished => {
            host.finish();
            // Both FINs are acknowledged or on their way: close in order.
            drop(program.0.take());
        }
        // Dropped, each resets its peer.
        RelayEnd::HostBroken => {
            host.reset();
            if let (Ok((inside, outside)), Some(error)) = (ends, broken.get()) {
                shared.annotations.note(inside, outside, || far.broke(error));
            }
        }
        RelayEnd::ProgramGone => host.reset(),
        RelayEnd::Left => {}
    }
}

async fn join(
    program: &mut TcpStream,
    host_stream: &HostStream,
    broken: &OnceLock<io::Error>,
    (far, ends): (Far, Option<(SocketAddr, SocketAddr)>),
    shared: &Shared,
) -> RelayEnd {
    let traffic = &shared.traffic;
    let host = host_stream.stream();
    // It fails only after the stack's end.
    let _ = program.set_option(SocketOption::FarEnd(TRUST));
    let (reader, mut writer) = program.split();
    let activity = Activity::new(&shared.stack);
    let program = reader.far_end();
    let annotations = &shared.annotations;
    let speaker = Speaker { program, host, activity: &activity, far, annotations, ends };
    let mut speaking = pin!(speaker.speak());
    let mut watchdog = CloseWaitWatchdog::new(&activity, shared.annotations.close_wait_limit());
    let mut up = pin!(pump::up(reader, host, broken, traffic, &activity));
    let mut down = pin!(pump::down(host, &mut writer, broken, traffic));
    let mut read_to_end = None;
    let (mut down_done, mut end_seen) = (false, false);
    loop {
        // In this order: data that came with an end is moved before the end is acted on.
        tokio::select! {
            biased;
            result = &mut up, if read_to_end.is_none() => match result {
                Ok(reader) => {
                    read_to_end = Some(reader);
                    host_stream.finish();
                }
                Err(ProgramGone) => return RelayEnd::ProgramGone,
            },
            result = &mut down, if !down_done => match result {
                Ok(()) => {
                    down_done = true;
                    watchdog.begin();
                }
                Err(ProgramGone) => return gone(&read_to_end).await,
            },
            // An RST is told even while nothing is read or written: the program's …
            reason = closed(&read_to_end), if !end_seen => match reason {
                EndReason::Orderly => end_seen = true,
                EndReason::Shutdown => return RelayEnd::Left,
                _ => return RelayEnd::ProgramGone,
            },
            // … and the host's.
            _ = host.ready(Interest::ERROR), if broken.get().is_none() => {
                // Whoever reads or writes next may have taken the error already.
                let error = host.take_error().ok().flatten();
                broken.get_or_init(|| error.unwrap_or(io::ErrorKind::ConnectionReset.into()));
            }
            never = &mut speaking => match never {},
            () = watchdog.over(), if read_to_end.is_none() => if let Some(ends) = ends {
                watchdog.judge(ends, annotations);
            },
        }
        if let (true, Some(error)) = (down_done, broken.get()) {
            if is_silence(error) && program.query().is_some() {
                // The program's kernel waits for the same far end, and gives up as it did.
                program.closed().await;
            }
            return RelayEnd::HostBroken;
        }
        if down_done && read_to_end.is_some() {
            return RelayEnd::Finished;
        }
    }
}

/// Whether nothing came from the far end any more, rather than an RST.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

/// The end of a connection that was read to its FIN; before that, reading finds it.
async fn closed(read_to_end: &Option<ReadHalf<'_>>) -> EndReason {
    match read_to_end {
        Some(reader) => reader.closed().await,
        None => std::future::pending().await,
    }
}

/// The program's end of the connection failed.
async fn gone(read_to_end: &Option<ReadHalf<'_>>) -> RelayEnd {
    match read_to_end {
        Some(reader) if reader.closed().await == EndReason::Shutdown => RelayEnd::Left,
        _ => RelayEnd::ProgramGone,
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
