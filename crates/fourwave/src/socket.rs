//! What every kind of stream does with its connection, once.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use fourwave_core::error::{NoSuchConnection, ReceiveError, SendError};
use fourwave_core::state::State;
use fourwave_core::{ConnId, EndReason, FarEndQuery, Instant, SocketOption, TcpInfo};
use tokio::io::ReadBuf;
use tokio::task::coop::poll_proceed;

use crate::inner::{Inner, Slot, wait, wait_with_others};
use crate::shared::Ref;

/// The most bytes that one write copies into a chunk.
const WRITE_CHUNK: usize = 64 << 10;

/// A connection whose handle is ours. Dropping it closes the connection.
pub(crate) struct Socket {
    pub(crate) shared: Ref,
    pub(crate) conn: ConnId,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

impl Socket {
    pub(crate) const fn new(
        shared: Ref,
        conn: ConnId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        Self { shared, conn, local, remote }
    }

    pub(crate) fn poll_read_chunk(
        &self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<io::Result<Bytes>> {
        let coop = ready!(poll_proceed(cx));
        let read = self.shared.call(|inner, now| self.receive(cx, inner, now, max));
        if read.is_ready() {
            coop.made_progress();
        }
        read
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let coop = ready!(poll_proceed(cx));
        let before = buf.filled().len();
        let read = self.shared.call(|inner, now| {
            while buf.remaining() > 0 {
                let chunk = ready!(self.receive(cx, inner, now, buf.remaining()))?;
                if chunk.is_empty() {
                    break;
                }
                buf.put_slice(&chunk);
            }
            Poll::Ready(Ok(()))
        });
        if buf.filled().len() > before {
            // Whatever came behind the data is still there for the next call.
            coop.made_progress();
            return Poll::Ready(Ok(()));
        }
        if read.is_ready() {
            coop.made_progress();
        }
        read
    }

    fn receive(
        &self,
        cx: &Context<'_>,
        inner: &mut Inner,
        now: Instant,
        max: usize,
    ) -> Poll<io::Result<Bytes>> {
        match inner.engine.receive(now, self.conn, max) {
            Ok(chunk) => Poll::Ready(Ok(chunk)),
            Err(ReceiveError::WouldBlock) => self.wait_in(cx, inner, |slot| &mut slot.reader),
            Err(ReceiveError::Ended(reason)) => Poll::Ready(Err(inner.ended(reason))),
            Err(ReceiveError::NoSuchConnection) => Poll::Ready(Err(inner.dead(self.conn))),
            Err(other) => Poll::Ready(Err(io::Error::other(other))),
        }
    }

    pub(crate) fn poll_write_chunk(
        &self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let coop = ready!(poll_proceed(cx));
        let written = self.shared.call(|inner, now| self.send(cx, inner, now, data));
        if written.is_ready() {
            coop.made_progress();
        }
        written
    }

    /// Copies what there is room for into one chunk.
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(WRITE_CHUNK);
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        let coop = ready!(poll_proceed(cx));
        let written = self.shared.call(|inner, now| {
            let room = match inner.engine.send_room(self.conn) {
                Ok(room) => room,
                Err(why) => return Poll::Ready(Err(self.send_error(inner, why))),
            };
            // Without any room one byte is offered, so that the engine knows who waits.
            let mut chunk = gather(bufs, room.clamp(1, offered));
            self.send(cx, inner, now, &mut chunk)
        });
        if written.is_ready() {
            coop.made_progress();
        }
        written
    }

    fn send(
        &self,
        cx: &Context<'_>,
        inner: &mut Inner,
        now: Instant,
        data: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        match inner.engine.send(now, self.conn, data) {
            Ok(0) => self.wait_in(cx, inner, |slot| &mut slot.writer),
            Ok(sent) => Poll::Ready(Ok(sent)),
            Err(why) => Poll::Ready(Err(self.send_error(inner, why))),
        }
    }

