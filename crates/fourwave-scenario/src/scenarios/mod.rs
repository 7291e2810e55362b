//! The scenarios, by what they are about.

mod close;
mod duplicates;
mod leaks;
mod loss;
mod many;
mod nat;
mod overtaken;
mod repair;
mod timeouts;

use crate::failure::Failure;
use crate::script::Script;

/// One way in which connections end.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in half a line.
    pub title: &'static str,
    /// What is shown and why, in two or three sentences.
    pub about: &'static str,
    pub(crate) script: fn(&mut Script) -> Result<(), Failure>,
}

/// Every scenario, in the order in which they are best read.
pub fn all() -> &'static [Scenario] {
    const ALL: &[Scenario] = &[
        close::FOUR_WAVES,
        close::SERVER_CLOSES_FIRST,
        close::THREE_WAVES,
        close::HALF_CLOSE,
        close::SIMULTANEOUS_CLOSE,
        loss::LOST_LAST_ACK,
        loss::LOST_FIN,
        loss::LOST_FIN_ORPHAN,
        repair::LOST_ACK_OF_FIN,
        repair::LATE_ACKS_OF_A_FIN,
        repair::LOST_TAIL_AND_FIN,
        repair::ORPHAN_IN_RECOVERY,
        repair::BOTH_FINS_LOST,
        overtaken::FIN_AHEAD_OF_DATA,
        overtaken::FIN_OVERTAKES_TEXT,
        overtaken::FIN_PROBED_BEHIND_A_GAP,
        overtaken::FIN_AT_CLOSED_WINDOW,
        overtaken::HALF_CLOSE_UNDER_LOSS,
        duplicates::OLD_DUPLICATE_FIN,
        duplicates::TIME_WAIT_ASSASSINATION,
        leaks::CLOSE_WAIT_LEAK,
        timeouts::FIN_WAIT_2_TIMEOUT,
        leaks::LINGER_ZERO,
        leaks::UNREAD_DATA_RESET,
        timeouts::KEEPALIVE_DEAD_PEER,
        nat::NAT_RECYCLE,
        many::TOO_MANY_TIME_WAIT,
        many::LONG_CONNECTIONS,
    ];
    ALL
}

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    all().iter().find(|scenario| scenario.name == name)
}
