//! A SYN of the program: the destination is dialled first, so that the answer is the truth.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fourwave::{Decision, IcmpError, Incoming, IncomingListener};
use fourwave_lens::summary::Unopened;
use fourwave_linux::reason;
use rustix::io::Errno;
use tokio::net::TcpStream;

use super::{Far, relay};
use crate::host::{HostStream, connect};
use crate::loopback;
use crate::shared::Shared;
use crate::target::{Target, target};

/// The program's kernel passes over an ICMP error that comes while `connect()` still holds the
/// socket (a soft error, tcp_v4_err), and the program would wait for its next SYN, a second later.
const ICMP_PAUSE: Duration = Duration::from_millis(5);

/// Answers every SYN of the program until the stack ends.
pub(crate) async fn serve(shared: Arc<Shared>, listener: IncomingListener) {
    // The only error is the stack's end.
    while let Ok(call) = listener.next().await {
        shared.spawn(answer(Arc::clone(&shared), call));
    }
}

async fn answer(shared: Arc<Shared>, mut call: Incoming) {
    let (program, called) = (call.remote(), call.local());
    let dialled = tokio::select! {
        dialled = dial(&shared, called) => dialled,
        // The dial is dropped with it.
        // As the ladder says it: whoever gave up first, there was no answer.
        () = call.gone() => return shared.annotations.unopened(Unopened::Unanswered),
    };
    let refusal = match dialled {
        Ok(host) => {
            let host = HostStream::new(host);
            // An error: the program is gone, and the host learns it by RST.
            if let Ok(program) = call.accept().await {
                relay(program, host, Far::Destination, &shared).await;
            }
            return;
        }
        Err(refusal) => refusal,
    };
    shared.annotations.note(program, called, || refusal.why.clone());
    match refusal.decision {
        Decision::Unreachable(error) => {
            shared.annotations.unopened(Unopened::Unreachable);
            tokio::time::sleep(ICMP_PAUSE).await;
            call.unreachable(error);
        }
        Decision::Ignore => {
            shared.annotations.unopened(Unopened::Unanswered);
            call.ignore();
        }
        Decision::Reset | Decision::Accept => {
            shared.annotations.unopened(Unopened::Refused);
            call.reset();
        }
    }
}

/// Why the program does not get its connection.
#[derive(Debug)]
struct Refusal {
    decision: Decision,
    why: String,
}

impl Refusal {
    fn new(decision: Decision, why: &str) -> Self {
        Self { decision, why: why.to_owned() }
    }
}

/// Connects to what the program called, or says how to refuse it.
async fn dial(shared: &Shared, called: SocketAddr) -> Result<TcpStream, Refusal> {
    let found = match target(called, shared.host_loopback) {
        Target::Host(address) => connect(address).await,
        Target::Resolver => shared.resolvers.dial().await,
        Target::Refused => {
            loopback::hint(shared, called);
            let why = "nothing listens at the gateway; --host-loopback would lead to the host";
            return Err(Refusal::new(Decision::Reset, why));
        }
        Target::Unreachable(error) => {
            let why = "the gateway leads to no such address";
            return Err(Refusal::new(Decision::Unreachable(error), why));
        }
    };
    found.map_err(|error| {
        shared.notices.descriptors(&error);
        if Errno::from_io_error(&error) == Some(Errno::ADDRNOTAVAIL) {
            shared.notices.once("ports", || {
                format!("the host has no port left towards {called}: connections are refused")
            });
        }
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "the destination refused the connection".into(),
            io::ErrorKind::TimedOut => "the destination did not answer".into(),
            _ => format!("the host could not connect: {}", reason(&error)),
        };
        Refusal { decision: refusal(&error), why }
    })
}

/// What the program is to be told when the host could not connect.
fn refusal(error: &io::Error) -> Decision {
    let unreachable = |icmp| Decision::Unreachable(icmp);
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET) => Decision::Reset,
        // The program's own SYNs run out at their own pace.
        Some(Errno::TIMEDOUT) => Decision::Ignore,
        Some(Errno::HOSTUNREACH | Errno::HOSTDOWN) => unreachable(IcmpError::HostUnreachable),
        // EAFNOSUPPORT: the host has no IPv6 at all.
        Some(Errno::NETUNREACH | Errno::NETDOWN | Errno::AFNOSUPPORT | Errno::INVAL) => {
            unreachable(IcmpError::NetUnreachable)
        }
        Some(Errno::ACCESS | Errno::PERM) => unreachable(IcmpError::AdminProhibited),
        Some(Errno::NOPROTOOPT) => unreachable(IcmpError::ProtocolUnreachable),
        // Limits of this process or host: nothing is wrong with the way there.
        _ => Decision::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_error_is_told_as_the_network_would() {
        let of = |errno: Errno| refusal(&errno.into());
        assert_eq!(of(Errno::CONNREFUSED), Decision::Reset);
        assert_eq!(of(Errno::TIMEDOUT), Decision::Ignore);
        assert_eq!(of(Errno::HOSTUNREACH), Decision::Unreachable(IcmpError::HostUnreachable));
        assert_eq!(of(Errno::NETUNREACH), Decision::Unreachable(IcmpError::NetUnreachable));
        assert_eq!(of(Errno::ACCESS), Decision::Unreachable(IcmpError::AdminProhibited));
        assert_eq!(of(Errno::MFILE), Decision::Reset);
        assert_eq!(of(Errno::ADDRNOTAVAIL), Decision::Reset);
    }
}
