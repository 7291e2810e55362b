//! A resolv.conf of the program's own, which names the gateway. Only the program sees it: it
//! lives on a tmpfs in its mount namespace, and goes with it.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::addresses::GATEWAY_V4;
use crate::failure::Failure;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Directories that exist everywhere; one is covered for the moment of the set-up.
const SCRATCH: [&str; 3] = ["/tmp", "/run", "/mnt"];

/// Puts the program's own resolv.conf in place of the host's. Returns what works less well.
///
/// A symlink (systemd-resolved's) is followed, and its target covered. Where there is no file to
/// cover, `/etc` is covered by an overlay that has one.
pub(super) fn replace() -> Result<Vec<String>, Failure> {
    let text = program_conf(&fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    match fs::canonicalize(RESOLV_CONF) {
        Ok(target) => cover_file(&target, &text).map(|()| Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match overlay_etc(&text) {
            Ok(()) => Ok(Vec::new()),
            Err(failure) => Ok(vec![format!(
                "names will not resolve in the program: {RESOLV_CONF} is missing and could not be \
                 made up for ({failure}); an empty file there is enough"
            )]),
        },
        Err(error) => Err(Failure::io(RESOLV_CONF, &error)),
    }
}

/// The host's file with the gateway as its only name server.
fn program_conf(host: &str) -> String {
    let keep = |line: &&str| {
        let keyword = line.split_ascii_whitespace().next();
        matches!(keyword, Some("search" | "domain" | "options" | "sortlist"))
    };
    let mut text = format!("nameserver {GATEWAY_V4}\n");
    for line in host.lines().filter(keep) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn cover_file(target: &Path, text: &str) -> Result<(), Failure> {
    let what = || format!("covering {}", target.display());
    // Opened first: the scratch directory may lie above it.
    let file = rustix::fs::open(target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::step(what(), errno))?;
    let file = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    with_scratch(|scratch| {
        let source = scratch.join("resolv.conf");
        write_file(&source, text)?;
        mount_bind(&source, file.as_str()).map_err(|errno| Failure::step(what(), errno))
    })
}

fn overlay_etc(text: &str) -> Result<(), Failure> {
    with_scratch(|scratch| {
        let (upper, work) = (scratch.join("upper"), scratch.join("work"));
        for directory in [&upper, &work] {
            fs::create_dir(directory).map_err(|e| Failure::io("making a directory", &e))?;
        }
        write_file(&upper.join("resolv.conf"), text)?;
        let options =
            format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
        let options = std::ffi::CString::new(options).map_err(|_| Failure::Vanished)?;
        mount("overlay", "/etc", "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(|errno| Failure::step("mounting an overlay on /etc", errno))
    })
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::io("writing the program's resolv.conf", &error))?;
    // Whatever the umask says: programs that change their user must read it too.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .map_err(|error| Failure::io("writing the program's resolv.conf", &error))
}

/// Runs `work` with a new tmpfs over some directory, and uncovers that again. What was mounted
/// elsewhere from it stays.
fn with_scratch(work: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let directory = SCRATCH
        .iter()
        .map(Path::new)
        .find(|directory| directory.is_dir())
        .ok_or_else(|| Failure::io("finding a directory for a tmpfs", &io::Error::other("")))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("fourwave", directory, "tmpfs", flags, c"mode=0755,size=1m")
        .map_err(|e| Failure::step(format!("mounting a tmpfs on {}", directory.display()), e))?;
    let done = work(directory);
    unmount(directory, UnmountFlags::DETACH)
        .map_err(|e| Failure::step(format!("unmounting {}", directory.display()), e))?;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_servers_are_replaced() {
        let host = "# made by hand\nnameserver 127.0.0.53\nsearch example.org  lan\n\
                    options edns0 trust-ad\n nameserver ::1\n";
        assert_eq!(
            program_conf(host),
            "nameserver 10.4.0.1\nsearch example.org  lan\noptions edns0 trust-ad\n"
        );
        assert_eq!(program_conf(""), "nameserver 10.4.0.1\n");
    }
}
