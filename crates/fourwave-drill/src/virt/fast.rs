//! Fast Open as sockets have it: `MSG_FASTOPEN`, `TCP_FASTOPEN_CONNECT`, and a listener's options.

use bytes::Bytes;
use fourwave_core::state::State;
use fourwave_core::{FastOpenKeys, ListenFastOpen, SocketOptions};

use super::Virtual;
use super::abi::{self, errno, msg};
use super::job::Job;
use super::outcome::{Attempt, Outcome, Stop, done, fail};
use super::socket::{Opening, Phase};
use crate::syscall::{Fd, OptionValue, SendTo};

/// Bit of `tcp_fastopen`: outgoing connections may.
const CLIENT: u64 = 1;
/// The write has got past opening its connection.
const OPEN: i32 = -1;

/// Bytes of a key, or of a key and the one before it.
fn keys(bytes: &[u8]) -> Option<FastOpenKeys> {
    let (primary, rest) = bytes.split_first_chunk()?;
    let backup = match rest {
        [] => None,
        rest => Some(rest.try_into().ok()?),
    };
    Some(FastOpenKeys { primary: *primary, backup })
}

impl Virtual {
    pub(super) fn fast_open_allowed(&self) -> bool {
        self.sysctls.config.tcp_fastopen & CLIENT != 0
    }

    /// The part of a write that opens its connection; none when that is done and the rest is to
    /// be written.
    pub(super) fn write_fast(
        &mut self,
        job: &mut Job,
        fd: Fd,
        len: usize,
        flags: i32,
        to: Option<SendTo>,
    ) -> Result<Option<Outcome>, Stop> {
        if job.code == 0 {
            job.code = self.start_fast(job, fd, len, flags, to)?;
        }
        let socket = self.socket(fd)?;
        let waits = !socket.nonblocking && !job.expired && flags & msg::DONTWAIT == 0;
        let (phase, limit) = (socket.phase, socket.options.send_timeout);
        match self.state_of(phase) {
            State::SynSent | State::SynReceived if waits => {
                self.queue_early(job, fd, len, flags)?;
                job.opening = job.copied < len;
                Ok(Some(Outcome::Wait(limit)))
            }
            State::SynSent | State::SynReceived if job.copied > 0 => {
                done(job.copied as i64).map(Some)
            }
            State::SynSent | State::SynReceived => fail(job.code),
            State::Closed => {
                // What rode on the SYN does not count any more.
                job.copied = 0;
                let error = self.socket(fd)?.take_error().unwrap_or(errno::ECONNABORTED);
                self.dissolve(fd)?;
                fail(error)
            }
            _ => {
                self.socket(fd)?.opening = Opening::Connected;
                job.code = OPEN;
                Ok(None)
            }
        }
    }

    /// Sends the SYN; returns what the call says when it does not wait.
    fn start_fast(
        &mut self,
        job: &mut Job,
        fd: Fd,
        len: usize,
        flags: i32,
        to: Option<SendTo>,
    ) -> Result<i32, Stop> {
        if flags & msg::FASTOPEN != 0
            && (!self.fast_open_allowed() || to == Some(SendTo::Unspecified))
        {
            return fail(errno::EOPNOTSUPP);
        }
        let socket = self.socket(fd)?;
        let remote = match (socket.phase, socket.opening) {
            (Phase::Deferred(remote), _) => remote,
            (_, Opening::Connecting) => return Ok(errno::EALREADY),
            (_, Opening::Connected) => return fail(errno::EISCONN),
            (_, Opening::Disconnecting) => return fail(errno::EINVAL),
            (Phase::Closed, Opening::Unconnected) => {
                let Some(SendTo::Addr(remote)) = to else { return fail(errno::EINVAL) };
                match socket.family {
                    abi::AF_INET if remote.is_ipv6() => return fail(errno::EAFNOSUPPORT),
                    abi::AF_INET6 if remote.is_ipv4() => return fail(errno::EINVAL),
                    _ => super::open::canonical(remote),
                }
            }
            _ => return fail(errno::EISCONN),
        };
        let mut text = Bytes::from(vec![0; len]);
        job.copied = self.open_connection(fd, remote, Some(&mut text))?;
        Ok(errno::EINPROGRESS)
    }

    /// What a listener hands down to its connections, and its part in Fast Open.
    pub(super) fn handed_down(&mut self, fd: Fd) -> Result<(SocketOptions, ListenFastOpen), Stop> {
        let options = &self.socket(fd)?.options;
        let part = ListenFastOpen::new(options.fastopen);
        let part = options.fastopen_keys.map_or(part, |keys| part.with_keys(keys));
        Ok((self.socket_options(fd)?, part))
    }

    /// Tells the engine what a socket hands down now, where it listens.
    pub(super) fn tell_listener(&mut self, fd: Fd) -> Result<(), Stop> {
        if let Phase::Listening(listener) = self.socket(fd)?.phase {
            let (socket, fast_open) = self.handed_down(fd)?;
            // It fails for a handle that names nothing, and this one is held.
            let _ = self.engine.set_listen_options(listener, socket, fast_open);
        }
        Ok(())
    }

    /// `TCP_FASTOPEN`: how many may wait for the end of their handshake.
    pub(super) fn set_fastopen(&mut self, fd: Fd, value: i64) -> Attempt {
        let socket = self.socket(fd)?;
        let queue = usize::try_from(value);
        let (Ok(queue), Phase::Closed | Phase::Listening(_)) = (queue, socket.phase) else {
            return fail(errno::EINVAL);
        };
        socket.options.fastopen = queue;
        self.tell_listener(fd)?;
        done(0)
    }

    /// `TCP_FASTOPEN_CONNECT`.
    pub(super) fn set_fastopen_connect(&mut self, fd: Fd, value: i64) -> Attempt {
        let allowed = self.fast_open_allowed();
        let socket = self.socket(fd)?;
        match (value, socket.phase) {
            (0 | 1, _) if !allowed => fail(errno::EOPNOTSUPP),
            (0 | 1, Phase::Closed) => {
                socket.options.fastopen_connect = value == 1;
                done(0)
            }
            _ => fail(errno::EINVAL),
        }
    }

    /// `TCP_FASTOPEN_KEY`: 16 bytes, or 32 with the key before it.
    pub(super) fn set_fastopen_key(&mut self, fd: Fd, value: &OptionValue, len: i64) -> Attempt {
        let OptionValue::Bytes(bytes) = value else { return fail(errno::EINVAL) };
        let bytes = bytes.get(..len.max(0) as usize);
        let Some(keys) = bytes.and_then(keys) else { return fail(errno::EINVAL) };
        self.socket(fd)?.options.fastopen_keys = Some(keys);
        self.tell_listener(fd)?;
        done(0)
    }
}
