//! What every task of a gateway shares.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use fourwave::{IcmpError, RxPacket, Stack, TxPacket};
use fourwave_wire::icmp::error_packet;
use fourwave_wire::ip::IpHeader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dns::Resolvers;
use crate::notice::Notices;
use crate::observe::Annotations;
use crate::target::gateway_like;
use crate::traffic::Traffic;

/// A gateway's stack, what its tasks have to know, and its tasks.
pub(crate) struct Shared {
    pub(crate) stack: Stack,
    pub(crate) host_loopback: bool,
    pub(crate) resolvers: Resolvers,
    pub(crate) notices: Notices,
    pub(crate) traffic: Traffic,
    pub(crate) annotations: Annotations,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        stack: Stack,
        host_loopback: bool,
        resolvers: Resolvers,
        notices: Notices,
        annotations: Annotations,
    ) -> Self {
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let traffic = Traffic::default();
        Self { stack, host_loopback, resolvers, notices, traffic, annotations, tasks, cancel }
    }

    /// Runs a task until it ends or the gateway does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            cancel.run_until_cancelled_owned(task).await;
        });
    }

    /// Runs a task that hears of the gateway's end and ends by itself then.
    pub(crate) fn spawn_to_the_end<F: Future<Output = ()> + Send + 'static>(
        &self,
        task: impl FnOnce(CancellationToken) -> F,
    ) {
        self.tasks.spawn(task(self.cancel.clone()));
    }

    /// Ends all tasks, and waits until they have ended.
    pub(crate) async fn end(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Tells the program, in the gateway's name, why a packet of its went nowhere.
    pub(crate) fn refuse(&self, error: IcmpError, ip: &IpHeader, packet: &RxPacket) {
        if !ip.dst.is_multicast() {
            self.send(&error_packet(gateway_like(ip.src), error, &packet.bytes));
        }
    }

    /// Sends a packet to the program. One that finds no space is lost, as on any link.
    pub(crate) fn send(&self, packet: &TxPacket) {
        // An error is the device's; TCP, which needs it more, notices too.
        let _ = self.stack.send_packet(packet.clone());
    }

    /// A new identification for a datagram that is cut into fragments.
    pub(crate) fn fragment_id() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}
