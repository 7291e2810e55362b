//! A script's processes as one group: what its commands leave running ends with it.

use std::io::{self, Read};
use std::process::Child;
use std::thread;

use rustix::process::{Pid, Signal};

/// Ends this process and its group once `alive` is at its end: whoever held the other side of that
/// pipe is gone. It takes a thread, so call it after [`enter`](super::enter).
///
/// # Errors
/// No thread is to be had.
pub fn end_when_closed(mut alive: impl Read + Send + 'static) -> io::Result<()> {
    let watch = move || {
        // An error is an end too.
        let _ended = io::copy(&mut alive, &mut io::sink());
        let _ends_this_too = rustix::process::kill_current_process_group(Signal::KILL);
    };
    thread::Builder::new().name("alive".into()).spawn(watch).map(drop)
}

/// Ends every process of the group that `leader` leads. It may have ended, but must not have been
/// waited for: until then no other group can have its number.
pub fn end(leader: &Child) {
    if let Some(group) = Pid::from_raw(leader.id().cast_signed()) {
        let _gone_already = rustix::process::kill_process_group(group, Signal::KILL);
    }
}
