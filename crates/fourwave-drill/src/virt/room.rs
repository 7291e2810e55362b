//! How much a write takes: Linux's reckoning of send buffers, which counts the overhead of the
//! buffers behind the text and lets the one at the end be filled whatever the limit says.

use fourwave_core::{ConnId, TcpInfo};

use super::Virtual;
use super::abi::event;
use super::file::File;
use super::socket::{Phase, Socket};
use crate::syscall::Fd;

/// What Linux keeps for each buffer beside its text.
const OVERHEAD: u64 = 1280;
/// The most text of one buffer.
const LARGEST: u32 = 65_215;
/// Below this, a peer's window says nothing about how large a batch may be.
const SMALL_WINDOW: u32 = 536;
/// What Linux expects of each segment of the congestion window when it sizes a buffer by itself.
const FOR_A_SEGMENT: u64 = 2 * 2304;

/// The send side of a socket, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The limit on text and overhead.
    limit: u64,
    /// The limit on text that is not sent.
    lowat: u64,
    /// Text of a full buffer.
    goal: u64,
    mss: u64,
    queued: u64,
    unsent: u64,
}

impl Room {
    fn overhead(&self) -> u64 {
        self.queued.div_ceil(self.goal.min(10 * self.mss)) * OVERHEAD
    }

    fn used(&self) -> u64 {
        self.queued + self.overhead()
    }

    /// Whether a writer that waited, or poll, is told: a third of the buffer is free.
    pub(super) fn is_writable(&self) -> bool {
        let used = self.used();
        used < self.limit && self.limit - used >= used / 2 && self.unsent * 2 < self.lowat
    }

    /// Bytes that may be added now: the rest of the last buffer, or a new one.
    pub(super) fn next(&self) -> u64 {
        let last = self.unsent % self.goal;
        if last > 0 {
            return self.goal - last;
        }
        if self.used() < self.limit && self.unsent < self.lowat { self.goal } else { 0 }
    }
}

impl Virtual {
    pub(super) fn room(&self, fd: Fd, conn: ConnId) -> Option<Room> {
        let Some(File::Socket(socket)) = self.files.get(&fd) else { return None };
        let info = self.stack.info(conn).ok()?;
        Some(self.reckon(socket, &info))
    }

    fn reckon(&self, socket: &Socket, info: &TcpInfo) -> Room {
        let mss = u64::from(info.snd_mss.max(1));
        let window = socket.max_window.max(info.snd_wnd);
        let bound = if window > SMALL_WINDOW { window / 2 } else { window };
        let bytes = u64::from(if bound == 0 { LARGEST } else { bound.min(LARGEST) });
        let own = info.snd_cwnd / mss * FOR_A_SEGMENT;
        let limit = match socket.options.send_buffer {
            Some(set) => set as u64,
            None => own.min(self.sysctls.config.tcp_wmem_max).max(self.sysctls.send_buffer),
        };
        let lowat = match socket.options.not_sent_lowat {
            0 => self.sysctls.not_sent_lowat,
            set => set,
        };
        Room {
            limit,
            lowat: lowat.into(),
            goal: (bytes / mss * mss).max(mss),
            mss,
            queued: info.notsent_bytes + u64::from(info.unacked),
            unsent: info.notsent_bytes,
        }
    }

    /// Whether poll says that a connection can be written to.
    pub(super) fn writable(&self, fd: Fd, conn: ConnId) -> bool {
        self.room(fd, conn).is_none_or(|room| room.is_writable())
    }

    /// After a limit was moved.
    pub(super) fn wake_if_writable(&mut self, fd: Fd) {
        if let Ok(socket) = self.socket(fd)
            && let Phase::Connection(conn) = socket.phase
            && self.writable(fd, conn)
        {
            self.wake(fd, event::OUT | event::WRNORM | event::WRBAND);
        }
    }
}
