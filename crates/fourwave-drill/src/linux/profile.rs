//! The settings that `defaults.sh` stands for, and single ones: files below `/proc/sys`.

use std::fs;
use std::io;
use std::path::PathBuf;

use fourwave_linux::reason;

use super::table::Table;
use crate::profile;

/// The one that a namespace may refuse although its sockets may have it.
const CONGESTION: &str = "ipv4/tcp_congestion_control";

/// Selects the profile. Returns what this kernel does not let one set here, a line each.
///
/// The metrics of former connections need no flushing: the namespace has had none.
pub(super) fn select(table: &Table) -> Vec<String> {
    let fast_open = ("net.ipv4.tcp_fastopen", profile::FAST_OPEN);
    let all = profile::LINUX.iter().chain([&fast_open]);
    all.filter_map(|(name, value)| {
        let error = set(name, value, table).err()?;
        Some(format!("{name} could not be set to {value} ({})", reason(&error)))
    })
    .collect()
}

/// Sets one by its name, dots or slashes between the parts.
///
/// A congestion control that only the host's namespace may have as its default is given to each
/// socket that is made from now on.
pub(super) fn set(name: &str, value: &str, table: &Table) -> io::Result<()> {
    let path = path(name);
    let congestion = path.ends_with(CONGESTION);
    let written = write(path, value);
    match &written {
        Ok(()) if congestion => table.set_congestion(None),
        Err(error) if congestion && error.kind() == io::ErrorKind::PermissionDenied => {
            table.set_congestion(Some(value.to_owned()))
        }
        _ => written,
    }
}

/// The file of a setting. As in sysctl(8), whichever of `.` and `/` comes first separates, and
/// the other is part of a name (`net/ipv4/conf/eth0.1/mtu`).
fn path(name: &str) -> PathBuf {
    let separator = name.find(['.', '/']).map(|at| &name[at..=at]);
    let name = match separator {
        Some(".") => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    };
    PathBuf::from("/proc/sys").join(name.trim_start_matches('/'))
}

fn write(path: PathBuf, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path).and_then(|mut file| {
        // One write: the kernel takes each for a value of its own.
        let line = format!("{value}\n");
        io::Write::write(&mut file, line.as_bytes()).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_either_way() {
        for name in ["net.ipv4.tcp_ecn", "net/ipv4/tcp_ecn", "/net/ipv4/tcp_ecn"] {
            assert_eq!(path(name), PathBuf::from("/proc/sys/net/ipv4/tcp_ecn"));
        }
        let vlan = PathBuf::from("/proc/sys/net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), vlan);
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), vlan);
    }
}
