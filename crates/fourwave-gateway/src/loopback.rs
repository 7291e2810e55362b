//! The two localhosts: the program's own, inside, and the host's. Who looks for the second in the
//! first gets one line.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use fourwave_linux::descriptor::Watched;
use fourwave_linux::refusals::Refusals;
use tokio_util::sync::CancellationToken;

use crate::addresses::GATEWAY_V4;
use crate::shared::Shared;

/// Ports of the program's localhost about which the host is asked: each costs a look at all its
/// sockets.
const ASKED_MAX: usize = 64;

/// The program called the gateway's own address, where the host's loopback would be.
pub(crate) fn hint(shared: &Shared, called: SocketAddr) {
    shared.notices.hint("gateway", || {
        format!(
            "{called} is refused: the gateway leads to the host's localhost only with \
             --host-loopback"
        )
    });
}

/// Waits for a call to the program's own localhost that nothing answers there, but something on
/// the host would; ends with the line about it. At the gateway's `end` it hears what is left: a
/// program that was refused may be gone at once.
pub(crate) async fn serve(shared: Arc<Shared>, refusals: Refusals, end: CancellationToken) {
    // Without it only the advice is missing.
    let Ok(refusals) = Watched::new(refusals) else { return };
    let mut asked = HashSet::new();
    let mut over = false;
    while asked.len() < ASKED_MAX {
        match refusals.get_ref().next() {
            Ok(called) if asked.insert(called.port()) => {
                let port = called.port();
                let listens = tokio::task::spawn_blocking(move || host_listens(port)).await;
                if listens.unwrap_or(false) {
                    return tell(&shared, called);
                }
            }
            Ok(_) => {}
            Err(_) if over => return,
            Err(_) => tokio::select! {
                ready = refusals.readable() => match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => return,
                },
                () = end.cancelled() => over = true,
            },
        }
    }
}

fn tell(shared: &Shared, called: SocketAddr) {
    let flag = if shared.host_loopback { "" } else { ", with --host-loopback" };
    shared.notices.hint("loopback", || {
        format!(
            "nothing listens at {called} inside: localhost is the program's own there; the \
             host's is {GATEWAY_V4}:{}{flag}",
            called.port()
        )
    });
}

/// Whether something on the host's loopback listens on `port`. Costs O(sockets of the host).
fn host_listens(port: u16) -> bool {
    // A table that cannot be read (no IPv6, a strange /proc) has nothing to say.
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .any(|table| table.lines().skip(1).any(|line| listens(line, port)))
}

/// A line of the kernel's table (proc(5)): number, local address, remote address, state.
fn listens(line: &str, port: u16) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (Some(local), Some("0A")) = (fields.next(), fields.nth(1)) else { return false };
    let Some((ip, its_port)) = local.split_once(':') else { return false };
    let reachable = |ip: IpAddr| {
        let ip = ip.to_canonical();
        ip.is_unspecified() || ip.is_loopback()
    };
    u16::from_str_radix(its_port, 16) == Ok(port) && address(ip).is_some_and(reachable)
}

/// An address of that table: words of 32 bits in the machine's order.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into());
    }
    let mut bytes = [0; 16];
    for (i, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(8 * i)?.to_ne_bytes());
    }
    Some(Ipv6Addr::from(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_the_hosts_loopback_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(host_listens(port));
        drop(listener);
        assert!(!host_listens(port));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let line = |local: &str, state: &str| format!("  0: {local} 00000000:0000 {state} 0:0");
        assert!(listens(&line("0100007F:1F90", "0A"), 8080));
        assert!(listens(&line("00000000:1F90", "0A"), 8080));
        assert!(listens(&line("00000000000000000000000001000000:1F90", "0A"), 8080), "::1");
        assert!(listens(&line("0000000000000000FFFF00000100007F:1F90", "0A"), 8080));
        assert!(!listens(&line("0100007F:1F90", "01"), 8080), "it is a connection");
        assert!(!listens(&line("0100007F:1F91", "0A"), 8080));
        assert!(!listens(&line("0200000A:1F90", "0A"), 8080), "10.0.0.2 is not the loopback");
        assert!(!listens("sl  local_address rem_address   st", 8080));
    }
}
