//! Why namespaces may not be made here: the kernel says only EPERM, so look at who could have.

use std::fmt;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::reason_of;

/// Who forbids the namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Forbidden {
    /// Debian's and Arch's switch for unprivileged user namespaces is off.
    UnprivilegedClone,
    /// A limit of namespaces is 0, or reached.
    Limit {
        /// The sysctl that holds it.
        sysctl: String,
        /// Its value.
        value: u64,
    },
    /// AppArmor lets only programs with a profile use them (Ubuntu 23.10 and later).
    AppArmor {
        /// Our executable, for the profile.
        executable: String,
    },
    /// The kernel was built without them.
    NotInKernel,
    /// None of these: a container's seccomp filter, SELinux, a chroot.
    Other {
        /// The kernel's answer.
        errno: i32,
    },
}

const CLONE: &str = "kernel.unprivileged_userns_clone";
const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";
const LIMITS: [&str; 3] =
    ["user.max_user_namespaces", "user.max_net_namespaces", "user.max_mnt_namespaces"];

impl Forbidden {
    /// Why a step of making namespaces failed with `errno`.
    pub(super) fn diagnose(errno: Errno, new_user_namespace: bool) -> Self {
        let executable = std::fs::read_link("/proc/self/exe")
            .map_or_else(|_| "fourwave".into(), |path| path.to_string_lossy().into_owned());
        Self::judge(errno, new_user_namespace, &executable, read_sysctl)
    }

    fn judge(
        errno: Errno,
        new_user_namespace: bool,
        executable: &str,
        sysctl: impl Fn(&str) -> Option<u64>,
    ) -> Self {
        if errno == Errno::INVAL {
            return Self::NotInKernel;
        }
        // ENOSPC is a limit for certain; a limit of 0 explains the rest too.
        let limits = &LIMITS[usize::from(!new_user_namespace)..];
        let limit = |name: &&&str| sysctl(name) == Some(0);
        if let Some(name) = limits.iter().find(limit) {
            return Self::Limit { sysctl: (*name).to_owned(), value: 0 };
        }
        if errno == Errno::NOSPC || errno == Errno::USERS {
            let name = limits[0];
            return Self::Limit { sysctl: name.to_owned(), value: sysctl(name).unwrap_or(0) };
        }
        if new_user_namespace && sysctl(CLONE) == Some(0) {
            return Self::UnprivilegedClone;
        }
        if new_user_namespace && sysctl(APPARMOR).is_some_and(|value| value != 0) {
            return Self::AppArmor { executable: executable.to_owned() };
        }
        Self::Other { errno: errno.raw_os_error() }
    }
}

fn read_sysctl(name: &str) -> Option<u64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnprivilegedClone => write!(
                f,
                "unprivileged user namespaces are switched off ({CLONE}=0): allow them with \
                 `sudo sysctl -w {CLONE}=1`, or run as root"
            ),
            Self::Limit { sysctl, value } => write!(
                f,
                "no more namespaces may be made ({sysctl}={value}): raise the limit with \
                 `sudo sysctl -w {sysctl}=15000`"
            ),
            Self::AppArmor { executable } => write!(
                f,
                "AppArmor forbids unprivileged user namespaces ({APPARMOR}=1): give {executable} a \
                 profile with `printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\n\
                 profile fourwave \"{executable}\" flags=(unconfined) \
                 {{\\n  userns,\\n}}\\n' | sudo tee /etc/apparmor.d/fourwave && \
                 sudo apparmor_parser -r /etc/apparmor.d/fourwave`, or \
                 allow everyone with `sudo sysctl -w {APPARMOR}=0`"
            ),
            Self::NotInKernel => f.write_str(
                "this kernel has no user or network namespaces (CONFIG_USER_NS, CONFIG_NET_NS): \
                 use a kernel that has them",
            ),
            Self::Other { errno } => write!(
                f,
                "namespaces may not be made here ({}; no sysctl forbids them, so a container's \
                 seccomp filter, SELinux or a chroot does): for Docker and Podman add \
                 `--security-opt seccomp=unconfined --device /dev/net/tun`",
                reason_of(*errno)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(errno: Errno, user: bool, facts: &[(&str, u64)]) -> Forbidden {
        let sysctl = |name: &str| facts.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        Forbidden::judge(errno, user, "/opt/fourwave", sysctl)
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        let limit = |sysctl: &str, value| Forbidden::Limit { sysctl: sysctl.into(), value };
        assert_eq!(judge(Errno::PERM, true, &[(CLONE, 0)]), Forbidden::UnprivilegedClone);
        assert_eq!(
            judge(Errno::PERM, true, &[(CLONE, 1), (APPARMOR, 1)]),
            Forbidden::AppArmor { executable: "/opt/fourwave".into() }
        );
        assert_eq!(judge(Errno::NOSPC, true, &[(LIMITS[0], 0)]), limit(LIMITS[0], 0));
        assert_eq!(judge(Errno::NOSPC, true, &[(LIMITS[0], 5)]), limit(LIMITS[0], 5));
        assert_eq!(
            judge(Errno::NOSPC, true, &[(LIMITS[0], 5), (LIMITS[1], 0)]),
            limit(LIMITS[1], 0)
        );
        // Root makes no user namespace, so what forbids those explains nothing.
        let other = Forbidden::Other { errno: Errno::PERM.raw_os_error() };
        assert_eq!(judge(Errno::PERM, false, &[(CLONE, 0), (APPARMOR, 1), (LIMITS[0], 0)]), other);
        assert_eq!(judge(Errno::INVAL, true, &[]), Forbidden::NotInKernel);
        assert_eq!(judge(Errno::PERM, true, &[(LIMITS[0], 9), (APPARMOR, 0)]), other);
    }

    #[test]
    fn the_apparmor_line_carries_the_whole_profile() {
        let line = Forbidden::AppArmor { executable: "/opt/fourwave".into() }.to_string();
        assert!(!line.contains('\n'));
        for part in ["profile fourwave \"/opt/fourwave\" flags=(unconfined)", "userns,", APPARMOR] {
            assert!(line.contains(part), "{line}");
        }
    }
}
