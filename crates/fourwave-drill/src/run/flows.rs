//! The sockets of a script and the connections behind them: who is under test, which addresses
//! are theirs, and how the script's sequence numbers become live ones.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::run::Options;
use crate::syscall::Fd;

/// The first port that the script's end takes for itself.
const FIRST_PORT: u16 = 49_152;

/// What a socket is doing, as far as packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Neither listening nor connected.
    Fresh,
    /// An inbound packet makes a child.
    Listening,
    /// It sends the first packet.
    Active,
    /// It was made by an inbound packet.
    Child,
}

/// The timestamps of one direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// Outbound values: the script's to the live one.
    pub(crate) vals: HashMap<u32, u32>,
    /// The first of them, both.
    pub(crate) first: Option<(u32, u32)>,
}

/// One socket, or a connection that has none yet.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) fd: Option<Fd>,
    pub(crate) role: Role,
    pub(crate) is_udp: bool,
    /// Live port of the stack's end.
    pub(crate) local_port: Option<u16>,
    /// Live port of the script's end.
    pub(crate) remote_port: Option<u16>,
    pub(crate) remote_ip: IpAddr,
    /// Initial sequence number of the stack: the script's and the live one.
    pub(crate) local_isn: Option<(u32, u32)>,
    /// That of the script, which is the same on the wire.
    pub(crate) remote_isn: Option<u32>,
    /// A SYN from the script that may begin the connection anew.
    pub(crate) new_isn: Option<u32>,
    /// It was told to connect again: its next SYN has a new number.
    pub(crate) relearn: bool,
    pub(crate) clock: Clock,
    /// How far the stack's stream is, with `--loose_segments`.
    pub(crate) stream: Option<Stream>,
}

/// How far the stack's stream is, in live numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// The initial sequence number that it belongs to.
    isn: u32,
    /// Behind what events have asked for.
    pub(crate) met: u32,
    /// Behind all that has been seen.
    pub(crate) sent: u32,
    /// What the script has acknowledged of it.
    pub(crate) acked: u32,
    /// An event has asked for an RST: more may follow, one for each packet in.
    pub(crate) reset: bool,
}

impl Stream {
    /// The script sends an ACK with this number.
    pub(crate) fn acknowledge(&mut self, ack: u32) {
        if beyond(ack, self.acked) && !beyond(ack, self.sent) {
            self.acked = ack;
        }
    }
}

/// Whether `number` comes after `other`.
pub(crate) fn beyond(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

impl Flow {
    fn new(fd: Option<Fd>, role: Role, is_udp: bool, options: &Options) -> Self {
        Self {
            fd,
            role,
            is_udp,
            local_port: None,
            remote_port: None,
            remote_ip: options.remote(),
            local_isn: None,
            remote_isn: None,
            new_isn: None,
            relearn: false,
            clock: Clock::default(),
            stream: None,
        }
    }

    /// The stack's stream; one that has not been looked at begins behind the SYN.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        let isn = self.local_shift(false);
        let first = isn.wrapping_add(1);
        let fresh = Stream { isn, met: first, sent: first, acked: isn, reset: false };
        let known = self.stream.filter(|stream| stream.isn == isn);
        self.stream.insert(known.unwrap_or(fresh))
    }

    /// What is added to a number of the script in the stack's space to make it live.
    pub(crate) fn local_shift(&self, syn: bool) -> u32 {
        let (script, live) = self.local_isn.unwrap_or((0, 0));
        if syn { live.wrapping_sub(script) } else { live }
    }

    /// The same for the script's own space.
    pub(crate) fn remote_shift(&self, syn: bool) -> u32 {
        if syn { 0 } else { self.remote_isn.unwrap_or(0) }
    }
}

/// All of them, oldest first.
#[derive(Debug)]
pub(crate) struct Flows {
    list: Vec<Flow>,
    under_test: Option<usize>,
    next_port: u16,
}

impl Flows {
    pub(crate) fn new() -> Self {
        Self { list: Vec::new(), under_test: None, next_port: FIRST_PORT }
    }

