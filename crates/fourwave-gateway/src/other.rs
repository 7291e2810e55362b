//! The program's packets that are not TCP, and who answers them.

use std::sync::Arc;

use fourwave::{IcmpError, Reports, RxPacket};
use fourwave_wire::WireError;
use fourwave_wire::icmp::Echo;
use fourwave_wire::ip::{IpHeader, protocol};
use fourwave_wire::udp::Datagram;

use crate::icmp::Pings;
use crate::shared::Shared;
use crate::udp::Flows;

/// Protocols that hosts send by themselves and that need no answer.
const IGMP: u8 = 2;

/// Handles packets until the stack ends.
pub(crate) async fn serve(shared: Arc<Shared>, mut packets: Reports<RxPacket>) {
    let flows = Flows::new(Arc::clone(&shared));
    let pings = Pings::new(Arc::clone(&shared));
    while let Some(packet) = packets.recv().await {
        let ip = match IpHeader::parse(&packet.bytes) {
            Ok(ip) => ip,
            Err(WireError::Fragment) => {
                shared.notices.once("fragments", || {
                    "the program sends fragmented datagrams, which are dropped: keep them below \
                     the MTU, or raise it with --mtu"
                        .to_owned()
                });
                continue;
            }
            Err(_) => continue,
        };
        match ip.protocol {
            protocol::UDP => {
                if let Ok(datagram) = Datagram::parse(&ip, &packet) {
                    flows.send(datagram, &packet);
                }
            }
            protocol::ICMP | protocol::ICMPV6 => {
                if let Ok(echo) = Echo::parse(&ip, &packet)
                    && !echo.header.reply
                {
                    pings.send(echo, &packet);
                }
            }
            IGMP => {}
            // RFC 1122 §3.2.2: no error about a packet to many.
            _ if ip.dst.is_multicast() => {}
            _ => shared.refuse(IcmpError::ProtocolUnreachable, &ip, &packet),
        }
    }
}
