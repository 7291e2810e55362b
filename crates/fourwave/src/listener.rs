//! A listener whose SYNs the engine answers by itself.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use fourwave_core::ListenerId;

use crate::inner::wait_with_others;
use crate::shared::Ref;
use crate::socket::Socket;
use crate::stream::TcpStream;

/// A listening socket. Dropping it resets the connections that were not accepted.
pub struct TcpListener {
    shared: Ref,
    id: ListenerId,
    local: SocketAddr,
}

impl TcpListener {
    pub(crate) const fn new(shared: Ref, id: ListenerId, local: SocketAddr) -> Self {
        Self { shared, id, local }
    }

    /// The next open connection and its peer's address. Cancel-safe; several tasks may wait.
    ///
    /// # Errors
    /// Only after the stack has stopped.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`accept`](Self::accept).
    ///
    /// # Errors
    /// Only after the stack has stopped.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.shared.call(|inner, now| {
            if let Some(accepted) = inner.engine.accept(now, self.id) {
                inner.register(accepted.conn);
                return Poll::Ready(Ok(accepted));
            }
            let Some(state) = inner.listeners.get_mut(&self.id) else {
                return Poll::Ready(Err(inner.stopped()));
            };
            wait_with_others(&mut state.wakers, cx);
            Poll::Pending
        });
        accepted.map_ok(|a| {
            let socket = Socket::new(self.shared.clone(), a.conn, a.local, a.remote);
            (TcpStream::new(socket), a.remote)
        })
    }

    /// The address it listens on, with the port that was chosen for port 0.
    ///
    /// # Errors
    /// None.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.shared.call(|inner, now| inner.unlisten(now, self.id));
    }
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpListener").field("local", &self.local).finish_non_exhaustive()
    }
}
