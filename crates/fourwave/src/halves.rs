//! A stream's two directions, borrowed and owned.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fourwave_core::{EndReason, FarEndQuery, SocketOption, TcpInfo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;
use crate::stream::{TcpStream, asks, reads, writes};

/// The receiving half of [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a> {
    socket: &'a Socket,
}

/// The sending half of [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a> {
    socket: &'a Socket,
}

/// The receiving half of [`TcpStream::into_split`]. The connection closes when both halves are
/// dropped.
#[derive(Debug)]
pub struct OwnedReadHalf {
    socket: Arc<Socket>,
}

/// The sending half of [`TcpStream::into_split`]. Dropping it is a shutdown of its direction,
/// unless it was [forgotten](Self::forget) or [reunited](Self::reunite).
#[derive(Debug)]
pub struct OwnedWriteHalf {
    socket: Arc<Socket>,
    shutdown_on_drop: bool,
}

reads!(['a] ReadHalf<'a>);
writes!(['a] WriteHalf<'a>);
asks!(['a] ReadHalf<'a>);
asks!(['a] WriteHalf<'a>);
reads!([] OwnedReadHalf);
writes!([] OwnedWriteHalf);
asks!([] OwnedReadHalf);
asks!([] OwnedWriteHalf);

impl TcpStream {
    /// A reader and a writer that borrow the stream.
    pub const fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf { socket: self.socket() }, WriteHalf { socket: self.socket() })
    }

    /// A reader and a writer that may go to different tasks. Allocates once.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        owned(self.into_socket())
    }
}

impl<'a> ReadHalf<'a> {
    const fn socket(&self) -> &Socket {
        self.socket
    }

    /// For a relay whose ACKs speak for a far end ([`SocketOption::FarEnd`]).
    pub const fn far_end(&self) -> FarEnd<'a> {
        FarEnd { socket: self.socket }
    }
}

/// The far end of a relay, as this end's peer asks for it: see [`SocketOption::FarEnd`].
#[derive(Clone, Copy, Debug)]
pub struct FarEnd<'a> {
    socket: &'a Socket,
}

asks!(['a] FarEnd<'a>);

impl FarEnd<'_> {
    const fn socket(&self) -> &Socket {
        self.socket
    }

    /// Waits until the peer waits for a sign of the far end, or asks for it again. Never resolves
    /// after the connection's end. Cancel-safe; one task may wait.
    pub async fn asked(&self) -> FarEndQuery {
        let mut waiting = None;
        poll_fn(|cx| self.socket.poll_far_end_asked(cx, &mut waiting)).await
    }

    /// What the peer waits for now; `None` when nothing waits.
    pub fn query(&self) -> Option<FarEndQuery> {
        self.socket.shared.lock().engine.far_end_query(self.socket.conn)
    }

    /// The far end lives: what waits for that is answered, and so is for a while what comes next.
    pub fn confirm(&self) {
        self.socket.confirm_far_end();
    }
}

impl WriteHalf<'_> {
    const fn socket(&self) -> &Socket {
        self.socket
    }
}

impl OwnedReadHalf {
    fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The stream again.
    ///
    /// # Errors
    /// The halves are of different streams; they come back in the error.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, other)
    }

    /// Resets the connection: the peer gets an RST, and what is queued is lost. The other half
    /// reports [`EndReason::Aborted`].
    pub fn abort(self) {
        self.socket.abort();
    }
}

impl OwnedWriteHalf {
    fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The stream again.
    ///
    /// # Errors
    /// The halves are of different streams; they come back in the error.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops the half without shutting its direction down.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }

    /// Resets the connection: the peer gets an RST, and what is queued is lost. The other half
    /// reports [`EndReason::Aborted`].
    pub fn abort(mut self) {
        self.shutdown_on_drop = false;
        self.socket.abort();
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // It fails only when the connection has ended: nothing is left to shut down.
            let _ = self.socket.shutdown();
        }
    }
}

fn owned(socket: Socket) -> (OwnedReadHalf, OwnedWriteHalf) {
    let socket = Arc::new(socket);
    let read = OwnedReadHalf { socket: Arc::clone(&socket) };
    (read, OwnedWriteHalf { socket, shutdown_on_drop: true })
}

fn reunite(
    OwnedReadHalf { socket }: OwnedReadHalf,
    mut write: OwnedWriteHalf,
) -> Result<TcpStream, ReuniteError> {
    if !Arc::ptr_eq(&socket, &write.socket) {
        return Err(ReuniteError(OwnedReadHalf { socket }, write));
    }
    write.shutdown_on_drop = false;
    drop(write);
    match Arc::try_unwrap(socket) {
        Ok(socket) => Ok(TcpStream::new(socket)),
        Err(_) => unreachable!("the two halves are all there are"),
    }
}

/// Halves that are not of one stream, as [`OwnedReadHalf::reunite`] gives them back.
#[derive(Debug)]
pub struct ReuniteError(
    /// The receiving half.
    pub OwnedReadHalf,
    /// The sending half.
    pub OwnedWriteHalf,
);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different streams and cannot be joined")
    }
}

impl std::error::Error for ReuniteError {}
