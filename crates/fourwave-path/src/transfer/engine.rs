//! The ends on the engine, through the library `fourwave` on a TUN of its own.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::Instant;

use fourwave::device::tun::Tun;
use fourwave::{Config, Stack, StackOptions, TcpStream};
use tokio::time::{sleep, timeout_at};

use super::{Received, Sent, Shared, Supply, TICK};
use crate::site::Settings;

/// The most that one read takes.
const READ: usize = 256 * 1024;

/// Runs `end` on a runtime of its own, with a stack on the TUN.
fn block_on<T, F: Future<Output = io::Result<T>>>(
    shared: &Shared,
    tun: OwnedFd,
    own: std::net::IpAddr,
    end: impl FnOnce(Stack) -> F,
) -> io::Result<T> {
    let config = config(&shared.settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let device = Tun::from_fd(tun, shared.settings.mtu)?;
        let options = StackOptions::default().config(config).address(own);
        end(Stack::spawn(device, options)?).await
    })
}

/// The engine's knobs, those that the kernel at the other end is set to.
pub(crate) fn config(settings: &Settings) -> io::Result<Config> {
    let buffers = settings.buffers.to_string();
    let mut config = Config::default();
    for (name, value) in [
        ("tcp_congestion_control", settings.algorithm.as_str()),
        ("tcp_rmem_max", &buffers),
        ("tcp_wmem_max", &buffers),
    ] {
        config.set(name, value).map_err(|e| {
            io::Error::new(io::ErrorKind::Unsupported, format!("{name}={value}: {e}"))
        })?;
    }
    Ok(config)
}

pub(super) fn receive(
    shared: &Shared,
    tun: OwnedFd,
    ready: &mpsc::Sender<()>,
) -> io::Result<Received> {
    block_on(shared, tun, shared.to.ip(), |stack| async move {
        let listener = stack.listen(shared.to, 16)?;
        // Nobody waits any more: then nothing is sent either.
        let _ = ready.send(());
        while shared.begun.get().is_none() && !shared.is_over() {
            sleep(TICK).await;
        }
        let deadline = shared.deadline();
        let mut received = Received { bytes: 0, at: Instant::now() };
        let Ok(accepted) = timeout_at(deadline.into(), listener.accept()).await else {
            return Ok(received);
        };
        let (mut stream, _) = accepted?;
        while received.bytes < shared.bytes {
            let Ok(chunk) = timeout_at(deadline.into(), stream.read_chunk(READ)).await else {
                break;
            };
            let now = Instant::now();
            // A sender whose time is over resets.
            if now >= deadline {
                break;
            }
            let chunk = chunk?;
            if chunk.is_empty() {
                break;
            }
            received = Received { bytes: received.bytes + chunk.len() as u64, at: now };
        }
        // The sender must know before it sees the reset.
        shared.finish();
        stream.abort();
        Ok(received)
    })
}

pub(super) fn send(shared: &Shared, tun: OwnedFd) -> io::Result<Sent> {
    block_on(shared, tun, shared.from.ip(), |stack| async move {
        let deadline = shared.begin();
        let Ok(stream) = timeout_at(deadline.into(), stack.connect(shared.to)).await else {
            return Ok(Sent::default());
        };
        let mut stream = stream?;
        if let Ok(Err(error)) = timeout_at(deadline.into(), supply(shared, &mut stream)).await {
            // The receiver resets when it has seen enough.
            if !shared.is_over() && Instant::now() < deadline {
                return Err(error);
            }
        }
        let info = stream.info()?;
        Ok(Sent {
            bytes: info.bytes_sent,
            again: info.bytes_retrans,
            cwnd: info.snd_cwnd,
            ssthresh: Some(info.snd_ssthresh).filter(|bytes| *bytes != u64::MAX),
            rtt: info.rtt,
        })
    })
}

/// Writes all there is, then waits for the receiver.
async fn supply(shared: &Shared, stream: &mut TcpStream) -> io::Result<()> {
    let (mut supply, mut taken) = (Supply(shared.bytes), 0);
    while let Some(chunk) = supply.next(taken) {
        taken = chunk.len();
        stream.write_chunk(chunk).await?;
    }
    while !shared.is_over() {
        sleep(TICK).await;
    }
    Ok(())
}
