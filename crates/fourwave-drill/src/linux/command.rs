//! A script's shell commands: settings are made here, the rest is a shell's.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fourwave_linux::reason;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::table::Table;
use super::{Options, profile};
use crate::lex::shell;
use crate::target::Refusal;

/// Does what `text` asks. What could not be set of the profile joins `warnings`.
pub(super) fn run(
    text: &str,
    options: &Options,
    table: &Table,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let lines = shell::lines(text);
    let mut done = 0;
    for line in &lines {
        match native(line) {
            Some(todo) => todo.run(options, table, warnings)?,
            None => break,
        }
        done += 1;
    }
    let rest = lines[done..].join("\n");
    if rest.is_empty() { Ok(()) } else { shell(&rest, options) }
}

/// A command that needs no shell.
#[derive(Debug, PartialEq, Eq)]
enum Native {
    /// Nothing to do: an empty line, or settings put back that go with the namespace.
    Nothing,
    /// `defaults.sh`, which may lie there and have values of its own.
    Profile(String),
    /// `sysctl a=b`, `set_sysctls.py /proc/sys/a=b`; missing ones may be ignored (`-e`).
    Set { settings: Vec<(String, String)>, lenient: bool },
}

fn native(line: &str) -> Option<Native> {
    // Named with the process's number, so with a variable.
    if line.starts_with("/tmp/sysctl_restore_") && !line.contains([' ', ';', '|', '&']) {
        return Some(Native::Nothing);
    }
    let shell::Words { words, plain: true } = shell::words(line) else { return None };
    let Some((command, arguments)) = words.split_first() else {
        return Some(Native::Nothing);
    };
    match command.rsplit('/').next()? {
        "defaults.sh" if arguments.is_empty() => Some(Native::Profile(command.clone())),
        "sysctl" => {
            let (flags, settings): (Vec<_>, Vec<_>) =
                arguments.iter().partition(|word| word.starts_with('-'));
            let known = flags.iter().all(|flag| ["-q", "-w", "-e", "-qw"].contains(&flag.as_str()));
            let lenient = flags.iter().any(|flag| *flag == "-e");
            let settings = pairs(&settings)?;
            known.then_some(Native::Set { settings, lenient })
        }
        "set_sysctls.py" => {
            let settings = pairs(&arguments.iter().collect::<Vec<_>>())?;
            let name = |name: &String| name.strip_prefix("/proc/sys/").map(str::to_owned);
            let settings: Option<_> =
                settings.into_iter().map(|(path, value)| Some((name(&path)?, value))).collect();
            Some(Native::Set { settings: settings?, lenient: false })
        }
        _ => None,
    }
}

fn pairs(words: &[&String]) -> Option<Vec<(String, String)>> {
    let pair = |word: &&String| {
        let (name, value) = word.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    words.iter().map(pair).collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty())
}

