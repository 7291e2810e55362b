//! The sockets of one sample, whichever way they were seen.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use fourwave_core::state::State;

use super::decode::Entry;
use crate::snapshot::{Listener, Socket};

/// The sockets of one sample.
#[derive(Default)]
pub(super) struct Sockets {
    pub(super) sockets: Vec<Socket>,
    pub(super) listeners: Vec<Listener>,
    /// Some may be missing or twice: the list changed while it was read.
    pub(super) is_torn: bool,
}

impl Sockets {
    pub(super) fn add(&mut self, entry: Option<Entry>) {
        match entry {
            Some(Entry::Socket(socket)) => self.sockets.push(socket),
            Some(Entry::Listener(listener)) => self.listeners.push(listener),
            None => {}
        }
    }

    /// Counts the half-open at the listeners that they are for. O(sockets).
    pub(super) fn count_half_open(&mut self) {
        let mut at = HashMap::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            at.entry((listener.local.ip(), listener.local.port())).or_insert(index);
        }
        for socket in self.sockets.iter().filter(|s| s.state == State::SynReceived) {
            if let Some(&index) = targets(socket.local).iter().find_map(|target| at.get(target)) {
                self.listeners[index].half_open += 1;
            }
        }
    }
}

/// Where who listens for connections to `local` may be bound, the most precise first.
fn targets(local: SocketAddr) -> [(IpAddr, u16); 3] {
    let (v4, v6) = ([0; 4].into(), [0; 16].into());
    let any = if local.is_ipv4() { v4 } else { v6 };
    [(local.ip(), local.port()), (any, local.port()), (v6, local.port())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(local: &str) -> Listener {
        let local = local.parse().unwrap();
        Listener { local, queue: 0, backlog: 0, half_open: 0, inode: 1, uid: 0 }
    }

    fn half_open(local: &str) -> Socket {
        Socket {
            state: State::SynReceived,
            local: local.parse().unwrap(),
            remote: "10.9.9.9:1".parse().unwrap(),
            unread: 0,
            unread_end: false,
            unacked: 0,
            inode: 0,
            uid: 0,
            timer: None,
            info: None,
        }
    }

    #[test]
    fn half_open_ones_are_counted_at_the_most_precise_listener() {
        let listeners =
            ["0.0.0.0:80", "10.0.0.1:80", "10.0.0.1:80", "[::]:80", "[::]:443"].map(listener);
        let sockets = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.2:443", "[fd00::1]:80", "10.0.0.1:9"];
        let sockets = sockets.map(half_open).into();
        let mut all = Sockets { sockets, listeners: listeners.into(), is_torn: false };
        all.count_half_open();
        let counts: Vec<_> = all.listeners.iter().map(|l| l.half_open).collect();
        assert_eq!(counts, [1, 1, 0, 1, 1]);
    }
}