    pub(crate) fn get(&self, at: usize) -> &Flow {
        &self.list[at]
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> &mut Flow {
        &mut self.list[at]
    }

    /// The descriptor of the socket under test, if it has one.
    pub(crate) fn fd_under_test(&self) -> Option<Fd> {
        self.under_test.and_then(|at| self.list[at].fd)
    }

    /// `socket()` made one: it is under test now.
    pub(crate) fn made(&mut self, fd: Fd, is_udp: bool, options: &Options) {
        self.push(Flow::new(Some(fd), Role::Fresh, is_udp, options));
    }

    fn push(&mut self, flow: Flow) -> usize {
        self.list.push(flow);
        let at = self.list.len() - 1;
        self.under_test = Some(at);
        at
    }

    /// The newest flow with this descriptor.
    pub(crate) fn of_fd(&mut self, fd: Fd) -> Option<&mut Flow> {
        self.list.iter_mut().rev().find(|flow| flow.fd == Some(fd))
    }

    /// `accept()` gave a connection a descriptor: that of the caller's port, or the newest.
    pub(crate) fn accepted(&mut self, fd: Fd, peer: Option<SocketAddr>) {
        let waiting = |flow: &&mut Flow| flow.role == Role::Child && flow.fd.is_none();
        let of_peer = |flow: &Flow| peer.is_none_or(|peer| flow.remote_port == Some(peer.port()));
        let found = self.list.iter_mut().rev().filter(waiting).find(|flow| of_peer(flow));
        if let Some(flow) = found {
            flow.fd = Some(fd);
        }
    }

    /// Which flow an inbound packet of the script belongs to; it is made where there is none.
    /// `ports` are the script's, (its own, the stack's).
    pub(crate) fn for_inbound(
        &mut self,
        ports: Option<(u16, u16)>,
        is_udp: bool,
        options: &Options,
    ) -> usize {
        if let Some((remote, local)) = ports {
            return self
                .of_ports(local, remote)
                .unwrap_or_else(|| self.child(local, remote, is_udp, options));
        }
        match self.under_test.map(|at| (at, &self.list[at])) {
            Some((at, flow)) if flow.role != Role::Listening && flow.remote_port.is_some() => at,
            found => {
                let local = found.and_then(|(_, flow)| flow.local_port);
                let remote = self.next_port;
                self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
                self.child(local.unwrap_or(options.bind_port), remote, is_udp, options)
            }
        }
    }

    /// Whether somebody is there for a SYN to this flow: a listener, or a socket that connects.
    pub(crate) fn may_take_syn(&self, at: usize) -> bool {
        let listens = |flow: &Flow| flow.role == Role::Listening;
        self.list[at].role == Role::Active || self.list.iter().any(listens)
    }

    fn child(&mut self, local: u16, remote: u16, is_udp: bool, options: &Options) -> usize {
        let mut flow = Flow::new(None, Role::Child, is_udp, options);
        flow.local_port = Some(local);
        flow.remote_port = Some(remote);
        self.push(flow)
    }

    fn of_ports(&self, local: u16, remote: u16) -> Option<usize> {
        self.list
            .iter()
            .rposition(|flow| flow.local_port == Some(local) && flow.remote_port == Some(remote))
    }

    /// The flow that an outbound packet of the script is about.
    pub(crate) fn for_outbound(&self, ports: Option<(u16, u16)>) -> Option<usize> {
        match ports {
            Some((local, remote)) => self.of_ports(local, remote).or(self.under_test),
            None => self.under_test,
        }
    }

    /// The flow of a packet that the stack sent. `first` is the sequence number of a SYN that opens
    /// a connection: by it a connecting socket learns its port, even that of an older connection.
    pub(crate) fn of_packet(
        &mut self,
        local: u16,
        remote: (IpAddr, u16),
        first: Option<u32>,
    ) -> Option<usize> {
        let same = |flow: &Flow| flow.remote_ip == remote.0 && flow.remote_port == Some(remote.1);
        let known = self.list.iter().rposition(|flow| flow.local_port == Some(local) && same(flow));
        let sent_before =
            |at: usize| first.is_none() || self.list[at].local_isn.map(|(_, live)| live) == first;
        if known.is_some_and(sent_before) {
            return known;
        }
        let connecting = self.list.iter().rposition(|flow| {
            let unknown = flow.local_port.is_none() || first.is_some() && flow.relearn;
            flow.role == Role::Active && unknown && same(flow)
        });
        let Some(connecting) = connecting else { return known };
        self.list[connecting].local_port = Some(local);
        Some(connecting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_children_and_the_newest_is_under_test() {
        let options = Options::default();
        let mut flows = Flows::new();
        flows.made(3, false, &options);
        let listener = flows.of_fd(3).unwrap();
        listener.role = Role::Listening;
        listener.local_port = Some(8080);
        let child = flows.for_inbound(None, false, &options);
        assert_eq!(flows.for_inbound(None, false, &options), child);
        assert_eq!(flows.fd_under_test(), None);
        flows.accepted(4, None);
        assert_eq!(flows.fd_under_test(), Some(4));
        let other = flows.for_inbound(Some((5000, 8080)), false, &options);
        assert_ne!(other, child);
        let remote = (options.remote(), 5000);
        assert_eq!(flows.of_packet(8080, remote, None), Some(other));
        assert_eq!(flows.of_packet(8081, remote, None), None);
    }

    #[test]
    fn a_connecting_socket_learns_its_port_from_its_first_packet() {
        let options = Options::default();
        let mut flows = Flows::new();
        flows.made(3, false, &options);
        let flow = flows.of_fd(3).unwrap();
        (flow.role, flow.remote_port) = (Role::Active, Some(8080));
        assert_eq!(flows.of_packet(40_000, (options.remote(), 8080), Some(7)), Some(0));
        assert_eq!(flows.of_packet(40_001, (options.remote(), 8080), Some(7)), None);
        assert_eq!(flows.for_inbound(None, false, &options), 0);
        flows.get_mut(0).local_isn = Some((0, 7));
        // A second connection from the same port has a SYN of its own.
        flows.made(4, false, &options);
        let flow = flows.of_fd(4).unwrap();
        (flow.role, flow.remote_port) = (Role::Active, Some(8080));
        assert_eq!(flows.of_packet(40_000, (options.remote(), 8080), Some(7)), Some(0));
        assert_eq!(flows.of_packet(40_000, (options.remote(), 8080), Some(8)), Some(1));
        assert_eq!(flows.of_packet(40_000, (options.remote(), 8080), None), Some(1));
    }
}
