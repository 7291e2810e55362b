//! The rules.

use fourwave_core::{EndReason, Population};

use crate::action::End;
use crate::broken::Broken;
use crate::user::User;
use crate::world::World;

impl World {
    /// Judges a world in which nothing can happen any more.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn judge_the_end(&self) -> Result<(), Broken> {
        if self.setup.streams_only {
            return Ok(());
        }
        for end in End::BOTH {
            let host = &self.hosts[end.index()];
            if host.users.iter().any(User::is_active) {
                return Err(Broken::Deadlock { end });
            }
            let population = host.engine.population();
            if population != Population::default() {
                return Err(Broken::LeftOver { end, population: Box::new(population) });
            }
        }
        for i in 0..usize::from(self.setup.incarnations) {
            let users = End::BOTH.map(|end| &self.hosts[end.index()].users[i]);
            self.judge_incarnation(i, users)?;
        }
        Ok(())
    }

    fn judge_incarnation(&self, i: usize, users: [&User; 2]) -> Result<(), Broken> {
        if users[0].conn.is_none() {
            return Err(Broken::Deadlock { end: End::Client });
        }
        for end in End::BOTH {
            let (user, peer) = (users[end.index()], users[end.other().index()]);
            if user.conn.is_none() {
                continue;
            }
            let Some(ended) = user.ended else { return Err(Broken::Unreported { end }) };
            if !is_justified(ended.reason, user, peer) {
                return Err(Broken::Reason { end, incarnation: i, reason: ended.reason });
            }
            let orderly = |user: &User| user.ended.is_some_and(|e| e.reason == EndReason::Orderly);
            if orderly(user) && orderly(peer) && ended.received != u64::from(peer.sent) {
                return Err(Broken::Lost { end, received: ended.received, sent: peer.sent });
            }
        }
        Ok(())
    }
}

/// Whether a connection may end so, given what the two programs did. Up to two faults justify
/// nothing: every retransmission comes more often.
fn is_justified(reason: EndReason, user: &User, peer: &User) -> bool {
    let unread = user.is_rude() && peer.sent > user.read;
    match reason {
        EndReason::Orderly => true,
        EndReason::ClosedWhileOpening | EndReason::FinWait2Timeout => user.is_rude(),
        EndReason::ClosedWithUnreadData | EndReason::DataAfterClose => unread,
        EndReason::ResetByPeer => peer.ended.is_some_and(|e| {
            matches!(
                e.reason,
                EndReason::ClosedWithUnreadData
                    | EndReason::DataAfterClose
                    | EndReason::ClosedWhileOpening
                    | EndReason::FinWait2Timeout
            )
        }),
        _ => false,
    }
}
