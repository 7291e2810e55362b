//! What a socket is given before its SYN: what a connection opens with, and what a listener's
//! connections inherit.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::fast_open::FastOpenKeys;
use crate::sender::congestion::Algorithm;
use crate::socket_option::SocketOption;

/// The least receive buffer, in bytes, as `SO_RCVBUF` of Linux has it.
const LEAST_RECEIVE_BUFFER: u32 = 1024;

/// Options that hold from the first segment on: the SYN's window and its scale follow from the
/// receive buffer, its MSS from `TCP_MAXSEG`.
#[derive(Clone, Debug, Default)]
pub struct SocketOptions {
    options: Vec<SocketOption>,
    congestion: Option<Algorithm>,
}

impl SocketOptions {
    /// Adds one, which takes the place of what was said about the same before.
    #[must_use]
    pub fn with(mut self, option: SocketOption) -> Self {
        self.set(option);
        self
    }

    /// As [`with`](Self::with).
    pub fn set(&mut self, option: SocketOption) {
        let kind = core::mem::discriminant(&option);
        self.options.retain(|known| core::mem::discriminant(known) != kind);
        self.options.push(option);
    }

    /// Another congestion control than the engine's (`TCP_CONGESTION`).
    #[must_use]
    pub fn with_congestion(mut self, algorithm: Algorithm) -> Self {
        self.congestion = Some(algorithm);
        self
    }

    /// The form in which a listener hands them to each of its connections.
    pub(crate) fn shared(self) -> Shared {
        let mut syn = SynOptions::default();
        for option in &self.options {
            match *option {
                SocketOption::ReceiveBuffer(bytes) => {
                    syn.receive_buffer = Some(bytes.max(LEAST_RECEIVE_BUFFER));
                }
                SocketOption::MaxSeg(bytes) => syn.max_seg = bytes,
                _ => {}
            }
        }
        let options = (!self.options.is_empty()).then(|| self.options.into());
        Shared { syn, options, congestion: self.congestion }
    }
}

/// What of the options a SYN tells.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SynOptions {
    /// `SO_RCVBUF`; `None` for the engine's.
    pub(crate) receive_buffer: Option<u32>,
    /// `TCP_MAXSEG`; 0 for the link's.
    pub(crate) max_seg: u16,
}

/// Options of a listener, a copy of which costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) syn: SynOptions,
    /// `None` for none, as most have it.
    options: Option<Arc<[SocketOption]>>,
    pub(crate) congestion: Option<Algorithm>,
}

impl Shared {
    pub(crate) fn options(&self) -> &[SocketOption] {
        self.options.as_deref().unwrap_or_default()
    }
}

/// How [`Engine::connect_with`](crate::Engine::connect_with) opens.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// What the connection begins with.
    pub socket: SocketOptions,
    /// Where the engine chooses our port (`IP_LOCAL_PORT_RANGE`); `None` for
    /// `ip_local_port_range`.
    pub local_ports: Option<RangeInclusive<u16>>,
    /// Fast Open (RFC 7413): data may ride on the SYN.
    pub fast_open: bool,
    /// The peer is known to need no cookie (`TCP_FASTOPEN_NO_COOKIE`).
    pub no_cookie: bool,
}

/// A listener's part in Fast Open.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ListenFastOpen {
    /// Most connections whose handshake is not through (`TCP_FASTOPEN`), limited by `somaxconn`; 0
    /// takes no part.
    pub queue: usize,
    /// Keys of its own; `None` for the engine's.
    pub keys: Option<FastOpenKeys>,
}

impl ListenFastOpen {
    /// Takes part, for so many connections.
    pub const fn new(queue: usize) -> Self {
        Self { queue, keys: None }
    }

    /// For no more than `most`.
    pub(crate) fn limited_to(self, most: usize) -> Self {
        Self { queue: self.queue.min(most), ..self }
    }

    /// With keys of its own.
    #[must_use]
    pub const fn with_keys(self, keys: FastOpenKeys) -> Self {
        Self { keys: Some(keys), ..self }
    }
}
