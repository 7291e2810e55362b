//! A gateway's listener: every SYN waits for the caller's decision.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use fourwave_core::{Decision, ListenerId};
use fourwave_wire::icmp::IcmpError;

use crate::inner::{IncomingRecord, Progress, wait, wait_with_others};
use crate::shared::Ref;
use crate::socket::Socket;
use crate::stream::TcpStream;

/// The SYNs to every address and port, before they are answered.
pub struct IncomingListener {
    shared: Ref,
    id: ListenerId,
}

impl IncomingListener {
    pub(crate) const fn new(shared: Ref, id: ListenerId) -> Self {
        Self { shared, id }
    }

    /// The next SYN that is still alive. Cancel-safe.
    ///
    /// # Errors
    /// Only after the stack has stopped.
    pub async fn next(&self) -> io::Result<Incoming> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next).
    ///
    /// # Errors
    /// Only after the stack has stopped.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        let mut inner = self.shared.lock();
        let inner = &mut *inner;
        let Some(state) = inner.listeners.get_mut(&self.id) else {
            return Poll::Ready(Err(inner.stopped()));
        };
        while let Some(record) = state.incoming.pop_front() {
            if inner.pending.contains_key(&record.pending) {
                let shared = self.shared.clone();
                return Poll::Ready(Ok(Incoming { shared, record, stage: Stage::Undecided }));
            }
        }
        wait_with_others(&mut state.wakers, cx);
        Poll::Pending
    }
}

impl Drop for IncomingListener {
    fn drop(&mut self) {
        self.shared.call(|inner, now| inner.unlisten(now, self.id));
    }
}

impl std::fmt::Debug for IncomingListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingListener").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Undecided,
    /// SYN ACK sent; whoever drops us now gives the connection up.
    Accepting,
    Over,
}

/// A SYN that nobody has answered yet. Dropped without a decision, it is answered with RST.
#[must_use = "dropping it refuses the connection"]
pub struct Incoming {
    shared: Ref,
    record: IncomingRecord,
    stage: Stage,
}

impl Incoming {
    /// The address that was called.
    pub const fn local(&self) -> SocketAddr {
        self.record.local
    }

    /// Who calls.
    pub const fn remote(&self) -> SocketAddr {
        self.record.remote
    }

    /// Waits until the SYN is gone: the caller gave up before it was answered. Cancel-safe.
    pub async fn gone(&mut self) {
        poll_fn(|cx| {
            let mut inner = self.shared.lock();
            let Some(pending) = inner.pending.get_mut(&self.record.pending) else {
                return Poll::Ready(());
            };
            wait(&mut pending.waker, cx);
            Poll::Pending
        })
        .await;
    }

    /// Answers with SYN ACK and waits until the handshake is over. Dropping the future before
    /// that resets the connection as soon as it is open.
    ///
    /// # Errors
    /// `ConnectionAborted` when the caller went away before the connection was open.
    pub async fn accept(mut self) -> io::Result<TcpStream> {
        if !self.decide(Decision::Accept) {
            return Err(self.gone_error());
        }
        self.stage = Stage::Accepting;
        poll_fn(|cx| self.poll_open(cx)).await
    }

    /// Answers with RST: the caller sees "connection refused".
    pub fn reset(mut self) {
        self.decide(Decision::Reset);
    }

    /// Answers with an ICMP error.
    pub fn unreachable(mut self, error: IcmpError) {
        self.decide(Decision::Unreachable(error));
    }

    /// Does not answer. A SYN that is sent again is reported anew.
    pub fn ignore(mut self) {
        self.decide(Decision::Ignore);
    }

    fn decide(&mut self, decision: Decision) -> bool {
        self.stage = Stage::Over;
        self.shared.call(|inner, now| inner.decide(now, self.record.pending, decision))
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let mut inner = self.shared.lock();
        let Some(pending) = inner.pending.get_mut(&self.record.pending) else {
            drop(inner);
            self.stage = Stage::Over;
            return Poll::Ready(Err(self.gone_error()));
        };
        let Progress::Open(conn) = pending.progress else {
            wait(&mut pending.waker, cx);
            return Poll::Pending;
        };
        let _ = inner.pending.remove(&self.record.pending);
        drop(inner);
        self.stage = Stage::Over;
        let IncomingRecord { local, remote, .. } = self.record;
        Poll::Ready(Ok(TcpStream::new(Socket::new(self.shared.clone(), conn, local, remote))))
    }

    fn gone_error(&self) -> io::Error {
        let inner = self.shared.lock();
        if inner.stopping {
            return inner.stopped();
        }
        let text = format!(
            "{} gave up calling {} before the connection was open",
            self.record.remote, self.record.local
        );
        io::Error::new(io::ErrorKind::ConnectionAborted, text)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        match self.stage {
            Stage::Over => {}
            Stage::Undecided => {
                self.decide(Decision::Reset);
            }
            Stage::Accepting => self.shared.call(|inner, now| {
                inner.abandon(now, self.record.pending);
            }),
        }
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("local", &self.record.local)
            .field("remote", &self.record.remote)
            .finish_non_exhaustive()
    }
}
