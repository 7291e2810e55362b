//! Sending what the engine has, without the lock while the device takes a packet.
//!
//! One at a time sends, so that packets keep their order. Whoever comes meanwhile leaves its own
//! to that one, and does not wait for the device.

use std::io;
use std::sync::MutexGuard;

use fourwave_core::Instant;
use fourwave_wire::TxPacket;

use crate::inner::Inner;
use crate::shared::Shared;

/// Packets that one flush sends before other tasks get their turn.
const FLUSH_PACKETS: usize = 64;

impl Shared {
    /// What follows every call into the engine: packets, the driver's next wake-up.
    pub(crate) fn settle<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        now: Instant,
    ) -> MutexGuard<'a, Inner> {
        let mut is_left = false;
        if !inner.tx_blocked && !inner.sending {
            inner = self.flush(inner, now);
            // The driver goes on, or ends: it left both to us while we were sending.
            is_left = inner.unsent || inner.stopping;
        }
        if (is_left || inner.is_due_sooner())
            && let Some(driver) = &inner.driver
        {
            driver.wake_by_ref();
        }
        inner
    }

    /// Sends until the engine is idle, the device is full or the turn is over; nothing while
    /// somebody else sends.
    pub(crate) fn flush<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        mut now: Instant,
    ) -> MutexGuard<'a, Inner> {
        if inner.sending {
            return inner;
        }
        let Some(device) = inner.device.clone() else { return inner };
        inner.sending = true;
        inner.unsent = true;
        let mut tx = std::mem::take(&mut inner.tx);
        for _ in 0..FLUSH_PACKETS {
            if !inner.tx_blocked && !inner.engine.poll_transmit(now, &mut tx) {
                inner.unsent = false;
                tx.clear();
                break;
            }
            drop(inner);
            let result = device.try_send(&tx);
            inner = self.lock();
            inner.note_sent(&result);
            // Stopped, the stack has sent what was left.
            if inner.tx_blocked || inner.device.is_none() {
                break;
            }
            now = self.now();
        }
        inner.tx = tx;
        inner.sending = false;
        inner
    }
}

impl Inner {
    /// The device took the packet in work, or did not.
    fn note_sent(&mut self, result: &io::Result<()>) {
        self.tx_blocked = false;
        match result {
            Ok(()) => self.io.sent += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.tx_blocked = true;
                self.io.blocked += 1;
            }
            // To TCP it is a lost packet.
            Err(_) => self.io.send_errors += 1,
        }
    }

    /// One last flush of the driver that ends. It may overtake the packet of whoever still sends.
    pub(crate) fn flush_at_the_end(&mut self, now: Instant) {
        let Some(device) = self.device.clone() else { return };
        let mut tx = TxPacket::default();
        for _ in 0..FLUSH_PACKETS {
            if self.tx_blocked || !self.engine.poll_transmit(now, &mut tx) {
                return;
            }
            self.note_sent(&device.try_send(&tx));
        }
    }
}