    /// Half-close: the FIN goes out behind what is queued. Never pending.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.shared.call(|inner, now| match inner.engine.shutdown(now, self.conn) {
            Ok(()) | Err(SendError::Shutdown | SendError::Ended(EndReason::Orderly)) => Ok(()),
            Err(why) => Err(self.send_error(inner, why)),
        })
    }

    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.shared.lock();
        let inner = &mut *inner;
        match inner.slot(self.conn).and_then(|slot| slot.ended) {
            Some(EndReason::Orderly) => return Poll::Ready(Ok(())),
            Some(reason) => return Poll::Ready(Err(inner.ended(reason))),
            None => {}
        }
        let info =
            inner.engine.info(self.conn).map_err(|NoSuchConnection| inner.dead(self.conn))?;
        let fin_unacked = matches!(info.state, State::FinWait1 | State::Closing | State::LastAck);
        if info.unacked == 0 && info.notsent_bytes == 0 && !fin_unacked {
            return Poll::Ready(Ok(()));
        }
        self.wait_in(cx, inner, |slot| &mut slot.drainer)
    }

    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<EndReason> {
        let mut inner = self.shared.lock();
        match inner.slot(self.conn) {
            Some(Slot { ended: Some(reason), .. }) => Poll::Ready(*reason),
            Some(slot) => {
                wait_with_others(&mut slot.closers, cx);
                Poll::Pending
            }
            None => Poll::Ready(EndReason::Shutdown),
        }
    }

    /// A query for the far end that nobody was told of yet.
    ///
    /// A relay polls this with every packet that it moves, so a poll with nothing new takes no
    /// lock: `waiting` is the waker that waits in the slot, and how many queries there were then.
    pub(crate) fn poll_far_end_asked(
        &self,
        cx: &mut Context<'_>,
        waiting: &mut Option<(u64, Waker)>,
    ) -> Poll<FarEndQuery> {
        let asked = &self.shared.far_end_asked;
        if waiting.as_ref().is_some_and(|(seen, waker)| {
            *seen == asked.load(Ordering::Acquire) && waker.will_wake(cx.waker())
        }) {
            return Poll::Pending;
        }
        let mut inner = self.shared.lock();
        let Some(slot) = inner.slot(self.conn) else { return Poll::Pending };
        if std::mem::take(&mut slot.far_end_asked)
            && let Some(query) = inner.engine.far_end_query(self.conn)
        {
            return Poll::Ready(query);
        }
        if let Some(slot) = inner.slot(self.conn) {
            wait(&mut slot.relayer, cx);
        }
        // Read under the lock: the next query raises it.
        let seen = asked.load(Ordering::Relaxed);
        drop(inner);
        *waiting = Some((seen, cx.waker().clone()));
        Poll::Pending
    }

    pub(crate) fn confirm_far_end(&self) {
        self.shared.call(|inner, now| {
            // Dead already after abort, or when the stack has stopped.
            let _ = inner.engine.confirm_far_end(now, self.conn);
        });
    }

    fn wait_in<T>(
        &self,
        cx: &Context<'_>,
        inner: &mut Inner,
        place: impl FnOnce(&mut Slot) -> &mut Option<Waker>,
    ) -> Poll<io::Result<T>> {
        match inner.slot(self.conn) {
            Some(slot) => {
                wait(place(slot), cx);
                Poll::Pending
            }
            None => Poll::Ready(Err(inner.dead(self.conn))),
        }
    }

    pub(crate) fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.shared.call(|inner, now| {
            let set = inner.engine.set_option(now, self.conn, option);
            set.map_err(|NoSuchConnection| inner.dead(self.conn))
        })
    }

    pub(crate) fn info(&self) -> io::Result<TcpInfo> {
        let now = self.shared.now();
        let mut inner = self.shared.lock();
        let info = inner.engine.info_at(now, self.conn);
        info.map_err(|NoSuchConnection| inner.dead(self.conn))
    }

    /// Resets the connection. Whoever waits on it is told.
    pub(crate) fn abort(&self) {
        self.shared.call(|inner, now| {
            // Dead already when it was aborted before or the stack has stopped.
            let _ = inner.engine.abort(now, self.conn);
        });
    }

    fn send_error(&self, inner: &mut Inner, why: SendError) -> io::Error {
        match why {
            SendError::NoSuchConnection => inner.dead(self.conn),
            SendError::Shutdown => io::Error::new(io::ErrorKind::BrokenPipe, why),
            SendError::Ended(reason) => inner.ended(reason),
            other => io::Error::other(other),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let slot = self.shared.call(|inner, now| {
            // Dead already after abort, or when the stack has stopped.
            let _ = inner.engine.close(now, self.conn);
            inner.unregister(self.conn)
        });
        drop(slot);
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

fn gather(bufs: &[IoSlice<'_>], len: usize) -> Bytes {
    if let Some(first) = bufs.first().and_then(|buf| buf.get(..len)) {
        return Bytes::copy_from_slice(first);
    }
    let mut chunk = BytesMut::with_capacity(len);
    for buf in bufs {
        let wanted = buf.len().min(len - chunk.len());
        chunk.extend_from_slice(&buf[..wanted]);
    }
    chunk.freeze()
}
