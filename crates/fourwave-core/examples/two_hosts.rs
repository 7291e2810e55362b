//! The engine by hand, without a device, a clock or a runtime: two hosts, a link that this file
//! is, and one connection from its SYN to the end of TIME_WAIT.
//!
//! `cargo run -p fourwave-core --example two_hosts`

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use fourwave_core::time::Duration;
use fourwave_core::{Config, Engine, Event, Instant, ListenOptions};
use fourwave_wire::{Link, RxPacket, TxPacket};

const CLIENT: &str = "192.0.2.1:0";
const SERVER: &str = "192.0.2.2:80";

/// Hands over what either host has to send, until neither has anything.
fn exchange(now: Instant, hosts: &mut [Engine; 2]) {
    let mut packet = TxPacket::default();
    loop {
        let mut idle = true;
        for from in [0, 1] {
            while hosts[from].poll_transmit(now, &mut packet) {
                let received = RxPacket { bytes: packet.to_vec().into(), ..RxPacket::default() };
                hosts[1 - from].handle_packet(now, &received);
                idle = false;
            }
        }
        if idle {
            return;
        }
    }
}

fn tell(now: Instant, hosts: &mut [Engine; 2]) {
    for (name, host) in ["client", "server"].iter().zip(hosts) {
        while let Some(event) = host.poll_event() {
            let micros = now.as_micros();
            match event {
                Event::Closed { report, .. } => println!("{micros} {name}: {}", report.reason),
                other => println!("{micros} {name}: {other:?}"),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (local, remote): (SocketAddr, SocketAddr) = (CLIENT.parse()?, SERVER.parse()?);
    let host = |seed| Engine::new(Config::default(), Link::plain(1500), [seed; 32]);
    let mut hosts = [host(1), host(2)];
    let mut now = Instant::from_micros(0);

    let listener = hosts[1].listen(ListenOptions::port(80))?;
    let client = hosts[0].connect(now, local, remote)?;
    exchange(now, &mut hosts);
    let server = hosts[1].accept(now, listener).ok_or("nobody called")?.conn;
    tell(now, &mut hosts);

    let mut request = Bytes::from_static(b"hello");
    hosts[0].send(now, client, &mut request)?;
    exchange(now, &mut hosts);
    println!("the server reads {:?}", hosts[1].receive(now, server, usize::MAX)?);

    hosts[0].close(now, client)?; // FIN: the first of the four waves
    exchange(now, &mut hosts);
    hosts[1].close(now, server)?;
    exchange(now, &mut hosts);
    tell(now, &mut hosts);
    println!("time-wait: {}", hosts[0].population().time_wait);

    // Time is an argument: a minute passes at once.
    while let Some(deadline) = hosts[0].poll_timeout() {
        now = deadline.max(now);
        hosts[0].handle_timeout(now);
    }
    println!("{:?} later: {:?}", Duration::from_micros(now.as_micros()), hosts[0].population());
    Ok(())
}
