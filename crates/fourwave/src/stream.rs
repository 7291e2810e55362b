//! A connection as a tokio stream.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fourwave_core::{EndReason, SocketOption, TcpInfo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;

/// What [`AsyncRead`] and reading whole chunks need; the type has a `socket()`.
macro_rules! reads {
    ([$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> $name {
            /// The next received bytes, at most `max` of them, as they came: nothing is copied.
            /// An empty chunk is the end of the stream (or `max` is 0). Cancel-safe.
            ///
            /// # Errors
            /// How the connection ended, as a [`CloseError`](crate::CloseError), once all that
            /// came before has been read.
            pub async fn read_chunk(&mut self, max: usize) -> io::Result<Bytes> {
                poll_fn(|cx| self.poll_read_chunk(cx, max)).await
            }

            /// As [`read_chunk`](Self::read_chunk).
            ///
            /// # Errors
            /// As [`read_chunk`](Self::read_chunk).
            pub fn poll_read_chunk(
                &mut self,
                cx: &mut Context<'_>,
                max: usize,
            ) -> Poll<io::Result<Bytes>> {
                self.socket().poll_read_chunk(cx, max)
            }
        }

        impl<$($generics)*> AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.socket().poll_read(cx, buf)
            }
        }
    };
}

/// What [`AsyncWrite`] and writing whole chunks need; the type has a `socket()`.
macro_rules! writes {
    ([$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> $name {
            /// Queues all of `data`, without copying it. Dropping the future may leave some of
            /// it queued: where that matters use [`poll_write_chunk`](Self::poll_write_chunk).
            ///
            /// # Errors
            /// `BrokenPipe` after shutdown, or how the connection ended, as a
            /// [`CloseError`](crate::CloseError).
            pub async fn write_chunk(&mut self, mut data: Bytes) -> io::Result<()> {
                while !data.is_empty() {
                    poll_fn(|cx| self.poll_write_chunk(cx, &mut data)).await?;
                }
                Ok(())
            }

            /// Queues as much of `data` as there is room for and takes that off its front.
            /// Returns the bytes taken: 0 only when `data` is empty.
            ///
            /// # Errors
            /// As [`write_chunk`](Self::write_chunk).
            pub fn poll_write_chunk(
                &mut self,
                cx: &mut Context<'_>,
                data: &mut Bytes,
            ) -> Poll<io::Result<usize>> {
                self.socket().poll_write_chunk(cx, data)
            }

            /// Waits until the peer has acknowledged all that was queued, the FIN included when
            /// there was a shutdown. Cancel-safe.
            ///
            /// # Errors
            /// How the connection ended, when not in order.
            pub async fn drained(&mut self) -> io::Result<()> {
                poll_fn(|cx| self.socket().poll_drained(cx)).await
            }
        }

        impl<$($generics)*> AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.socket().poll_write_vectored(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.socket().poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            /// Nothing to do: what is queued is sent without it.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Half-close: a FIN goes out behind what is queued, and reading goes on.
            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.socket().shutdown())
            }
        }
    };
}

/// What every kind of stream can be asked.
macro_rules! asks {
    ([$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> $name {
            /// Waits until the connection has ended: both FINs acknowledged, a reset, a timeout.
            /// What was received can still be read. Cancel-safe; any number of tasks may wait.
            pub async fn closed(&self) -> EndReason {
                poll_fn(|cx| self.poll_closed(cx)).await
            }

            /// As [`closed`](Self::closed).
            pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<EndReason> {
                self.socket().poll_closed(cx)
            }

            /// Sets an option.
            ///
            /// # Errors
            /// Only after the stack has stopped.
            pub fn set_option(&self, option: SocketOption) -> io::Result<()> {
                self.socket().set_option(option)
            }

            /// The connection's figures, those of Linux's `TCP_INFO`.
            ///
            /// # Errors
            /// Only after the stack has stopped.
            pub fn info(&self) -> io::Result<TcpInfo> {
                self.socket().info()
            }

            /// Our address: for a connection that was accepted, the one that was called.
            ///
            /// # Errors
            /// None.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                Ok(self.socket().local)
            }

            /// The peer's address.
            ///
            /// # Errors
            /// None.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                Ok(self.socket().remote)
            }
        }
    };
}

pub(crate) use {asks, reads, writes};

/// A connection.
///
/// Dropping it closes it in order: what is queued is still sent, then a FIN. When received data
/// is unread, the peer gets an RST instead, as from the kernel.
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
}

reads!([] TcpStream);
writes!([] TcpStream);
asks!([] TcpStream);

impl TcpStream {
    pub(crate) const fn new(socket: Socket) -> Self {
        Self { socket }
    }

    /// The socket alone, for halves.
    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }

    pub(crate) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// `TCP_NODELAY`: whether small segments are sent at once (true) or wait while an earlier one
    /// is unacknowledged (Nagle).
    ///
    /// # Errors
    /// Only after the stack has stopped.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set_option(SocketOption::NoDelay(nodelay))
    }

    /// Resets the connection: the peer gets an RST, and what is queued is lost.
    pub fn abort(self) {
        self.socket.abort();
    }

    /// Closes the connection and waits until all that was written, the FIN included, is
    /// acknowledged, however long that takes. Dropping a stream closes it too, without waiting and
    /// without a word about the outcome.
    ///
    /// # Errors
    /// How the connection ended, when not in order.
    pub async fn close(mut self) -> io::Result<()> {
        self.socket.shutdown()?;
        self.drained().await
    }

    /// As [`close`](Self::close), for at most `limit`: `SO_LINGER` with a time.
    ///
    /// # Errors
    /// How the connection ended, when not in order; `TimedOut` when the time ran out: the engine
    /// goes on delivering, but nobody will hear of it. To reset instead: [`abort`](Self::abort).
    pub async fn close_within(self, limit: std::time::Duration) -> io::Result<()> {
        match tokio::time::timeout(limit, self.close()).await {
            Ok(closed) => closed,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("not all that was written was acknowledged within {limit:?}"),
            )),
        }
    }
}
