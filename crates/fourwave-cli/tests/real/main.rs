//! `fourwave run` with real programs, against the real kernel.
//!
//! Each test makes a host of its own (`world`), as the user who runs the tests and, when that is
//! root, as nobody too. What a program sees under fourwave is compared with what the same program
//! sees without.

mod around;
mod ends;
mod faults;
mod inside;
mod leftovers;
mod lens;
mod process;
mod programs;
mod published;
mod udp;
mod world;

/// Scripts that the tests' hosts have.
const SCRIPTS: [(&str, &str); 4] = [
    ("peer.py", include_str!("peer.py")),
    ("origin.py", include_str!("origin.py")),
    ("names.py", include_str!("names.py")),
    ("terminal.py", include_str!("terminal.py")),
];
