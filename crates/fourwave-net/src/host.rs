//! An engine with an address, and what it told.

use std::net::{IpAddr, SocketAddr};

use fourwave_core::{Config, ConnId, EndReport, Engine, Event, Instant, ListenOptions, ListenerId};
use fourwave_wire::{Link, TxPacket};

/// A machine with a TCP.
pub struct Host {
    /// Its address.
    pub ip: IpAddr,
    /// Its engine.
    pub engine: Engine,
    /// What the engine told and nobody took, in order; ends of connections are in `reports`.
    pub events: Vec<Event>,
    /// How its connections ended, in order.
    pub reports: Vec<(ConnId, EndReport)>,
    /// It sends nothing: its program is about to act in the same moment.
    pub held_back: bool,
    listener: Option<ListenerId>,
    /// When the bottleneck will have sent what this host put into it.
    pub busy: Instant,
}

impl Host {
    /// A host whose engine draws its numbers from `seed`.
    pub fn new(ip: IpAddr, config: Config, link: Link, seed: u8) -> Self {
        let engine = Engine::new(config, link, [seed; 32]);
        let (events, reports) = (Vec::new(), Vec::new());
        let (listener, busy) = (None, Instant::ZERO);
        Self { ip, engine, events, reports, held_back: false, listener, busy }
    }

    /// Listens on a port of every address; [`accept`](Self::accept) takes from there.
    ///
    /// # Panics
    /// Somebody listens on that port.
    pub fn listen(&mut self, port: u16, backlog: usize) {
        let options = ListenOptions::port(port).with_backlog(backlog);
        let listener =
            self.engine.listen(options).unwrap_or_else(|error| panic!("listen: {error}"));
        self.listener = Some(listener);
    }

    /// The next connection that waits at the listener.
    pub fn accept(&mut self, now: Instant) -> Option<ConnId> {
        self.engine.accept(now, self.listener?).map(|accepted| accepted.conn)
    }

    /// Its address with a port.
    pub fn address(&self, port: u16) -> SocketAddr {
        (self.ip, port).into()
    }

    /// How a connection ended, once it has.
    pub fn report(&self, conn: ConnId) -> Option<&EndReport> {
        self.reports.iter().find(|(of, _)| *of == conn).map(|(_, report)| report)
    }

    /// Takes the engine's events; the ends of connections are told to `ended`, too.
    pub fn take_events(&mut self, mut ended: impl FnMut(&EndReport)) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Closed { conn, report } => {
                    ended(&report);
                    self.reports.push((conn, *report));
                }
                event => self.events.push(event),
            }
        }
    }
}

/// Everything that the engine has to send now. What is not taken stays in the engine.
pub fn transmit(engine: &mut Engine, now: Instant) -> impl Iterator<Item = TxPacket> {
    std::iter::from_fn(move || {
        let mut out = TxPacket::default();
        engine.poll_transmit(now, &mut out).then_some(out)
    })
}

/// Everything that can be read now, and whether the stream's end was reached. An error is an end
/// of what can be read, and no end of the stream.
pub fn read_all(engine: &mut Engine, now: Instant, conn: ConnId) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Ok(data) = engine.receive(now, conn, usize::MAX) {
        if data.is_empty() {
            return (all, true);
        }
        all.extend_from_slice(&data);
    }
    (all, false)
}
