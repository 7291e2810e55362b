//! When a command that goes on by itself ends: a signal came, or nobody reads any more.

use std::fs;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fourwave_linux::reason;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

/// Set by the first signal that asks to end (SIGHUP only where nobody asked to ignore it, as nohup
/// does); a second one ends the process at once, as the signal would.
pub(crate) fn on_signal() -> Result<Arc<AtomicBool>, String> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGQUIT, SIGHUP] {
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))
            .and_then(|_| register(signal, Arc::clone(&asked)))
            .map_err(|error| format!("signals cannot be watched: {}", reason(&error)))?;
    }
    Ok(asked)
}

/// Whether whoever started this process has it ignore a signal.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask(&status).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The signals that a process ignores, by its status.
fn mask(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Whether nobody can read what is written: a terminal that hung up, a pipe that was closed.
pub(crate) fn is_gone(output: impl AsFd) -> bool {
    let mut output = [PollFd::new(&output, PollFlags::empty())];
    let over = PollFlags::HUP | PollFlags::ERR;
    poll(&mut output, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        && output[0].revents().intersects(over)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_read_from_the_status() {
        let status = "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert_eq!(mask(status), Some(1 | 1 << 12), "SIGHUP and SIGPIPE");
        assert_eq!(mask(""), None);
        // Every Rust program ignores it.
        assert!(is_ignored(signal_hook::consts::SIGPIPE));
    }

    #[test]
    fn a_pipe_is_gone_with_its_reader() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(!is_gone(&writer));
        drop(reader);
        assert!(is_gone(&writer));
        assert!(!is_gone(fs::File::open("/dev/null").unwrap()));
    }
}