impl Native {
    fn run(
        self,
        options: &Options,
        table: &Table,
        warnings: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let (settings, lenient) = match self {
            Self::Nothing => return Ok(()),
            Self::Profile(file) => {
                warnings.extend(profile::select(table));
                let file = options.directory.as_ref().map(|directory| directory.join(file));
                // It need not be there: the profile is what every version of it says.
                let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
                warnings.extend(own_settings(&text, table));
                return Ok(());
            }
            Self::Set { settings, lenient } => (settings, lenient),
        };
        for (name, value) in settings {
            match profile::set(&name, &value, table) {
                Err(error) if lenient && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    let why = format!("this kernel's {name} takes no {value:?}");
                    return Err(Refusal::Unsupported(why));
                }
                Err(error) => {
                    let why =
                        format!("{name} cannot be set in a namespace here ({})", reason(&error));
                    return Err(Refusal::Unsupported(why));
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Where nstat keeps what it saw, for this script alone.
pub(super) fn history() -> PathBuf {
    std::env::temp_dir().join(format!("fourwave-nstat-{}", std::process::id()))
}

/// Makes the plain settings of a `defaults.sh`. Returns those that failed although the kernel
/// knows them; a file of settings names some of older kernels too.
fn own_settings(text: &str, table: &Table) -> Vec<String> {
    let plain = shell::lines(text).into_iter().filter_map(|line| match native(&line) {
        Some(Native::Set { settings, .. }) => Some(settings),
        _ => None,
    });
    plain
        .flatten()
        .filter_map(|(name, value)| match profile::set(&name, &value, table) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Some(format!("{name} could not be set to {value} ({})", reason(&error)))
            }
            _ => None,
        })
        .collect()
}

/// Runs a command in a shell, for so long at most.
fn shell(text: &str, options: &Options) -> Result<(), Refusal> {
    let failed =
        |error: io::Error| Refusal::Failed(format!("`{text}` did not run: {}", reason(&error)));
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let said = rustix::fs::memfd_create("stderr", flags).map_err(|e| failed(e.into()))?;
    let mut said = File::from(said);
    let process = std::process::id().to_string();
    // Scripts are written where sh is bash.
    let bash = Path::new("/bin/bash");
    let mut command = Command::new(if bash.exists() { bash } else { Path::new("/bin/sh") });
    command
        .args(["-c", text])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone().map_err(failed)?)
        .env("PACKETDRILL_PID", &process)
        // Counters are compared with the last look of this script, not of another.
        .env("NSTAT_HISTORY", history());
    if let Some(directory) = &options.directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn().map_err(failed)?;
    let in_time = ends_within(&child, options.command_limit).map_err(failed)?;
    if !in_time {
        // What it has started ends with the group.
        let _ended_meanwhile = child.kill();
        let _status = child.wait();
        let limit = options.command_limit;
        return Err(Refusal::Failed(format!("`{text}` had not ended after {limit:?}")));
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let mut words = String::new();
    said.rewind().map_err(failed)?;
    // What it said explains at best; the status tells.
    let _unreadable = said.read_to_string(&mut words);
    let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(Refusal::Failed(format!("`{text}` failed ({status}): {last}")))
}

fn ends_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH)?;
    let watch: OwnedFd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut ended = [PollFd::new(&watch, PollFlags::IN)];
        match rustix::event::poll(&mut ended, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &[(&str, &str)], lenient: bool) -> Option<Native> {
        let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Some(Native::Set { settings, lenient })
    }

    #[test]
    fn settings_need_no_shell() {
        assert_eq!(
            native("../../common/defaults.sh"),
            Some(Native::Profile("../../common/defaults.sh".into()))
        );
        assert_eq!(native("sysctl -q net.ipv4.a=1"), set(&[("net.ipv4.a", "1")], false));
        assert_eq!(
            native("sysctl -e -q net.ipv4.a=\"1 2\" net.ipv4.b=0x3  # why"),
            set(&[("net.ipv4.a", "1 2"), ("net.ipv4.b", "0x3")], true)
        );
        assert_eq!(
            native("./set_sysctls.py /proc/sys/net/ipv4/a=1"),
            set(&[("net/ipv4/a", "1")], false)
        );
        assert_eq!(native("/tmp/sysctl_restore_${PPID}.sh"), Some(Native::Nothing));
        assert_eq!(native("# nothing"), Some(Native::Nothing));
    }

    #[test]
    fn a_file_of_settings_is_read_for_its_plain_ones() {
        let table = Table::default();
        let text = "#!/bin/bash\nip x flush\nsysctl -q net.ipv4.no_such_thing=1\n\
                    sysctl -q net.ipv4.x=\"$((1))\"\nsysctl -q net.ipv4.tcp_available_ulp=x\n";
        let failed = own_settings(text, &table);
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(failed[0].starts_with("net.ipv4.tcp_available_ulp could not be set to x"));
    }

    #[test]
    fn the_rest_is_a_shells() {
        for line in ["sysctl net.ipv4.a", "sysctl -q a=$b", "nstat -n", "defaults.sh; true", "x"] {
            assert_eq!(native(line), None, "{line}");
        }
    }

    #[test]
    fn a_failure_carries_what_the_command_said() {
        let options = Options {
            directory: None,
            command_limit: Duration::from_secs(60),
            ..Options::new(std::net::Ipv4Addr::LOCALHOST.into(), 8)
        };
        assert_eq!(shell("true", &options), Ok(()));
        let Err(Refusal::Failed(why)) = shell("echo no such luck >&2; exit 3", &options) else {
            panic!("it failed");
        };
        assert!(why.contains("exit status: 3") && why.ends_with("no such luck"), "{why}");
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let command_limit = Duration::from_millis(50);
        let options = Options { command_limit, ..Options::new([127, 0, 0, 1].into(), 8) };
        let Err(Refusal::Failed(why)) = shell("sleep 600", &options) else {
            panic!("it failed");
        };
        assert!(why.contains("had not ended after 50ms"), "{why}");
    }
}
