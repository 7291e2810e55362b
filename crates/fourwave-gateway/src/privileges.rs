//! What the gateway gives up once the program has its namespace.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};

/// Drops every capability but CAP_KILL (the program may change its user, and signals must still
/// reach it) from this thread, and forbids gaining any. Threads started later inherit that.
///
/// The program is not touched: call this after it has its own process, or `sudo` and `ping` would
/// fail in it.
///
/// # Errors
/// The kernel's; nothing of this normally fails.
pub(crate) fn drop_privileges() -> io::Result<()> {
    let current = capabilities(None)?;
    let keep = current.permitted & CapabilitySet::KILL;
    // A kernel before 4.3 has no ambient set to clear.
    let _cleared = clear_ambient_capability_set();
    set_capabilities(
        None,
        CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() },
    )?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Gives up what a user namespace has given to a user who is not root, before a program of theirs
/// is looked for: `exec` takes it away only when it has found the program, behind doors that are
/// closed to them. Root keeps what root has.
///
/// # Errors
/// The kernel's; nothing of this normally fails.
pub(crate) fn as_a_user() -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let none = CapabilitySet::empty();
    let inheritable = capabilities(None)?.inheritable;
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_kill_is_left_and_nothing_comes_back() {
        // Capabilities belong to a thread, so only this one loses them.
        std::thread::spawn(|| {
            drop_privileges().unwrap();
            let left = capabilities(None).unwrap();
            assert!((left.permitted - CapabilitySet::KILL).is_empty(), "{left:?}");
            assert!(left.inheritable.is_empty());
            assert!(rustix::thread::no_new_privs().unwrap());
        })
        .join()
        .unwrap();
    }
}
