//! Moves the bytes of one direction, without copying them on our side of the host's sockets.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::OnceLock;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use fourwave::{EndReason, ReadHalf, WriteHalf};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::watchdog::Activity;
use crate::traffic::Traffic;

/// The program's connection ended otherwise than by both FINs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProgramGone;

/// Chunks handed to the host in one call.
const BATCH_CHUNKS: usize = 32;
/// Bytes handed to the host in one call, about.
const BATCH_BYTES: usize = 512 * 1024;
/// Size of a read buffer at first, and the smallest.
const READ_MIN: usize = 16 * 1024;
/// The largest read buffer.
const READ_MAX: usize = 256 * 1024;

/// Program → host, until the program's FIN, which becomes a shutdown.
///
/// Once the host is `broken` the program's data has nowhere to go. It is taken all the same, so
/// that a program that writes before it reads gets as far as reading what the host had said.
pub(crate) async fn up<'a>(
    mut program: ReadHalf<'a>,
    host: &TcpStream,
    broken: &OnceLock<io::Error>,
    traffic: &Traffic,
    activity: &Activity<'_>,
) -> Result<ReadHalf<'a>, ProgramGone> {
    loop {
        // Allocated again each time: an idle connection holds no memory for its next batch.
        let mut batch: Vec<Bytes> = Vec::new();
        let finished = gather(&mut program, &mut batch).await.map_err(|_| ProgramGone)?;
        let _owed = traffic.up(batch.iter().map(Bytes::len).sum());
        if !batch.is_empty() {
            activity.data();
            write_all(&program, host, &mut batch, broken).await?;
            activity.taken();
        }
        if finished {
            let host = socket2::SockRef::from(host);
            if broken.get().is_none()
                && let Err(error) = host.shutdown(Shutdown::Write)
            {
                broken.get_or_init(|| error);
            }
            return Ok(program);
        }
    }
}

/// Waits for data and takes what is there; true when the program's FIN came after it.
async fn gather(program: &mut ReadHalf<'_>, batch: &mut Vec<Bytes>) -> io::Result<bool> {
    poll_fn(|cx| {
        let mut bytes = 0;
        while batch.len() < BATCH_CHUNKS && bytes < BATCH_BYTES {
            match program.poll_read_chunk(cx, BATCH_BYTES) {
                Poll::Ready(Ok(chunk)) if chunk.is_empty() => return Poll::Ready(Ok(true)),
                Poll::Ready(Ok(chunk)) => {
                    bytes += chunk.len();
                    batch.push(chunk);
                }
                // What came before the error goes first; the next call finds it again.
                Poll::Ready(Err(error)) if batch.is_empty() => return Poll::Ready(Err(error)),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(false))
    })
    .await
}

/// Hands a batch to the host. An error of the host's makes it `broken`; the rest is dropped then.
async fn write_all(
    program: &ReadHalf<'_>,
    host: &TcpStream,
    batch: &mut [Bytes],
    broken: &OnceLock<io::Error>,
) -> Result<(), ProgramGone> {
    let mut first = 0;
    while first < batch.len() && broken.get().is_none() {
        let mut slices = [IoSlice::new(&[]); BATCH_CHUNKS];
        let count = batch[first..].len().min(BATCH_CHUNKS);
        for (slice, chunk) in slices.iter_mut().zip(&batch[first..]) {
            *slice = IoSlice::new(chunk);
        }
        match host.try_write_vectored(&slices[..count]) {
            Ok(written) => {
                first += advance(&mut batch[first..], written);
                // A fast host must not keep other connections' tasks from running.
                tokio::task::coop::consume_budget().await;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if let Err(error) = writable(program, host).await? {
                    broken.get_or_init(|| error);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                broken.get_or_init(|| error);
            }
        }
    }
    Ok(())
}

/// Takes `written` bytes off the front; returns how many chunks are through.
fn advance(batch: &mut [Bytes], mut written: usize) -> usize {
    for (through, chunk) in batch.iter_mut().enumerate() {
        if written < chunk.len() {
            chunk.advance(written);
            return through;
        }
        written -= chunk.len();
        *chunk = Bytes::new();
    }
    batch.len()
}

/// Waits for space at the host, and no longer than the program lives: its RST ends the relay even
/// while the host takes nothing.
async fn writable(program: &ReadHalf<'_>, host: &TcpStream) -> Result<io::Result<()>, ProgramGone> {
    tokio::select! {
        biased;
        ready = host.writable() => return Ok(ready),
        reason = program.closed() => if reason != EndReason::Orderly {
            return Err(ProgramGone);
        },
    }
    // Both FINs are through; the program's data is still owed to the host.
    Ok(host.writable().await)
}

/// Host → program, until the host's end: a FIN becomes a FIN; anything else sets `broken`.
/// Either way the program's kernel has acknowledged all of it when this returns.
pub(crate) async fn down(
    host: &TcpStream,
    program: &mut WriteHalf<'_>,
    broken: &OnceLock<io::Error>,
    traffic: &Traffic,
) -> Result<(), ProgramGone> {
    let mut size = READ_MIN;
    loop {
        let ready = host.readable().await.map_err(|error| error.kind());
        // Allocated only now: a connection that waits holds no buffer.
        let mut buffer = BytesMut::new();
        loop {
            if buffer.capacity() < size / 4 {
                buffer = BytesMut::with_capacity(size);
            }
            let space = buffer.capacity();
            let read = match ready {
                Ok(()) => host.try_read_buf(&mut buffer),
                Err(kind) => Err(kind.into()),
            };
            match read {
                Ok(0) => return close(program, broken).await,
                Ok(n) => {
                    size = next_size(size, n, space);
                    traffic.down(n);
                    let chunk = buffer.split().freeze();
                    program.write_chunk(chunk).await.map_err(|_| ProgramGone)?;
                    tokio::task::coop::consume_budget().await;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    broken.get_or_init(|| error);
                    return close(program, broken).await;
                }
            }
        }
    }
}

async fn close(
    program: &mut WriteHalf<'_>,
    broken: &OnceLock<io::Error>,
) -> Result<(), ProgramGone> {
    // The writing direction takes a socket's error away from the reading one, which then sees a
    // plain end of data: a broken connection must not end in a FIN.
    if broken.get().is_none() {
        program.shutdown().await.map_err(|_| ProgramGone)?;
    }
    program.drained().await.map_err(|_| ProgramGone)
}

/// A buffer that was filled doubles; one of which less than a quarter was used is halved.
fn next_size(size: usize, read: usize, space: usize) -> usize {
    if read == space {
        (size * 2).min(READ_MAX)
    } else if read < size / 4 {
        (size / 2).max(READ_MIN)
    } else {
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_leaves_the_batch() {
        let batch = || [Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"de")];
        for written in 0..=5 {
            let mut left = batch();
            let through = advance(&mut left, written);
            assert_eq!(left.concat(), b"abcde"[written..]);
            assert!(left[..through].iter().all(Bytes::is_empty));
        }
    }

    #[test]
    fn buffers_grow_with_the_traffic_and_shrink_again() {
        let mut size = READ_MIN;
        for _ in 0..10 {
            size = next_size(size, size, size);
        }
        assert_eq!(size, READ_MAX);
        assert_eq!(next_size(size, size / 2, size), size);
        for _ in 0..10 {
            size = next_size(size, 100, size);
        }
        assert_eq!(size, READ_MIN);
    }
}
